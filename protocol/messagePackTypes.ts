/**
 * What the first byte of a MessagePack value says (specification: msgpack.org, "Formats").
 * Called by byteGuard.ts, skipScan.ts and orderedKey.ts, which do not decode what they look at.
 * Nothing here checks bounds: the callers know where the bytes end.
 */

/** A value of `HEAD_BYTES` bytes: nil, booleans, most numbers, short texts. */
export const FIXED = 0;
/** Text or binary: a length, then so many bytes. */
export const BYTES = 1;
/** An extension: `HEAD_BYTES` end with its type; then the payload. */
export const EXTENSION = 2;
export const ARRAY = 3;
export const MAP = 4;
/** Eight bytes of integer, which may be more than a number holds. */
export const INTEGER_64 = 5;
/** The one type byte that is not used, 0xc1. */
export const UNUSED = 6;

/** The type bytes from 0xc0 to 0xdf: kind, and bytes from the type byte to a payload or the end. */
const MIDDLE: readonly (readonly [kind: number, headBytes: number])[] = [
  [FIXED, 1], // c0 nil
  [UNUSED, 1],
  [FIXED, 1], // c2 false
  [FIXED, 1], // c3 true
  [BYTES, 2], // c4 binary
  [BYTES, 3],
  [BYTES, 5],
  [EXTENSION, 3], // c7 extension with a length
  [EXTENSION, 4],
  [EXTENSION, 6],
  [FIXED, 5], // ca float
  [FIXED, 9],
  [FIXED, 2], // cc unsigned integer
  [FIXED, 3],
  [FIXED, 5],
  [INTEGER_64, 9],
  [FIXED, 2], // d0 signed integer
  [FIXED, 3],
  [FIXED, 5],
  [INTEGER_64, 9],
  [EXTENSION, 2], // d4 extension of 1, 2, 4, 8, 16 bytes
  [EXTENSION, 2],
  [EXTENSION, 2],
  [EXTENSION, 2],
  [EXTENSION, 2],
  [BYTES, 2], // d9 text
  [BYTES, 3],
  [BYTES, 5],
  [ARRAY, 3], // dc
  [ARRAY, 5],
  [MAP, 3], // de
  [MAP, 5],
];

const kindOf = (type: number): number => {
  const middle = MIDDLE[type - 0xc0];
  if (middle !== undefined) return middle[0];
  if (type >= 0x80 && type < 0x90) return MAP;
  return type >= 0x90 && type < 0xa0 ? ARRAY : FIXED;
};

/** A short text (a0..bf) counts as fixed, its characters included. */
const headBytesOf = (type: number): number => {
  const middle = MIDDLE[type - 0xc0];
  if (middle !== undefined) return middle[1];
  return type >= 0xa0 && type < 0xc0 ? 1 + (type & 0x1f) : 1;
};

/** Kind by type byte. */
export const KIND = Uint8Array.from({ length: 256 }, (_, type) => kindOf(type));
export const HEAD_BYTES = Uint8Array.from({ length: 256 }, (_, type) => headBytesOf(type));

/**
 * The number in the head of a BYTES, EXTENSION, ARRAY or MAP value: bytes of payload, elements or
 * pairs. All of `HEAD_BYTES` must be there.
 */
export const declaredLength = (bytes: Uint8Array, at: number): number => {
  const type = bytes[at] as number;
  if (type < 0xa0) return type & 0x0f;
  if (type >= 0xd4 && type <= 0xd8) return 1 << (type - 0xd4);
  const first = bytes[at + 1] as number;
  switch (lengthBytes(type)) {
    case 1:
      return first;
    case 2:
      return first * 0x100 + (bytes[at + 2] as number);
    default:
      return (
        first * 0x1000000 +
        (((bytes[at + 2] as number) << 16) |
          ((bytes[at + 3] as number) << 8) |
          (bytes[at + 4] as number))
      );
  }
};

/** Where the characters of the text at `at` start; -1 if the value there is no text. */
export const textStart = (bytes: Uint8Array, at: number): number => {
  const type = bytes[at] ?? 0;
  if (type >= 0xa0 && type < 0xc0) return at + 1;
  return type >= 0xd9 && type <= 0xdb ? at + (HEAD_BYTES[type] as number) : -1;
};

/** The number at the start of `bytes`, which is one. */
export const readNumber = (bytes: Buffer): number => {
  const type = bytes.readUInt8(0);
  switch (type) {
    case 0xca:
      return bytes.readFloatBE(1);
    case 0xcb:
      return bytes.readDoubleBE(1);
    case 0xcc:
    case 0xcd:
    case 0xce:
      return bytes.readUIntBE(1, 1 << (type - 0xcc));
    case 0xcf:
      return Number(bytes.readBigUInt64BE(1));
    case 0xd0:
    case 0xd1:
    case 0xd2:
      return bytes.readIntBE(1, 1 << (type - 0xd0));
    case 0xd3:
      return Number(bytes.readBigInt64BE(1));
    default:
      return type < 0x80 ? type : type - 0x100;
  }
};

const lengthBytes = (type: number): number =>
  (HEAD_BYTES[type] as number) - (KIND[type] === EXTENSION ? 2 : 1);
