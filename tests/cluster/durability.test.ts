/**
 * What survives how a process ends: asked to stop under writes, all killed at once, a disk that is gone, a second
 * process on the same directory.
 */
import { mkdir } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../config/types.js';
import { startCluster, type Cluster } from '../support/cluster.js';
import { Load, seededRandom } from '../support/clusterLoad.js';
import { dumpOf, settle } from '../support/clusterDump.js';
import { Oracle } from '../support/clusterOracle.js';
import { checkSettled } from '../support/killRounds.js';
import { runCli } from '../support/runCli.js';
import { waitUntil } from '../support/waitUntil.js';
import { limits } from '../../protocol/limits.js';

const TABLE = 'rounds';

const open = async (nodes: number, config: ConfigInput = {}): Promise<Cluster> => {
  const cluster = await startCluster({ nodes, config });
  await cluster.node(0).client.send({ operation: 'create_table', table: TABLE, primary_key: 'id' });
  await settle(cluster);
  return cluster;
};

const loadOn = (
  t: ExecutionContext,
  cluster: Cluster,
  seed: number,
): { load: Load; oracle: Oracle } => {
  const oracle = new Oracle();
  const random = seededRandom(seed);
  const load = new Load({ cluster, oracle, table: TABLE, rate: 500, random });
  t.teardown(load.abandon);
  return { load, oracle };
};

test.serial(
  'SIGTERM under writes ends a node in time with 0, and its restart has everything',
  async (t) => {
    const cluster = await open(2);
    t.teardown(() => cluster.close());
    const { load, oracle } = loadOn(t, cluster, 3);
    await waitUntil('some writes', () => load.acknowledged > 300);
    const ended = await cluster.node(1).stop();
    t.is(ended.code, 0, await cluster.node(1).logTail());
    t.true(ended.afterMs < limits.stopMsMax);
    t.log(`stopped after ${Math.round(ended.afterMs)} ms`);
    await cluster.node(1).start();
    await load.stop();
    t.true((await checkSettled(cluster, oracle)) > 0);
  },
);

test.serial('a node alone in the world has everything after kill -9 and a restart', async (t) => {
  const cluster = await open(1);
  t.teardown(() => cluster.close());
  const { load, oracle } = loadOn(t, cluster, 4);
  await waitUntil('some writes', () => load.acknowledged > 500);
  await cluster.node(0).kill();
  await load.stop();
  await cluster.node(0).start();
  t.true((await checkSettled(cluster, oracle)) > 0);
});

test.serial('all nodes killed at once come back with every acknowledged write', async (t) => {
  const cluster = await open(3);
  t.teardown(() => cluster.close());
  const { load, oracle } = loadOn(t, cluster, 5);
  await waitUntil('some writes', () => load.acknowledged > 500);
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await load.stop();
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await cluster.connected();
  t.true((await checkSettled(cluster, oracle)) > 0);
});

const ROWS = 3_000;
const ROWS_IN_ONE = 100;

test.serial('a node whose disk is gone comes back by copy and says when it is ready', async (t) => {
  const cluster = await open(3, { logging: { level: 'info' } });
  t.teardown(() => cluster.close());
  const { client } = cluster.node(0);
  for (let first = 0; first < ROWS; first += ROWS_IN_ONE)
    await client.send({
      operation: 'insert',
      table: TABLE,
      records: Array.from({ length: ROWS_IN_ONE }, (_, at) => ({
        id: `row${first + at}`,
        bucket: 'b0',
      })),
    });
  // More entries than are replayed to an empty node: it has to copy.
  await Promise.all(
    Array.from({ length: limits.replayEntriesMax + 200 }, (_, at) =>
      client.send({ operation: 'update', table: TABLE, records: [{ id: `row${at}`, f0: at }] }),
    ),
  );
  await settle(cluster);
  const victim = cluster.node(2);
  await victim.kill();
  await victim.wipe();
  await mkdir(victim.rootPath, { recursive: true });
  const { load, oracle } = loadOn(t, cluster, 6);
  await victim.start();
  await waitUntil('writes beside the copy', () => load.acknowledged > 100);
  await load.stop();
  const dump = await settle(cluster);
  t.true((dump.get(`data.${TABLE}`) ?? []).length >= ROWS);
  t.true(oracle.answeredCount > 0);
  t.regex(await victim.log(), /"msg":"copy complete"/);
  t.is((await victim.client.probe('/readyz')).status, 200);
  const status = JSON.stringify(await victim.client.send({ operation: 'cluster_status' }));
  t.log(status.slice(0, 300));
  t.notRegex(status, /"entriesBehind":[1-9]/);
});

test.serial(
  'a second process on the same data fails and says why; the first is unharmed',
  async (t) => {
    const cluster = await open(1);
    t.teardown(() => cluster.close());
    const node = cluster.node(0);
    await node.client.send({ operation: 'insert', table: TABLE, records: [{ id: 'before' }] });
    const before = await dumpOf(node);
    const closed = ['REPLICATION_PORT', 'OPERATIONSAPI_NETWORK_PORT', 'DEBUG_PORT'];
    const second = await runCli([
      'start',
      '--ROOTPATH',
      node.rootPath,
      ...closed.flatMap((name) => [`--${name}`, 'null']),
    ]);
    t.is(second.code, 1);
    t.regex(second.stderr, /Another process has the data directory .* open/);
    t.deepEqual(await dumpOf(node), before);
    const inserted = await node.client.send({
      operation: 'insert',
      table: TABLE,
      records: [{ id: 'after' }],
    });
    t.like(inserted, { message: 'inserted 1 of 1 records' });
  },
);
