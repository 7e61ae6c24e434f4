/**
 * Writing and reading bytes in order: the ground floor of log entries, frames and encoded maps.
 * Called by everything in protocol/ and storage/ that lays out bytes by hand. All numbers are
 * big-endian, so that bytes compare like the numbers. It must not know what the bytes mean.
 */
import { SkeinError } from './errors.js';

const TWO_TO_32 = 2 ** 32;
/** Up to this many characters a loop beats the call into native code. */
const SHORT_TEXT_CHARACTERS = 32;

/** The refusal of bytes that are not what they should be; `offset` is where reading stopped. */
export const malformed = (what: string, offset: number): SkeinError =>
  new SkeinError('MALFORMED', `${what} at byte ${offset}`);

/** The same memory as a Buffer; nothing is copied. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** False for text with half a surrogate pair, which UTF-8 cannot hold. */
export const isWellFormed = (text: string): boolean =>
  (text as string & { isWellFormed(): boolean }).isWellFormed();

/**
 * Writes `text` as UTF-8 at `at`; answers the bytes written. The caller has made room for
 * 3 bytes per UTF-16 unit: what does not fit would be left out.
 */
export const writeUtf8 = (target: Buffer, text: string, at: number): number => {
  const length = text.length;
  if (length > SHORT_TEXT_CHARACTERS) return target.write(text, at, 'utf8');
  for (let index = 0; index < length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) return target.write(text, at, 'utf8');
    target[at + index] = unit;
  }
  return length;
};

/** Bytes of `value` as a varint, 1 to 8. */
export const varintBytes = (value: number): number => {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest /= 0x80) bytes += 1;
  return bytes;
};

/**
 * A buffer that grows. Numbers out of the range of their field are programmer errors and throw a
 * RangeError.
 */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(Math.max(16, initialBytes));
  }

  /** Bytes written so far, which is also the offset of the next one. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.reserve(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.reserve(2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.reserve(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  u48(value: number): this {
    const at = this.reserve(6);
    this.#buffer.writeUIntBE(value, at, 6);
    return this;
  }

  /** A safe integer from 0 in 8 bytes. */
  u64(value: number): this {
    requireSafe(value);
    const at = this.reserve(8);
    this.#buffer.writeUInt32BE(Math.floor(value / TWO_TO_32), at);
    this.#buffer.writeUInt32BE(value % TWO_TO_32, at + 4);
    return this;
  }

  f64(value: number): this {
    const at = this.reserve(8);
    this.#buffer.writeDoubleBE(value, at);
    return this;
  }

  /** A safe integer from 0, seven bits per byte, the lowest first; 1 byte below 128. */
  varint(value: number): this {
    requireSafe(value);
    this.#room(8);
    const buffer = this.#buffer;
    let at = this.#length;
    let rest = value;
    while (rest >= 0x80) {
      buffer[at] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
      at += 1;
    }
    buffer[at] = rest;
    this.#length = at + 1;
    return this;
  }

  /** Varint of the byte length, then UTF-8. */
  shortText(text: string): this {
    const length = text.length;
    this.#room(8 + length * 3);
    if (length * 3 >= 0x80) return this.varint(Buffer.byteLength(text)).utf8(text);
    const at = this.#length;
    const written = writeUtf8(this.#buffer, text, at + 1);
    this.#buffer[at] = written;
    this.#length = at + 1 + written;
    return this;
  }

  /** UTF-8 alone, without its length. */
  utf8(text: string): this {
    this.#room(text.length * 3);
    this.#length += writeUtf8(this.#buffer, text, this.#length);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    const at = this.reserve(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  /** Leaves room for `byteLength` bytes to be patched later; answers where they are. */
  reserve(byteLength: number): number {
    this.#room(byteLength);
    const at = this.#length;
    this.#length += byteLength;
    return at;
  }

  patchU8(at: number, value: number): void {
    this.#buffer.writeUInt8(value, this.#written(at, 1));
  }

  patchU32(at: number, value: number): void {
    this.#buffer.writeUInt32BE(value, this.#written(at, 4));
  }

  patchBytes(at: number, bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#written(at, bytes.length));
  }

  /** A copy of what was written; the writer may go on. */
  finish(): Buffer {
    return Buffer.from(this.view());
  }

  /** What was written, without a copy: valid until the next call on this writer. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Empties the writer and keeps its memory. */
  clear(): this {
    this.#length = 0;
    return this;
  }

  #room(byteLength: number): void {
    const needed = this.#length + byteLength;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }

  #written(at: number, byteLength: number): number {
    if (at + byteLength > this.#length) {
      throw new RangeError(`cannot patch ${byteLength} bytes at ${at} of ${this.#length}`);
    }
    return at;
  }
}

/** Reads what `ByteWriter` wrote. Bytes that end too early or mean nothing throw MALFORMED. */
export class ByteReader {
  readonly #buffer: Buffer;
  readonly #end: number;
  #offset: number;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#buffer = asBuffer(bytes);
    this.#offset = start;
    this.#end = Math.min(end, bytes.length);
  }

  /** Where the next byte is, counted in the bytes given to the constructor. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#end - this.#offset;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#buffer.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  u48(): number {
    return this.#buffer.readUIntBE(this.#take(6), 6);
  }

  u64(): number {
    const at = this.#take(8);
    const value = this.#buffer.readUInt32BE(at) * TWO_TO_32 + this.#buffer.readUInt32BE(at + 4);
    if (value > Number.MAX_SAFE_INTEGER) throw malformed('an integer above 2^53 - 1', at);
    return value;
  }

  f64(): number {
    return this.#buffer.readDoubleBE(this.#take(8));
  }

  /** Only the shortest form of a number is accepted, so that equal values are equal bytes. */
  varint(): number {
    const start = this.#take(1);
    let byte = this.#buffer.readUInt8(start);
    let value = byte & 0x7f;
    let scale = 1;
    while (byte >= 0x80) {
      byte = this.#buffer.readUInt8(this.#take(1));
      scale *= 0x80;
      value += (byte & 0x7f) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw malformed('a varint above 2^53 - 1', start);
      if (byte === 0) throw malformed('a varint longer than needed', start);
    }
    return value;
  }

  /** Varint of the byte length, then UTF-8. Bytes that are not UTF-8 read as U+FFFD. */
  shortText(): string {
    return this.text(this.varint());
  }

  /** The next `byteLength` bytes as UTF-8. */
  text(byteLength: number): string {
    const at = this.#take(byteLength);
    return this.#buffer.toString('utf8', at, at + byteLength);
  }

  /** The next `byteLength` bytes without copying them: they live as long as the whole. */
  view(byteLength: number): Buffer {
    const at = this.#take(byteLength);
    return this.#buffer.subarray(at, at + byteLength);
  }

  /** A copy of the next `byteLength` bytes. */
  bytes(byteLength: number): Buffer {
    return Buffer.from(this.view(byteLength));
  }

  /** Refuses bytes after the last thing read. */
  end(): void {
    if (this.left > 0) throw malformed(`${this.left} bytes too many`, this.#offset);
  }

  #take(byteLength: number): number {
    const at = this.#offset;
    if (byteLength > this.#end - at) {
      throw malformed(`${byteLength} bytes expected, ${this.#end - at} left`, at);
    }
    this.#offset = at + byteLength;
    return at;
  }
}

const requireSafe = (value: number): void => {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${value} is no safe integer from 0`);
  }
};
