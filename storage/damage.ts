/**
 * What of a database cannot be read any more: rows, whole tables that may lack rows, log entries. A row that cannot be
 * read is a state: it is noted on the disk and named, read as an error, left out of searches and copies, and its table is
 * held in part, so that nobody concludes anything from what is missing in it. Owned by store.ts; repairs nothing itself.
 *
 *   sound ──bytes that are no row──> noted ──a put or delete newer than all that was here, or `heal`──> sound
 *
 * Changes that reach a noted row meanwhile are kept in its place, and it stays noted: it may lack what was there before.
 */
import { decode, encode } from '../protocol/codec.js';
import { version as asVersion, type OriginId, type Version } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import { decodeKey } from '../protocol/orderedKey.js';
import type { Key } from '../protocol/operations.js';
import type { Row } from '../protocol/row.js';
import { damageKey, numberOf, PREFIX, primaryKeyOf, rowKey, allOf } from './keys.js';
import type { Level, Puts } from './level.js';
import { isIntact, sealed, SEAL_BYTES } from './seal.js';

/** What was found, to be told once. */
export type Finding =
  | { readonly kind: 'row'; readonly table: number; readonly key: Key }
  | { readonly kind: 'table'; readonly table: number; readonly reason: string }
  | {
      readonly kind: 'entry';
      readonly origin: OriginId;
      readonly sequence: number;
      /** It is not there: what came in the same batch is lost too. */
      readonly isMissing: boolean;
    }
  /** LevelDB itself says that its files are damaged: they have to be closed and repaired. */
  | { readonly kind: 'files'; readonly error: Error };

export class Damage {
  /** Rows by their store keys (latin1), with the newest version that may have been in them. */
  readonly #rows = new Map<string, Version>();
  /** Tables that may lack rows without anybody knowing which, and why. */
  readonly #tables = new Map<number, string>();
  /** Noted rows per table. */
  readonly #counts = new Map<number, number>();
  /** Noted here, and not yet in a batch. */
  readonly #unwritten = new Set<string>();
  readonly #unwrittenTables = new Set<number>();
  /** Rows and tables noted in this life. */
  findings = 0;
  /** Entries of logs found damaged in this life. */
  entries = 0;
  /** The last of them, by origin. */
  readonly #entryOf = new Map<string, number>();
  /** Told of each finding; set by the router. */
  found: (finding: Finding) => void = () => undefined;

  static async load(level: Pick<Level, 'iterator'>): Promise<Damage> {
    const damage = new Damage();
    for await (const [key, value] of level.iterator(allOf(PREFIX.damage))) {
      const table = numberOf(key);
      const note = readNote(key, value);
      if (isOfTable(key)) damage.#tables.set(table, note.reason ?? UNKNOWN);
      else damage.#remember(storeKeyOf(key), asVersion(note.upTo ?? ALWAYS));
    }
    return damage;
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0 && this.#tables.size === 0;
  }

  /** No more rows are noted one by one: what reaches another damaged row leaves it as it is. */
  get isFull(): boolean {
    return this.#rows.size >= limits.damagedRowsMax;
  }

  /** Some tables may lack rows, nobody knows which. */
  get owesTables(): boolean {
    return this.#tables.size > 0;
  }

  get rowCount(): number {
    return this.#rows.size;
  }

  /** The table lacks rows that were here: that it has none under a key says nothing. */
  isPartial(table: number): boolean {
    return this.#tables.has(ALL) || this.#tables.has(table) || (this.#counts.get(table) ?? 0) > 0;
  }

  /** Tables held in part, with the reason where it is not single rows. */
  partial(): Map<number, string> {
    const tables = new Map<number, string>(this.#tables);
    for (const [table, count] of this.#counts)
      if (count > 0 && !tables.has(table)) tables.set(table, `${count} rows cannot be read`);
    return tables;
  }

  /** Some of the noted rows. */
  named(max: number): { table: number; key: Key }[] {
    const named: { table: number; key: Key }[] = [];
    for (const name of this.#rows.keys()) {
      if (named.length === max) break;
      named.push(placeOf(Buffer.from(name, 'latin1')));
    }
    return named;
  }

  /** Whether what is stored there may lack something, though it can be read. */
  isIncomplete(storeKey: Buffer, row: Row): boolean {
    if (this.#rows.size === 0) return false;
    const upTo = this.#rows.get(nameOf(storeKey));
    return upTo !== undefined && !isWholeSince(row, upTo);
  }

  isNoted(storeKey: Buffer): boolean {
    return this.#rows.size > 0 && this.#rows.has(nameOf(storeKey));
  }

  /** A row that cannot be read. `upTo`: nothing in it can be newer. It goes into the next batch. */
  noteRow(storeKey: Buffer, upTo: Version): void {
    const name = nameOf(storeKey);
    if (this.#rows.has(name)) return;
    if (this.isFull) return this.oweTable(numberOf(storeKey), 'too many rows cannot be read');
    this.#remember(storeKey, upTo);
    this.#unwritten.add(name);
    this.findings++;
    this.found({ kind: 'row', ...placeOf(storeKey) });
  }

  /** Rows of that table may be missing: it has to be copied from a node that holds it whole. It goes into the next batch. */
  oweTable(table: number, reason: string): void {
    if (this.#tables.has(table)) return;
    this.#tables.set(table, reason);
    this.#unwrittenTables.add(table);
    this.findings++;
    this.found({ kind: 'table', table, reason });
  }

  /** Rows may be missing anywhere, also of tables that are not known any more. */
  oweAll(reason: string): void {
    this.oweTable(ALL, reason);
  }

  /** A log entry that cannot be read, or is not there. */
  noteEntry(origin: OriginId, sequence: number, isMissing: boolean): void {
    if (sequence <= (this.#entryOf.get(origin) ?? 0)) return;
    this.#entryOf.set(origin, sequence);
    this.entries++;
    this.found({ kind: 'entry', origin, sequence, isMissing });
  }

  noteFiles(error: Error): void {
    this.found({ kind: 'files', error });
  }

  get isUnwritten(): boolean {
    return this.#unwritten.size > 0 || this.#unwrittenTables.size > 0;
  }

  /** Puts what was found since the last call into a batch. */
  flush(batch: Puts): void {
    for (const name of this.#unwritten) {
      const storeKey = Buffer.from(name, 'latin1');
      const upTo = this.#rows.get(name);
      if (upTo !== undefined) put(batch, noteKeyOf(storeKey), { upTo });
    }
    for (const table of this.#unwrittenTables)
      put(batch, damageKey(table), { reason: this.#tables.get(table) ?? UNKNOWN });
    this.#unwritten.clear();
    this.#unwrittenTables.clear();
  }

  /** The notes of a table, or of all at once. */
  notesOf(tables: Iterable<number>): Buffer[] {
    const wanted = new Set(tables);
    const keys = [...this.#tables.keys()]
      .filter((table) => wanted.has(table))
      .map((table) => damageKey(table));
    for (const name of this.#rows.keys()) {
      const storeKey = Buffer.from(name, 'latin1');
      if (wanted.has(numberOf(storeKey))) keys.push(noteKeyOf(storeKey));
    }
    return keys;
  }

  /** This batch takes the note away: what it says is not so any more. */
  heals(batch: Puts, note: Buffer): void {
    if (isOfTable(note)) this.#unwrittenTables.delete(numberOf(note));
    else this.#unwritten.delete(nameOf(storeKeyOf(note)));
    batch.del(note);
  }

  /** The batch that took the note away is on the disk. */
  forget(note: Buffer): void {
    const table = numberOf(note);
    if (isOfTable(note)) this.#tables.delete(table);
    else if (this.#rows.delete(nameOf(storeKeyOf(note))))
      this.#counts.set(table, (this.#counts.get(table) ?? 1) - 1);
  }

  #remember(storeKey: Buffer, upTo: Version): void {
    this.#rows.set(nameOf(storeKey), upTo);
    const table = numberOf(storeKey);
    this.#counts.set(table, (this.#counts.get(table) ?? 0) + 1);
  }
}

/** Whether a write of the whole row, or its delete, is newer than all that was there before. */
export const isWholeSince = (row: Row, upTo: Version): boolean => {
  if (row.kind !== 'patched') return row.stamp.version > upTo;
  return (row.floor?.version ?? 0) > upTo || (row.dead?.version ?? 0) > upTo;
};

/** Definitions make tables what they are: what is said of theirs is said of all. */
export const ALL = 0;

interface Note {
  readonly upTo?: number;
  readonly reason?: string;
}

const UNKNOWN = 'its note cannot be read';
/** No write is newer. */
const ALWAYS = Number.MAX_SAFE_INTEGER;

const put = (batch: Puts, key: Buffer, note: Note): void =>
  void batch.put(key, sealed(key, encode(note)));

/** A note that cannot be read itself says the most it can. */
const readNote = (key: Buffer, value: Buffer): Note =>
  isIntact(key, value) ? (decode(value.subarray(0, -SEAL_BYTES)) as Note) : {};

/** Where the note of a row lies. */
export const noteKeyOf = (storeKey: Buffer): Buffer =>
  damageKey(numberOf(storeKey), primaryKeyOf(storeKey));

const storeKeyOf = (note: Buffer): Buffer => rowKey(numberOf(note), primaryKeyOf(note));

const isOfTable = (note: Buffer): boolean => primaryKeyOf(note).length === 0;

const nameOf = (storeKey: Buffer): string => storeKey.toString('latin1');

const placeOf = (storeKey: Buffer): { table: number; key: Key } => ({
  table: numberOf(storeKey),
  key: readableKey(primaryKeyOf(storeKey)),
});

/** The key may be damaged too. */
const readableKey = (bytes: Buffer): Key => {
  try {
    return decodeKey(bytes);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return `bytes ${bytes.toString('hex')}`;
  }
};
