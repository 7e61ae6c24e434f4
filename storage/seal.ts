/**
 * A checksum behind stored values, over key and value: bytes that changed on the disk, or lie under a key that did,
 * are known for what they are. LevelDB has checksums of blocks, and does not look at them when it reads. Used for rows,
 * origins, positions and marks; log entries have their own (protocol/entry.ts).
 */
import { crc32 } from 'node:zlib';
import { SkeinError } from '../protocol/errors.js';

export const SEAL_BYTES = 4;

/** Puts the checksum into the last four bytes, which are left for it. Gives the bytes back. */
export const sealInPlace = (key: Uint8Array, bytes: Buffer): Buffer => {
  const end = bytes.length - SEAL_BYTES;
  bytes.writeUInt32LE(crc32(bytes.subarray(0, end), checksumOf(key)), end);
  return bytes;
};

export const sealed = (key: Uint8Array, value: Uint8Array): Buffer => {
  const bytes = Buffer.allocUnsafe(value.length + SEAL_BYTES);
  bytes.set(value, 0);
  return sealInPlace(key, bytes);
};

/** Whether these are the bytes that were stored under that key. */
export const isIntact = (key: Uint8Array, bytes: Buffer): boolean =>
  bytes.length >= SEAL_BYTES && crc32(bytes, checksumOf(key)) === RESIDUE;

/** The value without its checksum, as a view. DAMAGED when it is not what was stored; `what` names it. */
export const unsealed = (key: Uint8Array, bytes: Buffer, what: string): Buffer => {
  if (!isIntact(key, bytes))
    throw new SkeinError('DAMAGED', `${what} cannot be read: its checksum is wrong`);
  return bytes.subarray(0, bytes.length - SEAL_BYTES);
};

/** The CRC-32 of anything followed by its own CRC-32, lowest byte first: no part has to be cut out to check it. */
const RESIDUE = 0x2144df1c;

/** Keys are short: a loop takes a third of the time of a call out of JavaScript. */
const checksumOf = (key: Uint8Array): number => {
  if (key.length > LOOP_BYTES_MAX) return crc32(key);
  let sum = 0xffffffff;
  for (let place = 0; place < key.length; place++)
    sum = (TABLE[(sum ^ (key[place] ?? 0)) & 0xff] ?? 0) ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
};

const LOOP_BYTES_MAX = 48;

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  return sum;
});
