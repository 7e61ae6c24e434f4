/**
 * Finds values inside an encoded record without decoding the others: for indexes, for merging by
 * attribute and for answers that ask for few attributes. Called by storage/ and by the row join.
 * The bytes have passed the guard before; here they are only read within their bounds.
 * Of duplicate keys the last one counts, as everywhere.
 */
import { asBuffer, malformed } from './bytes.js';
import {
  ARRAY,
  BYTES,
  declaredLength,
  EXTENSION,
  HEAD_BYTES,
  KIND,
  MAP,
  textStart,
} from './messagePackTypes.js';

/** An attribute of an encoded record; `start` to `end` are the bytes of its value. */
export interface MapEntry {
  name: string;
  start: number;
  end: number;
}

/** Where the value at `offset` ends. MALFORMED if the bytes end before. */
export const skipValue = (bytes: Uint8Array, offset: number): number => {
  let at = offset;
  /** Values still to skip, whatever container they are in. */
  let owed = 1;
  while (owed > 0) {
    const kind = KIND[bytes[at] as number] as number;
    const next = at + (HEAD_BYTES[bytes[at] as number] as number);
    if (!(next <= bytes.length)) throw malformed('the bytes end inside a value', at);
    owed -= 1;
    if (kind === ARRAY) owed += declaredLength(bytes, at);
    else if (kind === MAP) owed += declaredLength(bytes, at) * 2;
    else if (kind === BYTES || kind === EXTENSION) {
      at = next + declaredLength(bytes, at);
      continue;
    }
    at = next;
  }
  if (at > bytes.length) throw malformed('the bytes end inside a value', offset);
  return at;
};

/** The attributes of a record in the order of its bytes, duplicates included. MALFORMED if it is no map. */
export const mapEntries = (bytes: Uint8Array): MapEntry[] => {
  const buffer = asBuffer(bytes);
  const entries: MapEntry[] = [];
  let at = startOfEntries(bytes);
  for (let left = entryCount(bytes); left > 0; left -= 1) {
    const nameStart = startOfName(bytes, at);
    const start = skipValue(bytes, at);
    const end = skipValue(bytes, start);
    entries.push({ name: buffer.toString('utf8', nameStart, start), start, end });
    at = end;
  }
  return entries;
};

/** The encoded values of the attributes called `names` that are there, as views of `bytes`. */
export const pick = (bytes: Uint8Array, names: Iterable<string>): Map<string, Buffer> => {
  const list = [...names];
  const values = createPicker(list)(bytes);
  const found = new Map<string, Buffer>();
  for (const [index, name] of list.entries()) {
    const value = values[index];
    if (value !== undefined) found.set(name, value);
  }
  return found;
};

/**
 * A function that picks always the same attributes: it answers their encoded values, as views and
 * in the order of `names`, undefined for those that are absent. Key bytes are compared; no text
 * is made.
 */
export const createPicker = (
  names: readonly string[],
): ((bytes: Uint8Array) => (Buffer | undefined)[]) => {
  const wanted = names.map((name) => Buffer.from(name));
  return (bytes) => {
    const buffer = asBuffer(bytes);
    const values: (Buffer | undefined)[] = Array.from({ length: wanted.length });
    let at = startOfEntries(bytes);
    for (let left = entryCount(bytes); left > 0; left -= 1) {
      const nameStart = startOfName(bytes, at);
      const start = skipValue(bytes, at);
      at = skipValue(bytes, start);
      const index = indexOfName(wanted, bytes, nameStart, start);
      if (index >= 0) values[index] = buffer.subarray(start, at);
    }
    return values;
  };
};

const entryCount = (bytes: Uint8Array): number => declaredLength(bytes, 0);

const startOfEntries = (bytes: Uint8Array): number => {
  const type = bytes[0] ?? 0;
  const start = HEAD_BYTES[type] as number;
  if (KIND[type] !== MAP || start > bytes.length) throw malformed('no record', 0);
  return start;
};

const startOfName = (bytes: Uint8Array, at: number): number => {
  const start = textStart(bytes, at);
  if (start < 0) throw malformed('a map key that is no text', at);
  return start;
};

const indexOfName = (
  wanted: readonly Buffer[],
  bytes: Uint8Array,
  start: number,
  end: number,
): number => {
  const length = end - start;
  for (let index = 0; index < wanted.length; index += 1) {
    const name = wanted[index] as Buffer;
    if (name.length === length && isAt(name, bytes, start)) return index;
  }
  return -1;
};

const isAt = (name: Buffer, bytes: Uint8Array, start: number): boolean => {
  for (let index = 0; index < name.length; index += 1) {
    if (name[index] !== bytes[start + index]) return false;
  }
  return true;
};
