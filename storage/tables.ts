/**
 * Reads tables: by key, by search, as a whole. Everything read in one call comes from one snapshot, and
 * includes all that was acknowledged before the call. Called by the shardRouter beside its writing.
 */
import { decode } from '../protocol/codec.js';
import { DEADLINE, hasDeadline, shownAt, type Moment } from '../protocol/expiry.js';
import type { Key, RecordObject } from '../protocol/operations.js';
import { decodeKey, encodeIndexValue, encodeKey, splitIndexKey } from '../protocol/orderedKey.js';
import { limits } from '../protocol/limits.js';
import { recordOf } from '../protocol/row.js';
import type { Table } from './catalog.js';
import { lifeMsOf } from './expiry.js';
import {
  INDEX_PREFIX_BYTES,
  indexOf,
  indexPrefix,
  primaryKeyOf,
  rowKey,
  rowsOf,
  type KeyRange,
} from './keys.js';
import { SkeinError } from '../protocol/errors.js';
import { isIntactRow, isStoredDelete, wholeBody } from './rowFormat.js';
import type { SearchSource, ValueRange } from './search.js';
import type { Store } from './store.js';

/** A table as it is now. Close it when done. */
export interface TableSnapshot extends SearchSource {
  /** Rows that are shown, counted exactly up to `countMax`; beyond, an estimate. */
  count(countMax: number): Promise<{ count: number; exact: boolean }>;
  close(): Promise<void>;
}

/**
 * One record without a snapshot of its own: the newest durable state, unless it has expired at `nowMs`. DAMAGED when its
 * row cannot be read.
 */
export const readRecord = (
  store: Store,
  table: Table,
  request: { key: Key; nowMs: number },
): RecordObject | undefined => {
  const { key } = request;
  const storeKey = rowKey(table.number, encodeKey(key));
  const bytes = readSync(store, storeKey);
  if (bytes === undefined) return undefined;
  const moment = momentOf(table, request.nowMs);
  const record = visibleRecord({ store, table, moment, bytes, key, storeKey });
  if (record === DAMAGED) throw damaged(table, key);
  return record;
};

/**
 * What has expired at `nowMs` is not in it. Rows that cannot be read are left out, unless `refuseDamaged`: then a read that
 * meets one fails with DAMAGED.
 */
export const openTable = (
  store: Store,
  table: Table,
  { nowMs, refuseDamaged = false }: { nowMs: number; refuseDamaged?: boolean },
): TableSnapshot => {
  const snapshot = store.level.snapshot();
  const options = { snapshot };
  const moment = momentOf(table, nowMs);
  const rows = { store, table, moment, options };
  const sound = (record: Visible, key: Key): RecordObject | undefined => {
    if (record !== DAMAGED) return record;
    if (refuseDamaged) throw damaged(table, key);
    return undefined;
  };
  const recordAt = (key: Key): RecordObject | undefined => {
    const storeKey = rowKey(table.number, encodeKey(key));
    const bytes = readSync(store, storeKey, options);
    if (bytes === undefined) return undefined;
    return sound(visibleRecord({ store, table, moment, bytes, key, storeKey }), key);
  };
  return {
    definition: table.definition,
    isIndexed: (attribute) => table.attributes.get(attribute)?.index === 'ready',
    get: (keys) => keys.map(recordAt),
    scan: (scan) => scanRows({ ...rows, sound, reverse: scan.reverse === true }),
    scanIndex: (attribute, range) => scanIndex({ ...rows, attribute, range }),
    count: (countMax) => countRows({ ...rows, countMax }),
    close: () => snapshot.close(),
  };
};

const momentOf = (table: Table, nowMs: number): Moment => ({
  nowMs,
  lifeMs: lifeMsOf(table.definition),
});

interface Scan {
  readonly store: Store;
  readonly table: Table;
  readonly moment: Moment;
  readonly options: object;
}

const DAMAGED = Symbol('a row that cannot be read');

type Visible = RecordObject | undefined | typeof DAMAGED;

const damaged = (table: Table, key: Key): SkeinError => {
  const { database, name } = table.definition;
  return new SkeinError(
    'DAMAGED',
    `The row ${JSON.stringify(key)} of '${database}.${name}' cannot be read: its stored bytes are damaged`,
  );
};

const readSync = (store: Store, storeKey: Buffer, options: object = {}): Buffer | undefined => {
  try {
    return store.level.getSync(storeKey, options);
  } catch (error) {
    throw store.readFailed(error);
  }
};

/** The key is that of the row, whatever its record says. */
const visibleRecord = (place: {
  store: Store;
  table: Table;
  moment: Moment;
  bytes: Buffer;
  key: Key;
  storeKey: Buffer;
}): Visible => {
  const { store, table, moment, bytes, key, storeKey } = place;
  if (!isIntactRow(storeKey, bytes) || store.damage.isNoted(storeKey))
    if (isDamagedRow(store, storeKey, bytes)) return DAMAGED;
  if (isStoredDelete(bytes)) return undefined;
  const body = plainBody(bytes, moment) ?? shownBody({ store, storeKey, bytes, moment });
  if (!body) return undefined;
  const record = decode(body) as RecordObject;
  delete record[DEADLINE];
  record[table.definition.primaryKey] = key;
  return withoutDropped(table, record);
};

const isDamagedRow = (store: Store, storeKey: Buffer, bytes: Buffer): boolean => {
  const row = store.readRow(storeKey, bytes);
  return row === undefined || store.damage.isIncomplete(storeKey, row);
};

/** The record of a row that was written by one put and never expires. */
const plainBody = (bytes: Buffer, { lifeMs }: Moment): Buffer | undefined => {
  const body = lifeMs === undefined ? wholeBody(bytes) : undefined;
  return body && !hasDeadline(body) ? body : undefined;
};

const shownBody = (place: {
  store: Store;
  storeKey: Buffer;
  bytes: Buffer;
  moment: Moment;
}): Uint8Array | undefined => {
  const { store, storeKey, bytes, moment } = place;
  const stored = store.readRow(storeKey, bytes);
  const row = stored && shownAt(stored, moment);
  return row && recordOf(row);
};

const isShown = ({ store, moment }: Scan, storeKey: Buffer, bytes: Buffer): boolean =>
  isIntactRow(storeKey, bytes) &&
  !isStoredDelete(bytes) &&
  (plainBody(bytes, moment) !== undefined ||
    shownBody({ store, storeKey, bytes, moment }) !== undefined);

/** Attributes dropped on this node are hidden; the rows keep them, since drops stay local. */
const withoutDropped = (table: Table, record: RecordObject): RecordObject => {
  for (const attribute of table.attributes.values())
    if (attribute.dropped) delete record[attribute.name];
  return record;
};

async function* scanRows(
  scan: Scan & { reverse: boolean; sound: (record: Visible, key: Key) => RecordObject | undefined },
): AsyncGenerator<RecordObject[]> {
  const { store, table, moment, reverse, sound } = scan;
  const iterator = store.level.iterator({ ...rowsOf(table.number), ...scan.options, reverse });
  try {
    for (;;) {
      const found = await nextOf(store, iterator);
      if (found.length === 0) return;
      const records: RecordObject[] = [];
      for (const [storeKey, bytes] of found) {
        // The key may be what is damaged: it is looked at only when the bytes were stored under it.
        const isIntact = isIntactRow(storeKey, bytes);
        const key = isIntact ? decodeKey(primaryKeyOf(storeKey)) : storeKey.toString('hex');
        const record = sound(visibleRecord({ store, table, moment, bytes, key, storeKey }), key);
        if (record) records.push(record);
      }
      yield records;
    }
  } finally {
    await iterator.close();
  }
}

const nextOf = async <Found>(
  store: Store,
  iterator: { nextv: (size: number) => Promise<Found[]> },
): Promise<Found[]> => {
  try {
    return await iterator.nextv(limits.readBatchRows);
  } catch (error) {
    throw store.readFailed(error);
  }
};

async function* scanIndex(
  scan: Scan & { attribute: string; range: ValueRange },
): AsyncGenerator<Key[]> {
  const { store, table, attribute, range } = scan;
  const number = table.attributes.get(attribute)?.number ?? 0;
  const iterator = store.level.keys({
    ...indexRange({ table: table.number, attribute: number, range }),
    ...scan.options,
    reverse: range.reverse === true,
  });
  try {
    for (;;) {
      const found = await nextOf(store, iterator);
      if (found.length === 0) return;
      yield found.map((key) => decodeKey(key.subarray(splitIndexKey(key, INDEX_PREFIX_BYTES))));
    }
  } finally {
    await iterator.close();
  }
}

/** Cut values share their index bytes with longer ones, so bounds are inclusive and records are checked again. */
const indexRange = (place: { table: number; attribute: number; range: ValueRange }): KeyRange => {
  const { table, attribute, range } = place;
  const prefix = indexPrefix(table, attribute);
  const all = indexOf(table, attribute);
  const low = encodedBound(range.gte ?? range.gt);
  const high = encodedBound(range.lte ?? range.lt);
  return {
    gte: low ? Buffer.concat([prefix, low]) : all.gte,
    lt: high ? Buffer.concat([prefix, high, AFTER_EVERY_KEY]) : all.lt,
  };
};

/** Greater than every primary key that may follow an index value. */
const AFTER_EVERY_KEY = Buffer.from([0xff]);

const encodedBound = (value: unknown): Buffer | undefined =>
  value === undefined ? undefined : encodeIndexValue(value);

const countRows = async (
  scan: Scan & { countMax: number },
): Promise<{ count: number; exact: boolean }> => {
  const { store, table, countMax } = scan;
  const iterator = store.level.iterator({ ...rowsOf(table.number), ...scan.options });
  let count = 0;
  let bytes = 0;
  let seen = 0;
  try {
    for (;;) {
      const found = await nextOf(store, iterator);
      if (found.length === 0) return { count, exact: true };
      for (const [key, value] of found) {
        if (isShown(scan, key, value)) count++;
        bytes += primaryKeyOf(key).length + value.length;
        seen++;
      }
      if (seen >= countMax)
        return { count: await estimate(scan, { count, seen, bytes }), exact: false };
    }
  } finally {
    await iterator.close();
  }
};

/** Rows counted so far, scaled to the table's size on disk (which leaves out what is still in memory). */
const estimate = async (
  scan: Scan,
  sample: { count: number; seen: number; bytes: number },
): Promise<number> => {
  const size = await sizeOf(scan.store, rowsOf(scan.table.number));
  return Math.max(sample.count, Math.round((size / sample.bytes) * sample.count));
};

/** Bytes on disk of a key range; 0 where the store cannot tell. */
export const sizeOf = async (store: Store, range: KeyRange): Promise<number> => {
  const level = store.level as unknown as {
    approximateSize?: (start: Buffer, end: Buffer) => Promise<number>;
  };
  return (await level.approximateSize?.(range.gte, range.lt)) ?? 0;
};
