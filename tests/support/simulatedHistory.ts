/**
 * All that was ever written in a simulated cluster, and what it comes to: the fold of operations executed one at a
 * time in stamp order. Filled by simulatedWatch.ts from what reaches the disks; shares no code with the rows' join.
 */
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import { decode } from '../../protocol/codec.js';
import { readEntryHeader, readEntryNotes, readEntryTables } from '../../protocol/entry.js';
import type { OriginId } from '../../protocol/ids.js';
import { decodeKey } from '../../protocol/orderedKey.js';
import { mapEntries } from '../../protocol/skipScan.js';
import type { RowChange } from '../../protocol/row.js';

export type Values = Readonly<Record<string, unknown>>;

export type Effect =
  { readonly type: 'put' | 'patch'; readonly values: Values } | { readonly type: 'delete' };

/** One change of one row, as an entry states it. */
export interface HistoryChange {
  /** `table key`, the key as hexadecimal digits. */
  readonly row: string;
  readonly effect: Effect;
}

export interface HistoryEntry {
  readonly origin: OriginId;
  readonly sequence: number;
  readonly version: number;
  /** What the client called it. */
  readonly operation: string;
  readonly bytes: Buffer;
  readonly changes: readonly HistoryChange[];
}

interface Stamped {
  readonly origin: OriginId;
  readonly sequence: number;
  readonly version: number;
  readonly effect: Effect;
}

export type Covers = (origin: OriginId, sequence: number) => boolean;

export class History {
  /** Milliseconds that a record of a table lives after its newest write; undefined: it does not expire by itself. */
  readonly #lifeMsOf: (table: string) => number | undefined;
  readonly #logs = new Map<OriginId, HistoryEntry[]>();
  readonly #rows = new Map<string, Stamped[]>();
  readonly #operations = new Map<string, HistoryEntry>();

  constructor(lifeMsOf: (table: string) => number | undefined = () => undefined) {
    this.#lifeMsOf = lifeMsOf;
  }

  get rows(): IterableIterator<string> {
    return this.#rows.keys();
  }

  entry(origin: OriginId, sequence: number): HistoryEntry | undefined {
    return this.#logs.get(origin)?.[sequence - 1];
  }

  /** The entry that carries a client's operation; undefined when it was stored nowhere. */
  entryOf(operation: string): HistoryEntry | undefined {
    return this.#operations.get(operation);
  }

  /** Throws for an entry that contradicts what was seen before. */
  add(origin: OriginId, bytes: Buffer): HistoryEntry {
    const { sequence, version } = readEntryHeader(bytes);
    const log = this.#logs.get(origin) ?? [];
    this.#logs.set(origin, log);
    const known = log[sequence - 1];
    if (known) {
      if (!known.bytes.equals(bytes))
        throw new Error(`${origin} ${sequence} has two contents: a sequence was used twice`);
      return known;
    }
    if (sequence !== log.length + 1)
      throw new Error(`${origin} ${sequence} was written after ${log.length}`);
    const last = log.at(-1);
    if (last && last.version >= version)
      throw new Error(`${origin} ${sequence} is not newer than the entry before it`);
    const entry = parsed(origin, bytes);
    log.push(entry);
    this.#operations.set(entry.operation, entry);
    for (const change of entry.changes) this.#note(entry, change);
    return entry;
  }

  /**
   * The record that the covered operations leave; undefined: none. `ending`: each found nothing that had expired by then,
   * as on a disk from which that was removed before the operation came.
   */
  fold(row: string, covers: Covers, { ending = false } = {}): Values | undefined {
    let record: Values | undefined;
    for (const { origin, sequence, version, effect } of this.#rows.get(row) ?? []) {
      if (!covers(origin, sequence)) continue;
      if (ending && record && endOf(record) <= version / TICKS_PER_MILLISECOND) record = undefined;
      if (effect.type === 'delete') record = undefined;
      else if (effect.type === 'put') record = effect.values;
      else record = { ...record, ...effect.values };
    }
    return record;
  }

  /**
   * The same as users read it at that time: the key is that of the row, whatever its attributes say, and a record whose
   * newest word on its end is over is none. (Every write to a table whose records expire says one.)
   */
  read(row: string, covers: Covers, nowMs: number, ending = false): Values | undefined {
    const record = this.fold(row, covers, { ending });
    if (!record || this.#endOf(row, covers, record) <= nowMs) return undefined;
    const { [DEADLINE]: _deadline, ...shown } = record;
    const key = Buffer.from(row.slice(row.indexOf(' ') + 1), 'hex');
    return { ...shown, id: decodeKey(key) };
  }

  /** What was written again under an older stamp has no longer life than by that, nor longer than it was given. */
  #endOf(row: string, covers: Covers, record: Values): number {
    const lifeMs = this.#lifeMsOf(row.slice(0, row.indexOf(' ')));
    const deadline = record[DEADLINE];
    if (lifeMs === undefined || (typeof deadline === 'number' && deadline > 0))
      return endOf(record);
    const newest = (this.#rows.get(row) ?? []).findLast(
      ({ origin, sequence, effect }) => effect.type !== 'delete' && covers(origin, sequence),
    );
    const byRule = newest ? Math.ceil(newest.version / TICKS_PER_MILLISECOND + lifeMs) : Infinity;
    return Math.min(endOf(record), byRule);
  }

  /** Changes of one row by different origins with the same version: the name of the origin decides. */
  ties(): number {
    let ties = 0;
    for (const list of this.#rows.values())
      for (const [place, { version }] of list.entries())
        if (place > 0 && list[place - 1]?.version === version) ties++;
    return ties;
  }

  *entries(): Generator<HistoryEntry> {
    for (const log of this.#logs.values()) yield* log;
  }

  #note({ origin, sequence, version }: HistoryEntry, { row, effect }: HistoryChange): void {
    const list = this.#rows.get(row) ?? [];
    this.#rows.set(row, list);
    let place = list.length;
    while (place > 0 && isOlder({ origin, version }, list[place - 1])) place--;
    list.splice(place, 0, { origin, sequence, version, effect });
  }
}

/** The attribute that has no name. */
const DEADLINE = '';

/** When the record expires, ms; Infinity: never. */
export const endOf = (record: Values): number => {
  const deadline = record[DEADLINE];
  return typeof deadline === 'number' ? Math.abs(deadline) : Infinity;
};

const isOlder = (
  a: { origin: OriginId; version: number },
  b: { origin: OriginId; version: number } | undefined,
): boolean =>
  b !== undefined && (a.version < b.version || (a.version === b.version && a.origin < b.origin));

export const rowName = (table: string, key: Uint8Array): string =>
  `${table} ${Buffer.from(key).toString('hex')}`;

const parsed = (origin: OriginId, bytes: Buffer): HistoryEntry => {
  const { sequence, version } = readEntryHeader(bytes);
  const changes: HistoryChange[] = [];
  for (const table of readEntryTables(bytes))
    for (const { key, change } of table.changes)
      changes.push({ row: rowName(table.table, key), effect: effectOf(change) });
  const operation = readEntryNotes(bytes).operation ?? `${origin} ${sequence}`;
  return { origin, sequence, version, operation, bytes, changes };
};

const effectOf = (change: RowChange): Effect => {
  switch (change.type) {
    case 'put':
      return { type: 'put', values: valuesOf(change.body) };
    case 'patch': {
      const pairs = change.attributes.map(({ name, value }) => [name, decode(value)] as const);
      return { type: 'patch', values: Object.fromEntries(pairs) };
    }
    case 'delete':
      return { type: 'delete' };
    default:
      return change satisfies never;
  }
};

/** The attributes of an encoded record. */
export const valuesOf = (body: Uint8Array): Values =>
  Object.fromEntries(
    mapEntries(body).map(({ name, start, end }) => [name, decode(body.subarray(start, end))]),
  );

/** Equal records give equal texts. */
export const textOf = (values: Values | undefined): string =>
  values === undefined
    ? 'none'
    : JSON.stringify(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)));
