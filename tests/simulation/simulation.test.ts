/**
 * A bounded share of the cluster simulation: the first seeds, each a cluster with its own faults and load. More of them
 * run with `npm run simulate`, which also replays a seed that failed.
 */
import test from 'ava';
import { simulate, type SimulationResult } from '../support/simulatedCluster.js';
import { FAULTS } from '../support/simulatedOptions.js';

const SEEDS = 600;
const REPEATED_EVERY = 30;

/** Limits are changed for each seed, so seeds run one after the other, before the tests. */
const results: SimulationResult[] = [];
const repeated = new Map<number, string>();

test.before(async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    results.push(await simulate(seed));
    if (seed % REPEATED_EVERY === 0) repeated.set(seed, (await simulate(seed)).hash);
  }
});

test('clusters keep every promise through faults and agree when they are healed', (t) => {
  for (const { options, failure } of results)
    if (failure) {
      t.log(failure.stack);
      t.fail(`replay: node dist/scripts/simulate.js --seed ${options.seed} --trace`);
    }
  t.is(results.length, SEEDS);
});

test('a seed gives the same run each time', (t) => {
  for (const { options, hash } of results) {
    const again = repeated.get(options.seed);
    if (again !== undefined) t.is(again, hash, `seed ${options.seed}`);
  }
  t.is(repeated.size, SEEDS / REPEATED_EVERY);
});

test('different seeds give different runs', (t) => {
  t.is(new Set(results.map(({ hash }) => hash)).size, SEEDS);
});

const HAPPENS = [
  ...FAULTS.filter((fault) => fault !== 'diskError'),
  'diskErrors',
  'crashesOfActors',
  'batchesLostWithPower',
  'batchesThatPurged',
  'batchesThatTrimmed',
  'clockReturns',
  'copiesCompleted',
  'copiesDisturbed',
  'copiesResumed',
  'entriesRelayed',
  'framesLost',
  'frames FramePart',
  'frames Refused',
  'frames TooOld',
  'operations acknowledged',
  'operations notStored',
  'operations unknown',
  'unknownAndNotStored',
  'unknownButStored',
  'versionTies',
  'wantsDropped',
  'warned: an entry is further ahead than replication.maxClockSkew',
  'warned: began a new incarnation: writes of the last run may be missing here',
  'warned: nobody has what a copy brought of this origin: it is written again',
  'written again: late news',
  'written again: the clock was ahead',
];

for (const what of HAPPENS)
  test(`among the seeds it happens: ${what}`, (t) => {
    t.true(results.some(({ totals }) => (totals.get(what) ?? 0) > 0));
  });
