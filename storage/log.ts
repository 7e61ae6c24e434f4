/**
 * Reads the log of one database: from the tail in memory when it reaches back far enough, else from disk. Given
 * to feeds and change iterators; reads only what is durable, writes nothing.
 */
import type { OriginId } from '../protocol/ids.js';
import { logFrom, sequenceOf } from './keys.js';
import { isEntryAt } from './logCheck.js';
import type { Store } from './store.js';
import type { Vector } from './vector.js';

export type LogRead =
  | { readonly kind: 'entries'; readonly entries: readonly Buffer[] }
  /** Nothing durable after that position. */
  | { readonly kind: 'end' }
  /** The log begins later, or its next entry cannot be read: another node, or a copy, has to help. */
  | { readonly kind: 'tooOld' };

export interface LogReader {
  /** Durable positions of all shared logs, and of the local one when `local` is set. */
  vector(options?: { local?: boolean }): Vector;
  /** Entries after `after`, whole, up to about `bytesMax` but at least one. */
  read(request: { origin: OriginId; after: number; bytesMax: number }): Promise<LogRead>;
  /** The same when no disk is needed for it; undefined otherwise. */
  readNow(request: { origin: OriginId; after: number; bytesMax: number }): LogRead | undefined;
}

export const logReader = (store: Store): LogReader => ({
  vector: (options) => (options?.local ? new Map(store.durable) : store.sharedVector()),
  readNow: (request) => readNow(store, request),
  read: async (request) => readNow(store, request) ?? (await readDisk(store, request)),
});

const END: LogRead = { kind: 'end' };

const readNow = (
  store: Store,
  request: { origin: OriginId; after: number; bytesMax: number },
): LogRead | undefined => {
  const position = store.durable.get(request.origin);
  if (!position || position.sequence <= request.after) return END;
  if (request.after + 1 < position.logStart) return { kind: 'tooOld' };
  const entries = store.tail.read(request);
  return entries && { kind: 'entries', entries };
};

const readDisk = async (
  store: Store,
  request: { origin: OriginId; after: number; bytesMax: number },
): Promise<LogRead> => {
  const number = store.origins.knownNumberOf(request.origin);
  const position = store.durable.get(request.origin);
  if (number === undefined || !position) return END;
  const entries: Buffer[] = [];
  let bytes = 0;
  const iterator = store.level.iterator(logFrom(number, request.after + 1));
  try {
    while (bytes < request.bytesMax) {
      const found = await iterator.nextv(READ_AHEAD);
      if (found.length === 0) break;
      for (const [key, entry] of found) {
        const next = request.after + 1 + entries.length;
        if (bytes > 0 && bytes + entry.length > request.bytesMax)
          return { kind: 'entries', entries };
        const isMissing = sequenceOf(key) !== next;
        if (isMissing || !isEntryAt(request.origin, next, entry))
          return endedBefore(store, request.origin, { next, entries, isMissing });
        entries.push(entry);
        bytes += entry.length;
      }
    }
  } catch (error) {
    throw store.readFailed(error);
  } finally {
    await iterator.close();
  }
  if (entries.length > 0) return { kind: 'entries', entries };
  const next = request.after + 1;
  return endedBefore(store, request.origin, { next, entries, isMissing: true });
};

/** The next entry is not there, or cannot be read. What was read before it is given first. */
const endedBefore = (
  store: Store,
  origin: OriginId,
  { next, entries, isMissing }: { next: number; entries: readonly Buffer[]; isMissing: boolean },
): LogRead => {
  if (entries.length > 0) return { kind: 'entries', entries };
  // The log was trimmed since its start was looked at, or is being trimmed: the disk may be ahead of `durable`.
  const present = store.accepted.get(origin);
  if (present && next >= present.logStart) store.damage.noteEntry(origin, next, isMissing);
  return { kind: 'tooOld' };
};

const READ_AHEAD = 64;
