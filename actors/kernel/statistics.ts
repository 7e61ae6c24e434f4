/**
 * What a place remembers about itself through all its lives, for the debug endpoint and metrics. Filled by
 * place.ts and life.ts; read for snapshots. It only counts.
 */
import type { ActorSnapshot } from './types.js';

export class Statistics {
  processed = 0;
  crashes = 0;
  restarts = 0;
  lastCrash: ActorSnapshot['lastCrash'];
  readonly #counters = new Map<string, number>();

  get counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counters);
  }

  count(name: string, by: number): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + by);
  }

  crashed(at: number, error: Error, during: string): void {
    this.crashes += 1;
    this.lastCrash = { at, message: error.message, stack: error.stack ?? '', during };
  }
}
