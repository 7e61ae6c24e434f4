/** What a store says of itself. Opening, recovery and everything over a level: tests/conformance/storage.ts. */
import test from 'ava';
import { version } from '../../protocol/ids.js';
import { Origins } from '../../storage/origins.js';
import { isLocalOrigin, localOriginOf } from '../../storage/store.js';
import { metaKey } from '../../storage/keys.js';
import { openMemory } from '../../storage/level.js';
import {
  catchUp,
  define,
  definition,
  inCommit,
  logOf,
  memoryStore,
  openStore,
  origin,
  write,
} from '../support/stores.js';

test('the log of what stays here has a name of its own', (t) => {
  const local = localOriginOf(origin('a'));
  t.true(isLocalOrigin(local));
  t.false(isLocalOrigin(origin('a')));
});

test('origins keep the numbers they were given, in the batch that needs them', async (t) => {
  const level = await openMemory();
  const origins = await Origins.load(level);
  t.is(origins.knownNumberOf(origin('a')), undefined);
  t.deepEqual([origins.numberOf(origin('a')), origins.numberOf(origin('b'))], [0, 1]);
  const batch = level.batch();
  origins.flush(batch);
  t.is(batch.length, 2);
  origins.flush(batch);
  t.is(batch.length, 2);
  await batch.write();
  const again = await Origins.load(level);
  t.is(again.originOf(1), origin('b'));
  t.is(again.numberOf(origin('c')), 2);
  t.throws(() => again.originOf(9), { code: 'DAMAGED', message: 'No origin has number 9' });
});

test('what stays here is logged apart from what is shared, with one version', async (t) => {
  const store = await memoryStore({
    builtIn: [definition('dogs'), definition('notes', [], { replicate: false })],
  });
  const accepted = await write(
    store,
    { table: 'notes', type: 'put', records: [{ id: 'k' }] },
    { table: 'dogs', type: 'put', records: [{ id: 'k' }] },
  );
  for (const id of [store.origin, store.localOrigin]) {
    t.is((await logOf(store, id)).length, 1);
    t.is(store.durable.get(id)?.version, accepted.version);
  }
  t.deepEqual([...store.sharedVector().keys()], [store.origin]);
});

test('a definition that changes nothing is not logged', async (t) => {
  const store = await memoryStore();
  await define(store, definition('dogs'));
  await define(store, definition('dogs'));
  t.is((await logOf(store, store.origin)).length, 1);
});

test('a table that stayed here and is shared later is known to others with all it is', async (t) => {
  const [from, to] = [await memoryStore({ node: 'b' }), await memoryStore()];
  await define(from, definition('notes', [{ name: 'x' }], { replicate: false }));
  await define(from, definition('notes', [{ name: 'x' }], { replicate: true }));
  await write(from, { table: 'notes', type: 'put', records: [{ id: 'k' }] });
  t.deepEqual(await catchUp(to, from), ['applied', 'applied']);
  const known = to.catalog.find('notes')?.definition;
  t.like(known, { primaryKey: 'id', schemaDefined: true });
  t.not(known?.replicate, false);
  t.deepEqual(known?.attributes, from.catalog.find('notes')?.definition.attributes);
});

test('a table that says it is shared, and is, is not logged again', async (t) => {
  const store = await memoryStore();
  await define(store, definition('notes', [{ name: 'x' }], { replicate: true }));
  await define(store, definition('notes', [{ name: 'x' }], { replicate: true }));
  t.is((await logOf(store, store.origin)).length, 1);
});

test('a table is shared when its definition says no longer that it stays here', async (t) => {
  const store = await memoryStore();
  await define(store, definition('notes', [{ name: 'x' }], { replicate: false }));
  await define(store, definition('notes', [{ name: 'x' }]));
  t.not(store.catalog.find('notes')?.definition.replicate, false);
});

test('the clock never goes back, not even for a transaction that is refused', async (t) => {
  const store = await memoryStore({ builtIn: [definition('dogs')] });
  await write(store, { table: 'dogs', type: 'put', records: [{ id: 'k' }] });
  const before = store.clock;
  await inCommit(store, (commit) =>
    t.throws(() =>
      commit.transact({
        writes: [{ table: 'dogs', type: 'put', records: [{ id: true } as never] }],
        nowMs: 0,
        newKey: () => 'k',
        transactionBytesMax: 1,
      }),
    ),
  );
  t.true(store.clock >= before && before > version(0));
});

test('a level that is closed takes no mark of a clean stop', async (t) => {
  const level = await openMemory();
  const store = await openStore(level);
  const mark = level.getSync(metaKey('node'));
  await level.close();
  await t.notThrowsAsync(store.markClean());
  await level.open();
  t.deepEqual(level.getSync(metaKey('node')), mark);
});
