/**
 * cluster_set_routes, cluster_get_routes and cluster_delete_routes on real nodes: what they make of a configuration file
 * that an operator wrote, and what the nodes do at once and after a restart.
 */
import test, { type ExecutionContext } from 'ava';
import { parse } from 'yaml';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { Refused } from '../support/clusterClient.js';
import { settle, type Row } from '../support/clusterDump.js';
import { createNotes, haveNotes, note } from '../support/memberRecords.js';
import {
  connectedExactly,
  fullMesh,
  knownNames,
  sameMembership,
  statusOf,
} from '../support/memberViews.js';

const HEADING = '# Kept by operations, ask before you change it.';
const BESIDE = '# nobody yet';

/** Each with a configuration file of its own hand: a comment above, one beside the routes. */
const startWritten = async (t: ExecutionContext, nodes: number): Promise<Cluster> => {
  const asleep = Array.from({ length: nodes }, (_, index) => index);
  const cluster = await startCluster({ nodes, apart: true, asleep });
  t.teardown(() => cluster.close());
  for (const node of cluster.nodes) {
    const text = await node.configText();
    t.true(text.includes('routes: []'));
    await node.writeConfig(`${HEADING}\n${text.replace('routes: []', `routes: [] ${BESIDE}`)}`);
    await node.start();
  }
  return cluster;
};

const setRoutes = (node: ClusterNode, routes: unknown): Promise<Row> =>
  node.client.send({ operation: 'cluster_set_routes', routes }) as Promise<Row>;
const deleteRoutes = (node: ClusterNode, routes: unknown): Promise<Row> =>
  node.client.send({ operation: 'cluster_delete_routes', routes }) as Promise<Row>;
const getRoutes = (node: ClusterNode): Promise<unknown> =>
  node.client.send({ operation: 'cluster_get_routes' });

const routesInFile = async (node: ClusterNode): Promise<unknown> =>
  (parse(await node.configText()) as { replication: { routes: unknown } }).replication.routes;

test.serial('routes are set, shown and deleted in the file, comments and all', async (t) => {
  const cluster = await startWritten(t, 1);
  const node = cluster.node(0);
  t.deepEqual(await getRoutes(node), []);
  const first = 'ws://127.0.0.61:9933';
  const second = { hostname: '127.0.0.62', port: 9944 };
  t.deepEqual(await setRoutes(node, [first, second]), {
    message: 'cluster routes successfully set',
    set: [first, second],
    skipped: [],
  });
  t.deepEqual(await setRoutes(node, [first, 'ws://127.0.0.63:9933']), {
    message: 'cluster routes successfully set',
    set: ['ws://127.0.0.63:9933'],
    skipped: [first],
  });
  const all = [first, second, 'ws://127.0.0.63:9933'];
  t.deepEqual(await getRoutes(node), all);
  t.deepEqual(await routesInFile(node), all);
  const text = await node.configText();
  t.true(text.startsWith(HEADING));
  t.true(text.includes(BESIDE), text);
  t.deepEqual(await knownNames(node), ['127.0.0.61', '127.0.0.62', '127.0.0.63']);
  const before = await node.configText();
  for (const routes of [
    undefined,
    'x',
    [7],
    [{}],
    ['two words'],
    ['wss://127.0.0.64:9933'],
    [{ port: 5 }],
    ['ws://127.0.0.65:9933', ''],
  ]) {
    const error = await t.throwsAsync(setRoutes(node, routes), { instanceOf: Refused });
    t.is(error.status, 400, JSON.stringify(routes));
  }
  t.is(await node.configText(), before);
  await node.stop();
  await node.start();
  t.deepEqual(await getRoutes(node), all);
  t.deepEqual(await knownNames(node), ['127.0.0.61', '127.0.0.62', '127.0.0.63']);
  t.deepEqual(await deleteRoutes(node, [first, 'ws://127.0.0.70:9933']), {
    message: 'cluster routes successfully deleted',
    deleted: [first],
    skipped: ['ws://127.0.0.70:9933'],
  });
  t.deepEqual(await getRoutes(node), all.slice(1));
  t.deepEqual(await routesInFile(node), all.slice(1));
  t.deepEqual(await knownNames(node), ['127.0.0.62', '127.0.0.63']);
  t.true((await node.configText()).startsWith(HEADING));
  await node.kill();
  await node.start();
  t.deepEqual(await getRoutes(node), all.slice(1));
});

test.serial(
  'nodes that are given routes to each other while they run are one cluster at once and later',
  async (t) => {
    const cluster = await startWritten(t, 3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    await createNotes(a);
    await note(a, 'before any route');
    await setRoutes(a, [b.replicationUrl]);
    await setRoutes(b, [a.replicationUrl, c.replicationUrl]);
    await setRoutes(c, [b.replicationUrl]);
    await connectedExactly(b, [a.name, c.name]);
    await haveNotes(cluster.nodes, ['before any route']);
    await note(c, 'through a route');
    await haveNotes(cluster.nodes, ['through a route']);
    for (const node of cluster.nodes) t.true((await statusOf(node)).is_enabled);
    // Members are told of each other, and link beyond their routes.
    await fullMesh(cluster.nodes);
    for (const node of cluster.nodes) {
      await node.stop();
      await node.start();
    }
    await fullMesh(cluster.nodes);
    await note(c, 'after restarts');
    await haveNotes(cluster.nodes, ['after restarts']);
    await settle(cluster);
    await sameMembership(cluster.nodes);
  },
);

test.serial('a route that is deleted is dialled no more, and the link ends', async (t) => {
  const cluster = await startCluster({
    nodes: 2,
    config: { replication: { databases: ['data'] } },
  });
  t.teardown(() => cluster.close());
  const [a, b] = [cluster.node(0), cluster.node(1)];
  await deleteRoutes(a, [b.replicationUrl]);
  await connectedExactly(a, []);
  await connectedExactly(b, []);
  t.deepEqual(await knownNames(a), []);
  t.deepEqual(await knownNames(b), [a.name]);
  await a.kill();
  await a.start();
  t.deepEqual(await knownNames(a), []);
  await setRoutes(a, [b.replicationUrl]);
  await fullMesh(cluster.nodes);
});
