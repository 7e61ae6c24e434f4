/**
 * The hybrid clock: wall time and a counter in one safe integer (docs/ARCHITECTURE.md, Time and stamps).
 * Pure: the caller brings the wall clock. Driven by storage/commit.ts; read by everybody who shows a time.
 */
import type { OriginId, Version } from './ids.js';

/** Versions per millisecond. 2048 fit below 2^53 until the year 2109. */
export const TICKS_PER_MILLISECOND = 2048;

/** Which operation: compared whole, so two operations never tie. */
export interface Stamp {
  readonly version: Version;
  readonly origin: OriginId;
}

/** The version of the next local write: after everything seen so far, and not before the wall clock. */
export const tick = (last: Version, nowMs: number): Version =>
  Math.max(last + 1, Math.floor(nowMs) * TICKS_PER_MILLISECOND) as Version;

/** The clock after having seen `version`: what is written next is ordered after it. */
export const observe = (last: Version, version: Version): Version =>
  version > last ? version : last;

/** Milliseconds since the epoch, with the counter as fraction: what users see as `txn_time`. */
export const millisecondsOf = (version: Version): number => version / TICKS_PER_MILLISECOND;

/** Whether a stamp lies further ahead of this node's wall clock than is accepted. */
export const isTooFarAhead = (question: {
  version: Version;
  nowMs: number;
  maxClockSkewMs: number;
}): boolean => millisecondsOf(question.version) > question.nowMs + question.maxClockSkewMs;

/** Negative: `a` is older. By version, then origin; zero only for the same operation. */
export const compareStamps = (a: Stamp, b: Stamp): number => {
  if (a.version !== b.version) return a.version - b.version;
  if (a.origin === b.origin) return 0;
  return a.origin < b.origin ? -1 : 1;
};

/** The newer of two stamps, either of which may be missing. */
export const newer = (a: Stamp | null, b: Stamp | null): Stamp | null => {
  if (!a || !b) return a ?? b;
  return compareStamps(a, b) >= 0 ? a : b;
};
