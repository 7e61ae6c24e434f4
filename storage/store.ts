/**
 * One database on disk: opens and recovers it, decides whether the incarnation goes on, and hands out commits,
 * snapshots and the log. Owned by one shardRouter; nobody else writes. Knows no actor and no clock but the one
 * it is given.
 */
import { observe } from '../protocol/clock.js';
import { SkeinError } from '../protocol/errors.js';
import {
  nodeOf,
  originId,
  sequence as asSequence,
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
import { Damage } from './damage.js';
import { definitionKey, definitionOf } from './definitionRows.js';
import { allOf, CLOCK_KEY, indexOf, metaKey, numberOf, PREFIX, rowKey, rowsOf } from './keys.js';
import { isCorruption, type Level } from './level.js';
import { checkLogs, type LogFault } from './logCheck.js';
import { LogTail } from './logTail.js';
import { isLocalOrigin, localOriginOf, Origins } from './origins.js';
import { PendingRows } from './pendingRows.js';
import { Recency } from './recency.js';
import { decodeRow, isIntactRow } from './rowFormat.js';
import { DebtBook, loadDebts } from './debts.js';
import { loadMarks } from './marks.js';
import { newestMark } from '../protocol/lateNews.js';
import { loadVector, putPosition, type Position, type Vector } from './vector.js';

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
  /** LevelDB found its files damaged and saved what it could: anything may be missing, or older than it was. */
  readonly filesWereRepaired?: boolean;
}

/** What was found when the store was opened. */
export type Recovery = 'created' | 'continued' | 'newIncarnation';

export { isLocalOrigin, localOriginOf };

const FORMAT = 2;
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
  /** Logs of which entries were lost: they begin later now. */
  readonly #movedStarts: readonly OriginId[];
  /** Positions of everything accepted, durable or in the batch being written. */
  readonly accepted: Map<OriginId, Position>;
  /** Positions of everything durable: what may be told to others. */
  readonly durable: Map<OriginId, Position>;
  /** Per origin the version of the newest delete that was purged here or where this database was copied from. */
  readonly marks: Map<OriginId, Version>;
  /** Which tables are held in part here, as accepted so far. */
  readonly debts: DebtBook;
  readonly recency: Recency;
  /** What cannot be read. */
  readonly damage: Damage;
  /** The hybrid clock: not below anything this store has seen. */
  clock: Version;
  #had: { readonly findings: number; readonly vector: Vector } | null = null;
  /**
   * Rows of the batch that is being written, or was last: they stay until the next one, since a read may have begun before
   * they were on the disk, and end after.
   */
  inFlight = new PendingRows();

  private constructor(parts: {
    options: StoreOptions;
    origins: Origins;
    catalog: Catalog;
    vector: Map<OriginId, Position>;
    marks: Map<OriginId, Version>;
    damage: Damage;
    movedStarts: readonly OriginId[];
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
    this.damage = parts.damage;
    this.#movedStarts = parts.movedStarts;
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
    const store = await Store.openToRead(options);
    await store.#begin();
    return store;
  }

  /** The same without writing anything: for a disk that takes no writes. Nobody may commit to it. */
  static async openToRead(options: StoreOptions): Promise<Store> {
    const { level } = options;
    const origins = await Origins.load(level);
    const damage = await Damage.load(level);
    const found = await inspect(options, origins);
    const { meta, vector } = found;
    const catalog = await loadCatalog(options, origins);
    for (const { origin, sequence, isMissing } of found.faults)
      damage.noteEntry(origin, sequence, isMissing);
    if (found.rowsMissing) damage.oweAll(found.rowsMissing);
    const goesOn = meta !== undefined && found.goesOn && nothingMayBeMissing(meta, options);
    return new Store({
      options,
      origins,
      catalog,
      vector,
      marks: await loadMarks(level, origins),
      debts: await loadDebts(level),
      damage,
      movedStarts: found.faults.map(({ origin }) => origin),
      clock: await recoverClock(level, vector),
      incarnation: goesOn ? (meta.incarnation as Incarnation) : options.newIncarnation(),
      recovery: found.isNew ? 'created' : goesOn ? 'continued' : 'newIncarnation',
    });
  }

  /** Collects changes for one batch. Only one commit may be open, beside the one being written. */
  commit(): Commit {
    return new Commit(this);
  }

  /**
   * The row as accepted so far; `forming` is the open commit's. Undefined: none, or what is there cannot be read, which is
   * noted. DAMAGED for a definition of a table: no table is to be taken for another. `upTo`: nothing there can be newer.
   */
  row(storeKey: Buffer, forming?: PendingRows, upTo: Version = this.clock): Row | undefined {
    let pending = forming?.get(storeKey);
    // Null: gone in the forming batch, whatever the one being written says.
    if (pending === undefined) pending = this.inFlight.get(storeKey);
    if (pending === null) return undefined;
    const bytes = pending ?? this.level.getSync(storeKey);
    const row = bytes && this.readRow(storeKey, bytes, upTo);
    if (bytes && !row && numberOf(storeKey) === DEFINITIONS_NUMBER)
      throw new SkeinError('DAMAGED', 'The definition of a table cannot be read');
    return row;
  }

  /** Stored bytes as a row; undefined: they cannot be read, which is noted. */
  readRow(storeKey: Buffer, bytes: Buffer, upTo: Version = this.clock): Row | undefined {
    try {
      return decodeRow(storeKey, bytes, this.origins);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.noteDamaged(storeKey, upTo);
      return undefined;
    }
  }

  /** Bytes were read there that are no row. They may be of a snapshot: what is there now counts. */
  noteDamaged(storeKey: Buffer, upTo: Version = this.clock): void {
    if (this.damage.isNoted(storeKey)) return;
    const present = this.inFlight.get(storeKey) ?? this.level.getSync(storeKey);
    if (present && !isIntactRow(storeKey, present)) this.damage.noteRow(storeKey, upTo);
  }

  /** All that this node had when the last damage was found, or later: whoever has it has what cannot be read here. */
  get hadWhenDamaged(): Vector {
    if (this.#had?.findings !== this.damage.findings)
      this.#had = { findings: this.damage.findings, vector: new Map(this.accepted) };
    return this.#had.vector;
  }

  /** What a read of the disk failed with, as whoever asked is told: DAMAGED when the files are damaged, which is noted. */
  readFailed(error: unknown): unknown {
    if (!isCorruption(error) || !(error instanceof Error)) return error;
    this.damage.noteFiles(error);
    return new SkeinError('DAMAGED', `The files of the database are damaged: ${error.message}`, {
      cause: error,
    });
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
    if (this.options.filesWereRepaired) this.catalog.rebuildIndexes(batch);
    for (const origin of this.#movedStarts) {
      const position = this.durable.get(origin);
      if (position) putPosition({ batch, origins: this.origins, origin, position });
    }
    this.damage.flush(batch);
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

const isDamage = (error: unknown): boolean =>
  error instanceof SkeinError && error.code === 'DAMAGED';

const loadCatalog = async (options: StoreOptions, origins: Origins): Promise<Catalog> => {
  const { level, database, builtIn } = options;
  const catalog = await Catalog.load({
    level,
    database,
    builtIn,
    definitionOf: (name, generation) => {
      const key = rowKey(DEFINITIONS_NUMBER, definitionKey(name, generation));
      const bytes = level.getSync(key);
      return bytes && definitionOf({ database, name, row: decodeRow(key, bytes, origins) });
    },
  });
  if (!options.filesWereRepaired) return catalog;
  // Rows of tables that were lost must not turn up in new ones.
  for (const key of await level.keys({ ...allOf(PREFIX.row), reverse: true, limit: 1 }).all())
    catalog.numberFrom(numberOf(key) + 1);
  return catalog;
};

/** What the positions, the logs and the mark of the last stop say about whether anything is missing. */
interface Inspection {
  readonly meta: Meta | undefined;
  readonly isNew: boolean;
  readonly vector: Map<OriginId, Position>;
  /** The logs begin beyond them. */
  readonly faults: readonly LogFault[];
  /** Nothing that this node wrote under its incarnation is seen to be missing. */
  readonly goesOn: boolean;
  /** Rows may be missing, nobody knows which: why. */
  readonly rowsMissing: string | undefined;
}

const inspect = async (options: StoreOptions, origins: Origins): Promise<Inspection> => {
  const { level } = options;
  const meta = await readMeta(level);
  let unreadable = 0;
  const vector = await loadVector(level, origins, { unreadable: () => unreadable++ });
  const faults = await checkLogs(level, origins, vector);
  for (const { origin, sequence: at } of faults) {
    const position = vector.get(origin);
    if (position) vector.set(origin, { ...position, logStart: asSequence(at + 1) });
  }
  const isOwn = ({ origin }: LogFault): boolean => nodeOf(origin) === options.node;
  const rowsMissing = options.filesWereRepaired
    ? 'the files were damaged and repaired'
    : faults.some(({ isMissing }) => isMissing)
      ? 'entries of a log are missing'
      : undefined;
  return {
    meta: meta === UNREADABLE ? undefined : meta,
    isNew: meta === undefined && vector.size === 0,
    vector,
    faults,
    goesOn: unreadable === 0 && !options.filesWereRepaired && !faults.some(isOwn),
    rowsMissing,
  };
};

const UNREADABLE = Symbol('a note that cannot be read');

/** Sequences are never reused: the incarnation goes on only where nothing written under it can be gone. */
const nothingMayBeMissing = (meta: Meta, options: StoreOptions): boolean =>
  meta.node === options.node && (meta.clean || !meta.writeAsync || meta.bootId === options.bootId);

const readMeta = async (level: Level): Promise<Meta | undefined | typeof UNREADABLE> => {
  const bytes = await level.get(META_KEY);
  if (bytes === undefined) return undefined;
  const meta = decodeMeta(bytes);
  if (meta === UNREADABLE) return meta;
  if (meta.format !== FORMAT)
    throw new SkeinError(
      'STORAGE_FAILED',
      `The data directory has format ${meta.format}; this version reads format ${FORMAT}`,
    );
  return meta;
};

const decodeMeta = (bytes: Buffer): Meta | typeof UNREADABLE => {
  try {
    const meta = decode(bytes);
    return typeof meta === 'object' && meta !== null ? (meta as Meta) : UNREADABLE;
  } catch (error) {
    if (error instanceof SkeinError && error.code === 'MALFORMED') return UNREADABLE;
    throw error;
  }
};

const recoverClock = async (level: Level, vector: Vector): Promise<Version> => {
  const bytes = await level.get(CLOCK_KEY);
  let clock = asVersion(bytes === undefined ? 0 : (decode(bytes) as number));
  for (const position of vector.values()) clock = observe(clock, position.version);
  return clock;
};
