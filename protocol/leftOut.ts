/**
 * Which tables something does not tell all of: an entry that was sent without some of its changes, a database that is
 * held in part (which is said for each origin: a node may hold all that one wrote in a table, and not all that another
 * did), a copy of some tables. Called by entry filters, debts and copies. Pure; decides nothing about rows.
 */
import { permits, type TableScope } from './flow.js';
import type { OriginId, TableName } from './ids.js';

export interface LeftOut {
  /** Named: sorted, each once. */
  readonly tables: readonly TableName[];
  /** Not null: any table may be left out but for these; which ones, is not told. Sorted, each once. */
  readonly others: readonly TableName[] | null;
}

export const NOTHING_LEFT_OUT: LeftOut = { tables: [], others: null };

export const isWhole = ({ tables, others }: LeftOut): boolean =>
  tables.length === 0 && others === null;

export const isLeftOut = ({ tables, others }: LeftOut, table: TableName): boolean =>
  tables.includes(table) || (others !== null && !others.includes(table));

/** What at least one of them leaves out. */
export const leftOutByEither = (one: LeftOut, other: LeftOut): LeftOut => ({
  tables: tableSet([...one.tables, ...other.tables]),
  others: intersected(one.others, other.others),
});

/** What lies outside a scope. */
export const leftOutBy = (scope: TableScope): LeftOut =>
  scope.kind === 'all'
    ? { tables: tableSet(scope.except), others: null }
    : { tables: [], others: tableSet(scope.tables) };

/** What of it somebody may hear of who hears of these tables only. */
export const leftOutWithin = (leftOut: LeftOut, scope: TableScope): LeftOut => {
  const { tables, others } = leftOut;
  if (scope.kind === 'only')
    return {
      tables: tableSet(scope.tables.filter((table) => isLeftOut(leftOut, table))),
      others: null,
    };
  const isHeard = (table: TableName): boolean => permits(scope, table);
  return { tables: tables.filter(isHeard), others: others && others.filter(isHeard) };
};

/** What is not whole of each origin; an origin that is not named is whole. */
export type PartHeld = ReadonlyMap<OriginId, LeftOut>;

export const ALL_HELD: PartHeld = new Map();

/** The same in a frame. */
export type PartHeldOnWire = readonly (LeftOut & { readonly origin: OriginId })[];

export const partHeldOnWire = (held: PartHeld): PartHeldOnWire =>
  [...held].map(([origin, leftOut]) => ({ origin, ...leftOut }));

export const partHeldFrom = (told: PartHeldOnWire | undefined): PartHeld =>
  new Map((told ?? []).map(({ origin, tables, others }) => [origin, { tables, others }]));

export const partHeldByEither = (one: PartHeld, other: PartHeld): PartHeld => {
  const either = new Map(one);
  for (const [origin, leftOut] of other)
    either.set(origin, leftOutByEither(either.get(origin) ?? NOTHING_LEFT_OUT, leftOut));
  return either;
};

/** What of it somebody may hear of who hears of these tables only. */
export const partHeldWithin = (held: PartHeld, scope: TableScope): PartHeld => {
  const within = new Map<OriginId, LeftOut>();
  for (const [origin, leftOut] of held) {
    const heard = leftOutWithin(leftOut, scope);
    if (!isWhole(heard)) within.set(origin, heard);
  }
  return within;
};

export const tableSet = (tables: Iterable<TableName>): TableName[] => [...new Set(tables)].sort();

const intersected = (
  one: LeftOut['others'],
  other: LeftOut['others'],
): readonly TableName[] | null => {
  if (one === null || other === null) return one ?? other;
  return one.filter((table) => other.includes(table));
};
