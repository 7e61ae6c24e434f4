/**
 * Runs random lists of commands in the executable model of the rules and in the small world of the product's own machines,
 * and compares what every node holds after each step. Run as
 * `node dist/scripts/compareModel.js --first 1 --lists 10000`; ends with 1 at the first difference, and prints its seed
 * and the list shortened as far as it goes.
 */
import { parseArgs } from 'node:util';
import { differenceIn, shortened } from '../tests/support/modelComparison.js';
import { SMALL_TIMES, smallWorld } from '../tests/support/modelOfSmall.js';
import { listOf, type MixName } from '../tests/support/modelLists.js';
import type { Command } from '../tests/support/smallCommands.js';

const { values: given } = parseArgs({
  options: {
    first: { type: 'string', default: '1' },
    lists: { type: 'string', default: '10000' },
  },
});
const first = Number(given.first);
const lists = Number(given.lists);
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(lists) || lists < 1)
  throw new Error('--first and --lists take whole numbers');

process.exitCode = await main();

async function main(): Promise<number> {
  const started = performance.now();
  const byMix = new Map<MixName, number>();
  let commands = 0;
  for (let seed = first; seed < first + lists; seed++) {
    const list = listOf(seed);
    byMix.set(list.mix, (byMix.get(list.mix) ?? 0) + 1);
    commands += list.commands.length;
    const fails = async (shorter: readonly Command[]) =>
      (await differenceOf(list.names, shorter)) !== null;
    if (!(await fails(list.commands))) continue;
    const least = await shortened(list.commands, fails);
    const difference = await differenceOf(list.names, least);
    console.error(`list ${seed} (${list.mix}, nodes ${list.names.join(' ')}) differs`);
    for (const command of least) console.error(`  ${JSON.stringify(command)}`);
    console.error(`after step ${difference?.step}, ${JSON.stringify(difference?.after)}:`);
    console.error(difference?.text);
    return 1;
  }
  const seconds = (performance.now() - started) / 1_000;
  const mixes = [...byMix].map(([mix, count]) => `${mix} ${count}`).join(', ');
  console.log(
    `${lists} lists (${mixes}), ${commands} commands, no difference, ${seconds.toFixed(1)} s`,
  );
  return 0;
}

function differenceOf(names: readonly string[], commands: readonly Command[]) {
  return differenceIn({ names, commands }, SMALL_TIMES, smallWorld(names));
}
