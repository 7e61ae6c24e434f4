/**
 * What must not shake a cluster's membership: changes without end, all nodes gone at once. Real processes.
 */
import { readdir } from 'node:fs/promises';
import test from 'ava';
import type { ClusterNode } from '../support/cluster.js';
import { flat } from '../support/clusterClient.js';
import { settle } from '../support/clusterDump.js';
import { startJoined } from '../support/memberCluster.js';
import { haveNotes, note } from '../support/memberRecords.js';
import {
  addNode,
  connectedExactly,
  fullMesh,
  messageOf,
  removeNode,
  sameMembership,
} from '../support/memberViews.js';
import { waitUntil } from '../support/waitUntil.js';

const UPDATES = 200;
const CYCLES = 40;

test.serial('MB-12 many changes of members leave nothing behind', async (t) => {
  const cluster = await startJoined(t, 3);
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  const cycle = async (): Promise<void> => {
    await removeNode(a, c);
    await connectedExactly(c, []);
    await addNode(a, c);
    await fullMesh(cluster.nodes);
  };
  await cycle();
  const before = await Promise.all(cluster.nodes.map(holdings));
  for (let done = 0; done < UPDATES; done++)
    t.is(
      await messageOf(a, { operation: 'update_node', hostname: b.name, shard: done % 3 }),
      `Successfully updated '${b.name}'`,
    );
  for (let done = 0; done < CYCLES; done++) await cycle();
  for (const [index, node] of cluster.nodes.entries()) {
    const held = before[index];
    if (!held) throw new Error('each node was looked at');
    let now = held;
    await waitUntil(`${node.name} to hold no more than before`, async () => {
      now = await holdings(node);
      return now.actors.join() === held.actors.join() && now.files <= held.files + FILES_MORE;
    }).catch(() => t.deepEqual(now, held));
    t.notRegex(await node.log(), /MaxListeners|crash/i);
  }
  await note(c, 'after all of it');
  await haveNotes(cluster.nodes, ['after all of it']);
  await settle(cluster);
  await sameMembership(cluster.nodes);
});

/** Log and table files of LevelDB come and go. */
const FILES_MORE = 4;

const holdings = async (node: ClusterNode): Promise<{ actors: string[]; files: number }> => {
  const { actors } = await node.client.tree();
  const files = await readdir(`/proc/${node.pid}/fd`);
  return {
    actors: flat(actors)
      .map(({ path }) => path)
      .sort(),
    files: files.length,
  };
};

test.serial(
  'MB-13 all nodes that are killed and started at once are a full mesh again',
  async (t) => {
    const cluster = await startJoined(t, 4);
    const took: number[] = [];
    for (let round = 1; round <= 3; round++) {
      await Promise.all(cluster.nodes.map((node) => node.kill()));
      const startedAt = performance.now();
      await Promise.all(cluster.nodes.map((node) => node.start()));
      await fullMesh(cluster.nodes);
      took.push(Math.round(performance.now() - startedAt));
      await note(cluster.node(round), `in round ${round}`);
      await haveNotes(cluster.nodes, [`in round ${round}`]);
    }
    await settle(cluster);
    await sameMembership(cluster.nodes);
    t.log(`full mesh after ${took.join(', ')} ms`);
    t.true(took.every((ms) => ms < 30_000));
  },
);
