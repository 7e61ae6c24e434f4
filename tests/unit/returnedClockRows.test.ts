/** What is taken away and written again when a clock has come back, in the store alone: rows, logs, positions, clock. */
import test, { type ExecutionContext } from 'ava';
import { componentsOf } from '../../protocol/row.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { rowKey } from '../../storage/keys.js';
import { originsAhead, writeAheadAgain } from '../../storage/returnedClock.js';
import type { Store } from '../../storage/store.js';
import {
  at,
  erase,
  nodes,
  patch,
  pull,
  purge,
  put,
  shown,
  stepped,
  TABLE,
  trim,
} from '../support/forgetting.js';

const AHEAD = 3_600_000;
const SKEW = 60_000;

/** The clock stands at `ms` again. Returns the number of rows written again. */
const comeBack = (store: Store, ms: number): Promise<number> =>
  stepped(store, (commit) =>
    writeAheadAgain(store, commit, {
      ahead: originsAhead(store, at(ms) + SKEW),
      nowMs: at(ms),
    }),
  );

const reached = (store: Store, origin: Store['origin']): number =>
  store.durable.get(origin)?.sequence ?? 0;

const rowOf = (store: Store, id: string) =>
  store.row(rowKey(store.catalog.get(TABLE).number, encodeKey(id)));

const sameAs = (t: ExecutionContext, one: Store, other: Store, ids: readonly string[]): void => {
  for (const id of ids) t.deepEqual(rowOf(one, id), rowOf(other, id), id);
};

const IDS = ['put', 'patched', 'erased', 'raised', 'new'];

test('rows keep what they show, with stamps that others take', async (t) => {
  const [a, b] = (await nodes('ab')) as [Store, Store];
  for (const id of ['put', 'patched', 'erased']) await put(a, id, { x: 1, y: 1 }, 0);
  await erase(a, 'erased', 1);
  await put(a, 'raised', { x: 1 }, 2);
  await erase(a, 'raised', 3);
  await pull(b, a);
  const before = a.origin;
  const legitimate = reached(a, before);
  await put(a, 'put', { z: 2 }, AHEAD);
  await patch(a, 'patched', { y: 2 }, AHEAD + 1);
  await patch(a, 'raised', { y: 3 }, AHEAD + 2);
  await put(a, 'new', { x: 4 }, AHEAD + 3);
  await erase(a, 'new', AHEAD + 4);
  const views = IDS.map((id) => shown(a, id));
  t.is(await comeBack(a, 100), 4);
  t.deepEqual(
    IDS.map((id) => shown(a, id)),
    views,
  );
  t.not(a.origin, before);
  t.is(reached(a, before), legitimate);
  t.true(a.clock < at(200) * 2048, 'the clock is that of now');
  t.deepEqual(new Set(await pull(b, a)), new Set(['applied']));
  sameAs(t, a, b, IDS);
  const { registers } = componentsOf(rowOf(a, 'patched') ?? t.fail());
  t.is(registers.get('x')?.stamp.origin, before, 'what was not ahead keeps its stamp');
});

test('entries that nobody else may have leave the log, and come back to it from who has them', async (t) => {
  const [a, c] = (await nodes('ac')) as [Store, Store];
  await put(a, 'k', { x: 1 }, 0);
  await put(a, 'k', { x: 2 }, AHEAD);
  await put(a, 'p', { x: 3 }, AHEAD + 1);
  await pull(c, a);
  const before = a.origin;
  t.is(await comeBack(a, 100), 2);
  await put(a, 'k', { x: 5 }, 200);
  t.is(reached(a, before), 1);
  await pull(c, a);
  t.deepEqual(shown(c, 'k'), { x: 2 });
  t.deepEqual(await pull(a, c), ['applied', 'applied']);
  sameAs(t, a, c, ['k', 'p']);
});

test('what another node wrote ahead of time, and this one took, is written again too', async (t) => {
  const [a, b, c] = (await nodes('abc')) as [Store, Store, Store];
  await put(c, 'k', { x: 1 }, AHEAD);
  await pull(a, c);
  await patch(a, 'k', { y: 2 }, AHEAD + 1);
  t.is(await comeBack(a, 100), 1);
  t.is(reached(a, c.origin), 0);
  await pull(b, a);
  t.deepEqual(shown(b, 'k'), { x: 1, y: 2 });
  sameAs(t, a, b, ['k']);
});

test('where the log begins too late, every row is looked at', async (t) => {
  const [a, b] = (await nodes('ab')) as [Store, Store];
  await put(a, 'old', { x: 1 }, 0);
  await put(a, 'k', { x: 2 }, AHEAD);
  await put(a, 'p', { x: 3 }, AHEAD + 10_000);
  await trim(a, AHEAD + 5_000);
  const before = a.origin;
  t.is(await comeBack(a, 100), 3);
  t.is(reached(a, before), 0);
  await pull(b, a);
  sameAs(t, a, b, ['old', 'k', 'p']);
  t.deepEqual(shown(b, 'old'), { x: 1 });
});

test('a delete that was purged cannot be written again, and that is known', async (t) => {
  const [a, b] = (await nodes('ab')) as [Store, Store];
  await put(b, 'k', { x: 1 }, 0);
  await pull(a, b);
  await erase(a, 'k', AHEAD);
  await put(a, 'p', { x: 1 }, AHEAD + 1);
  t.like(originsAhead(a, at(0) + SKEW), { length: 1, 0: { isForgotten: false } });
  await purge(a, AHEAD + 10_000);
  t.like(originsAhead(a, at(0) + SKEW), { length: 1, 0: { isForgotten: true } });
});

test('nothing is ahead when nothing is newer than what is taken', async (t) => {
  const [a] = (await nodes('a')) as [Store];
  await put(a, 'k', { x: 1 }, SKEW);
  t.deepEqual(originsAhead(a, at(0) + SKEW), []);
  t.is(originsAhead(a, at(0) + SKEW - 1).length, 1);
});
