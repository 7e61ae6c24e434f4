/**
 * Tables of which something was left out: what a store remembers of that, what copies from and into it say and take,
 * and what is never concluded there. Over real stores, without actors. In any situation: tests/property/flow.test.ts.
 */
import test from 'ava';
import { payableBy } from '../../protocol/debts.js';
import { ALL_ORIGINS, EVERYTHING, type OriginScope, type TableScope } from '../../protocol/flow.js';
import { nodeName, tableName } from '../../protocol/ids.js';
import { openMemory } from '../../storage/level.js';
import { openCopy } from '../../storage/snapshot.js';
import type { Store } from '../../storage/store.js';
import { allRows, copyInto } from '../support/copying.js';
import { purge } from '../support/forgetting.js';
import {
  catchUp,
  define,
  definition,
  inCommit,
  memoryStore,
  NOW_MS,
  openStore,
  records,
  rowStates,
  transaction,
} from '../support/stores.js';

const builtIn = ['cats', 'dogs'].map((name) => definition(name));
const [CATS, DOGS] = ['cats', 'dogs'].map(tableName) as [never, never];
const WITHOUT_DOGS: TableScope = { kind: 'all', except: [DOGS] };
const ONLY_CATS: TableScope = { kind: 'only', tables: [CATS] };

const node = (name: string): Promise<Store> => memoryStore({ node: name, builtIn });
const put = (store: Store, table: string, id: string, ms = 0): Promise<unknown> => {
  const writes = [{ table, type: 'put', records: [{ id, ms }] }] as const;
  return inCommit(store, (commit) => commit.transact(transaction(writes, { nowMs: NOW_MS + ms })));
};
const erase = (store: Store, table: string, id: string, ms = 0): Promise<unknown> => {
  const writes = [{ table, type: 'delete', keys: [id] }] as const;
  return inCommit(store, (commit) => commit.transact(transaction(writes, { nowMs: NOW_MS + ms })));
};
const ids = async (store: Store, table: string): Promise<string> =>
  (await records(store, table)).map(({ id }) => String(id)).join(' ');
const pull = (to: Store, from: Store, scope: TableScope): Promise<unknown> =>
  catchUp(to, from, { scope, startTimeMs: null });
const debtsOf = (store: Store): string[] =>
  [...store.debts.debts].map(([name, { owed }]) => `${name} ${[...owed.values()].join(' ')}`);
const payable = (to: Store, from: Store): TableScope | null => {
  const reached = new Map([...from.sharedVector()].map(([one, at]) => [one, at.sequence]));
  const payer = { scope: EVERYTHING, inPart: from.debts.inPart, reached };
  return payableBy(to.debts.debts, payer, ALL_ORIGINS);
};

test('what was left out is owed up to the last entry it was left out of, and the vector goes on', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'dogs', 'x');
  await put(a, 'cats', 'x');
  await put(a, 'dogs', 'y');
  await put(a, 'cats', 'y');
  await pull(b, a, WITHOUT_DOGS);
  t.is(b.durable.get(a.origin)?.sequence, a.durable.get(a.origin)?.sequence);
  t.is(b.durable.get(a.origin)?.checksum, a.durable.get(a.origin)?.checksum);
  t.deepEqual(debtsOf(b), ['table dogs 3']);
  t.is(await ids(b, 'cats'), 'x y');
  t.is(await ids(b, 'dogs'), '');
});

test('the checksum of a position is that of the whole entry, also where its last entry is partial', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'dogs', 'x');
  await pull(b, a, WITHOUT_DOGS);
  t.is(b.durable.get(a.origin)?.checksum, a.durable.get(a.origin)?.checksum);
});

test('debts are there after a start, and gone after one when they were paid', async (t) => {
  const level = await openMemory();
  const b = await openStore(level, { node: 'b', builtIn });
  const a = await node('a');
  await put(a, 'dogs', 'x');
  await pull(b, a, ONLY_CATS);
  t.deepEqual(debtsOf(b), ['others ["cats"] 1']);
  const again = await openStore(level, { node: 'b', builtIn });
  t.deepEqual(debtsOf(again), debtsOf(b));
  t.true(again.debts.isInPart(DOGS));
  t.false(again.debts.isInPart(CATS));
  const tables = payable(again, a) ?? undefined;
  t.deepEqual(tables, { kind: 'all', except: [CATS] });
  await copyInto(again, a, { ...(tables && { tables }) });
  t.is(await rowStates(again, 'dogs'), await rowStates(a, 'dogs'));
  const third = await openStore(level, { node: 'b', builtIn });
  t.deepEqual(debtsOf(third), []);
  t.deepEqual(third.debts.inPart, new Map());
});

test('a copy that pays debts adopts no positions and touches no other table', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'dogs', 'x');
  await pull(b, a, WITHOUT_DOGS);
  await put(a, 'cats', 'late');
  await copyInto(b, a, { tables: { kind: 'only', tables: [DOGS] } });
  t.is(b.durable.get(a.origin)?.sequence, 1 as never);
  t.is(await ids(b, 'dogs'), 'x');
  t.is(await ids(b, 'cats'), '');
  t.deepEqual(debtsOf(b), []);
});

test('CX-26: what is missing in a table held in part at the source is not taken for deleted', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'dogs', 'k');
  await put(a, 'cats', 'k');
  await pull(b, a, WITHOUT_DOGS);
  const source = await openCopy(b);
  t.deepEqual(
    source.tables.map(({ table }) => table),
    ['cats'],
  );
  await source.close();
  await copyInto(a, b);
  t.is(await ids(a, 'dogs'), 'k');
  t.is(await ids(a, 'cats'), 'k');
});

test('a table held in part here takes what its vector covers: it was never here', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'dogs', 'k');
  await pull(b, a, WITHOUT_DOGS);
  await copyInto(b, a);
  t.is(await ids(b, 'dogs'), 'k');
});

test('a row that is deleted at a whole source goes when the table is filled', async (t) => {
  const [a, b, c] = [await node('a'), await node('b'), await node('c')];
  await put(a, 'dogs', 'k', 1);
  await catchUp(b, a);
  await erase(a, 'dogs', 'k', 2);
  await pull(b, a, WITHOUT_DOGS);
  await catchUp(c, a);
  t.is(await ids(b, 'dogs'), 'k');
  await copyInto(b, c, { tables: { kind: 'only', tables: [DOGS] } });
  t.is(await ids(b, 'dogs'), '');
});

test('who copies from a node that holds a table in part owes it too', async (t) => {
  const [a, b, c] = [await node('a'), await node('b'), await node('c')];
  await put(a, 'dogs', 'k');
  await pull(b, a, WITHOUT_DOGS);
  await copyInto(c, b);
  t.deepEqual(debtsOf(c), ['table dogs 1']);
  t.is(payable(c, b), null);
  t.deepEqual(payable(c, a), { kind: 'only', tables: [DOGS] });
});

test('two nodes that left out what the other wrote pay each other', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'dogs', 'a');
  await put(b, 'dogs', 'b');
  await pull(b, a, WITHOUT_DOGS);
  await pull(a, b, WITHOUT_DOGS);
  for (const [to, from] of [
    [a, b],
    [b, a],
  ] as const) {
    const tables = payable(to, from);
    t.deepEqual(tables, { kind: 'only', tables: [DOGS] });
    if (tables) await copyInto(to, from, { tables });
  }
  t.is(await ids(a, 'dogs'), 'a b');
  t.is(await rowStates(a, 'dogs'), await rowStates(b, 'dogs'));
  t.deepEqual([...debtsOf(a), ...debtsOf(b)], []);
});

test('definitions pass where a table does not, but not to those who asked for some tables only', async (t) => {
  const a = await memoryStore({ node: 'a' });
  for (const name of ['cats', 'dogs']) await define(a, definition(name));
  const b = await memoryStore({ node: 'b' });
  await pull(b, a, WITHOUT_DOGS);
  t.truthy(b.catalog.find('dogs'));
  const c = await memoryStore({ node: 'c' });
  await pull(c, a, ONLY_CATS);
  t.truthy(c.catalog.find('cats'));
  t.is(c.catalog.find('dogs'), undefined);
  const d = await memoryStore({ node: 'd' });
  await copyInto(d, a, { sends: ONLY_CATS });
  t.truthy(d.catalog.find('cats'));
  t.is(d.catalog.find('dogs'), undefined);
  t.deepEqual(debtsOf(d), ['others ["cats"] 2']);
});

// ---- origins

const REFUSING_C: OriginScope = { refused: [nodeName('c')], exceptTables: new Map() };

test('nothing that a refused node wrote comes with a copy, and its positions are not adopted', async (t) => {
  const [a, b, c] = [await node('a'), await node('b'), await node('c')];
  await put(a, 'cats', 'k', 1);
  await put(c, 'cats', 'q', 2);
  await catchUp(a, c);
  const writes = [{ table: 'cats', type: 'upsert', records: [{ id: 'k', of: 'c' }] }] as const;
  await inCommit(c, (commit) => commit.transact(transaction(writes, { nowMs: NOW_MS + 3 })));
  await catchUp(a, c);
  await copyInto(b, a, { origins: REFUSING_C });
  t.is(await ids(b, 'cats'), 'k');
  t.deepEqual(
    (await records(b, 'cats')).map(({ of }) => of),
    [undefined],
  );
  t.is(b.durable.get(c.origin), undefined);
  t.truthy(b.durable.get(a.origin));
  t.deepEqual(debtsOf(b), []);
});

test('what a refused node has superseded elsewhere is not taken for deleted', async (t) => {
  const [a, b, c] = [await node('a'), await node('b'), await node('c')];
  await put(a, 'cats', 'k', 1);
  await catchUp(b, a);
  await put(c, 'cats', 'k', 2);
  await catchUp(a, c);
  await copyInto(b, a, { origins: REFUSING_C });
  t.deepEqual(
    (await records(b, 'cats')).map(({ ms }) => ms),
    [1],
  );
});

test('nor is what a refused node has deleted elsewhere, and what that node has forgotten', async (t) => {
  const [a, b, c] = [await node('a'), await node('b'), await node('c')];
  await put(a, 'cats', 'k', 1);
  await catchUp(b, a);
  await catchUp(c, a);
  await erase(c, 'cats', 'k', 2);
  await catchUp(a, c);
  await purge(a, 3);
  await copyInto(b, a, { origins: REFUSING_C });
  t.is(await ids(b, 'cats'), 'k');
  t.deepEqual(b.marks, new Map());
});

test('of a table that is not taken of a node nothing comes with a copy, and that is owed', async (t) => {
  const [a, b, c] = [await node('a'), await node('b'), await node('c')];
  const origins: OriginScope = { refused: [], exceptTables: new Map([[nodeName('c'), [DOGS]]]) };
  await put(a, 'dogs', 'a', 1);
  await put(c, 'dogs', 'c', 2);
  await put(c, 'cats', 'c', 3);
  await catchUp(a, c);
  await copyInto(b, a, { origins });
  t.is(await ids(b, 'dogs'), 'a');
  t.is(await ids(b, 'cats'), 'c');
  t.deepEqual(debtsOf(b), ['table dogs 2']);
  const reached = new Map([...a.sharedVector()].map(([one, at]) => [one, at.sequence]));
  const payer = { scope: EVERYTHING, inPart: a.debts.inPart, reached };
  t.is(payableBy(b.debts.debts, payer, origins), null);
  t.deepEqual(payableBy(b.debts.debts, payer, ALL_ORIGINS), { kind: 'only', tables: [DOGS] });
});

// ---- start time

test('a copy with a start time leaves out rows at or before it, and their tables are never whole', async (t) => {
  const [a, b, c] = [await node('a'), await node('b'), await node('c')];
  await put(a, 'cats', 'before', 1);
  await put(a, 'cats', 'at', 2);
  await put(a, 'cats', 'after', 3);
  await copyInto(b, a, { startTimeMs: NOW_MS + 2 });
  t.is(await ids(b, 'cats'), 'after');
  t.true(b.debts.isInPart(CATS));
  t.is(payable(b, a), null);
  await put(c, 'cats', 'c', 4);
  await copyInto(c, b);
  t.is(await ids(c, 'cats'), 'after c');
  t.deepEqual(payable(c, a), { kind: 'only', tables: [CATS, DOGS] });
});

test('a copy that leaves out many rows looks at a few at a time', async (t) => {
  const a = await node('a');
  const records = Array.from({ length: 2_000 }, (_, id) => ({ id: `k${id}` }));
  const writes = [{ table: 'cats', type: 'put', records }] as const;
  await inCommit(a, (commit) => commit.transact(transaction(writes, { nowMs: NOW_MS })));
  const source = await openCopy(a, undefined, { tables: EVERYTHING, startTimeMs: NOW_MS + 1 });
  const first = await source.next(1);
  t.deepEqual([first.rows.length, first.isEnd], [0, false]);
  t.deepEqual(await allRows(source), []);
  await source.close();
});

test('entries at or before a start time pass without changes, and what they held is not waited for', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'cats', 'before', 1);
  await put(a, 'cats', 'at', 2);
  await put(a, 'cats', 'after', 3);
  await catchUp(b, a, { scope: EVERYTHING, startTimeMs: NOW_MS + 2 });
  t.is(await ids(b, 'cats'), 'after');
  t.is(b.durable.get(a.origin)?.sequence, 3 as never);
  t.deepEqual(debtsOf(b), ['cutOff cats 2']);
  t.is(payable(b, a), null);
});

test('a row that a start time left out is not taken for deleted', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'cats', 'old', 1);
  await catchUp(b, a);
  await copyInto(b, a, { startTimeMs: NOW_MS + 1 });
  t.is(await ids(b, 'cats'), 'old');
});

test('rows of tables that are not sent are not in a copy', async (t) => {
  const a = await node('a');
  await put(a, 'cats', 'x');
  await put(a, 'dogs', 'x');
  const source = await openCopy(a, undefined, { tables: WITHOUT_DOGS, startTimeMs: null });
  t.deepEqual(
    (await allRows(source)).map(({ table }) => table),
    [CATS],
  );
  t.deepEqual(source.leftOut, { tables: [DOGS], others: null });
  await source.close();
});
