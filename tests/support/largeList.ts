/**
 * A revocation list as large as those of public authorities: 50 MB, a million entries. Written straight into one
 * buffer; used by the tests and by the bench.
 */
import { writeEntry, writeList } from './testAuthority.js';
import type { TestAuthority } from './testAuthority.js';

/** Bytes of a serial number, the most that RFC 5280 allows. */
const SERIAL_BYTES = 20;

/** Serial of entry `at`: spread like random numbers, and known. */
export function largeSerial(at: number): Buffer {
  const serial = Buffer.alloc(SERIAL_BYTES, 0x5a);
  serial.writeUInt32BE((0x40000000 | (Math.imul(at, 2654435761) >>> 2)) >>> 0, 0);
  serial.writeUInt32BE(at, SERIAL_BYTES - 4);
  return serial;
}

/** In DER, signed by `authority`. With 1 000 000 entries some 50 MB. */
export function writeLargeList(authority: TestAuthority, count: number): Uint8Array<ArrayBuffer> {
  const hex = largeSerial(0).toString('hex');
  const template = writeEntry({ serial: hex, revokedAtMs: Date.UTC(2026, 0, 1), reason: 4 });
  const place = template.indexOf(largeSerial(0));
  const entries = Buffer.alloc(template.length * count);
  for (let at = 0; at < count; at += 1) {
    template.copy(entries, at * template.length);
    largeSerial(at).copy(entries, at * template.length + place);
  }
  return writeList(authority, {}, [entries]);
}
