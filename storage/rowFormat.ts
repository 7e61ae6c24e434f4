/**
 * A row as stored bytes and back, with a checksum over its key and itself at the end (seal.ts). Origins are the store's
 * short numbers here, names outside (origins.ts). Called by rowWriter.ts, store.ts, tables.ts and snapshot.ts.
 *
 *   1 whole    u64 version, varint origin, the record
 *   2 deleted  u64 version, varint origin
 *   3 patched  varint number of stamps, each u64 version and varint origin; the places of floor, alive and dead
 *              in that list (varint, 0 = none, else 1 + place); varint number of registers, each name,
 *              varint place of its stamp, value
 */
import { ByteReader, ByteWriter } from '../protocol/bytes.js';
import type { Stamp } from '../protocol/clock.js';
import { SkeinError } from '../protocol/errors.js';
import { version as asVersion, type OriginId } from '../protocol/ids.js';
import type { PatchedRow, Register, Row } from '../protocol/row.js';
import { writeSafeInteger } from './keys.js';
import { isIntact, SEAL_BYTES, sealInPlace } from './seal.js';

/** Translates between origins and the short numbers they have in one store. */
export interface OriginNumbers {
  numberOf(origin: OriginId): number;
  originOf(number: number): OriginId;
}

const WHOLE = 1;
const DELETED = 2;
const PATCHED = 3;

export const encodeRow = (storeKey: Uint8Array, row: Row, origins: OriginNumbers): Buffer =>
  sealInPlace(storeKey, encode(row, origins));

/** DAMAGED when the bytes are not what was stored under that key, or no row. Values are views into them. */
export const decodeRow = (storeKey: Uint8Array, bytes: Buffer, origins: OriginNumbers): Row => {
  try {
    if (isIntact(storeKey, bytes)) return decode(bytes.subarray(0, -SEAL_BYTES), origins);
  } catch (error) {
    throw new SkeinError('DAMAGED', 'A stored row cannot be read', { cause: error });
  }
  throw new SkeinError('DAMAGED', 'A stored row cannot be read: its checksum is wrong');
};

/** Whether these bytes were stored under that key; to be asked before the two functions below. */
export const isIntactRow = isIntact;

/** The record of an intact row without building the row, when it was written by one put; else undefined. */
export const wholeBody = (bytes: Buffer): Buffer | undefined => {
  if (bytes[0] !== WHOLE) return undefined;
  let offset = 9;
  while ((bytes[offset] ?? 0) >= 0x80) offset++;
  return bytes.subarray(offset + 1, -SEAL_BYTES);
};

/** Of an intact row. */
export const isStoredDelete = (bytes: Buffer): boolean => bytes[0] === DELETED;

const EMPTY = new Uint8Array(0);

/** With room for the checksum at the end. */
const encode = (row: Row, origins: OriginNumbers): Buffer => {
  switch (row.kind) {
    case 'whole':
      return stamped(WHOLE, row.stamp, origins, row.body);
    case 'deleted':
      return stamped(DELETED, row.stamp, origins, EMPTY);
    case 'patched':
      return encodePatched(row, origins);
    default:
      return row satisfies never;
  }
};

const stamped = (kind: number, stamp: Stamp, origins: OriginNumbers, body: Uint8Array): Buffer => {
  const origin = origins.numberOf(stamp.origin);
  const bodyAt = origin < 0x80 ? 10 : origin < 0x4000 ? 11 : 14;
  if (bodyAt === 14) return stampedLong(kind, stamp, origin, body);
  const bytes = Buffer.allocUnsafe(bodyAt + body.length + SEAL_BYTES);
  bytes[0] = kind;
  writeSafeInteger(bytes, stamp.version, 1);
  if (bodyAt === 10) bytes[9] = origin;
  else {
    bytes[9] = (origin & 0x7f) | 0x80;
    bytes[10] = origin >> 7;
  }
  bytes.set(body, bodyAt);
  return bytes;
};

const stampedLong = (kind: number, stamp: Stamp, origin: number, body: Uint8Array): Buffer => {
  const writer = new ByteWriter(16 + body.length + SEAL_BYTES);
  writer.u8(kind);
  writer.u64(stamp.version);
  writer.varint(origin);
  writer.bytes(body);
  writer.u32(0);
  return writer.finish();
};

const encodePatched = (row: PatchedRow, origins: OriginNumbers): Buffer => {
  const stamps: Stamp[] = [];
  const placeOf = (stamp: Stamp | null): number => {
    if (!stamp) return 0;
    const found = stamps.findIndex(
      (held) => held.version === stamp.version && held.origin === stamp.origin,
    );
    return 1 + (found >= 0 ? found : stamps.push(stamp) - 1);
  };
  const heads = [placeOf(row.floor), placeOf(row.alive), placeOf(row.dead)];
  const places = [...row.registers.values()].map((register) => placeOf(register.stamp) - 1);
  const writer = new ByteWriter(64 + row.registers.size * 32);
  writer.u8(PATCHED);
  writer.varint(stamps.length);
  for (const stamp of stamps) {
    writer.u64(stamp.version);
    writer.varint(origins.numberOf(stamp.origin));
  }
  for (const head of heads) writer.varint(head);
  writer.varint(row.registers.size);
  let index = 0;
  for (const [name, register] of row.registers) {
    writer.shortText(name);
    writer.varint(places[index++] ?? 0);
    writer.varint(register.value.length);
    writer.bytes(register.value);
  }
  writer.u32(0);
  return writer.finish();
};

const decode = (bytes: Buffer, origins: OriginNumbers): Row => {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  if (kind === PATCHED) return decodePatched(reader, origins);
  const stamp = readStamp(reader, origins);
  if (kind === WHOLE) return { kind: 'whole', stamp, body: reader.view(reader.left) };
  if (kind === DELETED && reader.left === 0) return { kind: 'deleted', stamp };
  throw new SkeinError('MALFORMED', `Unknown kind of row ${kind}`);
};

const decodePatched = (reader: ByteReader, origins: OriginNumbers): PatchedRow => {
  const stamps: Stamp[] = [];
  for (let left = reader.varint(); left > 0; left--) stamps.push(readStamp(reader, origins));
  const at = (place: number): Stamp => {
    const stamp = stamps[place];
    if (!stamp) throw new SkeinError('MALFORMED', `A row names stamp ${place} of ${stamps.length}`);
    return stamp;
  };
  const optional = (place: number): Stamp | null => (place === 0 ? null : at(place - 1));
  const floor = optional(reader.varint());
  const alive = at(reader.varint() - 1);
  const dead = optional(reader.varint());
  const registers = new Map<string, Register>();
  for (let left = reader.varint(); left > 0; left--) {
    const name = reader.shortText();
    const stamp = at(reader.varint());
    registers.set(name, { stamp, value: reader.view(reader.varint()) });
  }
  return { kind: 'patched', floor, alive, dead, registers };
};

const readStamp = (reader: ByteReader, origins: OriginNumbers): Stamp => ({
  version: asVersion(reader.u64()),
  origin: origins.originOf(reader.varint()),
});
