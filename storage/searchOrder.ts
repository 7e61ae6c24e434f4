/**
 * Puts records in the order a search asked for. Called by search.ts only. Where an index has done so
 * already, only the runs that it cannot tell apart are sorted; otherwise everything is, in bounded memory
 * if there is a limit.
 */
import type { RecordObject, Sort } from '../protocol/operations.js';
import {
  encodeIndexValue,
  INDEXED_TEXT_BYTES_MAX,
  indexValueIsCut,
} from '../protocol/orderedKey.js';
import { attributeOf, compareValues } from './comparators.js';

export type Batches = AsyncGenerator<readonly RecordObject[], void, undefined>;
export type RecordOrder = (left: RecordObject, right: RecordObject) => number;

/** Enough to make a sort of the spill worth its while when few records are wanted. */
const SPILL_ROWS_MIN = 256;
const UTF8_BYTES_PER_UNIT_MAX = 3;

/** By the attributes of the sort, then by primary key in the direction of the first attribute. */
export const recordOrder = (sort: Sort, primaryKey: string): RecordOrder => {
  const levels = levelsOf(sort);
  levels.push({ attribute: primaryKey, sign: signOf(sort) });
  return (left, right) => {
    for (const { attribute, sign } of levels) {
      const order = compareValues(attributeOf(left, attribute), attributeOf(right, attribute));
      if (order !== 0) return order * sign;
    }
    return 0;
  };
};

/** All records in order, or the first `wanted` of them, holding at most about twice as many. */
export async function* sorted(
  batches: Batches,
  order: RecordOrder,
  wanted: number | undefined,
): Batches {
  const kept: RecordObject[] = [];
  const keptMax = wanted === undefined ? Infinity : 2 * wanted + SPILL_ROWS_MIN;
  for await (const batch of batches) {
    for (const record of batch) kept.push(record);
    if (wanted !== undefined && kept.length >= keptMax) {
      kept.sort(order);
      kept.length = wanted;
    }
  }
  kept.sort(order);
  yield wanted === undefined ? kept : kept.slice(0, wanted);
}

/**
 * The same records, which come in the order of an index on the first attribute of `sort`. That order is
 * final but inside runs of equal values when there is a second attribute, and of values that the index
 * has cut at the same place.
 */
export async function* inOrder(batches: Batches, sort: Sort, order: RecordOrder): Batches {
  let run: RecordObject[] = [];
  let mark: RunMark | undefined;
  for await (const batch of batches) {
    const done: RecordObject[] = [];
    for (const record of batch) {
      const next = runMarkOf(record, sort);
      if (mark === undefined || next === undefined || !isSameRun(mark, next)) {
        for (const earlier of run.sort(order)) done.push(earlier);
        run = [];
      }
      if (next === undefined) done.push(record);
      else run.push(record);
      mark = next;
    }
    yield done;
  }
  yield run.sort(order);
}

/** What the records of a run share: a value, or the bytes that the index has kept of it. */
type RunMark = { readonly value: unknown; readonly cut: Buffer | undefined };

/** Undefined for a record whose place is final. */
const runMarkOf = (record: RecordObject, sort: Sort): RunMark | undefined => {
  const value = attributeOf(record, sort.attribute);
  const cut = cutInIndex(value);
  return cut === undefined && sort.next === undefined ? undefined : { value, cut };
};

const isSameRun = (left: RunMark, right: RunMark): boolean => {
  if (left.cut === undefined || right.cut === undefined) {
    return left.cut === right.cut && compareValues(left.value, right.value) === 0;
  }
  return left.cut.equals(right.cut);
};

const cutInIndex = (value: unknown): Buffer | undefined => {
  if (!mayBeCut(value)) return undefined;
  const bytes = encodeIndexValue(value);
  return bytes !== undefined && indexValueIsCut(bytes) ? bytes : undefined;
};

const mayBeCut = (value: unknown): boolean =>
  typeof value === 'string'
    ? value.length * UTF8_BYTES_PER_UNIT_MAX > INDEXED_TEXT_BYTES_MAX
    : typeof value === 'bigint';

interface Level {
  readonly attribute: string;
  readonly sign: number;
}

const levelsOf = (sort: Sort): Level[] => {
  const levels: Level[] = [];
  for (let level: Sort | undefined = sort; level !== undefined; level = level.next) {
    levels.push({ attribute: level.attribute, sign: signOf(level) });
  }
  return levels;
};

const signOf = (sort: Sort): number => (sort.descending === true ? -1 : 1);
