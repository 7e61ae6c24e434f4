/**
 * `node dist/scripts/statusHonesty.js --seed 1 --comparisons 1000`: asks real nodes under faults for cluster_status and
 * compares each claim with what is so. Run by hand. Prints how often each kind of claim was compared under each kind of
 * fault, and each lie with the whole answer and the truth. Exit code 1 when there is one, or a kind was never compared.
 */
import { parseArgs } from 'node:util';
import { compareWithTruth } from '../tests/support/statusTruth.js';
import { FAULTS } from '../tests/support/statusTruthParts.js';
import type { Lie, Truths } from '../tests/support/statusTruthRecord.js';

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      comparisons: { type: 'string', default: '1000' },
      address: { type: 'string', default: '2' },
    },
  });
  const [seed, comparisons, firstAddress] = [
    wholeNumber('seed', values.seed),
    wholeNumber('comparisons', values.comparisons),
    wholeNumber('address', values.address),
  ];
  console.log(`${comparisons} comparisons, seed ${seed}`);
  const truths = await compareWithTruth({ seed, comparisons, firstAddress, told: printLie });
  print(truths);
  const isComplete =
    [...truths.faults.values()].every((count) => count > 0) &&
    [...truths.counts.values()].every((counts) => totalOf(counts) > 0);
  if (!isComplete) console.log('some kinds were never compared');
  process.exitCode = isComplete && truths.lies.length === 0 ? 0 : 1;
};

const printLie = ({ status, truth, ...lie }: Lie): void => {
  console.log(`LIE ${JSON.stringify(lie)}`);
  console.log(`  truth ${JSON.stringify(truth)}`);
  console.log(`  status ${JSON.stringify(status)}`);
};

const print = (truths: Truths): void => {
  const { comparisons, writes, lies, counts, faults, roundTripsMs } = truths;
  const wide = (text: string | number): string => String(text).padStart(10);
  console.log(['under'.padEnd(26), 'all', ...FAULTS].map(wide).join(''));
  console.log(['comparisons'.padEnd(26), comparisons, ...faults.values()].map(wide).join(''));
  for (const [claim, byFault] of counts)
    console.log([claim.padEnd(26), totalOf(byFault), ...byFault.values()].map(wide).join(''));
  const at = (share: number): number =>
    roundTripsMs[Math.floor((roundTripsMs.length - 1) * share)] ?? 0;
  console.log(
    `${writes} writes beside; round trips ${at(0.5)} ms, ${at(0.99)} ms for 99 of 100, ${at(1)} ms at most`,
  );
  console.log(`${lies.length} lies in ${comparisons} comparisons`);
};

const totalOf = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((sum, count) => sum + count, 0);

const wholeNumber = (name: string, text: string): number => {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} must be a whole number`);
  return number;
};

await main();
