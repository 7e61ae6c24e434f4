/**
 * The counterexamples of forgetting and copying over real stores: what each ends in, by name. Nodes take over logs and
 * copies as actors would; the rules alone, in any order of events, are tried in tests/property/smallWorld.test.ts.
 */
import test, { type ExecutionContext } from 'ava';
import { nodeName } from '../../protocol/ids.js';
import type { Store } from '../../storage/store.js';
import { copyInto } from '../support/copying.js';
import {
  erase,
  nodes,
  ownEntries,
  patch,
  pull,
  purge,
  put,
  shown,
  trim,
} from '../support/forgetting.js';
import { memoryStore, definition } from '../support/stores.js';

const DAY = 86_400_000;

const allShow = (
  t: ExecutionContext,
  stores: readonly (Store | undefined)[],
  id: string,
  values: object | null,
): void => {
  for (const store of stores) if (store) t.deepEqual(shown(store, id), values, store.options.node);
};

/** Logs and deletes older than that are gone. */
const forget = async (store: Store, beforeMs: number): Promise<void> => {
  await trim(store, beforeMs);
  await purge(store, beforeMs);
};

/** Everybody takes over from everybody, by log, until nothing moves. */
const exchange = async (stores: readonly Store[]): Promise<void> => {
  for (let round = 0; round < stores.length; round++)
    for (const to of stores) for (const from of stores) if (to !== from) await pull(to, from);
};

const setOf = async (names: string) => (await nodes(names)) as [Store, Store, Store, Store];

test('CX-14, CX-15: a log that was trimmed answers too old below its start, and goes on above it', async (t) => {
  const [a, b, c] = await setOf('abc');
  await put(a, 'k', { x: 1 });
  await put(a, 'p', { x: 2 }, DAY);
  await pull(c, a);
  await trim(a, 10);
  t.deepEqual(await pull(b, a), []);
  await put(a, 'q', { x: 3 }, 2 * DAY);
  t.deepEqual(await pull(c, a), ['applied']);
  await copyInto(b, a);
  allShow(t, [a, b, c], 'k', { x: 1 });
});

test('CX-23: a copy does not bring back what the receiver knows to be deleted', async (t) => {
  const [a, b, c] = await setOf('abc');
  await put(a, 'k', { x: 1 });
  await exchange([a, b, c]);
  await erase(a, 'k', 1);
  await pull(b, a);
  for (const store of [a, b]) await forget(store, DAY);
  await copyInto(b, c, { nowMs: 0 });
  t.is(shown(b, 'k'), null);
  t.is(ownEntries(b), 0);
  await copyInto(c, b);
  allShow(t, [a, b, c], 'k', null);
});

test('CX-24: what is covered and absent goes component by component', async (t) => {
  const [a, b] = await setOf('ab');
  await put(a, 'k', { x: 1 });
  await pull(b, a);
  await erase(a, 'k', 1);
  await put(a, 'k', { y: 2 }, 2);
  await forget(a, DAY);
  await patch(b, 'k', { z: 3 }, 3);
  await copyInto(b, a);
  t.deepEqual(shown(b, 'k'), { y: 2, z: 3 });
  await pull(a, b);
  t.deepEqual(shown(a, 'k'), { y: 2, z: 3 });
});

test('CX-25: a delete is not dropped by absence', async (t) => {
  const [a, b, c] = await setOf('abc');
  await put(a, 'k', { x: 1 });
  await pull(c, a);
  await pull(b, a);
  await erase(b, 'k', 1);
  await pull(a, b);
  await purge(a, DAY);
  await copyInto(b, a);
  await copyInto(b, c);
  await copyInto(c, b);
  allShow(t, [a, b, c], 'k', null);
});

test('CX-26: absence says nothing in a table that its source held in part', async (t) => {
  const local = { builtIn: [definition('dogs', [], { replicate: false })] };
  const a = await memoryStore({ node: 'a', ...local });
  const [b] = await setOf('b');
  await put(b, 'k', { x: 1 });
  await pull(a, b);
  await copyInto(b, a);
  t.deepEqual(shown(b, 'k'), { x: 1 });
});

test('CX-40, CX-41: an entry older than a purged delete is not applied, whether or not the row is there', async (t) => {
  const [a, b, d] = await setOf('abd');
  await put(a, 'k', { x: 1 });
  await put(a, 'other', { x: 1 });
  await put(b, 'k', { x: 0 }, 1);
  await put(b, 'other', { x: 5 }, 1);
  await erase(b, 'k', 2);
  await pull(d, b);
  await purge(b, DAY);
  t.deepEqual(await pull(b, a), ['late', 'gap']);
  t.is(shown(b, 'k'), null);
  await copyInto(b, a);
  await exchange([a, b, d]);
  t.deepEqual(shown(a, 'k'), shown(d, 'k'));
  t.deepEqual(shown(b, 'k'), shown(d, 'k'));
  allShow(t, [a, b, d], 'other', { x: 5 });
});

test('CX-42: a write that the source may have forgotten the delete of is written again', async (t) => {
  const [a, b, c] = await setOf('abc');
  await put(a, 'k', { x: 1 });
  await pull(c, a);
  await put(b, 'k', { x: 2 }, 1);
  await erase(a, 'k', 2);
  await pull(c, a);
  for (const store of [a, b]) await forget(store, DAY);
  await copyInto(b, a, { nowMs: 2_000_000_000_000 });
  t.is(ownEntries(b), 2);
  await copyInto(a, b);
  await copyInto(c, b);
  allShow(t, [a, b, c], 'k', { x: 2 });
});

test('CX-43: a receiver that has forgotten writes again what it takes', async (t) => {
  const [a, c, d] = await setOf('acd');
  await put(d, 'k', { y: 1 });
  await pull(c, d);
  await put(a, 'k', { x: 2 }, 1);
  await erase(d, 'k', 2);
  await pull(c, d);
  await purge(d, DAY);
  await copyInto(d, a, { nowMs: 2_000_000_000_000 });
  t.is(ownEntries(d), 3);
  await exchange([a, c, d]);
  allShow(t, [a, c, d], 'k', { x: 2 });
});

test('CX-44: a node that was only behind writes nothing again, and nor does anybody for it', async (t) => {
  const [a, b] = await setOf('ab');
  await put(b, 'k', { x: 1 });
  await pull(a, b);
  await put(b, 'p', { x: 2 }, 1);
  await erase(b, 'k', 2);
  await forget(b, DAY);
  await copyInto(a, b);
  t.is(ownEntries(a), 0);
  t.is(ownEntries(b), 3);
  allShow(t, [a, b], 'k', null);
  allShow(t, [a, b], 'p', { x: 2 });
});

test('CX-45: of a node that was behind, what it wrote itself is written again once', async (t) => {
  const [a, b] = await setOf('ab');
  await put(b, 'k', { x: 1 });
  await pull(a, b);
  await put(a, 'q', { x: 3 }, 1);
  await erase(b, 'k', 2);
  await forget(b, DAY);
  await copyInto(a, b);
  t.is(ownEntries(a), 2);
  await copyInto(b, a);
  t.is(ownEntries(b), 2);
  allShow(t, [a, b], 'q', { x: 3 });
});

test('CX-46: where nothing was deleted nothing is late, however long nodes were apart', async (t) => {
  const [a, b] = await setOf('ab');
  await put(a, 'k', { x: 1 });
  await put(b, 'p', { x: 2 }, 60 * DAY);
  for (const store of [a, b]) await forget(store, 90 * DAY);
  await copyInto(a, b);
  await copyInto(b, a);
  t.is(ownEntries(a) + ownEntries(b), 2);
  allShow(t, [a, b], 'k', { x: 1 });
  allShow(t, [a, b], 'p', { x: 2 });
});

test('CX-47: who copies takes over what the source has forgotten', async (t) => {
  const [a, b, c] = await setOf('abc');
  await put(a, 'k', { x: 0 });
  await put(c, 'k', { x: 1 });
  await erase(a, 'k', 2);
  await forget(a, DAY);
  await copyInto(b, a);
  t.deepEqual(b.marks, a.marks);
  t.deepEqual(await pull(b, c), ['late']);
  await copyInto(b, c, { nowMs: 2_000_000_000_000 });
  t.is(ownEntries(b), 1);
  await copyInto(a, b);
  await copyInto(c, b);
  allShow(t, [a, b, c], 'k', { x: 1 });
});

test('CX-51: copies back and forth come to an end', async (t) => {
  const [a, b, c] = await setOf('abc');
  await put(c, 'k', { x: 1 });
  await erase(c, 'k', 1);
  await patch(c, 'k', { y: 2 }, 2);
  await copyInto(a, c, { rowsMax: 1 });
  for (let round = 0; round < 4; round++) {
    await copyInto(b, a);
    await copyInto(a, b);
  }
  t.is(ownEntries(a) + ownEntries(b), 0);
});

test('CX-52: a delete that came with a copy is kept until the own vector covers it', async (t) => {
  const [a, b, c, d] = await setOf('abcd');
  await put(b, 'k', { x: 1 });
  await pull(c, b);
  await pull(d, b);
  await erase(d, 'k', 1);
  await put(d, 'z', { x: 2 }, 2);
  await copyInto(a, d, { rowsMax: 1 });
  await purge(a, DAY);
  t.is(a.marks.size, 0);
  await copyInto(a, b);
  t.is(shown(a, 'k'), null);
});

test('CX-61: two populated nodes become the union of what they hold', async (t) => {
  const [a, b] = await setOf('ab');
  await put(a, 'k', { x: 1 });
  await put(a, 'gone', { x: 1 });
  await erase(a, 'gone', 1);
  await put(b, 'p', { x: 2 }, 2);
  await put(b, 'gone too', { x: 1 }, 2);
  await erase(b, 'gone too', 3);
  for (const store of [a, b]) await forget(store, DAY);
  await copyInto(a, b, { nowMs: 2_000_000_000_000 });
  await copyInto(b, a, { nowMs: 2_000_000_000_000 });
  await exchange([a, b]);
  allShow(t, [a, b], 'k', { x: 1 });
  allShow(t, [a, b], 'p', { x: 2 });
  allShow(t, [a, b], 'gone', null);
  allShow(t, [a, b], 'gone too', null);
});

test('CX-62: what a node on an empty disk once wrote comes back from another', async (t) => {
  const [b, a] = await setOf('ba');
  await put(b, 'k', { x: 1 });
  await pull(a, b);
  const lives = { count: 1 };
  const again = await memoryStore({ node: 'b', lives, builtIn: [definition('dogs')] });
  await put(again, 'p', { x: 2 }, 1);
  t.not(again.origin, b.origin);
  t.is(again.options.node, nodeName('b'));
  await exchange([a, again]);
  allShow(t, [a, again], 'k', { x: 1 });
  allShow(t, [a, again], 'p', { x: 2 });
});

test('rows only here are walked over between those of the source and after the last', async (t) => {
  const [a, b] = await setOf('ab');
  const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
  for (const id of ids) await put(a, id, { x: 1 });
  await pull(b, a);
  for (const id of ids.filter((one) => one !== 'e')) await erase(a, id, 1);
  await forget(a, DAY);
  await copyInto(b, a, { stepRows: 2 });
  t.deepEqual(
    ids.filter((id) => shown(b, id) !== null),
    ['e'],
  );
});
