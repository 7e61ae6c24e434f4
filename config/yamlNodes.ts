/**
 * Nodes of a YAML document and the text they stand in: where they begin and end, and how new ones are written. Called by
 * the layouts of routes.
 */
import {
  Document,
  isCollection,
  isMap,
  isPair,
  isScalar,
  Lexer,
  stringify,
  type CST,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { columnOf, newlineOf, type Edit } from './textEdits.js';

/** Thrown for a layout that cannot be edited; the message says what it is. */
export class UnfitLayout extends Error {}

export interface Block {
  readonly value: unknown;
  readonly column: number;
  readonly step: number;
}

/** Lines after a line, so each begins with its newline. */
export function linesBelow(text: string, { value, column, step }: Block): string {
  const newline = newlineOf(text);
  const indent = ' '.repeat(column);
  return linesOf(value, step)
    .map((line) => newline + indent + line)
    .join('');
}

/** In the style of a block. */
export const linesOf = (value: unknown, step: number): string[] =>
  stringify(value, { lineWidth: 0, indent: step }).trimEnd().split('\n');

/** On one line. As JSON where the neighbours are in double quotes. */
export function flowText(value: unknown, asJson: boolean): string {
  if (asJson) return JSON.stringify(value);
  const document = new Document(value);
  if (isCollection(document.contents)) document.contents.flow = true;
  return document.toString({ lineWidth: 0, flowCollectionPadding: false }).trimEnd();
}

export function isJson(collection: YAMLMap | YAMLSeq): boolean {
  const [first] = collection.items;
  const scalar = isPair(first) ? first.key : first;
  if (isMap(scalar)) return isJson(scalar);
  return isScalar(scalar) && scalar.type === 'QUOTE_DOUBLE';
}

/** Comments of a part of the text; the lexer is given the part at its column. */
export function commentsIn(text: string, start: number, end: number): string[] {
  const part = ' '.repeat(columnOf(text, start)) + text.slice(start, end);
  return [...new Lexer().lex(part)].filter((token) => token.startsWith('#'));
}

export const inserted = (offset: number, text: string): Edit => ({
  start: offset,
  end: offset,
  text,
});

export const offsetOf = (
  tokens: readonly CST.SourceToken[],
  type: CST.SourceToken['type'],
): number | undefined => tokens.find((token) => token.type === type)?.offset;

export const colonOf = (pair: Pair): number | undefined =>
  offsetOf(pair.srcToken?.sep ?? [], 'map-value-ind');

export const startOf = (node: unknown): number => rangeOf(node)?.[0] ?? 0;

/** Where a value ends, without the comments and lines behind it that count as part of its node. */
export function contentEnd(node: unknown): number {
  if (isCollection(node) && node.flow !== true && node.items.length > 0) {
    const last = node.items.at(-1);
    return isPair(last) ? pairEnd(last) : contentEnd(last);
  }
  return rangeOf(node)?.[1] ?? 0;
}

export const pairEnd = (pair: Pair): number =>
  Math.max(contentEnd(pair.key), (colonOf(pair) ?? -1) + 1, contentEnd(pair.value));

const rangeOf = (node: unknown): readonly number[] | undefined =>
  typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
    ? (node.range as number[])
    : undefined;
