/**
 * A pinned view of a database for an initial copy: all rows with their whole state, and the vector that
 * belongs to them. Read by the feed actor of the source. Definitions come first, so that a receiver knows every
 * table before its rows.
 */
import type { CopiedRow } from './commit.js';
import { DEFINITIONS_NUMBER, DEFINITIONS_TABLE, type Table } from './catalog.js';
import { millisecondsOf } from '../protocol/clock.js';
import { heldInPart, partHeldOf } from '../protocol/debts.js';
import { isDefinitionWithin } from '../protocol/entryFilter.js';
import { EVERYTHING, permits, type TableScope } from '../protocol/flow.js';
import { tableGeneration, type TableName } from '../protocol/ids.js';
import type { Mark } from '../protocol/frames.js';
import {
  isLeftOut,
  leftOutBy,
  partHeldWithin,
  type LeftOut,
  type PartHeld,
} from '../protocol/leftOut.js';
import { newestStamp, type Row } from '../protocol/row.js';
import { limits } from '../protocol/limits.js';
import { primaryKeyOf, rowKey, rowsOf } from './keys.js';
import { SkeinError } from '../protocol/errors.js';
import { loadDebts } from './debts.js';
import { loadMarks } from './marks.js';
import { isLocalOrigin } from './origins.js';
import type { Store } from './store.js';
import { sizeOf } from './tables.js';
import { loadVector, type Vector } from './vector.js';

/** Where a copy stands: the last row handed out; a receiver resumes after it. */
export interface CopyPlace {
  readonly table: string;
  readonly generation: number;
  readonly key: Uint8Array;
}

export interface CopySource {
  readonly vector: Vector;
  /** What had been purged. */
  readonly marks: readonly Mark[];
  /** Tables that are here as a whole, in the order their rows come: in these a row that is not here is deleted. */
  readonly tables: readonly { readonly table: string; readonly generation: number }[];
  /** What of the whole database does not come. */
  readonly leftOut: LeftOut;
  /** What of the rest is held in part here, of each origin. */
  readonly inPart: PartHeld;
  /** Of the rows still to come after the place asked for. */
  estimateRows(): Promise<number>;
  /** The next rows, of up to about `bytesMax` that are looked at; at the end none, and never any again. */
  next(bytesMax: number): Promise<CopyPage>;
  close(): Promise<void>;
}

/** What of a database is copied. */
export interface CopyScope {
  readonly tables: TableScope;
  /** Rows whose newest write is at or before that time are left out, ms since the epoch; null: none. */
  readonly startTimeMs: number | null;
}

const WHOLE_DATABASE: CopyScope = { tables: EVERYTHING, startTimeMs: null };

export interface CopyPage {
  readonly rows: readonly CopiedRow[];
  readonly place: CopyPlace | undefined;
  /** None are left. A page without rows may also have looked at some that are not copied. */
  readonly isEnd: boolean;
}

/** Pins the present state. `after`: where an earlier copy, perhaps of another node, got to. */
export const openCopy = async (
  store: Store,
  after?: CopyPlace,
  scope: CopyScope = WHOLE_DATABASE,
): Promise<CopySource> => {
  const snapshot = store.level.snapshot();
  const vector = await loadVector(store.level, store.origins, { snapshot });
  for (const origin of vector.keys()) if (isLocalOrigin(origin)) vector.delete(origin);
  const marks = await loadMarks(store.level, store.origins, { snapshot });
  const debts = await loadDebts(store.level, { snapshot });
  const held = heldInPart(debts);
  const shared = sharedTables(store).filter(({ name }) => permits(scope.tables, name));
  const tables = tablesAfter(shared, after);
  const isWhole = ({ number }: CopiedTable): boolean => !store.damage.isPartial(number);
  const whole = new Set(tables.filter(isWhole).map(({ number }) => number));
  const reader = new RowReader({ store, options: { snapshot }, tables, after, scope, whole });
  return {
    vector,
    marks: [...marks].map(([origin, version]) => ({ origin, version })),
    tables: shared
      .filter((table) => !table.wasLocal && isWhole(table) && !isLeftOut(held, table.name))
      .map(({ name, generation }) => ({ table: name, generation })),
    leftOut: notCopied(store, held, scope.tables),
    inPart: partHeldWithin(partHeldOf(debts), scope.tables),
    estimateRows: () => reader.estimateRows(),
    next: (bytesMax) => reader.next(bytesMax),
    close: async () => {
      await reader.close();
      await snapshot.close();
    },
  };
};

interface CopiedTable {
  readonly number: number;
  readonly name: Table['name'];
  readonly generation: Table['generation'];
}

/**
 * Tables in a fixed order (definitions, then by name), from the one named in `after` on. Definitions come always: a table
 * may have been made since the earlier copy, and nobody takes rows of a table that is unknown.
 */
const tablesAfter = (shared: readonly Table[], after: CopyPlace | undefined): CopiedTable[] => {
  const definitions = {
    number: DEFINITIONS_NUMBER,
    name: DEFINITIONS_TABLE,
    generation: tableGeneration(1),
  };
  const tables: CopiedTable[] = [definitions, ...shared];
  if (!after) return tables;
  const from = tables.findIndex(
    (table) => table.name === after.table && table.generation === after.generation,
  );
  return from <= 0 ? tables : [definitions, ...tables.slice(from)];
};

/** Of what lies outside the scope, what there is: a table that nobody has is missing nowhere. */
const notCopied = (store: Store, held: LeftOut, scope: TableScope): LeftOut => {
  const outside = leftOutBy(scope);
  const isThere = (table: TableName): boolean =>
    store.catalog.find(table) !== undefined || isLeftOut(held, table);
  return { ...outside, tables: outside.tables.filter(isThere) };
};

const sharedTables = (store: Store): Table[] =>
  store.catalog.tables
    .filter((table) => table.definition.replicate !== false)
    .sort((a, b) => (a.name < b.name ? -1 : 1));

interface RowIterator {
  nextv(size: number): Promise<[Buffer, Buffer][]>;
  close(): Promise<void>;
}

class RowReader {
  readonly #store: Store;
  readonly #options: object;
  #tables: CopiedTable[];
  readonly #after: CopyPlace | undefined;
  /** Tables that the receiver was told are whole. */
  readonly #whole: ReadonlySet<number>;
  readonly #scope: CopyScope;
  #iterator: RowIterator | undefined;

  constructor(parts: {
    store: Store;
    options: object;
    tables: CopiedTable[];
    after: CopyPlace | undefined;
    whole: ReadonlySet<number>;
    scope: CopyScope;
  }) {
    this.#scope = parts.scope;
    this.#store = parts.store;
    this.#whole = parts.whole;
    this.#options = parts.options;
    this.#tables = parts.tables;
    this.#after = parts.after;
  }

  async estimateRows(): Promise<number> {
    let bytes = 0;
    for (const table of this.#tables) bytes += await sizeOf(this.#store, rowsOf(table.number));
    return Math.ceil(bytes / ESTIMATED_ROW_BYTES);
  }

  async next(bytesMax: number): Promise<CopyPage> {
    const rows: CopiedRow[] = [];
    let bytes = 0;
    while (bytes < bytesMax) {
      const table = this.#tables[0];
      if (!table) break;
      this.#iterator ??= this.#open(table);
      const found = await this.#next(this.#iterator);
      if (found.length === 0) {
        await this.#nextTable();
        continue;
      }
      for (const [key, value] of found) {
        bytes += key.length + value.length;
        const row = this.#sound(key, value, table);
        if (!row || !this.#isCopied(table, primaryKeyOf(key), row)) continue;
        rows.push({ table: table.name, generation: table.generation, key: primaryKeyOf(key), row });
      }
    }
    const last = rows.at(-1);
    return {
      rows,
      place: last && { table: last.table, generation: last.generation, key: last.key },
      isEnd: rows.length === 0 && this.#tables.length === 0,
    };
  }

  /**
   * Undefined for a row that cannot be read: it is left out, as it may be from a table that is not said to be whole. From
   * one that is, the receiver would take its absence for a delete: DAMAGED, and the copy begins anew, saying otherwise.
   */
  #sound(key: Buffer, value: Buffer, table: CopiedTable): Row | undefined {
    const { damage } = this.#store;
    const row = this.#store.readRow(key, value);
    const isSound = row !== undefined && !damage.isIncomplete(key, row);
    if (!isSound && this.#whole.has(table.number) && damage.isPartial(table.number))
      throw new SkeinError('DAMAGED', `A row of ${table.name} cannot be read`);
    return isSound ? row : undefined;
  }

  async #next(iterator: RowIterator): Promise<[Buffer, Buffer][]> {
    try {
      return await iterator.nextv(limits.readBatchRows / 4);
    } catch (error) {
      throw this.#store.readFailed(error);
    }
  }

  async close(): Promise<void> {
    await this.#iterator?.close();
    this.#iterator = undefined;
    this.#tables = [];
  }

  #isCopied(table: CopiedTable, key: Uint8Array, row: Row): boolean {
    const { origin, version } = newestStamp(row);
    const { tables, startTimeMs } = this.#scope;
    if (isLocalOrigin(origin)) return false;
    if (table.number !== DEFINITIONS_NUMBER)
      return startTimeMs === null || millisecondsOf(version) > startTimeMs;
    return isDefinitionWithin(key, tables);
  }

  #open(table: CopiedTable): RowIterator {
    const { gte, lt } = rowsOf(table.number);
    const after = this.#after;
    const isPlace = after?.table === table.name && after.generation === table.generation;
    const from = isPlace ? { gt: rowKey(table.number, after.key) } : { gte };
    return this.#store.level.iterator({ ...from, lt, ...this.#options });
  }

  async #nextTable(): Promise<void> {
    await this.#iterator?.close();
    this.#iterator = undefined;
    this.#tables.shift();
  }
}

/** For progress only; corrected as rows arrive. */
const ESTIMATED_ROW_BYTES = 150;
