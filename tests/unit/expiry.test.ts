/** Expired records in a store: what reads and indexes show of them, and what their removal takes away and leaves. */
import test, { type ExecutionContext } from 'ava';
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import { decode, encode } from '../../protocol/codec.js';
import { DEADLINE, encodeDeadline, withDeadline } from '../../protocol/expiry.js';
import { writtenAgain } from '../../protocol/lateNews.js';
import { join, rowOf } from '../../protocol/row.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { version } from '../../protocol/ids.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import { ExpirySweep } from '../../storage/expiry.js';
import { allOf, PREFIX } from '../../storage/keys.js';
import { searchAll } from '../../storage/search.js';
import type { Store } from '../../storage/store.js';
import { openTable, readRecord } from '../../storage/tables.js';
import { copyInto } from '../support/copying.js';
import { at, ownEntries, pull, stepped } from '../support/forgetting.js';
import {
  define,
  definition,
  inCommit,
  indexes,
  interceptBatches,
  memoryStore,
  openStore,
  origin,
  transaction,
} from '../support/stores.js';

const TABLE = definition('t', [{ name: 'x', indexed: true }, { name: 'y' }, { name: 'z' }]);
const WITH_TABLE = { builtIn: [TABLE] };

const node = (name: string): Promise<Store> => memoryStore({ node: name, ...WITH_TABLE });

const write = (store: Store, one: LocalWrite, ms: number): Promise<unknown> =>
  inCommit(store, (commit) => commit.transact(transaction([one], { nowMs: at(ms) })));

/** `endMs`: when it expires. */
const put = (store: Store, id: string, values: object, [ms, endMs]: readonly number[]) =>
  write(store, storing('put', id, values, endMs), ms ?? 0);

const upsert = (store: Store, id: string, values: object, [ms, endMs]: readonly number[]) =>
  write(store, storing('upsert', id, values, endMs), ms ?? 0);

const storing = (
  type: 'put' | 'upsert',
  id: string,
  values: object,
  endMs: number | undefined,
): LocalWrite => ({
  table: 't',
  type,
  records: [{ id, ...values }],
  ...(endMs !== undefined && { expiresAt: at(endMs) }),
});

const get = (store: Store, id: string, ms: number): unknown =>
  readRecord(store, store.catalog.get('t'), { key: id, nowMs: at(ms) });

/** Removes all that ended before that time; how many records. */
const sweep = async (store: Store, beforeMs: number): Promise<number> => {
  const sweeping = new ExpirySweep(store);
  const request = { beforeMs: at(beforeMs), rowsMax: 2 };
  while (await stepped(store, (commit) => sweeping.step(commit, request)));
  return sweeping.removed;
};

const keysOf = async (store: Store, prefix: number): Promise<number> =>
  (await store.level.keys(allOf(prefix)).all()).length;

const isClean = async (t: ExecutionContext, store: Store): Promise<void> => {
  const { stored, expected } = await indexes(store, 't');
  t.deepEqual(stored, expected);
};

test('an expired record is in no answer from its deadline on, and no count', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 }, [0, 100]);
  await put(a, 'p', { x: 1 }, [0]);
  const seen = async (ms: number): Promise<unknown[]> => {
    const view = openTable(a, a.catalog.get('t'), { nowMs: at(ms) });
    const conditions = [{ attribute: 'x', comparator: 'equals', value: 1 }] as const;
    const found = [
      get(a, 'k', ms),
      ...view.get(['k']),
      (await searchAll(view, { conditions })).length,
      (await searchAll(view, { conditions: [] })).length,
      (await view.count(Infinity)).count,
    ];
    await view.close();
    return found;
  };
  const record = { id: 'k', x: 1 };
  t.deepEqual(await seen(99), [record, record, 2, 2, 2]);
  t.deepEqual(await seen(100), [undefined, undefined, 1, 1, 1]);
});

test('a write without a deadline over an expired record is a new record, also in the index', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1, y: 1 }, [0, 100]);
  await upsert(a, 'k', { z: 2 }, [150]);
  t.deepEqual(get(a, 'k', 1_000), { id: 'k', z: 2 });
  t.is(await keysOf(a, PREFIX.index), 0);
  await upsert(a, 'k', { z: 3 }, [200, 300]);
  t.deepEqual(get(a, 'k', 250), { id: 'k', z: 3 });
  t.is(get(a, 'k', 300), undefined);
});

test('a deadline in the past is a record that nobody sees', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 }, [50, 10]);
  t.is(get(a, 'k', 50), undefined);
  await upsert(a, 'k', { y: 1 }, [60]);
  t.deepEqual(get(a, 'k', 60), { id: 'k', y: 1 });
});

test('a shorter rule of a table ends older records too, and a given deadline stands', async (t) => {
  const a = await memoryStore({ node: 'a' });
  const rule = (expirationSeconds?: number) =>
    define(a, { ...TABLE, ...(expirationSeconds !== undefined && { expirationSeconds }) });
  await rule();
  await put(a, 'old', { x: 1 }, [0]);
  await put(a, 'given', { x: 1 }, [0, 9_000]);
  await rule(5);
  await put(a, 'k', { x: 1 }, [0]);
  const seen = (ms: number) => ['old', 'given', 'k'].map((id) => get(a, id, ms) !== undefined);
  t.deepEqual(seen(4_990), [true, true, true]);
  t.deepEqual(seen(5_010), [false, true, false]);
  await rule(1);
  t.deepEqual(seen(1_010), [false, true, false]);
  await rule(100);
  t.deepEqual(seen(5_010), [true, true, false]);
  t.deepEqual(seen(9_000), [true, false, false]);
});

test('a rule of a table that no door lets in is none', async (t) => {
  for (const expirationSeconds of [0, -1, Number.NaN]) {
    const a = await memoryStore({ node: 'a', builtIn: [{ ...TABLE, expirationSeconds }] });
    await put(a, 'k', { x: 1 }, [0]);
    t.deepEqual(get(a, 'k', 1_000_000), { id: 'k', x: 1 });
  }
});

test('what ended long ago goes with its index entries and leaves marks for it and for its end', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 }, [0, 10]);
  await put(a, 'p', { x: 1 }, [0, 200]);
  await put(a, 'q', { x: 1 }, [20]);
  t.is(await sweep(a, 100), 1);
  t.is(await keysOf(a, PREFIX.row), 2);
  t.is(await keysOf(a, PREFIX.deadline), 1);
  t.is(a.newestMark as number, at(10) * TICKS_PER_MILLISECOND);
  await isClean(t, a);
});

test('what ended stays until somebody has written since', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 }, [0, 10]);
  t.is(await sweep(a, 1_000), 0);
  t.is(a.marks.size, 0);
  await put(a, 'q', { x: 1 }, [10]);
  t.is(await sweep(a, 1_000), 1);
});

test('a record that was written with its end in the past is kept like one that ended when it was written', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 }, [500, -9_000]);
  await put(a, 'q', { x: 1 }, [600]);
  t.is(await sweep(a, 500), 0);
  t.is(await sweep(a, 501), 1);
});

test('a write from before the end that comes after the removal is not applied', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'k', { x: 1 }, [0, 100]);
  await upsert(b, 'k', { y: 1 }, [50]);
  await put(a, 'q', { x: 1 }, [200]);
  t.is(await sweep(a, 1_000), 1);
  t.deepEqual(await pull(a, b), ['late']);
  t.is(get(a, 'k', 1_000), undefined);
});

test('the removal is one batch with its marks', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 }, [0, 10]);
  await put(a, 'q', { x: 1 }, [20]);
  const restore = interceptBatches(a.level, () => Promise.reject(new Error('no disk')));
  await t.throwsAsync(sweep(a, 100), { message: 'no disk' });
  restore();
  const again = await openStore(a.level, { node: 'a', ...WITH_TABLE });
  t.is(await keysOf(again, PREFIX.row), 2);
  t.is(again.marks.size, 0);
  t.is(await sweep(again, 100), 1);
});

test('a record that was written again is not removed when its first deadline is due', async (t) => {
  const a = await memoryStore({ node: 'a', builtIn: [definition('t', [{ name: 'x' }])] });
  await put(a, 'k', { x: 1 }, [0, 10]);
  await put(a, 'k', { x: 2 }, [5, 500]);
  await put(a, 'p', { x: 1 }, [0, 10]);
  await put(a, 'p', { x: 2 }, [20]);
  t.is(await sweep(a, 100), 0);
  t.deepEqual(get(a, 'k', 20), { id: 'k', x: 2 });
  t.deepEqual(get(a, 'p', 20), { id: 'p', x: 2 });
  t.is(await keysOf(a, PREFIX.deadline), 1);
  t.is(a.marks.size, 0);
});

test('of a record that began again, only what had ended goes', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1, y: 1 }, [0, 10]);
  await upsert(a, 'k', { z: 2 }, [20]);
  t.is(await sweep(a, 100), 1);
  t.deepEqual(get(a, 'k', 1_000), { id: 'k', z: 2 });
  t.is(await keysOf(a, PREFIX.deadline), 0);
  await isClean(t, a);
});

test('a record that was deleted before its end has nothing to be removed', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 }, [0, 10]);
  await write(a, { table: 't', type: 'delete', keys: ['k'] }, 5);
  t.is(await keysOf(a, PREFIX.deadline), 0);
});

test('what came with a copy and is not in the vector is not removed', async (t) => {
  const a = await node('a');
  await put(a, 'q', { x: 1 }, [20]);
  const [b] = [await node('b')];
  await put(b, 'k', { x: 1 }, [0, 10]);
  const row = b.row(await onlyRow(b));
  if (!row) return t.fail();
  const { name: table, generation } = a.catalog.get('t');
  await inCommit(a, (commit) => {
    commit.applyCopied([{ table, generation, key: encodeKey('k'), row }]);
  });
  t.is(await sweep(a, 100), 0);
  t.is(get(a, 'k', 5) !== undefined, true);
  await pull(a, b);
  t.is(await sweep(a, 100), 1);
});

const onlyRow = async (store: Store): Promise<Buffer> => {
  const [key] = await store.level.keys(allOf(PREFIX.row)).all();
  if (!key) throw new Error('There is no row');
  return key;
};

test('records of a table that stays on its node are removed without a mark', async (t) => {
  const a = await memoryStore({ node: 'a' });
  await define(a, definition('t', [{ name: 'x' }], { replicate: false }));
  await put(a, 'k', { x: 1 }, [0, 10]);
  t.is(await sweep(a, 100), 1);
  t.is(a.marks.size, 0);
  t.is(await keysOf(a, PREFIX.deadline), 0);
});

test('every origin of what is removed gets its mark', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'k', { x: 1 }, [0, 10]);
  await pull(b, a);
  await put(b, 'q', { x: 1 }, [20]);
  t.is(await sweep(b, 100), 1);
  const wrote = a.accepted.get(a.origin)?.version;
  t.is(b.marks.size, 2);
  t.is(b.marks.get(a.origin), wrote);
  t.is(b.marks.get(b.origin) as number | undefined, at(10) * TICKS_PER_MILLISECOND);
});

test('the deadline is no attribute of a table that learns its attributes', async (t) => {
  const a = await memoryStore({ node: 'a', builtIn: [definition('t')] });
  await put(a, 'k', { x: 1 }, [0, 10]);
  const names = [...a.catalog.get('t').attributes.keys()].sort();
  t.deepEqual(names, ['__createdtime__', '__updatedtime__', 'id', 'x']);
});

test('a row with a deadline is written again whole, whatever of it is news', (t) => {
  const stampOf = (at_: number) => ({ version: version(at_), origin: origin('a') });
  const deadline = encodeDeadline({ kind: 'given', atMs: at(100) });
  const first = withDeadline(
    { type: 'patch', attributes: [{ name: 'x', value: encode(1) }] },
    deadline,
  );
  const second = { type: 'patch', attributes: [{ name: 'y', value: encode(2) }] } as const;
  const row = join(rowOf(first, stampOf(1)), rowOf(second, stampOf(2)));
  const again = writtenAgain(row, (stamp) => stamp.version === 2, 'lateNews');
  t.is(again?.type, 'put');
  if (again?.type === 'put') t.deepEqual(decode(again.body), { [DEADLINE]: at(100), x: 1, y: 2 });
  t.is(
    writtenAgain(row, () => false, 'lateNews'),
    undefined,
  );
});

test('a step removes no more records than it may', async (t) => {
  const a = await node('a');
  for (const id of ['a', 'b', 'c', 'd', 'e']) await put(a, id, { x: 1 }, [0, 10]);
  await put(a, 'q', { x: 1 }, [20]);
  const sweeping = new ExpirySweep(a);
  const left: number[] = [];
  for (let more = true; more;) {
    more = await stepped(a, (commit) => sweeping.step(commit, { beforeMs: at(100), rowsMax: 2 }));
    left.push(await keysOf(a, PREFIX.row));
  }
  t.deepEqual(left, [4, 2, 1]);
});

test('a copy from a node that removed a record removes it here, and writes nothing again', async (t) => {
  const [a, b] = [await node('a'), await node('b')];
  await put(a, 'k', { x: 1 }, [0, 10]);
  await pull(b, a);
  await put(a, 'q', { x: 1 }, [20]);
  await sweep(a, 100);
  await copyInto(b, a);
  t.is(get(b, 'k', 5), undefined);
  t.is(ownEntries(b), 0);
  t.deepEqual(get(b, 'q', 500), { id: 'q', x: 1 });
});

for (const knows of [true, false])
  test(`a write that kept a record alive and comes after its removal makes the same record everywhere, whether its node ${knows ? 'knows' : 'does not know'} what came after`, async (t) => {
    const [a, b, c] = [await node('a'), await node('b'), await node('c')];
    await put(a, 'k', { x: 1 }, [0, 100]);
    for (const store of [b, c]) await pull(store, a);
    await upsert(b, 'k', { y: 1 }, [50, 9_000]);
    await pull(c, b);
    await put(a, 'q', { x: 1 }, [200]);
    if (knows) await pull(b, a);
    t.is(await sweep(a, 1_000), 1);
    t.deepEqual(await pull(a, b), ['late']);
    await copyInto(a, b, { nowMs: at(1_100) });
    for (const store of [b, c]) await pull(store, a);
    for (const store of [a, b, c]) t.deepEqual(get(store, 'k', 2_000), { id: 'k', y: 1 });
    for (const store of [a, b, c]) t.is(get(store, 'k', 9_000), undefined);
  });

for (const knows of [true, false])
  test(`a write from before its end brings no removed record back, whether its node ${knows ? 'knows' : 'does not know'} what came after`, async (t) => {
    const [a, b, c] = [await node('a'), await node('b'), await node('c')];
    await put(a, 'k', { x: 1 }, [0, 100]);
    for (const store of [b, c]) await pull(store, a);
    await upsert(b, 'k', { y: 1 }, [50]);
    await put(a, 'q', { x: 1 }, [400]);
    if (knows) await pull(b, a);
    t.is(await sweep(a, 350), 1);
    await copyInto(a, b, { nowMs: at(1_000) });
    for (const store of [b, c]) await pull(store, a);
    for (const store of [a, b, c]) t.is(get(store, 'k', 1_001), undefined);
  });

test('the name of the deadline is no name for an attribute', async (t) => {
  const a = await node('a');
  await t.throwsAsync(put(a, 'k', { [DEADLINE]: 5 }, [0]), {
    message: 'the name of an attribute cannot be empty',
  });
  for (const expiresAt of [0, -1, 1.5, Number.NaN, 2 ** 53])
    await t.throwsAsync(
      write(a, { table: 't', type: 'put', records: [{ id: 'k' }], expiresAt }, 0),
      { message: /^'expiresAt' must be when the record expires: a positive whole number/ },
    );
  t.is(await keysOf(a, PREFIX.row), 0);
});

test('a deadline that no node writes is none', async (t) => {
  const a = await node('a');
  const stamp = { version: version(1), origin: origin('b') };
  for (const value of [
    Buffer.from([0xa1, 0x61]),
    Buffer.from([0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0]),
  ]) {
    const row = rowOf({ type: 'patch', attributes: [{ name: DEADLINE, value }] }, stamp);
    const { name: table, generation } = a.catalog.get('t');
    await inCommit(a, (commit) => {
      commit.applyCopied([{ table, generation, key: encodeKey('k'), row }]);
    });
    t.deepEqual(get(a, 'k', 5), { id: 'k' });
    t.is(await keysOf(a, PREFIX.deadline), 0);
  }
});
