/**
 * Values for fuzzing: valid objects in which one thing is of another kind, gone, or too much. Called by fuzzTargets.ts.
 */
import { oneOf, type Draw } from './fuzzBytes.js';

/** What fields are seldom tested with. */
const HOSTILE: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 2 ** 53,
  () => 1e308,
  () => '',
  () => '../../etc/passwd',
  () => 'x'.repeat(3_000),
  () => '\u0000\u001b[31m\n',
  () => '\ud800',
  () => '__proto__',
  () => 'constructor',
  () => [],
  () => Array.from({ length: 500 }, () => 'a'),
  () => nested(70),
  () => ({}),
  () =>
    JSON.parse(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    ) as unknown,
  () => ({ toString: 1, valueOf: 2, length: -1, type: 'Buffer', data: [1] }),
];

/** A copy of `value` with one to three places spoiled. Nothing but objects, arrays and plain values comes back. */
export const spoiled = (draw: Draw, value: object): unknown => {
  let copy: unknown = structuredClone(value);
  for (let left = 1 + draw(3); left > 0; left--) copy = spoil(draw, copy);
  return copy;
};

const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
};

const spoil = (draw: Draw, value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value))
    return oneOf(draw, HOSTILE)();
  const keys = Object.keys(value);
  if (keys.length === 0) return oneOf(draw, HOSTILE)();
  const key = oneOf(draw, keys);
  const fields = value as Record<string, unknown>;
  const field = fields[key];
  const [how, isHeld] = [draw(9), typeof field === 'object' && field !== null];
  // Deeper more often than not, where there is anything.
  if (isHeld && how < 6) fields[key] = spoil(draw, field);
  else if (how === 7) delete fields[key];
  else if (how === 8 && !Array.isArray(value)) fields[`${key}x`] = oneOf(draw, HOSTILE)();
  else fields[key] = oneOf(draw, HOSTILE)();
  return value;
};
