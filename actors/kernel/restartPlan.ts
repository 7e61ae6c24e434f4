/**
 * Decides what follows the end of a life: another life after a wait, or none. Pure: place.ts passes the
 * clock and the randomness in and carries the verdict out.
 */
import type { RestartPolicy } from './types.js';

/** What one place remembers of its restarts. */
export interface RestartHistory {
  /** When restarts were granted, ms since the epoch; only those a budget can still count. */
  readonly restartedAt: readonly number[];
  /** Restarts since a life last outlived the backoff: the exponent of the next wait. */
  readonly attempt: number;
}

export const NO_RESTARTS: RestartHistory = { restartedAt: [], attempt: 0 };

export type Verdict =
  | { readonly kind: 'restart'; readonly inMs: number; readonly history: RestartHistory }
  | { readonly kind: 'end' }
  | { readonly kind: 'budgetSpent' };

export interface EndOfLife {
  readonly crashed: boolean;
  readonly now: number;
  /** How long the life lasted. */
  readonly livedMs: number;
  /** In [0, 1). */
  readonly random: number;
}

/**
 * Crashes and, for `always`, ends by the actor's own wish count alike: an actor that stops itself in a
 * loop would otherwise never meet its budget.
 */
export const afterLife = (
  policy: RestartPolicy,
  history: RestartHistory,
  end: EndOfLife,
): Verdict => {
  const wanted = policy.restart === 'always' || (policy.restart === 'onCrash' && end.crashed);
  if (!wanted) return { kind: 'end' };
  const recent = countedRestarts(policy, history, end.now);
  if (policy.budget !== undefined && recent.length >= policy.budget.restarts) {
    return { kind: 'budgetSpent' };
  }
  const attempt = outlivedBackoff(policy, end.livedMs) ? 0 : history.attempt;
  return {
    kind: 'restart',
    inMs: waitMs(policy, attempt, end.random),
    history: {
      restartedAt: policy.budget === undefined ? [] : [...recent, end.now],
      attempt: attempt + 1,
    },
  };
};

const countedRestarts = (
  policy: RestartPolicy,
  history: RestartHistory,
  now: number,
): readonly number[] => {
  const withinMs = policy.budget?.withinMs ?? 0;
  return history.restartedAt.filter((at) => now - at < withinMs);
};

/**
 * A life that lasted at least the longest wait was no part of the present trouble: the next wait starts
 * from `msMin` again. Comparing with the wait just served would let an actor that lives a little longer
 * than `msMin` flap at `msMin` for ever.
 */
const outlivedBackoff = (policy: RestartPolicy, livedMs: number): boolean =>
  policy.backoff !== undefined && livedMs >= policy.backoff.msMax;

/**
 * Between half of a doubling ceiling and that ceiling, never below `msMin` nor above `msMax`: peers that
 * lost the same neighbour at the same moment do not come back in step.
 */
const waitMs = (policy: RestartPolicy, attempt: number, random: number): number => {
  if (policy.backoff === undefined) return 0;
  const { msMin, msMax } = policy.backoff;
  const ceiling = Math.min(msMax, msMin * 2 ** (attempt + 1));
  return Math.min(msMax, Math.max(msMin, Math.round((ceiling / 2) * (1 + random))));
};
