/**
 * Takes old entries away from the logs, in small steps, and moves the starts of the logs in the same batch: a position
 * before such a start is answered as too old. Driven by actors/maintenance.ts.
 */
import { TICKS_PER_MILLISECOND } from '../protocol/clock.js';
import { readEntryHeader } from '../protocol/entry.js';
import { sequence, type OriginId } from '../protocol/ids.js';
import type { Commit } from './commit.js';
import { logFrom, logKey, sequenceOf } from './keys.js';
import { isEntryAt } from './logCheck.js';
import type { Store } from './store.js';
import type { Position } from './vector.js';

/** Entries of an origin after this sequence are still needed by somebody. */
export type Held = (origin: OriginId) => number;

export class Trim {
  readonly #store: Store;
  #origins: OriginId[] = [];
  /** Where the first of them is read on: what was taken away may still be on the disk. */
  #from = 0;
  /** Entries taken away. */
  trimmed = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Takes away some entries written before `beforeMs`; false: this round is over. */
  async step(
    commit: Commit,
    request: { beforeMs: number; entriesMax: number; held: Held },
  ): Promise<boolean> {
    const origin = this.#origins[0] ?? this.#beginRound();
    if (origin === undefined) return false;
    const found = await this.#oldest(origin, request.entriesMax);
    const position = this.#store.accepted.get(origin);
    const count = position ? this.#take(commit, { origin, position, found, request }) : 0;
    if (count < request.entriesMax) {
      this.#origins.shift();
      this.#from = 0;
    }
    return this.#origins.length > 0;
  }

  #beginRound(): OriginId | undefined {
    this.#origins = [...this.#store.durable.keys()];
    return this.#origins[0];
  }

  async #oldest(origin: OriginId, limit: number): Promise<[Buffer, Buffer][]> {
    const number = this.#store.origins.knownNumberOf(origin);
    if (number === undefined) return [];
    // At first from the very first: a position taken over from a copy leaves entries before its log's start.
    return this.#store.level.iterator({ ...logFrom(number, this.#from), limit }).all();
  }

  #take(
    commit: Commit,
    trim: {
      origin: OriginId;
      position: Position;
      found: readonly [Buffer, Buffer][];
      request: { beforeMs: number; held: Held };
    },
  ): number {
    const { origin, position, found, request } = trim;
    const horizon = request.beforeMs * TICKS_PER_MILLISECOND;
    const held = request.held(origin);
    let start: number = position.logStart;
    let count = 0;
    for (const [key, bytes] of found) {
      const at = sequenceOf(key);
      if (at >= position.logStart && !isEntryAt(origin, at, bytes)) {
        // The log begins beyond it in the next round.
        this.#store.damage.noteEntry(origin, at, false);
        break;
      }
      const isOld =
        at < position.logStart || (at <= held && readEntryHeader(bytes).version < horizon);
      if (at >= position.logStart && !isOld) break;
      commit.putNote(logKey(this.#store.origins.numberOf(origin), at), undefined);
      start = Math.max(start, at + 1);
      this.#from = at + 1;
      count++;
    }
    this.trimmed += count;
    if (start > position.logStart) commit.move(origin, { ...position, logStart: sequence(start) });
    return count;
  }
}
