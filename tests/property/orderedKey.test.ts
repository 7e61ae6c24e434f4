/** Keys as bytes sort like their values, and index keys come apart where they were joined. */
import { SkeinError } from '../../protocol/errors.js';
import {
  checkKey,
  decodeKey,
  encodeIndexValue,
  encodeKey,
  indexPrefixForStartsWith,
  indexValueIsCut,
  INDEXED_TEXT_BYTES_MAX,
  splitIndexKey,
} from '../../protocol/orderedKey.js';
import test from 'ava';
import * as fc from 'fast-check';

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('\0', '\x01', 'a', 'ÿ', '\uffff', '😀') }),
  fc.string({ unit: fc.constantFrom('x', 'y', '\0', '😀'), minLength: 250, maxLength: 260 }),
);
const number = fc.oneof(
  fc.double({ noNaN: true }),
  fc.maxSafeInteger(),
  fc.integer({ min: -3, max: 3 }),
);
const key = fc.oneof(
  number,
  text.filter((one) => one !== '' && Buffer.byteLength(one) < 1_000),
);
const indexed = fc.oneof(
  fc.constantFrom(null, false, true),
  number,
  fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }),
  fc.date({ noInvalidDate: true }),
  text,
);

const RANKS = ['null', 'false', 'true', 'number', 'date', 'string'];
const rank = (value: unknown): number => {
  if (value === null || typeof value === 'boolean') return RANKS.indexOf(String(value));
  if (value instanceof Date) return RANKS.indexOf('date');
  return RANKS.indexOf(typeof value === 'bigint' ? 'number' : typeof value);
};
/** The order the comment of protocol/orderedKey.ts promises, worked out on values. */
const compare = (left: unknown, right: unknown): number => {
  const byRank = rank(left) - rank(right);
  if (byRank !== 0) return Math.sign(byRank);
  if (typeof left === 'string') return compareTexts(left, String(right));
  const [one, other] = [left, right] as (number | bigint | Date)[];
  if (one === undefined || other === undefined) return 0;
  return Number(one > other) - Number(one < other);
};
const compareTexts = (left: string, right: string): number => {
  const others = [...right];
  for (const [index, character] of [...left].entries()) {
    const other = others[index];
    if (other === undefined) return 1;
    const difference = (character.codePointAt(0) ?? 0) - (other.codePointAt(0) ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return [...left].length === others.length ? 0 : -1;
};
const indexBytes = (value: unknown): Buffer => {
  const bytes = encodeIndexValue(value);
  if (bytes === undefined) throw new Error('not indexed');
  return bytes;
};
const runs = { numRuns: 2_000 };

test('keys sort like their values and come back', (t) => {
  fc.assert(
    fc.property(key, key, (left, right) => {
      const bytes = encodeKey(left);
      checkKey(bytes);
      return (
        Buffer.compare(bytes, encodeKey(right)) === compare(left, right) &&
        decodeKey(bytes) === (left === 0 ? 0 : left)
      );
    }),
    runs,
  );
  t.pass();
});

test('index values sort like their values unless both are cut alike', (t) => {
  fc.assert(
    fc.property(indexed, indexed, (left, right) => {
      const [one, other] = [indexBytes(left), indexBytes(right)];
      const order = Buffer.compare(one, other);
      return order === compare(left, right) || (order === 0 && indexValueIsCut(one));
    }),
    runs,
  );
  t.pass();
});

test('index keys sort by value, then by primary key', (t) => {
  fc.assert(
    fc.property(indexed, indexed, key, key, (left, right, leftKey, rightKey) => {
      const [one, other] = [indexBytes(left), indexBytes(right)];
      const order = Buffer.compare(
        Buffer.concat([one, encodeKey(leftKey)]),
        Buffer.concat([other, encodeKey(rightKey)]),
      );
      return order === (Buffer.compare(one, other) || compare(leftKey, rightKey));
    }),
    runs,
  );
  t.pass();
});

test('an index key is split where value and primary key were joined', (t) => {
  fc.assert(
    fc.property(fc.uint8Array(), indexed, key, (before, value, primary) => {
      const bytes = Buffer.concat([before, indexBytes(value), encodeKey(primary)]);
      const split = splitIndexKey(bytes, before.length);
      return (
        bytes.subarray(before.length, split).equals(indexBytes(value)) &&
        decodeKey(bytes.subarray(split)) === (primary === 0 ? 0 : primary)
      );
    }),
    runs,
  );
  t.pass();
});

test('a text is cut exactly when it is longer than what is indexed', (t) => {
  fc.assert(
    fc.property(text, (one) => {
      const isLong = Buffer.byteLength(one) > INDEXED_TEXT_BYTES_MAX;
      return indexValueIsCut(indexBytes(one)) === isLong;
    }),
    runs,
  );
  t.pass();
});

test('index values that begin with a prefix are the texts that begin with it', (t) => {
  fc.assert(
    fc.property(text, text, fc.boolean(), (start, rest, joined) => {
      fc.pre(Buffer.byteLength(start) <= INDEXED_TEXT_BYTES_MAX);
      const whole = joined ? start + rest : rest;
      const prefix = indexPrefixForStartsWith(start);
      const begins = indexBytes(whole).subarray(0, prefix.length).equals(prefix);
      return (
        begins ===
        Buffer.from(whole).subarray(0, Buffer.byteLength(start)).equals(Buffer.from(start))
      );
    }),
    runs,
  );
  t.pass();
});

test('whatever the bytes are, keys are read or refused', (t) => {
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc
      .tuple(fc.constantFrom(2, 5, 6, 7), fc.uint8Array({ maxLength: 12 }))
      .map(([type, rest]) => Uint8Array.of(type, ...rest)),
  );
  fc.assert(
    fc.property(bytes, (one) => {
      for (const read of [decodeKey, checkKey, indexValueIsCut]) {
        try {
          read(one);
        } catch (error) {
          if (!(error instanceof SkeinError)) throw error;
        }
      }
    }),
    runs,
  );
  t.pass();
});
