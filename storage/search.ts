/**
 * Evaluates search_by_value and search_by_conditions over any table that can be read by key, by index and
 * as a whole. Called by tables.ts' readers through the shardRouter; does not know LevelDB.
 */
import type { Key, RecordObject } from '../protocol/operations.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';

/** One bound of a range; values compare as protocol/orderedKey.ts orders them. */
export interface ValueRange {
  readonly gt?: unknown;
  readonly gte?: unknown;
  readonly lt?: unknown;
  readonly lte?: unknown;
  readonly reverse?: boolean;
}

/** A consistent view (one snapshot) of one table. */
export interface SearchSource {
  readonly definition: TableDefinition;
  /** Attributes that have an index. */
  isIndexed(attribute: string): boolean;
  /** Visible records in the order of the keys; undefined where there is none. */
  get(keys: readonly Key[]): readonly (RecordObject | undefined)[];
  /** All visible records in key order, in batches. */
  scan(options: { reverse?: boolean }): AsyncIterable<readonly RecordObject[]>;
  /**
   * Keys of rows whose attribute may lie in the range, in value order, in batches. May contain rows that do
   * not match (long strings are indexed by their beginning): check the record again.
   */
  scanIndex(attribute: string, range: ValueRange): AsyncIterable<readonly Key[]>;
}
