/**
 * The two MessagePack extension types a value may hold, as bytes: the standard timestamp (-1) for
 * dates and 0x42 for bigints (two's complement, big-endian, shortest form).
 * Called by codec.ts, byteGuard.ts and orderedKey.ts. It must not import the MessagePack library.
 */

/** The standard timestamp extension, -1 as an unsigned byte. */
export const TIMESTAMP_EXTENSION = 0xff;
/** "B" for bigint. */
export const BIGINT_EXTENSION = 0x42;
/** Longest bigint kept: its decimal text and arithmetic cost the square of its length. */
export const BIGINT_BYTES_MAX = 1024;

const TWO_TO_32 = 2 ** 32;
const TWO_TO_34 = 2 ** 34;
/** The range of a JavaScript date, in seconds either side of 1970. */
const DATE_SECONDS_MAX = 8.64e12;
const NANOSECONDS_MAX = 999_999_999;

/** The timestamp payload of a date in its shortest form: 4, 8 or 12 bytes. `ms` is not NaN. */
export const packTimestamp = (ms: number): Buffer => {
  const seconds = Math.floor(ms / 1000);
  const nanoseconds = (ms - seconds * 1000) * 1_000_000;
  if (seconds < 0 || seconds >= TWO_TO_34) {
    const long = Buffer.allocUnsafe(12);
    long.writeUInt32BE(nanoseconds, 0);
    long.writeBigInt64BE(BigInt(seconds), 4);
    return long;
  }
  const low = seconds % TWO_TO_32;
  const high = Math.floor(seconds / TWO_TO_32);
  if (nanoseconds === 0 && high === 0) {
    const short = Buffer.allocUnsafe(4);
    short.writeUInt32BE(low, 0);
    return short;
  }
  const middle = Buffer.allocUnsafe(8);
  middle.writeUInt32BE(nanoseconds * 4 + high, 0);
  middle.writeUInt32BE(low, 4);
  return middle;
};

/**
 * Milliseconds since 1970 of a timestamp payload; parts of a millisecond are dropped. NaN for
 * what is no timestamp or no JavaScript date.
 */
export const unpackTimestamp = (bytes: Buffer, at: number, byteLength: number): number => {
  if (byteLength === 4) return bytes.readUInt32BE(at) * 1000;
  if (byteLength === 8) {
    const head = bytes.readUInt32BE(at);
    return ms((head & 3) * TWO_TO_32 + bytes.readUInt32BE(at + 4), Math.floor(head / 4));
  }
  if (byteLength !== 12) return Number.NaN;
  return ms(Number(bytes.readBigInt64BE(at + 4)), bytes.readUInt32BE(at));
};

const ms = (seconds: number, nanoseconds: number): number => {
  const whole = seconds * 1000 + Math.floor(nanoseconds / 1_000_000);
  const inRange = Math.abs(whole) <= DATE_SECONDS_MAX * 1000 && nanoseconds <= NANOSECONDS_MAX;
  return inRange ? whole : Number.NaN;
};

/** Two's complement, big-endian, no byte more than needed. */
export const packBigInt = (value: bigint): Buffer => {
  // Flipping all bits of a negative number gives the number whose bytes, flipped back, are it.
  const magnitude = value < 0n ? -value - 1n : value;
  const digits = magnitude.toString(16);
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  const bytes = Buffer.from(bigDigitIsSet(even) ? `00${even}` : even, 'hex');
  if (value < 0n) for (let at = 0; at < bytes.length; at += 1) bytes[at] = ~(bytes[at] as number);
  return bytes;
};

/** The bigint of a payload of at least one byte. */
export const unpackBigInt = (bytes: Buffer, at: number, byteLength: number): bigint => {
  const digits = bytes.toString('hex', at, at + byteLength);
  const value = BigInt(`0x${digits}`);
  return bigDigitIsSet(digits) ? value - (1n << BigInt(byteLength * 8)) : value;
};

/** Whether the first bit of an even number of hexadecimal digits is 1. */
const bigDigitIsSet = (digits: string): boolean => digits.charCodeAt(0) >= '8'.charCodeAt(0);

/** What is wrong with an extension payload, or undefined. */
export const extensionFault = (
  bytes: Buffer,
  extension: { type: number; at: number; byteLength: number },
): string | undefined => {
  const { type, at, byteLength } = extension;
  if (type === TIMESTAMP_EXTENSION) {
    return Number.isNaN(unpackTimestamp(bytes, at, byteLength)) ? 'no valid timestamp' : undefined;
  }
  if (type !== BIGINT_EXTENSION) return `unknown extension type ${type}`;
  if (byteLength >= 1 && byteLength <= BIGINT_BYTES_MAX) return undefined;
  return `a bigint of ${byteLength} bytes, 1 to ${BIGINT_BYTES_MAX} allowed`;
};
