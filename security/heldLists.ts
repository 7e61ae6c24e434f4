/**
 * Revocation lists in memory, the least recently used ones dropped when all together are too large. Used by crlLists.ts,
 * which decides when a list has grown old. Knows nothing of the network or the tables.
 */
import { limits } from '../protocol/limits.js';
import { heldBytes, type RevocationList } from './crl.js';

export interface HeldList {
  readonly list: RevocationList;
  /** When to look for a newer one, in milliseconds since the epoch. */
  readonly dueMs: number;
}

export class HeldLists {
  readonly #byKey = new Map<string, HeldList>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number = limits.crlHeldBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): HeldList | undefined {
    const held = this.#byKey.get(key);
    if (held === undefined) return undefined;
    this.#byKey.delete(key);
    this.#byKey.set(key, held);
    return held;
  }

  /** The newest one stays whatever its size; what is fetched is bounded already. */
  put(key: string, held: HeldList): void {
    this.#drop(key);
    this.#byKey.set(key, held);
    this.#bytes += heldBytes(held.list);
    for (const oldest of this.#byKey.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === key) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const held = this.#byKey.get(key);
    if (held === undefined) return;
    this.#byKey.delete(key);
    this.#bytes -= heldBytes(held.list);
  }
}
