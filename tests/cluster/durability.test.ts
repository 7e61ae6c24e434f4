/**
 * What survives how a process ends: asked to stop under writes, all killed at once, a disk that is gone, a second
 * process on the same directory.
 */
import { mkdir } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../config/types.js';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { isConnectionFailure } from '../support/clusterClient.js';
import { Load, seededRandom } from '../support/clusterLoad.js';
import { dumpOf, settle } from '../support/clusterDump.js';
import { Oracle } from '../support/clusterOracle.js';
import { checkSettled } from '../support/killRounds.js';
import { runCli } from '../support/runCli.js';
import { waitUntil } from '../support/waitUntil.js';
import { KIB, limits } from '../../protocol/limits.js';

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

interface Status {
  readonly databases: readonly {
    readonly database: string;
    readonly ready: boolean;
    readonly copy?: { readonly rows_done: number; readonly rows_estimated: number };
  }[];
}

const statusOf = async (node: ClusterNode): Promise<Status> =>
  (await node.client.send({ operation: 'cluster_status' })) as Status;

/** Shares of the rows that are there, at each look until the database is ready and all of them are. */
const copyProgress = async (node: ClusterNode): Promise<number[]> => {
  const shares: number[] = [];
  await waitUntil('the end of the copy', async () => {
    const status = await statusOf(node).catch(ignoreNotListening);
    const data = status?.databases.find(({ database }) => database === 'data');
    if (data?.copy && data.copy.rows_estimated > 0)
      shares.push(data.copy.rows_done / data.copy.rows_estimated);
    return data?.ready && shares.at(-1) === 1 && (await node.client.isReady());
  });
  return shares;
};

const ignoreNotListening = (error: unknown): undefined => {
  if (!isConnectionFailure(error)) throw error;
};

/** As the log says, for each copy that was completed, the largest first. */
const rowsCopied = async (node: ClusterNode): Promise<number[]> =>
  (await node.log())
    .split('\n')
    .filter((line) => line.includes('"copy complete"'))
    .map((line) => (JSON.parse(line) as { rows: number }).rows)
    .sort((a, b) => b - a);

const ROWS = 6_000;
/** Makes the copy long enough to be looked at. */
const FILLER = 'x'.repeat(4 * KIB);
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
        filler: FILLER,
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
  await victim.launch();
  const progress = await copyProgress(victim);
  await victim.ready();
  await waitUntil('writes beside the copy', () => load.acknowledged > 100);
  await load.stop();
  const dump = await settle(cluster);
  t.true((dump.get(`data.${TABLE}`) ?? []).length >= ROWS);
  t.true(oracle.answeredCount > 0);
  t.deepEqual(
    progress,
    [...progress].sort((a, b) => a - b),
  );
  t.true(progress.every((part) => part >= 0 && part <= 1));
  t.log(`seen of the copy: ${progress.map((part) => `${Math.round(part * 100)} %`).join(', ')}`);
  const [copied = 0] = await rowsCopied(victim);
  t.true(copied >= ROWS, `${copied} rows were copied`);
  const status = await statusOf(victim);
  t.true(status.databases.every(({ ready }) => ready));
  t.is(progress.at(-1), 1);
  t.notRegex(JSON.stringify(status), /"entriesBehind":[1-9]/);
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
