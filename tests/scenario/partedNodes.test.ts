/**
 * Counterexamples about nodes that were apart for longer than deletes are remembered, as command lists of the small
 * world: what they end in, and that they would end otherwise without the rule.
 */
import test from 'ava';
import { decode } from '../../protocol/codec.js';
import { recordOf } from '../../protocol/row.js';
import type { Command } from '../support/smallCommands.js';
import type { SmallNode } from '../support/smallNode.js';
import type { Rule } from '../support/smallRules.js';
import { all, between, copy, forget, write } from '../support/smallSteps.js';
import { SmallWorld } from '../support/smallWorld.js';

/** More operations than that would be rows that are passed back and forth. */
const OPERATIONS_MAX = 12;

interface Case {
  readonly title: string;
  readonly names: string;
  readonly commands: readonly Command[];
  /** What every key shows on all nodes in the end; null: nothing. */
  readonly ends: Readonly<Record<string, number | null>>;
  /** Without these the list ends wrong; two where one makes up for the other. */
  readonly rules: readonly Rule[];
  /** Links that stay cut. */
  readonly apart?: readonly Command[];
}

const allFrom = (names: string, from: string): Command[] =>
  [...names].map((name) => all(name, from));

const CASES: readonly Case[] = [
  {
    title: 'CX-48: two pairs that copy from each other at once end equal',
    names: 'abcd',
    commands: [
      write('a', 'put', 'k'),
      write('a', 'put', 'p'),
      write('a', 'put', 'q'),
      ...allFrom('bcd', 'a'),
      ...between('cut', 'ab', 'cd'),
      write('b', 'delete', 'k'),
      write('b', 'patch', 'q', 5),
      all('a', 'b'),
      write('d', 'delete', 'p'),
      write('d', 'patch', 'k', 6),
      write('d', 'delete', 'q'),
      all('c', 'd'),
      ...forget('abcd', 'abcd'),
      ...between('heal', 'ab', 'cd'),
      copy('a', 'c', 1),
      copy('d', 'b', 1),
      copy('a', 'c', 1),
      copy('d', 'b', 1),
    ],
    ends: { k: 6, p: null, q: 5 },
    rules: [
      'news that the receiver may have forgotten the delete of is written again',
      'news that the source may have forgotten the delete of is written again',
    ],
  },
  {
    title: 'CX-49: the ends of a chain are reconciled through their neighbours',
    names: 'abcd',
    apart: [['cut', 'a', 'c'], ...between('cut', 'ab', 'd')],
    commands: [
      write('a', 'put', 'k'),
      write('a', 'put', 'p'),
      ...allFrom('b', 'a'),
      ...allFrom('c', 'b'),
      ...allFrom('d', 'c'),
      ['cut', 'b', 'c'],
      write('a', 'patch', 'k', 7),
      write('d', 'delete', 'k'),
      write('a', 'delete', 'p'),
      all('b', 'a'),
      all('c', 'd'),
      ...forget('abcd', 'abcd'),
      ['heal', 'b', 'c'],
    ],
    ends: { k: 7, p: null },
    rules: ['news that the source may have forgotten the delete of is written again'],
  },
  {
    title: 'CX-50: what a node that is gone wrote is taken, though its row was deleted elsewhere',
    names: 'abcx',
    commands: [
      ['cut', 'a', 'b'],
      ['cut', 'a', 'c'],
      write('x', 'put', 'k', 3),
      all('a', 'x'),
      ['wipe', 'x'],
      write('b', 'put', 'k', 4),
      write('b', 'delete', 'k'),
      all('c', 'b'),
      ...forget('abc', 'abc'),
    ],
    ends: { k: 3 },
    rules: ['news that the source may have forgotten the delete of is written again'],
  },
  {
    title: 'CX-53: a delete that comes in the middle of a copy is remembered to its end',
    names: 'abc',
    commands: [
      write('a', 'put', 'k'),
      write('a', 'put', 'q'),
      all('c', 'a'),
      copy('b', 'a', 1),
      write('c', 'delete', 'q'),
      all('b', 'c'),
      ...forget('abc', 'bc'),
      copy('b', 'a'),
    ],
    ends: { k: 1, q: null },
    rules: [
      'nothing is purged in the middle of a copy',
      'the receiver does not take what it knows to be superseded',
    ],
  },
  {
    title: 'CX-54: purging by a clock that is far too fast or too slow undoes nothing',
    names: 'abc',
    commands: [
      write('a', 'put', 'k'),
      write('a', 'put', 'p'),
      ...allFrom('bc', 'a'),
      ['skew', 'a', 1_500],
      ...between('cut', 'a', 'bc'),
      write('b', 'patch', 'k', 8),
      write('b', 'patch', 'p', 2),
      all('c', 'b'),
      write('a', 'delete', 'k'),
      write('a', 'delete', 'p'),
      ...forget('a', 'a'),
      ['skew', 'a', -1_500],
      ['purge', 'a'],
      ...between('heal', 'a', 'bc'),
    ],
    ends: { k: 8, p: 2 },
    rules: ['news that the receiver may have forgotten the delete of is written again'],
  },
  {
    title: 'CX-60: of a node that comes back after too long, what it wrote is written again',
    names: 'abc',
    commands: [
      ...between('cut', 'b', 'ac'),
      write('b', 'put', 'k', 1),
      write('a', 'put', 'k', 2),
      all('c', 'a'),
      write('a', 'delete', 'k'),
      ...forget('a', 'a'),
      all('c', 'a'),
    ],
    ends: { k: 1 },
    rules: ['news that the receiver may have forgotten the delete of is written again'],
  },
];

const valueIn = (node: SmallNode, key: string): unknown => {
  const row = node.shown(key);
  const body = row && recordOf(row);
  return body ? (decode(body) as { x: unknown }).x : null;
};

const played = ({ names, commands, apart = [] }: Case, off: readonly Rule[] = []) => {
  const world = new SmallWorld([...names], new Set(off));
  for (const command of [...apart, ...commands]) world.run(command);
  world.heal();
  for (const command of apart) world.run(command);
  return { world, problem: world.settle() ?? world.verdict() };
};

for (const one of CASES)
  test(one.title, (t) => {
    const { world, problem } = played(one);
    t.is(problem, null);
    for (const node of world.nodes.values())
      for (const [key, value] of Object.entries(one.ends))
        t.is(valueIn(node, key), value, `${key} on ${node.name}`);
    const vector = [...(world.nodes.get('a')?.disk.vector.values() ?? [])];
    const operations = vector.reduce((sum, { sequence }) => sum + sequence, 0);
    t.true(operations <= OPERATIONS_MAX, `${operations} operations`);
    t.not(played(one, one.rules).problem, null, 'the rules were not needed');
  });

test('CX-60: of a node that comes back in time, nothing older than the delete returns', (t) => {
  const { world, problem } = played({
    title: '',
    names: 'ab',
    commands: [
      ['cut', 'a', 'b'],
      write('b', 'put', 'k', 1),
      write('a', 'put', 'k', 2),
      write('a', 'delete', 'k'),
      ['heal', 'a', 'b'],
      all('a', 'b'),
      all('b', 'a'),
    ],
    ends: {},
    rules: [],
  });
  t.is(problem, null);
  for (const node of world.nodes.values()) t.is(valueIn(node, 'k'), null, node.name);
});
