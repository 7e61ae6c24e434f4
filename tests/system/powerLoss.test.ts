/**
 * Loss of power under real processes: strace (Debian) tells what was flushed, and everything else is taken away. A
 * bounded share of scripts/powerLoss.ts.
 */
import test from 'ava';
import { startCluster } from '../support/cluster.js';
import { seededRandom } from '../support/clusterLoad.js';
import { Oracle } from '../support/clusterOracle.js';
import { flushedSizes } from '../support/powerLoss.js';
import {
  createNumberedTable,
  createRoundsTable,
  flushedRound,
  suffixRound,
} from '../support/powerRounds.js';

test.serial('no acknowledged write is lost with the power when writes are flushed', async (t) => {
  const cluster = await startCluster({ nodes: 2, firstAddress: 40 });
  t.teardown(() => cluster.close());
  await createRoundsTable(cluster);
  const [oracle, random] = [new Oracle(), seededRandom(11)];
  for (const victim of cluster.nodes) {
    const figures = await flushedRound({ cluster, oracle, victim, rate: 300, random });
    t.log(figures);
    t.true(figures.acknowledged > 50);
  }
});

test.serial('without flushing, only whole transactions from the end are lost', async (t) => {
  const config = { storage: { writeAsync: true } };
  const cluster = await startCluster({ nodes: 2, config, firstAddress: 42 });
  t.teardown(() => cluster.close());
  await createNumberedTable(cluster.node(0));
  const random = seededRandom(12);
  let from = 1;
  for (const peerRuns of [true, false]) {
    const figures = await suffixRound(cluster, { from, random, peerRuns });
    t.log(figures);
    t.true(figures.bytes > 0, 'something was lost, or this proves nothing');
    from = figures.kept + 1;
  }
});

test('bytes count as flushed when a flush that began after them has been answered', (t) => {
  const trace = [
    '10 write(5</d/a.log>, ""..., 100) = 100',
    '10 fdatasync(5</d/a.log>) = 0',
    '11 write(5</d/a.log>, ""..., 50 <unfinished ...>',
    '10 write(6</d/b.log>, ""..., 7) = 7',
    '11 <... write resumed>) = 50',
    '10 fdatasync(5</d/a.log> <unfinished ...>',
    '11 write(5</d/a.log>, ""..., 9) = 9',
    '10 <... fdatasync resumed>) = 0',
    '12 fdatasync(6</d/b.log> <unfinished ...>',
  ].join('\n');
  const flushed = flushedSizes(trace, new Map([['/d/b.log', 30]]));
  t.deepEqual(
    [...flushed],
    [
      ['/d/a.log', 150],
      ['/d/b.log', 30],
    ],
  );
});
