/**
 * Nodes that are removed: at once, everywhere, for good, and back only by add_node with what they wrote meanwhile. Real
 * processes; who dials whom is seen by a listener in the place of the removed node.
 */
import test, { type ExecutionContext } from 'ava';
import { startCluster, type ClusterNode } from '../support/cluster.js';
import { dumpOf, settle } from '../support/clusterDump.js';
import { joinAll } from '../support/memberCluster.js';
import { countDials } from '../support/memberListener.js';
import { startBehindProxies } from '../support/memberNetwork.js';
import { haveNotes, note, noteMany, notesOf } from '../support/memberRecords.js';
import {
  addNode,
  connectedExactly,
  fullMesh,
  knownNames,
  livesOf,
  memberNames,
  removeNode,
  sameMembership,
  statusOf,
} from '../support/memberViews.js';
import { waitUntil } from '../support/waitUntil.js';

/** More than the longest wait between two dials of a peer that has been away for a moment. */
const QUIET_MS = 4_000;

/** For a while nobody dials where a node was. */
const quiet = async (
  t: ExecutionContext,
  dials: readonly number[],
  what: string,
): Promise<void> => {
  const before = dials.length;
  const until = performance.now() + QUIET_MS;
  await waitUntil('the time to be over', () => performance.now() > until || dials.length > before);
  t.is(dials.length, before, what);
};

const isOut = async (t: ExecutionContext, node: ClusterNode): Promise<void> => {
  await connectedExactly(node, []);
  t.false((await statusOf(node)).is_enabled);
};

test.serial(
  'MB-03 MB-04 a removed node is out for good, works on, and comes back by add_node from either side',
  async (t) => {
    const cluster = await startCluster({ nodes: 4, apart: true });
    t.teardown(() => cluster.close());
    await joinAll(cluster);
    const [a, b, c, d] = [0, 1, 2, 3].map((index) => cluster.node(index)) as [
      ClusterNode,
      ClusterNode,
      ClusterNode,
      ClusterNode,
    ];
    await note(d, 'while d was a member');
    await haveNotes(cluster.nodes, ['while d was a member']);
    const rest = cluster.only(0, 1, 2);
    const before = await dumpOf(d);

    t.is(await removeNode(a, d), `Successfully removed '${d.name}' from cluster`);
    await fullMesh(rest.nodes);
    await isOut(t, d);
    t.deepEqual(await dumpOf(d), before);
    await sameMembership(rest.nodes);
    t.deepEqual(
      await memberNames(c),
      rest.nodes.map(({ name }) => name),
    );
    await noteMany(
      a,
      Array.from({ length: 500 }, (_, at) => `a${at}`),
    );
    await note(d, 'alone');

    for (const node of cluster.nodes) {
      await node.stop();
      await node.start();
    }
    await fullMesh(rest.nodes);
    await isOut(t, d);
    for (const node of rest.nodes) t.false((await knownNames(node)).includes(d.name));
    await note(d, 'alone after a restart');
    await settle(rest);
    t.false((await notesOf(b)).includes('alone'));
    t.false((await notesOf(d)).includes('a0'));

    const pids = cluster.nodes.map(({ pid }) => pid);
    t.is(await addNode(c, d), `Successfully added '${d.name}' to cluster`);
    await fullMesh(cluster.nodes);
    await haveNotes(cluster.nodes, ['a0', 'a499', 'alone', 'alone after a restart']);
    await settle(cluster);

    // The other way round: the removed one asks.
    await removeNode(b, d);
    await isOut(t, d);
    await note(d, 'alone again');
    await note(a, 'without d');
    t.is(await addNode(d, a), `Successfully added '${a.name}' to cluster`);
    await fullMesh(cluster.nodes);
    await haveNotes(cluster.nodes, ['alone again', 'without d']);
    await settle(cluster);
    await sameMembership(cluster.nodes);
    t.deepEqual(
      (await livesOf(b)).filter((life) => life.startsWith(d.name)),
      [`${d.name}#1 ended`, `${d.name}#2 ended`, `${d.name}#3`],
    );
    t.deepEqual(
      cluster.nodes.map(({ pid }) => pid),
      pids,
    );
  },
);

test.serial('MB-05 nobody dials where a removed node was, not even after a restart', async (t) => {
  const cluster = await startCluster({ nodes: 3, apart: true });
  t.teardown(() => cluster.close());
  await joinAll(cluster);
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await c.kill();
  const counter = await countDials({ host: c.name, port: c.ports.replication });
  t.teardown(() => counter.close());
  // A member that is away is dialled: so the listener would hear it.
  await waitUntil('a dial of a member that is away', () => counter.dials.length > 0);
  await removeNode(a, c);
  await waitUntil('all to know', async () => !(await knownNames(b)).includes(c.name));
  await quiet(t, counter.dials, 'dials after the removal');
  for (const node of [a, b]) {
    await node.kill();
    await node.start();
  }
  await fullMesh([a, b]);
  await quiet(t, counter.dials, 'dials after a restart');
});

test.serial(
  'MB-02 a node that was cut off while another was removed does not bring it back',
  async (t) => {
    const { cluster, network, close } = await startBehindProxies({ nodes: 4 });
    t.teardown(close);
    await joinAll(cluster);
    const [a, b, c, d] = [0, 1, 2, 3].map((index) => cluster.node(index)) as [
      ClusterNode,
      ClusterNode,
      ClusterNode,
      ClusterNode,
    ];
    await d.kill();
    network.split([[a, b, d], [c]]);
    await connectedExactly(c, []);
    await removeNode(a, d);
    t.true((await knownNames(c)).includes(d.name));
    t.true((await memberNames(c)).includes(d.name));
    const proxy = network.proxyOf(d);
    await proxy.close();
    const counter = await countDials({ host: d.name, port: proxy.address.port });
    t.teardown(() => counter.close());
    network.heal();
    await Promise.all([c.kill(), b.kill()]);
    await Promise.all([c.start(), b.start()]);
    const rest = cluster.only(0, 1, 2);
    await fullMesh(rest.nodes);
    await sameMembership(rest.nodes);
    for (const node of rest.nodes) {
      t.false((await knownNames(node)).includes(d.name));
      t.false((await memberNames(node)).includes(d.name));
    }
    await quiet(t, counter.dials, 'dials of the removed node');
    // It was told nothing, and believes it is a member: the others do not let it in, and it hears why.
    await d.start();
    await waitUntil('the refusal', async () =>
      (await statusOf(d)).connections.some(({ reason }) =>
        reason?.includes(`no hdb_nodes entry for ${d.name}`),
      ),
    );
    await note(a, 'without d');
    await settle(rest);
    t.deepEqual(await notesOf(d), []);
    await fullMesh(rest.nodes);
    for (const node of rest.nodes) t.false((await knownNames(node)).includes(d.name));
    await quiet(t, counter.dials, 'dials of one that says it is a member');
  },
);
