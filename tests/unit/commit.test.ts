/** What a commit does with entries and rows that are not what they should be. The rest: tests/conformance/storage.ts. */
import test from 'ava';
import { crc32 } from 'node:zlib';
import { encode, encodeRecord } from '../../protocol/codec.js';
import { encodeEntry, type KeyedChange, type TableChanges } from '../../protocol/entry.js';
import { sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import type { Row } from '../../protocol/row.js';
import { readNote } from '../../storage/notes.js';
import { metaKey } from '../../storage/keys.js';
import type { Store } from '../../storage/store.js';
import {
  catchUp,
  define,
  definition,
  inCommit,
  memoryStore,
  origin,
  records,
  rowStates,
  write,
} from '../support/stores.js';

const B = origin('b');
const tables = { builtIn: [definition('dogs', [{ name: 'x' }]), definition('cats')] };

const group = (changes: readonly KeyedChange[], table = 'dogs'): TableChanges => ({
  table: tableName(table),
  generation: tableGeneration(1),
  changes,
});
const entryOf = (...groups: TableChanges[]): Buffer =>
  encodeEntry({ origin: B, sequence: sequence(1), version: version(5), tables: groups });

const key = encodeKey('k');
const put = (record: object): KeyedChange => ({
  key,
  change: { type: 'put', body: encodeRecord(record) },
});
const erase: KeyedChange = { key, change: { type: 'delete' } };
const patch = (name: string, value: Uint8Array): KeyedChange => ({
  key,
  change: { type: 'patch', attributes: [{ name, value }] },
});

const applied = async (store: Store, entry: Buffer): Promise<[string, number]> =>
  inCommit(store, (commit) => [commit.apply(B, entry), commit.passedOver]);

for (const [name, change] of [
  ['a key of no type', { key: Buffer.of(1, 2), change: { type: 'delete' } }],
  ['an empty key', { key: Buffer.alloc(0), change: { type: 'delete' } }],
  ['a key too long', { key: Buffer.alloc(2_000, 7), change: { type: 'delete' } }],
  ['a record that is no map', { key, change: { type: 'put', body: encode([1]) } }],
  ['a record that is cut off', { key, change: { type: 'put', body: Buffer.of(0x81, 0xa1) } }],
  ['an empty record', { key, change: { type: 'put', body: Buffer.alloc(0) } }],
  ['bytes after the record', { key, change: { type: 'put', body: Buffer.of(0x80, 0) } }],
  ['a value that is cut off', patch('x', Buffer.of(0xa5))],
  ['two values in one attribute', patch('x', Buffer.of(1, 1))],
  ['an attribute named __proto__', patch('__proto__', encode(1))],
] as const satisfies readonly (readonly [string, KeyedChange])[])
  test(`a change with ${name} is passed over, and the rest of its entry applied`, async (t) => {
    const store = await memoryStore(tables);
    const other = { key: encodeKey('p'), change: { type: 'put', body: encodeRecord({ x: 1 }) } };
    const entry = entryOf(group([change, other] as KeyedChange[]), group([change], 'cats'));
    t.deepEqual(await applied(store, entry), ['applied', 2]);
    t.deepEqual(await records(store, 'dogs'), [{ x: 1 }]);
    t.deepEqual(await records(store, 'cats'), []);
    t.is(store.sharedVector().get(B)?.sequence, sequence(1));
  });

test('CX-01: an entry with two changes of one row is not applied as it stands', async (t) => {
  const store = await memoryStore(tables);
  const entry = entryOf(group([put({ x: 1 }), erase, put({ x: 3 })]));
  t.deepEqual(await applied(store, entry), ['applied', 2]);
  t.deepEqual(await records(store, 'dogs'), [{ x: 1 }]);
});

test('CX-01: nor when the two changes stand in two groups of one table', async (t) => {
  const store = await memoryStore(tables);
  const entry = entryOf(group([erase]), group([put({ x: 2 })], 'cats'), group([put({ x: 1 })]));
  t.deepEqual(await applied(store, entry), ['applied', 1]);
  t.deepEqual(await records(store, 'dogs'), []);
  t.deepEqual(await records(store, 'cats'), [{ x: 2 }]);
});

test('the same key in several generations or tables is no second change of a row', async (t) => {
  const store = await memoryStore(tables);
  await define(store, definition('dogs', [{ name: 'y' }]));
  const older = { ...group([erase]), generation: tableGeneration(0) };
  const entry = entryOf(group([put({ x: 1 })]), group([put({ x: 2 })], 'cats'), older);
  t.deepEqual(await applied(store, entry), ['applied', 0]);
  t.deepEqual(await records(store, 'dogs'), [{ x: 1 }]);
});

/** An entry whose checksum is right and whose body is not. */
const unreadable = (): Buffer => {
  const bytes = Buffer.concat([entryOf(), Buffer.alloc(3)]);
  bytes.writeUInt32BE(bytes.length - 26, 2);
  const head = crc32(bytes.subarray(0, 22), crc32(B));
  bytes.writeUInt32BE(crc32(bytes.subarray(26), head), 22);
  return bytes;
};

test('an intact entry whose body cannot be read is damaged, and no crash', async (t) => {
  const store = await memoryStore(tables);
  t.deepEqual(await applied(store, unreadable()), ['damaged', 0]);
});

const stamp = { version: version(1), origin: B };
const patched = (name: string, value: Uint8Array): Row => ({
  kind: 'patched',
  floor: null,
  alive: stamp,
  dead: null,
  registers: new Map([[name, { stamp, value }]]),
});
const whole = (record: object): Row => ({ kind: 'whole', stamp, body: encodeRecord(record) });

for (const [name, copied] of [
  ['a record that is cut off', { key, row: { kind: 'whole', stamp, body: Buffer.of(0x81, 0xa1) } }],
  ['a record that is no map', { key, row: { kind: 'whole', stamp, body: encode([1]) } }],
  ['a value that is cut off', { key, row: patched('x', Buffer.of(0xa5)) }],
  ['an attribute named __proto__', { key, row: patched('__proto__', encode(1)) }],
  ['a key of no type', { key: Buffer.of(1, 2), row: { kind: 'deleted', stamp } }],
  ['an empty key', { key: Buffer.alloc(0), row: whole({ x: 1 }) }],
] as const satisfies readonly (readonly [string, { key: Buffer; row: Row }])[])
  test(`a copied row with ${name} is passed over, and the others taken`, async (t) => {
    const store = await memoryStore(tables);
    const place = { table: tableName('dogs'), generation: tableGeneration(1) };
    const passedOver = await inCommit(store, (commit) => {
      const other = { key: encodeKey('p'), row: whole({ x: 2 }) };
      t.true(
        commit.applyCopied([
          { ...place, ...copied },
          { ...place, ...other },
        ]),
      );
      return commit.passedOver;
    });
    t.is(passedOver, 1);
    t.deepEqual(await records(store, 'dogs'), [{ x: 2 }]);
  });

test('a definition that comes with an entry of its rows still needs its own entry first', async (t) => {
  const store = await memoryStore(tables);
  t.is((await applied(store, entryOf(group([put({ x: 1 })], 'birds'))))[0], 'held');
  t.is(store.accepted.get(B), undefined);
});

test('a blind put over an indexed, patched or newer row takes nothing back', async (t) => {
  const [a, b] = [
    await memoryStore({ node: 'a', ...tables }),
    await memoryStore({ node: 'b', ...tables }),
  ];
  await write(a, { table: 'dogs', type: 'put', records: [{ id: 'k', x: 1 }] });
  await catchUp(b, a);
  await write(b, { table: 'dogs', type: 'update', records: [{ id: 'k', y: 2 }] });
  await write(a, { table: 'dogs', type: 'put', records: [{ id: 'k', x: 3 }] });
  await catchUp(a, b);
  await catchUp(b, a);
  t.is(await rowStates(a, 'dogs'), await rowStates(b, 'dogs'));
});

test('a note is written with its batch, read back, and taken away again', async (t) => {
  const store = await memoryStore(tables);
  const place = metaKey('copy');
  t.is(await readNote(store, place), undefined);
  await inCommit(store, (commit) => commit.putNote(place, encode({ rows: 7 })));
  t.deepEqual(await readNote(store, place), { rows: 7 });
  await inCommit(store, (commit) => commit.putNote(place, undefined));
  t.is(await readNote(store, place), undefined);
});

test('an abandoned commit leaves nothing on the disk', async (t) => {
  const store = await memoryStore(tables);
  const commit = store.commit();
  commit.apply(B, entryOf(group([put({ x: 1 })])));
  await commit.abandon();
  t.deepEqual(await records(store, 'dogs'), []);
  t.is(store.sharedVector().size, 0);
});

test('a commit counts its rows and about its bytes', async (t) => {
  const store = await memoryStore(tables);
  const commit = store.commit();
  t.is(commit.bytes, 0);
  const entry = entryOf(group([put({ x: 1 })]), group([put({ x: 1 })], 'cats'));
  commit.apply(B, entry);
  t.is(commit.rowCount, 2);
  t.true(commit.bytes >= entry.length);
  t.deepEqual([...commit.moved], [B]);
  await commit.write();
});
