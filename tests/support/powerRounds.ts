/**
 * Rounds of load in which the power of one node fails. With flushed writes everything that was acknowledged must be
 * there; without, a node may lose whole transactions from the end, and nothing else. Called by system tests and
 * scripts/powerLoss.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, ClusterNode } from './cluster.js';
import { scan, settle } from './clusterDump.js';
import { Load } from './clusterLoad.js';
import { Oracle } from './clusterOracle.js';
import { checkSettled } from './killRounds.js';
import { afterPowerLoss, PoweredLife, type LostBytes } from './powerLoss.js';

const TABLE = 'rounds';
const LOAD_MS = 1_500;

export interface PowerRound extends LostBytes {
  readonly acknowledged: number;
  readonly rows: number;
}

/** Rejects when an acknowledged write is missing on any node. */
export const flushedRound = async (options: {
  cluster: Cluster;
  oracle: Oracle;
  victim: ClusterNode;
  rate: number;
  random: () => number;
}): Promise<PowerRound> => {
  const { cluster, oracle, victim, rate, random } = options;
  const life = await PoweredLife.watch(victim);
  const load = new Load({ cluster, oracle, table: TABLE, rate, random });
  let lost: LostBytes;
  let acknowledged: number;
  try {
    await sleep(LOAD_MS * (0.5 + random()));
    lost = await life.cut();
  } finally {
    ({ acknowledged } = await load.stop());
  }
  victim.nodeArguments = afterPowerLoss;
  await victim.start();
  return { ...lost, acknowledged, rows: await checkSettled(cluster, oracle) };
};

export const createRoundsTable = async (cluster: Cluster): Promise<void> => {
  const definition = { operation: 'create_table', table: TABLE, primary_key: 'id' };
  await cluster.node(0).client.send(definition);
  await settle(cluster);
};

const NUMBERED = 'numbered';
const ROWS_EACH = 5;

/**
 * One client writes transactions one after the other to the first node, whose power fails; the second runs or does not.
 * Rejects unless both then come to hold exactly the first m transactions, each whole. Returns m, how many were answered,
 * and how many the first node had by itself.
 */
export const suffixRound = async (
  cluster: Cluster,
  options: { from: number; random: () => number; peerRuns: boolean },
): Promise<LostBytes & { answered: number; alone: number; kept: number }> => {
  const [node, peer] = [cluster.node(0), cluster.node(1)];
  await cluster.connected();
  if (!options.peerRuns) await peer.stop();
  const life = await PoweredLife.watch(node);
  const writing = writeNumbered(node, options.from);
  await sleep(LOAD_MS * (0.5 + options.random()));
  const lost = await life.cut();
  const answered = await writing;
  node.nodeArguments = afterPowerLoss;
  if (options.peerRuns) await peer.stop();
  await node.start();
  const alone = await countWhole(node);
  await peer.start();
  await settle(cluster);
  const kept = await countWhole(node);
  if (kept > answered + 1) throw new Error(`${kept} transactions are there, ${answered} answered`);
  return { ...lost, answered, alone, kept };
};

export const createNumberedTable = async (node: ClusterNode): Promise<void> => {
  await node.client.send({ operation: 'create_table', table: NUMBERED, primary_key: 'id' });
};

/** Until the node is gone. The number of the last transaction that was answered. */
const writeNumbered = async (node: ClusterNode, from: number): Promise<number> => {
  for (let number = from; ; number++) {
    const records = Array.from({ length: ROWS_EACH }, (_, row) => ({
      id: `${number}-${row}`,
      number,
      text: 'x'.repeat(200),
    }));
    try {
      await node.client.send({ operation: 'insert', table: NUMBERED, records });
    } catch {
      // However the connection ended: the node is gone, and this one was not answered.
      return number - 1;
    }
  }
};

const countWhole = async (node: ClusterNode): Promise<number> => {
  const rows = await scan(node, { database: 'data', table: NUMBERED, primaryKey: 'id' });
  const counts = new Map<number, number>();
  for (const { number } of rows) counts.set(Number(number), (counts.get(Number(number)) ?? 0) + 1);
  for (let number = 1; number <= counts.size; number++)
    if (counts.get(number) !== ROWS_EACH)
      throw new Error(
        `${counts.get(number) ?? 0} of ${ROWS_EACH} rows of transaction ${number} are there, and ${counts.size} transactions`,
      );
  return counts.size;
};
