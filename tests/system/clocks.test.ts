/**
 * Real processes whose wall clocks are behind, go back over a restart, run ahead and come back, or jump: no write is
 * ordered before what its writer had read, and everything that was answered reaches every node.
 */
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../config/types.js';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { settle } from '../support/clusterDump.js';
import { FakeClock } from '../support/fakeClock.js';
import { waitUntil } from '../support/waitUntil.js';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const WIDE: ConfigInput = { replication: { maxClockSkew: 2 * HOUR_MS } };

interface Stage {
  readonly cluster: Cluster;
  readonly clocks: readonly FakeClock[];
  node(index: number): ClusterNode;
  clock(index: number): FakeClock;
  /** Another life of a node that does not run. */
  start(index: number): Promise<void>;
}

/** Nodes with clocks that are so far ahead at their start, and the table `row` on all of them. */
const stageOf = async (
  t: ExecutionContext,
  aheadMs: readonly number[],
  config: ConfigInput = {},
): Promise<Stage> => {
  const cluster = await startCluster({
    nodes: aheadMs.length,
    asleep: aheadMs.map((_, index) => index),
    config,
  });
  const clocks = aheadMs.map((ms) => new FakeClock(ms));
  const pids: number[] = [];
  t.teardown(async () => {
    await cluster.close();
    for (const clock of clocks) clock.remove(pids);
  });
  const at = <T>(list: readonly T[], index: number): T => list[index] ?? t.fail(`no ${index}`);
  for (const [index, node] of cluster.nodes.entries())
    node.environment = at(clocks, index).environment;
  const start = async (index: number): Promise<void> => {
    await cluster.node(index).launch();
    pids.push(cluster.node(index).pid);
    await cluster.node(index).ready();
  };
  await Promise.all(aheadMs.map((_, index) => start(index)));
  await cluster.connected();
  return {
    cluster,
    clocks,
    start,
    node: (index) => cluster.node(index),
    clock: (index) => at(clocks, index),
  };
};

const define = (node: ClusterNode): Promise<unknown> =>
  node.client.send({ operation: 'create_table', table: 'row', primary_key: 'id' });

const hasTable = (node: ClusterNode): Promise<boolean> =>
  node.client.send({ operation: 'describe_table', table: 'row' }).then(
    () => true,
    () => false,
  );

const put = (node: ClusterNode, id: string, value: number): Promise<unknown> =>
  node.client.send({ operation: 'upsert', table: 'row', records: [{ id, value }] });

const get = async (node: ClusterNode, id: string): Promise<number | undefined> => {
  const question = { operation: 'search_by_id', table: 'row', ids: [id] };
  const [record] = (await node.client.send(question)) as { value: number }[];
  return record?.value;
};

const becomes = (node: ClusterNode, id: string, value: number): Promise<unknown> =>
  waitUntil(
    `${id} to be ${value} on ${node.name}`,
    async () => (await get(node, id)) === value,
    20_000,
  );

interface DatabaseStatus {
  readonly database: string;
  readonly ownPast?: string;
  readonly refuses?: { readonly reason: string };
  readonly refusedBy?: readonly { readonly node: string; readonly reason: string }[];
}

const statusOf = async (node: ClusterNode): Promise<DatabaseStatus | undefined> => {
  const status = (await node.client.send({ operation: 'cluster_status' })) as {
    databases: DatabaseStatus[];
  };
  return status.databases.find(({ database }) => database === 'data');
};

test('CV-05: an update after a read wins, though it is made by a clock that is behind', async (t) => {
  const { node } = await stageOf(t, [0, -10 * MINUTE_MS], WIDE);
  await define(node(0));
  await waitUntil('the table', () => hasTable(node(1)));
  await put(node(0), 'k', 1);
  await becomes(node(1), 'k', 1);
  await put(node(1), 'k', 2);
  t.is(await get(node(1), 'k'), 2);
  await becomes(node(0), 'k', 2);
});

test('CV-07: a clock that goes back over a restart makes no write older than the last', async (t) => {
  const { node, clock, start } = await stageOf(t, [HOUR_MS, 0], WIDE);
  await define(node(0));
  await waitUntil('the table', () => hasTable(node(1)));
  await put(node(0), 'k', 1);
  await becomes(node(1), 'k', 1);
  await node(0).kill();
  clock(0).set(0);
  await start(0);
  await put(node(0), 'k', 2);
  t.is(await get(node(0), 'k'), 2);
  await becomes(node(1), 'k', 2);
});

test('CX-07: a clock an hour ahead is refused by name, and what it wrote arrives when it is right again', async (t) => {
  const { node, clock, cluster, start } = await stageOf(t, [0, 0, 0]);
  await define(node(0));
  for (const index of [1, 2]) await waitUntil('the table', () => hasTable(node(index)));
  clock(1).set(HOUR_MS);
  await put(node(1), 'k', 1);
  await put(node(2), 'p', 1);
  await becomes(node(0), 'p', 1);
  t.is(await get(node(0), 'k'), undefined);
  for (const index of [0, 2]) {
    const reason = await waitUntil(
      'a refusal',
      async () => (await statusOf(node(index)))?.refuses?.reason,
    );
    t.true(reason.startsWith(`the clock of ${node(1).name} is 3`), reason);
  }
  const told = await waitUntil('both to be told of', async () => {
    const refusedBy = (await statusOf(node(1)))?.refusedBy;
    return refusedBy?.length === 2 && refusedBy;
  });
  t.deepEqual(told.map((one) => one.node).sort(), [node(0).name, node(2).name].sort());
  await node(1).kill();
  clock(1).set(0);
  await start(1);
  await becomes(node(0), 'k', 1);
  await becomes(node(2), 'k', 1);
  t.regex((await statusOf(node(1)))?.ownPast ?? '', /^the clock was ahead, and no peer takes/);
  await put(node(1), 'k', 2);
  for (const index of [0, 1, 2]) await becomes(node(index), 'k', 2);
  const dump = await settle(cluster, { msMax: 30_000 });
  t.is(dump.get('data.row')?.length, 2);
});

test('with clocks that jump, everything that was answered is on every node', async (t) => {
  const { node, clocks, cluster } = await stageOf(t, [0, 0, 0], {
    replication: { maxClockSkew: 5_000 },
  });
  await define(node(0));
  for (const index of [1, 2]) await waitUntil('the table', () => hasTable(node(index)));
  const answered: string[] = [];
  const offsets = [0, 12_000, -600_000, 3_000, 9_000, -2_000, 15_000, 0];
  for (const [round, offset] of offsets.entries()) {
    clocks[round % clocks.length]?.set(offset);
    for (const [index, one] of cluster.nodes.entries())
      for (const place of [1, 2, 3]) {
        const id = `${round}-${index}-${place}`;
        await put(one, id, round);
        await put(one, 'shared', round * 100 + index * 10 + place);
        answered.push(id);
      }
  }
  for (const clock of clocks) clock.set(0);
  const dump = await settle(cluster, { msMax: 90_000 });
  const held = new Set(
    dump.get('data.row')?.map((text) => String((JSON.parse(text) as { id: unknown }).id)),
  );
  t.deepEqual(
    answered.filter((id) => !held.has(id)),
    [],
  );
  t.is(held.size, answered.length + 1);
});
