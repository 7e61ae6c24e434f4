/**
 * Remembers for a short time which password fits which stored hash: checking one is slow on purpose. Keeps a keyed hash,
 * never the password, and nothing about users, whose rows are read for every login. Used by actors/users.ts.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';

export type Verify = (password: string, stored: string) => Promise<boolean>;

export class LoginCache {
  readonly #ttlMs: number;
  readonly #now: () => number;
  readonly #verify: Verify;
  readonly #secret = randomBytes(32);
  /** Until when, ms since the epoch. */
  readonly #fitting = new Map<string, number>();
  readonly #verifying = new Map<string, Promise<boolean>>();

  constructor(parts: { ttlMs: number; now: () => number; verify: Verify }) {
    this.#ttlMs = parts.ttlMs;
    this.#now = parts.now;
    this.#verify = parts.verify;
  }

  /** Whether it has been found to fit a moment ago. */
  knows(password: string, stored: string): boolean {
    return (this.#fitting.get(this.#keyOf(password, stored)) ?? 0) > this.#now();
  }

  /** Failures are never remembered. OVERLOADED when too many passwords are being checked. */
  async verify(password: string, stored: string): Promise<boolean> {
    if (this.knows(password, stored)) return true;
    const key = this.#keyOf(password, stored);
    this.#fitting.delete(key);
    const fits = await this.#verifyOnce(key, () => this.#verify(password, stored));
    if (fits) this.#remember(key);
    return fits;
  }

  #keyOf(password: string, stored: string): string {
    return createHmac('sha256', this.#secret)
      .update(JSON.stringify([password, stored]))
      .digest('base64');
  }

  /** Requests that come together, as those of a pool do, share one check. */
  async #verifyOnce(key: string, verify: () => Promise<boolean>): Promise<boolean> {
    const running = this.#verifying.get(key);
    if (running) return running;
    if (this.#verifying.size >= limits.loginsVerifyingMax)
      throw new SkeinError('OVERLOADED', 'Too many logins at a time, try again later');
    const verifying = verify().finally(() => this.#verifying.delete(key));
    this.#verifying.set(key, verifying);
    return verifying;
  }

  #remember(key: string): void {
    if (this.#fitting.size >= limits.loginsKept) this.#fitting.clear();
    this.#fitting.set(key, this.#now() + this.#ttlMs);
  }
}
