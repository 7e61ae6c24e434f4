/** Forgetting deletes and log entries: what goes, what stays, in which batch, and how much at once. */
import test from 'ava';
import { DEFINITIONS_TABLE } from '../../storage/catalog.js';
import { allOf, logFrom, logKey, PREFIX } from '../../storage/keys.js';
import { logReader } from '../../storage/log.js';
import { Purge } from '../../storage/purge.js';
import { Store } from '../../storage/store.js';
import { Trim } from '../../storage/trim.js';
import {
  at,
  erase,
  node,
  nodes,
  patch,
  pull,
  purge,
  put,
  shown,
  stepped,
  trim,
} from '../support/forgetting.js';
import {
  define,
  definition,
  inCommit,
  indexes,
  interceptBatches,
  memoryStore,
  openStore,
  rowStates,
  transaction,
} from '../support/stores.js';

const keysOf = async (store: Store, prefix: number): Promise<number> =>
  (await store.level.keys(allOf(prefix)).all()).length;

const versionOf = (store: Store): number => store.accepted.get(store.origin)?.version ?? 0;

test('an old delete goes with its index entry and leaves a mark, a newer one stays', async (t) => {
  const a = await node('a');
  for (const id of ['k', 'p', 'q']) await put(a, id, { x: 1 });
  await erase(a, 'k', 10);
  await erase(a, 'p', 20);
  const second = versionOf(a);
  await erase(a, 'q', 500);
  await purge(a, 100);
  t.is(await keysOf(a, PREFIX.tombstone), 1);
  t.is(await keysOf(a, PREFIX.row), 1);
  t.deepEqual([...a.marks], [[a.origin, second]] as never);
  t.is(a.newestMark as number, second);
});

test('marks are read back at the next start', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  await erase(a, 'k', 10);
  await purge(a, 100);
  const again = await openStore(a.level, { node: 'a', builtIn: [definition('dogs')] });
  t.deepEqual(again.marks, a.marks);
  t.is(again.newestMark, a.newestMark);
});

test('a mark is written in the batch that takes the delete away', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  await erase(a, 'k', 10);
  const restore = interceptBatches(a.level, () => Promise.reject(new Error('no disk')));
  await t.throwsAsync(purge(a, 100), { message: 'no disk' });
  restore();
  const again = await openStore(a.level, { node: 'a', builtIn: [definition('dogs')] });
  t.is(await keysOf(again, PREFIX.row), 1);
  t.is(again.marks.size, 0);
  await purge(again, 100);
  t.is(await keysOf(again, PREFIX.row), 0);
  t.is(await keysOf(again, PREFIX.mark), 1);
});

test('a delete under a newer write goes, and the write stays', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  await erase(a, 'k', 10);
  await patch(a, 'k', { y: 2 }, 20);
  const before = await rowStates(a, 'dogs');
  await purge(a, 15);
  t.not(await rowStates(a, 'dogs'), before);
  t.deepEqual(shown(a, 'k'), { y: 2 });
  t.is(a.marks.size, 1);
  const { stored, expected } = await indexes(a, 'dogs');
  t.deepEqual(stored, expected);
});

test('the index entry of a delete that a put has replaced goes without a mark', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  await erase(a, 'k', 10);
  await put(a, 'k', { x: 2 }, 20);
  await purge(a, 100);
  t.is(await keysOf(a, PREFIX.tombstone), 0);
  t.is(a.marks.size, 0);
  t.deepEqual(shown(a, 'k'), { x: 2 });
});

test('a delete of a row deleted twice goes when the later one is old', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  await erase(a, 'k', 10);
  await put(a, 'k', { x: 2 }, 20);
  await erase(a, 'k', 30);
  await purge(a, 15);
  t.is(await keysOf(a, PREFIX.row), 1);
  await purge(a, 100);
  t.is(await keysOf(a, PREFIX.row), 0);
});

test('deletes in a table that stays on its node leave no mark', async (t) => {
  const a = await memoryStore({ node: 'a' });
  await define(a, definition('dogs', [], { replicate: false }));
  await put(a, 'k', { x: 1 });
  await erase(a, 'k', 10);
  await purge(a, 100);
  t.is(a.marks.size, 0);
  t.deepEqual(await a.level.keys(allOf(PREFIX.tombstone)).all(), []);
});

test('definitions are never purged', async (t) => {
  const a = await memoryStore({ node: 'a' });
  await define(a, definition('dogs'));
  await purge(a, 1_000_000);
  t.is(DEFINITIONS_TABLE as string, '__tables__');
  t.is(await keysOf(a, PREFIX.row), 1);
});

test('a purge takes no more rows into a batch than it may', async (t) => {
  const a = await node('a');
  for (const id of ['a', 'b', 'c', 'd', 'e']) await put(a, id, { x: 1 });
  for (const id of ['a', 'b', 'c', 'd', 'e']) await erase(a, id, 10);
  const purging = new Purge(a);
  const request = { beforeMs: at(100), rowsMax: 2 };
  const left: number[] = [];
  for (let more = true; more;) {
    more = await stepped(a, (commit) => purging.step(commit, request));
    left.push(await keysOf(a, PREFIX.row));
  }
  t.deepEqual(left, [3, 1, 0]);
  t.is(purging.purged, 5);
});

test('a row deleted and not yet written is purged with what is accepted', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  await erase(a, 'k', 10);
  const writes = [{ table: 'dogs', type: 'put', records: [{ id: 'k', x: 2 }] }] as const;
  const commit = a.commit();
  commit.transact(transaction(writes, { nowMs: at(20) }));
  await new Purge(a).step(commit, { beforeMs: at(100), rowsMax: 9 });
  await commit.write();
  t.deepEqual(shown(a, 'k'), { x: 2 });
  t.is(a.marks.size, 0);
});

test('old entries go from every log, the starts move with them, and positions stay', async (t) => {
  const [a, b] = (await nodes('ab')) as [Store, Store];
  for (const ms of [0, 1, 2, 300]) await put(a, `k${ms}`, { x: 1 }, ms);
  await pull(b, a);
  await put(b, 'own', { x: 1 }, 3);
  await trim(b, 100);
  t.is(b.durable.get(a.origin)?.sequence as number, 4);
  t.is(b.durable.get(a.origin)?.logStart as number, 4);
  t.is(await keysOf(b, PREFIX.log), 2);
  const log = logReader(b);
  const read = (after: number) => log.read({ origin: a.origin, after, bytesMax: Infinity });
  t.deepEqual(await read(2), { kind: 'tooOld' });
  t.like(await read(3), { kind: 'entries' });
  t.deepEqual(await read(4), { kind: 'end' });
});

test('the start of a log moves in the batch that takes entries away', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  await put(a, 'p', { x: 1 }, 500);
  const restore = interceptBatches(a.level, () => Promise.reject(new Error('no disk')));
  await t.throwsAsync(trim(a, 100), { message: 'no disk' });
  restore();
  const again = await openStore(a.level, { node: 'a', builtIn: [definition('dogs')] });
  t.is(again.durable.get(a.origin)?.logStart as number, 1);
  t.is(await keysOf(again, PREFIX.log), 2);
});

test('a log that was trimmed since its start was looked at is too old, never a gap', async (t) => {
  const a = await memoryStore({ node: 'a', builtIn: [definition('dogs')] });
  for (const ms of [0, 1]) await put(a, `k${ms}`, { x: 1 }, ms);
  const again = await openStore(a.level, { node: 'a', builtIn: [definition('dogs')] });
  await a.level.del(logKey(a.origins.numberOf(a.origin), 1));
  const read = await logReader(again).read({ origin: a.origin, after: 0, bytesMax: Infinity });
  t.deepEqual(read, { kind: 'tooOld' });
});

test('a trim takes no more entries into a batch than it may, and none that a reader needs', async (t) => {
  const a = await node('a');
  for (const ms of [0, 1, 2, 3, 4]) await put(a, `k${ms}`, { x: 1 }, ms);
  const trimming = new Trim(a);
  const request = { beforeMs: at(100), entriesMax: 2, held: () => 3 };
  const left: number[] = [];
  for (let more = true; more;) {
    more = await stepped(a, (commit) => trimming.step(commit, request));
    left.push(await keysOf(a, PREFIX.log));
  }
  t.deepEqual(left, [3, 2]);
  t.is(a.durable.get(a.origin)?.logStart as number, 4);
});

test('what an adopted position has left before the start of its log goes too', async (t) => {
  const [a, b] = (await nodes('ab')) as [Store, Store];
  await put(a, 'k', { x: 1 }, 1_000);
  await pull(b, a);
  await put(a, 'p', { x: 1 }, 2_000);
  const position = a.durable.get(a.origin);
  if (!position) return t.fail();
  await inCommit(b, (commit) => commit.adopt([[a.origin, position]]));
  t.is((await b.level.keys(logFrom(b.origins.numberOf(a.origin), 0)).all()).length, 1);
  await trim(b, 0);
  t.is((await b.level.keys(logFrom(b.origins.numberOf(a.origin), 0)).all()).length, 0);
  t.is(b.durable.get(a.origin)?.sequence as number, 2);
});

test('a log whose last entry went goes on with the next', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  await trim(a, 100);
  await put(a, 'p', { x: 1 }, 200);
  t.is(a.durable.get(a.origin)?.sequence as number, 2);
  const read = await logReader(a).read({ origin: a.origin, after: 1, bytesMax: Infinity });
  t.is(read.kind === 'entries' ? read.entries.length : 0, 1);
});
