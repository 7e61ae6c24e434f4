/**
 * Clusters in other ways than one add_node after the other: several at once, through partitions, as stars and chains
 * without the `system` database, rebuilt by configure_cluster, left by a node itself. Real processes.
 */
import test, { type ExecutionContext } from 'ava';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { settle } from '../support/clusterDump.js';
import { startBehindProxies } from '../support/memberNetwork.js';
import { createNotes, haveNotes, note } from '../support/memberRecords.js';
import {
  addNode,
  connectedExactly,
  fullMesh,
  knownNames,
  livesOf,
  memberNames,
  messageOf,
  reach,
  removeNode,
  sameMembership,
  statusOf,
} from '../support/memberViews.js';
import { waitUntil } from '../support/waitUntil.js';

const four = ({
  nodes: [a, b, c, d],
}: Cluster): [ClusterNode, ClusterNode, ClusterNode, ClusterNode] => {
  if (!a || !b || !c || !d) throw new Error('four nodes were asked for');
  return [a, b, c, d];
};

test.serial('two nodes added at once to two different members end in one mesh', async (t) => {
  const cluster = await startCluster({ nodes: 4, apart: true });
  t.teardown(() => cluster.close());
  const [a, b, c, d] = four(cluster);
  await createNotes(a);
  await addNode(a, b);
  await Promise.all([addNode(a, c), addNode(d, b)]);
  await fullMesh(cluster.nodes);
  await note(c, 'by c');
  await haveNotes(cluster.nodes, ['by c']);
  await settle(cluster);
  await sameMembership(cluster.nodes);
  t.deepEqual(
    await memberNames(c),
    cluster.nodes.map(({ name }) => name),
  );
});

test.serial('all nodes that add each other at once end in one mesh', async (t) => {
  const cluster = await startCluster({ nodes: 4, apart: true });
  t.teardown(() => cluster.close());
  await createNotes(cluster.node(0));
  await Promise.all(
    cluster.nodes.flatMap((node) =>
      cluster.nodes.filter((other) => other !== node).map((other) => addNode(node, other)),
    ),
  );
  await fullMesh(cluster.nodes);
  await note(cluster.node(3), 'by the last');
  await haveNotes(cluster.nodes, ['by the last']);
  await settle(cluster);
  await sameMembership(cluster.nodes);
  t.deepEqual(
    await livesOf(cluster.node(0)),
    cluster.nodes.map(({ name }) => `${name}#1`),
  );
});

test.serial(
  'a node added while a member is cut off is a member for that one, too, afterwards',
  async (t) => {
    const { cluster, network, close } = await startBehindProxies({ nodes: 4 });
    t.teardown(close);
    const [a, b, c, d] = four(cluster);
    await createNotes(a);
    await addNode(a, b);
    await addNode(a, c);
    await fullMesh([a, b, c]);
    network.split([[a, b, d], [c]]);
    await connectedExactly(c, []);
    await addNode(a, d);
    await fullMesh([a, b, d]);
    await note(c, 'by c, cut off');
    await note(d, 'by the new one');
    t.deepEqual(await knownNames(c), [a.name, b.name]);
    network.heal();
    await fullMesh(cluster.nodes);
    await haveNotes(cluster.nodes, ['by c, cut off', 'by the new one']);
    await settle(cluster);
    await sameMembership(cluster.nodes);
  },
);

test.serial(
  'one removed here and another added there during a partition are so for all afterwards',
  async (t) => {
    const { cluster, network, close } = await startBehindProxies({ nodes: 4 });
    t.teardown(close);
    const [a, b, c, d] = four(cluster);
    await createNotes(a);
    await addNode(a, b);
    await addNode(a, c);
    await fullMesh([a, b, c]);
    network.split([[a], [b, c, d]]);
    await connectedExactly(a, []);
    await removeNode(a, b);
    await addNode(c, d);
    await fullMesh([b, c, d]);
    network.heal();
    await fullMesh([a, c, d]);
    await connectedExactly(b, []);
    await sameMembership([a, c, d]);
    t.deepEqual(await memberNames(d), [a.name, c.name, d.name]);
  },
);

const DATA_ONLY = { replication: { databases: ['data'] } };

const onlyData = async (t: ExecutionContext, nodes: number): Promise<Cluster> => {
  const cluster = await startCluster({ nodes, apart: true, config: DATA_ONLY });
  t.teardown(() => cluster.close());
  for (const node of cluster.nodes) await createNotes(node);
  return cluster;
};

test.serial(
  'without the system database a star stays a star, and writes pass through its hub',
  async (t) => {
    const cluster = await onlyData(t, 4);
    const [hub, one, two, three] = four(cluster);
    await addNode(hub, one);
    await addNode(hub, two);
    await addNode(three, hub);
    const isStar = async (): Promise<void> => {
      await connectedExactly(hub, [one.name, two.name, three.name]);
      for (const leaf of [one, two, three]) await connectedExactly(leaf, [hub.name]);
    };
    await isStar();
    await note(one, 'by a leaf');
    await note(hub, 'by the hub');
    await haveNotes(cluster.nodes, ['by a leaf', 'by the hub']);
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    await Promise.all(cluster.nodes.map((node) => node.start()));
    await isStar();
    await note(three, 'by a leaf after a restart');
    await haveNotes(cluster.nodes, ['by a leaf after a restart']);
    t.deepEqual(await knownNames(one), [hub.name]);
    t.deepEqual(await memberNames(one), [hub.name, one.name]);
    // A leaf leaves: only the hub has to know.
    await removeNode(hub, two);
    await connectedExactly(hub, [one.name, three.name]);
    await connectedExactly(two, []);
    await note(two, 'by a leaf that left');
    await note(one, 'without it');
    await haveNotes([hub, three], ['without it']);
    await addNode(two, hub);
    await isStar();
    await haveNotes(cluster.nodes, ['by a leaf that left', 'without it']);
  },
);

test.serial(
  'a chain of three carries writes from end to end, also what was written while it was broken',
  async (t) => {
    const cluster = await onlyData(t, 3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    await addNode(a, b);
    await addNode(b, c);
    const isChain = async (): Promise<void> => {
      await connectedExactly(a, [b.name]);
      await connectedExactly(b, [a.name, c.name]);
      await connectedExactly(c, [b.name]);
    };
    await isChain();
    await note(a, 'from the first');
    await note(c, 'from the last');
    await haveNotes(cluster.nodes, ['from the first', 'from the last']);
    await b.kill();
    await note(a, 'from the first, broken');
    await note(c, 'from the last, broken');
    await b.start();
    await isChain();
    await haveNotes(cluster.nodes, ['from the first, broken', 'from the last, broken']);
    t.deepEqual(await knownNames(a), [b.name]);
  },
);

test.serial('a node removes itself, and the others know', async (t) => {
  const cluster = await startCluster({ nodes: 3, apart: true });
  t.teardown(() => cluster.close());
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await createNotes(a);
  await addNode(a, b);
  await addNode(a, c);
  await fullMesh(cluster.nodes);
  t.is(await removeNode(c, c), `Successfully removed '${c.name}' from cluster`);
  await connectedExactly(c, []);
  await fullMesh([a, b]);
  await sameMembership([a, b]);
  t.deepEqual(await memberNames(a), [a.name, b.name]);
  await t.throwsAsync(removeNode(c, c), { message: new RegExp(`400.*${c.name} does not exist`) });
  await t.throwsAsync(removeNode(a, c), { message: new RegExp(`400.*${c.name} does not exist`) });
  await c.kill();
  await c.start();
  await connectedExactly(c, []);
  await note(c, 'alone');
  await addNode(c, b);
  await fullMesh(cluster.nodes);
  await haveNotes([a, b], ['alone']);
});

test.serial(
  'a peer that only a route names is removed, and the route does not bring it back',
  async (t) => {
    const cluster = await startCluster({ nodes: 3, config: DATA_ONLY });
    t.teardown(() => cluster.close());
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    await createNotes(a);
    t.deepEqual(await memberNames(a), [a.name]);
    t.is(await removeNode(a, c), `Successfully removed '${c.name}' from cluster`);
    await connectedExactly(a, [b.name]);
    // It was told: of itself it takes no part any more.
    await connectedExactly(c, []);
    await connectedExactly(b, [a.name]);
    for (const node of [a, c]) {
      await node.kill();
      await node.start();
    }
    await connectedExactly(a, [b.name]);
    await connectedExactly(c, []);
    await addNode(c, a);
    await waitUntil(
      'the route and the member to be one again',
      async () =>
        (await statusOf(a)).connections.filter(({ name }) => name === c.name).length === 1,
    );
    await fullMesh(cluster.nodes);
  },
);

test.serial('configure_cluster makes a mesh smaller and whole again', async (t) => {
  const cluster = await startCluster({ nodes: 4, apart: true });
  t.teardown(() => cluster.close());
  const [a, b, c, d] = four(cluster);
  await createNotes(a);
  for (const other of [b, c, d]) await addNode(a, other);
  await fullMesh(cluster.nodes);
  const configure = (targets: readonly ClusterNode[]): Promise<string> =>
    messageOf(a, { operation: 'configure_cluster', connections: targets.map(reach) });
  t.is(await configure([b, c]), 'Cluster successfully configured.');
  await fullMesh([a, b, c]);
  await connectedExactly(d, []);
  await sameMembership([a, b, c]);
  await note(d, 'by the one left out');
  await note(b, 'by one that stayed');
  t.is(await configure([b, c, d]), 'Cluster successfully configured.');
  await fullMesh(cluster.nodes);
  await haveNotes(cluster.nodes, ['by the one left out', 'by one that stayed']);
  await settle(cluster);
  await sameMembership(cluster.nodes);
  // Nothing is dropped for a list that cannot be read.
  const before = await livesOf(a);
  await t.throwsAsync(
    messageOf(a, {
      operation: 'configure_cluster',
      connections: [reach(b), { hostname: 'not a name' }],
    }),
    { message: /^400/ },
  );
  t.deepEqual(await livesOf(a), before);
  t.is(
    await messageOf(a, { operation: 'configure_cluster', connections: [] }),
    'Cluster successfully configured.',
  );
  await connectedExactly(a, []);
});
