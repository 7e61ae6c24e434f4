/**
 * How far a copy is in percent, how fast it goes, and how long it will take. Fed by actors/peerStandings.ts from the
 * copy's checkpoint; pure, read at any time with that time, so that the speed of a copy that rests falls to nothing.
 *
 * Invariants: the percentage of one copy never falls and never exceeds 100; it is 100 only when the copy is complete.
 */

/** The speed is that of about so long. */
export const PACE_MS = 10_000;

const SAMPLE_MS = 1_000;

export interface CopyPace {
  readonly rowsDone: number;
  readonly rowsEstimated: number;
  readonly isComplete: boolean;
  /** Largest shown so far. */
  readonly percent: number;
  /** Oldest first; at least SAMPLE_MS apart. */
  readonly samples: readonly { readonly atMs: number; readonly rows: number }[];
}

export interface CopyPaceReading {
  readonly percent: number;
  /** Of the last PACE_MS; absent when complete or too short to tell. */
  readonly rowsPerSecond?: number;
  /** Absent while it cannot be told: no speed, or nothing estimated. */
  readonly remainingMs?: number;
}

/** Fewer rows than before: another copy. `complete`: its rows and what they stand for are on disk. */
export const stepCopyPace = (
  pace: CopyPace | null,
  copy: { readonly rowsDone: number; readonly rowsEstimated: number } | 'complete',
  nowMs: number,
): CopyPace => {
  // One that went by between two looks was never seen in progress.
  if (copy === 'complete') return { ...(pace ?? UNSEEN), isComplete: true, percent: 100 };
  const { rowsDone, rowsEstimated } = copy;
  const before = pace && !pace.isComplete && rowsDone >= pace.rowsDone ? pace : null;
  const percent = Math.max(before?.percent ?? 0, percentOf(rowsDone, rowsEstimated));
  const samples = sampled(before?.samples ?? [], { atMs: nowMs, rows: rowsDone });
  return { rowsDone, rowsEstimated, isComplete: false, percent, samples };
};

const UNSEEN = { rowsDone: 0, rowsEstimated: 0, samples: [] };

export const readCopyPace = (pace: CopyPace, nowMs: number): CopyPaceReading => {
  const { percent, rowsDone, rowsEstimated, samples } = pace;
  const [first] = samples;
  const overMs = first ? nowMs - first.atMs : 0;
  if (pace.isComplete || !first || overMs < SAMPLE_MS) return { percent };
  const rowsPerSecond = Math.round(((rowsDone - first.rows) * 1000) / overMs);
  const left = rowsEstimated - rowsDone;
  if (rowsPerSecond === 0 || left <= 0) return { percent, rowsPerSecond };
  return { percent, rowsPerSecond, remainingMs: Math.round((left / rowsPerSecond) * 1000) };
};

/** In tenths, downwards, and below 100: rows that are estimated to be the last may not be. */
const percentOf = (rowsDone: number, rowsEstimated: number): number =>
  rowsEstimated <= 0 ? 0 : Math.min(99.9, Math.floor((rowsDone / rowsEstimated) * 1000) / 10);

/** Keeps what spans PACE_MS, and the newest that is older. */
const sampled = (
  samples: CopyPace['samples'],
  sample: { atMs: number; rows: number },
): CopyPace['samples'] => {
  const last = samples.at(-1);
  if (last && sample.atMs - last.atMs < SAMPLE_MS) return samples;
  const all = [...samples, sample];
  const begin = all.findLastIndex(({ atMs }) => atMs <= sample.atMs - PACE_MS);
  return all.slice(Math.max(0, begin));
};
