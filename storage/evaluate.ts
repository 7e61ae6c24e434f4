/**
 * Turns the writes of a local transaction into changes: which rows are skipped, which keys and times are
 * filled in, what each row's net change is. Reads what is needed, writes nothing; refuses all or nothing.
 * Called by commit.ts at the origin.
 */
import { encode, encodeRecord } from '../protocol/codec.js';
import { millisecondsOf } from '../protocol/clock.js';
import type { KeyedChange, TableChanges } from '../protocol/entry.js';
import { invalidRequest, SkeinError } from '../protocol/errors.js';
import type { Version } from '../protocol/ids.js';
import { DEADLINE, shownAt, withDeadline, type Moment } from '../protocol/expiry.js';
import type { Key, RecordObject } from '../protocol/operations.js';
import { encodeKey } from '../protocol/orderedKey.js';
import { recordOf, type EncodedAttribute, type Row, type RowChange } from '../protocol/row.js';
import { recordKey } from '../protocol/validate.js';
import { createPicker } from '../protocol/skipScan.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import { foldChanges } from '../protocol/transaction.js';
import type { Table } from './catalog.js';
import { deadlineOfWrite, lifeMsOf } from './expiry.js';

/**
 * `insert` skips visible rows, `update` skips rows that are not visible, `put` replaces, `upsert` sets
 * attributes and brings a row into being, `delete` erases.
 */
export type LocalWrite =
  | {
      readonly table: string;
      readonly type: 'insert' | 'put' | 'update' | 'upsert';
      readonly records: readonly RecordObject[];
      /** When they expire, ms since the epoch; the table's own rule where absent. */
      readonly expiresAt?: number;
    }
  | { readonly table: string; readonly type: 'delete'; readonly keys: readonly Key[] };

export interface WriteResult {
  readonly written: readonly Key[];
  readonly skipped: readonly Key[];
  /** Attributes the table did not know. */
  readonly newAttributes: readonly string[];
}

export interface EvaluationInput {
  readonly writes: readonly LocalWrite[];
  readonly version: Version;
  /** A new key for a record that has none. */
  readonly newKey: () => string;
  readonly table: (name: string) => Table;
  readonly row: (table: Table, key: Uint8Array) => Row | undefined;
  /** Whether the row cannot be read; asked after `row` where that matters. */
  readonly isDamaged: (table: Table, key: Uint8Array) => boolean;
}

export const evaluate = (
  input: EvaluationInput,
): { tables: TableChanges[]; results: WriteResult[] } => {
  const staged = new Map<Table, StagedTable>();
  const results = input.writes.map((write) => {
    const table = input.table(write.table);
    const stage = staged.get(table) ?? new StagedTable(table, input);
    staged.set(table, stage);
    return write.type === 'delete' ? stage.erase(write.keys) : stage.store(write);
  });
  const tables = [...staged.values()]
    .map((stage) => stage.changes())
    .filter((t) => t.changes.length);
  return { tables, results };
};

type StoringWrite = Exclude<LocalWrite, { type: 'delete' }>;
type StoreType = StoringWrite['type'];

interface Staged {
  key: Buffer;
  /** Without its deadline. */
  change: RowChange;
  deadline: Uint8Array | undefined;
}

/** One table's part of the transaction, as it grows. */
class StagedTable {
  readonly #table: Table;
  readonly #input: EvaluationInput;
  readonly #times: TimeAttributes;
  readonly #timeValue: number;
  readonly #moment: Moment;
  #staged = new Map<string, Staged>();

  constructor(table: Table, input: EvaluationInput) {
    this.#table = table;
    this.#input = input;
    this.#times = timeAttributes(table.definition);
    this.#timeValue = millisecondsOf(input.version);
    // Not the wall clock: the write is ordered at its version, and what ends before that has ended for it.
    this.#moment = { nowMs: this.#timeValue, lifeMs: lifeMsOf(table.definition) };
  }

  changes(): TableChanges {
    const changes: KeyedChange[] = [...this.#staged.values()].map((staged) => ({
      key: staged.key,
      change: this.#settled(staged),
    }));
    return { table: this.#table.name, generation: this.#table.generation, changes };
  }

  erase(keys: readonly Key[]): WriteResult {
    const written: Key[] = [];
    const skipped: Key[] = [];
    for (const key of keys) {
      const bytes = encodeKey(key);
      if (!this.#exists(bytes) && !this.#isDamaged(bytes)) {
        skipped.push(key);
        continue;
      }
      this.#stage(bytes, { type: 'delete' });
      written.push(key);
    }
    return { written, skipped, newAttributes: [] };
  }

  store({ type, records, expiresAt }: StoringWrite): WriteResult {
    const written: Key[] = [];
    const skipped: Key[] = [];
    const newAttributes = new Set<string>();
    for (const [index, record] of records.entries()) {
      const key = this.#keyOf(type, record, index);
      const bytes = encodeKey(key);
      const change = this.#changeFor(type, { record, key, bytes, index });
      if (type !== 'put') this.#refuseDamaged(key, bytes);
      if (!change) {
        skipped.push(key);
        continue;
      }
      this.#noteAttributes(record, newAttributes);
      this.#stage(bytes, change, this.#deadlineOf({ record, index, expiresAt }));
      written.push(key);
    }
    return { written, skipped, newAttributes: [...newAttributes] };
  }

  /** Undefined: the row is skipped. */
  #changeFor(
    type: StoreType,
    place: { record: RecordObject; key: Key; bytes: Buffer; index: number },
  ): RowChange | undefined {
    switch (type) {
      case 'insert':
        return this.#exists(place.bytes) ? undefined : this.#put(place);
      case 'put':
        return this.#put(place);
      case 'update':
        return this.#exists(place.bytes) ? this.#patch(place, false) : undefined;
      case 'upsert':
        return this.#patch(place, this.#times.created !== undefined && !this.#exists(place.bytes));
      default:
        return type satisfies never;
    }
  }

  #put(place: { record: RecordObject; key: Key; bytes: Buffer; index: number }): RowChange {
    const { definition } = this.#table;
    const { created, updated } = this.#times;
    const record: RecordObject = { ...place.record, [definition.primaryKey]: place.key };
    if (created !== undefined)
      record[created] = this.#createdBefore(place.bytes) ?? this.#timeValue;
    if (updated !== undefined) record[updated] = this.#timeValue;
    return { type: 'put', body: encodeRecord(record, `records[${place.index}]`) };
  }

  #patch(place: { record: RecordObject; key: Key; index: number }, isNew: boolean): RowChange {
    const { created, updated } = this.#times;
    const values: RecordObject = { ...place.record };
    if (isNew && created !== undefined) values[created] = this.#timeValue;
    if (updated !== undefined) values[updated] = this.#timeValue;
    const attributes: EncodedAttribute[] = [];
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined || name === this.#table.definition.primaryKey) continue;
      attributes.push({ name, value: encode(value, `records[${place.index}].${name}`) });
    }
    attributes.push({
      name: this.#table.definition.primaryKey,
      value: encode(place.key),
    });
    return { type: 'patch', attributes };
  }

  #keyOf(type: StoreType, record: RecordObject, index: number): Key {
    if (typeof record !== 'object' || record === null || Array.isArray(record))
      throw invalidRequest(`'records[${index}]' must be an object`);
    const { primaryKey } = this.#table.definition;
    const label = `records[${index}].${primaryKey}`;
    const key = recordKey(record, primaryKey, type === 'put' ? 'upsert' : type, label);
    return key ?? this.#input.newKey();
  }

  #noteAttributes(record: RecordObject, found: Set<string>): void {
    const { sealed } = this.#table.definition;
    for (const name of Object.keys(record)) {
      if (name === DEADLINE) throw invalidRequest('the name of an attribute cannot be empty');
      const known = this.#table.attributes.get(name);
      if (known && !known.dropped) continue;
      if (sealed) throw invalidRequest(`unknown attribute '${name}'`);
      found.add(name);
    }
  }

  #deadlineOf(write: {
    record: RecordObject;
    index: number;
    expiresAt: number | undefined;
  }): Uint8Array | undefined {
    const { definition } = this.#table;
    return deadlineOfWrite({ ...write, definition, version: this.#input.version });
  }

  /**
   * A patch says with its deadline that the record lives on. Where it has ended, in whole or in part, what is still
   * shown is written as a whole with it, so that no replica has to know what had ended.
   */
  #settled({ key, change, deadline }: Staged): RowChange {
    if (!deadline || change.type === 'delete') return change;
    if (change.type === 'put') return withDeadline(change, deadline);
    const row = this.#input.row(this.#table, key);
    const shown = shownAt(row, this.#moment);
    if (shown && shown === row) return withDeadline(change, deadline);
    const body = shown && recordOf(shown);
    const whole = foldChanges(body ? { type: 'put', body } : { type: 'delete' }, change);
    return whole.type === 'delete' ? whole : withDeadline(whole, deadline);
  }

  /** Whether the row is visible, with what this transaction has done to it so far. */
  #exists(key: Buffer): boolean {
    const staged = this.#staged.get(key.toString('latin1'));
    if (staged) return staged.change.type !== 'delete';
    return this.#shown(key) !== undefined;
  }

  #shown(key: Buffer): Row | undefined {
    return shownAt(this.#input.row(this.#table, key), this.#moment);
  }

  /** A row that was replaced or erased by this transaction is whole again. */
  #isDamaged(key: Buffer): boolean {
    const staged = this.#staged.get(key.toString('latin1'));
    return !staged && this.#input.isDamaged(this.#table, key);
  }

  /** Whether it is visible, and what it would become, is not known. */
  #refuseDamaged(key: Key, bytes: Buffer): void {
    if (!this.#isDamaged(bytes)) return;
    const { database, name } = this.#table.definition;
    throw new SkeinError(
      'DAMAGED',
      `The row ${JSON.stringify(key)} of '${database}.${name}' cannot be read; delete it, or replace it whole`,
    );
  }

  #createdBefore(key: Buffer): number | undefined {
    const staged = this.#staged.get(key.toString('latin1'))?.change;
    if (staged?.type === 'delete') return undefined;
    const row = this.#shown(key);
    const bytes = row && recordOf(row);
    const value = bytes && this.#times.pick?.(bytes);
    return typeof value === 'number' ? value : undefined;
  }

  #stage(key: Buffer, change: RowChange, deadline?: Uint8Array): void {
    const place = key.toString('latin1');
    const before = this.#staged.get(place);
    if (!before) return void this.#staged.set(place, { key, change, deadline });
    before.change = foldChanges(before.change, change);
    if (deadline || change.type !== 'patch') before.deadline = deadline;
  }
}

interface TimeAttributes {
  readonly created?: string;
  readonly updated?: string;
  /** Reads the created time of a stored record. */
  readonly pick?: (bytes: Uint8Array) => unknown;
}

const knownTimes = new WeakMap<TableDefinition, TimeAttributes>();

/** Dynamic tables have both times, declared tables those they name. */
const timeAttributes = (definition: TableDefinition): TimeAttributes => {
  let times = knownTimes.get(definition);
  if (!times) {
    const created = definition.schemaDefined
      ? definition.attributes.find((attribute) => attribute.assignedCreatedTime)?.name
      : '__createdtime__';
    const updated = definition.schemaDefined
      ? definition.attributes.find((attribute) => attribute.assignedUpdatedTime)?.name
      : '__updatedtime__';
    times = {
      ...(created !== undefined && { created, pick: numberPicker(created) }),
      ...(updated !== undefined && { updated }),
    };
    knownTimes.set(definition, times);
  }
  return times;
};

const FLOAT_64 = 0xcb;

/** Times are fractional milliseconds, so they are always stored as a 64-bit float. */
const numberPicker = (name: string): ((bytes: Uint8Array) => unknown) => {
  const pick = createPicker([name]);
  return (bytes) => {
    const value = pick(bytes)[0];
    return value?.[0] === FLOAT_64 ? value.readDoubleBE(1) : undefined;
  };
};
