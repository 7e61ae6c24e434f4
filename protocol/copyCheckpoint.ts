/**
 * How far a copy has got: stored with the rows it speaks of, so that it goes on after a cut or a crash, also from
 * another peer. Driven by the shardRouter. What may be adopted at the end is the minimum of all snapshots used;
 * the database is ready when its vector has reached their maximum.
 */
import { coveredBy } from './absence.js';
import type { TableScope } from './flow.js';
import type { CopyPlaceOnWire, Mark, OriginPosition } from './frames.js';
import type { OriginId, TableName } from './ids.js';
import {
  ALL_HELD,
  leftOutByEither,
  NOTHING_LEFT_OUT,
  partHeldByEither,
  tableSet,
  type LeftOut,
  type PartHeld,
} from './leftOut.js';
import { blindSpot } from './lateNews.js';

export type CopiedPosition = OriginPosition & { readonly checksum: number };

export interface CopyCheckpoint {
  /** Which copy of this database: what it drops is noted under it. */
  readonly number: number;
  /** Last row taken; null before the first. */
  readonly after: CopyPlaceOnWire | null;
  /** Minimum of the snapshots used; null before the first. */
  readonly adopt: ReadonlyMap<OriginId, CopiedPosition> | null;
  /** Maximum of the snapshots used. */
  readonly reach: ReadonlyMap<OriginId, CopiedPosition>;
  readonly rowsDone: number;
  readonly rowsEstimated: number;
  /** Only these tables are copied, to pay debts: no positions are adopted. Null: the whole database is. */
  readonly tables: TableScope | null;
  /** What some snapshot did not bring, and what its source held in part. */
  readonly leftOut: LeftOut;
  readonly inPart: PartHeld;
  /** Tables of which some snapshot left out what is older than a start time. */
  readonly cutOff: readonly TableName[];
}

export const newCopy = (number: number, tables: TableScope | null = null): CopyCheckpoint => ({
  number,
  tables,
  leftOut: NOTHING_LEFT_OUT,
  inPart: ALL_HELD,
  cutOff: [],
  after: null,
  adopt: null,
  reach: new Map(),
  rowsDone: 0,
  rowsEstimated: 0,
});

/**
 * Whether a copy has to begin again at a source with these marks: it has purged deletes that the earlier snapshots do
 * not know of, so it cannot complete them.
 */
export const mustBeginAgain = (copy: CopyCheckpoint, marks: readonly Mark[]): boolean =>
  copy.adopt !== null && blindSpot(marks, coveredBy(copy.adopt)) > 0;

/** From the first row. What was dropped stays noted, and what was promised has to be reached all the same. */
export const begunAgain = (copy: CopyCheckpoint): CopyCheckpoint => ({
  ...newCopy(copy.number, copy.tables),
  reach: copy.reach,
});

/**
 * A snapshot begins or goes on with the copy. `owed`: what its source itself still has to reach. `estimatedRows`: still
 * to come from it.
 */
export const withSnapshot = (
  copy: CopyCheckpoint,
  snapshot: {
    positions: readonly CopiedPosition[];
    owed: readonly CopiedPosition[];
    estimatedRows: number;
    leftOut?: LeftOut;
    inPart?: PartHeld;
    cutOff?: readonly TableName[];
  },
): CopyCheckpoint => {
  const vector = byOrigin(snapshot.positions);
  return {
    ...copy,
    adopt: copy.adopt === null ? vector : minimum(copy.adopt, vector),
    reach: maximum(maximum(copy.reach, vector), byOrigin(snapshot.owed)),
    rowsEstimated: copy.rowsDone + snapshot.estimatedRows,
    leftOut: leftOutByEither(copy.leftOut, snapshot.leftOut ?? NOTHING_LEFT_OUT),
    inPart: partHeldByEither(copy.inPart, snapshot.inPart ?? ALL_HELD),
    cutOff: tableSet([...copy.cutOff, ...(snapshot.cutOff ?? [])]),
  };
};

/** `after`: how far they reach; null: no further than before. */
export const withRows = (
  copy: CopyCheckpoint,
  rows: { count: number; after: CopyPlaceOnWire | null },
): CopyCheckpoint => {
  const rowsDone = copy.rowsDone + rows.count;
  return {
    ...copy,
    after: rows.after ?? copy.after,
    rowsDone,
    rowsEstimated: Math.max(copy.rowsEstimated, rowsDone),
  };
};

export const byOrigin = (positions: readonly CopiedPosition[]): Map<OriginId, CopiedPosition> =>
  new Map(positions.map((position) => [position.origin, position]));

/** Component-wise; an origin missing in one counts as nothing. */
const minimum = (
  a: ReadonlyMap<OriginId, CopiedPosition>,
  b: ReadonlyMap<OriginId, CopiedPosition>,
): Map<OriginId, CopiedPosition> => {
  const result = new Map<OriginId, CopiedPosition>();
  for (const [origin, position] of a) {
    const other = b.get(origin);
    if (other) result.set(origin, other.sequence < position.sequence ? other : position);
  }
  return result;
};

const maximum = (
  a: ReadonlyMap<OriginId, CopiedPosition>,
  b: ReadonlyMap<OriginId, CopiedPosition>,
): Map<OriginId, CopiedPosition> => {
  const result = new Map(a);
  for (const [origin, position] of b) {
    const held = result.get(origin);
    if (!held || held.sequence < position.sequence) result.set(origin, position);
  }
  return result;
};
