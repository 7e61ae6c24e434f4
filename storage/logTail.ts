/**
 * The last few MiB of committed entries, shared by all feeds of a database: a feed near the end of the
 * log reads here and never from the disk. Filled by commit.ts; read through log.ts.
 */
import type { OriginId, Sequence } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';

export interface CommittedEntry {
  readonly origin: OriginId;
  readonly sequence: Sequence;
  readonly bytes: Buffer;
}

const GIVEN_UP = Buffer.alloc(0);

interface OriginTail {
  first: number;
  entries: Buffer[];
  /** Entries before this place were given up. */
  dropped: number;
}

interface Place {
  readonly origin: OriginId;
  readonly sequence: number;
  readonly byteLength: number;
}

export class LogTail {
  readonly #bytesMax: number;
  #origins = new Map<OriginId, OriginTail>();
  /** Oldest first. Without their bytes, which must go when they are dropped. */
  #order: Place[] = [];
  #orderStart = 0;
  #bytes = 0;

  constructor(bytesMax: number = limits.logTailBytes) {
    this.#bytesMax = bytesMax;
  }

  add(entry: CommittedEntry): void {
    const tail = this.#origins.get(entry.origin);
    if (tail && tail.first + tail.entries.length === entry.sequence) tail.entries.push(entry.bytes);
    else
      this.#origins.set(entry.origin, {
        first: entry.sequence,
        entries: [entry.bytes],
        dropped: 0,
      });
    const { origin, sequence, bytes } = entry;
    this.#order.push({ origin, sequence, byteLength: bytes.length });
    this.#bytes += bytes.length;
    while (this.#bytes > this.#bytesMax) this.#dropOldest();
  }

  /** Entries after `after`, up to about `bytesMax` (at least one); undefined when they are not all here. */
  read(request: { origin: OriginId; after: number; bytesMax: number }): Buffer[] | undefined {
    const tail = this.#origins.get(request.origin);
    if (!tail) return undefined;
    let place = request.after + 1 - tail.first;
    if (place < tail.dropped || place >= tail.entries.length) return undefined;
    const found: Buffer[] = [];
    for (let bytes = 0; place < tail.entries.length; place++) {
      const entry = tail.entries[place];
      if (!entry || (bytes > 0 && bytes + entry.length > request.bytesMax)) break;
      found.push(entry);
      bytes += entry.length;
    }
    return found;
  }

  #dropOldest(): void {
    const oldest = this.#order[this.#orderStart++];
    if (!oldest) return;
    this.#bytes -= oldest.byteLength;
    const tail = this.#origins.get(oldest.origin);
    if (tail && oldest.sequence >= tail.first + tail.dropped) this.#release(oldest, tail);
    if (this.#orderStart > 1024 && this.#orderStart * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#orderStart);
      this.#orderStart = 0;
    }
  }

  #release(oldest: Place, tail: OriginTail): void {
    const dropped = oldest.sequence - tail.first + 1;
    tail.entries.fill(GIVEN_UP, tail.dropped, dropped);
    tail.dropped = dropped;
    if (tail.dropped === tail.entries.length) this.#origins.delete(oldest.origin);
    else if (tail.dropped > 1024 && tail.dropped * 2 > tail.entries.length) {
      tail.entries = tail.entries.slice(tail.dropped);
      tail.first += tail.dropped;
      tail.dropped = 0;
    }
  }
}
