/**
 * Nodes that write, forget, copy, part and fail in any order end equal, as the fold says; and each rule of catching up
 * is needed: without it, some list of commands ends wrong. The rules themselves are those of protocol/.
 */
import test from 'ava';
import { commandsOf, MIXES, type Command } from '../support/smallCommands.js';
import { RULES, type Rule } from '../support/smallRules.js';
import { all, copy, forget, write } from '../support/smallSteps.js';
import { play } from '../support/smallWorld.js';

const SEEDS = 1_500;
/** Enough for any rule that chance finds at all, in one of the mixes. */
const SEEDS_WITHOUT = 1_500;

for (const [name, mix] of Object.entries(MIXES))
  test(`after any commands of the mix '${name}' all nodes agree with the fold`, (t) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { names, commands } = commandsOf(seed, mix);
      const problem = play(names, commands);
      if (problem !== null) t.fail(`seed ${seed}: ${problem}`);
    }
    t.pass();
  });

/** What chance meets too seldom. */
const DIRECTED: readonly (readonly [string, string, Rule, readonly Command[]])[] = [
  [
    'CX-29: a row dropped on the word of a source that died',
    'abc',
    'what was dropped on the word of a lost source is written again',
    [
      write('a', 'put', 'p'),
      write('a', 'put', 'q'),
      all('b', 'a'),
      all('c', 'a'),
      write('a', 'delete', 'p'),
      ...forget('abc', 'abc'),
      copy('b', 'a', 1),
      ['wipe', 'a'],
      copy('b', 'c'),
    ],
  ],
  [
    'CX-30: what a source owes goes with its copies',
    'abc',
    'what a source owes is owed with its rows',
    [
      write('b', 'put', 'k'),
      write('b', 'put', 'q', 2),
      copy('c', 'b', 1),
      ['wipe', 'b'],
      ['start', 'b'],
      copy('c', 'a'),
      copy('b', 'c'),
      copy('a', 'c'),
      ['wipe', 'c'],
    ],
  ],
  [
    'CX-33: a purged delete ends a checkpoint',
    'abc',
    'a purge at the source ends a checkpoint',
    [
      write('b', 'put', 'k'),
      write('b', 'put', 'p', 2),
      ['sync', 'b'],
      all('c', 'b'),
      copy('a', 'b', 1),
      ['crash', 'a'],
      ['cut', 'b', 'c'],
      write('b', 'delete', 'p'),
      ...forget('bc', 'b'),
      ['start', 'a'],
      copy('a', 'b'),
      ['power', 'b'],
    ],
  ],
  [
    'CX-52: a delete that the vector does not cover is not purged',
    'abcd',
    'only deletes that the vector covers are purged',
    [
      write('b', 'put', 'k'),
      all('c', 'b'),
      all('d', 'b'),
      write('d', 'delete', 'k'),
      write('d', 'put', 'z', 2),
      copy('a', 'd', 1),
      ['wipe', 'd'],
      copy('a', 'b'),
      ...forget('a', 'a'),
    ],
  ],
];

for (const [title, names, rule, commands] of DIRECTED)
  test(`${title}: all agree, and would not without the rule`, (t) => {
    t.is(play([...names], commands), null);
    t.not(play([...names], commands, [rule]), null);
  });

const isDirected = (rule: Rule): boolean => DIRECTED.some(([, , one]) => one === rule);

for (const rule of RULES.filter((one) => !isDirected(one)))
  test(`without the rule that ${rule}, nodes end wrong`, (t) => {
    for (let seed = 1; seed <= SEEDS_WITHOUT; seed++)
      for (const mix of Object.values(MIXES)) {
        const { names, commands } = commandsOf(seed, mix);
        if (play(names, commands, [rule]) !== null) return void t.pass();
      }
    t.fail('no seed needs it');
  });
