/**
 * What may pass between this node and each peer: which databases and tables, in which direction, and whose writes.
 * Rules come from routes, `hdb_nodes` and the configuration; membership gathers them, streams and routers apply them.
 * Both ends apply their own. Pure.
 */
import type { DatabaseName, NodeName, TableName } from './ids.js';

/** Tables of one database that may pass in one direction. */
export type TableScope =
  | { readonly kind: 'all'; readonly except: readonly TableName[] }
  /** Explicit subscriptions, or tables that replicate although their database does not. Empty: nothing passes. */
  | { readonly kind: 'only'; readonly tables: readonly TableName[] };

/** What this node lets pass over the link to one peer, for one database. */
export interface LinkScope {
  readonly sends: TableScope;
  readonly receives: TableScope;
  /** Nothing older is wanted of an initial copy: the time of the last transaction left out, ms; null: everything. */
  readonly startTimeMs: number | null;
}

/** Whose writes this node takes in one database, by whatever link they come. */
export interface OriginScope {
  /** Nodes nothing of which is taken. */
  readonly refused: readonly NodeName[];
  /** Nodes of which some tables are not taken. */
  readonly exceptTables: ReadonlyMap<NodeName, readonly TableName[]>;
}

/** All rules of one node, settled. */
export interface FlowRules {
  link(peer: NodeName, database: DatabaseName): LinkScope;
  origins(database: DatabaseName): OriginScope;
}

export const EVERYTHING: TableScope = { kind: 'all', except: [] };
export const NOTHING: TableScope = { kind: 'only', tables: [] };
export const OPEN_LINK: LinkScope = { sends: EVERYTHING, receives: EVERYTHING, startTimeMs: null };
export const ALL_ORIGINS: OriginScope = { refused: [], exceptTables: new Map() };

export const permits = (scope: TableScope, table: TableName): boolean =>
  scope.kind === 'all' ? !scope.except.includes(table) : scope.tables.includes(table);

export const isNothing = (scope: TableScope): boolean =>
  scope.kind === 'only' && scope.tables.length === 0;

export const isEverything = (scope: TableScope): boolean =>
  scope.kind === 'all' && scope.except.length === 0;

/** What both let pass. */
export const intersection = (one: TableScope, other: TableScope): TableScope => {
  if (one.kind === 'all' && other.kind === 'all')
    return { kind: 'all', except: [...new Set([...one.except, ...other.except])].sort() };
  const [only, rest] = one.kind === 'only' ? [one, other] : [other, one];
  const tables = only.kind === 'only' ? only.tables : [];
  return { kind: 'only', tables: tables.filter((table) => permits(rest, table)) };
};
