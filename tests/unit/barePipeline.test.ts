/**
 * The yardstick itself: a pipeline that lost something, or left something behind, would measure nothing.
 * Speed is not judged here.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { encodeRecord } from '../../protocol/codec.js';
import { runBare, runLevelAlone } from '../../scripts/bench/bare.js';
import { benchDocuments } from '../../scripts/bench/bareRecords.js';

const RECORDS = 2_500;
const ROW_HEADER_BYTES = 10;

/** Of the entries that hold each record once. */
const expectedBytes = benchDocuments(RECORDS).reduce(
  (sum, document) => sum + ROW_HEADER_BYTES + encodeRecord(document).length,
  0,
);

const withFolder = async (use: (folder: string) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'skein-test-'));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
};

for (const options of [
  { readyMade: false, sync: false },
  { readyMade: true, sync: true },
  { readyMade: false, sync: true, withCodec: true },
]) {
  test(`the bare pipeline carries every record and leaves no files: ${JSON.stringify(options)}`, async (t) => {
    await withFolder(async (folder) => {
      const result = await runBare({ records: RECORDS, folder, ...options });
      t.is(result.bytes, expectedBytes);
      t.true(result.recordsPerSecond > 0 && result.cpuMicrosecondsPerRecord > 0);
      t.deepEqual(await readdir(folder), []);
    });
  });
}

test('LevelDB alone writes the same bytes', async (t) => {
  await withFolder(async (folder) => {
    const result = await runLevelAlone({ records: RECORDS, sync: false, folder });
    t.is(result.bytes, expectedBytes);
    t.deepEqual(await readdir(folder), []);
  });
});

test('a pipeline without records is refused', async (t) => {
  await t.throwsAsync(runBare({ records: 0, sync: false, readyMade: true }), {
    instanceOf: RangeError,
  });
});

test('documents are about 200 bytes and the same every time', (t) => {
  const documents = benchDocuments(1_000);
  t.deepEqual(benchDocuments(1_000), documents);
  const bytes = documents.reduce((sum, document) => sum + encodeRecord(document).length, 0);
  t.true(Math.abs(bytes / 1_000 - 200) < 10, `${bytes / 1_000} bytes`);
});
