/**
 * Every actor of a running node is made to crash through the debug endpoint, under writes to all nodes: it comes back
 * by its policy, its siblings never stop, nothing acknowledged is lost, and the endpoint shows what happened.
 */
import test from 'ava';
import type { ActorSnapshot } from '../../actors/kernel/types.js';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { flat } from '../support/clusterClient.js';
import { Load, seededRandom } from '../support/clusterLoad.js';
import { settle } from '../support/clusterDump.js';
import { Oracle } from '../support/clusterOracle.js';
import { checkSettled } from '../support/killRounds.js';
import { waitUntil } from '../support/waitUntil.js';

const TABLE = 'rounds';
const MESSAGE = 'crashed on request through the debug endpoint';

const open = async (nodes: number): Promise<Cluster> => {
  const cluster = await startCluster({ nodes });
  await cluster.node(0).client.send({ operation: 'create_table', table: TABLE, primary_key: 'id' });
  await settle(cluster);
  return cluster;
};

const actorsOf = async (node: ClusterNode): Promise<ReadonlyMap<string, ActorSnapshot>> => {
  const { actors } = await node.client.tree();
  return new Map(flat(actors).map((actor) => [actor.path, actor]));
};

/** Streams live and die with their link and their database; everything else has a place of its own. */
const isStream = (path: string): boolean => /\/(?:feed|resync):[^/]+$/.test(path);

const isBelow = (path: string, parent: string): boolean => path.startsWith(`${parent}/`);

test.serial('an actor that crashes comes back alone, and the endpoint shows it', async (t) => {
  const cluster = await open(3);
  t.teardown(() => cluster.close());
  const node = cluster.node(1);
  const oracle = new Oracle();
  const load = new Load({ cluster, oracle, table: TABLE, rate: 300, random: seededRandom(1) });
  t.teardown(load.abandon);
  const paths = [...(await actorsOf(node)).keys()].filter((path) => path !== '/cluster');
  t.true(paths.length >= 16, `${paths.length} actors`);
  // Leaves first: a parent's crash makes new actors below it.
  for (const path of paths.reverse()) await crashOne(t, node, path);
  const figures = await load.stop();
  t.log(`${paths.length} actors crashed during ${figures.acknowledged} acknowledged writes`);
  t.log(JSON.stringify(figures.failures));
  const rows = await checkSettled(cluster, oracle);
  t.true(rows > 0);
  await cluster.connected();
  t.is((await node.client.probe('/readyz')).status, 200);
});

const crashOne = async (
  t: {
    is: (a: unknown, b: unknown, message?: string) => void;
    deepEqual: (a: unknown, b: unknown, message?: string) => void;
  },
  node: ClusterNode,
  path: string,
): Promise<void> => {
  const before = await waitUntil(`${path} to run`, async () => {
    const actors = await actorsOf(node);
    return actors.get(path)?.state === 'running' && actors;
  });
  const answer = await node.client.crash(path);
  t.is(answer.status, 202, answer.text);
  const lifeBefore = before.get(path)?.startedAt ?? 0;
  const after = await waitUntil(`${path} to run again`, async () => {
    const actors = await actorsOf(node);
    const actor = actors.get(path);
    return actor?.state === 'running' && actor.startedAt > lifeBefore && actors;
  });
  if (!isStream(path)) {
    const { crashes = 0, restarts, lastCrash } = after.get(path) ?? {};
    t.is(lastCrash?.message, MESSAGE, path);
    t.is(crashes, (before.get(path)?.crashes ?? 0) + 1, path);
    t.is(restarts, crashes, path);
  }
  const disturbed = [...before.values()].filter(
    (actor) =>
      actor.path !== path &&
      !isStream(actor.path) &&
      !isBelow(actor.path, path) &&
      after.get(actor.path)?.startedAt !== actor.startedAt,
  );
  t.deepEqual(
    disturbed.map((actor) => actor.path),
    [],
    `siblings of ${path}`,
  );
};

test.serial(
  'the crash of the cluster supervisor ends the process, and nothing is lost',
  async (t) => {
    const cluster = await open(2);
    t.teardown(() => cluster.close());
    const node = cluster.node(1);
    const oracle = new Oracle();
    const load = new Load({ cluster, oracle, table: TABLE, rate: 300, random: seededRandom(2) });
    t.teardown(load.abandon);
    await waitUntil('some writes', () => load.acknowledged > 100);
    t.is((await node.client.crash('/cluster')).status, 202);
    const ended = await node.ended;
    t.is(ended.signal, null);
    t.is(ended.code, 1);
    t.regex(await node.logTail(), new RegExp(`the node has failed: .*${MESSAGE}`));
    await node.start();
    await load.stop();
    t.true((await checkSettled(cluster, oracle)) > 0);
  },
);

test.serial('paths that do not exist and nodes that do not allow it crash nothing', async (t) => {
  const cluster = await startCluster({ nodes: 1, config: { debug: { allowCrash: false } } });
  t.teardown(() => cluster.close());
  const { client } = cluster.node(0);
  t.is((await client.crash('/cluster/health')).status, 403);
  const { actors } = await client.tree();
  t.true(flat(actors).every(({ crashes }) => crashes === 0));
});
