/**
 * Which databases of a node are open, and what went wrong with their disk: over the lives of their writers. A database
 * whose batch failed is closed and opened again; while its disk takes no writes it stays open as it is, to be read, and
 * is tried again after longer and longer waits. Used by shardRouter and readOnlyRouter; knows files only as `DatabaseDisk`.
 *
 *   open ──failed──> failed ──disk takes writes──> open            (at once after one failure, later after a wait)
 *    │                 '──────else──> read only ──retry──> open
 *    '──damaged──> repaired, opened
 */
import { messageOf, SkeinError } from '../protocol/errors.js';
import type { DatabaseName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import { isCorruption, type Level } from '../storage/level.js';
import { Store, type StoreOptions } from '../storage/store.js';

/** Where the databases lie. */
export interface DatabaseDisk {
  /** STORAGE_LOCKED when another process holds the database, STORAGE_FAILED when it cannot be opened. */
  open(database: DatabaseName): Promise<Level>;
  close(level: Level): Promise<void>;
  /** Rejects while the disk does not take as much as opening the database anew may write. */
  probe(database: DatabaseName): Promise<void>;
  /** Saves what can be saved of a closed database; `wasRepaired` says so until `recovered`. */
  repair(database: DatabaseName, reason: string): Promise<void>;
  wasRepaired(database: DatabaseName): Promise<boolean>;
  recovered(database: DatabaseName): Promise<void>;
}

export type Opened =
  | { readonly kind: 'open'; readonly store: Store }
  /** The disk takes no writes. Without a level nothing can be read either. */
  | {
      readonly kind: 'readOnly';
      readonly level: Level | null;
      readonly failure: Error;
      readonly retryMs: number;
    };

/** Longer than a router's crashes are counted together. */
const STEADY_MS = 10_000;

interface Held {
  level: Level | null;
  /** Of the last life, which could not write. */
  failure: Error | null;
  /** Lives that could not write, one after the other. */
  failures: number;
  /** LevelDB says that its files are damaged. */
  damage: string | null;
  /** The wait that follows several failures is over. */
  hasWaited: boolean;
}

export class OpenDatabases {
  readonly #disk: DatabaseDisk;
  readonly #held = new Map<DatabaseName, Held>();

  constructor(disk: DatabaseDisk) {
    this.#disk = disk;
  }

  /** Opens and recovers a database, or says that its disk takes no writes. DAMAGED, STORAGE_FAILED, STORAGE_LOCKED. */
  async open(options: Omit<StoreOptions, 'level'>): Promise<Opened> {
    const { database } = options;
    const held = this.#heldOf(database);
    const { failure } = held;
    if (failure && !held.damage && !held.hasWaited && !(await this.#mayTryAtOnce(database, held)))
      return readOnly(held, held.failure ?? failure);
    held.hasWaited = false;
    await this.#close(held);
    if (held.damage) await this.#repair(database, held, held.damage);
    try {
      held.level = await this.#openOrRepair(database, held);
    } catch (error) {
      if (!isDiskFailure(error)) throw error;
      this.failed(database, error);
      return readOnly(held, error);
    }
    held.failure = null;
    return { kind: 'open', store: await this.#recover({ ...options, level: held.level }) };
  }

  /** Nothing can be written to an open database, or its files are damaged. It stays open until it is opened again. */
  failed(database: DatabaseName, failure: Error): void {
    const held = this.#heldOf(database);
    held.failure = failure;
    held.failures++;
    if (isCorruption(failure)) held.damage = messageOf(failure);
  }

  /** It was written to, so long after it was opened: after long enough, its next failure is a first one. */
  wrote(database: DatabaseName, openMs: number): void {
    if (openMs < STEADY_MS) return;
    const held = this.#heldOf(database);
    held.failure = null;
    held.failures = 0;
  }

  async #recover(options: StoreOptions): Promise<Store> {
    const { database } = options;
    const filesWereRepaired = await this.#disk.wasRepaired(database);
    try {
      const store = await Store.open({ ...options, filesWereRepaired });
      if (filesWereRepaired) await this.#disk.recovered(database);
      return store;
    } catch (error) {
      // A refusal says what is stored there; anything else, that the disk fails.
      if (error instanceof Error && !(error instanceof SkeinError)) this.failed(database, error);
      throw error;
    }
  }

  /** Whether a read-only database may be opened anew now. */
  async mayRetry(database: DatabaseName): Promise<boolean> {
    const held = this.#heldOf(database);
    held.hasWaited = await this.#takesWrites(database, held);
    return held.hasWaited;
  }

  /** Closes a store in order. */
  async close(store: Store): Promise<void> {
    try {
      await store.markClean();
    } finally {
      await this.release(store.options.database);
    }
  }

  /** Closes a database as it is. */
  async release(database: DatabaseName): Promise<void> {
    const held = this.#held.get(database);
    this.#held.delete(database);
    if (held) await this.#close(held);
  }

  async releaseAll(): Promise<void> {
    for (const database of this.#held.keys()) await this.release(database);
  }

  #heldOf(database: DatabaseName): Held {
    const fresh = { level: null, failure: null, failures: 0, damage: null, hasWaited: false };
    const held = this.#held.get(database) ?? fresh;
    this.#held.set(database, held);
    return held;
  }

  async #close(held: Held): Promise<void> {
    const { level } = held;
    held.level = null;
    if (level) await this.#disk.close(level);
  }

  /** A single failure may have been a moment's; more, and the next failure would only come sooner. */
  async #mayTryAtOnce(database: DatabaseName, held: Held): Promise<boolean> {
    return held.failures === 1 && (await this.#takesWrites(database, held));
  }

  async #takesWrites(database: DatabaseName, held: Held): Promise<boolean> {
    try {
      await this.#disk.probe(database);
      return true;
    } catch (error) {
      held.failure = error instanceof Error ? error : new Error(messageOf(error));
      return false;
    }
  }

  async #openOrRepair(database: DatabaseName, held: Held): Promise<Level> {
    try {
      return await this.#disk.open(database);
    } catch (error) {
      if (!isCorruption(error)) throw error;
      await this.#repair(database, held, messageOf(error));
      return this.#disk.open(database);
    }
  }

  async #repair(database: DatabaseName, held: Held, reason: string): Promise<void> {
    await this.#disk.repair(database, reason);
    held.damage = null;
  }
}

const readOnly = (held: Held, failure: Error): Opened => {
  const { diskRetryMsMin, diskRetryMsMax } = limits;
  const waitMs = diskRetryMsMin * 3 ** Math.max(0, held.failures - 1);
  const retryMs = Math.min(diskRetryMsMax, waitMs);
  return { kind: 'readOnly', level: held.level, failure, retryMs };
};

/** What is wrong with the disk, and not with what is on it: it may be over by itself. */
const isDiskFailure = (thrown: unknown): thrown is Error => {
  for (let at = thrown; at instanceof Error; at = at.cause)
    if ('code' in at && DISK_FAILURES.has(at.code)) return true;
  return false;
};

const DISK_FAILURES: ReadonlySet<unknown> = new Set([
  'LEVEL_IO_ERROR',
  'ENOSPC',
  'EDQUOT',
  'EIO',
  'EROFS',
]);
