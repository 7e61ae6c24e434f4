/**
 * One group commit: local transactions, peers' entries and copied rows accepted into one LevelDB batch of rows,
 * indexes, log entries and positions, so that a crash can never part them. Used by the shardRouter (and by the
 * simulation). What is accepted is visible to later operations at once, to others when `write` has resolved.
 */
import { encode } from '../protocol/codec.js';
import { millisecondsOf, observe, tick, type Stamp } from '../protocol/clock.js';
import { withDebt } from '../protocol/debts.js';
import {
  encodeEntry,
  isIntactEntry,
  readEntryHeader,
  readLeftOut,
  type EntryHeader,
  type EntryNotes,
  type KeyedChange,
  type TableChanges,
} from '../protocol/entry.js';
import { invalidRequest, SkeinError } from '../protocol/errors.js';
import {
  sequence as asSequence,
  type OriginId,
  type Sequence,
  type TableGeneration,
  type TableName,
  type Version,
} from '../protocol/ids.js';
import type { Mark } from '../protocol/frames.js';
import { isLate } from '../protocol/lateNews.js';
import { isWhole } from '../protocol/leftOut.js';
import { newestStamp, rowOf, type Row } from '../protocol/row.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import { DEFINITIONS_TABLE, type Table } from './catalog.js';
import { definitionKey, definitionPatch, shareable, stated } from './definitionRows.js';
import { evaluate, type LocalWrite, type WriteResult } from './evaluate.js';
import { CLOCK_KEY, logKey } from './keys.js';
import type { CommittedEntry } from './logTail.js';
import { putMark } from './marks.js';
import { RowWriter } from './rowWriter.js';
import { isSoundRow, readTables, soundChanges } from './soundness.js';
import { isLocalOrigin } from './origins.js';
import type { Store } from './store.js';
import { putPosition, type Position } from './vector.js';

/** A local transaction that was accepted. */
export interface Accepted {
  readonly version: Version;
  readonly results: readonly WriteResult[];
  /** Log position; absent when nothing was changed. */
  readonly sequence?: Sequence;
}

/**
 * What became of a peer's entry: `applied`; `known`, already here; `gap`, not the next one; `held`, it names a
 * table not defined here yet; `late`, a delete that was purged here may be newer; `damaged`, its bytes are no intact
 * entry of that origin.
 */
export type EntryOutcome = 'applied' | 'known' | 'gap' | 'held' | 'late' | 'damaged';

/** A row of a copy, with its whole state. */
export interface CopiedRow {
  readonly table: TableName;
  readonly generation: TableGeneration;
  readonly key: Uint8Array;
  readonly row: Row;
}

export class Commit {
  readonly #store: Store;
  readonly #batch: ReturnType<Store['level']['batch']>;
  /** The rows of the batch. */
  readonly rows: RowWriter;
  readonly #entries: CommittedEntry[] = [];
  readonly #moved = new Set<OriginId>();
  readonly #marked = new Set<OriginId>();
  #bytes = 0;
  /** Something beside rows and positions is to be written. */
  #noted = false;
  /** Changes passed over because a peer's entry named a row twice or held no valid record. */
  passedOver = 0;
  /** Rows written again as own operations. */
  writtenAgain = 0;
  #tablesChanged = false;

  constructor(store: Store) {
    this.#store = store;
    this.#batch = store.level.batch();
    this.rows = new RowWriter(store, this.#batch);
  }

  /** Rows changed in it. */
  get rowCount(): number {
    return this.rows.count;
  }

  /** A table was defined, replaced or dropped. */
  get definitionsChanged(): boolean {
    return this.#tablesChanged || this.rows.definitionsChanged;
  }

  /** About how many bytes the batch holds. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.rowCount === 0 && this.#moved.size === 0 && !this.definitionsChanged;
  }

  /** Origins whose position moved. */
  get moved(): ReadonlySet<OriginId> {
    return this.#moved;
  }

  /**
   * Accepts a local transaction whole, or throws and accepts nothing: INVALID_REQUEST, NOT_FOUND,
   * KEY_TOO_LONG, TRANSACTION_TOO_LARGE.
   */
  transact(request: {
    writes: readonly LocalWrite[];
    nowMs: number;
    newKey: () => string;
    transactionBytesMax: number;
    notes?: EntryNotes;
  }): Accepted {
    const store = this.#store;
    const version = tick(store.clock, request.nowMs);
    const { tables, results } = evaluate({
      writes: request.writes,
      version,
      newKey: request.newKey,
      table: (name) => store.catalog.get(name),
      row: (table, key) => this.rows.row(table, key),
      isDamaged: (table, key) => this.rows.isDamaged(table, key),
    });
    store.clock = version;
    const sequence = this.#log({ version, tables, ...request });
    return { version, results, ...(sequence !== undefined && { sequence }) };
  }

  /** Defines a table, or changes its definition, as a logged transaction. */
  define(request: { definition: TableDefinition; nowMs: number; notes?: EntryNotes }): void {
    const store = this.#store;
    const present = store.catalog.find(request.definition.name)?.definition;
    const definition = stated(present, request.definition);
    if (present && present.primaryKey !== definition.primaryKey)
      throw invalidRequest(
        `Table '${definition.database}.${definition.name}' has the primary key '${present.primaryKey}'; it cannot become '${definition.primaryKey}'`,
      );
    const generation = store.catalog.nextGeneration(definition.name);
    const before = shareable(present, definition);
    const attributes = definitionPatch(before, definition);
    this.#showAgain(definition);
    if (attributes.length === 0) return;
    store.clock = tick(store.clock, request.nowMs);
    const changes: KeyedChange[] = [
      { key: definitionKey(definition.name, generation), change: { type: 'patch', attributes } },
    ];
    const tables = [{ table: DEFINITIONS_TABLE, generation: DEFINITIONS_GENERATION, changes }];
    const origin = definition.replicate === false ? store.localOrigin : store.origin;
    const notes = request.notes && { notes: request.notes };
    const entry = this.#encode({ origin, version: store.clock, tables, ...notes });
    if (entry) this.#take(entry);
  }

  /** Stops holding a table on this node. Not logged: drops stay local. */
  dropTable(name: string): void {
    this.#store.catalog.drop(this.#store.catalog.get(name), this.#batch);
    this.#tablesChanged = true;
  }

  dropAttribute(table: Table, name: string): void {
    this.#store.catalog.dropAttribute(table, name, this.#batch);
    this.#tablesChanged = true;
  }

  /**
   * Takes an entry of another origin, or of an earlier incarnation of this node. What was left out of it is owed; of one
   * that is not newer than `startTimeMs`, for ever.
   */
  apply(origin: OriginId, bytes: Buffer, startTimeMs: number | null = null): EntryOutcome {
    const header = readEntryHeader(bytes);
    const position = this.#store.accepted.get(origin);
    const next = (position?.sequence ?? 0) + 1;
    if (header.sequence < next) return 'known';
    if (header.sequence > next) return 'gap';
    if (!isIntactEntry(origin, bytes)) return 'damaged';
    if (isLate(header.version, this.#store.newestMark)) return 'late';
    const tables = readTables(bytes);
    if (!tables) return 'damaged';
    if (tables.some((table) => this.#isUndefined(table))) return 'held';
    const sound = soundChanges(tables);
    this.passedOver += sound.passedOver;
    this.#take({ origin, header, tables: sound.tables, bytes });
    const isCutOff = startTimeMs !== null && millisecondsOf(header.version) <= startTimeMs;
    this.#oweLeftOut({ origin, header, bytes, isCutOff });
    return 'applied';
  }

  /**
   * Joins rows of a copy into what is here, where their absence elsewhere says nothing. False: a row's table is not
   * defined here.
   */
  applyCopied(rows: readonly CopiedRow[]): boolean {
    for (const { table, generation, key, row } of rows) {
      const target = this.rows.resolve(table, generation);
      if (target === 'unknown') return false;
      if (target === 'notHeld') continue;
      if (!isSoundRow(key, row)) {
        this.passedOver++;
        continue;
      }
      this.#store.clock = observe(this.#store.clock, newestStamp(row).version);
      this.rows.join({ target, key, row, mayBeBlind: false });
    }
    return true;
  }

  /** Takes over positions that a finished copy vouches for; own positions never go back. */
  adopt(positions: Iterable<readonly [OriginId, Position]>): void {
    for (const [origin, position] of positions) {
      const held = this.#store.accepted.get(origin);
      if (held && held.sequence >= position.sequence) continue;
      const logStart = asSequence(position.sequence + 1);
      this.move(origin, { ...position, logStart });
      this.#store.clock = observe(this.#store.clock, position.version);
    }
  }

  /** Writes rows again, as operations of this node with a stamp of now. `stays`: no other node is to have them. */
  writeAgain(
    tables: readonly TableChanges[],
    request: { nowMs: number; operation: string; stays?: boolean },
  ): void {
    const store = this.#store;
    store.clock = tick(store.clock, request.nowMs);
    const notes = { operation: request.operation };
    const origin = request.stays ? store.localOrigin : store.origin;
    const entry = this.#encode({ origin, version: store.clock, tables, notes });
    if (!entry) return;
    this.#take(entry);
    for (const { changes } of tables) this.writtenAgain += changes.length;
  }

  /** Raises marks: deletes up to there are forgotten by this batch, or by those it was copied from. */
  raiseMarks(marks: Iterable<Mark>): void {
    for (const { origin, version } of marks)
      if (!isLocalOrigin(origin) && this.#store.raiseMark(origin, version))
        this.#marked.add(origin);
  }

  /** Moves a position, also back or only the start of its log: for those who take entries away. */
  move(origin: OriginId, position: Position): void {
    this.#store.accepted.set(origin, position);
    this.#moved.add(origin);
  }

  /** What this node writes from this batch on, and with it, is of a new incarnation. */
  beginIncarnation(): void {
    const { key, value } = this.#store.beginIncarnation();
    this.putNote(key, value);
  }

  /** Puts a private note of this store into the same batch; without a value, takes it away. */
  putNote(key: Buffer, value: Buffer | undefined): void {
    if (value) this.#batch.put(key, value);
    else this.#batch.del(key);
    this.#noted = true;
  }

  /** Adds index entries of rows that were stored before their index was wanted; see indexes.ts. */
  fillIndex(table: Table, rows: Iterable<{ key: Uint8Array; row: Row }>): void {
    for (const { key, row } of rows) this.rows.fillIndex(table, key, row);
    this.#noted = true;
  }

  indexIsReady(table: Table, attribute: string): void {
    this.#store.catalog.markIndex(table, attribute, 'ready', this.#batch);
    this.#noted = true;
  }

  /** Writes everything in one batch. After a rejection the store must be closed and opened again. */
  async write(): Promise<void> {
    const store = this.#store;
    const { damage, debts } = store;
    const isNoted = this.#noted || damage.isUnwritten || debts.hasChanged;
    if (this.isEmpty && !isNoted && this.#marked.size + this.rows.healed.length === 0) {
      await this.#batch.close();
      return;
    }
    const moved = [...this.#moved].map((origin) => [origin, this.#positionOf(origin)] as const);
    for (const [origin, position] of moved)
      putPosition({ batch: this.#batch, origins: store.origins, origin, position });
    for (const origin of this.#marked) {
      const mark = store.marks.get(origin);
      if (mark) putMark({ batch: this.#batch, origins: store.origins, origin, version: mark });
    }
    debts.flush((key, value) => this.putNote(key, value));
    store.origins.flush(this.#batch);
    damage.flush(this.#batch);
    this.#batch.put(CLOCK_KEY, encode(store.clock));
    store.inFlight = this.rows.rows;
    await this.#batch.write({ sync: !store.options.writeAsync } as object);
    for (const [origin, position] of moved) store.durable.set(origin, position);
    for (const entry of this.#entries) store.tail.add(entry);
    for (const note of this.rows.healed) store.damage.forget(note);
  }

  /** Gives the batch up. The store's accepted state is void: close and open it again. */
  async abandon(): Promise<void> {
    await this.#batch.close();
  }

  #positionOf(origin: OriginId): Position {
    const position = this.#store.accepted.get(origin);
    if (!position) throw new Error(`No position for ${origin}`);
    return position;
  }

  /** Splits a transaction into what is shared and what stays here; all of it is accepted or nothing. */
  #log(request: {
    version: Version;
    tables: readonly TableChanges[];
    notes?: EntryNotes;
    transactionBytesMax: number;
  }): Sequence | undefined {
    const { catalog, origin, localOrigin } = this.#store;
    const stays = ({ table }: TableChanges): boolean =>
      catalog.find(table)?.definition.replicate === false;
    const entries = [
      this.#encode({ ...request, origin, tables: request.tables.filter((table) => !stays(table)) }),
      this.#encode({ ...request, origin: localOrigin, tables: request.tables.filter(stays) }),
    ].filter((entry) => entry !== undefined);
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
    if (bytes > request.transactionBytesMax)
      throw new SkeinError(
        'TRANSACTION_TOO_LARGE',
        `The transaction is ${bytes} bytes long; at most ${request.transactionBytesMax} are allowed (replication.maxTransactionBytes)`,
      );
    for (const entry of entries) this.#take(entry);
    return entries[0]?.header.sequence;
  }

  /** The next entry of one of this node's own logs; undefined when there is nothing to log. */
  #encode(content: {
    origin: OriginId;
    version: Version;
    tables: readonly TableChanges[];
    notes?: EntryNotes;
  }): NewEntry | undefined {
    const { origin, version, tables, notes } = content;
    if (tables.length === 0) return undefined;
    const sequence = asSequence((this.#store.accepted.get(origin)?.sequence ?? 0) + 1);
    const bytes = encodeEntry({ origin, sequence, version, tables, ...(notes && { notes }) });
    return { origin, header: readEntryHeader(bytes), tables, bytes };
  }

  #take(entry: NewEntry): void {
    const { origin, header, bytes } = entry;
    const store = this.#store;
    const stamp: Stamp = { version: header.version, origin };
    store.clock = observe(store.clock, header.version);
    for (const table of entry.tables) this.#applyTable(table, stamp);
    const held = store.accepted.get(origin);
    this.move(origin, {
      sequence: header.sequence,
      version: header.version,
      checksum: header.checksum,
      logStart: held?.logStart ?? header.sequence,
    });
    this.#batch.put(logKey(store.origins.numberOf(origin), header.sequence), bytes);
    this.#entries.push({ origin, sequence: header.sequence, bytes });
    this.#bytes += bytes.length * 2;
  }

  #oweLeftOut(entry: Omit<NewEntry, 'tables'> & { isCutOff: boolean }): void {
    const leftOut = readLeftOut(entry.bytes);
    if (isWhole(leftOut)) return;
    const upTo = new Map([[entry.origin, entry.header.sequence]]);
    const { isCutOff } = entry;
    this.#store.debts.change((debts) => withDebt(debts, { leftOut, isCutOff, upTo }));
  }

  #applyTable({ table, generation, changes }: TableChanges, stamp: Stamp): void {
    const target = this.rows.resolve(table, generation);
    if (target === 'notHeld' || target === 'unknown') return;
    for (const { key, change } of changes) {
      const row = rowOf(change, stamp);
      this.rows.join({ target, key, row, mayBeBlind: change.type === 'put' });
    }
  }

  /** What was dropped here is visible again when a definition made here names it; nothing of that is logged. */
  #showAgain({ name, attributes }: TableDefinition): void {
    const { catalog } = this.#store;
    const table = catalog.find(name);
    if (!table) return;
    for (const attribute of attributes)
      if (catalog.showAgain(table, attribute, this.#batch)) this.#tablesChanged = true;
  }

  #isUndefined({ table, generation }: TableChanges): boolean {
    return this.rows.resolve(table, generation) === 'unknown';
  }
}

interface NewEntry {
  readonly origin: OriginId;
  readonly header: EntryHeader;
  readonly tables: readonly TableChanges[];
  readonly bytes: Buffer;
}

const DEFINITIONS_GENERATION = 1 as TableGeneration;
