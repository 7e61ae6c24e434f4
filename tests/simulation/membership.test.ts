/**
 * A bounded share of the membership simulation: the first seeds, each with operators, faults and writes of its own. More
 * of them run with scripts/simulateMembership.ts, which also replays a seed that failed.
 */
import test from 'ava';
import {
  simulateMembership,
  type MembershipSimulationResult,
} from '../support/simulatedMembership.js';
import { MEMBERSHIP_FAULTS } from '../support/simulatedMembershipOptions.js';

const SEEDS = 60;
const REPEATED_EVERY = 12;

/** Limits are changed for each seed, so seeds run one after the other, before the tests. */
const results: MembershipSimulationResult[] = [];
const repeated = new Map<number, string>();

test.before(async (t) => {
  t.timeout(120_000);
  for (let seed = 1; seed <= SEEDS; seed++) {
    results.push(await simulateMembership(seed));
    if (seed % REPEATED_EVERY === 0) repeated.set(seed, (await simulateMembership(seed)).hash);
  }
});

test('nodes agree on members and data after any history, and nobody removed comes back', (t) => {
  for (const { options, failure } of results)
    if (failure) {
      t.log(failure.stack);
      t.fail(`replay: node dist/scripts/simulateMembership.js --seed ${options.seed} --trace`);
    }
  t.is(results.length, SEEDS);
});

test('a history gives the same run each time', (t) => {
  for (const { options, hash } of results) {
    const again = repeated.get(options.seed);
    if (again !== undefined) t.is(again, hash, `seed ${options.seed}`);
  }
  t.is(repeated.size, SEEDS / REPEATED_EVERY);
});

test('different seeds give different histories', (t) => {
  t.is(new Set(results.map(({ hash }) => hash)).size, SEEDS);
});

const HAPPENS = [
  ...MEMBERSHIP_FAULTS.filter((fault) => fault !== 'diskError' && fault !== 'crashActor'),
  'diskErrors',
  'crashed /cluster/membership',
  'crashed /cluster/peers',
  'crashed /cluster/listener',
  'batchesLostWithPower',
  'moves',
  'rejoins',
  'livesEnded',
  'removedAtTheEnd',
  'add_node done',
  'add_node alone',
  'add_node refused',
  'update_node done',
  'remove_node done',
  'frames CopyEnd',
  'clusters of 1',
  'clusters of 3',
  'clusters of 4',
  'writes acknowledged',
];

for (const what of HAPPENS)
  test(`among the histories it happens: ${what}`, (t) => {
    t.true(results.some(({ totals }) => (totals.get(what) ?? 0) > 0));
  });
