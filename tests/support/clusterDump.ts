/**
 * What a running node holds, read through its operations API in three ways: scan, by id, by indexed queries. The
 * three must agree, and settled nodes must agree with one another. Called by the tests of real processes.
 */
import type { Cluster, ClusterNode } from './cluster.js';
import { flat } from './clusterClient.js';
import { waitUntil } from './waitUntil.js';

export type Row = Record<string, unknown>;
/** `database.table` -> canonical text of each record, in key order. */
export type Dump = ReadonlyMap<string, readonly string[]>;

export const SETTLE_MS_MAX = 30_000;
const IDS_PER_READ = 500;

/**
 * Waits until all running nodes hold the same; returns what that is. Rejects after the deadline with what differs.
 * `indexed` names, per `database.table`, attributes that are indexed, to be read back value by value.
 */
export const settle = async (
  cluster: Cluster,
  options: { msMax?: number; indexed?: Readonly<Record<string, readonly string[]>> } = {},
): Promise<Dump> => {
  const { msMax = SETTLE_MS_MAX, indexed = {} } = options;
  let last = '';
  try {
    await waitUntil(
      'equal positions on all nodes',
      async () => {
        const positions = await Promise.all(cluster.running.map(positionsOf));
        last = cluster.running.map(({ name }, at) => `${name}: ${positions[at]}`).join('\n');
        return new Set(positions).size === 1;
      },
      msMax,
    );
  } catch (error) {
    throw new Error(`The nodes do not come to the same positions: ${String(error)}\n${last}`, {
      cause: error,
    });
  }
  const dumps = await Promise.all(cluster.running.map((node) => dumpOf(node, indexed)));
  const [first = new Map<string, string[]>()] = dumps;
  for (const [at, dump] of dumps.entries()) {
    const difference = differenceOf(first, dump);
    if (difference)
      throw new Error(`${cluster.running[at]?.name} differs from the first: ${difference}`);
  }
  return first;
};

/** Everything in all databases but `system`. Throws when two ways of reading disagree. */
export const dumpOf = async (
  node: ClusterNode,
  indexed: Readonly<Record<string, readonly string[]>> = {},
): Promise<Dump> => {
  const dump = new Map<string, string[]>();
  for (const { database, table, primaryKey } of await tablesOf(node)) {
    const name = `${database}.${table}`;
    const rows = sortedBy(primaryKey, await scan(node, { database, table, primaryKey }));
    const texts = rows.map(canonical);
    await compareById(node, { database, table, primaryKey, rows, texts });
    for (const attribute of indexed[name] ?? [])
      await compareByIndex(node, { database, table, primaryKey, rows, attribute });
    dump.set(name, texts);
  }
  return dump;
};

/** Undefined: they hold the same. */
export const differenceOf = (a: Dump, b: Dump): string | undefined => {
  const names = [...new Set([...a.keys(), ...b.keys()])];
  for (const name of names) {
    const left = new Set(a.get(name));
    const right = new Set(b.get(name));
    const missing = [...left].filter((text) => !right.has(text));
    const extra = [...right].filter((text) => !left.has(text));
    if (missing.length + extra.length > 0 || a.has(name) !== b.has(name))
      return `${name}: ${missing.length} rows missing, for instance ${missing[0]}; ${extra.length} others, for instance ${extra[0]}`;
  }
  return undefined;
};

/** All records of a table, by a scan over its key. */
export const scan = async (
  node: ClusterNode,
  place: { database: string; table: string; primaryKey: string },
): Promise<Row[]> =>
  (await node.client.send({
    operation: 'search_by_value',
    database: place.database,
    table: place.table,
    attribute: place.primaryKey,
    value: '*',
  })) as Row[];

/** The same text for the same record, whatever the order of its attributes. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

interface TablePlace {
  readonly database: string;
  readonly table: string;
  readonly primaryKey: string;
}

const tablesOf = async (node: ClusterNode): Promise<TablePlace[]> => {
  const all = (await node.client.send({ operation: 'describe_all' })) as Record<
    string,
    Record<string, { primary_key?: string; hash_attribute?: string }>
  >;
  return Object.entries(all).flatMap(([database, tables]) =>
    Object.entries(tables).map(([table, shape]) => ({
      database,
      table,
      primaryKey: shape.primary_key ?? shape.hash_attribute ?? 'id',
    })),
  );
};

const compareById = async (
  node: ClusterNode,
  place: TablePlace & { rows: readonly Row[]; texts: readonly string[] },
): Promise<void> => {
  const { database, table, primaryKey, rows, texts } = place;
  for (let at = 0; at < rows.length; at += IDS_PER_READ) {
    const ids = rows.slice(at, at + IDS_PER_READ).map((row) => row[primaryKey]);
    const found = (await node.client.send({
      operation: 'search_by_id',
      database,
      table,
      ids,
    })) as Row[];
    const wanted = texts.slice(at, at + IDS_PER_READ);
    if (canonical(sortedBy(primaryKey, found).map(canonical)) !== canonical(wanted))
      throw new Error(`${node.name}: ${database}.${table} read by id is not what a scan shows`);
  }
};

/** One query per value that the scan shows, together all rows that have the attribute. */
const compareByIndex = async (
  node: ClusterNode,
  place: TablePlace & { rows: readonly Row[]; attribute: string },
): Promise<void> => {
  const { database, table, primaryKey, rows, attribute } = place;
  const having = rows.filter((row) => row[attribute] !== undefined && row[attribute] !== null);
  for (const value of new Set(having.map((row) => row[attribute]))) {
    const found = (await node.client.send({
      operation: 'search_by_conditions',
      database,
      table,
      conditions: [{ attribute, comparator: 'equals', value }],
    })) as Row[];
    const wanted = having.filter((row) => row[attribute] === value).map(canonical);
    const seen = sortedBy(primaryKey, found).map(canonical);
    if (canonical(seen) !== canonical(wanted))
      throw new Error(
        `${node.name}: ${database}.${table} where ${attribute} is ${String(value)} has ${seen.length} rows, a scan shows ${wanted.length}`,
      );
  }
};

/** Positions of every replicated origin, per database, as comparable text. */
const positionsOf = async (node: ClusterNode): Promise<string> => {
  const { actors } = await node.client.tree();
  const routers = flat(actors).filter(({ name }) => name.startsWith('router:'));
  return canonical(
    Object.fromEntries(
      routers.map(({ name, details, phase }) => [
        name,
        { phase, positions: sharedPositions(details['positions']) },
      ]),
    ),
  );
};

/** Origins that stay on their node have no place in a comparison. */
const sharedPositions = (positions: unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries((positions ?? {}) as Record<string, unknown>).filter(
      ([origin, sequence]) => !origin.endsWith('~local') && sequence !== 0,
    ),
  );

const sortedBy = (primaryKey: string, rows: readonly Row[]): Row[] =>
  [...rows].sort((a, b) => (String(a[primaryKey]) < String(b[primaryKey]) ? -1 : 1));
