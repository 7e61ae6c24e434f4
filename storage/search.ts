/**
 * Evaluates search_by_value and search_by_conditions over any table that can be read by key, by index and
 * as a whole. Called by tables.ts' readers through the shardRouter; does not know LevelDB.
 * searchPlan.ts finds candidates, comparators.ts judges them, searchOrder.ts puts them in order; here they
 * are read, in batches and never more than the limit needs.
 */
import { limits } from '../protocol/limits.js';
import type { Key, RecordObject, Sort } from '../protocol/operations.js';
import type { NormalisedConditionItem } from '../protocol/operationSchemas.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import { attributeOf, kindOf, recordTest, type RecordTest } from './comparators.js';
import { refuseUnknownAttributes } from './searchAttributes.js';
import { inOrder, recordOrder, sorted, type Batches } from './searchOrder.js';
import { isPast, planAccess, toValueRange, type AccessPath, type KeyPath } from './searchPlan.js';

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

export interface SearchQuery {
  /** None: every record. */
  readonly conditions: readonly NormalisedConditionItem[];
  /** Default `and`. */
  readonly operator?: 'and' | 'or' | undefined;
  readonly limit?: number | undefined;
  readonly offset?: number | undefined;
  readonly sort?: Sort | undefined;
  /** What each record is cut down to; one it lacks is null. Absent, or with `*` in it: all it has. */
  readonly attributes?: readonly string[] | undefined;
}

interface Window {
  readonly limit?: number | undefined;
  readonly offset?: number | undefined;
  readonly get_attributes?: readonly string[] | undefined;
}

/**
 * The records that match, one at a time; reading stops when the caller does. Sorted as asked, equals by
 * primary key (backwards if the first sort is descending); without a sort in the order of the way they
 * were found. Throws at once INVALID_REQUEST (status 404) for a condition or sort on an attribute that a
 * schema-defined table does not have. An unindexed condition scans; sorting without a limit holds all
 * matches in memory.
 */
export const search = (source: SearchSource, query: SearchQuery): AsyncIterable<RecordObject> => {
  refuseUnknownAttributes(source.definition, query);
  return oneByOne(answer(source, query));
};

/** All of `search`, as a list. */
export const searchAll = async (
  source: SearchSource,
  query: SearchQuery,
): Promise<RecordObject[]> => {
  refuseUnknownAttributes(source.definition, query);
  const records: RecordObject[] = [];
  for await (const batch of answer(source, query)) {
    for (const record of batch) records.push(record);
  }
  return records;
};

/**
 * The query that a search_by_value means: `*` everything, `x*` starts_with, `*x` ends_with, `*x*` contains,
 * any other value equals. `desc` sorts by the attribute, greatest first.
 */
export const valueQuery = (
  asked: Window & {
    readonly attribute: string;
    readonly value: unknown;
    readonly desc?: boolean | undefined;
  },
): SearchQuery => ({
  conditions: valueConditions(asked.attribute, asked.value),
  ...windowOf(asked),
  ...(asked.desc === true ? { sort: { attribute: asked.attribute, descending: true } } : {}),
});

/** The query that a search_by_conditions means. */
export const conditionsQuery = (
  asked: Window & Pick<SearchQuery, 'conditions' | 'operator' | 'sort'>,
): SearchQuery => ({
  conditions: asked.conditions,
  operator: asked.operator,
  sort: asked.sort,
  ...windowOf(asked),
});

const windowOf = ({ limit, offset, get_attributes: attributes }: Window) => ({
  limit,
  offset,
  attributes,
});

const valueConditions = (attribute: string, value: unknown): NormalisedConditionItem[] => {
  if (typeof value !== 'string') return [{ attribute, comparator: 'equals', value }];
  if (value === '*' || value === '**') return [];
  const startsOpen = value.startsWith('*');
  const endsOpen = value.endsWith('*');
  const text = value.slice(startsOpen ? 1 : 0, endsOpen ? -1 : undefined);
  if (startsOpen && endsOpen) return [{ attribute, comparator: 'contains', value: text }];
  if (startsOpen) return [{ attribute, comparator: 'ends_with', value: text }];
  return [{ attribute, comparator: endsOpen ? 'starts_with' : 'equals', value: text }];
};

async function* oneByOne(batches: Batches): AsyncGenerator<RecordObject> {
  for await (const batch of batches) yield* batch;
}

async function* answer(source: SearchSource, query: SearchQuery): Batches {
  if (query.limit === 0) return;
  const { attributes } = query;
  const isWhole = attributes === undefined || attributes.includes('*');
  for await (const batch of inWindow(matches(source, query), query)) {
    yield isWhole ? batch : batch.map((record) => cutDown(record, attributes));
  }
}

/** Everything that matches, in the order asked for, before offset and limit. */
const matches = (source: SearchSource, query: SearchQuery): Batches => {
  const { conditions, operator = 'and', sort, limit, offset = 0 } = query;
  const test = recordTest(conditions, operator);
  const path = planAccess(source, { conditions, operator, sortedBy: sort?.attribute });
  const wanted = limit === undefined ? undefined : offset + limit;
  if (sort === undefined) {
    return passing(candidates(source, path, { wanted, reverse: false }), test);
  }
  const order = recordOrder(sort, source.definition.primaryKey);
  const reverse = sort.descending === true;
  if (isInOrder(source, path, sort)) {
    return inOrder(passing(candidates(source, path, { wanted, reverse }), test), sort, order);
  }
  if (path.kind === 'scan' && reverse && wanted !== undefined && source.isIndexed(sort.attribute)) {
    return greatestFirst(source, { sort, order, test, wanted });
  }
  return sorted(passing(candidates(source, path, { wanted, reverse: false }), test), order, wanted);
};

const isInOrder = (source: SearchSource, path: AccessPath, sort: Sort): boolean =>
  path.kind === 'scan'
    ? sort.attribute === source.definition.primaryKey
    : path.kind === 'index' && path.range.attribute === sort.attribute;

/**
 * The top of a table without collecting it: down the index, then those that have no value to sort by,
 * which come last. (Smallest first they would come first, and only a scan finds them.)
 */
async function* greatestFirst(
  source: SearchSource,
  asked: {
    sort: Sort;
    order: (left: RecordObject, right: RecordObject) => number;
    test: RecordTest;
    wanted: number;
  },
): Batches {
  const { sort, order, test, wanted } = asked;
  const hasPlace: RecordTest = (record) =>
    kindOf(attributeOf(record, sort.attribute)) !== undefined;
  const keys = source.scanIndex(sort.attribute, { gte: false, reverse: true });
  const placed = passing(
    fetched(source, keys, wanted),
    (record) => hasPlace(record) && test(record),
  );
  yield* inOrder(placed, sort, order);
  const others = passing(source.scan({}), (record) => !hasPlace(record) && test(record));
  yield* sorted(others, order, wanted);
}

interface Reading {
  /** Matches needed at most; undefined for all. */
  readonly wanted: number | undefined;
  readonly reverse: boolean;
}

const candidates = (source: SearchSource, path: AccessPath, reading: Reading): Batches => {
  if (path.kind === 'scan') return scanned(source, path, reading.reverse);
  return fetched(source, keysOf(source, path, reading.reverse), reading.wanted);
};

/** The table in key order, up to where no key can match any more. */
async function* scanned(
  source: SearchSource,
  { keyRange }: AccessPath & { kind: 'scan' },
  reverse: boolean,
): Batches {
  for await (const batch of source.scan(reverse ? { reverse } : {})) {
    const end =
      keyRange === undefined
        ? -1
        : batch.findIndex((record) =>
            isPast(keyRange, attributeOf(record, keyRange.attribute), reverse),
          );
    yield end < 0 ? batch : batch.slice(0, end);
    if (end >= 0) return;
  }
}

const keysOf = (
  source: SearchSource,
  path: KeyPath,
  reverse: boolean,
): AsyncIterable<readonly Key[]> => {
  switch (path.kind) {
    case 'keys':
      return only(path.keys);
    case 'index':
      return source.scanIndex(path.range.attribute, toValueRange(path.range, reverse));
    case 'union':
      return withoutRepetition(path.paths.map((part) => keysOf(source, part, false)));
  }
};

async function* only<Item>(batch: Item): AsyncGenerator<Item> {
  yield batch;
}

/** Holds every key it has given: memory grows with the matches of the whole union. */
async function* withoutRepetition(
  parts: readonly AsyncIterable<readonly Key[]>[],
): AsyncGenerator<readonly Key[]> {
  const given = new Set<Key>();
  for (const part of parts) {
    for await (const keys of part) {
      const fresh = keys.filter((key) => !given.has(key));
      for (const key of fresh) given.add(key);
      yield fresh;
    }
  }
}

/** Reads no more than wanted at first, then twice as many each time: the tests may refuse most. */
async function* fetched(
  source: SearchSource,
  keyBatches: AsyncIterable<readonly Key[]>,
  wanted: number | undefined,
): Batches {
  let rows = Math.min(wanted ?? limits.readBatchRows, limits.readBatchRows);
  for await (const keys of keyBatches) {
    let at = 0;
    while (at < keys.length) {
      yield source.get(keys.slice(at, at + rows)).filter((record) => record !== undefined);
      at += rows;
      rows = Math.min(2 * rows, limits.readBatchRows);
    }
  }
}

async function* passing(
  batches: AsyncIterable<readonly RecordObject[]>,
  test: RecordTest,
): Batches {
  for await (const batch of batches) yield batch.filter(test);
}

async function* inWindow(batches: Batches, { offset = 0, limit = Infinity }: Window): Batches {
  let toSkip = offset;
  let left = limit;
  for await (const batch of batches) {
    const part = batch.slice(toSkip, toSkip + left);
    toSkip = Math.max(0, toSkip - batch.length);
    left -= part.length;
    if (part.length > 0) yield part;
    if (left === 0) return;
  }
}

/** Entries, not assignments: they make an own property even of `__proto__`. */
const cutDown = (record: RecordObject, attributes: readonly string[]): RecordObject =>
  Object.fromEntries(attributes.map((name) => [name, attributeOf(record, name) ?? null]));
