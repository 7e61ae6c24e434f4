/**
 * The log entry: one transaction, laid out by hand so that a stored record is a slice of it. The same bytes
 * are logged, sent, and logged again (docs/PROTOCOL.md, Log entry). Called by storage and the resync actor.
 *
 *   0  u8   layout (1)
 *   1  u8   flags: 1 = written again (late news, orphans), 2 = partial; others must be 0
 *   2  u32  length of the body
 *   6  u64  version            14 u64  sequence
 *   22 u32  CRC-32 of origin text, bytes 0 to 21, body; of a partial entry that of the whole one
 *   26      body: of a partial entry first its own CRC-32 (u32) of origin text, bytes 0 to 25, the rest of its body,
 *           and what was left out; then notes, then tables
 *
 * Body: varint length and MessagePack map of notes (user, operation; empty: length 0), varint number of tables;
 * a table: name, varint generation, varint number of changes; a change: u8 kind, key, then for 1 (put) the
 * record, for 2 (patch) varint number of attributes, each name and value, for 3 (delete) nothing.
 * Kind 4 (whole row state) is reserved. Texts and byte strings are preceded by a varint length.
 * Left out: varint number of tables, their names, u8 (1: others too, but for these: varint number, their names).
 *
 * A partial entry was sent without changes that must not reach somebody (entryFilter.ts). It keeps its place, stamp and
 * the checksum of the whole entry: a position is known by the same checksum on every node.
 */
import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter } from './bytes.js';
import { decode, encode } from './codec.js';
import { SkeinError } from './errors.js';
import {
  sequence as asSequence,
  tableGeneration,
  tableName,
  version as asVersion,
  type OriginId,
  type Sequence,
  type TableGeneration,
  type TableName,
  type Version,
} from './ids.js';
import { isWhole, NOTHING_LEFT_OUT, type LeftOut } from './leftOut.js';
import { limits } from './limits.js';
import type { EncodedAttribute, RowChange } from './row.js';

export const ENTRY_HEADER_BYTES = 26;
const LAYOUT = 1;
const PARTIAL = 2;
const FLAGS_MAX = 3;
const CHECKSUM_AT = 22;
const OWN_CHECKSUM_BYTES = 4;

export interface EntryHeader {
  readonly flags: number;
  readonly version: Version;
  readonly sequence: Sequence;
  readonly checksum: number;
  /** Header and body. */
  readonly byteLength: number;
}

export interface TableChanges {
  readonly table: TableName;
  readonly generation: TableGeneration;
  readonly changes: readonly KeyedChange[];
}

export interface KeyedChange {
  /** Ordered bytes of the primary key. */
  readonly key: Uint8Array;
  readonly change: RowChange;
}

/** What is told about a transaction beside its changes. */
export interface EntryNotes {
  readonly user?: string;
  readonly operation?: string;
}

export interface EntryContent {
  readonly origin: OriginId;
  readonly sequence: Sequence;
  readonly version: Version;
  readonly notes?: EntryNotes;
  readonly tables: readonly TableChanges[];
}

/** The whole entry as bytes of its own. */
export const encodeEntry = (content: EntryContent): Buffer => {
  const writer = new ByteWriter(estimateBytes(content.tables));
  writer.u8(LAYOUT);
  writer.u8(0);
  writer.u32(0);
  writer.u64(content.version);
  writer.u64(content.sequence);
  writer.u32(0);
  writeNotes(writer, content.notes);
  writer.varint(content.tables.length);
  for (const table of content.tables) writeTable(writer, table);
  const bytes = writer.finish();
  bytes.writeUInt32BE(bytes.length - ENTRY_HEADER_BYTES, 2);
  bytes.writeUInt32BE(checksumOf(content.origin, bytes), CHECKSUM_AT);
  return bytes;
};

/** The same entry with these tables only, and what was left out of the whole one said in it. */
export const encodePartial = (
  entry: Buffer,
  part: { origin: OriginId; leftOut: LeftOut; tables: readonly TableChanges[] },
): Buffer => {
  const writer = new ByteWriter(estimateBytes(part.tables));
  writer.bytes(entry.subarray(0, ENTRY_HEADER_BYTES));
  writer.u32(0);
  writeLeftOut(writer, part.leftOut);
  const reader = bodyReader(entry);
  writeBytes(writer, reader.view(reader.varint()));
  writer.varint(part.tables.length);
  for (const table of part.tables) writeTable(writer, table);
  const bytes = writer.finish();
  bytes[1] = (entry[1] ?? 0) | PARTIAL;
  bytes.writeUInt32BE(bytes.length - ENTRY_HEADER_BYTES, 2);
  bytes.writeUInt32BE(partialChecksumOf(part.origin, bytes), ENTRY_HEADER_BYTES);
  return bytes;
};

/** Reads the header at `offset`. MALFORMED when it is none, or when the entry does not fit in `bytes`. */
export const readEntryHeader = (bytes: Buffer, offset = 0): EntryHeader => {
  if (bytes.length - offset < ENTRY_HEADER_BYTES) throw malformed('is cut off in its header');
  if (bytes[offset] !== LAYOUT) throw malformed(`has layout ${bytes[offset]}, expected ${LAYOUT}`);
  const flags = bytes[offset + 1] ?? 0;
  if (flags > FLAGS_MAX) throw malformed(`has unknown flags ${flags}`);
  const byteLength = ENTRY_HEADER_BYTES + bytes.readUInt32BE(offset + 2);
  if (byteLength > limits.transactionBytesMax) throw malformed(`is ${byteLength} bytes long`);
  if (byteLength > bytes.length - offset) throw malformed('is cut off in its body');
  return {
    flags,
    version: asVersion(readSafeInteger(bytes, offset + 6)),
    sequence: asSequence(readSafeInteger(bytes, offset + 14)),
    checksum: bytes.readUInt32BE(offset + CHECKSUM_AT),
    byteLength,
  };
};

/** Whether these bytes are an unharmed entry of that origin. */
export const isIntactEntry = (origin: OriginId, entry: Buffer): boolean => {
  if (!isPartial(entry)) return checksumOf(origin, entry) === entry.readUInt32BE(CHECKSUM_AT);
  if (entry.length < ENTRY_HEADER_BYTES + OWN_CHECKSUM_BYTES) return false;
  return partialChecksumOf(origin, entry) === entry.readUInt32BE(ENTRY_HEADER_BYTES);
};

/** What was left out of the entry on its way; nothing of most. MALFORMED when the body is damaged. */
export const readLeftOut = (entry: Buffer): LeftOut =>
  isPartial(entry) ? takeLeftOut(leftOutReader(entry)) : NOTHING_LEFT_OUT;

/** The changes, as views into the entry. MALFORMED when the body is damaged or breaks a rule. */
export const readEntryTables = (entry: Buffer): TableChanges[] => {
  const reader = bodyReader(entry);
  reader.view(reader.varint());
  const count = reader.varint();
  const tables: TableChanges[] = [];
  for (let index = 0; index < count; index++) tables.push(readTable(reader));
  if (reader.left > 0) throw malformed(`has ${reader.left} bytes after its last table`);
  return tables;
};

/** The notes of an entry; empty when it has none. */
export const readEntryNotes = (entry: Buffer): EntryNotes => {
  const reader = bodyReader(entry);
  const length = reader.varint();
  if (length === 0) return {};
  return decode(reader.view(length)) as EntryNotes;
};

const isPartial = (entry: Buffer): boolean => ((entry[1] ?? 0) & PARTIAL) !== 0;

/** At the notes. */
const bodyReader = (entry: Buffer): ByteReader => {
  if (!isPartial(entry)) return new ByteReader(entry, ENTRY_HEADER_BYTES);
  const reader = leftOutReader(entry);
  takeLeftOut(reader);
  return reader;
};

const leftOutReader = (entry: Buffer): ByteReader => {
  const reader = new ByteReader(entry, ENTRY_HEADER_BYTES);
  reader.view(OWN_CHECKSUM_BYTES);
  return reader;
};

const takeLeftOut = (reader: ByteReader): LeftOut => {
  const tables = readNames(reader);
  const hasOthers = reader.u8();
  if (hasOthers > 1) throw malformed(`says ${hasOthers} of other tables`);
  const leftOut = { tables, others: hasOthers ? readNames(reader) : null };
  if (isWhole(leftOut)) throw malformed('is partial and leaves nothing out');
  return leftOut;
};

const writeLeftOut = (writer: ByteWriter, { tables, others }: LeftOut): void => {
  writeNames(writer, tables);
  writer.u8(others === null ? 0 : 1);
  if (others !== null) writeNames(writer, others);
};

const readNames = (reader: ByteReader): TableName[] => {
  const names: TableName[] = [];
  for (let left = reader.varint(); left > 0; left--) names.push(tableName(reader.shortText()));
  return names;
};

const writeNames = (writer: ByteWriter, names: readonly TableName[]): void => {
  writer.varint(names.length);
  for (const name of names) writer.shortText(name);
};

const KIND = { put: 1, patch: 2, delete: 3 } as const;

const writeNotes = (writer: ByteWriter, notes: EntryNotes | undefined): void => {
  if (!notes || Object.keys(notes).length === 0) {
    writer.varint(0);
    return;
  }
  writeBytes(writer, encode(notes));
};

const writeTable = (writer: ByteWriter, { table, generation, changes }: TableChanges): void => {
  writer.shortText(table);
  writer.varint(generation);
  writer.varint(changes.length);
  for (const { key, change } of changes) {
    writer.u8(KIND[change.type]);
    writeBytes(writer, key);
    if (change.type === 'put') writeBytes(writer, change.body);
    else if (change.type === 'patch') writeAttributes(writer, change.attributes);
  }
};

const writeAttributes = (writer: ByteWriter, attributes: readonly EncodedAttribute[]): void => {
  writer.varint(attributes.length);
  for (const { name, value } of attributes) {
    writer.shortText(name);
    writeBytes(writer, value);
  }
};

const writeBytes = (writer: ByteWriter, bytes: Uint8Array): void => {
  writer.varint(bytes.length);
  writer.bytes(bytes);
};

const readTable = (reader: ByteReader): TableChanges => {
  const table = tableName(reader.shortText());
  const generation = tableGeneration(reader.varint());
  const count = reader.varint();
  const changes: KeyedChange[] = [];
  for (let index = 0; index < count; index++) changes.push(readChange(reader));
  return { table, generation, changes };
};

const readChange = (reader: ByteReader): KeyedChange => {
  const kind = reader.u8();
  const key = readBytes(reader);
  switch (kind) {
    case KIND.put:
      return { key, change: { type: 'put', body: readBytes(reader) } };
    case KIND.patch:
      return { key, change: { type: 'patch', attributes: readAttributes(reader) } };
    case KIND.delete:
      return { key, change: { type: 'delete' } };
    default:
      throw malformed(`has a change of unknown kind ${kind}`);
  }
};

const readAttributes = (reader: ByteReader): EncodedAttribute[] => {
  const count = reader.varint();
  const attributes: EncodedAttribute[] = [];
  for (let index = 0; index < count; index++)
    attributes.push({ name: reader.shortText(), value: readBytes(reader) });
  return attributes;
};

const readBytes = (reader: ByteReader): Uint8Array => reader.view(reader.varint());

const readSafeInteger = (bytes: Buffer, offset: number): number => {
  const value = bytes.readUInt32BE(offset) * 0x1_0000_0000 + bytes.readUInt32BE(offset + 4);
  if (!Number.isSafeInteger(value)) throw malformed('has a number beyond the safe integers');
  return value;
};

const originSeeds = new Map<OriginId, number>();

/** The CRC of an origin's text is the same for each of its entries. */
const seedOf = (origin: OriginId): number => {
  let seed = originSeeds.get(origin);
  if (seed === undefined) {
    if (originSeeds.size >= limits.originsPerFrameMax) originSeeds.clear();
    seed = crc32(origin);
    originSeeds.set(origin, seed);
  }
  return seed;
};

const checksumOf = (origin: OriginId, entry: Buffer): number =>
  crc32(entry.subarray(ENTRY_HEADER_BYTES), crc32(entry.subarray(0, CHECKSUM_AT), seedOf(origin)));

const partialChecksumOf = (origin: OriginId, entry: Buffer): number =>
  crc32(
    entry.subarray(ENTRY_HEADER_BYTES + OWN_CHECKSUM_BYTES),
    crc32(entry.subarray(0, ENTRY_HEADER_BYTES), seedOf(origin)),
  );

const estimateBytes = (tables: readonly TableChanges[]): number => {
  let bytes = ENTRY_HEADER_BYTES + 16;
  for (const { table, changes } of tables) {
    bytes += table.length + 16;
    for (const { key, change } of changes) {
      bytes += key.length + 8;
      if (change.type === 'put') bytes += change.body.length + 5;
      else if (change.type === 'patch')
        for (const { name, value } of change.attributes)
          bytes += name.length * 3 + value.length + 8;
    }
  }
  return bytes;
};

const malformed = (what: string): SkeinError =>
  new SkeinError('MALFORMED', `The log entry ${what}`);
