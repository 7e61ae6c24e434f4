/** The codec on any value and any bytes: nothing is lost silently, nothing but MALFORMED is thrown. */
import { guard } from '../../protocol/byteGuard.js';
import { ByteReader, ByteWriter } from '../../protocol/bytes.js';
import { decode, encode, encodeMapOf } from '../../protocol/codec.js';
import { SkeinError } from '../../protocol/errors.js';
import { encodeIndexValue, encodeIndexValueFromEncoded } from '../../protocol/orderedKey.js';
import { createPicker, mapEntries, pick, skipValue } from '../../protocol/skipScan.js';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import * as fc from 'fast-check';

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.string({ minLength: 30, maxLength: 40 }),
);
const name = fc.oneof(
  { weight: 5, arbitrary: text.filter((one) => one !== '__proto__') },
  fc.constantFrom('constructor', '_isUint64BE', '_isInt64BE', 'toString', 'a', 'b', '7', 'length'),
);
const leaf = fc.oneof(
  fc.constantFrom(null, undefined, true, false, -0, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  text,
  fc.bigInt({ min: -(2n ** 130n), max: 2n ** 130n }),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array(),
);
const { value, record } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    { weight: 4, arbitrary: leaf },
    fc.array(tie('value'), { maxLength: 20 }),
    tie('record'),
  ),
  record: fc.dictionary(name, tie('value'), { maxKeys: 20 }),
}));

/** What the comment of protocol/codec.ts says comes back. */
const normalised = (one: unknown): unknown => {
  if (one === undefined) return null;
  if (one === 0) return 0;
  if (typeof one !== 'object' || one === null || one instanceof Date) return one;
  if (one instanceof Uint8Array) return Buffer.from(one);
  if (Array.isArray(one)) return one.map(normalised);
  const there = Object.entries(one).filter(([, part]) => part !== undefined);
  return Object.fromEntries(there.map(([key, part]) => [key, normalised(part)]));
};

const runs = { numRuns: 400 };
/** The value of `act`, or undefined if it refused; anything but a SkeinError goes on. */
const unlessRefused = <Result>(act: () => Result): Result | undefined => {
  try {
    return act();
  } catch (error) {
    if (error instanceof SkeinError) return undefined;
    throw error;
  }
};

test('any value comes back as documented', (t) => {
  fc.assert(
    fc.property(value, (one) => isDeepStrictEqual(decode(encode(one)), normalised(one))),
    runs,
  );
  t.pass();
});

test('bytes do not depend on which way a value is encoded', (t) => {
  fc.assert(
    fc.property(value, (one) => {
      const direct = encode([one]);
      const composed = encode({ constructor: null, v: [one] });
      return direct.equals(createPicker(['v'])(composed)[0] ?? Buffer.alloc(0));
    }),
    runs,
  );
  t.pass();
});

test('encoding again what was decoded gives the same bytes', (t) => {
  fc.assert(
    fc.property(value, (one) => encode(decode(encode(one))).equals(encode(normalised(one)))),
    runs,
  );
  t.pass();
});

test('the entries of a record are what decoding gives, and make the record again', (t) => {
  fc.assert(
    fc.property(record, (one) => {
      const bytes = encode(one);
      const parts = mapEntries(bytes).map(
        (entry) => [entry.name, bytes.subarray(entry.start, entry.end)] as const,
      );
      const decoded = Object.fromEntries(parts.map(([key, part]) => [key, decode(part)]));
      return (
        isDeepStrictEqual(decoded, decode(bytes)) && encodeMapOf(parts, parts.length).equals(bytes)
      );
    }),
    runs,
  );
  t.pass();
});

test('index values come straight from the bytes as from the value', (t) => {
  fc.assert(
    fc.property(leaf, (one) => {
      const direct = encodeIndexValueFromEncoded(encode(one));
      return isDeepStrictEqual(direct, encodeIndexValue(normalised(one)));
    }),
    { numRuns: 1_000 },
  );
  t.pass();
});

/** Valid bytes with a few of them changed, cut or repeated. */
const damaged = fc
  .tuple(
    value,
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    fc.nat({ max: 3 }),
    fc.nat(),
  )
  .map(([one, changes, cut, seam]) => {
    const bytes = encode(one);
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    const part = bytes.subarray(0, bytes.length - (cut % bytes.length));
    return seam % 3 === 0 ? Buffer.concat([part, part.subarray(seam % part.length)]) : part;
  });
/** Any bytes, and bytes that are mostly MessagePack heads. */
const anyBytes = fc.oneof(
  damaged,
  fc.uint8Array({ maxLength: 300 }),
  fc
    .array(fc.constantFrom(0x81, 0x92, 0xa1, 0x61, 0xdc, 0xde, 0xd9, 0xc7, 0xff, 0x42, 0, 1))
    .map((bytes) => Uint8Array.from(bytes)),
);

test('whatever the bytes are, decoding answers or refuses, and what it answers can be kept', (t) => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const decoded = unlessRefused(() => ({ value: decode(bytes) }));
      if (decoded === undefined) return true;
      const again = encode(decoded.value);
      return encode(decode(again)).equals(again);
    }),
    { numRuns: 3_000 },
  );
  t.pass();
});

test('whatever the bytes are, the scanner answers or refuses', (t) => {
  const readers: ((bytes: Uint8Array) => unknown)[] = [
    mapEntries,
    (bytes) => pick(bytes, ['a', '']),
    (bytes) => skipValue(bytes, 0),
    (bytes) => skipValue(bytes, bytes.length >> 1),
    encodeIndexValueFromEncoded,
    (bytes) => guard(bytes, bytes.length >> 1),
  ];
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      for (const read of readers) unlessRefused(() => read(bytes));
    }),
    { numRuns: 3_000 },
  );
  t.pass();
});

test('where the guard accepts, skipping ends at the end and entries agree with decoding', (t) => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const decoded = unlessRefused(() => ({ value: decode(bytes) }))?.value;
      if (decoded === undefined) return true;
      if (skipValue(bytes, 0) !== bytes.length) return false;
      if (typeof decoded !== 'object' || decoded?.constructor !== Object) return true;
      const parts = mapEntries(bytes).map(
        (entry) => [entry.name, decode(bytes.subarray(entry.start, entry.end))] as const,
      );
      return isDeepStrictEqual(Object.fromEntries(parts), decoded);
    }),
    { numRuns: 3_000 },
  );
  t.pass();
});

const field = fc.oneof(
  fc.record({ kind: fc.constantFrom('u8' as const), value: fc.nat(255) }),
  fc.record({ kind: fc.constantFrom('u16' as const), value: fc.nat(65_535) }),
  fc.record({ kind: fc.constantFrom('u32' as const), value: fc.nat(2 ** 31 - 1) }),
  fc.record({
    kind: fc.constantFrom('u64' as const, 'varint' as const),
    value: fc.maxSafeNat(),
  }),
  fc.record({ kind: fc.constantFrom('varint' as const, 'u48' as const), value: fc.nat(70_000) }),
);

test('fields and texts written in any order are read back', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(field, text)), (fields) => {
      const writer = new ByteWriter(16);
      for (const [{ kind, value: number }, words] of fields) writer[kind](number).shortText(words);
      const reader = new ByteReader(writer.view());
      const same = fields.every(
        ([{ kind, value: number }, words]) =>
          reader[kind]() === number && reader.shortText() === words,
      );
      reader.end();
      return same;
    }),
    runs,
  );
  t.pass();
});

test('whatever the bytes are, a reader answers or refuses', (t) => {
  const reads = ['u8', 'u16', 'u32', 'u48', 'u64', 'f64', 'varint', 'shortText', 'end'] as const;
  fc.assert(
    fc.property(fc.uint8Array(), fc.array(fc.constantFrom(...reads)), (bytes, calls) => {
      const reader = new ByteReader(bytes);
      for (const call of calls) unlessRefused(() => reader[call]());
      return reader.left >= 0 && reader.offset <= bytes.length;
    }),
    runs,
  );
  t.pass();
});
