/**
 * Edits of `replication.routes` where it is a list in brackets. Called by routesLayout.ts.
 */
import type { YAMLSeq } from 'yaml';
import type { RoutesLayout } from './routesLayout.js';
import { lineStart, nextLine, type Edit } from './textEdits.js';
import {
  commentsIn,
  contentEnd,
  flowText,
  inserted,
  isJson,
  offsetOf,
  startOf,
  UnfitLayout,
} from './yamlNodes.js';

/** The layout of such a list. */
export function routesInBrackets(text: string, list: YAMLSeq): RoutesLayout {
  const source = list.srcToken;
  if (source?.type !== 'flow-collection')
    throw new UnfitLayout('replication.routes is no plain list');
  const asJson = isJson(list);
  const items = list.items.map((node, index) => ({
    start: startOf(node),
    end: contentEnd(node),
    comma: offsetOf(source.items[index + 1]?.start ?? [], 'comma'),
  }));
  return {
    edit: (replaced, added) => [
      ...[...replaced].flatMap(([index, entry]) => {
        const item = items[index];
        if (item === undefined) return [];
        if (commentsIn(text, item.start, item.end).length > 0)
          throw new UnfitLayout('a route has a comment within');
        return [{ start: item.start, end: item.end, text: flowText([entry], asJson).slice(1, -1) }];
      }),
      ...(added.length === 0
        ? []
        : [flowAddition(startOf(list), items.at(-1)?.end, flowText(added, asJson))]),
    ],
    remove: (positions) => removeFromFlow(text, items, positions),
  };
}

function flowAddition(bracket: number, lastEnd: number | undefined, written: string): Edit {
  const inner = written.slice(1, -1);
  return lastEnd === undefined ? inserted(bracket + 1, inner) : inserted(lastEnd, `, ${inner}`);
}

interface FlowItem {
  readonly start: number;
  readonly end: number;
  readonly comma: number | undefined;
}

/** Routes at the end go with the comma before them, others with the comma behind them. */
function removeFromFlow(
  text: string,
  items: readonly FlowItem[],
  positions: ReadonlySet<number>,
): Edit[] {
  const lastKept = items.findLastIndex((_item, index) => !positions.has(index));
  const start = items[lastKept]?.end ?? items[0]?.start ?? 0;
  const end = items.at(-1)?.end ?? start;
  const isPlainEnd = commentsIn(text, start, end).length === 0;
  const single = items.flatMap((item, index) =>
    positions.has(index) && (index < lastKept || !isPlainEnd) ? [removedItem(text, item)] : [],
  );
  return isPlainEnd && start < end ? [...single, { start, end, text: '' }] : single;
}

function removedItem(text: string, { start, end, comma }: FlowItem): Edit {
  const behind = comma === undefined ? end : comma + 1;
  const blanks = /^[ \t]*/.exec(text.slice(behind))?.[0].length ?? 0;
  const next = text[behind + blanks];
  if (next !== '\n' && next !== '\r')
    return { start, end: next === '#' ? behind : behind + blanks, text: '' };
  const line = lineStart(text, start);
  return /^\s*$/.test(text.slice(line, start))
    ? { start: line, end: nextLine(text, behind), text: '' }
    : { start, end: behind, text: '' };
}
