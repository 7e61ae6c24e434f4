/**
 * What a node that has forgotten deletes may take from others, and what has to be written again so that nobody is left
 * with the wrong half of it (docs/ARCHITECTURE.md, Late news). Marks say what was forgotten: per origin, the version of
 * the newest delete that was purged. They decide, never a clock. Called by storage/. Pure and total.
 */
import type { Covers } from './absence.js';
import { DEADLINE, endedAtMs, hasEnded, settled } from './expiry.js';
import type { Mark } from './frames.js';
import type { OriginId, Version } from './ids.js';
import { recordOf, type PatchedRow, type Row, type RowChange } from './row.js';

export type Marks = ReadonlyMap<OriginId, Version>;

const NEVER = 0 as Version;

/** The version of the newest delete that was purged at all; 0: none. */
export const newestMark = (marks: Marks): Version => {
  let newest = NEVER;
  for (const version of marks.values()) if (version > newest) newest = version;
  return newest;
};

/**
 * Whether an entry beyond the vector must not be applied from the log: a purged delete may be newer than it, and
 * nothing here would show that.
 */
export const isLate = (version: Version, newest: Version): boolean => version <= newest;

/**
 * The newest delete in these marks that the other side's vector does not contain; 0: none. Whatever the other side
 * brings that is not newer than it may have been deleted here without a trace.
 */
export const blindSpot = (marks: Iterable<Mark>, covers: Covers): Version => {
  let newest = NEVER;
  for (const mark of marks) if (mark.version > newest && !covers(mark)) newest = mark.version;
  return newest;
};

/** Why a row is written again: it may be late for somebody, or nobody's log leads to it any more. */
export type Reason = 'lateNews' | 'orphan';

/**
 * The operation that writes a row again, as far as the components chosen by `isNews` are in it; undefined: none is.
 * The whole row where the put is among them, else the attributes; a delete where the row is hidden. A delete under a
 * newer write is a reason only when its entry is lost: otherwise the row would be written again at every copy. A row with
 * a deadline goes whole: its attributes alone, with a present stamp, would be a new record after the deadline.
 */
export const writtenAgain = (row: Row, isNews: Covers, reason: Reason): RowChange | undefined => {
  switch (row.kind) {
    case 'deleted':
      return isNews(row.stamp) ? { type: 'delete' } : undefined;
    case 'whole':
      return isNews(row.stamp) ? { type: 'put', body: row.body } : undefined;
    case 'patched': {
      const { floor, alive, dead, registers } = row;
      if ((floor && isNews(floor)) || (reason === 'orphan' && dead && isNews(dead)))
        return written(row);
      if (registers.has(DEADLINE)) return hasNews(row, isNews) ? written(row) : undefined;
      const attributes = [...registers]
        .filter(([, { stamp }]) => isNews(stamp))
        .map(([name, { value }]) => ({ name, value }));
      return attributes.length > 0 || isNews(alive) ? { type: 'patch', attributes } : undefined;
    }
    default:
      return row satisfies never;
  }
};

/**
 * The same for a row with a deadline, where a side that removed the record after it has nothing left to compare: `both`
 * is what the two sides held together, of which `row` may have lost the deadline. Whatever of it `isLateFor` a side is
 * reason enough, and the row goes whole: as it is, or as one that has ended when that is what it was.
 */
export const endedAgain = (
  row: Row,
  both: () => Row,
  look: { readonly isLateFor: Covers; readonly nowMs: number },
): RowChange | undefined => {
  if (row.kind !== 'patched' || !hasNews(row, look.isLateFor)) return undefined;
  const whole = both();
  if (!mayEnd(whole)) return undefined;
  return written(hasEnded(whole, look.nowMs) ? whole : row);
};

/** The operation that leaves exactly what this row shows: for a row whose superseding is known to nobody else. */
export const written = (row: Row | undefined): RowChange => {
  const body = row && recordOf(settled(row));
  return body ? { type: 'put', body } : { type: 'delete' };
};

const mayEnd = (row: Row): boolean => endedAtMs(row) !== undefined;

const hasNews = ({ alive, registers }: PatchedRow, isNews: Covers): boolean =>
  isNews(alive) || [...registers.values()].some(({ stamp }) => isNews(stamp));
