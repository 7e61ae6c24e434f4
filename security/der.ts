/**
 * Bytes in DER (X.690), read element by element without copying and without building a tree, and the few elements that
 * are written. Called by the readers of certificates, revocation lists and OCSP answers. Takes only DER: definite,
 * shortest lengths and tags of one byte; anything else is MALFORMED, and nothing is read beyond its element.
 */
import { SkeinError } from '../protocol/errors.js';

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** `[n]` with elements inside, and `[n]` with bytes inside. */
export const constructedTag = (n: number): number => 0xa0 | n;
export const primitiveTag = (n: number): number => 0x80 | n;

/** One element where it stands: its header begins at `start`, its content is `from` to `to` (exclusive). */
export interface DerElement {
  readonly bytes: Uint8Array;
  readonly tag: number;
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

/** Walks the elements inside an element, or inside whole bytes. Every method throws MALFORMED. */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #offset: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.#offset >= this.#end;
  }

  /** The next element, whatever it is. */
  any(): DerElement {
    const element = elementAt(this.#bytes, this.#offset, this.#end);
    this.#offset = element.to;
    return element;
  }

  read(tag: number): DerElement {
    const element = this.any();
    if (element.tag !== tag)
      throw malformed(`tag ${element.tag} where ${tag} belongs`, element.start);
    return element;
  }

  optional(...tagsTaken: readonly number[]): DerElement | undefined {
    const tag = this.#bytes[this.#offset];
    return !this.done && tag !== undefined && tagsTaken.includes(tag) ? this.any() : undefined;
  }

  enter(tag: number): DerReader {
    return inside(this.read(tag));
  }

  /** Throws when anything is left. */
  finish(): void {
    if (!this.done) throw malformed('bytes after the last element', this.#offset);
  }
}

export const inside = (element: DerElement): DerReader =>
  new DerReader(element.bytes, element.from, element.to);

/** The one element that these bytes are. */
export function onlyElement(bytes: Uint8Array, tag: number): DerElement {
  const reader = new DerReader(bytes);
  const element = reader.read(tag);
  reader.finish();
  return element;
}

export const contentOf = ({ bytes, from, to }: DerElement): Uint8Array => bytes.subarray(from, to);

/** The element with its header. */
export const wholeOf = ({ bytes, start, to }: DerElement): Uint8Array => bytes.subarray(start, to);

/** Content of an INTEGER without leading zero bytes: the number, when it is not negative. */
export function integerBytes(element: DerElement): Uint8Array {
  const content = contentOf(element);
  if (element.tag !== tags.integer || content.length === 0)
    throw malformed('no integer', element.start);
  let zeros = 0;
  while (zeros < content.length - 1 && content[zeros] === 0) zeros += 1;
  return content.subarray(zeros);
}

/** An INTEGER or ENUMERATED from 0 to 2^31 - 1. */
export function smallNumber(element: DerElement): number {
  const content = contentOf(element);
  const first = content[0];
  if (first === undefined || first >= 0x80 || content.length > 4)
    throw malformed('no small number', element.start);
  return content.reduce((number, byte) => number * 256 + byte, 0);
}

export function booleanOf(element: DerElement): boolean {
  const content = contentOf(element);
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff))
    throw malformed('no boolean', element.start);
  return content[0] === 0xff;
}

/** A BIT STRING of whole bytes, as keys and signatures are. */
export function bitStringBytes(element: DerElement): Uint8Array {
  const content = contentOf(element);
  if (content[0] !== 0) throw malformed('no bit string of whole bytes', element.start);
  return content.subarray(1);
}

/** Whether bit `index` of a BIT STRING is set, counted from the left; bits that are not there are not set. */
export function bitOf(element: DerElement, index: number): boolean {
  const byte = contentOf(element)[1 + (index >> 3)];
  return byte !== undefined && (byte & (0x80 >> (index & 7))) !== 0;
}

const ARC_MAX = 2 ** 45;
const IDENTIFIER_BYTES_MAX = 64;

/** `2.5.29.31` */
export function identifierOf(element: DerElement): string {
  const content = contentOf(element);
  const last = content.at(-1);
  if (last === undefined || last >= 0x80 || content.length > IDENTIFIER_BYTES_MAX)
    throw malformed('no object identifier', element.start);
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if (arc > ARC_MAX) throw malformed('an object identifier that is too large', element.start);
    if (byte < 0x80) {
      if (arcs.length === 0) arcs.push(Math.min(Math.floor(arc / 40), 2));
      arcs.push(arcs.length === 1 ? arc - (arcs[0] ?? 0) * 40 : arc);
      arc = 0;
    }
  }
  return arcs.join('.');
}

/** Milliseconds since the epoch of a UTCTime or GeneralizedTime as RFC 5280 (4.1.2.5) writes them. */
export function timeOf(element: DerElement): number {
  const long = element.tag === tags.generalizedTime;
  const content = contentOf(element);
  const digits = long ? 14 : 12;
  if ((!long && element.tag !== tags.utcTime) || content.length !== digits + 1)
    throw malformed('no time', element.start);
  if (content[digits] !== 0x5a) throw malformed('a time that is not in UTC', element.start);
  const pair = (at: number): number => twoDigits(element, content, at);
  const rest = digits - 10;
  const year = long ? pair(0) * 100 + pair(2) : pair(0) + (pair(0) < 50 ? 2000 : 1900);
  const [month, day] = [pair(rest), pair(rest + 2)];
  const [hour, minute, second] = [pair(rest + 4), pair(rest + 6), pair(rest + 8)];
  const time = Date.UTC(year, month - 1, day, hour, minute, second);
  const isThere = month >= 1 && month <= 12 && day >= 1 && hour < 24 && minute < 60 && second < 60;
  if (!isThere || year < 100 || new Date(time).getUTCDate() !== day)
    throw malformed('a time that does not exist', element.start);
  return time;
}

const ZERO = 0x30;

function twoDigits(element: DerElement, content: Uint8Array, at: number): number {
  const tens = (content[at] ?? 0) - ZERO;
  const ones = (content[at + 1] ?? 0) - ZERO;
  if (tens < 0 || tens > 9 || ones < 0 || ones > 9)
    throw malformed('a time with other characters', element.start);
  return tens * 10 + ones;
}

/** An element of these parts, which are its content. */
export function derElement(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(content.length)]), content]);
}

/** A whole, non-negative number, given by its bytes. */
export function derInteger(bytes: Uint8Array): Buffer {
  const negative = (bytes[0] ?? 0) >= 0x80;
  return derElement(tags.integer, Buffer.from(negative || bytes.length === 0 ? [0] : []), bytes);
}

export function derIdentifier(text: string): Buffer {
  const [first = 0, second = 0, ...others] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...others].flatMap((arc) => {
    const groups = [arc % 128];
    for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128))
      groups.unshift((rest % 128) | 0x80);
    return groups;
  });
  return derElement(tags.objectIdentifier, Buffer.from(bytes));
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

function elementAt(bytes: Uint8Array, start: number, end: number): DerElement {
  const tag = bytes[start];
  const first = bytes[start + 1];
  if (tag === undefined || first === undefined) throw malformed('ends within an element', start);
  if ((tag & 0x1f) === 0x1f) throw malformed('a tag of several bytes', start);
  const count = first < 0x80 ? 0 : first & 0x7f;
  const from = start + 2 + count;
  const length = count === 0 && first < 0x80 ? first : longLength(bytes, start + 2, count);
  if (from + length > end) throw malformed('an element that is longer than what holds it', start);
  return { bytes, tag, start, from, to: from + length };
}

/** Shortest form only, so that equal values are equal bytes; four bytes are far above every bound of ours. */
function longLength(bytes: Uint8Array, at: number, count: number): number {
  if (count === 0 || count > 4) throw malformed('a length that is not DER', at);
  let length = 0;
  for (let index = 0; index < count; index += 1) length = length * 256 + (bytes[at + index] ?? 0);
  if (length < 0x80 || length < 256 ** (count - 1)) throw malformed('a length that is not DER', at);
  return length;
}

/** MALFORMED with what was met and where, in bytes from the beginning. */
export const malformed = (what: string, at: number): SkeinError =>
  new SkeinError('MALFORMED', `DER at byte ${at}: ${what}`);
