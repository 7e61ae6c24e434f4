/**
 * Durations as people write them in configuration. Called by resolve.ts for the keys whose unit is seconds.
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  H: 3_600_000,
  d: 86_400_000,
  D: 86_400_000,
  M: 30 * 86_400_000,
};

/** What `durationMs` reads, as a regular expression for the schema. */
export const DURATION_PATTERN = '^\\s*\\d{1,12}(?:\\.\\d{1,6})?\\s*[smhHdDM]?\\s*$';

/**
 * Milliseconds of `45s`, `10m` (minutes), `2h`, `3d`, `1M` (30 days); a bare number, or text of one, is
 * seconds. Undefined when the value is none of these or too large to be exact.
 */
export function durationMs(value: number | string): number | undefined {
  if (typeof value === 'number') return exact(value * 1_000);
  if (!new RegExp(DURATION_PATTERN).test(value)) return undefined;
  const text = value.trim();
  const unit = UNIT_MS[text.slice(-1)];
  return exact(parseFloat(text) * (unit ?? 1_000));
}

const exact = (ms: number): number | undefined => {
  const whole = Math.round(ms);
  return Number.isSafeInteger(whole) && whole >= 0 ? whole : undefined;
};
