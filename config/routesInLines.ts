/**
 * Edits of `replication.routes` where each route begins on a line of its own, with a dash. Called by routesLayout.ts.
 */
import type { Pair, YAMLSeq } from 'yaml';
import type { RouteEntry, RoutesLayout } from './routesLayout.js';
import { columnOf, lineEnd, lineStart, newlineOf, nextLine, type Edit } from './textEdits.js';
import {
  colonOf,
  commentsIn,
  contentEnd,
  inserted,
  linesBelow,
  linesOf,
  offsetOf,
  startOf,
  UnfitLayout,
} from './yamlNodes.js';

/** The layout of a list under its key. */
export function routesInLines(
  text: string,
  { pair, list }: { readonly pair: Pair; readonly list: YAMLSeq },
): RoutesLayout {
  const source = list.srcToken;
  if (source?.type !== 'block-seq') throw new UnfitLayout('replication.routes is no plain list');
  const dashes = source.items.map(({ start }) => offsetOf(start, 'seq-item-ind'));
  const items = list.items.map((node, index) => {
    const dash = dashes[index];
    if (dash === undefined || !/^\s*$/.test(text.slice(lineStart(text, dash), dash)))
      throw new UnfitLayout('a route does not begin on a line of its own');
    return { node, dash, end: Math.max(dash + 1, contentEnd(node)) };
  });
  const column = columnOf(text, items[0]?.dash ?? 0);
  return {
    edit: (replaced, added) => [
      ...[...replaced].flatMap(([index, entry]) => {
        const item = items[index];
        return item === undefined ? [] : replacedLines(text, { ...item, column }, entry);
      }),
      ...(added.length === 0
        ? []
        : [
            inserted(
              lineEnd(text, items.at(-1)?.end ?? 0),
              linesBelow(text, { value: added, column, step: 2 }),
            ),
          ]),
    ],
    remove: (positions) => {
      const lines = items
        .filter((_item, index) => positions.has(index))
        .map(({ dash, end }) => ({
          start: lineStart(text, dash),
          end: nextLine(text, lineEnd(text, end)),
          text: '',
        }));
      if (positions.size < items.length) return lines;
      const colon = colonOf(pair);
      if (colon === undefined) throw new UnfitLayout('a key has no colon');
      return [inserted(colon + 1, ' []'), ...lines];
    },
  };
}

interface BlockItem {
  readonly node: unknown;
  readonly dash: number;
  readonly end: number;
  readonly column: number;
}

/** Comments within the old route move above the new one. */
function replacedLines(text: string, item: BlockItem, entry: RouteEntry): Edit[] {
  const start = Math.max(item.dash + 1, startOf(item.node));
  const newline = newlineOf(text);
  const between = newline + ' '.repeat(columnOf(text, start));
  const written = linesOf(entry, 2).join(between);
  const above = commentsIn(text, start, item.end).map(
    (comment) => ' '.repeat(item.column) + comment + newline,
  );
  return [
    inserted(lineStart(text, item.dash), above.join('')),
    { start, end: item.end, text: start === item.dash + 1 ? ` ${written}` : written },
  ];
}
