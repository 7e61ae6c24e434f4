/** A message an actor does not know does not compile. */
import { readFile } from 'node:fs/promises';
import test from 'ava';
import { markedLines, typeErrors } from '../support/typeErrors.js';

test('sending, asking and answering what an actor does not know does not compile', async (t) => {
  const source = await readFile('tests/support/kernelTypes.fixture.ts.txt', 'utf8');
  t.true(markedLines(source).length > 10);
  t.deepEqual(await typeErrors(source), markedLines(source));
});
