/**
 * Remembers verified logins for a short time: checking a password is slow on purpose. Keeps a keyed hash, never the
 * password. Used by the node handle.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { User } from '../protocol/operations.js';

/** More logins than this at once are verified each time. */
const LOGINS_MAX = 1_000;

export class LoginCache {
  readonly #ttlMs: number;
  readonly #now: () => number;
  readonly #verify: (username: string, password: string) => Promise<User>;
  readonly #secret = randomBytes(32);
  #logins = new Map<string, { user: User; untilMs: number }>();

  constructor(parts: {
    ttlMs: number;
    now: () => number;
    verify: (username: string, password: string) => Promise<User>;
  }) {
    this.#ttlMs = parts.ttlMs;
    this.#now = parts.now;
    this.#verify = parts.verify;
  }

  /** Rejects with UNAUTHENTICATED; failures are never remembered. */
  async authenticate({
    username,
    password,
  }: {
    username: string;
    password: string;
  }): Promise<User> {
    const key = createHmac('sha256', this.#secret)
      .update(JSON.stringify([username, password]))
      .digest('base64');
    const known = this.#logins.get(key);
    if (known && known.untilMs > this.#now()) return known.user;
    this.#logins.delete(key);
    const user = await this.#verify(username, password);
    if (this.#logins.size >= LOGINS_MAX) this.#logins.clear();
    this.#logins.set(key, { user, untilMs: this.#now() + this.#ttlMs });
    return user;
  }
}
