/** What is opened, repaired or left open to be read after a database's writer failed: with a disk that does as it is told. */
import test from 'ava';
import { OpenDatabases, type DatabaseDisk } from '../../actors/openDatabases.js';
import { incarnation, nodeName } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { openMemory, type Level } from '../../storage/level.js';
import { DATABASE, definition, write } from '../support/stores.js';

const OPTIONS = {
  database: DATABASE,
  node: nodeName('a'),
  newIncarnation: () => incarnation('00'.repeat(8)),
  bootId: 'boot',
  writeAsync: false,
  builtIn: [definition('dogs')],
};

const coded = (code: string, message = code): Error => Object.assign(new Error(message), { code });

/** Answers are taken from the front; without one, it works. */
class Disk implements DatabaseDisk {
  readonly done: string[] = [];
  readonly probes: Error[] = [];
  readonly opens: Error[] = [];
  readonly repairs: Error[] = [];
  isRepaired = false;
  readonly #level: Promise<Level> = openMemory();

  async open(): Promise<Level> {
    this.done.push('open');
    const failure = this.opens.shift();
    if (failure) throw failure;
    return this.#level;
  }

  async close(): Promise<void> {
    this.done.push('close');
  }

  async probe(): Promise<void> {
    this.done.push('probe');
    const failure = this.probes.shift();
    if (failure) throw failure;
  }

  async repair(_: unknown, reason: string): Promise<void> {
    this.done.push(`repair ${reason}`);
    const failure = this.repairs.shift();
    if (failure) throw failure;
    this.isRepaired = true;
  }

  async wasRepaired(): Promise<boolean> {
    return this.isRepaired;
  }

  async recovered(): Promise<void> {
    this.done.push('recovered');
    this.isRepaired = false;
  }
}

const stageOf = () => {
  const disk = new Disk();
  const databases = new OpenDatabases(disk);
  const open = async () => databases.open(OPTIONS);
  const whatWasDone = () => disk.done.splice(0).join(', ');
  return { disk, databases, open, whatWasDone };
};

const FULL = coded('ENOSPC', 'no space left on device');
const BROKEN = new Error('a batch could not be written');

test('after one failure the disk is tried, and the database opened anew at once', async (t) => {
  const { databases, open, whatWasDone } = stageOf();
  t.like(await open(), { kind: 'open' });
  databases.failed(DATABASE, BROKEN);
  t.like(await open(), { kind: 'open' });
  t.is(whatWasDone(), 'open, probe, close, open');
});

test('while the disk takes nothing the level stays open, and what it says is told', async (t) => {
  const { disk, databases, open, whatWasDone } = stageOf();
  const opened = await open();
  databases.failed(DATABASE, BROKEN);
  disk.probes.push(FULL, FULL);
  const readOnly = await open();
  t.like(readOnly, { kind: 'readOnly', failure: FULL, retryMs: limits.diskRetryMsMin });
  t.is(
    readOnly.kind === 'readOnly' && readOnly.level,
    opened.kind === 'open' && opened.store.level,
  );
  t.false(await databases.mayRetry(DATABASE));
  t.true(await databases.mayRetry(DATABASE));
  t.is(whatWasDone(), 'open, probe, probe, probe');
  t.like(await open(), { kind: 'open' });
  t.is(whatWasDone(), 'close, open');
});

test('more failures after one another wait three times as long each time, up to the longest wait', async (t) => {
  const { databases, open } = stageOf();
  await open();
  databases.failed(DATABASE, BROKEN);
  await open();
  const waits: number[] = [];
  for (let time = 0; time < 6; time++) {
    databases.failed(DATABASE, BROKEN);
    const opened = await open();
    if (opened.kind === 'readOnly') waits.push(opened.retryMs);
    t.true(await databases.mayRetry(DATABASE));
    t.like(await open(), { kind: 'open' });
  }
  t.deepEqual(waits, [3_000, 9_000, 27_000, 30_000, 30_000, 30_000]);
  databases.wrote(DATABASE, 9_999);
  databases.failed(DATABASE, BROKEN);
  t.like(await open(), { kind: 'readOnly' });
  t.true(await databases.mayRetry(DATABASE));
  t.like(await open(), { kind: 'open' });
  databases.wrote(DATABASE, 10_000);
  databases.failed(DATABASE, BROKEN);
  t.like(await open(), { kind: 'open' });
});

for (const code of ['LEVEL_IO_ERROR', 'ENOSPC', 'EDQUOT', 'EIO', 'EROFS'])
  test(`a database that cannot be opened for ${code} can be neither read nor written until it can`, async (t) => {
    const { disk, databases, open } = stageOf();
    disk.opens.push(new Error('cannot open', { cause: coded(code) }));
    t.like(await open(), { kind: 'readOnly', level: null });
    t.true(await databases.mayRetry(DATABASE));
    t.like(await open(), { kind: 'open' });
  });

test('a lock is a refusal, and nothing is tried', async (t) => {
  const { disk, open, whatWasDone } = stageOf();
  disk.opens.push(coded('STORAGE_LOCKED'));
  await t.throwsAsync(open(), { code: 'STORAGE_LOCKED' });
  t.is(whatWasDone(), 'open');
});

test('files that are found damaged when they are opened are repaired first, and the store begins anew', async (t) => {
  const { disk, open, whatWasDone } = stageOf();
  disk.opens.push(new Error('not open', { cause: coded('LEVEL_CORRUPTION', 'bad block') }));
  const opened = await open();
  t.is(whatWasDone(), 'open, repair not open, open, recovered');
  if (opened.kind !== 'open') return t.fail();
  t.true(opened.store.damage.isPartial(opened.store.catalog.get('dogs').number));
  await write(opened.store, { table: 'dogs', type: 'put', records: [{ id: 1 }] });
});

test('files that turn out to be damaged later are closed, repaired and owe their tables under a new incarnation', async (t) => {
  const { databases, open, whatWasDone } = stageOf();
  const first = await open();
  if (first.kind !== 'open') return t.fail();
  await write(first.store, { table: 'dogs', type: 'put', records: [{ id: 1 }] });
  databases.failed(DATABASE, new Error('while reading', { cause: coded('LEVEL_CORRUPTION') }));
  const again = await open();
  t.is(whatWasDone(), 'open, close, repair while reading, open, recovered');
  if (again.kind !== 'open') return t.fail();
  t.is(again.store.recovery, 'newIncarnation');
  t.true(again.store.damage.owesTables);
});

test('files that cannot be repaired are a refusal', async (t) => {
  const { disk, open } = stageOf();
  disk.opens.push(coded('LEVEL_CORRUPTION'));
  disk.repairs.push(coded('STORAGE_FAILED', 'cannot be repaired'));
  await t.throwsAsync(open(), { code: 'STORAGE_FAILED', message: 'cannot be repaired' });
});

test('a start that fails in the middle closes what it had opened before the next one', async (t) => {
  const { disk, databases, open, whatWasDone } = stageOf();
  await t.throwsAsync(
    databases.open({
      ...OPTIONS,
      newIncarnation: () => {
        throw BROKEN;
      },
    }),
    { is: BROKEN },
  );
  t.like(await open(), { kind: 'open' });
  t.is(whatWasDone(), 'open, probe, close, open');
  await databases.releaseAll();
  t.is(whatWasDone(), 'close');
  t.is(disk.probes.length, 0);
});
