/**
 * Where things lie in a database's LevelDB: one prefix byte for each kind, then fixed-width numbers, then
 * the ordered bytes of protocol/orderedKey.ts. The only place that composes or takes apart store keys.
 */
import type { Sequence, Version } from '../protocol/ids.js';

export const PREFIX = {
  meta: 0x01,
  origin: 0x02,
  vector: 0x03,
  table: 0x04,
  attribute: 0x05,
  mark: 0x06,
  dropped: 0x07,
  damage: 0x08,
  debt: 0x09,
  row: 0x10,
  index: 0x20,
  tombstone: 0x30,
  deadline: 0x31,
  log: 0x40,
} as const;

/** Half-open range of keys. */
export interface KeyRange {
  readonly gte: Buffer;
  readonly lt: Buffer;
}

export const metaKey = (name: string): Buffer =>
  Buffer.concat([Buffer.from([PREFIX.meta]), Buffer.from(name, 'utf8')]);

/** Where the hybrid clock is kept, beside the positions. */
export const CLOCK_KEY = metaKey('clock');

export const originKey = (origin: number): Buffer => numbered(PREFIX.origin, origin);
export const vectorKey = (origin: number): Buffer => numbered(PREFIX.vector, origin);
export const markKey = (origin: number): Buffer => numbered(PREFIX.mark, origin);
export const tableKey = (table: number): Buffer => numbered(PREFIX.table, table);

export const attributeKey = (place: { table: number; attribute: number }): Buffer => {
  const key = Buffer.allocUnsafe(9);
  key[0] = PREFIX.attribute;
  key.writeUInt32BE(place.table, 1);
  key.writeUInt32BE(place.attribute, 5);
  return key;
};

/** Bytes of a row's store key before the primary key. */
export const ROW_PREFIX_BYTES = 5;

export const rowKey = (table: number, primaryKey: Uint8Array): Buffer => {
  const key = Buffer.allocUnsafe(ROW_PREFIX_BYTES + primaryKey.length);
  key[0] = PREFIX.row;
  key.writeUInt32BE(table, 1);
  key.set(primaryKey, ROW_PREFIX_BYTES);
  return key;
};

export const indexKey = (place: {
  table: number;
  attribute: number;
  value: Uint8Array;
  primaryKey: Uint8Array;
}): Buffer => {
  const { value, primaryKey } = place;
  const key = Buffer.allocUnsafe(9 + value.length + primaryKey.length);
  key[0] = PREFIX.index;
  key.writeUInt32BE(place.table, 1);
  key.writeUInt32BE(place.attribute, 5);
  key.set(value, 9);
  key.set(primaryKey, 9 + value.length);
  return key;
};

/** Bytes of an index key before the value. */
export const INDEX_PREFIX_BYTES = 9;

export const tombstoneKey = (place: {
  version: Version;
  table: number;
  primaryKey: Uint8Array;
}): Buffer => {
  const key = Buffer.allocUnsafe(13 + place.primaryKey.length);
  key[0] = PREFIX.tombstone;
  writeSafeInteger(key, place.version, 1);
  key.writeUInt32BE(place.table, 9);
  key.set(place.primaryKey, 13);
  return key;
};

/** What `tombstoneKey` put together. */
export const readTombstoneKey = (
  key: Buffer,
): { version: Version; table: number; primaryKey: Buffer } => ({
  version: readSafeInteger(key, 1) as Version,
  table: key.readUInt32BE(9),
  primaryKey: key.subarray(13),
});

/** Laid out like that of a tombstone, with a time in ms in place of the version. */
export const deadlineKey = (place: {
  endedAtMs: number;
  table: number;
  primaryKey: Uint8Array;
}): Buffer => {
  const { endedAtMs, table, primaryKey } = place;
  const key = tombstoneKey({ version: endedAtMs as Version, table, primaryKey });
  key[0] = PREFIX.deadline;
  return key;
};

/** What `deadlineKey` put together. */
export const readDeadlineKey = (
  key: Buffer,
): { endedAtMs: number; table: number; primaryKey: Buffer } => {
  const { version: endedAtMs, table, primaryKey } = readTombstoneKey(key);
  return { endedAtMs, table, primaryKey };
};

/** The note of a row that cannot be read, or, without a primary key, of a table that may lack rows. */
export const damageKey = (table: number, primaryKey: Uint8Array = NO_KEY): Buffer => {
  const key = rowKey(table, primaryKey);
  key[0] = PREFIX.damage;
  return key;
};

const NO_KEY = new Uint8Array(0);

/** A row of which the copy with that number dropped something. */
export const droppedKey = (place: {
  copy: number;
  table: number;
  primaryKey: Uint8Array;
}): Buffer => {
  const key = Buffer.allocUnsafe(9 + place.primaryKey.length);
  key[0] = PREFIX.dropped;
  key.writeUInt32BE(place.copy, 1);
  key.writeUInt32BE(place.table, 5);
  key.set(place.primaryKey, 9);
  return key;
};

export const readDroppedKey = (key: Buffer): { table: number; primaryKey: Buffer } => ({
  table: key.readUInt32BE(5),
  primaryKey: key.subarray(9),
});

/** All rows of which that copy dropped something. */
export const droppedBy = (copy: number): KeyRange => ({
  gte: numbered(PREFIX.dropped, copy),
  lt: numbered(PREFIX.dropped, copy + 1),
});

/** Of a debt; names are bounded, and the list of those that are known too. */
export const debtStoreKey = (name: string): Buffer =>
  Buffer.concat([Buffer.from([PREFIX.debt]), Buffer.from(name, 'utf8')]);

export const logKey = (origin: number, sequence: Sequence | number): Buffer => {
  const key = Buffer.allocUnsafe(13);
  key[0] = PREFIX.log;
  key.writeUInt32BE(origin, 1);
  writeSafeInteger(key, sequence, 5);
  return key;
};

/** The number after the prefix byte of origin, vector, mark, table, attribute, row, index and log keys. */
export const numberOf = (key: Buffer): number => key.readUInt32BE(1);

export const primaryKeyOf = (storeKey: Buffer): Buffer => storeKey.subarray(ROW_PREFIX_BYTES);

export const allOf = (prefix: number): KeyRange => ({
  gte: Buffer.from([prefix]),
  lt: Buffer.from([prefix + 1]),
});

/** All rows of a table. */
export const rowsOf = (table: number): KeyRange => ({
  gte: numbered(PREFIX.row, table),
  lt: numbered(PREFIX.row, table + 1),
});

/** All index entries of a table, or of one of its attributes. */
export const indexOf = (table: number, attribute?: number): KeyRange =>
  attribute === undefined
    ? { gte: numbered(PREFIX.index, table), lt: numbered(PREFIX.index, table + 1) }
    : { gte: indexPrefix(table, attribute), lt: indexPrefix(table, attribute + 1) };

export const indexPrefix = (table: number, attribute: number): Buffer => {
  const key = Buffer.allocUnsafe(INDEX_PREFIX_BYTES);
  key[0] = PREFIX.index;
  key.writeUInt32BE(table, 1);
  key.writeUInt32BE(attribute, 5);
  return key;
};

/** The sequence in a log key. */
export const sequenceOf = (key: Buffer): number => readSafeInteger(key, 5);

/** Log entries of an origin from `first` on. */
export const logFrom = (origin: number, first: number): KeyRange => ({
  gte: logKey(origin, first),
  lt: logKey(origin + 1, 0),
});

export const writeSafeInteger = (target: Buffer, value: number, offset: number): void => {
  target.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset);
  target.writeUInt32BE(value % 0x1_0000_0000, offset + 4);
};

export const readSafeInteger = (source: Buffer, offset: number): number =>
  source.readUInt32BE(offset) * 0x1_0000_0000 + source.readUInt32BE(offset + 4);

const numbered = (prefix: number, value: number): Buffer => {
  const key = Buffer.allocUnsafe(5);
  key[0] = prefix;
  key.writeUInt32BE(value, 1);
  return key;
};
