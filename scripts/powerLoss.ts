/**
 * `node dist/scripts/powerLoss.js --rounds 20 [--seed 1]`: cuts the power of real nodes (tests/support/powerLoss.ts): of
 * one of two under load with flushed writes, where nothing may be lost, and of one alone with `storage.writeAsync`, where
 * only whole transactions from the end may be. Needs Debian's strace. Run by hand. Exit code 1 at the first loss.
 */
import { parseArgs } from 'node:util';
import { startCluster } from '../tests/support/cluster.js';
import { seededRandom } from '../tests/support/clusterLoad.js';
import { Oracle } from '../tests/support/clusterOracle.js';
import {
  createNumberedTable,
  createRoundsTable,
  flushedRound,
  suffixRound,
} from '../tests/support/powerRounds.js';

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '20' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  });
  const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
  console.log(`${rounds} rounds each, seed ${seed}`);
  await withFlush(rounds, seededRandom(seed));
  await withoutFlush(rounds, seededRandom(seed + 1));
};

const withFlush = async (rounds: number, random: () => number): Promise<void> => {
  const cluster = await startCluster({ nodes: 2 });
  try {
    await createRoundsTable(cluster);
    const oracle = new Oracle();
    for (let round = 1; round <= rounds; round++) {
      const victim = cluster.node(Math.floor(random() * 2));
      const figures = await flushedRound({ cluster, oracle, victim, rate: 300, random });
      console.log(
        `flushed ${round}: ${figures.acknowledged} acknowledged, ${figures.bytes} bytes in ${figures.files} files lost, no write lost, ${figures.rows} rows`,
      );
    }
  } finally {
    await cluster.close();
  }
};

const withoutFlush = async (rounds: number, random: () => number): Promise<void> => {
  const cluster = await startCluster({ nodes: 2, config: { storage: { writeAsync: true } } });
  try {
    await createNumberedTable(cluster.node(0));
    let from = 1;
    for (let round = 1; round <= rounds; round++) {
      const peerRuns = round % 2 === 0;
      const figures = await suffixRound(cluster, { from, random, peerRuns });
      console.log(
        `not flushed ${round}, peer ${peerRuns ? 'running' : 'stopped'}: ${figures.answered} answered, the node alone has 1 to ${figures.alone}, with its peer 1 to ${figures.kept} (${figures.bytes} bytes lost)`,
      );
      from = figures.kept + 1;
    }
  } finally {
    await cluster.close();
  }
};

await main();
