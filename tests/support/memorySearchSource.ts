/**
 * A table in memory for tests of storage/search.ts, with indexes made of the same bytes as on disk, so
 * that long values are cut as they are there. Counts what is read of it.
 */
import type { Key, RecordObject } from '../../protocol/operations.js';
import { encodeIndexValue, encodeKey } from '../../protocol/orderedKey.js';
import { databaseName, tableName } from '../../protocol/ids.js';
import type { TableDefinition } from '../../protocol/tableDefinition.js';
import type { SearchSource, ValueRange } from '../../storage/search.js';

export interface MemorySearchSource extends SearchSource {
  /** Records given by scan, keys given by scanIndex and keys asked of get, so far. */
  readonly read: { scanned: number; indexed: number; fetched: number };
}

export interface MemoryTable {
  readonly records: readonly RecordObject[];
  readonly indexed?: readonly string[];
  readonly primaryKey?: string;
  readonly batchRows?: number;
  readonly definition?: Partial<TableDefinition>;
}

interface IndexEntry {
  readonly bytes: Buffer;
  readonly key: Key;
}

export const memorySearchSource = (table: MemoryTable): MemorySearchSource => {
  const { records, indexed = [], primaryKey = 'id', batchRows = 3 } = table;
  const read = { scanned: 0, indexed: 0, fetched: 0 };
  const keyOf = (record: RecordObject): Key => record[primaryKey] as Key;
  const byKey = new Map(records.map((record) => [keyOf(record), record]));
  const rows = [...byKey.values()].sort((left, right) =>
    encodeKey(keyOf(left)).compare(encodeKey(keyOf(right))),
  );
  const indexes = new Map(indexed.map((name) => [name, indexOf(rows, name, keyOf)]));

  return {
    read,
    definition: {
      database: databaseName('data'),
      name: tableName('dog'),
      primaryKey,
      attributes: [],
      schemaDefined: false,
      ...table.definition,
    },
    isIndexed: (attribute) => indexes.has(attribute),
    get: (keys) => {
      read.fetched += keys.length;
      return keys.map((key) => byKey.get(key));
    },
    scan: async function* ({ reverse }) {
      for (const batch of batchesOf(reverse === true ? rows.toReversed() : rows, batchRows)) {
        read.scanned += batch.length;
        yield batch;
      }
    },
    scanIndex: async function* (attribute, range) {
      const entries = (indexes.get(attribute) ?? []).filter(({ bytes }) => isInside(bytes, range));
      if (range.reverse === true) entries.reverse();
      for (const batch of batchesOf(entries, batchRows)) {
        read.indexed += batch.length;
        yield batch.map(({ key }) => key);
      }
    },
  };
};

const indexOf = (
  rows: readonly RecordObject[],
  attribute: string,
  keyOf: (record: RecordObject) => Key,
): IndexEntry[] =>
  rows
    .flatMap((record) => {
      const bytes = encodeIndexValue(record[attribute]);
      return bytes === undefined ? [] : [{ bytes, key: keyOf(record) }];
    })
    .sort((left, right) => left.bytes.compare(right.bytes));

/** A cut value may stand for any with the same beginning, so bounds are inside themselves. */
const isInside = (bytes: Buffer, range: ValueRange): boolean => {
  const low = boundBytes(range.gte ?? range.gt);
  const high = boundBytes(range.lte ?? range.lt);
  return (
    (low === undefined || bytes.compare(low) >= 0) &&
    (high === undefined || bytes.compare(high) <= 0)
  );
};

const boundBytes = (value: unknown): Buffer | undefined =>
  value === undefined ? undefined : encodeIndexValue(value);

const batchesOf = <Item>(items: readonly Item[], size: number): Item[][] => {
  const batches: Item[][] = [];
  for (let at = 0; at < items.length; at += size) batches.push(items.slice(at, at + size));
  return batches;
};
