/**
 * Which share of the last half minute a sender had something to send and could not. Fed by the tableSubscription after
 * each step; pure, read at any time with that time. Time is kept in seconds, so that its size has a bound however
 * often sending stops and goes on.
 */

/** What `backPressurePercent` looks back over. */
export const PRESSURE_MS = 30_000;

const BUCKET_MS = 1_000;

export interface BackPressure {
  readonly pausedSinceMs: number | null;
  /** Seconds that have pauses in them, oldest first, at most those of PRESSURE_MS and one. */
  readonly buckets: readonly Bucket[];
}

interface Bucket {
  readonly startMs: number;
  readonly pausedMs: number;
}

export const noBackPressure: BackPressure = { pausedSinceMs: null, buckets: [] };

/** `isPaused` holds from now on. */
export const stepBackPressure = (
  pressure: BackPressure,
  isPaused: boolean,
  nowMs: number,
): BackPressure => {
  const { pausedSinceMs } = pressure;
  if (isPaused === (pausedSinceMs !== null)) return pressure;
  return {
    pausedSinceMs: isPaused ? nowMs : null,
    buckets: pausedSinceMs === null ? pressure.buckets : withPause(pressure, pausedSinceMs, nowMs),
  };
};

/** 0 to 100. */
export const backPressurePercent = (pressure: BackPressure, nowMs: number): number => {
  const { pausedSinceMs, buckets } = pressure;
  const all = pausedSinceMs === null ? buckets : withPause(pressure, pausedSinceMs, nowMs);
  let pausedMs = 0;
  for (const { startMs, pausedMs: ms } of all)
    if (startMs > nowMs - PRESSURE_MS) pausedMs += ms;
    // Of the second that is leaving, no more than what is left of it.
    else pausedMs += Math.min(ms, Math.max(0, startMs + BUCKET_MS - (nowMs - PRESSURE_MS)));
  return Math.min(100, Math.round((pausedMs / PRESSURE_MS) * 100));
};

const withPause = ({ buckets }: BackPressure, fromMs: number, toMs: number): Bucket[] => {
  const recent = buckets.filter(({ startMs }) => startMs + BUCKET_MS > toMs - PRESSURE_MS);
  for (let ms = Math.max(fromMs, toMs - PRESSURE_MS); ms < toMs;) {
    const startMs = Math.floor(ms / BUCKET_MS) * BUCKET_MS;
    const endMs = Math.min(toMs, startMs + BUCKET_MS);
    const last = recent.at(-1);
    const before = last?.startMs === startMs ? (recent.pop()?.pausedMs ?? 0) : 0;
    recent.push({ startMs, pausedMs: before + endMs - ms });
    ms = endMs;
  }
  return recent;
};
