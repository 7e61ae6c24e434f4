/**
 * The handler a life is running, if any: what it handles, since when, and whether it takes suspiciously long.
 * One object per life, begun and ended for every message, so it allocates nothing for a synchronous handler.
 */
import type { KernelEnvironment } from './types.js';

export class Turn {
  readonly #environment: KernelEnvironment;
  /** Type of the message being handled, or `start`. */
  during: string | undefined;
  /** Known for handlers that returned a promise: nobody can look while a synchronous one runs. */
  busySince: number | undefined;
  isHung = false;
  #watchdog: unknown;
  #idle: { readonly reached: Promise<void>; readonly reach: () => void } | undefined;

  constructor(environment: KernelEnvironment) {
    this.#environment = environment;
  }

  begin(during: string): void {
    this.during = during;
  }

  /** The handler returned a promise: `onHung` runs once if it does not settle within `hungMs`. */
  continueLater(hungMs: number, onHung: (forMs: number) => void): void {
    const since = this.#environment.now();
    this.busySince = since;
    this.#watchdog = this.#environment.setTimer(hungMs, () => {
      this.isHung = true;
      onHung(this.#environment.now() - since);
    });
  }

  over(): void {
    this.during = undefined;
    if (this.busySince !== undefined) this.stopWatching();
    this.#idle?.reach();
    this.#idle = undefined;
  }

  /** Also when the handler is abandoned: it is nobody's concern any more. */
  stopWatching(): void {
    this.#environment.clearTimer(this.#watchdog);
    this.busySince = undefined;
    this.isHung = false;
  }

  /** Resolves when no handler runs; never rejects. */
  whenIdle(): Promise<void> {
    if (this.during === undefined) return Promise.resolve();
    if (this.#idle === undefined) {
      let reach = (): void => undefined;
      const reached = new Promise<void>((resolve) => {
        reach = resolve;
      });
      this.#idle = { reached, reach };
    }
    return this.#idle.reached;
  }
}

/** True when `work`, which must not reject, settled in time. */
export const settledWithin = (
  environment: KernelEnvironment,
  work: Promise<void>,
  ms: number,
): Promise<boolean> =>
  new Promise((resolve) => {
    const timer = environment.setTimer(ms, () => resolve(false));
    void work.then(() => {
      environment.clearTimer(timer);
      resolve(true);
    });
  });
