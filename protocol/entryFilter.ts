/**
 * Leaves out of an entry the changes that must not reach somebody, or are not wanted: the rest travels as a partial
 * entry in its place. Called by feeds before they send, and by the receiving ends, which apply their own rules too.
 * An entry with nothing left out stays the bytes it is. Pure.
 */
import { millisecondsOf } from './clock.js';
import { DEFINITIONS_TABLE, readDefinitionKey } from './definitionKey.js';
import {
  encodePartial,
  isIntactEntry,
  readEntryHeader,
  readEntryTables,
  readLeftOut,
  type TableChanges,
} from './entry.js';
import { SkeinError } from './errors.js';
import { isEverything, permits, type TableScope } from './flow.js';
import type { OriginId, TableName } from './ids.js';
import {
  isWhole,
  leftOutBy,
  leftOutByEither,
  leftOutWithin,
  NOTHING_LEFT_OUT,
  tableSet,
  type LeftOut,
} from './leftOut.js';

export interface EntryFilter {
  readonly scope: TableScope;
  /** Entries at or before that time pass without changes, but for definitions; null: none. */
  readonly startTimeMs: number | null;
}

export const passesAll = ({ scope, startTimeMs }: EntryFilter): boolean =>
  startTimeMs === null && isEverything(scope);

/** The entry as it may pass. MALFORMED when its body cannot be read. */
export const filterEntry = (origin: OriginId, entry: Buffer, filter: EntryFilter): Buffer => {
  if (passesAll(filter)) return entry;
  const { scope, startTimeMs } = filter;
  const isOld =
    startTimeMs !== null && millisecondsOf(readEntryHeader(entry).version) <= startTimeMs;
  const before = readEntryTables(entry);
  const tables = before.flatMap((table) => passing(table, scope, isOld) ?? []);
  const earlier = readLeftOut(entry);
  const leftOut = leftOutByEither(told(earlier, scope), scopeLeftOut(before, tables, scope));
  const isSame = tables.length === before.length && tables.every((one, at) => one === before[at]);
  if (isSame && areEqual(leftOut, earlier)) return entry;
  return encodePartial(entry, { origin, leftOut, tables });
};

/**
 * The same for an entry that another node sent. One that is damaged stays as it is: what it is worth is for the writer
 * to say.
 */
export const filterReceived = (origin: OriginId, entry: Buffer, filter: EntryFilter): Buffer => {
  if (passesAll(filter) || !isIntactEntry(origin, entry)) return entry;
  return unlessMalformed(() => filterEntry(origin, entry, filter)) ?? entry;
};

/**
 * Whether the definition with that key passes. Tables are to exist, also those of which nothing is sent; but who asked
 * for some hears of no others. A key that is none names no table: every node passes over it.
 */
export const isDefinitionWithin = (key: Uint8Array, scope: TableScope): boolean => {
  if (scope.kind === 'all') return true;
  const defined = unlessMalformed(() => readDefinitionKey(key));
  return defined !== undefined && permits(scope, defined.name);
};

const unlessMalformed = <Result>(read: () => Result): Result | undefined => {
  try {
    return read();
  } catch (error) {
    if (error instanceof SkeinError && error.code === 'MALFORMED') return undefined;
    throw error;
  }
};

/** The changes of one table that pass: the same object when all do, undefined when none does. */
const passing = (
  table: TableChanges,
  scope: TableScope,
  isOld: boolean,
): TableChanges | undefined => {
  if (table.table !== DEFINITIONS_TABLE)
    return !isOld && permits(scope, table.table) ? table : undefined;
  if (scope.kind === 'all') return table;
  const changes = table.changes.filter(({ key }) => isDefinitionWithin(key, scope));
  if (changes.length === table.changes.length) return table;
  return changes.length > 0 ? { ...table, changes } : undefined;
};

/** What is missing now and was there before. */
const scopeLeftOut = (
  before: readonly TableChanges[],
  after: readonly TableChanges[],
  scope: TableScope,
): LeftOut => {
  const gone = before.filter((table) => !after.includes(table)).map(({ table }) => table);
  const isNamed = (table: TableName): boolean => scope.kind === 'all' || permits(scope, table);
  const others = gone.every(isNamed) ? NOTHING_LEFT_OUT : leftOutBy(scope);
  return leftOutByEither({ tables: tableSet(gone.filter(isNamed)), others: null }, others);
};

/** What was left out earlier, as far as it may be told on. */
const told = (earlier: LeftOut, scope: TableScope): LeftOut => {
  if (scope.kind === 'all' || isWhole(earlier)) return earlier;
  const within = leftOutWithin(earlier, scope);
  const isAllWithin = earlier.others === null && within.tables.length === earlier.tables.length;
  return isAllWithin ? within : leftOutByEither(within, leftOutBy(scope));
};

const areEqual = (one: LeftOut, other: LeftOut): boolean =>
  areSame(one.tables, other.tables) && areSame(one.others, other.others);

const areSame = (
  some: readonly TableName[] | null,
  others: readonly TableName[] | null,
): boolean =>
  some === null || others === null
    ? some === others
    : some.length === others.length && some.every((one, at) => one === others[at]);
