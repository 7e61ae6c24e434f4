/**
 * Finds the entry of a serial number in a revocation list of any length without making an object of each: an open
 * hash table of the places where the entries begin. Built by crl.ts, in a thread of its own for long lists; plain
 * numbers, so that it can be handed from thread to thread. Reads only bytes that crl.ts has checked.
 */
import { DerReader, integerBytes, tags } from './der.js';

/** Places of entries by hash of the serial; 0 is free, since no list begins with an entry. */
export type SerialIndex = Uint32Array<ArrayBuffer>;

/** At most half full, so that a search ends soon. */
export function createSerialIndex(entryCount: number): SerialIndex {
  return new Uint32Array(2 ** Math.ceil(Math.log2(entryCount * 2 + 2)));
}

/** The first entry of a serial stays. */
export function addSerial(index: SerialIndex, bytes: Uint8Array, place: number): void {
  const slot = slotOf(index, bytes, serialAt(bytes, place));
  if (index[slot] === 0) index[slot] = place;
}

/** Where the entry begins; undefined: not in the list. */
export function findSerial(
  index: SerialIndex,
  bytes: Uint8Array,
  serial: Uint8Array,
): number | undefined {
  return index[slotOf(index, bytes, serial)] || undefined;
}

/** The slot that holds the serial, or the free one where it belongs. */
function slotOf(index: SerialIndex, bytes: Uint8Array, serial: Uint8Array): number {
  const mask = index.length - 1;
  for (let slot = hashOf(serial) & mask; ; slot = (slot + 1) & mask) {
    const place = index[slot] ?? 0;
    if (place === 0 || isSame(serialAt(bytes, place), serial)) return slot;
  }
}

const serialAt = (bytes: Uint8Array, place: number): Uint8Array =>
  integerBytes(new DerReader(bytes, place).enter(tags.sequence).read(tags.integer));

/** FNV-1a. */
function hashOf(serial: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of serial) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash ^ (hash >>> 15);
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}
