/**
 * The executable model of the rules and the product's own machines come to the same rows, positions, marks and clocks, step
 * by step, with any commands. A bounded share; scripts/compareModel.ts runs as many lists as wanted.
 */
import test from 'ava';
import { differenceIn } from '../support/modelComparison.js';
import { listOf } from '../support/modelLists.js';
import { SMALL_TIMES, smallWorld } from '../support/modelOfSmall.js';
import type { Command } from '../support/smallCommands.js';

const LISTS = 600;

test('the same commands give the same on every node, after each step', async (t) => {
  for (let seed = 1; seed <= LISTS; seed++) {
    const list = listOf(seed);
    const difference = await differenceIn(list, SMALL_TIMES, smallWorld(list.names));
    if (difference === null) continue;
    t.log(difference.text);
    t.fail(`node dist/scripts/compareModel.js --first ${seed} --lists 1: step ${difference.step}`);
  }
  t.pass();
});

test('a difference is found at the step that makes it', async (t) => {
  const commands: readonly Command[] = [
    ['write', 'a', [{ key: 'k', type: 'put', name: 'x', value: 1 }]],
    ['pull', 'b', 'a', 1],
    ['write', 'b', [{ key: 'k', type: 'delete', name: 'x', value: 2 }]],
  ];
  const other = smallWorld(['a', 'b']);
  const forgetful = {
    ...other,
    run: (command: Command): void => {
      if (command[0] !== 'pull') void other.run(command);
    },
  };
  const list = { names: ['a', 'b'], commands };
  t.is(await differenceIn(list, SMALL_TIMES, smallWorld(list.names)), null);
  t.like(await differenceIn(list, SMALL_TIMES, forgetful), {
    step: 2,
    after: ['pull', 'b', 'a', 1],
  });
});
