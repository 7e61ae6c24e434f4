/**
 * The reading half of the shardRouter: records by key, searches, descriptions. Each call reads one snapshot.
 */
import { millisecondsOf } from '../protocol/clock.js';
import type { Key, RecordObject } from '../protocol/operations.js';
import type { Table } from '../storage/catalog.js';
import { allOf, PREFIX, rowsOf } from '../storage/keys.js';
import { searchAll, type SearchQuery } from '../storage/search.js';
import type { Store } from '../storage/store.js';
import { openTable, readRecord, sizeOf } from '../storage/tables.js';
import type { TableDescription } from './messages.js';

/** Rows counted one by one; larger tables are estimated unless an exact count is asked for. */
const COUNT_MAX = 20_000;

export const getRecords = (
  store: Store,
  request: { table: string; keys: readonly Key[]; nowMs: number },
): (RecordObject | undefined)[] => {
  const table = store.catalog.get(request.table);
  return request.keys.map((key) => readRecord(store, table, { key, nowMs: request.nowMs }));
};

export const searchRecords = async (
  store: Store,
  request: { table: string; query: SearchQuery; nowMs: number; refuseDamaged?: boolean },
): Promise<RecordObject[]> => {
  const { nowMs, refuseDamaged = false } = request;
  const snapshot = openTable(store, store.catalog.get(request.table), { nowMs, refuseDamaged });
  try {
    return await searchAll(snapshot, request.query);
  } finally {
    await snapshot.close();
  }
};

/** One table, or all of the database. */
export const describeTables = async (
  store: Store,
  request: { table?: string; exactCount: boolean; nowMs: number },
): Promise<TableDescription[]> => {
  const tables =
    request.table === undefined ? store.catalog.tables : [store.catalog.get(request.table)];
  const databaseBytes = await sizeOf(store, { gte: Buffer.from([0]), lt: Buffer.from([0xff]) });
  const auditBytes = await sizeOf(store, allOf(PREFIX.log));
  const descriptions: TableDescription[] = [];
  for (const table of tables)
    descriptions.push({
      ...(await describe(store, table, request)),
      databaseBytes,
      auditBytes,
    });
  return descriptions.sort((a, b) => (a.definition.name < b.definition.name ? -1 : 1));
};

const describe = async (
  store: Store,
  table: Table,
  { exactCount, nowMs }: { exactCount: boolean; nowMs: number },
) => {
  const snapshot = openTable(store, table, { nowMs });
  try {
    const { count, exact } = await snapshot.count(exactCount ? Infinity : COUNT_MAX);
    return {
      definition: table.definition,
      attributes: [...table.attributes.values()]
        .filter((attribute) => !attribute.dropped)
        .map(({ name, index }) => ({ name, indexed: index !== 'none' })),
      recordCount: count,
      countIsExact: exact,
      tableBytes: await sizeOf(store, rowsOf(table.number)),
      lastUpdatedMs: lastUpdate(store),
    };
  } finally {
    await snapshot.close();
  }
};

/** Of the database: the newest position in any log. Null before the first write. */
const lastUpdate = (store: Store): number | null => {
  let newest = 0;
  for (const { version } of store.durable.values()) newest = Math.max(newest, version);
  return newest === 0 ? null : millisecondsOf(newest as never);
};
