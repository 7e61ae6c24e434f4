/**
 * Rounds of load in which one node is killed and started again, each checked against the oracle. Called by
 * tests/cluster and scripts/killLoop.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from './cluster.js';
import { settle, type Row } from './clusterDump.js';
import { INDEXED, Load, type LoadFigures } from './clusterLoad.js';
import { Oracle } from './clusterOracle.js';

export interface RoundFigures extends LoadFigures {
  readonly killed: string;
  readonly settleMs: number;
  readonly rows: number;
}

export interface KillRounds {
  readonly cluster: Cluster;
  readonly rounds: number;
  /** Operations per second. */
  readonly rate: number;
  readonly random: () => number;
  /** How long writes go on before the kill, without the node, and after its return. */
  readonly phaseMs?: number;
  readonly told?: (round: number, figures: RoundFigures) => void;
}

const TABLE = 'rounds';
const PHASE_MS = 700;
const PROBLEMS_SHOWN = 5;

/** Rejects when a node holds anything else than what was acknowledged comes to. */
export const runKillRounds = async (options: KillRounds): Promise<RoundFigures[]> => {
  const { cluster, rounds, told } = options;
  await cluster.node(0).client.send({
    operation: 'create_table',
    table: TABLE,
    primary_key: 'id',
  });
  await settle(cluster);
  const oracle = new Oracle();
  const all: RoundFigures[] = [];
  for (let round = 1; round <= rounds; round++) {
    const figures = await oneRound(options, oracle);
    told?.(round, figures);
    all.push(figures);
  }
  return all;
};

const oneRound = async (options: KillRounds, oracle: Oracle): Promise<RoundFigures> => {
  const { cluster, rate, random, phaseMs = PHASE_MS } = options;
  const victim = cluster.node(Math.floor(random() * cluster.nodes.length));
  const load = new Load({ cluster, oracle, table: TABLE, rate, random });
  let figures: LoadFigures;
  try {
    await sleep(phaseMs);
    await victim.kill();
    await sleep(phaseMs);
    await victim.start();
    await sleep(phaseMs);
  } finally {
    figures = await load.stop();
  }
  const stoppedAt = performance.now();
  const rows = await checkSettled(cluster, oracle);
  const settleMs = Math.round(performance.now() - stoppedAt);
  return { ...figures, killed: victim.name, settleMs, rows };
};

/** All nodes equal, and what the oracle says. The number of rows. */
export const checkSettled = async (
  cluster: Cluster,
  oracle: Oracle,
  table = TABLE,
): Promise<number> => {
  const name = `data.${table}`;
  const dump = await settle(cluster, { indexed: { [name]: INDEXED } });
  const rows = (dump.get(name) ?? []).map((text) => JSON.parse(text) as Row);
  const problems = oracle.problems(rows, 'id');
  if (problems.length > 0)
    throw new Error(
      `${problems.length} keys are not what was acknowledged:\n${problems.slice(0, PROBLEMS_SHOWN).join('\n')}`,
    );
  oracle.rebase(rows, 'id');
  return rows.length;
};
