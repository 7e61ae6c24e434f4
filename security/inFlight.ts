/**
 * Work under way, by key: who asks for the same thing meanwhile gets the same answer, only so many things run at a time
 * and only so many wait. Used by the revocation checks for their fetches. Keeps nothing once the work has ended.
 */
import { SkeinError } from '../protocol/errors.js';

export class InFlight<T> {
  readonly #runningMax: number;
  readonly #waitingMax: number;
  readonly #byKey = new Map<string, Promise<T>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(bounds: { runningMax: number; waitingMax: number }) {
    this.#runningMax = bounds.runningMax;
    this.#waitingMax = bounds.waitingMax;
  }

  /** What `work` resolves to, here or where it began. Rejects with OVERLOADED when too many wait already. */
  run(key: string, work: () => Promise<T>): Promise<T> {
    const underWay = this.#byKey.get(key);
    if (underWay !== undefined) return underWay;
    const begun = this.#inTurn(work).finally(() => this.#byKey.delete(key));
    this.#byKey.set(key, begun);
    return begun;
  }

  async #inTurn(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#runningMax) this.#running += 1;
    else if (this.#waiting.length >= this.#waitingMax)
      throw new SkeinError('OVERLOADED', `more than ${this.#waitingMax} questions are waiting`);
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  /** The place goes to the next one directly: `#running` stays as it is. */
  #passOn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}
