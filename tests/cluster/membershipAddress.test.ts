/**
 * Nodes that come back as somebody else: at another port, under another name, on an address that was another's, or
 * twice under one name. Real processes.
 */
import test from 'ava';
import { freePort, startCluster } from '../support/cluster.js';
import { settle } from '../support/clusterDump.js';
import { startJoined } from '../support/memberCluster.js';
import { haveNotes, note, notesOf } from '../support/memberRecords.js';
import {
  addNode,
  connectedExactly,
  fullMesh,
  knownNames,
  memberNames,
  membershipOf,
  removeNode,
  sameMembership,
  statusOf,
  systemRows,
} from '../support/memberViews.js';
import { waitUntil } from '../support/waitUntil.js';

test.serial('a node that listens elsewhere after a restart is found there by all', async (t) => {
  const cluster = await startJoined(t, 3);
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await c.stop();
  const replicationPort = await freePort(c.name);
  c.configure({ replicationPort });
  await c.start();
  await fullMesh(cluster.nodes);
  await sameMembership(cluster.nodes);
  for (const node of [a, b]) {
    const row = (await systemRows(node, 'hdb_nodes')).find(({ name }) => name === c.name);
    t.is(row?.['url'], `ws://${c.name}:${replicationPort}`);
  }
  // The others find it by themselves, too: one that was away meanwhile, and all of them after a restart.
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await fullMesh(cluster.nodes);
  await note(c, 'at the new port');
  await haveNotes([a, b], ['at the new port']);
});

test.serial('a node that moved while another was away is found by that one', async (t) => {
  const cluster = await startJoined(t, 3);
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await b.kill();
  await c.stop();
  c.configure({ replicationPort: await freePort(c.name) });
  await c.start();
  await fullMesh([a, c]);
  await c.stop();
  await b.start();
  // Both moved: neither finds the other where it was.
  await fullMesh([a, b]);
  await b.stop();
  b.configure({ replicationPort: await freePort(b.name) });
  await Promise.all([b.start(), c.start()]);
  await fullMesh([a, b, c]);
  const view = await sameMembership([a, b, c]);
  for (const { replicationUrl } of [a, b, c]) t.true(view.includes(replicationUrl));
});

test.serial('a renamed node says so, takes no part, and is brought in by add_node', async (t) => {
  const cluster = await startJoined(t, 3);
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await note(c, 'under the old name');
  await haveNotes([a, b], ['under the old name']);
  const oldName = c.name;
  await c.stop();
  c.configure({ name: '127.0.0.9' });
  await c.start();
  await waitUntil('the mismatch to be logged', async () =>
    (await c.log()).includes('Replication identity mismatch'),
  );
  await connectedExactly(c, []);
  t.true(JSON.stringify(await c.client.tree()).includes('mismatch'));
  t.false((await statusOf(c)).is_enabled);
  t.deepEqual(await knownNames(a), [b.name, oldName].sort());
  await note(c, 'under the new name');
  t.deepEqual(await notesOf(c), ['under the new name', 'under the old name'].sort());

  t.is(await addNode(a, c), `Successfully added '${c.name}' to cluster`);
  await connectedExactly(c, [a.name, b.name]);
  await haveNotes([a, b], ['under the new name']);
  t.is(
    ((await a.client.send({ operation: 'remove_node', hostname: oldName })) as { message: string })
      .message,
    `Successfully removed '${oldName}' from cluster`,
  );
  await fullMesh([a, b, c]);
  await sameMembership([a, b, c]);
  for (const node of [a, b, c]) {
    t.deepEqual(await memberNames(node), [a.name, b.name, c.name]);
    t.false((await knownNames(node)).includes(oldName));
  }
  await settle(cluster);
});

test.serial('MB-08 another cluster on the address of a member is not taken for it', async (t) => {
  const cluster = await startJoined(t, 3);
  const others = await startJoined(t, 2, 12);
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  const [x, y] = [others.node(0), others.node(1)];
  await note(a, 'of the first cluster');
  await note(x, 'of the second cluster');
  await haveNotes(cluster.nodes, ['of the first cluster']);
  await haveNotes(others.nodes, ['of the second cluster']);
  await c.kill();
  await y.stop();
  // Its address and its replication port; the doors for operators stay its own.
  y.configure({ name: c.name, replicationPort: c.ports.replication });
  await y.start();
  await waitUntil('the refusal to be seen', async () =>
    (await statusOf(a)).connections.some(
      ({ name, reason }) => name === c.name && reason?.includes('no hdb_nodes entry for'),
    ),
  );
  t.regex(await y.log(), /Replication identity mismatch/);
  // Even when its own cluster takes it in under that name.
  await addNode(x, y);
  await fullMesh([x, y]);
  const refusals = async (): Promise<boolean> =>
    [a, b].every((node) => node.isRunning) &&
    (await Promise.all([a, b].map(statusOf))).every(({ connections }) =>
      connections.some(
        ({ name, reason }) => name === c.name && reason?.includes('no hdb_nodes entry'),
      ),
    );
  await waitUntil('both to be refused by it', refusals);
  for (const node of [a, b]) t.deepEqual(await notesOf(node), ['of the first cluster']);
  for (const node of [x, y]) t.deepEqual(await notesOf(node), ['of the second cluster']);
  t.deepEqual(
    await memberNames(a),
    cluster.nodes.map(({ name }) => name),
  );
  t.deepEqual(await memberNames(y), [x.name, '127.0.0.13', y.name].sort());
  await fullMesh([a, b]);
  await y.stop();
  await c.start();
  await fullMesh(cluster.nodes);
  await settle(cluster);
  t.deepEqual(await notesOf(c), ['of the first cluster']);
});

test.serial(
  'MB-09 of two processes with one name the first stays, and the conflict is seen',
  async (t) => {
    const cluster = await startJoined(t, 3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    const before = await membershipOf(a);
    const impostor = await startCluster({
      nodes: 1,
      apart: true,
      firstAddress: 3,
      config: { replication: { routes: [a.replicationUrl] } },
    });
    t.teardown(() => impostor.close());
    const twin = impostor.node(0);
    t.is(twin.name, b.name);
    await waitUntil('the twin to be refused', async () =>
      (await statusOf(twin)).connections.some(({ reason }) =>
        reason?.includes(`another process already takes part as ${b.name}`),
      ),
    );
    await fullMesh(cluster.nodes);
    t.true(
      (await statusOf(a)).connections.some(
        ({ name, database_sockets: sockets }) =>
          name === b.name &&
          sockets.some(({ lastConnectionError: error }) =>
            error?.reason?.includes('another process'),
          ),
      ),
    );
    await note(b, 'by the first');
    await haveNotes([a, c], ['by the first']);
    t.deepEqual(await connectedExactly(twin, []), undefined);
    t.is(await membershipOf(a), before);
  },
);

test.serial(
  'MB-09 a second process that came while the first was away stays until it ends',
  async (t) => {
    const cluster = await startJoined(t, 3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    await note(b, 'by the first');
    await haveNotes(cluster.nodes, ['by the first']);
    await b.kill();
    const twins = await startCluster({
      nodes: 1,
      apart: true,
      firstAddress: 3,
      config: { replication: { routes: [a.replicationUrl] } },
    });
    t.teardown(() => twins.close());
    const twin = twins.node(0);
    await fullMesh([a, c, twin]);
    await note(twin, 'by the second');
    await haveNotes([a, c, twin], ['by the first', 'by the second']);
    await b.start();
    const isRefused = async (): Promise<boolean> =>
      (await statusOf(b)).connections.some(({ reason }) =>
        reason?.includes(`another process already takes part as ${b.name}`),
      );
    await waitUntil('the first to be refused', isRefused);
    await note(b, 'by the first again');
    t.false((await notesOf(a)).includes('by the first again'));
    await twin.kill();
    await fullMesh(cluster.nodes);
    await haveNotes(cluster.nodes, ['by the first', 'by the second', 'by the first again']);
    await settle(cluster);
  },
);

test.serial('a node that got the data directory of another takes no part as it', async (t) => {
  const cluster = await startJoined(t, 3);
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await note(b, 'by b');
  await haveNotes(cluster.nodes, ['by b']);
  await Promise.all([b.stop(), c.stop()]);
  await removeNode(a, c);
  await c.copyDataFrom(b);
  await Promise.all([b.start(), c.start()]);
  // With the directory it got a table in which it is a member; it hears of its end as soon as it is told.
  await fullMesh([a, b]);
  await connectedExactly(c, []);
  await note(c, 'by c alone');
  t.is(await addNode(a, c), `Successfully added '${c.name}' to cluster`);
  await fullMesh(cluster.nodes);
  await haveNotes(cluster.nodes, ['by b', 'by c alone']);
  await note(b, 'by b again');
  await haveNotes(cluster.nodes, ['by b again']);
  await settle(cluster);
  await sameMembership(cluster.nodes);
});
