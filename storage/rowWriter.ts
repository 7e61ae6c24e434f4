/**
 * Puts rows into the batch of a commit, with what hangs on them: the tombstone index, the index of deadlines, secondary indexes, and for rows
 * of the definitions table the catalog. Used by commit.ts only. Knows no log and no positions.
 */
import { compareStamps, type Stamp } from '../protocol/clock.js';
import { version as asVersion } from '../protocol/ids.js';
import type { TableGeneration, TableName, Version } from '../protocol/ids.js';
import { endedAtMs, settled } from '../protocol/expiry.js';
import { joinOptional, newestStamp, recordOf, type Row } from '../protocol/row.js';
import { DEFINITIONS_NUMBER, DEFINITIONS_TABLE, type Table } from './catalog.js';
import { isWholeSince, noteKeyOf } from './damage.js';
import { definitionOf, readDefinitionKey } from './definitionRows.js';
import { IndexEntries } from './indexes.js';
import { deadlineKey, rowKey, tombstoneKey } from './keys.js';
import { PendingRows } from './pendingRows.js';
import { encodeRow, isIntactRow } from './rowFormat.js';
import type { Store } from './store.js';

/** Where a row lies: in a table, or among the definitions. */
export type Target = Table | typeof DEFINITIONS;

export const DEFINITIONS = { number: DEFINITIONS_NUMBER } as const;

export const isTable = (target: Target): target is Table => 'definition' in target;

type Batch = ReturnType<Store['level']['batch']>;

export class RowWriter {
  readonly rows = new PendingRows();
  /** Rows changed. */
  count = 0;
  /** A table was defined, replaced or dropped. */
  definitionsChanged = false;
  /** Notes of damage that this batch takes away. */
  readonly healed: Buffer[] = [];
  readonly #store: Store;
  readonly #batch: Batch;
  readonly #indexes: IndexEntries;

  constructor(store: Store, batch: Batch) {
    this.#store = store;
    this.#batch = batch;
    this.#indexes = new IndexEntries(store.catalog, batch);
  }

  resolve(table: TableName, generation: TableGeneration): Target | 'notHeld' | 'unknown' {
    if (table === DEFINITIONS_TABLE) return DEFINITIONS;
    return this.#store.catalog.resolve(table, generation);
  }

  /** The row as accepted so far. Undefined: none, or it cannot be read. */
  row(target: Target, key: Uint8Array): Row | undefined {
    return this.#store.row(rowKey(target.number, key), this.rows);
  }

  /** Whether what is there cannot be read, or lacks what could not be read before; only of what has been noted. */
  isDamaged(target: Target, key: Uint8Array): boolean {
    const { damage } = this.#store;
    if (damage.isEmpty) return false;
    const storeKey = rowKey(target.number, key);
    if (!damage.isNoted(storeKey)) return false;
    const row = this.row(target, key);
    return row === undefined || damage.isIncomplete(storeKey, row);
  }

  /** Joins one row in: reads the old one only when it can matter. */
  join(place: { target: Target; key: Uint8Array; row: Row; mayBeBlind: boolean }): void {
    const { target, key } = place;
    const store = this.#store;
    const storeKey = rowKey(target.number, key);
    const { version } = newestStamp(place.row);
    const blind =
      place.mayBeBlind && !needsOldRow(target) && store.recency.isNewest(storeKey, version);
    const old = blind ? undefined : store.row(storeKey, this.rows, before(version, store.clock));
    const row = joinOptional(old, place.row);
    store.recency.note(storeKey, version);
    if (!old && store.damage.isFull && !blind && this.#isUnnoted(storeKey, row)) return;
    if (row !== old) this.#put(storeKey, { target, key, old, row });
  }

  /** What is there cannot be read, and is not noted: the row would be taken for whole. */
  #isUnnoted(storeKey: Buffer, row: Row): boolean {
    const { damage, level, clock } = this.#store;
    if (damage.isNoted(storeKey) || this.rows.get(storeKey) !== undefined) return false;
    const present = this.#store.inFlight.get(storeKey) ?? level.getSync(storeKey);
    if (!present || isIntactRow(storeKey, present)) return false;
    return !isWholeSince(row, before(newestStamp(row).version, clock));
  }

  /** Puts a row in place of the one that is here; undefined takes it away. `old` is what `row` gives. */
  replace(place: {
    target: Target;
    key: Uint8Array;
    old: Row | undefined;
    row: Row | undefined;
  }): void {
    const { target, key, old, row } = place;
    if (row === old) return;
    const storeKey = rowKey(target.number, key);
    if (row) {
      this.#store.recency.note(storeKey, newestStamp(row).version);
      return this.#put(storeKey, { target, key, old, row });
    }
    if (this.#store.damage.isNoted(storeKey)) this.heal(noteKeyOf(storeKey));
    this.#batch.del(storeKey);
    this.rows.add(storeKey, null);
    this.count++;
    if (!isTable(target)) return;
    this.#followDeadline(target, key, old, undefined);
    this.#followIndexes(target, key, old, undefined);
  }

  /** What that note says is not so any more, once this batch is written. */
  heal(note: Buffer): void {
    this.#store.damage.heals(this.#batch, note);
    this.healed.push(note);
  }

  /** Adds index entries of a row that was stored before its index was wanted. */
  fillIndex(table: Table, key: Uint8Array, row: Row): void {
    this.#indexes.fill(table, key, recordOf(settled(row)));
  }

  #put(
    storeKey: Buffer,
    place: { target: Target; key: Uint8Array; old: Row | undefined; row: Row },
  ): void {
    const { target, key, old, row } = place;
    const { damage, origins } = this.#store;
    if (damage.isNoted(storeKey) && !damage.isIncomplete(storeKey, row))
      this.heal(noteKeyOf(storeKey));
    const value = encodeRow(storeKey, row, origins);
    this.#batch.put(storeKey, value);
    this.rows.add(storeKey, value);
    this.count++;
    if (!isTable(target)) return this.#redefine(key, row);
    this.#followDelete(target, key, old, row);
    this.#followDeadline(target, key, old, row);
    this.#followIndexes(target, key, old, row);
  }

  /** Deletes are found again by their age, also those under a newer write. Those of definitions are kept for ever. */
  #followDelete(table: Table, key: Uint8Array, old: Row | undefined, row: Row): void {
    const dead = deleteIn(row);
    const before = old && deleteIn(old);
    if (!dead || (before && compareStamps(before, dead) === 0)) return;
    const place = { version: dead.version, table: table.number, primaryKey: key };
    this.#batch.put(tombstoneKey(place), EMPTY);
  }

  /** Records that have ended are found by when. The entry of an old row that was not read is passed over when due. */
  #followDeadline(
    table: Table,
    primaryKey: Uint8Array,
    old: Row | undefined,
    row: Row | undefined,
  ): void {
    const before = old && endedAtMs(old);
    const now = row && endedAtMs(row);
    if (before === now) return;
    const place = { table: table.number, primaryKey };
    if (before !== undefined) this.#batch.del(deadlineKey({ ...place, endedAtMs: before }));
    if (now !== undefined) this.#batch.put(deadlineKey({ ...place, endedAtMs: now }), EMPTY);
  }

  #followIndexes(table: Table, key: Uint8Array, old: Row | undefined, row: Row | undefined): void {
    const before = old && recordOf(settled(old));
    this.#indexes.follow({ table, key, before, after: row && recordOf(settled(row)) });
  }

  #redefine(key: Uint8Array, row: Row): void {
    const place = readDefinitionKey(key);
    if (!place) return;
    const { database } = this.#store.options;
    const definition = definitionOf({ database, name: place.name, row });
    if (!definition) return;
    this.#store.catalog.define(definition, place.generation, this.#batch);
    this.definitionsChanged = true;
  }
}

const EMPTY = Buffer.alloc(0);

/** What is being joined has raised the clock already: all that was here before it is older. */
const before = (version: Version, clock: Version): Version =>
  version === clock ? asVersion(version - 1) : clock;

/** The delete that a row holds. */
export const deleteIn = (row: Row): Stamp | null => {
  if (row.kind === 'whole') return null;
  return row.kind === 'deleted' ? row.stamp : row.dead;
};

/** A definition always merges; an indexed table must take its old index entries away. */
const needsOldRow = (target: Target): boolean =>
  !isTable(target) || !target.definition.schemaDefined || hasIndex(target);

const hasIndex = (table: Table): boolean => {
  for (const attribute of table.attributes.values()) if (attribute.index !== 'none') return true;
  return false;
};
