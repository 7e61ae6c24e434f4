/** What is written again when nobody leads any more to what a copy promised, and when that is concluded. */
import test from 'ava';
import { nodeName, sequence, version, type OriginId } from '../../protocol/ids.js';
import {
  nextOrphan,
  promised,
  waitsFor,
  watchLost,
  withoutOrphan,
  withoutReached,
  type OwedCopy,
} from '../../protocol/owed.js';
import { allOf, PREFIX } from '../../storage/keys.js';
import { forgetDropped, OrphanSweep } from '../../storage/orphans.js';
import type { Store } from '../../storage/store.js';
import { copyInto } from '../support/copying.js';
import {
  at,
  erase,
  nodes,
  ownEntries,
  patch,
  pull,
  purge,
  put,
  shown,
  stepped,
} from '../support/forgetting.js';
import { define, definition, memoryStore, origin } from '../support/stores.js';

const DAY = 86_400_000;

const sweep = async (store: Store, of: Store, copy = 1): Promise<void> => {
  const upTo = of.accepted.get(of.origin)?.version ?? version(0);
  const sweeping = new OrphanSweep(store, { origin: of.origin, upTo, copy });
  const step = { rowsMax: 2, nowMs: at(DAY) };
  while (await stepped(store, (commit) => sweeping.step(commit, step)));
};

const setOf = async (names: string) => (await nodes(names)) as [Store, Store, Store];

test('CX-27: rows of a source that died are written again by who holds them', async (t) => {
  const [a, b, c] = await setOf('abc');
  await put(b, 'k', { x: 1 });
  await put(b, 'q', { x: 2 }, 1);
  await copyInto(a, b, { rowsMax: 1 });
  await sweep(a, b);
  await pull(c, a);
  t.deepEqual(shown(c, 'k'), { x: 1 });
  t.is(ownEntries(a), 1);
  await sweep(a, b);
  t.is(ownEntries(a), 1);
  await pull(a, b);
  t.deepEqual(shown(a, 'q'), { x: 2 });
});

test('CX-28: a delete of a source that died, under a newer patch, is written again with it', async (t) => {
  const [a, b, c] = await setOf('abc');
  await put(c, 'k', { y: 1 });
  await pull(b, c);
  await erase(c, 'k', 1);
  const copy = await copyInto(a, c, { rowsMax: 1 });
  await patch(a, 'k', { x: 2 }, 2);
  await copyInto(a, b, { checkpoint: copy });
  await sweep(a, c);
  await pull(b, a);
  for (const store of [a, b]) t.deepEqual(shown(store, 'k'), { x: 2 });
});

test('CX-29: a row dropped on the word of a source that died is deleted again, one shown since is put', async (t) => {
  const [a, b, c] = await setOf('abc');
  for (const id of ['p', 'p2', 'q']) await put(a, id, { x: 1 });
  for (const store of [b, c]) await pull(store, a);
  await erase(a, 'p', 1);
  await erase(a, 'p2', 1);
  await purge(a, DAY);
  await copyInto(b, a, { rowsMax: 1 });
  t.is(shown(b, 'p'), null);
  await patch(b, 'p2', { y: 2 }, 2);
  await sweep(b, a);
  await pull(c, b);
  t.is(shown(c, 'p'), null);
  t.deepEqual(shown(c, 'p2'), { y: 2 });
  t.deepEqual(await b.level.keys(allOf(PREFIX.dropped)).all(), []);
});

test('a definition of a source that died is written again too', async (t) => {
  const b = await memoryStore({ node: 'b' });
  await define(b, definition('cats', [{ name: 'x', indexed: true }]));
  const [a] = await setOf('a');
  await copyInto(a, b, { rowsMax: 1 });
  await sweep(a, b);
  const c = await memoryStore({ node: 'c' });
  await pull(c, a);
  t.is(c.catalog.find('cats')?.attributes.get('x')?.index, 'ready');
});

test('what the vector reaches meanwhile is no orphan', async (t) => {
  const [a, b] = await setOf('ab');
  await put(b, 'k', { x: 1 });
  await put(b, 'q', { x: 2 }, 1);
  await copyInto(a, b, { rowsMax: 1 });
  await pull(a, b);
  await sweep(a, b);
  t.is(ownEntries(a), 0);
});

test('what a settled copy dropped is forgotten, of that copy only and a little at a time', async (t) => {
  const [a, b] = await setOf('ab');
  for (const id of ['k', 'p', 'q']) await put(a, id, { x: 1 });
  await pull(b, a);
  for (const id of ['k', 'p', 'q']) await erase(a, id, 1);
  await purge(a, DAY);
  await copyInto(b, a);
  const left = async (): Promise<number> =>
    (await b.level.keys(allOf(PREFIX.dropped)).all()).length;
  t.is(await left(), 3);
  const forget = (copy: number, after: Buffer | null): Promise<Buffer | null> =>
    stepped(b, (commit) => forgetDropped(b, commit, { copy, after, rowsMax: 2 }));
  t.is(await forget(2, null), null);
  t.is(await left(), 3);
  const after = await forget(1, null);
  t.is(await left(), 1);
  t.is(await forget(1, after), null);
  t.is(await left(), 0);
});

const [X, Y] = [origin('x'), origin('y')];
const owed = (number: number, reach: Partial<Record<'x' | 'y', number>>): OwedCopy => ({
  number,
  reach: new Map(
    Object.entries(reach).map(([name, count]) => [
      origin(name),
      { origin: origin(name), sequence: sequence(count), version: version(count), checksum: 0 },
    ]),
  ),
});
const vectorOf = (reach: readonly (readonly [OriginId, number])[]) =>
  new Map(reach.map(([id, count]) => [id, { sequence: count }]));
const peers = (...views: { has: number; whole?: boolean }[]) =>
  new Map(
    views.map(({ has, whole = true }, place) => [
      nodeName(`p${place}`),
      { positions: vectorOf([[X, has]]), whole },
    ]),
  );
const WAITS = { shortMs: 10, longMs: 100 };
const since = (
  views: ReturnType<typeof peers>,
  nowMs: number,
  before: ReadonlyMap<OriginId, number> = new Map(),
) =>
  watchLost(before, { owed: [owed(1, { x: 5 })], vector: vectorOf([[X, 3]]), peers: views, nowMs });

test('what is owed is forgotten as the vector reaches it', (t) => {
  const both = [owed(1, { x: 5, y: 2 }), owed(2, { x: 3 })];
  const left = withoutReached(both, vectorOf([[X, 3]]));
  t.deepEqual(left, [owed(1, { x: 5, y: 2 })]);
  t.deepEqual(withoutReached(both, vectorOf([[X, 5]])), [owed(1, { y: 2 })]);
  t.is(promised(both).get(X)?.sequence as number, 5);
  t.deepEqual(withoutOrphan(both, { copy: 1, origin: Y }), [owed(1, { x: 5 }), owed(2, { x: 3 })]);
  t.deepEqual(withoutOrphan(both, { copy: 2, origin: X }), [owed(1, { x: 5, y: 2 })]);
});

test('an origin is lost while nobody linked has more of it, and nobody is in the middle of a copy', (t) => {
  t.deepEqual([...since(peers({ has: 3 }), 7)], [[X, 7]]);
  t.deepEqual([...since(peers({ has: 3 }), 9, new Map([[X, 7]]))], [[X, 7]]);
  t.deepEqual([...since(peers({ has: 3 }, { has: 4 }), 9, new Map([[X, 7]]))], []);
  t.deepEqual([...since(peers({ has: 3, whole: false }), 9, new Map([[X, 7]]))], []);
  t.deepEqual([...since(peers(), 9, new Map([[X, 7]]))], []);
});

test('it is given up after a short while when everybody is linked, after a long one otherwise', (t) => {
  const lost = new Map([[X, 50]]);
  const asked = (nowMs: number, everybodyIsLinked: boolean) =>
    nextOrphan(lost, { owed: [owed(4, { x: 5, y: 1 })], everybodyIsLinked, waits: WAITS, nowMs });
  t.is(asked(59, true), null);
  t.deepEqual(asked(60, true), { copy: 4, origin: X, upTo: version(5) });
  t.is(asked(149, false), null);
  t.deepEqual(asked(150, false), { copy: 4, origin: X, upTo: version(5) });
});

test('nobody waits so long that deletes are forgotten meanwhile, nor longer than minutes', (t) => {
  t.deepEqual(waitsFor(10 * DAY), { shortMs: 60_000, longMs: 600_000 });
  t.deepEqual(waitsFor(1_000), { shortMs: 50, longMs: 200 });
});
