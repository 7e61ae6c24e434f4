/**
 * Hard cases of convergence among real processes: deletes and updates on both sides of an absence, indexes on replicas,
 * tables made again. Ids are those of docs/HARD-CASES.md.
 */
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../config/types.js';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { flat } from '../support/clusterClient.js';
import { settle } from '../support/clusterDump.js';
import {
  copiesOf,
  createCases,
  erase,
  insert,
  one,
  shown,
  TABLE,
  times,
  update,
} from '../support/hardCases.js';
import { startProxiedCluster, type ProxiedCluster } from '../support/proxiedCluster.js';
import { waitUntil } from '../support/waitUntil.js';

type Pair = readonly [ClusterNode, ClusterNode];

const pairOf = (cluster: Cluster): Pair => [cluster.node(0), cluster.node(1)];

const two = async (t: ExecutionContext): Promise<{ cluster: Cluster; pair: Pair }> => {
  const cluster = await startCluster({ nodes: 2 });
  t.teardown(() => cluster.close());
  await createCases(cluster.node(0));
  return { cluster, pair: pairOf(cluster) };
};

/** Two nodes that can be parted without anybody being told. */
const parted = async (
  t: ExecutionContext,
  config: ConfigInput = {},
): Promise<ProxiedCluster & { pair: Pair; part(): void; join(): Promise<void> }> => {
  const proxied = await startProxiedCluster({ nodes: 2, config });
  t.teardown(() => proxied.close());
  const { cluster, proxies } = proxied;
  await createCases(cluster.node(0));
  await settle(cluster);
  return {
    ...proxied,
    pair: pairOf(cluster),
    part: () => proxies.forEach((proxy) => proxy.cut()),
    join: async () => {
      proxies.forEach((proxy) => proxy.restore());
      await cluster.connected();
      await settle(cluster);
    },
  };
};

const restart = async (node: ClusterNode): Promise<void> => {
  await node.kill();
  await node.start();
};

test.serial(
  'CV-01 a delete stays when a node that was away returns, over restarts too',
  async (t) => {
    const { cluster, pair } = await two(t);
    const [a, b] = pair;
    await insert(a, { id: 'k', x: 1 }, { id: 'p', x: 1 });
    await settle(cluster);
    await b.kill();
    await erase(a, 'k');
    await b.start();
    const isGone = async (): Promise<void> => {
      await settle(cluster);
      for (const node of pair) t.deepEqual(await shown(node), { p: { x: 1 } }, node.name);
    };
    await isGone();
    for (const node of [a, b, b, a]) {
      await restart(node);
      await cluster.connected();
      await isGone();
    }
  },
);

test.serial(
  'CV-02 the later of an update and a delete wins, made on two sides of a cut',
  async (t) => {
    const { pair, part, join } = await parted(t);
    const [a, b] = pair;
    await insert(a, { id: 'k', x: 1 }, { id: 'p', x: 1 });
    await waitUntil('both on b', async () => (await shown(b))['p'] !== undefined);
    part();
    await erase(a, 'k');
    await update(b, { id: 'p', x: 3 });
    // Later in real time, each on the other side.
    await update(b, { id: 'k', x: 2 });
    await erase(a, 'p');
    await join();
    for (const node of pair) t.deepEqual(await shown(node), { k: { x: 2 } }, node.name);
  },
);

test.serial('CV-09 updates of different attributes on two sides of a cut are merged', async (t) => {
  const { pair, part, join } = await parted(t);
  const [a, b] = pair;
  const start = { x: 0, y: 0 };
  await insert(a, { id: 'both', ...start }, { id: 'same', ...start }, { id: 'gone', ...start });
  await waitUntil('all on b', async () => (await shown(b))['gone'] !== undefined);
  part();
  await update(a, { id: 'both', x: 1 }, { id: 'same', x: 1 }, { id: 'gone', x: 1 });
  await update(b, { id: 'both', y: 1 }, { id: 'same', x: 2 });
  await erase(b, 'gone');
  await join();
  for (const node of pair)
    t.deepEqual(await shown(node), { both: { x: 1, y: 1 }, same: { x: 2, y: 0 } }, node.name);
});

const SHORT: ConfigInput = {
  logging: { auditRetention: '2s', level: 'info' },
  replication: { tombstoneRetention: '2s' },
};

test.serial(
  'CV-03 SY-07 a node that was away for longer than anything is remembered',
  async (t) => {
    const { pair, part, join } = await parted(t, SHORT);
    const [a, b] = pair;
    await insert(a, ...Array.from({ length: 500 }, (_, at) => ({ id: `k${at}`, x: 1 })));
    await waitUntil('all on b', async () => Object.keys(await shown(b)).length === 500);
    // A cut shorter than the log is kept needs no copy.
    part();
    await insert(a, { id: 'missed', x: 1 });
    await join();
    t.is(await copiesOf(b), 0);
    part();
    await erase(a, ...Array.from({ length: 100 }, (_, at) => `k${at}`));
    await update(a, ...Array.from({ length: 50 }, (_, at) => ({ id: `k${100 + at}`, x: 2 })));
    await insert(b, ...Array.from({ length: 20 }, (_, at) => ({ id: `own${at}`, x: 3 })));
    await update(b, ...Array.from({ length: 10 }, (_, at) => ({ id: `k${200 + at}`, x: 4 })));
    await purgedAndTrimmed(a, 100);
    await purgedAndTrimmed(b, 0);
    await join();
    t.true((await copiesOf(b)) > 0);
    for (const node of pair) {
      const rows = await shown(node);
      const keys = Object.keys(rows);
      t.is(keys.length, 421, node.name);
      t.is(keys.filter((id) => id.startsWith('own')).length, 20);
      t.true(keys.every((id) => !/^k\d\d?$/.test(id)));
      t.is(Object.values(rows).filter(({ x }) => x === 2).length, 50);
      t.is(Object.values(rows).filter(({ x }) => x === 4).length, 10);
    }
  },
);

/** The deletes it knows of are forgotten, and the entries that made them have left its log. */
const purgedAndTrimmed = (node: ClusterNode, deletes: number): Promise<unknown> =>
  waitUntil(`${node.name} to have forgotten`, async () => {
    const { actors } = await node.client.tree();
    const router = flat(actors).find(({ name }) => name === 'router:data');
    const { purged = 0, trimmed = 0 } = (router?.details ?? {}) as Record<string, number>;
    return purged >= deletes && trimmed > 0;
  });

test.serial(
  'CV-16 a replica that is killed while it applies has indexes that equal its rows',
  async (t) => {
    const { cluster, pair } = await two(t);
    const [a, b] = pair;
    const records = Array.from({ length: 200 }, (_, at) => ({
      id: `k${at}`,
      bucket: `b${at % 8}`,
    }));
    await insert(a, ...records);
    for (let round = 0; round < 5; round++) {
      const writes = times(150, (at) => {
        const id = `k${(at * 7) % 200}`;
        if (at % 10 === 9) return erase(a, id);
        return a.client.send({
          operation: 'upsert',
          table: TABLE,
          records: [{ id, bucket: `b${(at + round) % 8}`, round }],
        });
      });
      await restart(b);
      await writes;
      await cluster.connected();
      await settle(cluster, { indexed: { [`data.${TABLE}`]: ['bucket'] } });
    }
    t.true(Object.keys(await shown(b)).length > 100);
  },
);

test.serial(
  'CV-18 a table that was dropped and made again holds only what came after',
  async (t) => {
    const { cluster, pair } = await two(t);
    const [a, b] = pair;
    await insert(a, ...Array.from({ length: 100 }, (_, at) => ({ id: `old${at}` })));
    await settle(cluster);
    await insert(b, { id: 'late1' }, { id: 'late2' }, { id: 'late3' });
    await b.kill();
    await a.client.send({ operation: 'drop_table', table: TABLE });
    await createCases(a);
    const ids = ['n1', 'n2', 'n3', 'n4', 'n5'];
    await insert(a, ...ids.map((id) => ({ id })));
    await b.start();
    const isNew = async (): Promise<void> => {
      await cluster.connected();
      await settle(cluster);
      for (const node of pair) t.deepEqual(Object.keys(await shown(node)).sort(), ids, node.name);
    };
    await isNew();
    await restart(b);
    await restart(a);
    await isNew();
    t.is(await one(b, 'old1'), undefined);
  },
);
