/**
 * Reads the text of a configuration file: YAML, remembering the line of every key. Called by load.ts; opens nothing.
 */
import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { messageOf } from '../protocol/errors.js';
import { invalidConfiguration } from './findings.js';

export interface ConfigFile {
  readonly value: Readonly<Record<string, unknown>>;
  /** The line, from 1, of the key at a path, or of the nearest key above it. */
  lineOf(path: readonly string[]): number | undefined;
}

/** Throws INVALID_CONFIGURATION with file and line when the text is no YAML or no map of keys. */
export function parseConfigFile(text: string, fileName: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line } = lines.linePos(error.pos[0]);
    throw invalidConfiguration(`${fileName} line ${line}: ${error.message}`, error);
  }
  return {
    value: valueOf(document, fileName),
    lineOf: (path) => {
      const offset = offsetOf(document.contents, path);
      return offset === undefined ? undefined : lines.linePos(offset).line;
    },
  };
}

function valueOf(document: Document.Parsed, fileName: string): Record<string, unknown> {
  if (document.contents === null) return {};
  if (isScalar(document.contents) && document.contents.value === null) return {};
  if (!isMap(document.contents))
    throw invalidConfiguration(
      `${fileName} line 1: expected keys with values, such as rootPath: …`,
    );
  try {
    return document.toJS() as Record<string, unknown>;
  } catch (error) {
    throw invalidConfiguration(`${fileName}: ${messageOf(error)}`, error);
  }
}

// The offset of the key itself, since a value may begin on a later line.
function offsetOf(node: unknown, path: readonly string[]): number | undefined {
  const [key, ...rest] = path;
  if (key === undefined) return undefined;
  if (isSeq(node)) {
    const item = node.items[Number(key)];
    return offsetOf(item, rest) ?? startOf(item);
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
  return pair === undefined ? undefined : (offsetOf(pair.value, rest) ?? startOf(pair.key));
}

const startOf = (node: unknown): number | undefined =>
  isNode(node) ? (node.range?.[0] ?? undefined) : undefined;
