/**
 * The rows of `hdb_nodes` and `hdb_node_generations`, read into what the membership machine works with. Called by
 * membership.ts only. A row that cannot be read is named, and what it said before goes on.
 */
import { nodeName, type NodeName } from './ids.js';
import { limits } from './limits.js';
import { isCanonicalNodeName } from './nodeNames.js';

export interface Life {
  readonly generation: number;
  readonly ended: boolean;
}

/** A sound row of `hdb_nodes`. */
export interface NodeRow {
  readonly name: NodeName;
  readonly url: string | null;
  /** False: registered, but takes no part. */
  readonly replicates: boolean;
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

export const readRows = (
  stored: readonly Readonly<Record<string, unknown>>[],
  before: ReadonlyMap<NodeName, NodeRow>,
): { rows: Map<NodeName, NodeRow>; damaged: Map<string, string> } => {
  const rows = new Map<NodeName, NodeRow>();
  const damaged = new Map<string, string>();
  for (const row of stored) {
    const read = readRow(row);
    if ('row' in read) {
      rows.set(read.row.name, read.row);
      continue;
    }
    damaged.set(read.under, read.problem);
    // What it said when it could last be read goes on.
    const held = before.get(nodeName(read.under));
    if (held) rows.set(held.name, held);
  }
  return { rows, damaged };
};

const readRow = (
  row: Readonly<Record<string, unknown>>,
): { row: NodeRow } | { under: string; problem: string } => {
  const { name, url, replicates } = row;
  const under = typeof name === 'string' ? name : String(name);
  if (typeof name !== 'string' || !isCanonicalNodeName(name))
    return { under, problem: `'${under}' is no node name` };
  if (url !== undefined && url !== null && typeof url !== 'string')
    return { under, problem: "'url' is no text" };
  if (typeof url === 'string' && url.length > limits.urlCharactersMax)
    return { under, problem: `'url' is longer than ${limits.urlCharactersMax} characters` };
  if (!isReplicates(replicates))
    return { under, problem: "'replicates' is neither true nor false" };
  return {
    row: {
      name: nodeName(name),
      url: typeof url === 'string' && url !== '' ? url : null,
      replicates: replicates !== false,
      shown: withoutSecrets(row),
      authorization: typeof row['authorization'] === 'string' ? row['authorization'] : null,
    },
  };
};

const isReplicates = (value: unknown): boolean =>
  value === undefined || value === null || typeof value === 'boolean';

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
