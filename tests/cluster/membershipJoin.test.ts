/**
 * Nodes that are started apart and become one cluster, and what joining brings with it: the whole mesh, all data, lives
 * that go on. Real processes, asked as an operator would.
 */
import test from 'ava';
import { startCluster } from '../support/cluster.js';
import { settle } from '../support/clusterDump.js';
import { createNotes, haveNotes, note } from '../support/memberRecords.js';
import {
  addNode,
  fullMesh,
  memberNames,
  sameMembership,
  statusOf,
} from '../support/memberViews.js';

test.serial('MB-01 nodes that join through any one member end in a full mesh', async (t) => {
  const cluster = await startCluster({ nodes: 4, apart: true });
  t.teardown(() => cluster.close());
  const [a, b, c, d] = [0, 1, 2, 3].map((index) => cluster.node(index));
  if (!a || !b || !c || !d) throw new Error('four nodes were started');
  await createNotes(a);
  await note(a, 'before anybody joined');
  t.is(await addNode(a, b), `Successfully added '${b.name}' to cluster`);
  // To the member that was added last, and asked of the newcomer.
  t.is(await addNode(c, b), `Successfully added '${b.name}' to cluster`);
  await fullMesh([a, b, c]);
  const startedAt = performance.now();
  t.is(await addNode(d, a), `Successfully added '${a.name}' to cluster`);
  await fullMesh(cluster.nodes);
  t.log(`full mesh ${Math.round(performance.now() - startedAt)} ms after the last add_node`);
  await haveNotes(cluster.nodes, ['before anybody joined']);
  for (const node of cluster.nodes) await note(node, `by ${node.name}`);
  await haveNotes(
    cluster.nodes,
    cluster.nodes.map(({ name }) => `by ${name}`),
  );
  await settle(cluster);
  await sameMembership(cluster.nodes);
  t.deepEqual(await memberNames(a), [a.name, b.name, c.name, d.name].sort());
  for (const { is_enabled } of await Promise.all(cluster.nodes.map(statusOf))) t.true(is_enabled);
});
