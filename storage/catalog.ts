/**
 * The tables of one database: definitions (replicated as rows of table 0), the local numbers of tables
 * and attributes, and which attributes are indexed. Changes are staged into the batch of the commit that
 * causes them. Called by commit.ts and tables.ts.
 */
import { decode, encode } from '../protocol/codec.js';
import { SkeinError } from '../protocol/errors.js';
import {
  tableGeneration,
  tableName,
  type DatabaseName,
  type TableGeneration,
  type TableName,
} from '../protocol/ids.js';
import type { AttributeDefinition, TableDefinition } from '../protocol/tableDefinition.js';
import { allOf, attributeKey, numberOf, PREFIX, tableKey } from './keys.js';
import type { Level, Puts } from './level.js';

export { DEFINITIONS_TABLE } from '../protocol/definitionKey.js';
export const DEFINITIONS_NUMBER = 0;

/** `building`: kept up to date by writes, not yet complete, not yet used by searches. */
export type IndexState = 'none' | 'building' | 'ready';

export interface Attribute {
  readonly number: number;
  readonly name: string;
  readonly index: IndexState;
  /** Hidden since a drop_attribute, until it is written or created again. */
  readonly dropped: boolean;
}

export interface Table {
  readonly number: number;
  readonly name: TableName;
  readonly generation: TableGeneration;
  readonly definition: TableDefinition;
  readonly attributes: Map<string, Attribute>;
  /** It stayed on this node for a time: rows of then are here and nowhere else, and its copies are not whole. */
  readonly wasLocal: boolean;
}

/** Not held here: an older life of the name, or dropped on this node. */
export type Resolved = Table | 'notHeld' | 'unknown';

interface StoredTable {
  name: string;
  generation: number;
  dropped?: boolean;
  wasLocal?: boolean;
}
interface StoredAttribute {
  name: string;
  index: IndexState;
  dropped?: boolean;
}

export class Catalog {
  readonly database: DatabaseName;
  #active = new Map<TableName, Table>();
  #newest = new Map<TableName, { number: number; generation: number; dropped: boolean }>();
  #nextNumber = 1;
  #retired: number[] = [];

  private constructor(database: DatabaseName) {
    this.database = database;
  }

  /** `definitionOf` gives the present definition row of a table; `builtIn` tables have none. */
  static async load(options: {
    level: Level;
    database: DatabaseName;
    builtIn: readonly TableDefinition[];
    definitionOf: (name: TableName, generation: TableGeneration) => TableDefinition | undefined;
  }): Promise<Catalog> {
    const catalog = new Catalog(options.database);
    const attributes = await loadAttributes(options.level);
    for await (const [key, value] of options.level.iterator(allOf(PREFIX.table))) {
      const number = numberOf(key);
      const stored = decode(value) as StoredTable;
      const name = tableName(stored.name);
      const generation = tableGeneration(stored.generation);
      const definition =
        options.builtIn.find(
          (table) => table.database === options.database && table.name === name,
        ) ?? options.definitionOf(name, generation);
      catalog.#nextNumber = Math.max(catalog.#nextNumber, number + 1);
      catalog.#restore({ number, name, generation, stored, definition, attributes });
    }
    return catalog;
  }

  get tables(): Table[] {
    return [...this.#active.values()];
  }

  find(name: string): Table | undefined {
    return this.#active.get(tableName(name));
  }

  /** NOT_FOUND with the documented text when there is none. */
  get(name: string): Table {
    const table = this.find(name);
    if (!table)
      throw new SkeinError('NOT_FOUND', `Table '${this.database}.${name}' does not exist`);
    return table;
  }

  resolve(name: TableName, generation: TableGeneration): Resolved {
    const active = this.#active.get(name);
    if (active?.generation === generation) return active;
    const newest = this.#newest.get(name);
    return newest && generation <= newest.generation ? 'notHeld' : 'unknown';
  }

  /** The generation a table of that name gets when it is created now. */
  nextGeneration(name: TableName): TableGeneration {
    const newest = this.#newest.get(name);
    if (!newest) return tableGeneration(1);
    return tableGeneration(newest.dropped ? newest.generation + 1 : newest.generation);
  }

  /** Takes in a definition as it now stands; a newer generation replaces an older table. */
  define(definition: TableDefinition, generation: TableGeneration, batch: Puts): Table | undefined {
    const newest = this.#newest.get(definition.name);
    if (
      newest &&
      (generation < newest.generation || (generation === newest.generation && newest.dropped))
    )
      return undefined;
    const previous = this.#active.get(definition.name);
    const kept = previous?.generation === generation ? previous : undefined;
    if (previous && !kept) this.#retired.push(previous.number);
    const number = kept?.number ?? this.#nextNumber++;
    const wasLocal = kept?.wasLocal === true || definition.replicate === false;
    const table: Table = {
      number,
      name: definition.name,
      generation,
      definition,
      attributes: kept?.attributes ?? new Map(),
      wasLocal,
    };
    this.#active.set(definition.name, table);
    this.#newest.set(definition.name, { number, generation, dropped: false });
    const stored: StoredTable = { name: definition.name, generation, wasLocal };
    batch.put(tableKey(number), encode(stored));
    for (const attribute of definition.attributes)
      if (!kept || !isHiddenAsBefore(kept, attribute))
        this.noteAttribute(table, attribute.name, wantsIndex(attribute), batch, kept === undefined);
    return table;
  }

  /** An attribute that was dropped here is created again. False: it is not hidden. */
  showAgain(table: Table, attribute: AttributeDefinition, batch: Puts): boolean {
    if (table.attributes.get(attribute.name)?.dropped !== true) return false;
    this.noteAttribute(table, attribute.name, wantsIndex(attribute), batch, false);
    return true;
  }

  /** This node no longer holds the table; later writes to this generation are passed over. */
  drop(table: Table, batch: Puts): void {
    this.#active.delete(table.name);
    this.#newest.set(table.name, {
      number: table.number,
      generation: table.generation,
      dropped: true,
    });
    const stored: StoredTable = { name: table.name, generation: table.generation, dropped: true };
    batch.put(tableKey(table.number), encode(stored));
    this.#retired.push(table.number);
  }

  /**
   * Makes an attribute known. Indexes on a table that may hold rows with it begin as `building`;
   * `empty` says that it cannot.
   */
  noteAttribute(
    table: Table,
    name: string,
    indexed: boolean,
    batch: Puts,
    empty: boolean,
  ): Attribute {
    const known = table.attributes.get(name);
    if (known && !known.dropped && (known.index !== 'none') === indexed) return known;
    const attribute: Attribute = {
      number: known?.number ?? table.attributes.size + 1,
      name,
      index: indexed ? (empty && !known ? 'ready' : 'building') : 'none',
      dropped: false,
    };
    this.#store(table, attribute, batch);
    return attribute;
  }

  markIndex(table: Table, name: string, index: IndexState, batch: Puts): void {
    const known = table.attributes.get(name);
    if (known) this.#store(table, { ...known, index }, batch);
  }

  dropAttribute(table: Table, name: string, batch: Puts): void {
    const known = table.attributes.get(name);
    if (known) this.#store(table, { ...known, index: 'none', dropped: true }, batch);
  }

  /** New tables get no lower numbers. */
  numberFrom(number: number): void {
    this.#nextNumber = Math.max(this.#nextNumber, number);
  }

  /** Entries of indexes may be missing. */
  rebuildIndexes(batch: Puts): void {
    for (const table of this.tables)
      for (const attribute of table.attributes.values())
        if (attribute.index === 'ready')
          this.#store(table, { ...attribute, index: 'building' }, batch);
  }

  /** Numbers of tables whose rows and indexes can be erased; each is given once. */
  takeRetired(): number[] {
    const retired = this.#retired;
    this.#retired = [];
    return retired;
  }

  #store(table: Table, attribute: Attribute, batch: Puts): void {
    table.attributes.set(attribute.name, attribute);
    const stored: StoredAttribute = {
      name: attribute.name,
      index: attribute.index,
      dropped: attribute.dropped,
    };
    batch.put(attributeKey({ table: table.number, attribute: attribute.number }), encode(stored));
  }

  #restore(found: {
    number: number;
    name: TableName;
    generation: TableGeneration;
    stored: StoredTable;
    definition: TableDefinition | undefined;
    attributes: Map<number, Map<string, Attribute>>;
  }): void {
    const { number, name, generation, stored, definition } = found;
    const newest = this.#newest.get(name);
    if (newest && newest.generation >= generation) {
      this.#retired.push(number);
      return;
    }
    const previous = this.#active.get(name);
    if (previous) this.#retired.push(previous.number);
    this.#active.delete(name);
    const dropped = stored.dropped === true || definition === undefined;
    this.#newest.set(name, { number, generation, dropped });
    if (dropped || !definition) {
      this.#retired.push(number);
      return;
    }
    const attributes = found.attributes.get(number) ?? new Map<string, Attribute>();
    const wasLocal = stored.wasLocal === true;
    this.#active.set(name, { number, name, generation, definition, attributes, wasLocal });
  }
}

const wantsIndex = (attribute: AttributeDefinition): boolean =>
  attribute.indexed === true && attribute.isPrimaryKey !== true;

/** Dropped on this node, and the definition says nothing new of it: what else changed does not bring it back. */
const isHiddenAsBefore = (before: Table, { name, ...attribute }: AttributeDefinition): boolean => {
  if (before.attributes.get(name)?.dropped !== true) return false;
  const declared = before.definition.attributes.find((one) => one.name === name);
  return (
    declared !== undefined &&
    encode({ ...declared, name: '' }).equals(encode({ ...attribute, name: '' }))
  );
};

const loadAttributes = async (level: Level): Promise<Map<number, Map<string, Attribute>>> => {
  const tables = new Map<number, Map<string, Attribute>>();
  for await (const [key, value] of level.iterator(allOf(PREFIX.attribute))) {
    const stored = decode(value) as StoredAttribute;
    const table = numberOf(key);
    const attributes = tables.get(table) ?? new Map<string, Attribute>();
    tables.set(table, attributes);
    attributes.set(stored.name, {
      number: key.readUInt32BE(5),
      name: stored.name,
      index: stored.index,
      dropped: stored.dropped === true,
    });
  }
  return tables;
};
