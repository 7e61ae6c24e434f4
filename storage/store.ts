/**
 * One database on disk: opens and recovers it, decides whether the incarnation goes on, and hands out commits,
 * snapshots and the log. Owned by one shardRouter; nobody else writes. Knows no actor and no clock but the one
 * it is given.
 */
import { observe } from '../protocol/clock.js';
import { SkeinError } from '../protocol/errors.js';
import {
  originId,
  version as asVersion,
  type DatabaseName,
  type Incarnation,
  type NodeName,
  type OriginId,
  type Version,
} from '../protocol/ids.js';
import { decode, encode } from '../protocol/codec.js';
import type { Row } from '../protocol/row.js';
import type { Debts } from '../protocol/debts.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import { Catalog, DEFINITIONS_NUMBER } from './catalog.js';
import { Commit } from './commit.js';
import { definitionKey, definitionOf } from './definitionRows.js';
import { CLOCK_KEY, indexOf, metaKey, rowKey, rowsOf } from './keys.js';
import type { Level } from './level.js';
import { LogTail } from './logTail.js';
import { isLocalOrigin, localOriginOf, Origins } from './origins.js';
import { PendingRows } from './pendingRows.js';
import { Recency } from './recency.js';
import { decodeRow } from './rowFormat.js';
import { DebtBook, loadDebts } from './debts.js';
import { loadMarks } from './marks.js';
import { newestMark } from '../protocol/lateNews.js';
import { loadVector, type Position, type Vector } from './vector.js';

export interface StoreOptions {
  readonly level: Level;
  readonly database: DatabaseName;
  readonly node: NodeName;
  /** A new incarnation, random. */
  readonly newIncarnation: () => Incarnation;
  /** Changes when the machine restarts. */
  readonly bootId: string;
  /** False: flushed to the disk before a commit is done. */
  readonly writeAsync: boolean;
  /** Tables that every node has by itself. */
  readonly builtIn: readonly TableDefinition[];
}

/** What was found when the store was opened. */
export type Recovery = 'created' | 'continued' | 'newIncarnation';

export { isLocalOrigin, localOriginOf };

const FORMAT = 1;
const META_KEY = metaKey('node');

interface Meta {
  format: number;
  node: string;
  incarnation: string;
  bootId: string;
  writeAsync: boolean;
  clean: boolean;
}

export class Store {
  readonly options: StoreOptions;
  readonly level: Level;
  readonly origins: Origins;
  readonly catalog: Catalog;
  readonly tail = new LogTail();
  readonly recovery: Recovery;
  #incarnation: Incarnation;
  #origin: OriginId;
  #localOrigin: OriginId;
  #newestMark: Version;
  /** Positions of everything accepted, durable or in the batch being written. */
  readonly accepted: Map<OriginId, Position>;
  /** Positions of everything durable: what may be told to others. */
  readonly durable: Map<OriginId, Position>;
  /** Per origin the version of the newest delete that was purged here or where this database was copied from. */
  readonly marks: Map<OriginId, Version>;
  /** Which tables are held in part here, as accepted so far. */
  readonly debts: DebtBook;
  readonly recency: Recency;
  /** The hybrid clock: not below anything this store has seen. */
  clock: Version;
  /** Rows of the batch being written. */
  inFlight = new PendingRows();

  private constructor(parts: {
    options: StoreOptions;
    origins: Origins;
    catalog: Catalog;
    vector: Map<OriginId, Position>;
    marks: Map<OriginId, Version>;
    debts: Debts;
    clock: Version;
    incarnation: Incarnation;
    recovery: Recovery;
  }) {
    const { options } = parts;
    this.options = options;
    this.level = options.level;
    this.origins = parts.origins;
    this.catalog = parts.catalog;
    this.accepted = new Map(parts.vector);
    this.durable = parts.vector;
    this.marks = parts.marks;
    this.#newestMark = newestMark(parts.marks);
    this.debts = new DebtBook(parts.debts);
    this.clock = parts.clock;
    this.recency = new Recency(parts.clock);
    this.#incarnation = parts.incarnation;
    this.#origin = originId({ node: options.node, incarnation: parts.incarnation });
    this.#localOrigin = localOriginOf(this.#origin);
    this.recovery = parts.recovery;
  }

  /** This node's log, of its present incarnation. */
  get origin(): OriginId {
    return this.#origin;
  }

  /** The log of tables that stay on this node; never offered to a peer. */
  get localOrigin(): OriginId {
    return this.#localOrigin;
  }

  /** Goes on under a new incarnation. Called by a commit, whose batch writes what comes back. */
  beginIncarnation(): { key: Buffer; value: Buffer } {
    this.#incarnation = this.options.newIncarnation();
    this.#origin = originId({ node: this.options.node, incarnation: this.#incarnation });
    this.#localOrigin = localOriginOf(this.#origin);
    return { key: META_KEY, value: encode(this.#meta(false)) };
  }

  /** The newest of all marks: no entry up to it is applied from a log. */
  get newestMark(): Version {
    return this.#newestMark;
  }

  /** Raises a mark. Called by a commit, which writes it; false: it was as high already. */
  raiseMark(origin: OriginId, version: Version): boolean {
    if (version <= (this.marks.get(origin) ?? 0)) return false;
    this.marks.set(origin, version);
    if (version > this.#newestMark) this.#newestMark = version;
    return true;
  }

  /** Recovers what the level holds. DAMAGED or STORAGE_FAILED when that is impossible. */
  static async open(options: StoreOptions): Promise<Store> {
    const { level, database } = options;
    const meta = await readMeta(level);
    const origins = await Origins.load(level);
    const vector = await loadVector(level, origins);
    const marks = await loadMarks(level, origins);
    const debts = await loadDebts(level);
    const catalog = await Catalog.load({
      level,
      database,
      builtIn: options.builtIn,
      definitionOf: (name, generation) => {
        const bytes = level.getSync(rowKey(DEFINITIONS_NUMBER, definitionKey(name, generation)));
        return bytes && definitionOf({ database, name, row: decodeRow(bytes, origins) });
      },
    });
    const goesOn = meta !== undefined && nothingMayBeMissing(meta, options);
    const store = new Store({
      options,
      origins,
      catalog,
      vector,
      marks,
      debts,
      clock: await recoverClock(level, vector),
      incarnation: goesOn ? (meta.incarnation as Incarnation) : options.newIncarnation(),
      recovery: meta === undefined ? 'created' : goesOn ? 'continued' : 'newIncarnation',
    });
    await store.#begin();
    return store;
  }

  /** Collects changes for one batch. Only one commit may be open, beside the one being written. */
  commit(): Commit {
    return new Commit(this);
  }

  /** The row as accepted so far; `forming` is the open commit's. Undefined: none. */
  row(storeKey: Buffer, forming?: PendingRows): Row | undefined {
    let pending = forming?.get(storeKey);
    // Null: gone in the forming batch, whatever the one being written says.
    if (pending === undefined) pending = this.inFlight.get(storeKey);
    if (pending === null) return undefined;
    const bytes = pending ?? this.level.getSync(storeKey);
    return bytes === undefined ? undefined : decodeRow(bytes, this.origins);
  }

  /** What may be told to peers: durable positions of all logs but the local one. */
  sharedVector(): Vector {
    const vector = new Map(this.durable);
    for (const origin of vector.keys()) if (isLocalOrigin(origin)) vector.delete(origin);
    return vector;
  }

  /** Erases rows and indexes of tables that are no longer held. Their keys are reachable by nobody. */
  async eraseRetired(): Promise<void> {
    for (const table of this.catalog.takeRetired()) {
      await this.level.clear(rowsOf(table));
      await this.level.clear(indexOf(table));
    }
  }

  /** Marks a clean stop, so that the next start goes on with this incarnation. The caller closes the level. */
  async markClean(): Promise<void> {
    if (this.level.status === 'open') await this.#writeMeta(true);
  }

  async #begin(): Promise<void> {
    const batch = this.level.batch();
    for (const table of this.options.builtIn) {
      if (table.database !== this.options.database) continue;
      this.catalog.define(table, this.catalog.nextGeneration(table.name), batch);
    }
    await batch.write();
    await this.#writeMeta(false);
  }

  async #writeMeta(clean: boolean): Promise<void> {
    // Always flushed: a mark of a clean stop that outlives what was written since would let sequences be used twice.
    await this.level.put(META_KEY, encode(this.#meta(clean)), { sync: true } as object);
  }

  #meta(clean: boolean): Meta {
    return {
      format: FORMAT,
      node: this.options.node,
      incarnation: this.#incarnation,
      bootId: this.options.bootId,
      writeAsync: this.options.writeAsync,
      clean,
    };
  }
}

/** Sequences are never reused: the incarnation goes on only where nothing written under it can be gone. */
const nothingMayBeMissing = (meta: Meta, options: StoreOptions): boolean =>
  meta.node === options.node && (meta.clean || !meta.writeAsync || meta.bootId === options.bootId);

const readMeta = async (level: Level): Promise<Meta | undefined> => {
  const bytes = await level.get(META_KEY);
  if (bytes === undefined) return undefined;
  const meta = decode(bytes) as Meta;
  if (meta.format !== FORMAT)
    throw new SkeinError(
      'STORAGE_FAILED',
      `The data directory has format ${meta.format}; this version reads format ${FORMAT}`,
    );
  return meta;
};

const recoverClock = async (level: Level, vector: Vector): Promise<Version> => {
  const bytes = await level.get(CLOCK_KEY);
  let clock = asVersion(bytes === undefined ? 0 : (decode(bytes) as number));
  for (const position of vector.values()) clock = observe(clock, position.version);
  return clock;
};
