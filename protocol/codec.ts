/**
 * Values to MessagePack and back: records, control frames, everything that is not laid out by hand.
 * Called everywhere; the only file that imports msgpack-lite, whose traps are handled here: what it
 * would lose or turn into something else is converted or refused before it sees it.
 *
 * What comes back may differ from what was given only so: -0 is 0, an attribute that is undefined
 * is gone, undefined in an array is null, a Uint8Array is a Buffer, an object has Object's
 * prototype, integer-like keys come first. Dates are the standard timestamp extension (whole
 * milliseconds), bigints our extension 0x42 (extensions.ts). Integers from 2^32 are float64.
 */
import { asBuffer, ByteWriter } from './bytes.js';
import { guard } from './byteGuard.js';
import { invalidRequest } from './errors.js';
import {
  BIGINT_EXTENSION,
  packBigInt,
  packTimestamp,
  TIMESTAMP_EXTENSION,
  unpackBigInt,
  unpackTimestamp,
} from './extensions.js';
import {
  COMPOSITION,
  describe,
  faultOfName,
  inspectValue,
  isPlainObject,
  NOTHING,
  type PlainObject,
} from './inspection.js';
import msgpack from 'msgpack-lite';

/**
 * The bytes of `value`, not shared with anything. INVALID_REQUEST for what cannot be kept, naming
 * where it is; `path` is what the value itself is called there.
 */
export const encode = (value: unknown, path = 'value'): Buffer => {
  const need = inspectValue(value, path);
  if (need === NOTHING) return pack(value);
  return (need & COMPOSITION) === 0 ? pack(converted(value)) : composed(value);
};

/** The same for a record: a plain object. `path` is for example `records[0]`. */
export const encodeRecord = (record: unknown, path = 'record'): Buffer => {
  if (!isPlainObject(record)) {
    throw invalidRequest(`${path} must be an object, not ${describe(record)}`);
  }
  return encode(record, path);
};

/** The value of the bytes. MALFORMED for everything the guard refuses (byteGuard.ts). */
export const decode = (bytes: Uint8Array): unknown => {
  guard(bytes);
  return msgpack.decode(asBuffer(bytes), options) as unknown;
};

/**
 * A map of values that are encoded already; `count` is the number of entries. Values are not
 * looked at, names are checked like in `encode`.
 */
export const encodeMapOf = (
  entries: Iterable<readonly [name: string, encoded: Uint8Array]>,
  count: number,
): Buffer => {
  const writer = new ByteWriter();
  writeHead(writer, count, MAP_HEADS);
  let written = 0;
  for (const [name, encoded] of entries) {
    const fault = faultOfName(name);
    if (fault !== undefined) throw invalidRequest(`${JSON.stringify(name)} ${fault}`);
    writeHead(writer, Buffer.byteLength(name), TEXT_HEADS);
    writer.utf8(name).bytes(encoded);
    written += 1;
  }
  if (written !== count) throw new Error(`a map of ${count} entries was given ${written}`);
  return writer.finish();
};

class BigInteger {
  readonly bytes: Buffer;
  constructor(value: bigint) {
    this.bytes = packBigInt(value);
  }
}

/** A copy of an inspected value that msgpack-lite encodes as it should. */
const converted = (value: unknown): unknown => {
  if (typeof value === 'bigint') return new BigInteger(value);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (value instanceof Uint8Array) return asBuffer(value);
  if (Array.isArray(value)) return Array.from(value, converted);
  const copy: PlainObject = {};
  for (const [name, one] of Object.entries(value)) {
    if (one !== undefined) copy[name] = converted(one);
  }
  return copy;
};

/** Encodes containers here and only what is in them with msgpack-lite. */
const composed = (value: unknown): Buffer => {
  if (Array.isArray(value)) {
    const writer = new ByteWriter();
    writeHead(writer, value.length, ARRAY_HEADS);
    for (const one of value) writer.bytes(composed(one));
    return writer.finish();
  }
  if (!isPlainObject(value)) return pack(converted(value));
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return encodeMapOf(
    entries.map(([name, one]) => [name, composed(one)] as const),
    entries.length,
  );
};

/** Type bytes of a container or text: with the length in the byte itself, and in 1, 2, 4 bytes. */
interface Heads {
  readonly fixed: number;
  readonly fixedMax: number;
  readonly one?: number;
  readonly two: number;
  readonly four: number;
}
const ARRAY_HEADS: Heads = { fixed: 0x90, fixedMax: 15, two: 0xdc, four: 0xdd };
const MAP_HEADS: Heads = { fixed: 0x80, fixedMax: 15, two: 0xde, four: 0xdf };
const TEXT_HEADS: Heads = { fixed: 0xa0, fixedMax: 31, one: 0xd9, two: 0xda, four: 0xdb };

const writeHead = (writer: ByteWriter, length: number, heads: Heads): void => {
  if (length <= heads.fixedMax) writer.u8(heads.fixed + length);
  else if (length <= 0xff && heads.one !== undefined) writer.u8(heads.one).u8(length);
  else if (length <= 0xffff) writer.u8(heads.two).u16(length);
  else writer.u8(heads.four).u32(length);
};

const extendedCodec = (): msgpack.Codec => {
  const codec = msgpack.createCodec({ preset: false });
  codec.addExtPacker(TIMESTAMP_EXTENSION, Date, (date) => packTimestamp(date.getTime()));
  codec.addExtPacker(BIGINT_EXTENSION, BigInteger, (integer) => integer.bytes);
  codec.addExtUnpacker(TIMESTAMP_EXTENSION, (bytes) => {
    return new Date(unpackTimestamp(asBuffer(bytes), 0, bytes.length));
  });
  codec.addExtUnpacker(BIGINT_EXTENSION, (bytes) => unpackBigInt(asBuffer(bytes), 0, bytes.length));
  return codec;
};
const options = { codec: extendedCodec() };

/** What its types leave out: the encoder that keeps its block of memory between values. */
interface Encoder {
  write(value: unknown): void;
  /** The bytes written since the last call; may be part of the block. */
  read(): Buffer;
}
const { Encoder } = msgpack as unknown as { Encoder: new (settings: typeof options) => Encoder };

/** Large values enlarge the block; it is let go after one of more than this. */
const KEPT_BYTES_MAX = 16 * 1024;
let encoder: Encoder | undefined;

/** The copy matters: kept bytes would keep the encoder's whole block with them. */
const pack = (value: unknown): Buffer => {
  const current = encoder ?? new Encoder(options);
  // Taken away meanwhile, so that one that threw half-way is never used again.
  encoder = undefined;
  current.write(value);
  const bytes = Buffer.from(current.read());
  if (bytes.length <= KEPT_BYTES_MAX) encoder = current;
  return bytes;
};
