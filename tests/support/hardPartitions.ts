/**
 * Writes on all nodes of a proxied cluster while one set of links after the other is cut, and then the fold of what was
 * acknowledged against what all of them hold. Called by tests/cluster/hardPartitions.test.ts and scripts/hardCases.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Load, type LoadFigures } from './clusterLoad.js';
import { Oracle } from './clusterOracle.js';
import { TABLE } from './hardCases.js';
import { checkSettled } from './killRounds.js';
import type { ProxiedCluster } from './proxiedCluster.js';

export interface PartitionRun {
  readonly proxied: ProxiedCluster;
  readonly seconds: number;
  readonly random: () => number;
  /** Operations per second. */
  readonly rate?: number;
  readonly told?: (cut: string) => void;
}

export interface PartitionFigures extends LoadFigures {
  readonly rows: number;
  readonly cuts: Readonly<Record<string, number>>;
  /** From the last heal until all are connected. */
  readonly healMs: number;
}

const CUT_MS = 2_000;
const KEYS = 50;
const RATE = 100;
const HEAL_MS_MAX = 30_000;

/** Rejects when a node ends with anything else than the fold, or links do not come back in time. */
export const runRotatingPartitions = async (run: PartitionRun): Promise<PartitionFigures> => {
  const { proxied, seconds, random, rate = RATE, told } = run;
  const { cluster, proxies } = proxied;
  await cluster.node(0).client.send({ operation: 'create_table', table: TABLE, primary_key: 'id' });
  const oracle = new Oracle();
  await checkSettled(cluster, oracle, TABLE);
  const load = new Load({ cluster, oracle, table: TABLE, rate, random, keys: KEYS });
  const cuts: Record<string, number> = {};
  let figures: LoadFigures;
  try {
    const until = performance.now() + seconds * 1_000;
    for (let at = 0; performance.now() < until; at++) {
      const name = CUT_NAMES[at % CUT_NAMES.length] ?? 'isolated';
      cuts[name] = (cuts[name] ?? 0) + 1;
      told?.(name);
      CUTS[name](proxied, random);
      await sleep(CUT_MS);
      for (const proxy of proxies) proxy.restore();
    }
  } finally {
    for (const proxy of proxies) proxy.restore();
    figures = await load.stop();
  }
  const healedAt = performance.now();
  await cluster.connected(HEAL_MS_MAX);
  const healMs = Math.round(performance.now() - healedAt);
  return { ...figures, cuts, healMs, rows: await checkSettled(cluster, oracle, TABLE) };
};

type CutName = 'isolated' | 'halves' | 'ring' | 'one way';
type Cut = (proxied: ProxiedCluster, random: () => number) => void;

/** Nodes of different groups do not reach each other. */
const split = ({ cluster, proxies }: ProxiedCluster, groupOf: (at: number) => number): void => {
  for (const [at, proxy] of proxies.entries())
    proxy.cutFrom(
      cluster.nodes.filter((_, other) => groupOf(other) !== groupOf(at)).map(({ name }) => name),
    );
};

const CUTS: Readonly<Record<CutName, Cut>> = {
  isolated: (proxied, random) => {
    const alone = Math.floor(random() * proxied.proxies.length);
    split(proxied, (at) => (at === alone ? 1 : 0));
  },
  halves: (proxied, random) => {
    const turn = Math.floor(random() * proxied.proxies.length);
    split(proxied, (at) => ((at + turn) % 2 === 0 ? 1 : 0));
  },
  /** Each reaches the next one only: the first and the third meet through the second. */
  ring: ({ cluster, proxies }, random) => {
    const turn = Math.floor(random() * proxies.length);
    const placeOf = (at: number): number => (at + turn) % proxies.length;
    for (const [at, proxy] of proxies.entries())
      proxy.cutFrom(
        cluster.nodes
          .filter((_, other) => Math.abs(placeOf(other) - placeOf(at)) > 1)
          .map(({ name }) => name),
      );
  },
  'one way': ({ proxies }, random) => {
    const deaf = Math.floor(random() * proxies.length);
    proxies[deaf]?.half(random() < 0.5 ? 'toTarget' : 'fromTarget');
  },
};

const CUT_NAMES = Object.keys(CUTS) as CutName[];
