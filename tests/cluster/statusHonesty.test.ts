/**
 * cluster_status beside the truth: real nodes under writes and faults are asked at random moments, and each claim is
 * compared with a round-trip write, the difference of two key sets, and what was done to the link. The long run is
 * scripts/statusHonesty.ts.
 */
import test from 'ava';
import { compareWithTruth } from '../support/statusTruth.js';

const COMPARISONS = 45;

test.serial('what cluster_status claims is so, whatever is done to links and nodes', async (t) => {
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  const truths = await compareWithTruth({ seed, comparisons: COMPARISONS });
  t.deepEqual(truths.lies, []);
  t.is(truths.comparisons, COMPARISONS);
  t.true(truths.writes > COMPARISONS);
  for (const claim of [
    'connected',
    'not connected',
    'receiving healthy',
    'sending healthy',
  ] as const) {
    const compared = [...(truths.counts.get(claim)?.values() ?? [])];
    t.true(
      compared.some((count) => count > 0),
      `"${claim}" was never compared`,
    );
  }
});
