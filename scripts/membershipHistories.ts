/**
 * `node dist/scripts/membershipHistories.js --seed 1 --histories 20 [--steps 16] [--verbose]`: random histories of four
 * real nodes that are added, removed, killed, moved and cut off under writes, and must be whole afterwards. Run by hand.
 * Exit code 1 when a history failed, after all of them.
 */
import { parseArgs } from 'node:util';
import { runMemberHistory } from '../tests/support/memberHistory.js';

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      histories: { type: 'string', default: '20' },
      steps: { type: 'string', default: '16' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const first = wholeNumber('seed', values.seed);
  const histories = wholeNumber('histories', values.histories);
  const steps = wholeNumber('steps', values.steps);
  const failed: number[] = [];
  for (let seed = first; seed < first + histories; seed++)
    if (!(await isWhole({ seed, steps, verbose: values.verbose }))) failed.push(seed);
  console.log(
    `${histories - failed.length} of ${histories} histories ended whole${failed.length > 0 ? `; not those of the seeds ${failed.join(', ')}` : ''}`,
  );
  if (failed.length > 0) process.exitCode = 1;
};

const isWhole = async (options: {
  seed: number;
  steps: number;
  verbose: boolean;
}): Promise<boolean> => {
  const { seed, steps, verbose } = options;
  const told = (step: string): void => console.log(`  ${step}`);
  try {
    const figures = await runMemberHistory({ seed, steps, ...(verbose && { told }) });
    console.log(
      `seed ${seed}: ${figures.steps} steps, ${figures.members} members, ${figures.notes} notes, whole ${figures.wholeMs} ms after the last step`,
    );
    return true;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return false;
  }
};

const wholeNumber = (name: string, text: string): number => {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} must be a whole number`);
  return number;
};

await main();
