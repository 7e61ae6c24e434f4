/**
 * Bytes for fuzzing, all drawn from one seed: changes of valid inputs, and inputs that never were valid. Called by
 * fuzzRun.ts and the live fuzz. Knows nothing of what the bytes mean.
 */

/** Draws whole numbers from 0 up to but not including `limit`. */
export type Draw = (limit: number) => number;

/** The same numbers for the same seed (mulberry32; good enough to spread, not to guard). */
export const drawing = (seed: number): Draw => {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
};

export const oneOf = <Item>(draw: Draw, items: readonly Item[]): Item => {
  const item = items[draw(items.length)];
  if (item === undefined) throw new Error('nothing to draw from');
  return item;
};

/** No input grows beyond this by being changed again and again. */
const BYTES_MAX = 8_192;

/** `bytes` with one to four changes; `other` is where splices come from. The arguments stay as they are. */
export const mutated = (draw: Draw, bytes: Uint8Array, other: Uint8Array): Buffer => {
  let changed: Buffer = Buffer.from(bytes);
  for (let left = 1 + draw(4); left > 0; left--)
    changed = oneOf(draw, CHANGES)(draw, changed, other);
  return changed.subarray(0, BYTES_MAX);
};

export const noise = (draw: Draw): Buffer =>
  Buffer.from(Array.from({ length: draw(200) }, () => draw(256)));

type Change = (draw: Draw, bytes: Buffer, other: Uint8Array) => Buffer;

const overwritten = (bytes: Buffer, at: number, put: Uint8Array): Buffer => {
  const copy = Buffer.from(bytes);
  copy.set(put.subarray(0, Math.max(0, copy.length - at)), at);
  return copy;
};

/** Half of all places are near the beginning, where kinds and lengths stand. */
const place = (draw: Draw, bytes: Buffer): number =>
  draw(2) === 0 ? draw(Math.min(64, bytes.length + 1)) : draw(bytes.length + 1);

const flipBit: Change = (draw, bytes) => {
  if (bytes.length === 0) return bytes;
  const at = draw(bytes.length);
  return overwritten(bytes, at, Uint8Array.of((bytes[at] ?? 0) ^ (1 << draw(8))));
};

const setByte: Change = (draw, bytes) =>
  bytes.length === 0 ? bytes : overwritten(bytes, draw(bytes.length), Uint8Array.of(draw(256)));

/** Of MessagePack, of DER, of our own layouts. */
const LENGTHS = [
  [0xff, 0xff, 0xff, 0xff],
  [0x7f, 0xff, 0xff, 0xff],
  [0x00, 0x00, 0x00, 0x00],
  [0xdd, 0xff, 0xff, 0xff, 0xff],
  [0xdf, 0x7f, 0xff, 0xff, 0xff],
  [0xc6, 0xff, 0xff, 0xff, 0xff],
  [0xdb, 0x00, 0xff, 0xff, 0xff],
  [0x84, 0xff, 0xff, 0xff, 0xff],
  [0x30, 0x80],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
].map((bytes) => Uint8Array.from(bytes));

const lie: Change = (draw, bytes) => overwritten(bytes, place(draw, bytes), oneOf(draw, LENGTHS));

const cut: Change = (draw, bytes) => bytes.subarray(0, draw(bytes.length + 1));

const takeOut: Change = (draw, bytes) => {
  const at = place(draw, bytes);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + draw(8))]);
};

const putIn: Change = (draw, bytes) => {
  const at = place(draw, bytes);
  return Buffer.concat([bytes.subarray(0, at), noise(draw).subarray(0, 8), bytes.subarray(at)]);
};

const double: Change = (draw, bytes) => {
  const from = place(draw, bytes);
  const part = bytes.subarray(from, from + 1 + draw(64));
  return Buffer.concat([bytes.subarray(0, from), part, part, bytes.subarray(from)]);
};

const splice: Change = (draw, bytes, other) => {
  const from = draw(other.length + 1);
  const part = other.subarray(from, from + draw(64));
  return overwritten(bytes, place(draw, bytes), part);
};

const nest: Change = (draw, bytes) => {
  const level = oneOf(draw, [0x91, 0x30, 0x5b, 0x81]);
  const at = place(draw, bytes);
  const levels = Buffer.alloc(draw(2_000), level);
  return Buffer.concat([bytes.subarray(0, at), levels, bytes.subarray(at)]);
};

/** Small changes come more often: they get deeper. */
const CHANGES: readonly Change[] = [
  flipBit,
  flipBit,
  flipBit,
  setByte,
  setByte,
  setByte,
  splice,
  splice,
  lie,
  cut,
  takeOut,
  putIn,
  double,
  nest,
];
