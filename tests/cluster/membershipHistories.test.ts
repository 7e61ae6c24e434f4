/**
 * Random histories of membership with real processes, a few of them: the many are run by
 * scripts/membershipHistories.ts.
 */
import test from 'ava';
import { runMemberHistory } from '../support/memberHistory.js';

const first = Date.now() % 1_000_000;

/** One behind proxies that cut nodes off, one whose nodes move. */
for (const seed of [first, first + 1])
  test.serial(
    `after a random history all members are whole (${seed % 2 === 0 ? 'moving' : 'cut off'})`,
    async (t) => {
      t.log(`seed ${seed}`);
      const figures = await runMemberHistory({ seed });
      t.true(figures.notes > 0);
      t.log(
        `${figures.steps} steps, ${figures.notes} notes, whole ${figures.wholeMs} ms after the last`,
      );
    },
  );
