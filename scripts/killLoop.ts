/**
 * `node dist/scripts/killLoop.js --nodes 3 --rounds 20 --rate 500 [--seed 1]`: writes at a steady rate while random
 * nodes are killed and started again, and after each round compares all nodes with what was acknowledged.
 * Run by hand. Exit code 1 at the first difference, with the seed.
 */
import { parseArgs } from 'node:util';
import { startCluster } from '../tests/support/cluster.js';
import { seededRandom } from '../tests/support/clusterLoad.js';
import { runKillRounds, type RoundFigures } from '../tests/support/killRounds.js';

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '20' },
      rate: { type: 'string', default: '500' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  });
  const [nodes, rounds, rate, seed] = [
    wholeNumber('nodes', values.nodes),
    wholeNumber('rounds', values.rounds),
    wholeNumber('rate', values.rate),
    wholeNumber('seed', values.seed),
  ];
  console.log(`${nodes} nodes, ${rounds} rounds, ${rate} writes/s, seed ${seed}`);
  const cluster = await startCluster({ nodes });
  try {
    await runKillRounds({ cluster, rounds, rate, random: seededRandom(seed), told: print });
  } catch (error) {
    for (const node of cluster.nodes) console.error(`${node.name}:\n${await node.logTail()}`);
    throw error;
  } finally {
    await cluster.close();
  }
  console.log('all rounds ended with equal nodes and every acknowledged write');
};

const print = (round: number, figures: RoundFigures): void => {
  const { acknowledged, seconds, unanswered, refused, killed, settleMs, rows } = figures;
  const perSecond = Math.round(acknowledged / seconds);
  console.log(
    `round ${round}: ${acknowledged} acknowledged (${perSecond}/s), ${unanswered} unanswered, ${refused} refused, killed ${killed}, equal ${settleMs} ms after the last write, ${rows} rows`,
  );
  for (const [text, count] of Object.entries(figures.failures)) console.log(`  ${count} x ${text}`);
};

const wholeNumber = (name: string, text: string): number => {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} must be a whole number`);
  return number;
};

await main();
