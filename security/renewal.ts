/**
 * When a certificate is renewed, and how soon again after that failed. Called by the signer actor. Pure: time and chance
 * come from outside.
 */

/** Share of a certificate's life after which renewal begins. */
const DUE_AFTER = 2 / 3;
/** Renewals of certificates that were issued together are spread over this share of their life. */
const SPREAD = 1 / 30;

const RETRY_MS_MIN = 60_000;
const RETRY_MS_MAX = 6 * 3_600_000;
/** However short the rest of a certificate's life is. */
const RETRY_MS_LEAST = 1_000;

export interface Validity {
  /** Milliseconds since the epoch, as `validToMs`. */
  readonly validFromMs: number;
  readonly validToMs: number;
}

/** Milliseconds since the epoch. `random` in [0, 1). */
export const renewalDueMs = ({ validFromMs, validToMs }: Validity, random: number): number =>
  validFromMs + (validToMs - validFromMs) * (DUE_AFTER + SPREAD * random);

/**
 * The wait before the next attempt, in milliseconds: doubling from a minute to six hours, at least ten attempts in what is
 * left of the certificate's life. `attempt` counts from 1, `random` in [0, 1).
 */
export const renewalRetryMs = (question: {
  attempt: number;
  leftMs: number;
  random: number;
}): number => {
  const { attempt, leftMs, random } = question;
  const doubled = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(attempt - 1, 20));
  const bounded = leftMs > 0 ? Math.min(doubled, leftMs / 10) : doubled;
  return Math.max(RETRY_MS_LEAST, bounded * (0.5 + random / 2));
};
