/**
 * Runs seeds of the membership simulation and prints what happened in them. Run as
 * `node dist/scripts/simulateMembership.js --first 1 --seeds 500`, or one seed with all its events: `--seed 17 --trace`.
 * Ends with 1 when a promise was broken, and prints the seed with its options; the same seed always gives the same run.
 */
import { inspect, parseArgs } from 'node:util';
import { MEMBERSHIP_FAULTS } from '../tests/support/simulatedMembershipOptions.js';
import {
  simulateMembership,
  type MembershipSimulationResult,
} from '../tests/support/simulatedMembership.js';

const { values: given } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    first: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    /** Go on after a failure, and list them all. */
    all: { type: 'boolean', default: false },
  },
});

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
    `${done} seeds, ${failed} failed, ${seconds.toFixed(1)} s, ${(done / seconds).toFixed(1)} seeds a second`,
  );
  return failed === 0 ? 0 : 1;
}

async function problemOf(seed: number, totals: Map<string, number>): Promise<string | null> {
  const print = given.trace ? (line: string) => console.log(line) : undefined;
  const result = await simulateMembership(seed, print);
  for (const [what, by] of result.totals) totals.set(what, (totals.get(what) ?? 0) + by);
  if (result.failure) return failureText(result);
  if (seed % REPEATED_EVERY !== 0) return null;
  const again = await simulateMembership(seed);
  if (again.hash === result.hash) return null;
  return `seed ${seed} gave two different runs: ${result.hash} and ${again.hash}`;
}

function failureText({ options, failure, hash }: MembershipSimulationResult): string {
  const settings = inspect(options, { breakLength: 100, depth: 3 });
  const cause = failure?.cause instanceof Error ? `\ncause: ${failure.cause.stack}` : '';
  return `seed ${options.seed} failed (${hash}): ${failure?.stack ?? ''}${cause}\n${settings}\nreplay: node dist/scripts/simulateMembership.js --seed ${options.seed} --trace`;
}

function printTotals(totals: ReadonlyMap<string, number>): void {
  for (const fault of MEMBERSHIP_FAULTS)
    if (!totals.has(fault) && fault !== 'diskError' && fault !== 'crashActor')
      console.log(`never: ${fault}`);
  for (const [what, number] of [...totals].sort(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${String(number).padStart(9)}  ${what}`);
}
