/**
 * The supervision tree for the eye: an aligned table, and a graph for graphviz.
 * Called by the debug endpoint. Pure: the clock is an argument.
 */
import type { ActorSnapshot, DeadLetter } from '../actors/kernel/types.js';

/**
 * One line per actor, children indented below their parent, then the dead letters, newest last.
 * Columns: actor, state, phase, mailbox control/data, processed, restarts, last crash. `now` in
 * milliseconds since the epoch.
 */
export const treeText = (
  tree: readonly ActorSnapshot[],
  deadLetters: readonly DeadLetter[],
  now: number,
): string => {
  const rows = [HEADINGS, ...tree.flatMap((actor) => rowsOf(actor, { depth: 0, now }))];
  const letters = deadLetters.map((letter) => deadLetterLine(letter, now));
  return [...aligned(rows), '', `dead letters: ${deadLetters.length}`, ...letters, ''].join('\n');
};

/** A `digraph` with one box per actor, coloured by how it is. */
export const treeDot = (tree: readonly ActorSnapshot[]): string => {
  const lines = tree.flatMap((actor) => dotLines(actor, undefined));
  return [
    'digraph actors {',
    '  rankdir=LR;',
    '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
    ...lines,
    '}',
    '',
  ].join('\n');
};

/** `text` on one line, with everything that could steer a terminal written as `\u....`. */
export const printable = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );

/** Cells padded to the widest of their column; the last column is not padded. */
export const aligned = (rows: readonly (readonly string[])[]): string[] => {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
};

const HEADINGS = ['actor', 'state', 'phase', 'mailbox', 'processed', 'restarts', 'last crash'];

const rowsOf = (actor: ActorSnapshot, place: { depth: number; now: number }): string[][] => [
  [
    `${'  '.repeat(place.depth)}${printable(actor.name)}`,
    actor.hung ? `${actor.state} (hung)` : actor.state,
    printable(actor.phase),
    `${actor.mailbox.control}/${actor.mailbox.data}`,
    String(actor.processed),
    String(actor.restarts),
    crashText(actor, place.now),
  ],
  ...actor.children.flatMap((child) => rowsOf(child, { depth: place.depth + 1, now: place.now })),
];

const crashText = ({ lastCrash }: ActorSnapshot, now: number): string =>
  lastCrash === undefined
    ? '-'
    : `${ago(now - lastCrash.at)}, during ${printable(lastCrash.during)}: ${printable(lastCrash.message)}`;

const deadLetterLine = (letter: DeadLetter, now: number): string =>
  `  ${ago(now - letter.at)}  ${printable(letter.message)} to ${printable(letter.path)} (${letter.why})`;

const ago = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) {
    return `${seconds} s ago`;
  }
  return seconds < 7200
    ? `${Math.round(seconds / 60)} min ago`
    : `${Math.round(seconds / 3600)} h ago`;
};

const dotLines = (actor: ActorSnapshot, parent: string | undefined): string[] => {
  const label = `${actor.name}\n${actor.phase}, ${actor.restarts} restarts`;
  const own = `  ${quoted(actor.path)} [label=${quoted(label)}, fillcolor=${quoted(colourOf(actor))}];`;
  const edge = parent === undefined ? [] : [`  ${quoted(parent)} -> ${quoted(actor.path)};`];
  return [own, ...edge, ...actor.children.flatMap((child) => dotLines(child, actor.path))];
};

const colourOf = (actor: ActorSnapshot): string => {
  if (actor.hung || actor.state === 'failed') {
    return '#f4a6a0';
  }
  if (actor.state !== 'running') {
    return '#f6d88a';
  }
  return actor.restarts > 0 ? '#dfe9b8' : '#b9dfc0';
};

const quoted = (text: string): string => {
  const lines = text.split('\n').map(printable);
  return `"${lines.map((line) => line.replaceAll('\\', '\\\\').replaceAll('"', '\\"')).join('\\n')}"`;
};
