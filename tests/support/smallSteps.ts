/**
 * Commands of the small world in words as short as the counterexamples'. Used by the tests that spell out a list of
 * commands instead of drawing one. Runs nothing.
 */
import type { Command } from './smallCommands.js';
import type { Write } from './smallDisk.js';

export const write = (node: string, type: Write['type'], key: string, value = 1): Command => [
  'write',
  node,
  [{ key, type, name: 'x', value }],
];

/** The first takes over everything that the logs of the second have for it. */
export const all = (node: string, peer: string): Command => ['pull', node, peer, 99];

/** The first copies so many rows from the second. */
export const copy = (node: string, peer: string, count = 99): Command => [
  'copy',
  node,
  peer,
  count,
];

/** Time passes, and these trim and purge. */
export const forget = (trim: string, purge: string): Command[] => [
  ['time', 20],
  ...[...trim].map((node): Command => ['trim', node]),
  ...[...purge].map((node): Command => ['purge', node]),
];

/** Every link between one of these and one of those. */
export const between = (verb: 'cut' | 'heal', some: string, others: string): Command[] =>
  [...some].flatMap((a) => [...others].map((b): Command => [verb, a, b]));
