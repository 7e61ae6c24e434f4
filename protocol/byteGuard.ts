/**
 * Looks at MessagePack bytes before anything decodes them: one pass without recursion, bounded
 * by the bytes that are there, whatever lengths they declare. Called by codec.ts before every
 * decode and by receivers that store record bytes without decoding them.
 * Not checked: UTF-8 (bad bytes read as U+FFFD) and duplicate keys (the last one counts everywhere).
 */
import { asBuffer, malformed } from './bytes.js';
import { extensionFault } from './extensions.js';
import { limits } from './limits.js';
import {
  ARRAY,
  BYTES,
  declaredLength,
  FIXED,
  HEAD_BYTES,
  INTEGER_64,
  KIND,
  MAP,
  textStart,
  UNUSED,
} from './messagePackTypes.js';

/**
 * Accepts exactly one value from `start` to `end`. Otherwise MALFORMED, with the offset and what
 * is wrong: bytes missing or left over, more than `limits.nestingMax` levels, the unused type,
 * extension types that are not ours, integers beyond 2^53 - 1, map keys that are no text or are
 * `__proto__`.
 */
export const guard = (bytes: Uint8Array, start = 0, end: number = bytes.length): void => {
  /** Of each container around the current one: twice the values it still waits for, 1 more for a map. */
  const outside: number[] = [];
  /** Values the current container waits for; keys and values of a map both count. */
  let pending = 1;
  let isMap = false;
  /** The same over all open containers. Each takes a byte or more, so it never exceeds the bytes left. */
  let owed = 1;
  let at = start;
  while (owed > 0) {
    if (pending === 0) {
      const saved = outside.pop() as number;
      isMap = saved % 2 === 1;
      pending = (saved - (isMap ? 1 : 0)) / 2;
      continue;
    }
    const isKey = isMap && pending % 2 === 0;
    pending -= 1;
    owed -= 1;
    const kind = KIND[bytes[at] as number] as number;
    const next = isKey ? endOfKey(bytes, at, end) : endOfHead(bytes, at, end, kind);
    if (kind === ARRAY || kind === MAP) {
      const count = declaredLength(bytes, at) * (kind === MAP ? 2 : 1);
      owed += count;
      if (owed > end - next) throw malformed('more values declared than there are bytes', at);
      outside.push(pending * 2 + (isMap ? 1 : 0));
      if (outside.length > limits.nestingMax) throw malformed('values nested too deeply', at);
      pending = count;
      isMap = kind === MAP;
    }
    at = next;
  }
  if (at !== end) throw malformed(`${end - at} bytes after the value`, at);
};

/** Where the value at `at` ends; of a container, its head. */
const endOfHead = (bytes: Uint8Array, at: number, end: number, kind: number): number => {
  const next = at + (HEAD_BYTES[bytes[at] as number] as number);
  // Negated, because past the end of the array the type is undefined and the sum no number.
  if (!(next <= end)) throw malformed('the bytes end inside a value', at);
  if (kind === FIXED || kind === ARRAY || kind === MAP) return next;
  if (kind === BYTES) return endOfPayload(next + declaredLength(bytes, at), end, at);
  return endOfRareValue(bytes, at, { next, end, kind });
};

const endOfPayload = (next: number, end: number, at: number): number => {
  if (next > end) throw malformed('the bytes end inside a value', at);
  return next;
};

const endOfRareValue = (
  bytes: Uint8Array,
  at: number,
  head: { next: number; end: number; kind: number },
): number => {
  if (head.kind === UNUSED) throw malformed('the unused type 0xc1', at);
  if (head.kind === INTEGER_64) {
    requireSafeInteger(asBuffer(bytes), at);
    return head.next;
  }
  const byteLength = declaredLength(bytes, at);
  const next = endOfPayload(head.next + byteLength, head.end, at);
  const type = bytes[head.next - 1] as number;
  const fault = extensionFault(asBuffer(bytes), { type, at: head.next, byteLength });
  if (fault !== undefined) throw malformed(fault, at);
  return next;
};

const requireSafeInteger = (bytes: Buffer, at: number): void => {
  const isSigned = bytes[at] === 0xd3;
  const value = isSigned ? bytes.readBigInt64BE(at + 1) : bytes.readBigUInt64BE(at + 1);
  if (!Number.isSafeInteger(Number(value))) throw malformed('an integer beyond 2^53 - 1', at);
};

const endOfKey = (bytes: Uint8Array, at: number, end: number): number => {
  const start = textStart(bytes, at);
  if (at < end && start < 0) throw malformed('a map key that is no text', at);
  const next = endOfHead(bytes, at, end, KIND[bytes[at] as number] as number);
  if (next - start === PROTO.length && bytes[start] === PROTO[0] && isProto(bytes, start)) {
    throw malformed('the map key __proto__', at);
  }
  return next;
};

const PROTO = Buffer.from('__proto__');

const isProto = (bytes: Uint8Array, start: number): boolean => {
  for (let index = 0; index < PROTO.length; index += 1) {
    if (bytes[start + index] !== PROTO[index]) return false;
  }
  return true;
};
