/**
 * Hard cases of links among real processes: dials that hang, silence without an end, slow links, resets in bursts. Ids are
 * those of docs/HARD-CASES.md.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { ActorSnapshot } from '../../actors/kernel/types.js';
import { flat } from '../support/clusterClient.js';
import { settle } from '../support/clusterDump.js';
import {
  copyOf,
  createCases,
  insert,
  one,
  shown,
  streamsOf,
  times,
  update,
} from '../support/hardCases.js';
import { startProxiedCluster, type ProxiedCluster } from '../support/proxiedCluster.js';
import { waitUntil } from '../support/waitUntil.js';
import { KIB, limits } from '../../protocol/limits.js';

const PING_MS = 400;

const two = async (
  t: ExecutionContext,
  pingInterval: number,
  asleep: readonly number[] = [],
): Promise<ProxiedCluster> => {
  const config = { replication: { pingInterval } };
  const proxied = await startProxiedCluster({ nodes: 2, config, asleep });
  t.teardown(() => proxied.close());
  await createCases(proxied.cluster.node(0));
  return proxied;
};

/** A table that a new node copies, with rows of about 1 KiB. */
const fill = async ({ cluster }: ProxiedCluster, rows: number): Promise<void> => {
  await times(rows, (at) =>
    insert(cluster.node(0), { id: `k${String(at).padStart(5, '0')}`, text: textOf(at) }),
  );
};

const textOf = (at: number): string => `${at} `.repeat(KIB).slice(0, KIB);

test.serial('CX-78 a link that the other side opens serves while the own dial hangs', async (t) => {
  const { cluster, proxies } = await two(t, PING_MS);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  await settle(cluster);
  await b.kill();
  // From now on nothing of what a dials arrives.
  proxies[1]?.hang();
  await b.start();
  await cluster.connected();
  await insert(a, { id: 'by a' });
  await insert(b, { id: 'by b' });
  await settle(cluster);
  t.deepEqual(Object.keys(await shown(b)).sort(), ['by a', 'by b']);
});

/** No node is connected: both say so, and have given the link up. */
const unconnected = ({ cluster }: ProxiedCluster): Promise<unknown> =>
  waitUntil(
    'both ends to give the link up',
    async () => {
      const counts = await Promise.all(cluster.nodes.map((node) => node.connectedPeers()));
      const trees = await Promise.all(cluster.nodes.map((node) => node.client.tree()));
      const reasons = trees.map(({ actors }) => peerReason(actors));
      return counts.every((count) => count === 0) && reasons.every((text) => text !== undefined);
    },
    30 * PING_MS,
  );

/** Why there is no link; undefined while there is one. */
const peerReason = (actors: readonly ActorSnapshot[]): unknown =>
  flat(actors).find(({ name }) => name.startsWith('peer:'))?.details['reason'];

test.serial(
  'SY-12 silence on a steady link is noticed by both ends, and ends by itself',
  async (t) => {
    const proxied = await two(t, PING_MS);
    const { cluster, proxies } = proxied;
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await settle(cluster);
    proxies.forEach((proxy) => proxy.hang());
    await insert(a, { id: 'by a' });
    await insert(b, { id: 'by b' });
    await unconnected(proxied);
    t.is(await one(b, 'by a'), undefined);
    proxies.forEach((proxy) => proxy.restore());
    await cluster.connected();
    await settle(cluster);
    process.kill(a.pid, 'SIGSTOP');
    try {
      await insert(b, { id: 'while a stands still' });
      await waitUntil('b to notice', async () => (await b.connectedPeers()) === 0, 20 * PING_MS);
    } finally {
      process.kill(a.pid, 'SIGCONT');
    }
    await cluster.connected();
    await settle(cluster);
    t.deepEqual(Object.keys(await shown(a)).sort(), ['by a', 'by b', 'while a stands still']);
  },
);

test.serial(
  'SY-12 silence in the middle of a copy ends by itself, and the copy goes on',
  async (t) => {
    const proxied = await two(t, PING_MS, [1]);
    const { cluster, proxies } = proxied;
    const b = cluster.node(1);
    const rows = limits.replayEntriesMax + 500;
    await fill(proxied, rows);
    proxies.forEach((proxy) => proxy.slow(400 * KIB));
    await b.launch();
    const before = await waitUntil('a part of the copy', async () => {
      const copy = await copyOf(b);
      return copy !== null && copy.rows_done > rows / 5 && copy;
    });
    proxies.forEach((proxy) => proxy.hang());
    await unconnected(proxied);
    const stalled = await copyOf(b);
    t.true(stalled !== null && stalled.rows_done >= before.rows_done && stalled.rows_done < rows);
    proxies.forEach((proxy) => proxy.restore());
    await b.ready();
    await settle(cluster);
    t.is(Object.keys(await shown(b)).length, rows);
  },
);

test.serial('SY-13 a copy over a slow link is not given up', async (t) => {
  const proxied = await two(t, 1_000, [1]);
  const { cluster, proxies } = proxied;
  const [a, b] = [cluster.node(0), cluster.node(1)];
  const rows = limits.replayEntriesMax + 100;
  await times(rows, (at) => insert(a, { id: `k${at}`, n: at }));
  // Silence of two seconds ends a link.
  proxies.forEach((proxy) => proxy.slow(20 * KIB));
  await b.launch();
  await waitUntil('the copy to begin', async () => (await copyOf(b)) !== null);
  await waitUntil('the copy to end', () => b.client.isReady(), 60_000);
  t.notRegex(await b.log(), /copy interrupted/);
  proxies.forEach((proxy) => proxy.restore());
  await settle(cluster);
  t.is(Object.keys(await shown(b)).length, rows);
});

const BURSTS = 40;

test.serial(
  'SY-18 dials of both sides and resets in bursts leave one link and one stream each way',
  async (t) => {
    const { cluster, proxies } = await two(t, PING_MS);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await settle(cluster);
    await insert(a, { id: 'hot', count: 0 });
    for (let burst = 0; burst < BURSTS; burst++) {
      const proxy = proxies[burst % 2];
      proxy?.rstAt(1 + ((burst * 397) % 3_000));
      await times(4, (at) => insert(at % 2 === 0 ? a : b, { id: `${burst}-${at}`, burst }));
      await update(a, { id: 'hot', count: burst });
      // Long enough for dials of both sides to meet, or not.
      await sleep((burst * 53) % 150);
      if (burst % 8 === 7) proxies.forEach((each) => each.cut());
      proxies.forEach((each) => each.restore());
    }
    await cluster.connected();
    await settle(cluster);
    t.is(Object.keys(await shown(b)).length, BURSTS * 4 + 1);
    t.deepEqual(await one(b, 'hot'), { count: BURSTS - 1 });
    await waitUntil('one link', () => proxies.reduce((sum, proxy) => sum + proxy.links(), 0) === 1);
    const streams = ['feed:data', 'resync:data'];
    t.deepEqual(await streamsOf(a, b), streams);
    t.deepEqual(await streamsOf(b, a), streams);
  },
);
