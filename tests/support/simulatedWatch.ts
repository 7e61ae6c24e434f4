/**
 * Looks at one simulated disk after each batch and throws when it breaks a promise: sequences contiguous, the vector
 * never ahead of the rows nor behind them, transactions whole, no version of a row going back, indexes in step.
 * Reads bytes, never the store's memory. Used by simulatedCluster.ts.
 */
import { decode } from '../../protocol/codec.js';
import { compareStamps } from '../../protocol/clock.js';
import { readEntryHeader } from '../../protocol/entry.js';
import type { OriginId } from '../../protocol/ids.js';
import { encodeIndexValue } from '../../protocol/orderedKey.js';
import { newestStamp, recordOf, type Row } from '../../protocol/row.js';
import {
  indexKey,
  metaKey,
  numberOf,
  PREFIX,
  primaryKeyOf,
  readSafeInteger,
  rowKey,
} from '../../storage/keys.js';
import { decodeRow, type OriginNumbers } from '../../storage/rowFormat.js';
import { SEAL_BYTES } from '../../storage/seal.js';
import {
  endOf,
  rowName,
  textOf,
  valuesOf,
  type History,
  type HistoryEntry,
  type Values,
} from './simulatedHistory.js';
import {
  placeOf,
  valueAt,
  type Content,
  type SimulatedDisk,
  type Write,
} from './simulatedLevel.js';

const COPY_NOTE = metaKey('copy');
const NODE_NOTE = metaKey('node');

const hasEnd = (row: Row): boolean => {
  const body = recordOf(row);
  return body !== undefined && endOf(valuesOf(body)) < Infinity;
};

interface IndexedAttribute {
  readonly name: string;
  readonly index: 'none' | 'building' | 'ready';
}

export class NodeWatch {
  readonly name: string;
  readonly disk: SimulatedDisk;
  /** Positions on the disk. */
  readonly vector = new Map<OriginId, number>();
  /** Rows may be ahead of the vector until it has reached this: what copies began from. */
  readonly mustReach = new Map<OriginId, number>();
  copies = 0;
  /** How often a clock came back, and the operations whose entries were taken away and written again then. */
  clockReturns = 0;
  readonly writtenAnew = new Set<string>();
  /** Positions that were told before they were taken back. */
  readonly #tookBack = new Map<OriginId, number>();
  /** Batches that raised a mark, and that took entries out of a log. */
  purges = 0;
  trims = 0;
  /** Records taken away that had an end. */
  removals = 0;
  isCopying = false;
  readonly #history: History;
  readonly #origins = new Map<number, OriginId>();
  readonly #tables = new Map<number, string>();
  readonly #attributes = new Map<number, Map<number, IndexedAttribute>>();
  #wasExact = true;
  /** Rows of this batch may have come with a copy. */
  #mayDrop = false;
  readonly #forgets: boolean;
  /** Highest version of any entry stored here. */
  #newest = 0;

  readonly #aheadMsMax: number;

  /**
   * `forgets`: deletes are purged, and what expired removed, while the run goes on; by clocks that may have been so far
   * ahead of this one.
   */
  constructor(
    name: string,
    disk: SimulatedDisk,
    history: History,
    { forgets = false, aheadMsMax = 0 } = {},
  ) {
    this.name = name;
    this.disk = disk;
    this.#history = history;
    this.#forgets = forgets;
    this.#aheadMsMax = aheadMsMax;
    disk.applied = (writes, before) => this.#onBatch(writes, before);
  }

  readonly covers = (origin: OriginId, sequence: number): boolean =>
    (this.vector.get(origin) ?? 0) >= sequence;

  /** Whether the rows are those of the vector, no more and no less: not during a copy. */
  get isExact(): boolean {
    if (this.isCopying) return false;
    for (const [origin, sequence] of this.mustReach)
      if (!this.covers(origin, sequence)) return false;
    return true;
  }

  /** The disk lost something, or all: what remains has to hold together too. */
  reload(): void {
    for (const map of [this.#origins, this.#tables, this.#attributes, this.vector]) map.clear();
    this.mustReach.clear();
    this.isCopying = false;
    const { keys, values } = this.disk.content;
    this.#learnAll(keys.map((key, place) => ({ key, value: values[place] })));
    this.#wasExact = !this.isCopying;
    this.#newest = this.#newestHeld();
    // In the middle of a copy, rows are ahead of the vector.
    if (this.isExact) this.checkAll();
  }

  /** Every row equals the fold of what the vector covers. */
  checkAll(): void {
    for (const row of this.#history.rows) this.#checkRow(row);
    for (const number of this.#tables.keys()) this.#checkIndexes(number);
  }

  /** Throws when a position is told that is not on the disk, and was not when its frame was made. */
  checkTold(what: string, positions: readonly { origin: OriginId; sequence: number }[]): void {
    for (const { origin, sequence } of positions)
      if (!this.covers(origin, sequence) && sequence > (this.#tookBack.get(origin) ?? 0))
        this.#fail(`${what} tells of ${origin} ${sequence}, which is not on the disk`);
  }

  /** All rows with their whole state, as text, to be compared with those of other nodes. */
  state(): Map<string, string> {
    const state = new Map<string, string>();
    const { keys, values } = this.disk.content;
    for (const [place, key] of keys.entries()) {
      if (key[0] !== PREFIX.row) continue;
      const row = this.#decode(key, values[place]);
      if (row) state.set(this.#rowNameOf(key), stateText(row));
    }
    return state;
  }

  /** What users have to be shown of it here at that time. */
  expectedAt(row: string, nowMs: number): Values | undefined {
    const expected = this.#history.read(row, this.covers, nowMs, this.#hasEnded(row));
    const wasRemoved =
      this.#forgets &&
      expected !== undefined &&
      this.recordAt(row) === undefined &&
      this.#history.read(row, this.covers, nowMs + this.#aheadMsMax) === undefined;
    return wasRemoved ? undefined : expected;
  }

  /**
   * What had expired was removed here before a later write came. Where that write was made, something had made the record
   * live on, which may not be here yet.
   */
  #hasEnded(row: string): boolean {
    const ended = this.#history.fold(row, this.covers, { ending: true });
    return this.#forgets && textOf(this.recordAt(row)) === textOf(ended);
  }

  /** The visible record on the disk. */
  recordAt(row: string): Values | undefined {
    const found = this.#rowAt(row);
    const body = found && recordOf(found);
    return body && valuesOf(body);
  }

  #onBatch(writes: readonly Write[], before: Content): void {
    this.#mayDrop = this.isCopying || writes.some(({ key }) => key.equals(COPY_NOTE));
    if (writes.some(({ key }) => key[0] === PREFIX.mark)) this.purges++;
    if (writes.some(({ key, value }) => key[0] === PREFIX.log && !value)) this.trims++;
    const positionsBefore = new Map(this.vector);
    this.#learnAll(writes);
    const isReturn =
      writes.some(({ key }) => key.equals(NODE_NOTE)) && this.#takeBack(positionsBefore);
    const entries = writes.flatMap(({ key, value }) =>
      key[0] === PREFIX.log && value ? [this.#onEntry(this.#originOf(numberOf(key)), value)] : [],
    );
    this.#checkPositions(positionsBefore, entries, writes);
    const touched = new Set<string>(
      entries.flatMap(({ changes }) => changes.map(({ row }) => row)),
    );
    const tables = new Set<number>();
    for (const { key, value } of writes) {
      if (key[0] === PREFIX.index) tables.add(numberOf(key));
      if (key[0] !== PREFIX.row) continue;
      tables.add(numberOf(key));
      touched.add(this.#rowNameOf(key));
      if (isReturn) this.#checkUnchanged(key, valueAt(before, key));
      else this.#checkMonotonic(key, valueAt(before, key), value);
    }
    this.#checkRows(touched, entries);
    for (const number of tables) this.#checkIndexes(number);
  }

  /** What is written here is ordered after all that was here before. */
  #onEntry(origin: OriginId, bytes: Buffer): HistoryEntry {
    const isNew = this.#history.entry(origin, readEntryHeader(bytes).sequence) === undefined;
    const entry = this.#history.add(origin, bytes);
    if (isNew && entry.version <= this.#newest)
      this.#fail(`${origin} ${entry.sequence} @${entry.version} is older than what it follows`);
    this.#newest = Math.max(this.#newest, entry.version);
    return entry;
  }

  #checkRows(
    touched: ReadonlySet<string>,
    entries: readonly { origin: OriginId; version: number; changes: readonly { row: string }[] }[],
  ): void {
    const { isExact } = this;
    if (isExact && !this.#wasExact) this.checkAll();
    else if (isExact) for (const row of touched) this.#checkRow(row);
    else
      for (const { origin, version, changes } of entries)
        for (const { row } of changes) {
          const found = this.#rowAt(row);
          const stamp = { origin, version } as Parameters<typeof compareStamps>[0];
          if (found ? compareStamps(newestStamp(found), stamp) < 0 : !this.#forgets)
            this.#fail(`${row} lacks ${origin} @${version}, which is in the log`);
        }
    this.#wasExact = isExact;
  }

  #checkPositions(
    before: ReadonlyMap<OriginId, number>,
    entries: readonly { origin: OriginId; sequence: number }[],
    writes: readonly Write[],
  ): void {
    // Another copy may begin in the batch that ends one.
    const copyEnds = writes.some(
      ({ key, value }) => value !== undefined && key.equals(COPY_NOTE) && !holdsCopy(value),
    );
    const reached = new Map(before);
    for (const { origin, sequence } of entries) {
      const last = reached.get(origin) ?? 0;
      if (sequence !== last + 1 && !copyEnds)
        this.#fail(`${origin} ${sequence} was stored after ${last}`);
      reached.set(origin, sequence);
    }
    for (const [origin, sequence] of this.vector) {
      const last = reached.get(origin) ?? 0;
      if (sequence < last) this.#fail(`the position of ${origin} is ${sequence}, behind ${last}`);
      if (sequence > last && !copyEnds)
        this.#fail(`the position of ${origin} is ${sequence}, ahead of its log at ${last}`);
    }
    if (copyEnds) this.copies++;
  }

  /** But for what a copy shows to be superseded, and deletes that are forgotten. */
  #checkMonotonic(key: Buffer, old: Buffer | undefined, now: Buffer | undefined): void {
    const before = this.#decode(key, old);
    const after = this.#decode(key, now);
    if (!before || this.#mayDrop) return;
    if (!after && this.#forgets && hasEnd(before)) return void this.removals++;
    if (!after && this.#forgets && before.kind === 'deleted') return;
    if (!after || compareStamps(newestStamp(after), newestStamp(before)) < 0)
      this.#fail(`${this.#rowNameOf(key)} went back`);
  }

  /** True: positions went back, as they do when a clock has. Then this is as if their entries had never been here. */
  #takeBack(positions: Map<OriginId, number>): boolean {
    const fallen = [...positions].filter(([origin, sequence]) => !this.covers(origin, sequence));
    for (const [origin, before] of fallen) {
      const now = this.vector.get(origin) ?? 0;
      for (let at = now + 1; at <= before; at++)
        this.writtenAnew.add(this.#history.entry(origin, at)?.operation ?? '');
      positions.set(origin, now);
      this.#tookBack.set(origin, before);
      this.mustReach.delete(origin);
    }
    if (fallen.length === 0) return false;
    this.clockReturns++;
    this.#newest = this.#newestHeld();
    return true;
  }

  #newestHeld(): number {
    let newest = 0;
    for (const { origin, sequence, version } of this.#history.entries())
      if (this.covers(origin, sequence)) newest = Math.max(newest, version);
    return newest;
  }

  /** Under other stamps every row shows what it showed. */
  #checkUnchanged(key: Buffer, old: Buffer | undefined): void {
    const before = this.#decode(key, old);
    const body = before && recordOf(before);
    const row = this.#rowNameOf(key);
    const shown = textOf(this.recordAt(row));
    const expected = textOf(body && valuesOf(body));
    if (shown !== expected) this.#fail(`${row} was ${expected}, and is ${shown} by another clock`);
  }

  #checkRow(row: string): void {
    const record = this.#history.fold(row, this.covers);
    const found = this.recordAt(row);
    // Removed long after its end: that it had one is seen by whoever reads.
    if (this.#forgets && !found && record && endOf(record) < Infinity) return;
    const shown = textOf(found);
    const expected = textOf(record);
    if (shown === expected) return;
    if (this.#hasEnded(row)) return;
    this.#fail(`${row} is ${shown}, expected ${expected}`);
  }

  /** The index entries of a table are those of its visible records. */
  #checkIndexes(table: number): void {
    const { keys, values } = this.disk.content;
    const expected = new Set<string>();
    const indexed = [...(this.#attributes.get(table) ?? [])].filter(([, a]) => a.index === 'ready');
    const first = rowKey(table, EMPTY);
    if (indexed.length > 0)
      for (let place = placeOf(this.disk.content, first); ; place++) {
        const key = keys[place];
        if (key?.[0] !== PREFIX.row || numberOf(key) !== table) break;
        const row = this.#decode(key, values[place]);
        const body = row && recordOf(row);
        if (body) addIndexKeys(expected, { table, key, indexed, values: valuesOf(body) });
      }
    const low = indexKey({ table, attribute: 0, value: EMPTY, primaryKey: EMPTY });
    for (let place = placeOf(this.disk.content, low); ; place++) {
      const key = keys[place];
      if (key?.[0] !== PREFIX.index || numberOf(key) !== table) break;
      if (!expected.delete(key.toString('latin1')))
        this.#fail(`an index entry of ${this.#tables.get(table)} leads to no such row`);
    }
    if (expected.size > 0) this.#fail(`an index entry of ${this.#tables.get(table)} is missing`);
  }

  /** Origins are named anywhere in the batch that needs their numbers. */
  #learnAll(writes: readonly Write[]): void {
    for (const write of writes) this.#learn(write);
    for (const { key, value } of writes)
      if (key[0] === PREFIX.vector && value)
        this.vector.set(this.#originOf(numberOf(key)), readSafeInteger(value, 0));
  }

  #learn({ key, value }: Write): void {
    if (key.equals(COPY_NOTE)) this.isCopying = value !== undefined;
    if (!value) return;
    const number = key.length > 4 ? numberOf(key) : 0;
    switch (key[0]) {
      case PREFIX.origin:
        this.#origins.set(number, value.subarray(0, -SEAL_BYTES).toString('utf8') as OriginId);
        return;
      case PREFIX.table:
        this.#tables.set(number, (decode(value) as { name: string }).name);
        return;
      case PREFIX.attribute: {
        const attributes = this.#attributes.get(number) ?? new Map<number, IndexedAttribute>();
        this.#attributes.set(number, attributes);
        attributes.set(key.readUInt32BE(5), decode(value) as IndexedAttribute);
        return;
      }
      default:
        return;
    }
  }

  #originOf(number: number): OriginId {
    const origin = this.#origins.get(number);
    if (origin === undefined) this.#fail(`no origin has number ${number}`);
    return origin;
  }

  #rowAt(row: string): Row | undefined {
    const [table, key] = row.split(' ');
    const number = table === '__tables__' ? 0 : this.#numberOfTable(table ?? '');
    if (number === undefined) return undefined;
    const storeKey = rowKey(number, Buffer.from(key ?? '', 'hex'));
    return this.#decode(storeKey, valueAt(this.disk.content, storeKey));
  }

  #numberOfTable(name: string): number | undefined {
    for (const [number, table] of this.#tables) if (table === name) return number;
    return undefined;
  }

  #rowNameOf(key: Buffer): string {
    const number = numberOf(key);
    const table = number === 0 ? '__tables__' : (this.#tables.get(number) ?? `table ${number}`);
    return rowName(table, primaryKeyOf(key));
  }

  #decode(key: Buffer, bytes: Buffer | undefined): Row | undefined {
    return bytes && decodeRow(key, bytes, this.#numbers);
  }

  readonly #numbers: OriginNumbers = {
    originOf: (number) => this.#originOf(number),
    numberOf: () => this.#fail('the watch writes nothing'),
  };

  #fail(what: string): never {
    throw new Error(`${this.name}: ${what}`);
  }
}

const EMPTY = Buffer.alloc(0);

const addIndexKeys = (
  expected: Set<string>,
  row: {
    table: number;
    key: Buffer;
    indexed: readonly (readonly [number, IndexedAttribute])[];
    values: Values;
  },
): void => {
  const { table, key, indexed, values } = row;
  for (const [attribute, { name }] of indexed) {
    const value = encodeIndexValue(values[name]);
    if (value === undefined || values[name] === undefined) continue;
    const place = indexKey({ table, attribute, value, primaryKey: primaryKeyOf(key) });
    expected.add(place.toString('latin1'));
  }
};

const stateText = (row: Row): string =>
  JSON.stringify(row, (_name, value: unknown) => {
    if (value instanceof Map) return [...(value as Map<string, unknown>)];
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  });

/** A note without an open copy says what finished ones promised and is not here yet. */
const holdsCopy = (note: Buffer | undefined): boolean =>
  note !== undefined && (decode(note) as { copy: unknown }).copy !== null;
