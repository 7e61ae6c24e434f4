/**
 * Hard cases of initial sync among real processes: a new node that copies while others write, are killed, or hold what it
 * holds already. Ids are those of docs/HARD-CASES.md.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { flat } from '../support/clusterClient.js';
import { settle } from '../support/clusterDump.js';
import {
  copiesOf,
  copyOf,
  createCases,
  erase,
  insert,
  one,
  shown,
  TABLE,
  times,
  update,
} from '../support/hardCases.js';
import { createNotes, haveNotes, noteMany, notesOf } from '../support/memberRecords.js';
import { addNode, connectedExactly, fullMesh } from '../support/memberViews.js';
import { startProxiedCluster, type ProxiedCluster } from '../support/proxiedCluster.js';
import { waitUntil } from '../support/waitUntil.js';
import { KIB, limits } from '../../protocol/limits.js';

/** More than an empty node replays: it copies. */
const ROWS = limits.replayEntriesMax + 500;
const LOUD = { logging: { level: 'info' as const } };

const keyOf = (at: number): string => `k${String(at).padStart(5, '0')}`;
const textOf = (at: number): string => `${at} `.repeat(KIB).slice(0, KIB);

/** Rows of about 1 KiB, each in a transaction of its own. */
const fill = (node: ClusterNode, rows = ROWS): Promise<void> =>
  times(rows, (at) => insert(node, { id: keyOf(at), text: textOf(at), bucket: `b${at % 4}` }));

/** The first node is full, the second has never run. */
const oneFull = async (t: ExecutionContext): Promise<ProxiedCluster> => {
  const proxied = await startProxiedCluster({ nodes: 2, asleep: [1], config: LOUD });
  t.teardown(() => proxied.close());
  await createCases(proxied.cluster.node(0));
  await fill(proxied.cluster.node(0));
  return proxied;
};

/** Resolves when that share of the copy is there. */
const copied = (node: ClusterNode, share: number): Promise<unknown> =>
  waitUntil(
    `${share} of a copy on ${node.name}`,
    async () => {
      const copy = await copyOf(node);
      return copy !== null && copy.rows_done > 0 && copy.rows_done >= share * ROWS;
    },
    30_000,
  );

test.serial('SY-01 SY-19 a node that joins has everything when it says it is ready', async (t) => {
  const cluster = await startCluster({ nodes: 2, apart: true, config: LOUD });
  t.teardown(() => cluster.close());
  const [a, b] = [cluster.node(0), cluster.node(1)];
  for (const database of ['shop', 'house'])
    await a.client.send({
      operation: 'create_table',
      database,
      table: 'things',
      primary_key: 'id',
    });
  await createCases(a);
  await fill(a);
  const things = Array.from({ length: 500 }, (_, id) => ({ id, name: `thing ${id}` }));
  for (const database of ['shop', 'house'])
    await a.client.send({ operation: 'insert', database, table: 'things', records: things });
  await erase(a, ...Array.from({ length: 100 }, (_, at) => keyOf(at)));
  await a.client.send({ operation: 'add_role', role: 'reader', permission: { super_user: false } });
  const user = { username: 'bob', password: 'a long secret', role: 'reader', active: true };
  await a.client.send({ operation: 'add_user', ...user });
  await addNode(b, a);
  const wanted = Object.keys(await shown(a));
  await waitUntil('b to be connected', async () => (await b.connectedPeers()) === 1);
  await b.ready();
  const held = new Set(Object.keys(await shown(b)));
  t.deepEqual(
    wanted.filter((id) => !held.has(id)),
    [],
  );
  t.is(held.size, ROWS - 100);
  t.true((await copiesOf(b)) > 0);
  const dump = await settle(cluster, { indexed: { [`data.${TABLE}`]: ['bucket'] } });
  t.is(dump.get('shop.things')?.length, 500);
  t.is(dump.get('house.things')?.length, 500);
  t.regex(JSON.stringify(await b.client.send({ operation: 'list_users' })), /"bob"/);
  await insert(b, { id: 'by b' });
  await insert(a, { id: 'by a' });
  await settle(cluster);
  t.truthy(await one(a, 'by b'));
  t.truthy(await one(b, 'by a'));
});

test.serial('SY-02 a copy that is interrupted by kills goes on where it was', async (t) => {
  const proxied = await oneFull(t);
  const { cluster, proxies } = proxied;
  const [a, b] = [cluster.node(0), cluster.node(1)];
  proxies.forEach((proxy) => proxy.slow(600 * KIB));
  const before = proxied.bytes();
  await b.launch();
  for (const [share, victim] of [
    [0.15, b],
    [0.35, a],
    [0.55, b],
    [0.75, b],
  ] as const) {
    await copied(b, share);
    await victim.kill();
    await victim.launch();
  }
  await a.ready();
  await b.ready();
  const bytes = proxied.bytes() - before;
  t.true(bytes < 2 * ROWS * KIB, `${bytes} bytes for ${ROWS} rows of 1 KiB`);
  proxies.forEach((proxy) => proxy.restore());
  await cluster.connected();
  await settle(cluster);
  t.is(Object.keys(await shown(b)).length, ROWS);
});

test.serial('SY-04 what is written at both sides of where a copy is ends equal', async (t) => {
  const { cluster, proxies } = await oneFull(t);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  proxies.forEach((proxy) => proxy.slow(200 * KIB));
  await b.launch();
  // Of each step other keys, copied already and not yet.
  for (let step = 0; step < 5; step++) {
    await copied(b, 0.1 + step * 0.15);
    const places = Array.from({ length: 20 }, (_, at) => at * (ROWS / 20) + step * 10);
    await erase(a, ...places.map(keyOf));
    await update(a, ...places.map((at) => ({ id: keyOf(at + 1), text: `new ${step}` })));
    await insert(a, ...places.map((at) => ({ id: `${keyOf(at + 2)}+`, step })));
  }
  t.true(((await copyOf(b))?.rows_done ?? ROWS) < ROWS, 'the copy was over too soon');
  proxies.forEach((proxy) => proxy.restore());
  await b.ready();
  await settle(cluster, { indexed: { [`data.${TABLE}`]: ['bucket'] } });
  const rows = Object.entries(await shown(b));
  t.is(rows.length, ROWS);
  t.is(rows.filter(([id]) => id.endsWith('+')).length, 100);
  t.is(rows.filter(([, { text }]) => String(text).startsWith('new ')).length, 100);
  t.is(await one(b, keyOf(0)), undefined);
});

const SHORT = {
  logging: { auditRetention: '2s', level: 'info' as const },
  replication: { tombstoneRetention: '1h' },
};

/** Entries have left its log. */
const trimmed = (node: ClusterNode): Promise<unknown> =>
  waitUntil(`${node.name} to have trimmed its log`, async () => {
    const { actors } = await node.client.tree();
    const details = flat(actors).find(({ name }) => name === 'router:data')?.details;
    return Number(details?.['trimmed'] ?? 0) > 0;
  });

test.serial('SY-05 what a node held and writes while it joins by a copy survives', async (t) => {
  const cluster = await startCluster({ nodes: 2, apart: true, config: SHORT });
  t.teardown(() => cluster.close());
  const [a, b] = [cluster.node(0), cluster.node(1)];
  for (const node of [a, b]) await createCases(node);
  await fill(a, 400);
  await insert(b, ...Array.from({ length: 50 }, (_, at) => ({ id: `own${at}` })));
  await insert(b, ...Array.from({ length: 50 }, (_, at) => ({ id: keyOf(at), text: 'newer' })));
  await trimmed(a);
  await trimmed(b);
  const over = new AbortController();
  const writes = (async () => {
    let count = 0;
    while (!over.signal.aborted) await insert(b, { id: `during${count++}` });
    return count;
  })();
  await addNode(b, a);
  await fullMesh(cluster.nodes);
  await waitUntil('a copy on b', async () => (await copiesOf(b)) > 0);
  over.abort();
  const count = await writes;
  await settle(cluster);
  for (const node of cluster.nodes) {
    const rows = await shown(node);
    const ids = Object.keys(rows);
    t.is(ids.length, 400 + 50 + count, node.name);
    t.is(Object.values(rows).filter(({ text }) => text === 'newer').length, 50, node.name);
  }
});

test.serial(
  'SY-06 rows of a node that come back to it by copy are not written again',
  async (t) => {
    const { cluster } = await oneFull(t);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const before = await heldBy(a);
    await b.start();
    await cluster.connected();
    await settle(cluster);
    t.true((await copiesOf(b)) > 0);
    // A node that is whole is copied from on demand; what comes is all its own.
    await b.client.send({ operation: 'cluster_status' });
    t.deepEqual(await heldBy(a), before);
  },
);

/** Positions, newest times and rows of its `data`, as far as what it was sent could have changed them. */
const heldBy = async (node: ClusterNode): Promise<unknown> => {
  const { actors } = await node.client.tree();
  const details = flat(actors).find(({ name }) => name === 'router:data')?.details;
  const records = await node.client.send({
    operation: 'search_by_value',
    table: TABLE,
    attribute: 'id',
    value: '*',
    get_attributes: ['id', '__updatedtime__', '__createdtime__'],
  });
  const files = await stat(join(node.rootPath, 'database', 'data'));
  return { positions: details?.['positions'], records, isThere: files.isDirectory() };
};

test.serial(
  'SY-21 a relay that lost its disk is replaced, and nothing of what it passed on is missing',
  async (t) => {
    const config = { replication: { databases: ['data'] } };
    const cluster = await startCluster({ nodes: 3, apart: true, config });
    t.teardown(() => cluster.close());
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    for (const node of cluster.nodes) await createNotes(node);
    await addNode(a, b);
    await addNode(b, c);
    const ids = (from: number, to: number): string[] =>
      Array.from({ length: to - from }, (_, at) => `n${from + at}`);
    for (let from = 0; from < 2_000; from += 200) await noteMany(a, ids(from, from + 200));
    await haveNotes([c], ids(0, 2_000));
    await b.kill();
    await b.wipe();
    for (let from = 2_000; from < 2_500; from += 100) await noteMany(a, ids(from, from + 100));
    await b.start();
    await createNotes(b);
    await addNode(b, a);
    await addNode(b, c);
    await connectedExactly(b, [a.name, c.name]);
    await haveNotes(cluster.nodes, ids(0, 2_500));
    await connectedExactly(c, [b.name]);
    t.is((await notesOf(c)).length, 2_500);
    await originsAgree(t, cluster);
  },
);

/** No node holds more of an origin than its author wrote: positions of the old relay were not applied to the new one. */
const originsAgree = async (t: ExecutionContext, cluster: Cluster): Promise<void> => {
  const trees = await Promise.all(cluster.nodes.map((node) => node.client.tree()));
  const held = trees.map(
    ({ actors }) =>
      (flat(actors).find(({ name }) => name === 'router:data')?.details['positions'] ??
        {}) as Record<string, number>,
  );
  const relays = new Set(
    held.flatMap((positions) =>
      Object.keys(positions).filter((id) => id.startsWith(`${cluster.node(1).name}~`)),
    ),
  );
  t.log(`origins of the relay: ${[...relays].join(', ')}`);
  t.is(new Set(held.map((positions) => JSON.stringify(Object.entries(positions).sort()))).size, 1);
};
