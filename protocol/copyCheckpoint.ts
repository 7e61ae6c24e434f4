/**
 * How far a copy has got: stored with the rows it speaks of, so that it goes on after a cut or a crash, also from
 * another peer. Driven by the shardRouter. What may be adopted at the end is the minimum of all snapshots used;
 * the database is ready when its vector has reached their maximum.
 */
import type { CopyPlaceOnWire, OriginPosition } from './frames.js';
import type { OriginId } from './ids.js';

export type CopiedPosition = OriginPosition & { readonly checksum: number };

export interface CopyCheckpoint {
  /** Last row taken; null before the first. */
  readonly after: CopyPlaceOnWire | null;
  /** Minimum of the snapshots used; null before the first. */
  readonly adopt: ReadonlyMap<OriginId, CopiedPosition> | null;
  /** Maximum of the snapshots used. */
  readonly reach: ReadonlyMap<OriginId, CopiedPosition>;
  readonly rowsDone: number;
  readonly rowsEstimated: number;
}

export const newCopy: CopyCheckpoint = {
  after: null,
  adopt: null,
  reach: new Map(),
  rowsDone: 0,
  rowsEstimated: 0,
};

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
  },
): CopyCheckpoint => {
  const vector = byOrigin(snapshot.positions);
  return {
    ...copy,
    adopt: copy.adopt === null ? vector : minimum(copy.adopt, vector),
    reach: maximum(maximum(copy.reach, vector), byOrigin(snapshot.owed)),
    rowsEstimated: copy.rowsDone + snapshot.estimatedRows,
  };
};

export const withRows = (
  copy: CopyCheckpoint,
  rows: { count: number; after: CopyPlaceOnWire },
): CopyCheckpoint => {
  const rowsDone = copy.rowsDone + rows.count;
  return {
    ...copy,
    after: rows.after,
    rowsDone,
    rowsEstimated: Math.max(copy.rowsEstimated, rowsDone),
  };
};

const byOrigin = (positions: readonly CopiedPosition[]): Map<OriginId, CopiedPosition> =>
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
