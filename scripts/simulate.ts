/**
 * Runs seeds of the cluster simulation and prints what happened in them. Run as `npm run simulate -- --seeds 2000`, or one
 * seed with all its events: `-- --seed 17 --trace`. Ends with 1 when a promise was broken, and prints the seed
 * with its options; the same seed always gives the same run.
 */
import { inspect, parseArgs } from 'node:util';
import { FAULTS, longOptionsOf, optionsOf } from '../tests/support/simulatedOptions.js';
import { simulate, type SimulationResult } from '../tests/support/simulatedCluster.js';

const { values: given } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    first: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    /** Go on after a failure, and list them all. */
    all: { type: 'boolean', default: false },
    /** At least 200 writes and several faults in each. */
    long: { type: 'boolean', default: false },
  },
});

const optionsFor = given.long ? longOptionsOf : optionsOf;

/** One seed in so many is run twice. */
const REPEATED_EVERY = 20;

const first = Number(given.seed ?? given.first);
const count = given.seed === undefined ? Number(given.seeds) : 1;
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1)
  throw new Error('--seeds, --first and --seed take whole numbers');

process.exitCode = await main();

async function main(): Promise<number> {
  const started = performance.now();
  const totals = new Map<string, number>();
  let failed = 0;
  let done = 0;
  for (let seed = first; seed < first + count; seed++) {
    const problem = await problemOf(seed, totals);
    done++;
    if (problem === null) continue;
    failed++;
    console.error(problem);
    if (!given.all) break;
  }
  const seconds = (performance.now() - started) / 1_000;
  printTotals(totals);
  console.log(
    `${done} seeds, ${failed} failed, ${seconds.toFixed(1)} s, ${(done / seconds).toFixed(0)} seeds a second`,
  );
  return failed === 0 ? 0 : 1;
}

async function problemOf(seed: number, totals: Map<string, number>): Promise<string | null> {
  const print = given.trace ? (line: string) => console.log(line) : undefined;
  const result = await simulate(seed, print, optionsFor(seed));
  for (const [what, by] of result.totals) totals.set(what, (totals.get(what) ?? 0) + by);
  if (result.failure) return failureText(result);
  if (seed % REPEATED_EVERY !== 0) return null;
  const again = await simulate(seed, undefined, optionsFor(seed));
  if (again.hash === result.hash) return null;
  return `seed ${seed} gave two different runs: ${result.hash} and ${again.hash}`;
}

function failureText({ options, failure, hash }: SimulationResult): string {
  const settings = inspect(options, { breakLength: 100, depth: 3 });
  return `seed ${options.seed} failed (${hash}): ${failure?.stack ?? ''}\n${settings}\nreplay: node dist/scripts/simulate.js${given.long ? ' --long' : ''} --seed ${options.seed} --trace`;
}

function printTotals(totals: ReadonlyMap<string, number>): void {
  for (const fault of FAULTS)
    if (!totals.has(fault) && fault !== 'diskError') console.log(`never: ${fault}`);
  for (const [what, number] of [...totals].sort(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${String(number).padStart(9)}  ${what}`);
}
