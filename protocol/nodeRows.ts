/**
 * The rows of `hdb_nodes` and `hdb_node_generations`, read into what the membership machine works with. Called by
 * membership.ts only. A row that cannot be read is named, and what it said before goes on.
 */
import { asText } from './errors.js';
import { nodeName, type NodeName } from './ids.js';
import { limits } from './limits.js';
import { isCanonicalNodeName } from './nodeNames.js';
import { rulesIn, rulesProblem, type RowRules } from './rowRules.js';

export interface Life {
  readonly generation: number;
  readonly ended: boolean;
}

/** A sound row of `hdb_nodes`. */
export interface NodeRow {
  readonly name: NodeName;
  readonly url: string | null;
  readonly rules: RowRules;
  /** All that the row says, for status; without secrets. */
  readonly shown: Readonly<Record<string, unknown>>;
  readonly authorization: string | null;
}

export const readLife = (
  row: Readonly<Record<string, unknown>>,
): (Life & { name: NodeName }) | undefined => {
  const { name, generation, ended } = row;
  if (typeof name !== 'string' || !isCanonicalNodeName(name) || !isGeneration(generation))
    return undefined;
  return { name: nodeName(name), generation, ended: ended === true };
};

/**
 * `before` are the rows as they were last read; `kept` the rules that let not everything pass as they were last read, also
 * by an earlier process: what cannot be read any more must not become permission.
 */
export const readRows = (
  stored: readonly Readonly<Record<string, unknown>>[],
  before: ReadonlyMap<NodeName, NodeRow>,
  kept: ReadonlyMap<NodeName, RowRules> = new Map(),
): { rows: Map<NodeName, NodeRow>; damaged: Map<string, string> } => {
  const rows = new Map<NodeName, NodeRow>();
  const damaged = new Map<string, string>();
  for (const row of stored) {
    const read = readRow(row);
    if ('row' in read) {
      const { name } = read.row;
      // Null says nothing: it takes no rule away.
      const rules =
        row['replicates'] == null ? (before.get(name)?.rules ?? kept.get(name)) : undefined;
      rows.set(name, rules ? { ...read.row, rules } : read.row);
      continue;
    }
    damaged.set(read.under, read.problem);
    // What it said when it could last be read goes on.
    const held = before.get(nodeName(read.under));
    if (held) rows.set(held.name, held);
  }
  for (const [name, rules] of kept) if (!rows.has(name)) rows.set(name, unread(name, rules));
  return { rows, damaged };
};

const unread = (name: NodeName, rules: RowRules): NodeRow => ({
  name,
  url: null,
  rules,
  shown: {},
  authorization: null,
});

const readRow = (
  row: Readonly<Record<string, unknown>>,
): { row: NodeRow } | { under: string; problem: string } => {
  const { name, url } = row;
  const under = asText(name);
  if (typeof name !== 'string' || !isCanonicalNodeName(name))
    return { under, problem: `'${under}' is no node name` };
  const problem = urlProblem(url) ?? rulesProblem(row);
  if (problem !== undefined) return { under, problem };
  return {
    row: {
      name: nodeName(name),
      url: typeof url === 'string' && url !== '' ? url : null,
      rules: rulesIn(row),
      shown: withoutSecrets(row),
      authorization: typeof row['authorization'] === 'string' ? row['authorization'] : null,
    },
  };
};

const urlProblem = (url: unknown): string | undefined => {
  if (url === undefined || url === null) return undefined;
  if (typeof url !== 'string') return "'url' is no text";
  if (url.length > limits.urlCharactersMax)
    return `'url' is longer than ${limits.urlCharactersMax} characters`;
  return undefined;
};

const withoutSecrets = ({
  authorization: _authorization,
  ca: _ca,
  __createdtime__: _created,
  __updatedtime__: _updated,
  ...shown
}: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> => shown;

export const isGeneration = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= GENERATION_MAX;

/** Nobody is added that often; a greater number is nonsense. Below the safe integers, so that there is always a next. */
const GENERATION_MAX = 2 ** 52;
