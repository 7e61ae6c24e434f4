/**
 * Where `replication.routes` stands in the text of a configuration file, and the edits that change it there: a document
 * that is written anew would lose indentation, quotes and the places of comments. Called by routesDocument.ts, which
 * checks the outcome; a layout that these edits do not fit shows there.
 */
import { isMap, isScalar, isSeq, parseDocument, type Pair, type YAMLMap, type YAMLSeq } from 'yaml';
import { routesInBrackets } from './routesInBrackets.js';
import { routesInLines } from './routesInLines.js';
import { columnOf, lineEnd, newlineOf, type Edit } from './textEdits.js';
import {
  colonOf,
  contentEnd,
  flowText,
  inserted,
  isJson,
  linesBelow,
  linesOf,
  pairEnd,
  startOf,
  UnfitLayout,
} from './yamlNodes.js';

/** A route as it is written in the file. */
export type RouteEntry = string | Readonly<Record<string, unknown>>;

export interface RoutesLayout {
  /** Routes at positions of the list become others; further ones come at its end. */
  edit(replaced: ReadonlyMap<number, RouteEntry>, added: readonly RouteEntry[]): Edit[];
  remove(positions: ReadonlySet<number>): Edit[];
}

/** The layout of a text that parseConfigFile has accepted. Throws UnfitLayout. */
export function layoutOf(text: string): RoutesLayout {
  const document = parseDocument(text, { keepSourceTokens: true });
  const place = placeOf(document.contents);
  if (place.kind === 'list') {
    const isFlow = place.list.flow === true;
    return isFlow ? routesInBrackets(text, place.list) : routesInLines(text, place);
  }
  return {
    edit: (_replaced, added) => (added.length === 0 ? [] : newList(text, place, added)),
    remove: () => [],
  };
}

// ---- the place

interface ListPlace {
  readonly kind: 'list';
  readonly pair: Pair;
  readonly list: YAMLSeq;
}

type Place =
  | ListPlace
  /** A key without a value; below it, `missing` is to come. */
  | {
      readonly kind: 'key';
      readonly pair: Pair;
      readonly parent: YAMLMap;
      readonly missing: readonly string[];
    }
  | { readonly kind: 'map'; readonly map: YAMLMap; readonly missing: readonly string[] }
  | { readonly kind: 'nothing' };

function placeOf(contents: unknown): Place {
  let map = contents;
  const missing = ['replication', 'routes'];
  while (isMap(map)) {
    const [key] = missing;
    const pair = map.items.find((item) => isScalar(item.key) && item.key.value === key);
    if (pair === undefined) return { kind: 'map', map, missing };
    missing.shift();
    if (isNull(pair.value)) return { kind: 'key', pair, parent: map, missing };
    if (missing.length === 0) {
      if (isSeq(pair.value)) return { kind: 'list', pair, list: pair.value };
      throw new UnfitLayout('replication.routes is no plain list');
    }
    map = pair.value;
  }
  if (map === contents && isNull(contents)) return { kind: 'nothing' };
  throw new UnfitLayout('replication is no plain section');
}

const isNull = (node: unknown): boolean =>
  node === null || node === undefined || (isScalar(node) && node.value === null);

// ---- a list that is to be made

function newList(
  text: string,
  place: Exclude<Place, ListPlace>,
  added: readonly RouteEntry[],
): Edit[] {
  if (place.kind === 'nothing') return newDocument(text, added);
  const value = nest(place.missing, added);
  const parent = place.kind === 'map' ? place.map : place.parent;
  if (parent.flow === true) return inFlow(parent, place, value);
  const step = indentStep(text, parent);
  const [first] = parent.items;
  const column = columnOf(text, startOf(first?.key));
  if (place.kind === 'map') {
    const end = lineEnd(text, contentEnd(parent));
    return [inserted(end, linesBelow(text, { value, column, step }))];
  }
  const colon = colonOf(place.pair);
  if (colon === undefined) throw new UnfitLayout('a key has no colon');
  const end = Math.max(colon + 1, contentEnd(place.pair.value));
  return [
    ...withoutNull(text, place.pair.value),
    inserted(lineEnd(text, end), linesBelow(text, { value, column: column + step, step })),
  ];
}

function newDocument(text: string, added: readonly RouteEntry[]): Edit[] {
  const newline = newlineOf(text);
  const lines = linesOf({ replication: { routes: added } }, 2).join(newline);
  const isOpen = text !== '' && !text.endsWith('\n');
  return [inserted(text.length, isOpen ? newline + lines : lines + newline)];
}

const nest = (keys: readonly string[], value: unknown): unknown =>
  keys.reduceRight((inner, key) => ({ [key]: inner }), value);

/** `null` and `~` go, with the blanks before them. */
function withoutNull(text: string, value: unknown): Edit[] {
  const start = startOf(value);
  const end = contentEnd(value);
  if (start === end) return [];
  const blanks = /[ \t]*$/.exec(text.slice(0, start))?.[0].length ?? 0;
  return [{ start: start - blanks, end, text: '' }];
}

/** How far the keys of a section stand to the right of its own, by the first section there is. */
function indentStep(text: string, map: YAMLMap): number {
  for (const { key, value } of map.items) {
    if (!isMap(value) || value.flow === true) continue;
    const step = columnOf(text, startOf(value.items[0]?.key)) - columnOf(text, startOf(key));
    if (step > 0) return step;
  }
  return columnOf(text, startOf(map.items[0]?.key)) || 2;
}

function inFlow(
  map: YAMLMap,
  place: { readonly kind: 'key'; readonly pair: Pair } | { readonly kind: 'map' },
  value: unknown,
): Edit[] {
  const asJson = isJson(map);
  const last = map.items.at(-1);
  if (place.kind === 'map') {
    const inner = flowText(value, asJson).slice(1, -1);
    return last === undefined
      ? [inserted(startOf(map) + 1, inner)]
      : [inserted(pairEnd(last), `, ${inner}`)];
  }
  const { pair } = place;
  const written = flowText(value, asJson);
  if (startOf(pair.value) < contentEnd(pair.value))
    return [{ start: startOf(pair.value), end: contentEnd(pair.value), text: written }];
  const colon = colonOf(pair);
  return [
    colon === undefined
      ? inserted(contentEnd(pair.key), `: ${written}`)
      : inserted(colon + 1, ` ${written}`),
  ];
}
