/**
 * Keeps secondary indexes in step with rows, within the batch that changes the rows. Values are taken from the
 * encoded record without decoding it. In a dynamic table every attribute seen becomes known and indexed.
 * Called by commit.ts only.
 */
import { DEADLINE } from '../protocol/expiry.js';
import { encodeIndexValueFromEncoded } from '../protocol/orderedKey.js';
import { createPicker, mapEntries } from '../protocol/skipScan.js';
import type { Catalog, Table } from './catalog.js';
import { indexKey } from './keys.js';
import type { Puts } from './level.js';

/** Attribute number -> index value. */
type IndexValues = Map<number, Buffer>;

export class IndexEntries {
  readonly #catalog: Catalog;
  readonly #batch: Puts;
  #pickers = new Map<Table, { version: number; read: (record: Uint8Array) => IndexValues }>();

  constructor(catalog: Catalog, batch: Puts) {
    this.#catalog = catalog;
    this.#batch = batch;
  }

  /** Replaces the index entries of `before` with those of `after`; either may be absent. */
  follow(change: {
    table: Table;
    key: Uint8Array;
    before: Uint8Array | undefined;
    after: Uint8Array | undefined;
  }): void {
    const { table, key, before, after } = change;
    if (!table.definition.schemaDefined && after) this.#learn(table, after);
    if (indexedNames(table).length === 0) return;
    const old = before ? this.#values(table, before) : NONE;
    const now = after ? this.#values(table, after) : NONE;
    for (const [attribute, value] of old)
      if (!now.get(attribute)?.equals(value)) this.#batch.del(place(table, attribute, value, key));
    for (const [attribute, value] of now)
      if (!old.get(attribute)?.equals(value))
        this.#batch.put(place(table, attribute, value, key), EMPTY);
  }

  /** Adds all entries of one record; those that exist are written again. */
  fill(table: Table, key: Uint8Array, record: Uint8Array | undefined): void {
    if (!record) return;
    for (const [attribute, value] of this.#values(table, record))
      this.#batch.put(place(table, attribute, value, key), EMPTY);
  }

  #values(table: Table, record: Uint8Array): IndexValues {
    let picker = this.#pickers.get(table);
    if (!picker || picker.version !== table.attributes.size) {
      picker = { version: table.attributes.size, read: indexReader(table) };
      this.#pickers.set(table, picker);
    }
    return picker.read(record);
  }

  /** New attributes of a dynamic table. Rows stored before cannot have them: they would be known. */
  #learn(table: Table, record: Uint8Array): void {
    for (const { name } of mapEntries(record)) {
      if (name === DEADLINE) continue;
      const known = table.attributes.get(name);
      if (known && !known.dropped) continue;
      const indexed = name !== table.definition.primaryKey;
      this.#catalog.noteAttribute(table, name, indexed, this.#batch, known === undefined);
      this.#pickers.delete(table);
    }
  }
}

const EMPTY = Buffer.alloc(0);
const NONE: IndexValues = new Map();

const place = (table: Table, attribute: number, value: Buffer, primaryKey: Uint8Array): Buffer =>
  indexKey({ table: table.number, attribute, value, primaryKey });

/** Attributes whose index is kept, ready or building. */
export const indexedNames = (table: Table): string[] => {
  const names: string[] = [];
  for (const attribute of table.attributes.values())
    if (attribute.index !== 'none') names.push(attribute.name);
  return names;
};

const indexReader = (table: Table): ((record: Uint8Array) => IndexValues) => {
  const names = indexedNames(table);
  const numbers = names.map((name) => table.attributes.get(name)?.number ?? 0);
  const pick = createPicker(names);
  return (record) => {
    const values: IndexValues = new Map();
    for (const [index, encoded] of pick(record).entries()) {
      const value = encoded && encodeIndexValueFromEncoded(encoded);
      if (value) values.set(numbers[index] ?? 0, value);
    }
    return values;
  };
};
