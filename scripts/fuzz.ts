/**
 * Feeds the readers of foreign bytes with inputs drawn from a seed. Run as
 * `node dist/scripts/fuzz.js --seed 1 --inputs 1000000`, with `--target frames` for one of them. Prints what became of the
 * inputs; ends with 1 and the input when a reader did anything but read or refuse, when memory grew, or when too few inputs
 * got past the outermost layer to mean anything.
 */
import { parseArgs } from 'node:util';
import { MIB } from '../protocol/limits.js';
import { fuzz, type FuzzReport } from '../tests/support/fuzzRun.js';
import { openTarget, TARGET_NAMES, type TargetName } from '../tests/support/fuzzTargets.js';

const { values: given } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    inputs: { type: 'string', default: '1000000' },
    target: { type: 'string' },
  },
});
const seed = Number(given.seed);
const inputs = Number(given.inputs);
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(inputs) || inputs < 1)
  throw new Error('--seed and --inputs take whole numbers');
const targets = TARGET_NAMES.filter((name) => given.target === undefined || name === given.target);
if (targets.length === 0) throw new Error(`--target is one of ${TARGET_NAMES.join(', ')}`);

/** Of all inputs; the others are refused by their first bytes and tell little. */
const HEADER_SHARE_MIN = 0.2;
const GROWTH_BYTES_MAX = 16 * MIB;

process.on('unhandledRejection', (reason) => {
  console.error('a rejection that nobody handles:', reason);
  process.exit(1);
});

for (const name of targets) await run(name);

async function run(name: TargetName): Promise<void> {
  const startedMs = performance.now();
  try {
    const report = await fuzz(await openTarget(name), { seed, inputs });
    print(name, report, (performance.now() - startedMs) / 1_000);
    const growth = report.heapBytesAfter - report.heapBytesBefore;
    if (report.headers / inputs < HEADER_SHARE_MIN) fail(`${name}: too few pass the header check`);
    if (growth > GROWTH_BYTES_MAX) fail(`${name}: the heap has grown by ${mib(growth)}`);
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}

function print(name: TargetName, report: FuzzReport, seconds: number): void {
  const share = (count: number): string => `${((100 * count) / report.inputs).toFixed(1)} %`;
  const refusals = [...report.refusals]
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${kind} ${share(count)}`);
  const { heapBytesBefore, heapBytesAfter } = report;
  console.log(
    [
      `${name}: ${report.inputs} inputs of seed ${seed}`,
      `changed from valid ones ${share(report.mutations)}`,
      `past the header check ${share(report.headers)}`,
      `read ${share(report.accepted)}`,
      `refused ${refusals.join(', ')}`,
      `slowest ${report.slowestMs.toFixed(0)} ms`,
      `heap ${mib(heapBytesBefore)} before, ${mib(heapBytesAfter)} after`,
      `${seconds.toFixed(0)} s`,
    ].join('; '),
  );
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

function fail(reason: string): void {
  console.error(reason);
  process.exitCode = 1;
}
