/** A stored row that cannot be read: noted, named, never shown, never concluded from, and what makes it whole again. */
import test, { type ExecutionContext } from 'ava';
import { damageOf } from '../../actors/databaseReads.js';
import { getRecords } from '../../actors/tableReads.js';
import { encodeRecord } from '../../protocol/codec.js';
import { encodeEntry } from '../../protocol/entry.js';
import { sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import type { Key, RecordObject } from '../../protocol/operations.js';
import { openMemory } from '../../storage/level.js';
import { allOf, PREFIX, rowKey } from '../../storage/keys.js';
import { Purge } from '../../storage/purge.js';
import { openCopy } from '../../storage/snapshot.js';
import type { Store } from '../../storage/store.js';
import { openTable, readRecord } from '../../storage/tables.js';
import { allRows, copyInto } from '../support/copying.js';
import { put, rowKeyOf, spoilRow } from '../support/damagedStores.js';
import {
  catchUp,
  definition,
  inCommit,
  memoryStore,
  NOW_MS,
  openStore,
  origin,
  records,
  write,
} from '../support/stores.js';

const tables = { builtIn: [definition('dogs', [{ name: 'x' }]), definition('cats')] };
const DAMAGED = { code: 'DAMAGED' };

/** Rows `a`, `b` and `c`, of which `b` cannot be read. */
const damagedStore = async (): Promise<Store> => {
  const store = await memoryStore(tables);
  for (const id of ['a', 'b', 'c']) await write(store, put(id, { x: id }));
  await spoilRow(store, 'b');
  return store;
};

const get = (store: Store, key: Key): RecordObject | undefined =>
  readRecord(store, store.catalog.get('dogs'), { key, nowMs: NOW_MS });

const scanned = async (store: Store, options: { refuseDamaged?: boolean } = {}) => {
  const snapshot = openTable(store, store.catalog.get('dogs'), { nowMs: NOW_MS, ...options });
  try {
    const found: unknown[] = [];
    for await (const page of snapshot.scan({})) for (const record of page) found.push(record['id']);
    return { found, ...(await snapshot.count(Infinity)) };
  } finally {
    await snapshot.close();
  }
};

const isSound = (t: ExecutionContext, store: Store): void => {
  t.true(store.damage.isEmpty);
  t.is(damageOf(store), undefined);
};

test('a row that cannot be read is an error by its key, and left out of scans and counts', async (t) => {
  const store = await damagedStore();
  t.throws(() => get(store, 'b'), {
    ...DAMAGED,
    message: `The row "b" of 'data.dogs' cannot be read: its stored bytes are damaged`,
  });
  t.throws(() => getRecords(store, { table: 'dogs', keys: ['a', 'b'], nowMs: NOW_MS }), DAMAGED);
  t.deepEqual(get(store, 'a'), { id: 'a', x: 'a' });
  t.deepEqual(await scanned(store), { found: ['a', 'c'], count: 2, exact: true });
  await t.throwsAsync(scanned(store, { refuseDamaged: true }), DAMAGED);
});

test('it is told once, named in the status, and its table is held in part', async (t) => {
  const store = await damagedStore();
  const found: unknown[] = [];
  store.damage.found = (finding) => found.push(finding);
  const { number } = store.catalog.get('dogs');
  t.false(store.damage.isPartial(number));
  for (let time = 0; time < 3; time++) await scanned(store);
  t.deepEqual(found, [{ kind: 'row', table: number, key: 'b' }]);
  t.true(store.damage.isPartial(number));
  t.false(store.damage.isPartial(store.catalog.get('cats').number));
  t.deepEqual(damageOf(store), {
    rows: 1,
    named: [{ table: 'dogs', key: 'b' }],
    tables: [{ table: 'dogs', reason: '1 rows cannot be read' }],
    entries: 0,
  });
});

test('its note is in the next batch and outlives a restart', async (t) => {
  const level = await openMemory();
  const store = await openStore(level, tables);
  await write(store, put('b'));
  await spoilRow(store, 'b');
  await scanned(store);
  await inCommit(store, () => undefined);
  const again = await openStore(level, tables);
  t.like(damageOf(again), { rows: 1, named: [{ table: 'dogs', key: 'b' }] });
});

test('bytes that lie under another key are no row of that key', async (t) => {
  const store = await damagedStore();
  const bytes = store.level.getSync(rowKeyOf(store, 'a'));
  await store.level.put(rowKeyOf(store, 'z'), bytes ?? Buffer.alloc(0));
  t.throws(() => get(store, 'z'), DAMAGED);
  t.deepEqual((await scanned(store)).found, ['a', 'c']);
});

test('what needs the row is refused and changes nothing; a delete and a put of the whole row are taken', async (t) => {
  for (const type of ['insert', 'update', 'upsert'] as const) {
    const store = await damagedStore();
    await scanned(store);
    const refused = put('b', { x: 1 }, type);
    await t.throwsAsync(write(store, put('a', { x: 'new' }), refused), {
      ...DAMAGED,
      message: /The row "b" of 'data.dogs' cannot be read; delete it, or replace it whole/,
    });
    t.deepEqual(get(store, 'a'), { id: 'a', x: 'a' });
  }
  const store = await damagedStore();
  await write(store, put('b', { x: 'whole' }));
  t.deepEqual(get(store, 'b'), { id: 'b', x: 'whole' });
  isSound(t, store);
  const other = await damagedStore();
  const { results } = await write(other, { table: 'dogs', type: 'delete', keys: ['b'] });
  t.deepEqual(results[0]?.skipped, []);
  t.is(get(other, 'b'), undefined);
  isSound(t, other);
  await write(other, put('b', { x: 2 }, 'insert'));
  t.deepEqual(get(other, 'b'), { id: 'b', x: 2 });
});

const B = origin('b');
/** An entry of `b` that puts or patches row `b` at that version. */
const entryOf = (type: 'put' | 'patch', at: number): Buffer => {
  const change =
    type === 'put'
      ? ({ type, body: encodeRecord({ id: 'b', x: 'of b' }) } as const)
      : ({ type, attributes: [{ name: 'x', value: Buffer.from([7]) }] } as const);
  const changes = [{ key: encodeKey('b'), change }];
  return encodeEntry({
    origin: B,
    sequence: sequence(1),
    version: version(at),
    tables: [{ table: tableName('dogs'), generation: tableGeneration(1), changes }],
  });
};

for (const [name, type, ahead, isHealed] of [
  ['a newer put of the whole row makes it whole', 'put', 1_000, true],
  [
    'an older put is kept, and the row stays damaged: what was there may be newer',
    'put',
    -1_000_000,
    false,
  ],
  ['a patch is kept, and the row stays damaged: it lacks the rest', 'patch', 1_000, false],
] as const)
  test(`of a peer, ${name}`, async (t) => {
    const level = await openMemory();
    const store = await openStore(level, tables);
    await write(store, put('b', { x: 'lost' }));
    await spoilRow(store, 'b');
    const entry = entryOf(type, store.clock + ahead);
    t.is(await inCommit(store, (commit) => commit.apply(B, entry)), 'applied');
    for (const seen of [store, await openStore(level, tables)]) {
      if (isHealed) t.deepEqual(get(seen, 'b'), { id: 'b', x: 'of b' });
      else t.throws(() => get(seen, 'b'), DAMAGED);
      t.is(seen.damage.isEmpty, isHealed);
    }
  });

test('a copy from it leaves the row out, says that the table is held in part, and deletes nothing', async (t) => {
  const from = await damagedStore();
  await scanned(from);
  const to = await memoryStore({ ...tables, node: 'd' });
  await catchUp(to, from);
  const source = await openCopy(from);
  t.deepEqual(
    source.tables.map(({ table }) => table),
    ['cats'],
  );
  t.deepEqual(
    (await allRows(source)).map(({ key }) => key),
    [encodeKey('a'), encodeKey('c')],
  );
  await source.close();
  await copyInto(to, from);
  t.deepEqual(
    (await records(to, 'dogs')).map(({ id }) => id),
    ['a', 'b', 'c'],
  );
});

test('a copy that meets it in a table it has called whole ends, and the next one says otherwise', async (t) => {
  const from = await damagedStore();
  const source = await openCopy(from);
  t.deepEqual(
    source.tables.map(({ table }) => table),
    ['cats', 'dogs'],
  );
  await t.throwsAsync(allRows(source), DAMAGED);
  await source.close();
  const again = await openCopy(from);
  t.is((await allRows(again)).length, 2);
  await again.close();
});

test('a copy of everything from a node that has all of it makes it whole, and nothing is taken for deleted here', async (t) => {
  const store = await damagedStore();
  const from = await memoryStore({ ...tables, node: 'd' });
  await catchUp(from, store);
  await scanned(store);
  await copyInto(store, from);
  t.deepEqual(get(store, 'b'), { id: 'b', x: 'b' });
  isSound(t, store);
});

test('a copy from a node that lacks some of what was here leaves it damaged', async (t) => {
  const store = await damagedStore();
  const from = await memoryStore({ ...tables, node: 'd' });
  await catchUp(from, store);
  await write(store, put('c', { x: 'newer' }));
  await scanned(store);
  await copyInto(store, from);
  t.throws(() => get(store, 'b'), DAMAGED);
  t.deepEqual(get(store, 'c'), { id: 'c', x: 'newer' });
});

test('a delete that is old enough to be forgotten is not, while its row cannot be read', async (t) => {
  const store = await memoryStore(tables);
  await write(store, put('b'));
  await write(store, { table: 'dogs', type: 'delete', keys: ['b'] });
  await spoilRow(store, 'b');
  const purge = new Purge(store);
  const request = { beforeMs: NOW_MS + 1_000_000, rowsMax: 10 };
  await scanned(store);
  const round = async (): Promise<number> => {
    const commit = store.commit();
    await purge.step(commit, request);
    await commit.write();
    return purge.purged;
  };
  t.is(await round(), 0);
  t.is(store.newestMark, version(0));
  t.is((await store.level.keys(allOf(PREFIX.tombstone)).all()).length, 1, 'it is looked at again');
  await write(store, { table: 'dogs', type: 'delete', keys: ['b'] });
  t.is(await round(), 1);
});

test('a read that began before the row was made whole does not make it damaged again', async (t) => {
  const store = await damagedStore();
  const snapshot = openTable(store, store.catalog.get('dogs'), { nowMs: NOW_MS });
  await write(store, put('b', { x: 'whole' }));
  t.deepEqual(snapshot.get(['b']), [undefined]);
  await snapshot.close();
  isSound(t, store);
  t.deepEqual(get(store, 'b'), { id: 'b', x: 'whole' });
});

test('more rows than are noted one by one: their table may lack rows, and what reaches them is not shown', async (t) => {
  const store = await memoryStore(tables);
  const { number } = store.catalog.get('dogs');
  for (let place = 0; place < limits.damagedRowsMax; place++)
    store.damage.noteRow(rowKey(number, encodeKey(place)), version(1));
  await write(store, put('b'));
  await spoilRow(store, 'b');
  await scanned(store);
  t.is(store.damage.rowCount, limits.damagedRowsMax);
  t.deepEqual(damageOf(store)?.tables, [{ table: 'dogs', reason: 'too many rows cannot be read' }]);
  await write(store, put('b', { x: 'part' }, 'upsert'));
  t.throws(() => get(store, 'b'), DAMAGED);
  await write(store, put('b', { x: 'whole' }));
  t.deepEqual(get(store, 'b'), { id: 'b', x: 'whole' });
});
