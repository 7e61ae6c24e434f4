/**
 * What the store keeps to over any level, as a suite: `storageConformance(name, openStage)` registers the tests.
 * Run by storageMemory.test.ts and storageClassic.test.ts; another level adds its own.
 */
import test, { type ExecutionContext } from 'ava';
import { encode, encodeRecord } from '../../protocol/codec.js';
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import { encodeEntry, readEntryHeader, type TableChanges } from '../../protocol/entry.js';
import { nodeOf, sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import type { OriginId } from '../../protocol/ids.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import type { AttributeDefinition } from '../../protocol/tableDefinition.js';
import type { CopiedRow } from '../../storage/commit.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import { allOf, indexOf, metaKey, PREFIX, rowsOf, tombstoneKey } from '../../storage/keys.js';
import type { Level } from '../../storage/level.js';
import { logReader } from '../../storage/log.js';
import { openCopy, type CopyPlace, type CopySource } from '../../storage/snapshot.js';
import type { Store } from '../../storage/store.js';
import { openTable, readRecord } from '../../storage/tables.js';
import type { Position } from '../../storage/vector.js';
import {
  catchUp,
  define,
  definition,
  inCommit,
  indexes,
  interceptBatches,
  logOf,
  NOW_MS,
  openStore,
  origin,
  records,
  rowStates,
  transaction,
  write,
} from '../support/stores.js';
import { copyInto } from '../support/copying.js';

/** Fresh levels for one test, and what may happen to them. */
export interface StorageStage {
  /** A new, empty one. */
  open(): Promise<Level>;
  /** What is found after the process was killed: everything written, nothing closed. */
  afterKill(level: Level): Promise<Level>;
  /** Closed and opened again. */
  reopened(level: Level): Promise<Level>;
  close(): Promise<void>;
}

type Scene = (t: ExecutionContext, stage: StorageStage) => Promise<void>;

export const storageConformance = (name: string, openStage: () => Promise<StorageStage>): void => {
  const scenes = { ...opening, ...batches, ...entries, ...tables, ...writes, ...copies };
  for (const [title, scene] of Object.entries(scenes))
    test(`${name}: ${title}`, async (t) => {
      const stage = await openStage();
      try {
        await scene(t, stage);
      } finally {
        await stage.close();
      }
    });
};

const put = (table: string, record: object): LocalWrite => ({
  table,
  type: 'put',
  records: [record as Record<string, unknown>],
});

const entryOf = (
  id: OriginId,
  at: number,
  changes: TableChanges['changes'],
  more: { version?: number; table?: string; generation?: number } = {},
): Buffer =>
  encodeEntry({
    origin: id,
    sequence: sequence(at),
    version: version(more.version ?? at),
    tables: [
      {
        table: tableName(more.table ?? 'dogs'),
        generation: tableGeneration(more.generation ?? 1),
        changes,
      },
    ],
  });

const putOf = (key: string, record: object): TableChanges['changes'][number] => ({
  key: encodeKey(key),
  change: { type: 'put', body: encodeRecord({ id: key, ...record }) },
});

const DOGS = definition('dogs', [{ name: 'x' }]);
const withDogs = { builtIn: [DOGS] };

const opening: Record<string, Scene> = {
  'an empty level is created, with a new incarnation': async (t, stage) => {
    const store = await openStore(await stage.open());
    t.is(store.recovery, 'created');
    t.is(store.origin, origin('a', 1));
    t.is(store.sharedVector().size, 0);
  },

  'after a clean stop the incarnation goes on, whatever else has changed': async (t, stage) => {
    const lives = { count: 0 };
    const level = await stage.open();
    const store = await openStore(level, { lives, ...withDogs });
    await write(store, put('dogs', { id: 'k', x: 1 }));
    await store.markClean();
    const again = await openStore(await stage.reopened(level), {
      lives,
      bootId: 'boot-2',
      ...withDogs,
    });
    t.is(again.recovery, 'continued');
    t.is(again.origin, store.origin);
    t.is((await write(again, put('dogs', { id: 'p' }))).sequence, sequence(2));
  },

  'CX-10: after a restart of the machine without fsync a new incarnation begins': async (
    t,
    stage,
  ) => {
    const lives = { count: 0 };
    const level = await stage.open();
    const store = await openStore(level, { lives, ...withDogs });
    await write(store, put('dogs', { id: 'k', x: 1 }));
    const again = await openStore(await stage.afterKill(level), {
      lives,
      bootId: 'boot-2',
      ...withDogs,
    });
    t.is(again.recovery, 'newIncarnation');
    t.is((await write(again, put('dogs', { id: 'k', x: 2 }))).sequence, sequence(1));
    t.deepEqual([...again.sharedVector().keys()], [origin('a', 1), origin('a', 2)]);
    t.like((await records(again, 'dogs'))[0], { x: 2 });
  },

  'after a kill on the same boot the incarnation goes on': async (t, stage) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    await write(store, put('dogs', { id: 'k' }));
    const again = await openStore(await stage.afterKill(level), withDogs);
    t.is(again.recovery, 'continued');
    t.is((await write(again, put('dogs', { id: 'p' }))).sequence, sequence(2));
  },

  'with fsync the incarnation goes on after a restart of the machine': async (t, stage) => {
    const level = await stage.open();
    await openStore(level, { writeAsync: false });
    const again = await openStore(await stage.afterKill(level), { bootId: 'boot-2' });
    t.is(again.recovery, 'continued');
  },

  'what counts is whether fsync was on before, not whether it is now': async (t, stage) => {
    const level = await stage.open();
    await openStore(level, { writeAsync: true });
    const options = { bootId: 'boot-2', writeAsync: false };
    t.is((await openStore(await stage.afterKill(level), options)).recovery, 'newIncarnation');
  },

  'CX-63: a directory cloned for another node begins a new incarnation, even a clean one': async (
    t,
    stage,
  ) => {
    const lives = { count: 0 };
    const level = await stage.open();
    const store = await openStore(level, { node: 'a', lives });
    await store.markClean();
    const clone = await openStore(await stage.reopened(level), { node: 'b', lives });
    t.is(clone.recovery, 'newIncarnation');
    t.is(clone.origin, origin('b', 2));
  },

  'a start after a clean stop is not clean any more': async (t, stage) => {
    const level = await stage.open();
    await (await openStore(level)).markClean();
    const second = await stage.reopened(level);
    await openStore(second);
    const third = await openStore(await stage.afterKill(second), { bootId: 'boot-2' });
    t.is(third.recovery, 'newIncarnation');
  },

  'that a start is not clean is flushed before anything is written, also without fsync': async (
    t,
    stage,
  ) => {
    const level = await stage.open();
    const flushed: unknown[] = [];
    const putOne = level.put.bind(level) as (
      key: Buffer,
      value: Buffer,
      options: object,
    ) => Promise<void>;
    level.put = ((key: Buffer, value: Buffer, options: { sync?: boolean }) => {
      if (key.equals(metaKey('node'))) flushed.push(options.sync);
      return putOne(key, value, options);
    }) as never;
    await openStore(level, { writeAsync: true });
    t.deepEqual(flushed, [true]);
  },

  'the clock of a start is not below anything seen before it': async (t, stage) => {
    const FAR = (NOW_MS + 5_000) * TICKS_PER_MILLISECOND;
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    await inCommit(store, (commit) => {
      const entry = entryOf(origin('b'), 1, [putOf('k', {})], { version: FAR });
      t.is(commit.apply(origin('b'), entry), 'applied');
    });
    const again = await openStore(await stage.afterKill(level), withDogs);
    t.is(again.clock, version(FAR));
    t.true((await write(again, put('dogs', { id: 'k', x: 1 }))).version > FAR);
    t.like((await records(again, 'dogs'))[0], { x: 1 });
  },

  'the clock remembers rows of a copy and adopted positions too': async (t, stage) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    const position = { sequence: sequence(9), version: version(7_000), checksum: 0 };
    await inCommit(store, (commit) => {
      const stamp = { version: version(8_000), origin: origin('c') };
      commit.applyCopied([{ ...copiedRow('k'), row: { kind: 'deleted', stamp } }]);
      commit.adopt([[origin('b'), { ...position, logStart: sequence(1) }]]);
    });
    t.is((await openStore(await stage.afterKill(level), withDogs)).clock, version(8_000));
  },

  'a directory of a later format is refused, and left as it is': async (t, stage) => {
    const level = await stage.open();
    await level.put(metaKey('node'), encode({ format: 3 }));
    await t.throwsAsync(openStore(level), {
      code: 'STORAGE_FAILED',
      message: 'The data directory has format 3; this version reads format 2',
    });
    t.deepEqual(await level.get(metaKey('node')), encode({ format: 3 }));
  },
};

const copiedRow = (key: string) => ({
  table: tableName('dogs'),
  generation: tableGeneration(1),
  key: encodeKey(key),
});

const countBatches = (level: Level): { count: number; sync: unknown[] } => {
  const seen = { count: 0, sync: [] as unknown[] };
  interceptBatches(level, (writeBatch, options) => {
    seen.count++;
    seen.sync.push((options as { sync?: boolean } | undefined)?.sync);
    return writeBatch();
  });
  return seen;
};

const batches: Record<string, Scene> = {
  'everything accepted together is written in one batch': async (t, stage) => {
    const level = await stage.open();
    const store = await openStore(level, { builtIn: [DOGS, definition('cats')] });
    const seen = countBatches(level);
    await inCommit(store, (commit) => {
      commit.transact(transaction([put('dogs', { id: 'k' }), put('cats', { id: 'k', y: 1 })]));
      commit.transact(transaction([{ table: 'dogs', type: 'delete', keys: ['k'] }]));
      commit.apply(origin('b'), entryOf(origin('b'), 1, [putOf('p', {})]));
      commit.define({ definition: definition('birds'), nowMs: NOW_MS });
    });
    t.is(seen.count, 1);
    t.is(store.sharedVector().get(store.origin)?.sequence, sequence(3));
  },

  'a commit without anything in it writes nothing': async (t, stage) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    const seen = countBatches(level);
    const accepted = await write(store, { table: 'dogs', type: 'delete', keys: ['nobody'] });
    t.is(accepted.sequence, undefined);
    t.deepEqual(accepted.results, [{ written: [], skipped: ['nobody'], newAttributes: [] }]);
    t.is(seen.count, 0);
  },

  'a batch is flushed to the disk unless writes are asynchronous': async (t, stage) => {
    for (const writeAsync of [true, false]) {
      const level = await stage.open();
      const store = await openStore(level, { writeAsync, ...withDogs });
      const seen = countBatches(level);
      await write(store, put('dogs', { id: 'k' }));
      t.deepEqual(seen.sync, [!writeAsync]);
    }
  },

  'after a kill a batch is there whole or not at all': async (t, stage) => {
    const level = await stage.open();
    const store = await openStore(level, { builtIn: [definition('dogs')] });
    await write(store, put('dogs', { id: 'k', x: 1 }));
    const open = store.commit();
    open.transact(transaction([put('dogs', { id: 'k', x: 2, y: 1 }), put('dogs', { id: 'p' })]));
    const again = await openStore(await stage.afterKill(level), { builtIn: [definition('dogs')] });
    t.deepEqual(
      (await records(again, 'dogs')).map(({ id, x }) => [id, x]),
      [['k', 1]],
    );
    const { stored, expected } = await indexes(again, 'dogs');
    t.deepEqual(stored, expected);
    t.is((await logOf(again, again.origin)).length, 1);
    t.is(again.sharedVector().get(again.origin)?.sequence, sequence(1));
    await open.abandon();
  },

  'what is accepted is seen by the next transaction before it is written': async (t, stage) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    const restore = interceptBatches(level, (writeBatch) => held.then(writeBatch));
    const first = store.commit();
    first.transact(transaction([put('dogs', { id: 'k', x: 1 })]));
    const writing = first.write();
    restore();
    const second = store.commit();
    const insert: LocalWrite = { table: 'dogs', type: 'insert', records: [{ id: 'k' }] };
    t.deepEqual(second.transact(transaction([insert])).results[0]?.skipped, ['k']);
    second.transact(transaction([{ table: 'dogs', type: 'delete', keys: ['k'] }]));
    t.deepEqual(second.transact(transaction([insert])).results[0]?.written, ['k']);
    letGo();
    await writing;
    await second.write();
    t.is((await records(store, 'dogs')).length, 1);
  },

  'positions are told to others only when they are durable': async (t, stage) => {
    const store = await openStore(await stage.open(), withDogs);
    const commit = store.commit();
    commit.transact(transaction([put('dogs', { id: 'k' })]));
    t.is(store.accepted.get(store.origin)?.sequence, sequence(1));
    t.is(store.sharedVector().size, 0);
    const reader = logReader(store);
    t.deepEqual(reader.readNow({ origin: store.origin, after: 0, bytesMax: 1 }), { kind: 'end' });
    await commit.write();
    t.is(store.sharedVector().get(store.origin)?.sequence, sequence(1));
    t.is((await logOf(store, store.origin)).length, 1);
  },

  'CX-12: a batch that failed but was written is found when the store is read back': async (
    t,
    stage,
  ) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    await write(store, put('dogs', { id: 'k', x: 1 }));
    const restore = interceptBatches(level, async (writeBatch) => {
      await writeBatch();
      throw new Error('the disk says no');
    });
    await t.throwsAsync(write(store, put('dogs', { id: 'k', x: 2 })), {
      message: 'the disk says no',
    });
    restore();
    const again = await openStore(await stage.afterKill(level), withDogs);
    t.like((await records(again, 'dogs'))[0], { x: 2 });
    t.is((await write(again, put('dogs', { id: 'p' }))).sequence, sequence(3));
  },

  'CX-12: a batch that failed and was not written leaves no hole': async (t, stage) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    await write(store, put('dogs', { id: 'k', x: 1 }));
    const restore = interceptBatches(level, () => Promise.reject(new Error('the disk says no')));
    await t.throwsAsync(write(store, put('dogs', { id: 'k', x: 2 })), {
      message: 'the disk says no',
    });
    restore();
    t.is(store.sharedVector().get(store.origin)?.sequence, sequence(1));
    const again = await openStore(await stage.afterKill(level), withDogs);
    t.like((await records(again, 'dogs'))[0], { x: 1 });
    t.is((await write(again, put('dogs', { id: 'p' }))).sequence, sequence(2));
  },
};

const B = origin('b');

const entries: Record<string, Scene> = {
  'only the entry after the last is applied; older ones are known, later ones a gap': async (
    t,
    stage,
  ) => {
    const store = await openStore(await stage.open(), withDogs);
    const log = [1, 2, 3].map((at) => entryOf(B, at, [putOf('k', { x: at })]));
    const outcomes = await inCommit(store, (commit) =>
      [0, 2, 0, 1, 1, 2].map((place) => commit.apply(B, log[place] ?? Buffer.alloc(0))),
    );
    t.deepEqual(outcomes, ['applied', 'gap', 'known', 'applied', 'known', 'applied']);
    t.like((await records(store, 'dogs'))[0], { x: 3 });
    t.deepEqual(await logOf(store, B), log);
    t.like(store.sharedVector().get(B), {
      sequence: 3,
      version: 3,
      checksum: readEntryHeader(log[2] ?? Buffer.alloc(0)).checksum,
      logStart: 1,
    });
  },

  'an entry whose bytes were harmed, or that another origin wrote, is damaged': async (
    t,
    stage,
  ) => {
    const store = await openStore(await stage.open(), withDogs);
    const entry = entryOf(B, 1, [putOf('k', { x: 1 })]);
    const harmed = Buffer.from(entry);
    harmed[harmed.length - 1] = 9;
    const outcomes = await inCommit(store, (commit) => [
      commit.apply(B, harmed),
      commit.apply(origin('c'), entry),
      commit.apply(B, entry),
    ]);
    t.deepEqual(outcomes, ['damaged', 'damaged', 'applied']);
  },

  'CX-74: an entry with rows of a table not defined here is held, not dropped': async (
    t,
    stage,
  ) => {
    const [from, to] = [
      await openStore(await stage.open(), { node: 'b' }),
      await openStore(await stage.open()),
    ];
    const rows = entryOf(origin('c'), 1, [putOf('k', { x: 1 })]);
    t.is(await inCommit(to, (commit) => commit.apply(origin('c'), rows)), 'held');
    t.is(to.accepted.get(origin('c')), undefined);
    await define(from, DOGS);
    t.deepEqual(await catchUp(to, from), ['applied']);
    t.is(await inCommit(to, (commit) => commit.apply(origin('c'), rows)), 'applied');
    t.like((await records(to, 'dogs'))[0], { x: 1 });
  },

  'an entry is logged with the bytes it came with, also those passed over': async (t, stage) => {
    const store = await openStore(await stage.open(), withDogs);
    const unsound = { key: Buffer.of(0), change: { type: 'delete' } } as const;
    const entry = entryOf(B, 1, [unsound, putOf('k', { x: 1 })]);
    const passedOver = await inCommit(store, (commit) => {
      t.is(commit.apply(B, entry), 'applied');
      return commit.passedOver;
    });
    t.is(passedOver, 1);
    t.deepEqual(await logOf(store, B), [entry]);
    t.deepEqual((await records(store, 'dogs')).length, 1);
  },

  'the log is read from the disk when memory has given it up, and gives the same': async (
    t,
    stage,
  ) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    for (let x = 0; x < 5; x++) await write(store, put('dogs', { id: 'k', x }));
    const fresh = await logOf(store, store.origin);
    const again = await openStore(await stage.afterKill(level), withDogs);
    t.deepEqual(await logOf(again, store.origin), fresh);
    const reader = logReader(again);
    const [first, second] = fresh;
    const bytesMax = (first?.length ?? 0) + (second?.length ?? 0);
    const request = { origin: store.origin, after: 0 };
    t.is(reader.readNow({ ...request, bytesMax }), undefined);
    t.deepEqual(await reader.read({ ...request, bytesMax }), {
      kind: 'entries',
      entries: [first, second],
    });
    t.deepEqual(await reader.read({ ...request, bytesMax: 1 }), {
      kind: 'entries',
      entries: [first],
    });
    t.deepEqual(await reader.read({ ...request, after: 5, bytesMax: 1 }), { kind: 'end' });
    t.deepEqual(await reader.read({ ...request, origin: B, bytesMax: 1 }), { kind: 'end' });
  },

  'CX-14: a log that begins after an adopted position answers too old, never nothing': async (
    t,
    stage,
  ) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    await inCommit(store, (commit) => {
      commit.apply(B, entryOf(B, 1, [putOf('k', {})]));
      commit.adopt([[B, adopted(4)]]);
    });
    const check = async (from: Store): Promise<void> => {
      const reader = logReader(from);
      const at = (after: number) => reader.read({ origin: B, after, bytesMax: 1_000 });
      t.deepEqual(await at(0), { kind: 'tooOld' });
      t.deepEqual(await at(3), { kind: 'tooOld' });
      t.deepEqual(await at(4), { kind: 'end' });
    };
    await check(store);
    const again = await openStore(await stage.afterKill(level), withDogs);
    await check(again);
    const next = entryOf(B, 5, [putOf('p', {})]);
    t.is(await inCommit(again, (commit) => commit.apply(B, next)), 'applied');
    const reader = logReader(again);
    t.deepEqual(await reader.read({ origin: B, after: 4, bytesMax: 1 }), {
      kind: 'entries',
      entries: [next],
    });
    t.deepEqual(await reader.read({ origin: B, after: 3, bytesMax: 1 }), { kind: 'tooOld' });
  },

  'CX-13: a position never goes back, and an entry below an adopted one is known': async (
    t,
    stage,
  ) => {
    const store = await openStore(await stage.open(), withDogs);
    await inCommit(store, (commit) => {
      commit.adopt([[B, adopted(4)]]);
      commit.adopt([[B, adopted(2)]]);
      t.is(commit.apply(B, entryOf(B, 4, [])), 'known');
      t.is(commit.apply(B, entryOf(B, 6, [])), 'gap');
    });
    t.is(store.sharedVector().get(B)?.sequence, sequence(4));
  },
};

const adopted = (at: number): Position => ({
  sequence: sequence(at),
  version: version(at),
  checksum: 0,
  logStart: sequence(1),
});

const LOCAL = definition('notes', [{ name: 'x' }], { replicate: false });

const shownIndexes = async (store: Store, table: string): Promise<string[]> => {
  const found = store.catalog.get(table);
  const { stored, expected } = await indexes(store, table);
  if (stored.join() !== expected.join()) throw new Error(`indexes of ${table} and rows disagree`);
  const counts = [...found.attributes.values()].map(async ({ name, number, index }) => {
    const keys = await store.level.keys(indexOf(found.number, number)).all();
    return `${name} ${index} ${keys.length}`;
  });
  return Promise.all(counts);
};

const tables: Record<string, Scene> = {
  'a table that stays on its node is in no position told to others, nor in a copy': async (
    t,
    stage,
  ) => {
    const level = await stage.open();
    const store = await openStore(level, withDogs);
    await define(store, LOCAL);
    await write(store, put('notes', { id: 'k' }), put('dogs', { id: 'k' }));
    await write(store, put('notes', { id: 'p' }));
    const check = async (of: Store): Promise<void> => {
      t.deepEqual([...of.sharedVector().keys()], [of.origin]);
      t.is(of.sharedVector().get(of.origin)?.sequence, sequence(1));
      const source = await openCopy(of);
      t.deepEqual([...source.vector.keys()], [of.origin]);
      t.false((await allRows(source)).some(({ table }) => table === 'notes'));
    };
    await check(store);
    const again = await openStore(await stage.afterKill(level), withDogs);
    await check(again);
    t.is((await records(again, 'notes')).length, 2);
    t.is(logReader(again).vector({ local: true }).size, 2);
  },

  'a definition made on one node is the same table on another, also after a restart': async (
    t,
    stage,
  ) => {
    const [from, level] = [await openStore(await stage.open(), { node: 'b' }), await stage.open()];
    const made = definition('cats', [{ name: 'x', indexed: true, type: 'Int' }], { sealed: true });
    await define(from, made);
    await write(from, put('cats', { id: 'k', x: 3 }));
    const to = await openStore(level);
    await catchUp(to, from);
    const again = await openStore(await stage.afterKill(level));
    for (const store of [from, to, again]) {
      t.deepEqual(store.catalog.get('cats').definition, made);
      t.deepEqual(await shownIndexes(store, 'cats'), ['id none 0', 'x ready 1']);
    }
  },

  'every attribute of a dynamic table is known and indexed when it is first written': async (
    t,
    stage,
  ) => {
    const level = await stage.open();
    const store = await openStore(level);
    await define(store, definition('cats'));
    await write(store, put('cats', { id: 'k', x: 1, list: [1] }));
    await write(store, { table: 'cats', type: 'update', records: [{ id: 'k', x: 2, y: 'text' }] });
    await write(store, put('cats', { id: 'p', x: 1 }));
    const expected = [
      'id none 0',
      'x ready 2',
      'list ready 0',
      '__createdtime__ ready 2',
      '__updatedtime__ ready 2',
      'y ready 1',
    ];
    t.deepEqual(await shownIndexes(store, 'cats'), expected);
    const again = await openStore(await stage.afterKill(level));
    t.deepEqual(await shownIndexes(again, 'cats'), expected);
    await write(again, { table: 'cats', type: 'delete', keys: ['k'] });
    t.is((await shownIndexes(again, 'cats'))[1], 'x ready 1');
  },

  'only the declared attributes of a declared table are indexed': async (t, stage) => {
    const store = await openStore(await stage.open());
    await define(store, definition('cats', [{ name: 'x', indexed: true }, { name: 'y' }]));
    await write(store, put('cats', { id: 'k', x: 1, y: 1, z: 1 }));
    await write(store, { table: 'cats', type: 'upsert', records: [{ id: 'p', x: 1 }] });
    t.deepEqual(await shownIndexes(store, 'cats'), ['id none 0', 'x ready 2', 'y none 0']);
  },

  'an index wanted later is built from the rows, kept up to date meanwhile, and used when complete':
    async (t, stage) => {
      const level = await stage.open();
      const store = await openStore(level);
      const indexed = (attribute: Partial<AttributeDefinition>) =>
        definition('cats', [{ name: 'x', ...attribute }]);
      await define(store, indexed({}));
      await write(store, put('cats', { id: 'k', x: 1 }), put('cats', { id: 'p', x: 2 }));
      await define(store, indexed({ indexed: true }));
      const table = store.catalog.get('cats');
      const view = openTable(store, table, { nowMs: NOW_MS });
      t.false(view.isIndexed('x'));
      await view.close();
      await write(store, put('cats', { id: 'k', x: 3 }));
      const rows = await store.level.iterator(rowsOf(table.number)).all();
      await inCommit(store, (commit) => {
        for (const [key] of rows) {
          const row = store.row(key);
          if (row) commit.fillIndex(table, [{ key: key.subarray(5), row }]);
        }
        commit.indexIsReady(table, 'x');
      });
      t.deepEqual(await shownIndexes(store, 'cats'), ['id none 0', 'x ready 2']);
      const again = await openStore(await stage.afterKill(level));
      const after = openTable(again, again.catalog.get('cats'), { nowMs: NOW_MS });
      t.true(after.isIndexed('x'));
      await after.close();
    },

  'CX-75: an entry for an earlier life of a table is passed over, and its position moves': async (
    t,
    stage,
  ) => {
    const level = await stage.open();
    const store = await openStore(level, { node: 'a' });
    await define(store, DOGS);
    const late = entryOf(B, 1, [putOf('k', { x: 1 })], { generation: 1 });
    await inCommit(store, (commit) => commit.dropTable('dogs'));
    await define(store, DOGS);
    t.is(store.catalog.get('dogs').generation, tableGeneration(2));
    t.is(await inCommit(store, (commit) => commit.apply(B, late)), 'applied');
    t.deepEqual(await records(store, 'dogs'), []);
    t.is(store.sharedVector().get(B)?.sequence, sequence(1));
    const again = await openStore(await stage.afterKill(level), { node: 'a' });
    t.is(again.catalog.get('dogs').generation, tableGeneration(2));
    const later = entryOf(B, 2, [putOf('k', { x: 2 })], { generation: 2 });
    t.is(await inCommit(again, (commit) => commit.apply(B, later)), 'applied');
    t.like((await records(again, 'dogs'))[0], { x: 2 });
  },

  'a table created again on another node takes the place of the old one here': async (t, stage) => {
    const from = await openStore(await stage.open(), { node: 'b' });
    const to = await openStore(await stage.open());
    await define(from, DOGS);
    await write(from, put('dogs', { id: 'k' }));
    await catchUp(to, from);
    await inCommit(from, (commit) => commit.dropTable('dogs'));
    await define(from, DOGS);
    await write(from, put('dogs', { id: 'p' }));
    t.deepEqual(await catchUp(to, from), ['applied', 'applied']);
    t.deepEqual(
      (await records(to, 'dogs')).map(({ id }) => id),
      ['p'],
    );
  },

  'rows and indexes of a dropped table are erased, and stay away after a restart': async (
    t,
    stage,
  ) => {
    const level = await stage.open();
    const store = await openStore(level);
    await define(store, definition('cats'));
    await write(store, put('cats', { id: 'k', x: 1 }));
    const { number } = store.catalog.get('cats');
    await inCommit(store, (commit) => commit.dropTable('cats'));
    const error = t.throws(() => store.catalog.get('cats'), { code: 'NOT_FOUND' });
    t.is(error?.message, "Table 'data.cats' does not exist");
    await store.eraseRetired();
    t.deepEqual(await level.keys(rowsOf(number)).all(), []);
    t.deepEqual(await level.keys(indexOf(number)).all(), []);
    const again = await openStore(await stage.afterKill(level));
    t.is(again.catalog.find('cats'), undefined);
    t.is(again.catalog.nextGeneration(tableName('cats')), tableGeneration(2));
  },

  'a table dropped before a kill is erased after the next start': async (t, stage) => {
    const level = await stage.open();
    const store = await openStore(level);
    await define(store, definition('cats'));
    await write(store, put('cats', { id: 'k', x: 1 }));
    const { number } = store.catalog.get('cats');
    await inCommit(store, (commit) => commit.dropTable('cats'));
    const again = await openStore(await stage.afterKill(level));
    await again.eraseRetired();
    t.deepEqual(await again.level.keys(rowsOf(number)).all(), []);
    t.deepEqual(await again.level.keys(indexOf(number)).all(), []);
  },

  'a dropped attribute is hidden until it is written again': async (t, stage) => {
    const store = await openStore(await stage.open());
    await define(store, definition('cats'));
    await write(store, put('cats', { id: 'k', x: 1 }));
    await inCommit(store, (commit) => commit.dropAttribute(store.catalog.get('cats'), 'x'));
    const read = (): unknown =>
      readRecord(store, store.catalog.get('cats'), { key: 'k', nowMs: NOW_MS })?.x;
    t.is(read(), undefined);
    const { results } = await write(store, {
      table: 'cats',
      type: 'update',
      records: [{ id: 'k', x: 2 }],
    });
    t.deepEqual(results[0]?.newAttributes, ['x']);
    t.is(read(), 2);
    t.is(store.catalog.get('cats').attributes.get('x')?.index, 'building');
  },

  'a dropped attribute is shown again when it is created again, and not when another is': async (
    t,
    stage,
  ) => {
    const store = await openStore(await stage.open());
    const x = { name: 'x', indexed: true };
    await define(store, definition('cats', [x]));
    await write(store, put('cats', { id: 'k', x: 1 }));
    await inCommit(store, (commit) => commit.dropAttribute(store.catalog.get('cats'), 'x'));
    const read = (): unknown =>
      readRecord(store, store.catalog.get('cats'), { key: 'k', nowMs: NOW_MS })?.x;
    const logged = (): unknown => store.sharedVector().get(store.origin)?.sequence;
    await define(store, definition('cats', [{ name: 'y' }]));
    t.is(read(), undefined);
    const before = logged();
    await define(store, definition('cats', [x]));
    t.is(read(), 1);
    t.is(store.catalog.get('cats').attributes.get('x')?.index, 'building');
    t.is(logged(), before);
  },
};

const CATS = definition('cats');

const tombstones = async (store: Store): Promise<string[]> =>
  (await store.level.keys(allOf(PREFIX.tombstone)).all()).map((key) => key.toString('hex'));

const writes: Record<string, Scene> = {
  'insert, update, upsert, put and delete say what they wrote and skipped': async (t, stage) => {
    const store = await openStore(await stage.open());
    await define(store, CATS);
    const results = async (one: LocalWrite) => {
      const { written, skipped, newAttributes } = (await write(store, one)).results[0] ?? {};
      return [written, skipped, newAttributes];
    };
    const store1 = (
      type: 'insert' | 'update' | 'upsert' | 'put',
      ...list: object[]
    ): LocalWrite => ({
      table: 'cats',
      type,
      records: list as Record<string, unknown>[],
    });
    const [k, p, q] = ['k', 'p', 'q'].map((id) => ({ id, x: 1 }));
    t.deepEqual(await results(store1('insert', { ...k })), [['k'], [], ['x']]);
    t.deepEqual(await results(store1('insert', { ...k }, { ...p })), [['p'], ['k'], []]);
    t.deepEqual(await results(store1('update', { ...k, y: 2 }, { ...q })), [['k'], ['q'], ['y']]);
    t.deepEqual(await results(store1('upsert', { ...q }, { id: 'k', x: 5 })), [['q', 'k'], [], []]);
    t.deepEqual(await results(store1('put', { id: 'p', z: 1 })), [['p'], [], ['z']]);
    const erase: LocalWrite = { table: 'cats', type: 'delete', keys: ['p', 'nobody', 'p'] };
    t.deepEqual(await results(erase), [['p'], ['nobody', 'p'], []]);
    const found = await records(store, 'cats');
    t.deepEqual(
      found.map(({ id, x, y, z }) => [id, x, y, z]),
      [
        ['k', 5, 2, undefined],
        ['q', 1, undefined, undefined],
      ],
    );
  },

  'CX-01: writes to one row in one transaction come to one change': async (t, stage) => {
    const store = await openStore(await stage.open(), withDogs);
    await write(store, put('dogs', { id: 'p' }));
    const { sequence: at } = await write(
      store,
      { table: 'dogs', type: 'upsert', records: [{ id: 'k', x: 1 }] },
      put('dogs', { id: 'k', y: 2 }),
      { table: 'dogs', type: 'delete', keys: ['p'] },
      put('dogs', { id: 'p', x: 1 }),
    );
    t.is(at, sequence(2));
    t.deepEqual(await records(store, 'dogs'), [
      { id: 'k', y: 2 },
      { id: 'p', x: 1 },
    ]);
    const other = await openStore(await stage.open(), { node: 'b', ...withDogs });
    await catchUp(other, store);
    t.is(await rowStates(other, 'dogs'), await rowStates(store, 'dogs'));
  },

  'a transaction that is refused leaves nothing, whatever part of it was right': async (
    t,
    stage,
  ) => {
    const store = await openStore(await stage.open(), {
      builtIn: [DOGS, definition('birds', [{ name: 'x' }], { sealed: true })],
    });
    const good = put('dogs', { id: 'k', x: 1 });
    const refused: [LocalWrite, { code: string; message?: string }][] = [
      [
        put('fish', { id: 'k' }),
        { code: 'NOT_FOUND', message: "Table 'data.fish' does not exist" },
      ],
      [put('dogs', { id: 'x'.repeat(2_000) }), { code: 'KEY_TOO_LONG' }],
      [put('dogs', { id: true }), { code: 'INVALID_REQUEST' }],
      [put('dogs', { id: NaN }), { code: 'INVALID_REQUEST' }],
      [put('dogs', { id: 'k', x: () => 1 }), { code: 'INVALID_REQUEST' }],
      [{ table: 'dogs', type: 'update', records: [{ x: 1 }] }, { code: 'INVALID_REQUEST' }],
      [
        put('birds', { id: 'k', wings: 2 }),
        { code: 'INVALID_REQUEST', message: "unknown attribute 'wings'" },
      ],
    ];
    const commit = store.commit();
    for (const [bad, expected] of refused)
      t.throws(() => commit.transact(transaction([good, bad])), expected);
    t.true(commit.isEmpty);
    t.is(store.accepted.size, 0);
    t.deepEqual(commit.transact(transaction([good])).results[0]?.written, ['k']);
    await commit.write();
    t.is(store.sharedVector().get(store.origin)?.sequence, sequence(1));
  },

  'a transaction larger than allowed is refused whole, one of just that size is taken': async (
    t,
    stage,
  ) => {
    const store = await openStore(await stage.open(), { builtIn: [DOGS, LOCAL] });
    const large = [put('dogs', { id: 'k', x: 'x'.repeat(1_000) }), put('notes', { id: 'k' })];
    await write(store, ...large);
    const bytes = [store.origin, store.localOrigin].map((id) =>
      store.tail.read({ origin: id, after: 0, bytesMax: 1 }),
    );
    const size = bytes.reduce((sum, [entry] = []) => sum + (entry?.length ?? 0), 0);
    const commit = store.commit();
    t.throws(() => commit.transact(transaction(large, { bytesMax: size - 1 })), {
      code: 'TRANSACTION_TOO_LARGE',
      message: `The transaction is ${size} bytes long; at most ${size - 1} are allowed (replication.maxTransactionBytes)`,
    });
    t.true(commit.isEmpty);
    t.is(commit.transact(transaction(large, { bytesMax: size })).sequence, sequence(2));
    await commit.write();
  },

  'CX-77: what is larger than this node allows is taken from another': async (t, stage) => {
    const store = await openStore(await stage.open(), withDogs);
    const entry = entryOf(B, 1, [putOf('k', { x: 'x'.repeat(2 * 1024 * 1024) })]);
    t.is(await inCommit(store, (commit) => commit.apply(B, entry)), 'applied');
    t.deepEqual(await logOf(store, B), [entry]);
  },

  'a delete leaves a tombstone that is found by its version': async (t, stage) => {
    const store = await openStore(await stage.open(), withDogs);
    await write(store, put('dogs', { id: 'k', x: 1 }));
    t.deepEqual(await tombstones(store), []);
    const { version: at } = await write(store, { table: 'dogs', type: 'delete', keys: ['k'] });
    const { number } = store.catalog.get('dogs');
    const expected = tombstoneKey({ version: at, table: number, primaryKey: encodeKey('k') });
    t.deepEqual(await tombstones(store), [expected.toString('hex')]);
    t.deepEqual(await records(store, 'dogs'), []);
    t.is(readRecord(store, store.catalog.get('dogs'), { key: 'k', nowMs: NOW_MS }), undefined);
    t.is((await level(store)).length, 1);
  },

  'a deleted row may be inserted again, and a late write under the delete stays hidden': async (
    t,
    stage,
  ) => {
    const store = await openStore(await stage.open(), withDogs);
    await write(store, put('dogs', { id: 'k', x: 1 }));
    await write(store, { table: 'dogs', type: 'delete', keys: ['k'] });
    await inCommit(store, (commit) => commit.apply(B, entryOf(B, 1, [putOf('k', { x: 0 })])));
    t.deepEqual(await records(store, 'dogs'), []);
    const insert: LocalWrite = { table: 'dogs', type: 'insert', records: [{ id: 'k', x: 2 }] };
    t.deepEqual((await write(store, insert)).results[0]?.written, ['k']);
    t.deepEqual(await records(store, 'dogs'), [{ id: 'k', x: 2 }]);
  },

  'a write after an older one of a clock ahead is ordered after it': async (t, stage) => {
    const store = await openStore(await stage.open(), withDogs);
    const ahead = (NOW_MS + 30_000) * TICKS_PER_MILLISECOND;
    const entry = entryOf(B, 1, [putOf('k', { x: 1 })], { version: ahead });
    await inCommit(store, (commit) => commit.apply(B, entry));
    t.true((await write(store, put('dogs', { id: 'k', x: 2 }))).version > ahead);
    t.deepEqual(await records(store, 'dogs'), [{ id: 'k', x: 2 }]);
  },

  'a read sees one state, whatever is written meanwhile': async (t, stage) => {
    const store = await openStore(await stage.open(), withDogs);
    await write(store, put('dogs', { id: 'k', x: 1 }), put('dogs', { id: 'p', x: 1 }));
    const view = openTable(store, store.catalog.get('dogs'), { nowMs: NOW_MS });
    await write(store, put('dogs', { id: 'p', x: 2 }), put('dogs', { id: 'q', x: 2 }));
    const seen: unknown[] = [];
    for await (const found of view.scan({})) seen.push(...found.map(({ id, x }) => [id, x]));
    t.deepEqual(seen, [
      ['k', 1],
      ['p', 1],
    ]);
    t.deepEqual(view.get(['p', 'q']), [{ id: 'p', x: 1 }, undefined]);
    t.deepEqual(await view.count(10), { count: 2, exact: true });
    await view.close();
  },
};

const level = (store: Store): Promise<Buffer[]> =>
  store.level.keys(rowsOf(store.catalog.get('dogs').number)).all();

const allRows = async (source: CopySource, bytesMax = 1_000_000): Promise<CopiedRow[]> => {
  const rows: CopiedRow[] = [];
  for (;;) {
    const { rows: some } = await source.next(bytesMax);
    if (some.length === 0) break;
    rows.push(...some);
  }
  await source.close();
  return rows;
};

const placeOf = ({ table, generation, key }: CopiedRow): CopyPlace => ({ table, generation, key });

const populated = async (stage: StorageStage, node: string): Promise<Store> => {
  const store = await openStore(await stage.open(), { node });
  await define(store, definition('zebras'));
  await define(store, definition('apes', [{ name: 'x' }]));
  for (const id of ['q', 'k', 'p']) {
    await write(store, put('zebras', { id, x: id }), put('apes', { id }));
    await write(store, { table: 'zebras', type: 'upsert', records: [{ id, y: 1 }] });
  }
  await write(store, { table: 'apes', type: 'delete', keys: ['k'] });
  return store;
};

const copies: Record<string, Scene> = {
  'a copy gives definitions first, then tables by name, each by key, with deletes': async (
    t,
    stage,
  ) => {
    const store = await populated(stage, 'b');
    const rows = await allRows(await openCopy(store));
    t.deepEqual(
      rows.map(
        ({ table, key, row }) =>
          `${table} ${Buffer.from(key).toString('latin1').slice(1)} ${row.kind}`,
      ),
      [
        '__tables__ 1/apes patched',
        '__tables__ 1/zebras patched',
        'apes k deleted',
        'apes p whole',
        'apes q whole',
        'zebras k patched',
        'zebras p patched',
        'zebras q patched',
      ],
    );
  },

  'a copy goes on after any of its rows with the definitions and just the rest': async (
    t,
    stage,
  ) => {
    const store = await populated(stage, 'b');
    const rows = await allRows(await openCopy(store));
    const definitions = rows.filter(({ table }) => table === '__tables__');
    for (const [place, row] of rows.entries()) {
      const rest = await allRows(await openCopy(store, placeOf(row)));
      const again = row.table === '__tables__' ? [] : definitions;
      t.deepEqual(rest.map(placeOf), [...again, ...rows.slice(place + 1)].map(placeOf));
    }
  },

  'a copy that goes on brings tables made since it was interrupted': async (t, stage) => {
    const from = await populated(stage, 'b');
    const to = await openStore(await stage.open());
    const half = await copyInto(to, from, { rowsMax: 4 });
    await define(from, definition('zoos'));
    await write(from, put('zoos', { id: 'new' }));
    await copyInto(to, from, { checkpoint: half });
    t.is(await rowStates(to, 'zoos'), await rowStates(from, 'zoos'));
  },

  'a copy after a place in a table that is not here begins again': async (t, stage) => {
    const store = await populated(stage, 'b');
    const rows = await allRows(await openCopy(store));
    const strange = { table: 'bees', generation: 1, key: encodeKey('k') };
    t.is((await allRows(await openCopy(store, strange))).length, rows.length);
    const earlier = { table: 'zebras', generation: 7, key: encodeKey('q') };
    t.is((await allRows(await openCopy(store, earlier))).length, rows.length);
  },

  'a copy and its positions are of one moment': async (t, stage) => {
    const store = await populated(stage, 'b');
    const before = store.sharedVector().get(store.origin)?.sequence;
    const source = await openCopy(store);
    await write(store, put('zebras', { id: 'zz', x: 1 }));
    t.is(source.vector.get(store.origin)?.sequence, before);
    t.false((await allRows(source)).some(({ key }) => Buffer.from(key).includes('zz')));
  },

  'a copy comes in chunks of about the size asked for': async (t, stage) => {
    const store = await openStore(await stage.open(), withDogs);
    const many = Array.from({ length: 400 }, (_, x) => ({ id: `k${x}`, x: 'x'.repeat(100) }));
    await write(store, { table: 'dogs', type: 'put', records: many });
    const source = await openCopy(store);
    const { rows, place } = await source.next(1);
    t.true(rows.length > 0 && rows.length < 400);
    t.deepEqual(place, rows.at(-1) && placeOf(rows.at(-1) as CopiedRow));
    t.is(rows.length + (await allRows(source, 1)).length, 400);
  },

  'a node that copied holds the same rows, indexes and positions, and goes on by log': async (
    t,
    stage,
  ) => {
    const from = await populated(stage, 'b');
    const to = await openStore(await stage.open());
    await copyInto(to, from);
    for (const table of ['apes', 'zebras'])
      t.is(await rowStates(to, table), await rowStates(from, table));
    await shownIndexes(to, 'zebras');
    t.is(
      to.sharedVector().get(from.origin)?.sequence,
      from.sharedVector().get(from.origin)?.sequence,
    );
    await write(from, put('apes', { id: 'new' }));
    t.deepEqual(await catchUp(to, from), ['applied']);
    t.is(await rowStates(to, 'apes'), await rowStates(from, 'apes'));
  },

  'rows copied again, and entries the copy had, change nothing': async (t, stage) => {
    const from = await populated(stage, 'b');
    const to = await openStore(await stage.open());
    await catchUp(to, from);
    const before = [await rowStates(to, 'apes'), await rowStates(to, 'zebras')];
    await copyInto(to, from);
    await copyInto(to, from);
    t.deepEqual([await rowStates(to, 'apes'), await rowStates(to, 'zebras')], before);
    t.deepEqual(await catchUp(to, from), []);
  },

  'rows of a table not defined here are not taken': async (t, stage) => {
    const from = await populated(stage, 'b');
    const to = await openStore(await stage.open());
    const rows = (await allRows(await openCopy(from))).slice(2);
    await inCommit(to, (commit) => t.false(commit.applyCopied(rows)));
  },

  'CX-20: a copy finished at another node does not adopt what that one lacks': async (t, stage) => {
    const c = await openStore(await stage.open(), { node: 'c', ...withDogs });
    await write(c, put('dogs', { id: 'k', x: 1 }));
    await write(c, put('dogs', { id: 'q', x: 1 }));
    const d = await openStore(await stage.open(), { node: 'd', ...withDogs });
    const a = await openStore(await stage.open(), { node: 'a', ...withDogs });
    const half = await copyInto(a, c, { rowsMax: 1 });
    t.deepEqual(
      (await records(a, 'dogs')).map(({ id }) => id),
      ['k'],
    );
    const whole = await copyInto(a, d, { checkpoint: half });
    t.is(a.sharedVector().get(c.origin), undefined);
    t.is(whole.reach.get(c.origin)?.sequence, sequence(2));
    t.deepEqual(await catchUp(a, c), ['applied', 'applied']);
    t.deepEqual(
      (await records(a, 'dogs')).map(({ id }) => id),
      ['k', 'q'],
    );
  },

  'CX-22: a copy that goes on at a node that never heard of a row does not drop it': async (
    t,
    stage,
  ) => {
    const s = await openStore(await stage.open(), { node: 's', ...withDogs });
    await write(s, put('dogs', { id: 'k', x: 1 }), put('dogs', { id: 'z', x: 1 }));
    const r = await openStore(await stage.open(), { node: 'r', ...withDogs });
    await catchUp(r, s);
    const u = await openStore(await stage.open(), { node: 'u', ...withDogs });
    const half = await copyInto(r, s, { rowsMax: 1 });
    await copyInto(r, u, { checkpoint: half });
    t.deepEqual(
      (await records(r, 'dogs')).map(({ id }) => id),
      ['k', 'z'],
    );
  },

  'the definition of a table that stays on its node is in no copy': async (t, stage) => {
    const from = await openStore(await stage.open(), { node: 'b' });
    await define(from, LOCAL);
    const rows = await allRows(await openCopy(from));
    t.deepEqual(
      rows.filter(({ row }) => row.kind !== 'patched' || nodeOf(row.alive.origin) === 'b'),
      [],
    );
  },
};
