/**
 * Answers "may anything newer than this version be stored on that key?" without a read, in bounded memory: for
 * each of a fixed number of slots, the newest version written to any key that falls into it. A wrong "perhaps"
 * costs one read; a wrong "no" cannot happen. Called by commit.ts.
 */
import type { Version } from '../protocol/ids.js';

const SLOTS = 1 << 16;

export class Recency {
  readonly #newest = new Float64Array(SLOTS);

  /** `seen`: nothing stored before now is newer. */
  constructor(seen: Version) {
    this.#newest.fill(seen);
  }

  /** True when everything stored on this key is older than `version`. */
  isNewest(storeKey: Uint8Array, version: Version): boolean {
    return (this.#newest[slotOf(storeKey)] ?? Infinity) < version;
  }

  note(storeKey: Uint8Array, version: Version): void {
    const slot = slotOf(storeKey);
    if ((this.#newest[slot] ?? 0) < version) this.#newest[slot] = version;
  }
}

/** FNV-1a over the last 16 bytes: keys of one table differ at their end. */
const slotOf = (bytes: Uint8Array): number => {
  let hash = 0x811c9dc5;
  for (let at = Math.max(0, bytes.length - 16); at < bytes.length; at++)
    hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
  return (hash ^ (hash >>> 16)) & (SLOTS - 1);
};
