/** Definitions as rows and back, and the lives of a table's name. */
import test from 'ava';
import { encode, encodeMapOf, encodeRecord } from '../../protocol/codec.js';
import { databaseName, tableGeneration, tableName, version } from '../../protocol/ids.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { rowOf } from '../../protocol/row.js';
import type { TableDefinition } from '../../protocol/tableDefinition.js';
import { Catalog } from '../../storage/catalog.js';
import {
  definitionKey,
  definitionOf,
  definitionPatch,
  readDefinitionKey,
} from '../../storage/definitionRows.js';
import type { Puts } from '../../storage/level.js';
import { openMemory } from '../../storage/level.js';
import { DATABASE, define, definition, memoryStore, openStore, origin } from '../support/stores.js';

const name = tableName('dogs');
const stamp = { version: version(1), origin: origin('a') };
const nowhere: Puts = { put: () => undefined, del: () => undefined };
const life = tableGeneration;

const empty = async (): Promise<Catalog> =>
  Catalog.load({
    level: await openMemory(),
    database: DATABASE,
    builtIn: [],
    definitionOf: () => undefined,
  });

const full: TableDefinition = {
  ...definition('dogs', [
    { name: 'x', type: 'Int', indexed: true },
    { name: 'list', type: 'array', elements: 'String', nullable: false },
  ]),
  sealed: true,
  replicate: false,
  expirationSeconds: 60,
  audit: true,
};

test('a definition comes back from the patch that makes its row', (t) => {
  const row = rowOf({ type: 'patch', attributes: definitionPatch(undefined, full) }, stamp);
  const found = definitionOf({ database: DATABASE, name, row });
  t.deepEqual(
    found?.attributes.map((attribute) => attribute.name),
    ['id', 'list', 'x'],
  );
  const byName = (one: TableDefinition) => ({
    ...one,
    attributes: [...one.attributes].sort((a, b) => (a.name < b.name ? -1 : 1)),
  });
  t.deepEqual(found && byName(found), byName(full));
});

test('a table that has the name of a built-in one of another database is itself after a start', async (t) => {
  const level = await openMemory();
  const elsewhere = {
    ...definition('users'),
    database: databaseName('system'),
    primaryKey: 'name',
  };
  const store = await openStore(level, { builtIn: [elsewhere] });
  await define(store, definition('users', [{ name: 'x' }]));
  const again = await openStore(level, { builtIn: [elsewhere] });
  t.is(again.catalog.get('users').definition.primaryKey, 'id');
});

test('only what changed is in the patch of a change', (t) => {
  const before = definition('dogs', [{ name: 'x' }]);
  t.deepEqual(definitionPatch(before, before), []);
  const after = definition('dogs', [{ name: 'x', indexed: true }, { name: 'y' }]);
  const names = definitionPatch(before, after).map((attribute) => attribute.name);
  t.deepEqual(names.sort(), ['attribute x', 'attribute y']);
});

test('attributes added on two nodes at once are both there', (t) => {
  const before = definition('dogs', [{ name: 'x' }]);
  const patches = ['y', 'z'].map((added) =>
    definitionPatch(before, definition('dogs', [{ name: 'x' }, { name: added }])),
  );
  t.deepEqual(
    patches.map((patch) => patch.map((one) => one.name)),
    [['attribute y'], ['attribute z']],
  );
});

test('a row that is deleted, or lacks a primary key, is no definition', (t) => {
  t.is(
    definitionOf({ database: DATABASE, name, row: rowOf({ type: 'delete' }, stamp) }),
    undefined,
  );
  const body = encodeRecord({ schemaDefined: true });
  t.is(
    definitionOf({ database: DATABASE, name, row: rowOf({ type: 'put', body }, stamp) }),
    undefined,
  );
});

test('properties of a later version, or of a wrong type, are passed over', (t) => {
  const values = {
    primaryKey: 'id',
    schemaDefined: 1,
    sealed: 'yes',
    audit: 7,
    later: {},
    replicate: 0,
  };
  const body = encodeMapOf(
    Object.entries(values).map(([key, value]) => [key, encode(value)] as const),
    6,
  );
  const found = definitionOf({
    database: DATABASE,
    name,
    row: rowOf({ type: 'put', body }, stamp),
  });
  t.deepEqual(found, definition('dogs', [], { attributes: [] }));
});

test('the key of a definition says which life of which name it is', (t) => {
  const key = definitionKey(tableName('a/b'), life(12));
  t.deepEqual(readDefinitionKey(key), { name: tableName('a/b'), generation: life(12) });
  for (const strange of ['dogs', '/dogs', 'x/dogs', 7])
    t.is(readDefinitionKey(encodeKey(strange)), undefined);
});

test('names begin with life 1, and go on with the next after each drop', async (t) => {
  const catalog = await empty();
  t.is(catalog.nextGeneration(name), life(1));
  const table = catalog.define(full, life(1), nowhere);
  t.is(catalog.nextGeneration(name), life(1));
  if (table) catalog.drop(table, nowhere);
  t.is(catalog.nextGeneration(name), life(2));
});

test('an older life is not held, a newer one not known, the present one is here', async (t) => {
  const catalog = await empty();
  const table = catalog.define(full, life(2), nowhere);
  t.is(catalog.resolve(name, life(1)), 'notHeld');
  t.true(table !== undefined && catalog.resolve(name, life(2)) === table);
  t.is(catalog.resolve(name, life(3)), 'unknown');
  if (table) catalog.drop(table, nowhere);
  t.is(catalog.resolve(name, life(2)), 'notHeld');
  t.is(catalog.resolve(name, life(3)), 'unknown');
});

test('a definition of an older or dropped life changes nothing', async (t) => {
  const catalog = await empty();
  const table = catalog.define(full, life(2), nowhere);
  t.is(catalog.define(full, life(1), nowhere), undefined);
  t.is(catalog.find('dogs'), table);
  if (table) catalog.drop(table, nowhere);
  t.is(catalog.define(full, life(2), nowhere), undefined);
  t.is(catalog.find('dogs'), undefined);
});

test('a newer life takes the place of the older, whose rows are to be erased once', async (t) => {
  const catalog = await empty();
  const old = catalog.define(full, life(1), nowhere);
  const next = catalog.define(full, life(2), nowhere);
  t.not(next?.number, old?.number);
  t.deepEqual(catalog.takeRetired(), [old?.number]);
  t.deepEqual(catalog.takeRetired(), []);
});

test('a change of definition keeps the number and the attributes', async (t) => {
  const catalog = await empty();
  const before = catalog.define(definition('dogs', [{ name: 'x' }]), life(1), nowhere);
  const after = catalog.define(definition('dogs', [{ name: 'y' }]), life(1), nowhere);
  t.is(after?.number, before?.number);
  t.deepEqual([...(after?.attributes.keys() ?? [])], ['id', 'x', 'y']);
});

test('an index on a table that may hold rows is built first, on a new one it is ready', async (t) => {
  const catalog = await empty();
  catalog.define(definition('dogs', [{ name: 'x', indexed: true }]), life(1), nowhere);
  const more = [
    { name: 'x', indexed: true },
    { name: 'y', indexed: true },
  ];
  const table = catalog.define(definition('dogs', more), life(1), nowhere);
  t.is(table?.attributes.get('id')?.index, 'none');
  t.is(table?.attributes.get('x')?.index, 'ready');
  t.is(table?.attributes.get('y')?.index, 'building');
});

test('numbers are never given twice, also after a restart', async (t) => {
  const store = await memoryStore();
  await define(store, definition('dogs'));
  await define(store, definition('cats'));
  const commit = store.commit();
  commit.dropTable('cats');
  await commit.write();
  const numbers = store.catalog.tables.map((table) => table.number);
  const again = await openStore(store.level);
  t.deepEqual(
    again.catalog.tables.map((table) => table.number),
    numbers,
  );
  await define(again, definition('birds'));
  t.is(again.catalog.get('birds').number, 3);
});

test('a property that is switched off is in the patch', (t) => {
  const before = definition('dogs', [{ name: 'x' }], { sealed: true });
  t.deepEqual(
    definitionPatch(before, definition('dogs', [{ name: 'x' }], { sealed: false })).map(
      (one) => one.name,
    ),
    ['sealed'],
  );
});
