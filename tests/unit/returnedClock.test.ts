/**
 * A node whose clock was ahead and has come back to its senses: what no peer takes of it is written again with stamps of
 * now, and all nodes hold the same. It does so only when nobody linked has any of it, and never alone.
 */
import test, { type ExecutionContext } from 'ava';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Node } from '../../index.js';
import { limits } from '../../protocol/limits.js';
import { sameRecords } from '../support/embedded.js';
import {
  clockStatus,
  counterOf,
  HOUR_MS,
  originOf,
  skewedNodes,
  type SkewedNode,
} from '../support/skewedNodes.js';
import { waitUntil } from '../support/waitUntil.js';

const returned = ({ node }: SkewedNode): Promise<unknown> =>
  waitUntil('a new incarnation', () => counterOf(node, 'clockReturns') === 1, 15_000);

const refused = (one: SkewedNode, by: string): Promise<unknown> =>
  waitUntil(`${by} to refuse`, async () =>
    (await clockStatus(one.node))?.refusedBy?.some(({ node }) => node === by),
  );

const plain = (records: readonly object[]): object[] =>
  records.map((record) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => !name.startsWith('__'))),
  );

const rows = (node: Node) => node.table<{ id: string; x?: number; y?: number }>('Row');

test('what nobody takes is written again at present time, and every node ends with it', async (t) => {
  const nodes = skewedNodes(t);
  const a = await nodes.start('a', 'abc');
  const b = await nodes.start('b', 'abc');
  const c = await nodes.start('c', 'abc');
  for (const id of ['patched', 'put', 'deleted']) await rows(a.node).put({ id, x: 1, y: 1 });
  await sameRecords([a.node, b.node, c.node], 'Row', 3);
  b.skewMs = HOUR_MS;
  await rows(b.node).update({ id: 'patched', y: 2 });
  await rows(b.node).put({ id: 'put', x: 3 });
  await rows(b.node).delete('deleted');
  await rows(b.node).put({ id: 'new', x: 4 });
  await refused(b, 'a');
  await refused(b, 'c');
  await rows(a.node).update({ id: 'patched', x: 5 });
  await waitUntil('the update on b', async () => (await rows(b.node).get('patched'))?.x === 5);
  const before = originOf(b.node);
  b.skewMs = 0;
  await returned(b);
  const records = await sameRecords([a.node, b.node, c.node], 'Row', 3);
  t.deepEqual(plain(records), [
    { id: 'new', x: 4 },
    { id: 'patched', x: 5, y: 2 },
    { id: 'put', x: 3 },
  ]);
  t.not(originOf(b.node), before);
  const status = await clockStatus(b.node);
  t.is(
    status?.ownPast,
    `the clock was ahead, and no peer takes what was written as ${before} then: ` +
      `4 rows were written again as ${originOf(b.node)}`,
  );
  t.is(status?.refusedBy, undefined);
  await rows(b.node).update({ id: 'put', x: 6 });
  await waitUntil('the next write on c', async () => (await rows(c.node).get('put'))?.x === 6);
  t.is((await clockStatus(a.node))?.refuses, undefined);
  const byIndex = await rows(b.node).query({
    conditions: [{ attribute: 'x', comparator: 'equals', value: 3 }],
  });
  t.is(byIndex.length, 0);
});

test('a node that is alone waits for its time', async (t) => {
  const nodes = skewedNodes(t);
  const b = await nodes.start('b', 'ab', HOUR_MS);
  await rows(b.node).put({ id: 'k', x: 1 });
  const before = originOf(b.node);
  b.skewMs = 0;
  const begun = Date.now();
  await waitUntil('a round of maintenance', () => Date.now() - begun > 5_500, 10_000);
  t.is(originOf(b.node), before);
  t.is(counterOf(b.node, 'clockReturns'), 0);
});

test('a node with a peer that has taken what is ahead waits for its time', async (t) => {
  const nodes = skewedNodes(t);
  const a = await nodes.start('a', 'abc', HOUR_MS);
  const b = await nodes.start('b', 'abc', HOUR_MS);
  await rows(b.node).put({ id: 'k', x: 1 });
  await sameRecords([a.node, b.node], 'Row', 1);
  b.skewMs = 0;
  a.skewMs = 0;
  const c = await nodes.start('c', 'abc');
  await refused(b, 'c');
  await rows(b.node).put({ id: 'p', x: 2 });
  await refused(b, 'a');
  const begun = Date.now();
  await waitUntil('a round of maintenance', () => Date.now() - begun > 5_500, 10_000);
  t.is(counterOf(b.node, 'clockReturns'), 0);
  for (const one of [a, b, c]) one.skewMs = HOUR_MS;
  t.deepEqual(plain(await sameRecords([a.node, b.node, c.node], 'Row', 2)), [
    { id: 'k', x: 1 },
    { id: 'p', x: 2 },
  ]);
});

/** `c` has taken what `b` wrote ahead of time, is away when `b` comes back, and meets `a` and `b` after that. */
const thirdReturns = async (t: ExecutionContext, startsAheadMs: number) => {
  const nodes = skewedNodes(t);
  const a = await nodes.start('a', 'ab');
  const b = await nodes.start('b', 'abc', HOUR_MS);
  const directory = await mkdtemp(join(tmpdir(), 'skein-returned-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const onDisk = { rootPath: directory, storage: { engine: 'level' } } as const;
  const before = await nodes.start('c', 'bc', startsAheadMs, onDisk);
  before.skewMs = HOUR_MS;
  await rows(b.node).put({ id: 'k', x: 1 });
  await rows(b.node).put({ id: 'p', x: 1 });
  await sameRecords([b.node, before.node], 'Row', 2);
  await before.node.close();
  await refused(b, 'a');
  b.skewMs = 0;
  await returned(b);
  await rows(b.node).put({ id: 'k', x: 2 });
  await rows(a.node).put({ id: 'q', x: 2 });
  await sameRecords([a.node, b.node], 'Row', 3);
  return { a, b, c: await nodes.start('c', 'abc', 0, onDisk) };
};

const AS_BY_STAMPS = [
  { id: 'k', x: 1 },
  { id: 'p', x: 1 },
  { id: 'q', x: 2 },
];

test('a third node that had taken it and comes back is waited for, and all agree then', async (t) => {
  const { a, b, c } = await thirdReturns(t, 0);
  await waitUntil('c to have the rest', async () => (await rows(c.node).get('q'))?.x === 2);
  await waitUntil('b to refuse', async () => (await clockStatus(b.node))?.refuses !== undefined);
  t.is((await rows(b.node).get('k'))?.x, 2);
  t.is((await rows(c.node).get('k'))?.x, 1);
  for (const one of [a, b, c]) one.skewMs = HOUR_MS;
  t.deepEqual(plain(await sameRecords([a.node, b.node, c.node], 'Row', 3)), AS_BY_STAMPS);
  t.is(counterOf(c.node, 'clockReturns'), 0);
});

test('a third node that had taken it and was ahead itself writes it again, and all agree at once', async (t) => {
  const { a, b, c } = await thirdReturns(t, HOUR_MS);
  await returned(c);
  t.deepEqual(plain(await sameRecords([a.node, b.node, c.node], 'Row', 3)), AS_BY_STAMPS);
});

test('a peer that refuses the copy counts as one that takes nothing', async (t) => {
  const nodes = skewedNodes(t);
  const b = await nodes.start('b', 'ab', HOUR_MS);
  const ids = Array.from({ length: limits.replayEntriesMax + 5 }, (_, place) => `k${place}`);
  await Promise.all(ids.map((id) => rows(b.node).put({ id, x: 1 })));
  await b.node.table<{ id: string; x: number }>('Private').put({ id: 'mine', x: 1 });
  const a = await nodes.start('a', 'ab');
  await refused(b, 'a');
  b.skewMs = 0;
  await returned(b);
  await sameRecords([a.node, b.node], 'Row', ids.length);
  await b.node.table<{ id: string; x: number }>('Private').put({ id: 'mine', x: 2 });
  t.is((await b.node.table<{ id: string; x: number }>('Private').get('mine'))?.x, 2);
  await rows(b.node).put({ id: 'last', x: 1 });
  await sameRecords([a.node, b.node], 'Row', ids.length + 1);
  t.is(await a.node.table('Private').get('mine'), undefined);
});
