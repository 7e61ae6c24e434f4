/**
 * Changes of one table as an async iterator: reads the log from a cursor and waits at its end. What is delivered is
 * durable here. Order: that of each origin's log; between origins none is promised.
 */
import { decode } from '../../protocol/codec.js';
import { millisecondsOf } from '../../protocol/clock.js';
import { readEntryHeader, readEntryTables, type KeyedChange } from '../../protocol/entry.js';
import { invalidRequest, SkeinError } from '../../protocol/errors.js';
import { nodeOf, type OriginId } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { DEADLINE } from '../../protocol/expiry.js';
import type { Key, RecordObject } from '../../protocol/operations.js';
import { decodeKey } from '../../protocol/orderedKey.js';
import type { RowChange } from '../../protocol/row.js';
import type { LogReader } from '../../storage/log.js';
import type { LogOpening } from '../messages.js';
import type { AskDatabase } from './table.js';

/** Where an iteration stands; keep it to go on later. Opaque text. */
export type Cursor = string;

export interface Change<T extends object> {
  readonly type: 'put' | 'patch' | 'delete';
  readonly key: Key;
  /** `put`: the record. `patch`: the attributes that were set. */
  readonly value?: Partial<T>;
  /** Ms since the epoch. */
  readonly time: number;
  /** Node that wrote it. */
  readonly node: string;
  /** Goes on after this change's transaction. */
  readonly cursor: Cursor;
}

export interface ChangesOptions {
  /** `now` (default): what comes from now on; `start`: all that the log still holds; a cursor: after it. */
  readonly since?: 'now' | 'start' | Cursor;
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
}

const READ_BYTES = limits.frameBytesTarget;

/**
 * Goes on through restarts of the database's writer. Throws INVALID_REQUEST for a text that is no cursor, NOT_FOUND
 * when the log no longer reaches back to it, UNAVAILABLE when the database or node stops.
 */
export async function* changes<T extends object>(place: {
  table: string;
  ask: AskDatabase;
  options: ChangesOptions;
}): AsyncGenerator<Change<T>, void, undefined> {
  const { table, ask, options } = place;
  const bell = new Bell(options.signal);
  let positions: Map<OriginId, number> | null = null;
  while (!options.signal?.aborted) {
    const opening = await ask<LogOpening>((replyTo) => ({
      type: 'log.open',
      listener: () => bell.ring(),
      replyTo,
    }));
    try {
      positions ??= startPositions(opening.log, options.since ?? 'now');
      yield* changesIn<T>({ table, opening, positions, bell, signal: options.signal });
    } catch (error) {
      // A store that is being closed under a reader refuses in many ways; the next opening says how things are.
      if (opening.isOpen()) throw error;
    } finally {
      opening.close();
    }
  }
}

/** Until the log's writer ends its life or the signal ends the iteration. */
async function* changesIn<T extends object>(place: {
  table: string;
  opening: LogOpening;
  positions: Map<OriginId, number>;
  bell: Bell;
  signal: AbortSignal | undefined;
}): AsyncGenerator<Change<T>, void, undefined> {
  const { table, opening, positions, bell } = place;
  const { log } = opening;
  while (!place.signal?.aborted && opening.isOpen()) {
    let found = false;
    for (const [origin, { sequence }] of log.vector({ local: true })) {
      if (sequence <= (positions.get(origin) ?? 0)) continue;
      for (const entry of await readSome(log, origin, positions)) {
        found = true;
        positions.set(origin, readEntryHeader(entry).sequence);
        yield* changesOf<T>({ table, origin, entry, positions });
        if (place.signal?.aborted) return;
      }
    }
    if (!found) await bell.wait();
  }
}

const readSome = async (
  log: LogReader,
  origin: OriginId,
  positions: ReadonlyMap<OriginId, number>,
): Promise<readonly Buffer[]> => {
  const after = positions.get(origin) ?? 0;
  const read = await log.read({ origin, after, bytesMax: READ_BYTES });
  if (read.kind === 'tooOld')
    throw new SkeinError(
      'NOT_FOUND',
      `The log no longer reaches back to change ${after} of ${origin}`,
    );
  return read.kind === 'entries' ? read.entries : [];
};

function* changesOf<T extends object>(place: {
  table: string;
  origin: OriginId;
  entry: Buffer;
  positions: ReadonlyMap<OriginId, number>;
}): Generator<Change<T>> {
  const { table, origin, entry, positions } = place;
  const time = millisecondsOf(readEntryHeader(entry).version);
  const node = nodeOf(origin);
  let cursor: Cursor | null = null;
  for (const part of readEntryTables(entry)) {
    if (part.table !== table) continue;
    cursor ??= cursorOf(positions);
    for (const { key, change } of part.changes as readonly KeyedChange[]) {
      const value = valueOf<T>(change);
      yield {
        type: change.type,
        key: decodeKey(key),
        ...(value !== undefined && { value }),
        time,
        node,
        cursor,
      };
    }
  }
}

const valueOf = <T extends object>(change: RowChange): Partial<T> | undefined => {
  switch (change.type) {
    case 'put': {
      const record = decode(change.body) as RecordObject;
      delete record[DEADLINE];
      return record as T;
    }
    case 'patch':
      return Object.fromEntries(
        change.attributes
          .filter(({ name }) => name !== DEADLINE)
          .map(({ name, value }) => [name, decode(value)]),
      ) as Partial<T>;
    case 'delete':
      return undefined;
    default:
      return change satisfies never;
  }
};

const startPositions = (log: LogReader, since: string): Map<OriginId, number> => {
  const vector = log.vector({ local: true });
  if (since === 'now')
    return new Map([...vector].map(([origin, { sequence }]) => [origin, sequence]));
  if (since === 'start')
    return new Map([...vector].map(([origin, { logStart }]) => [origin, logStart - 1]));
  return readCursor(since);
};

const cursorOf = (positions: ReadonlyMap<OriginId, number>): Cursor =>
  Buffer.from(JSON.stringify([...positions])).toString('base64url');

const readCursor = (cursor: Cursor): Map<OriginId, number> => {
  try {
    const pairs = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown;
    if (!Array.isArray(pairs) || !pairs.every(isPair)) throw new Error('no list of positions');
    return new Map(pairs);
  } catch (error) {
    throw invalidRequest(
      `'since' must be 'now', 'start' or a cursor of an earlier change (${String(error)})`,
    );
  }
};

const isPair = (pair: unknown): pair is [OriginId, number] =>
  Array.isArray(pair) &&
  pair.length === 2 &&
  typeof pair[0] === 'string' &&
  Number.isSafeInteger(pair[1]);

/** Wakes one waiter; a ring before the wait is not lost. */
class Bell {
  #rung = false;
  #wake: (() => void) | null = null;

  constructor(signal: AbortSignal | undefined) {
    signal?.addEventListener('abort', () => this.ring(), { once: true });
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async wait(): Promise<void> {
    if (!this.#rung)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#rung = false;
    this.#wake = null;
  }
}
