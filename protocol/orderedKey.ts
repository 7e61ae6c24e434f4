/**
 * Primary keys and index values as bytes whose byte order is the order of the values:
 * null < false < true < numbers and bigints < dates < strings; strings by their UTF-8 bytes, which
 * is code point order (JavaScript's `<` puts U+E000..U+FFFF after emoji, this does not).
 * Called by storage/. The bytes are on disk and on the wire: changing them changes the format.
 *
 * Primary key   number: 05 double8          string: 07 utf8 to the end
 * Index value   null: 02   false: 03   true: 04   number: 05 double8 end1   date: 06 double8 end1
 *               string: 07 utf8 with 00 written as 00 FF, then 00 end1
 *               end1 is 00 for a whole value and 01 for one that was cut.
 */
import { asBuffer, isWellFormed, malformed, writeUtf8 } from './bytes.js';
import { invalidRequest, SkeinError } from './errors.js';
import {
  extensionFault,
  TIMESTAMP_EXTENSION,
  unpackBigInt,
  unpackTimestamp,
} from './extensions.js';
import { limits } from './limits.js';
import {
  EXTENSION,
  FIXED,
  HEAD_BYTES,
  INTEGER_64,
  KIND,
  readNumber,
  textStart,
} from './messagePackTypes.js';
import { isUtf8 } from 'node:buffer';

const NULL = 0x02;
const FALSE = 0x03;
const TRUE = 0x04;
const NUMBER = 0x05;
const DATE = 0x06;
const STRING = 0x07;

const WHOLE = 0x00;
const CUT = 0x01;
const ESCAPED_ZERO = 0xff;

const NUMBER_KEY_BYTES = 9;
const NUMBER_VALUE_BYTES = 10;
/** Strings are indexed by this many bytes of UTF-8; longer ones are cut. */
export const INDEXED_TEXT_BYTES_MAX = 256;

/**
 * The bytes of a primary key. INVALID_REQUEST for the empty string, NaN, half a surrogate pair
 * and other types; KEY_TOO_LONG above `limits.keyBytesMax`. -0 is 0.
 */
export const encodeKey = (key: unknown): Buffer => {
  if (typeof key === 'string') return encodeTextKey(key);
  if (typeof key === 'number' && !Number.isNaN(key)) {
    const bytes = Buffer.allocUnsafe(NUMBER_KEY_BYTES);
    bytes[0] = NUMBER;
    writeOrderedDouble(bytes, key);
    return bytes;
  }
  throw invalidRequest(`a primary key must be a string or a number, not ${describe(key)}`);
};

/** The primary key of its bytes. MALFORMED for bytes that `encodeKey` did not write. */
export const decodeKey = (bytes: Uint8Array): string | number => {
  const type = bytes[0];
  if (type === STRING && bytes.length > 1) return asBuffer(bytes).toString('utf8', 1);
  if (type === NUMBER && bytes.length === NUMBER_KEY_BYTES) {
    return readOrderedDouble(asBuffer(bytes));
  }
  throw malformed('no primary key', 0);
};

/** Refuses key bytes from outside that `encodeKey` would not have written: MALFORMED. */
export const checkKey = (bytes: Uint8Array): void => {
  if (bytes.length > limits.keyBytesMax) throw malformed('a primary key too long', 0);
  const key = decodeKey(bytes);
  const sound = typeof key === 'string' ? isUtf8(bytes) : !Number.isNaN(key) && !Object.is(key, -0);
  if (!sound) throw malformed('no valid primary key', 1);
};

/**
 * The bytes of a value in an index entry, which a primary key may follow. Undefined for what is
 * not indexed: NaN, objects, arrays, binary, undefined. A bigint stands among the numbers; one
 * that no number equals is cut to the number below it.
 */
export const encodeIndexValue = (value: unknown): Buffer | undefined => {
  switch (typeof value) {
    case 'string':
      requireWellFormed(value, 'an indexed text');
      return indexText(Buffer.from(value), TEXT_ENDED);
    case 'number':
      return indexNumber(NUMBER, value, WHOLE);
    case 'boolean':
      return Buffer.of(value ? TRUE : FALSE);
    case 'bigint':
      return indexBigInt(value);
    default:
      if (value === null) return Buffer.of(NULL);
      return value instanceof Date ? indexNumber(DATE, value.getTime(), WHOLE) : undefined;
  }
};

/**
 * The same bytes as `encodeIndexValue(decode(encoded))`, straight from the encoded value, which
 * has passed the guard.
 */
export const encodeIndexValueFromEncoded = (encoded: Uint8Array): Buffer | undefined => {
  const bytes = asBuffer(encoded);
  const type = bytes[0] ?? 0;
  if ((HEAD_BYTES[type] as number) > bytes.length) throw malformed('no whole value', 0);
  const start = textStart(bytes, 0);
  if (start > 0) return indexText(bytes.subarray(start), TEXT_ENDED);
  switch (KIND[type]) {
    case FIXED:
    case INTEGER_64:
      if (type === 0xc0) return Buffer.of(NULL);
      if (type === 0xc2 || type === 0xc3) return Buffer.of(type === 0xc3 ? TRUE : FALSE);
      return indexNumber(NUMBER, readNumber(bytes), WHOLE);
    case EXTENSION:
      return indexExtension(bytes, HEAD_BYTES[type] as number);
    default:
      return undefined;
  }
};

/**
 * What all index values start with that are texts beginning with `text`. Of more than
 * `INDEXED_TEXT_BYTES_MAX` bytes the first stand for all, and each record found has to be checked.
 */
export const indexPrefixForStartsWith = (text: string): Buffer => {
  requireWellFormed(text, 'a text to search for');
  return indexText(Buffer.from(text), TEXT_OPEN);
};

/** Whether the index value at `offset` stands for a longer one: the record decides then. */
export const indexValueIsCut = (bytes: Uint8Array, offset = 0): boolean =>
  bytes[splitIndexKey(bytes, offset) - 1] === CUT;

/** Where the index value that starts at `offset` ends and the primary key begins. */
export const splitIndexKey = (bytes: Uint8Array, offset: number): number => {
  const type = bytes[offset] ?? 0;
  if (type === STRING) return endOfText(bytes, offset + 1);
  if (type >= NULL && type <= TRUE) return offset + 1;
  const end = offset + NUMBER_VALUE_BYTES;
  if ((type === NUMBER || type === DATE) && end <= bytes.length) return end;
  throw malformed('no index value', offset);
};

const encodeTextKey = (text: string): Buffer => {
  if (text === '') throw invalidRequest('a primary key must not be the empty string');
  requireWellFormed(text, 'a primary key');
  const size = 1 + Buffer.byteLength(text);
  if (size > limits.keyBytesMax) {
    throw new SkeinError(
      'KEY_TOO_LONG',
      `the primary key takes ${size} bytes, ${limits.keyBytesMax} are allowed`,
    );
  }
  const bytes = Buffer.allocUnsafe(size);
  bytes[0] = STRING;
  writeUtf8(bytes, text, 1);
  return bytes;
};

const requireWellFormed = (text: string, what: string): void => {
  if (!isWellFormed(text)) throw invalidRequest(`${what} must not contain half a surrogate pair`);
};

/** How a text in an index ends: with its end mark, or open for texts that begin with it. */
const TEXT_ENDED = true;
const TEXT_OPEN = false;

/**
 * Cut between bytes, not characters: a cut between characters would sort a text whose 256th byte
 * is inside a character before shorter ones that it follows.
 */
const indexText = (utf8: Buffer, ended: boolean): Buffer => {
  const cut = utf8.length > INDEXED_TEXT_BYTES_MAX;
  const length = cut ? INDEXED_TEXT_BYTES_MAX : utf8.length;
  const bytes = Buffer.allocUnsafe(1 + length + countZeros(utf8, length) + (ended ? 2 : 0));
  bytes[0] = STRING;
  let at = 1;
  for (let index = 0; index < length; index += 1) {
    const byte = utf8[index] as number;
    bytes[at] = byte;
    at += 1;
    if (byte === 0) {
      bytes[at] = ESCAPED_ZERO;
      at += 1;
    }
  }
  if (ended) {
    bytes[at] = 0;
    bytes[at + 1] = cut ? CUT : WHOLE;
  }
  return bytes;
};

const countZeros = (bytes: Uint8Array, end: number): number => {
  let zeros = 0;
  for (let at = 0; at < end; at += 1) if (bytes[at] === 0) zeros += 1;
  return zeros;
};

const endOfText = (bytes: Uint8Array, start: number): number => {
  for (let at = start; at + 1 < bytes.length; at += 1) {
    if (bytes[at] !== 0) continue;
    if (bytes[at + 1] !== ESCAPED_ZERO) return at + 2;
    at += 1;
  }
  throw malformed('an index text without an end', start);
};

const indexNumber = (type: number, value: number, end: number): Buffer | undefined => {
  if (Number.isNaN(value)) return undefined;
  const bytes = Buffer.allocUnsafe(NUMBER_VALUE_BYTES);
  bytes[0] = type;
  writeOrderedDouble(bytes, value);
  bytes[NUMBER_VALUE_BYTES - 1] = end;
  return bytes;
};

/** Cut downwards, so that a cut bigint sorts after the number it is cut to and before the next. */
const indexBigInt = (value: bigint): Buffer | undefined => {
  let number = Number(value);
  if (Number.isFinite(number) && BigInt(number) === value) {
    return indexNumber(NUMBER, number, WHOLE);
  }
  if (number === Infinity || (number !== -Infinity && BigInt(number) > value)) {
    number = numberBelow(number);
  }
  return indexNumber(NUMBER, number, CUT);
};

/** The next number down, for numbers beyond 2^53 in either direction, and infinity. */
const numberBelow = (number: number): number => {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(number);
  bytes.writeBigUInt64BE(bytes.readBigUInt64BE() + (number > 0 ? -1n : 1n));
  return bytes.readDoubleBE();
};

/** Dates and bigints; the payload is from `at` to the end. */
const indexExtension = (bytes: Buffer, at: number): Buffer | undefined => {
  const type = bytes[at - 1] as number;
  const byteLength = bytes.length - at;
  const fault = extensionFault(bytes, { type, at, byteLength });
  if (fault !== undefined) throw malformed(fault, 0);
  return type === TIMESTAMP_EXTENSION
    ? indexNumber(DATE, unpackTimestamp(bytes, at, byteLength), WHOLE)
    : indexBigInt(unpackBigInt(bytes, at, byteLength));
};

/** Bytes 1 to 8: the IEEE double with the sign flipped, or, if negative, with all bits flipped. */
const writeOrderedDouble = (target: Buffer, value: number): void => {
  target.writeDoubleBE(value === 0 ? 0 : value, 1);
  flip(target, value < 0);
};

const readOrderedDouble = (bytes: Buffer): number => {
  const copy = Buffer.from(bytes);
  flip(copy, (copy.readUInt8(1) & 0x80) === 0);
  return copy.readDoubleBE(1);
};

const flip = (bytes: Buffer, isNegative: boolean): void => {
  if (!isNegative) {
    bytes[1] = (bytes[1] as number) ^ 0x80;
    return;
  }
  for (let at = 1; at < NUMBER_KEY_BYTES; at += 1) bytes[at] = ~(bytes[at] as number);
};

const describe = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'number' ? 'NaN' : typeof value;
};
