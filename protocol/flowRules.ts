/**
 * The rules of flow of one node: reads what is stated of an edge between two nodes, from either end, and settles all of
 * it into what streams and routers apply. Called by memberFlow.ts, config and the operations that state rules. Pure.
 *
 * Words are from the view of one node of the edge: `sends` is what that node sends. In an object, a direction that is not
 * named is closed, and a list narrows its direction. Names are in their canonical spelling.
 */
import {
  intersection,
  isNothing,
  NOTHING,
  type FlowRules,
  type LinkScope,
  type OriginScope,
  type TableScope,
} from './flow.js';
import { databaseName, tableName } from './ids.js';
import type { DatabaseName, NodeName, TableName } from './ids.js';
import type {
  ReceivingRule,
  Replicates,
  SendingRule,
  TableSubscription,
} from './schemas/clusterSchemas.js';

/** What is stated of an edge, from the view of one of its nodes. */
export interface StatedFlow {
  readonly replicates: boolean | Replicates;
  /** Then single tables pass and nothing else; null: there are none. */
  readonly subscriptions: readonly TableSubscription[] | null;
}

/** One direction of an edge. Whole databases, or single tables; empty: closed. */
export type Direction =
  | { readonly kind: 'databases'; readonly entries: readonly DirectionEntry[] }
  | { readonly kind: 'tables'; readonly tables: readonly SingleTable[] };

interface DirectionEntry {
  /** Null: every database. */
  readonly database: DatabaseName | null;
  readonly excludeTables: readonly TableName[];
}

interface SingleTable {
  readonly database: DatabaseName;
  readonly table: TableName;
}

/** What one node lets pass to and from another. */
export interface Edge {
  readonly sends: Direction;
  readonly receives: Direction;
  readonly startTimeMs: number | null;
  /** This node's own rule about the other: what is not taken of its writes is taken from nobody. */
  readonly isAboutOrigin: boolean;
  /** Where the rule comes from, for status. */
  readonly source: 'route' | 'hdb_nodes' | 'default';
}

export interface FlowInput {
  /** Databases that replicate; null: all. */
  readonly databases: ReadonlySet<DatabaseName> | null;
  /** Of databases that do not: the tables that replicate all the same. */
  readonly shared: ReadonlyMap<DatabaseName, readonly TableName[]>;
  readonly edges: ReadonlyMap<NodeName, Edge>;
  /** With nodes that nothing is known of. */
  readonly others: Edge;
}

const OPEN: Direction = { kind: 'databases', entries: [{ database: null, excludeTables: [] }] };
const CLOSED: Direction = { kind: 'databases', entries: [] };

const PLAIN = { startTimeMs: null, isAboutOrigin: false, source: 'default' } as const;
export const OPEN_EDGE: Edge = { sends: OPEN, receives: OPEN, ...PLAIN };
export const CLOSED_EDGE: Edge = { sends: CLOSED, receives: CLOSED, ...PLAIN };

/** A start time is about databases of users: members and users are needed whole. */
const SYSTEM = databaseName('system');

export const settleRules = (input: FlowInput): FlowRules => ({
  link: (peer, database) => linkScope(input, peer, database),
  origins: (database) => originScope(input, database),
});

/** Both directions as the node states them whose view the flow has; `other` is at the far end. */
export const directionsOf = (
  { replicates, subscriptions }: StatedFlow,
  other: NodeName,
): Pick<Edge, 'sends' | 'receives'> => {
  if (subscriptions && subscriptions.length > 0)
    return {
      sends: tablesOf(subscriptions.filter(({ publish }) => publish)),
      receives: tablesOf(subscriptions.filter(({ subscribe }) => subscribe)),
    };
  if (typeof replicates === 'boolean')
    return replicates ? { sends: OPEN, receives: OPEN } : { sends: CLOSED, receives: CLOSED };
  const { sends, receives, sendsTo, receivesFrom } = replicates;
  return {
    sends: directionOf(sends, sendsTo && about(sendsTo, ({ target }) => target, other)),
    receives: directionOf(
      receives,
      receivesFrom && about(receivesFrom, ({ source }) => source, other),
    ),
  };
};

/** The same edge in the words of the other end: what `view` states of it, as `other` would. */
export const mirrored = (
  replicates: Replicates,
  { view, other }: { view: NodeName; other: NodeName },
): Replicates => ({
  ...(replicates.receives !== undefined && { sends: replicates.receives }),
  ...(replicates.sends !== undefined && { receives: replicates.sends }),
  ...(replicates.receivesFrom && {
    sendsTo: about(replicates.receivesFrom, ({ source }) => source, other).map((rule) => ({
      target: view,
      ...contentOf(rule),
    })),
  }),
  ...(replicates.sendsTo && {
    receivesFrom: about(replicates.sendsTo, ({ target }) => target, other).map((rule) => ({
      source: view,
      ...contentOf(rule),
    })),
  }),
});

/** Subscriptions in the words of the other end. */
export const swapped = (subscriptions: readonly TableSubscription[]): TableSubscription[] =>
  subscriptions.map(({ database, table, publish, subscribe }) => ({
    database,
    table,
    publish: subscribe,
    subscribe: publish,
  }));

/**
 * As rows keep a rule about the edge to `other`: whole openness is `true`, both flags are there, entries name the node
 * they are about.
 */
export const settled = (
  replicates: boolean | Replicates,
  other: NodeName,
): boolean | Replicates => {
  if (typeof replicates === 'boolean') return replicates;
  const { sends, receives } = directionsOf({ replicates, subscriptions: null }, other);
  const { sendsTo, receivesFrom } = replicates;
  if (!isClosed(sends) && !isClosed(receives) && !sendsTo && !receivesFrom) return true;
  return {
    sends: !isClosed(sends),
    receives: !isClosed(receives),
    ...(sendsTo && {
      sendsTo: about(sendsTo, ({ target }) => target, other).map((rule) => ({
        target: other,
        ...contentOf(rule),
      })),
    }),
    ...(receivesFrom && {
      receivesFrom: about(receivesFrom, ({ source }) => source, other).map((rule) => ({
        source: other,
        ...contentOf(rule),
      })),
    }),
  };
};

/** A node's rules about all its edges, for its own row: lists without flags. */
export const advertisementOf = (edges: ReadonlyMap<NodeName, Edge>): Replicates => {
  const byName = [...edges].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    sendsTo: byName.flatMap(([target, { sends }]) =>
      contentsOf(sends).map((content) => ({ target, ...content })),
    ),
    receivesFrom: byName.flatMap(([source, { receives }]) =>
      contentsOf(receives).map((content) => ({ source, ...content })),
    ),
  };
};

/** A rule that somebody stated of one edge has flags; what a node says of all its edges has lists alone. */
export const isAdvertisement = (replicates: boolean | Replicates): replicates is Replicates =>
  typeof replicates === 'object' &&
  replicates.sends === undefined &&
  replicates.receives === undefined;

export const isClosed = (direction: Direction): boolean =>
  direction.kind === 'databases' ? direction.entries.length === 0 : direction.tables.length === 0;

/** Whether anything could pass, either way, in a database that takes part here. */
export const letsPass = (
  { sends, receives }: Edge,
  { databases, shared }: Pick<FlowInput, 'databases' | 'shared'>,
): boolean => {
  const takesPart = (database: DatabaseName | null): boolean =>
    database === null || databases === null || databases.has(database) || shared.has(database);
  return [sends, receives].some((direction) =>
    (direction.kind === 'databases' ? direction.entries : direction.tables).some(({ database }) =>
      takesPart(database),
    ),
  );
};

// ---- scopes

const linkScope = (input: FlowInput, peer: NodeName, database: DatabaseName): LinkScope => {
  const edge = input.edges.get(peer) ?? input.others;
  const part = partOf(input, database);
  const limited = (scope: TableScope): TableScope => (part ? intersection(part, scope) : scope);
  return {
    sends: limited(scopeOf(edge.sends, database)),
    receives: limited(scopeOf(edge.receives, database)),
    startTimeMs: database === SYSTEM ? null : edge.startTimeMs,
  };
};

/** The tables that take part although their database does not; null: the database does. */
const partOf = ({ databases, shared }: FlowInput, database: DatabaseName): TableScope | null =>
  databases === null || databases.has(database)
    ? null
    : { kind: 'only', tables: [...(shared.get(database) ?? [])].sort() };

const originScope = ({ edges }: FlowInput, database: DatabaseName): OriginScope => {
  const refused: NodeName[] = [];
  const exceptTables = new Map<NodeName, readonly TableName[]>();
  for (const [name, edge] of edges) {
    if (!edge.isAboutOrigin) continue;
    const scope = scopeOf(edge.receives, database);
    if (isNothing(scope)) refused.push(name);
    else if (scope.kind === 'all' && scope.except.length > 0) exceptTables.set(name, scope.except);
  }
  return { refused: refused.sort(), exceptTables };
};

/** Of several entries about a database, what one of them excludes is excluded. */
const scopeOf = (direction: Direction, database: DatabaseName): TableScope => {
  if (direction.kind === 'tables') {
    const tables = direction.tables.filter((one) => one.database === database);
    return { kind: 'only', tables: unique(tables.map(({ table }) => table)) };
  }
  const entries = direction.entries.filter(
    (entry) => entry.database === null || entry.database === database,
  );
  if (entries.length === 0) return NOTHING;
  return { kind: 'all', except: unique(entries.flatMap(({ excludeTables }) => excludeTables)) };
};

const unique = <Name extends string>(names: readonly Name[]): Name[] => [...new Set(names)].sort();

// ---- reading

type Rule = SendingRule | ReceivingRule;

const directionOf = (flag: boolean | undefined, list: readonly Rule[] | undefined): Direction => {
  if (flag === false) return CLOSED;
  if (!list) return flag === true ? OPEN : CLOSED;
  return {
    kind: 'databases',
    entries: list.map(({ database, excludeTables }) => ({
      database: database === undefined ? null : databaseName(database),
      excludeTables: (excludeTables ?? []).map(tableName),
    })),
  };
};

const about = <One extends Rule>(
  rules: readonly One[],
  nameIn: (rule: One) => string | undefined,
  other: NodeName,
): One[] =>
  rules.filter((rule) => {
    const name = nameIn(rule);
    return name === undefined || name === other;
  });

const tablesOf = (subscriptions: readonly TableSubscription[]): Direction => ({
  kind: 'tables',
  tables: subscriptions.map(({ database, table }) => ({
    database: databaseName(database),
    table: tableName(table),
  })),
});

interface Content {
  readonly database?: string;
  readonly excludeTables?: readonly string[];
}

const contentOf = ({ database, excludeTables }: Rule): Content => ({
  ...(database !== undefined && { database }),
  ...(excludeTables !== undefined && { excludeTables }),
});

/** Of single tables only their databases are told: the filter is at this end too. */
const contentsOf = (direction: Direction): Content[] =>
  direction.kind === 'tables'
    ? unique(direction.tables.map(({ database }) => database)).map((database) => ({ database }))
    : direction.entries.map(({ database, excludeTables }) => ({
        ...(database !== null && { database }),
        ...(excludeTables.length > 0 && { excludeTables }),
      }));
