/**
 * The frames that carry data, laid out by hand: bytes are sliced, never decoded. Each begins with the kind
 * byte and the stream number (u32); origins are named once per frame. Called by feed and resync.
 *
 *   Entries    varint number of origins, their texts; then for each entry varint place of its origin, the entry
 *   FramePart  varint total length, varint offset, the bytes of that part of an Entries or CopyRows frame
 *   CopyRows   origins as above; then for each row table, varint generation, key, u8 form and the row:
 *              1 whole: stamp, record. 2 deleted: stamp. 3 patched: u8 which of floor (1), dead (2) are there,
 *              those stamps, alive's stamp, varint number of registers, each name, stamp, value.
 *              A stamp is u64 version and varint place of the origin.
 */
import { ByteReader, ByteWriter } from './bytes.js';
import type { Stamp } from './clock.js';
import { readEntryHeader } from './entry.js';
import { SkeinError } from './errors.js';
import { FRAME_KIND } from './frames.js';
import {
  tableGeneration,
  tableName,
  version as asVersion,
  type OriginId,
  type TableGeneration,
  type TableName,
} from './ids.js';
import { limits } from './limits.js';
import type { Register, Row } from './row.js';

export const DATA_HEADER_BYTES = 5;

/** Kind and stream of a data frame. MALFORMED when it is none. */
export const readDataHeader = (frame: Buffer): { kind: number; stream: number } => {
  const kind = frame[0] ?? 0;
  if (frame.length < DATA_HEADER_BYTES || kind < FRAME_KIND.Entries || kind > FRAME_KIND.CopyRows)
    throw new SkeinError('MALFORMED', `Unknown frame kind ${kind}`);
  return { kind, stream: frame.readUInt32BE(1) };
};

export interface SentEntry {
  readonly origin: OriginId;
  readonly bytes: Buffer;
}

export const encodeEntries = (stream: number, entries: readonly SentEntry[]): Buffer => {
  const origins = new OriginPlaces();
  for (const entry of entries) origins.placeOf(entry.origin);
  const total = entries.reduce((sum, entry) => sum + entry.bytes.length + 3, 0);
  const writer = begin(FRAME_KIND.Entries, stream, total + 256);
  origins.write(writer);
  for (const entry of entries) {
    writer.varint(origins.placeOf(entry.origin));
    writer.bytes(entry.bytes);
  }
  return writer.view();
};

/** Entries as views into the frame. MALFORMED as a whole when one is cut off. */
export const decodeEntries = (frame: Buffer): SentEntry[] => {
  const reader = new ByteReader(frame, DATA_HEADER_BYTES);
  const origins = readOrigins(reader);
  const entries: SentEntry[] = [];
  while (reader.left > 0) {
    const origin = originAt(origins, reader.varint());
    const { byteLength } = readEntryHeader(frame, reader.offset);
    entries.push({ origin, bytes: reader.view(byteLength) });
  }
  return entries;
};

/** A data frame larger than a message may be travels in parts, in order, nothing between them on its stream. */
export interface FramePart {
  /** Of the whole frame. */
  readonly totalBytes: number;
  readonly offset: number;
  readonly bytes: Buffer;
}

/** The frame itself, or its parts. */
export const splitFrame = (stream: number, frame: Buffer): Buffer[] => {
  if (frame.length <= limits.framePartBytes) return [frame];
  const parts: Buffer[] = [];
  for (let offset = 0; offset < frame.length; offset += limits.framePartBytes) {
    const bytes = frame.subarray(offset, offset + limits.framePartBytes);
    parts.push(encodeFramePart(stream, { totalBytes: frame.length, offset, bytes }));
  }
  return parts;
};

export const encodeFramePart = (stream: number, part: FramePart): Buffer => {
  const writer = begin(FRAME_KIND.FramePart, stream, part.bytes.length + 32);
  writer.varint(part.totalBytes);
  writer.varint(part.offset);
  writer.bytes(part.bytes);
  return writer.view();
};

export const decodeFramePart = (frame: Buffer): FramePart => {
  const reader = new ByteReader(frame, DATA_HEADER_BYTES);
  const totalBytes = reader.varint();
  const offset = reader.varint();
  if (totalBytes > WHOLE_FRAME_BYTES_MAX)
    throw new SkeinError('MALFORMED', `A frame of ${totalBytes} bytes is announced`);
  return { totalBytes, offset, bytes: reader.view(reader.left) };
};

/** One transaction, or one row, of the largest size with what goes around it. */
export const WHOLE_FRAME_BYTES_MAX = limits.transactionBytesMax + limits.frameBytesMax;

export interface SentRow {
  readonly table: TableName;
  readonly generation: TableGeneration;
  readonly key: Uint8Array;
  readonly row: Row;
}

export const encodeCopyRows = (stream: number, rows: readonly SentRow[]): Buffer => {
  const origins = new OriginPlaces();
  const body = new ByteWriter(limits.frameBytesTarget);
  for (const { table, generation, key, row } of rows) {
    body.shortText(table);
    body.varint(generation);
    writeBytes(body, key);
    writeRow(body, row, origins);
  }
  const writer = begin(FRAME_KIND.CopyRows, stream, body.length + 256);
  origins.write(writer);
  writer.bytes(body.view());
  return writer.view();
};

export const decodeCopyRows = (frame: Buffer): SentRow[] => {
  const reader = new ByteReader(frame, DATA_HEADER_BYTES);
  const origins = readOrigins(reader);
  const rows: SentRow[] = [];
  while (reader.left > 0) {
    const table = tableName(reader.shortText());
    const generation = tableGeneration(reader.varint());
    const key = reader.view(reader.varint());
    rows.push({ table, generation, key, row: readRow(reader, origins) });
  }
  return rows;
};

const WHOLE = 1;
const DELETED = 2;
const PATCHED = 3;
const HAS_FLOOR = 1;
const HAS_DEAD = 2;

/** The origins named in a frame, in the order of their first use. */
class OriginPlaces {
  #places = new Map<OriginId, number>();

  placeOf(origin: OriginId): number {
    const known = this.#places.get(origin);
    if (known !== undefined) return known;
    const place = this.#places.size;
    this.#places.set(origin, place);
    return place;
  }

  write(writer: ByteWriter): void {
    writer.varint(this.#places.size);
    for (const origin of this.#places.keys()) writer.shortText(origin);
  }
}

const readOrigins = (reader: ByteReader): OriginId[] => {
  const count = reader.varint();
  if (count > limits.originsPerFrameMax)
    throw new SkeinError('MALFORMED', `A frame names ${count} origins`);
  const origins: OriginId[] = [];
  for (let index = 0; index < count; index++) origins.push(reader.shortText() as OriginId);
  return origins;
};

const originAt = (origins: readonly OriginId[], place: number): OriginId => {
  const origin = origins[place];
  if (origin === undefined)
    throw new SkeinError('MALFORMED', `A frame names origin ${place} of ${origins.length}`);
  return origin;
};

const begin = (kind: number, stream: number, estimatedBytes: number): ByteWriter => {
  const writer = new ByteWriter(estimatedBytes + DATA_HEADER_BYTES);
  writer.u8(kind);
  writer.u32(stream);
  return writer;
};

const writeRow = (writer: ByteWriter, row: Row, origins: OriginPlaces): void => {
  const stamp = ({ version, origin }: Stamp): void => {
    writer.u64(version);
    writer.varint(origins.placeOf(origin));
  };
  switch (row.kind) {
    case 'whole':
      writer.u8(WHOLE);
      stamp(row.stamp);
      writeBytes(writer, row.body);
      return;
    case 'deleted':
      writer.u8(DELETED);
      stamp(row.stamp);
      return;
    case 'patched':
      writer.u8(PATCHED);
      writer.u8((row.floor ? HAS_FLOOR : 0) | (row.dead ? HAS_DEAD : 0));
      if (row.floor) stamp(row.floor);
      if (row.dead) stamp(row.dead);
      stamp(row.alive);
      writer.varint(row.registers.size);
      for (const [name, register] of row.registers) {
        writer.shortText(name);
        stamp(register.stamp);
        writeBytes(writer, register.value);
      }
      return;
    default:
      row satisfies never;
  }
};

const readRow = (reader: ByteReader, origins: readonly OriginId[]): Row => {
  const stamp = (): Stamp => ({
    version: asVersion(reader.u64()),
    origin: originAt(origins, reader.varint()),
  });
  const form = reader.u8();
  if (form === WHOLE) return { kind: 'whole', stamp: stamp(), body: reader.view(reader.varint()) };
  if (form === DELETED) return { kind: 'deleted', stamp: stamp() };
  if (form !== PATCHED) throw new SkeinError('MALFORMED', `A copied row has form ${form}`);
  const heads = reader.u8();
  const floor = heads & HAS_FLOOR ? stamp() : null;
  const dead = heads & HAS_DEAD ? stamp() : null;
  const alive = stamp();
  const registers = new Map<string, Register>();
  for (let left = reader.varint(); left > 0; left--) {
    const name = reader.shortText();
    registers.set(name, { stamp: stamp(), value: reader.view(reader.varint()) });
  }
  return { kind: 'patched', floor, alive, dead, registers };
};

const writeBytes = (writer: ByteWriter, bytes: Uint8Array): void => {
  writer.varint(bytes.length);
  writer.bytes(bytes);
};
