/**
 * The rules of rows, written once more and on their own: stamps, the four kinds of component, joins, what a copy leaves
 * out. Plain data, none of the code under test. Used by modelWorld.ts, which compares the two.
 */

export interface ModelStamp {
  readonly version: number;
  readonly origin: string;
}

export interface ModelRow {
  readonly floor: ModelStamp | null;
  readonly alive: ModelStamp | null;
  readonly dead: ModelStamp | null;
  readonly values: Readonly<Record<string, { readonly stamp: ModelStamp; readonly value: number }>>;
}

/** The net effect of one transaction on one row. */
export type ModelOperation =
  | { readonly type: 'put' | 'patch'; readonly values: Readonly<Record<string, number>> }
  | { readonly type: 'delete' };

/** Of each origin, sequence and version of the last entry. */
export type ModelVector = Readonly<
  Record<string, { readonly at: number; readonly version: number }>
>;

export const order = (a: ModelStamp | null, b: ModelStamp | null): number => {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null);
  if (a.version !== b.version) return a.version < b.version ? -1 : 1;
  if (a.origin === b.origin) return 0;
  return a.origin < b.origin ? -1 : 1;
};

export const newest = (...stamps: readonly (ModelStamp | null)[]): ModelStamp | null =>
  stamps.reduce((best, one) => (order(one, best) > 0 ? one : best), null);

export const contains = (vector: ModelVector, { origin, version }: ModelStamp): boolean =>
  version <= (vector[origin]?.version ?? -1);

export const rowAfter = (operation: ModelOperation, stamp: ModelStamp): ModelRow => {
  if (operation.type === 'delete') return { floor: null, alive: null, dead: stamp, values: {} };
  const values = Object.entries(operation.values).map(([name, value]) => [name, { stamp, value }]);
  const floor = operation.type === 'put' ? stamp : null;
  return {
    floor,
    alive: stamp,
    dead: null,
    values: Object.fromEntries(values) as ModelRow['values'],
  };
};

/** The newer of each component; nothing older than the newest put or delete. */
export const joined = (a: ModelRow, b: ModelRow): ModelRow => {
  const values: Record<string, ModelRow['values'][string]> = { ...a.values };
  for (const [name, theirs] of Object.entries(b.values)) {
    const mine = values[name];
    if (!mine || order(theirs.stamp, mine.stamp) > 0) values[name] = theirs;
  }
  return tidied({
    floor: newest(a.floor, b.floor),
    alive: newest(a.alive, b.alive),
    dead: newest(a.dead, b.dead),
    values,
  });
};

/** The one form of a state: of put and delete only the newer, of a hidden row only its delete. */
const tidied = (row: ModelRow): ModelRow => {
  const { floor, alive, dead } = row;
  if (order(dead, alive) > 0) return { floor: null, alive: null, dead, values: {} };
  const erased = newest(floor, dead);
  const left = Object.entries(row.values).filter(([, { stamp }]) => order(stamp, erased) >= 0);
  const isDeleteNewer = order(dead, floor) > 0;
  return {
    floor: isDeleteNewer ? null : floor,
    alive,
    dead: isDeleteNewer ? dead : null,
    values: Object.fromEntries(left),
  };
};

export const isShown = ({ alive, dead }: ModelRow): boolean => order(alive, dead) > 0;

export const stampsIn = ({ floor, alive, dead, values }: ModelRow): ModelStamp[] =>
  [floor, alive, dead, ...Object.values(values).map(({ stamp }) => stamp)].filter(
    (stamp) => stamp !== null,
  );

/**
 * Without what the other side knows of and no longer holds, component by component. A delete stays. An older write that
 * is left keeps the record alive. Null: nothing is left.
 */
export const stillNews = (
  row: ModelRow,
  theirs: { readonly vector: ModelVector; readonly row: ModelRow | null },
): ModelRow | null => {
  const isGone = (stamp: ModelStamp, held: ModelStamp | null): boolean =>
    contains(theirs.vector, stamp) && order(held, stamp) < 0;
  const other = theirs.row;
  const values = Object.entries(row.values).filter(
    ([name, { stamp }]) => !isGone(stamp, other?.values[name]?.stamp ?? null),
  );
  const erased = newest(other?.floor ?? null, other?.dead ?? null);
  const floor = row.floor && isGone(row.floor, erased) ? null : row.floor;
  const older = newest(floor, ...values.map(([, { stamp }]) => stamp));
  const alive = row.alive && isGone(row.alive, other?.alive ?? null) ? older : row.alive;
  const left = tidied({ floor, alive, dead: row.dead, values: Object.fromEntries(values) });
  return left.alive === null && left.dead === null ? null : left;
};

/**
 * The operation that says again what `isNews` of a row; null: nothing is. `isLost`: nobody's log leads to it, so that a
 * delete beneath a newer write counts too.
 */
export const saidAgain = (
  row: ModelRow,
  isNews: (stamp: ModelStamp) => boolean,
  isLost: boolean,
): ModelOperation | null => {
  if (!isShown(row)) return row.dead && isNews(row.dead) ? { type: 'delete' } : null;
  const all = Object.entries(row.values);
  const put = row.floor && isNews(row.floor);
  const erased = isLost && row.dead && isNews(row.dead);
  if (put || erased) return { type: 'put', values: plainValues(all) };
  const news = all.filter(([, { stamp }]) => isNews(stamp));
  if (news.length === 0 && !(row.alive && isNews(row.alive))) return null;
  return { type: 'patch', values: plainValues(news) };
};

/** What makes a row again whatever it was made of. */
export const saidWhole = (row: ModelRow | undefined): ModelOperation =>
  row && isShown(row)
    ? { type: 'put', values: plainValues(Object.entries(row.values)) }
    : { type: 'delete' };

const plainValues = (
  entries: readonly (readonly [string, { readonly value: number }])[],
): Record<string, number> => Object.fromEntries(entries.map(([name, { value }]) => [name, value]));

/** In program order: a patch goes into an earlier put or patch, makes a put after a delete; all else replaces. */
export const folded = (
  before: ModelOperation | undefined,
  next: ModelOperation,
): ModelOperation => {
  if (!before || next.type !== 'patch') return next;
  if (before.type === 'delete') return { type: 'put', values: next.values };
  return { type: before.type, values: { ...before.values, ...next.values } };
};
