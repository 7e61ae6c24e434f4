/**
 * What a database answers without changing anything: records, descriptions, its logs, its status. Used by the routers,
 * also by the one that can only be read.
 */
import { limits } from '../protocol/limits.js';
import type { ToldRefusal } from '../protocol/refusals.js';
import type { Store } from '../storage/store.js';
import { answer, answerLater } from './answers.js';
import type { CatchingUp } from './catchingUp.js';
import type { LogReaders } from './logReaders.js';
import type { DamageStatus, DatabaseStatus, RouterMessage } from './messages.js';
import { describeTables, getRecords, searchRecords } from './tableReads.js';

export type Reading = Extract<
  RouterMessage,
  {
    type:
      | 'records.get'
      | 'records.search'
      | 'tables.describe'
      | 'feed.open'
      | 'feed.closed'
      | 'log.open'
      | 'database.status';
  }
>;

export interface DatabaseReadsParts {
  readonly store: Store;
  readonly catchingUp: CatchingUp;
  readonly readers: LogReaders;
  readonly now: () => number;
  readonly ownPast: () => string | null;
  /** What linked peers do not take, since it lies too far ahead of their clocks. */
  readonly refusedBy: () => readonly ToldRefusal[];
  /** Why the database takes no writes; null: it does. */
  readonly readOnly: () => string | null;
}

export class DatabaseReads {
  readonly #parts: DatabaseReadsParts;

  constructor(parts: DatabaseReadsParts) {
    this.#parts = parts;
  }

  read(message: Reading): void {
    const { store, readers, now } = this.#parts;
    const nowMs = now();
    switch (message.type) {
      case 'records.get':
        return answer(message.replyTo, () => getRecords(store, { ...message, nowMs }));
      case 'records.search':
        return answerLater(message.replyTo, () => searchRecords(store, { ...message, nowMs }));
      case 'tables.describe':
        return answerLater(message.replyTo, () => describeTables(store, { ...message, nowMs }));
      case 'feed.open':
        return readers.openFeed(message);
      case 'feed.closed':
        return readers.closeFeed(message);
      case 'log.open':
        return readers.openLog(message);
      case 'database.status':
        return message.replyTo.ok(this.status());
      default:
        return message satisfies never;
    }
  }

  status(): DatabaseStatus {
    const { store, catchingUp, readers, now, ownPast, refusedBy, readOnly } = this.#parts;
    const why = readOnly();
    const damage = damageOf(store);
    return {
      database: store.options.database,
      origin: store.origin,
      positions: readers.sharedPositions(),
      clock: store.clock,
      ready: why === null && catchingUp.isReady && !store.damage.owesTables,
      ...(why !== null && { readOnly: why }),
      ...(damage && { damage }),
      ownPast: ownPast(),
      refuses: catchingUp.refusals.all(),
      refusedBy: refusedBy(),
      copy: catchingUp.progress,
      peers: catchingUp.standings(),
      parted: catchingUp.memory.parted(),
      copyPace: catchingUp.memory.copyPace,
      nowMs: now(),
    };
  }
}

/** What of a database cannot be read; undefined: all can. */
export const damageOf = (store: Store): DamageStatus | undefined => {
  const { damage } = store;
  if (damage.isEmpty && damage.entries === 0) return undefined;
  return {
    rows: damage.rowCount,
    named: damage
      .named(limits.damagedRowsNamed)
      .map(({ table, key }) => ({ table: nameOf(store, table), key })),
    tables: [...damage.partial()].map(([table, reason]) => ({
      table: nameOf(store, table),
      reason,
    })),
    entries: damage.entries,
  };
};

/** What a message names a table. */
export const nameOf = (store: Store, number: number): string =>
  number === 0 ? 'all tables' : tableNameOf(store, number);

const tableNameOf = (store: Store, number: number): string =>
  store.catalog.tables.find((table) => table.number === number)?.name ?? `table ${number}`;
