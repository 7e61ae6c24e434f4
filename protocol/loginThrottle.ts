/**
 * How long a login has to wait after failures before it: by address and user together, by address, and a little by
 * user. A pure machine; driven by actors/loginPace.ts, which knows the time. Bounded: the longest untouched is forgotten.
 */
import { limits } from './limits.js';

export interface LoginAttempt {
  readonly username: string;
  /** Where it comes from. */
  readonly address: string;
  /** Verified a moment ago: others who fail at the same address do not hold it up. */
  readonly isKnown?: boolean;
}

interface Pace {
  /** Failures that cost nothing. */
  readonly free: number;
  /** After the first that does; doubles with each. */
  readonly firstMs: number;
  readonly msMax: number;
}

const OF_PAIR: Pace = { free: 5, firstMs: 100, msMax: 10_000 };
const OF_ADDRESS: Pace = { free: 20, firstMs: 100, msMax: 10_000 };
/** Guesses from everywhere slow a user's own login by no more than this. */
const OF_USER: Pace = { free: 20, firstMs: 100, msMax: 1_000 };

interface Failures {
  count: number;
  lastMs: number;
  /** No attempt begins earlier. */
  nextMs: number;
}

export class LoginThrottle {
  readonly #failures = new Map<string, Failures>();

  get size(): number {
    return this.#failures.size;
  }

  /** Milliseconds to wait, with a place taken in the queue of that address; or too long a wait, and none taken. */
  begin(attempt: LoginAttempt, nowMs: number): { waitMs: number; isRefused: boolean } {
    const queued = [
      { failures: this.#find(pairKey(attempt), nowMs), pace: OF_PAIR },
      {
        failures: attempt.isKnown ? undefined : this.#find(addressKey(attempt), nowMs),
        pace: OF_ADDRESS,
      },
    ];
    const startMs = Math.max(nowMs, ...queued.map(({ failures }) => failures?.nextMs ?? 0));
    const ofUser = attempt.isKnown ? undefined : this.#find(userKey(attempt), nowMs);
    const waitMs = Math.max(startMs - nowMs, ofUser ? delayMs(ofUser.count, OF_USER) : 0);
    if (waitMs > limits.loginWaitMsMax) return { waitMs, isRefused: true };
    for (const { failures, pace } of queued) {
      const delay = failures ? delayMs(failures.count, pace) : 0;
      if (failures && delay > 0) failures.nextMs = startMs + delay;
    }
    return { waitMs, isRefused: false };
  }

  failed(attempt: LoginAttempt, nowMs: number): void {
    this.#count(pairKey(attempt), OF_PAIR, nowMs);
    this.#count(addressKey(attempt), OF_ADDRESS, nowMs);
    this.#count(userKey(attempt), OF_USER, nowMs);
  }

  /**
   * Clears that user's failures there; those of the address stay, or one right password would excuse all guesses. A
   * known login clears nothing: a busy client would excuse the guesses between its requests.
   */
  succeeded(attempt: LoginAttempt): void {
    if (!attempt.isKnown) this.#failures.delete(pairKey(attempt));
  }

  #find(key: string, nowMs: number): Failures | undefined {
    const failures = this.#failures.get(key);
    if (!failures || nowMs - failures.lastMs <= limits.loginFailureMsMax) return failures;
    this.#failures.delete(key);
    return undefined;
  }

  #count(key: string, pace: Pace, nowMs: number): void {
    const failures = this.#find(key, nowMs) ?? { count: 0, lastMs: nowMs, nextMs: 0 };
    failures.count++;
    failures.lastMs = nowMs;
    failures.nextMs = Math.max(failures.nextMs, nowMs + delayMs(failures.count, pace));
    // Put at the end of the map: its beginning is what has been quiet longest.
    this.#failures.delete(key);
    this.#failures.set(key, failures);
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > limits.loginFailuresKept && oldest !== undefined)
      this.#failures.delete(oldest);
  }
}

const delayMs = (count: number, { free, firstMs, msMax }: Pace): number =>
  count < free ? 0 : Math.min(msMax, firstMs * 2 ** Math.min(count - free, 30));

/** Names of users are at most so long; what is longer names nobody. */
const named = ({ username }: LoginAttempt): string => username.slice(0, limits.nameCharactersMax);

const pairKey = (attempt: LoginAttempt): string =>
  JSON.stringify(['pair', attempt.address, named(attempt)]);
const addressKey = ({ address }: LoginAttempt): string => JSON.stringify(['address', address]);
const userKey = (attempt: LoginAttempt): string => JSON.stringify(['user', named(attempt)]);
