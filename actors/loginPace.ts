/**
 * Lets logins wait as protocol/loginThrottle.ts says, and tells it how they end. Used by actors/users.ts; knows no
 * passwords. At most `limits.loginsWaitingMax` wait at a time.
 */
import { SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { LoginThrottle, type LoginAttempt } from '../protocol/loginThrottle.js';
import type { Environment } from './environment.js';

export class LoginPace {
  readonly #environment: Pick<Environment, 'now' | 'setTimer'>;
  readonly #throttle = new LoginThrottle();
  #waiting = 0;

  constructor(environment: Pick<Environment, 'now' | 'setTimer'>) {
    this.#environment = environment;
  }

  /**
   * What `verify` answers, after the wait. UNAUTHENTICATED counts as a failure. TOO_MANY_LOGINS when the wait would be
   * longer than `limits.loginWaitMsMax`, OVERLOADED when too many wait.
   */
  async run<T>(attempt: LoginAttempt, verify: () => Promise<T>): Promise<T> {
    const { waitMs, isRefused } = this.#throttle.begin(attempt, this.#environment.now());
    if (isRefused) {
      const seconds = Math.ceil(waitMs / 1000);
      throw new SkeinError('TOO_MANY_LOGINS', `Too many failed logins, try again in ${seconds} s`);
    }
    if (waitMs > 0) await this.#wait(waitMs);
    try {
      const verified = await verify();
      this.#throttle.succeeded(attempt);
      return verified;
    } catch (error) {
      if (error instanceof SkeinError && error.code === 'UNAUTHENTICATED')
        this.#throttle.failed(attempt, this.#environment.now());
      throw error;
    }
  }

  async #wait(waitMs: number): Promise<void> {
    if (this.#waiting >= limits.loginsWaitingMax)
      throw new SkeinError('OVERLOADED', 'Too many logins are waiting, try again later');
    this.#waiting++;
    try {
      await new Promise<void>((resolve) => this.#environment.setTimer(waitMs, resolve));
    } finally {
      this.#waiting--;
    }
  }
}
