/** The examples run as they are and say what they promise. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { startCli } from '../support/runCli.js';

const example = (name: string): string =>
  fileURLToPath(new URL(`../../examples/${name}.js`, import.meta.url));

test('three nodes in one process: written on one, read and watched on the others', async (t) => {
  const { code, stdout, stderr } = await startCli([], { file: example('threeNodes') }).ended;
  t.is(code, 0, stderr);
  t.regex(stdout, /^cedar sees put of 1, written on amber$/m);
  t.regex(stdout, /^cedar sees patch of 1, written on amber$/m);
  t.regex(stdout, /birch has \[ \{ age: 8, id: 1, name: 'Penny' \} \] ok/);
});

test('a node on disk with an HTTP door: what one run stores is there in the next', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-example-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  for (const visits of [1, 2]) {
    const { code, stdout, stderr } = await startCli([directory], { file: example('withDoors') })
      .ended;
    t.is(code, 0, stderr);
    t.true(
      stdout.startsWith(`${visits} visits in ${directory}, asked over http://127.0.0.1:`),
      stdout,
    );
  }
});
