/**
 * Writes while real processes are killed with kill -9 and started again; afterwards every node holds what was
 * acknowledged. Two nodes too: a third hides losses. The long run is scripts/killLoop.ts.
 */
import test from 'ava';
import { startCluster } from '../support/cluster.js';
import { seededRandom } from '../support/clusterLoad.js';
import { runKillRounds } from '../support/killRounds.js';

const ROUNDS = 2;
const RATE = 500;

for (const nodes of [3, 2])
  test.serial(
    `of ${nodes} nodes a killed one comes back with every acknowledged write`,
    async (t) => {
      const seed = Date.now() % 1_000_000;
      t.log(`seed ${seed}`);
      const cluster = await startCluster({ nodes });
      t.teardown(() => cluster.close());
      const rounds = await runKillRounds({
        cluster,
        rounds: ROUNDS,
        rate: RATE,
        random: seededRandom(seed),
        phaseMs: 500,
      });
      for (const { acknowledged, settleMs } of rounds) {
        t.true(acknowledged > RATE / 2);
        t.log(`${acknowledged} writes acknowledged, equal ${settleMs} ms after the last`);
      }
    },
  );
