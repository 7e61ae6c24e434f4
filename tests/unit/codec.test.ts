/** Values to MessagePack and back: what is kept, what changes, what is refused and with which words. */
import { decode, encode, encodeMapOf, encodeRecord } from '../../protocol/codec.js';
import { SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import test from 'ava';

const kept: [name: string, value: unknown][] = [
  ['null', null],
  ['booleans', [true, false]],
  ['small integers', [0, 1, 127, 128, 255, 256, -1, -32, -33, -128, -129]],
  ['large integers', [2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 31), Number.MAX_SAFE_INTEGER]],
  ['fractions', [0.1, 1e308, 5e-324, NaN, Infinity, -Infinity]],
  ['texts', ['', 'a', 'ä', '€', '😀', '\0', 'x'.repeat(31), 'x'.repeat(256), 'ü'.repeat(70_000)]],
  ['dates', [new Date(0), new Date(1_700_000_000_123), new Date(-1), new Date(8.64e15)]],
  ['early dates', [new Date(-8.64e15), new Date(2 ** 34 * 1000), new Date(2 ** 32 * 1000)]],
  ['bigints', [0n, 1n, -1n, 127n, 128n, -128n, -129n, 2n ** 63n, -(2n ** 64n), 2n ** 8191n - 1n]],
  ['binary', [Buffer.alloc(0), Buffer.from([1, 2, 3]), Buffer.alloc(70_000, 7)]],
  ['containers', { list: [[], {}, [{}]], many: Array.from({ length: 70_000 }, (_, i) => i % 9) }],
  ['names of Object', { toString: 1, hasOwnProperty: 2, valueOf: 3, prototype: 4, length: 5 }],
  ['a constructor attribute', { constructor: { name: 'Date' }, when: new Date(5), n: 5n }],
  ['a constructor named like a method', { list: [{ constructor: { name: 'toString' }, a: 1 }] }],
  ['flags of 64-bit integers', { _isUint64BE: true, _isInt64BE: [1, { _isInt64BE: true }] }],
  ['10 000 attributes', Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, i]))],
];
for (const [name, value] of kept) {
  test(`comes back as it was: ${name}`, (t) => {
    t.deepEqual(decode(encode(value)), value);
  });
}

test('undefined attributes are gone, undefined elements are null', (t) => {
  t.deepEqual(decode(encode({ a: undefined, b: [undefined, 1], c: { d: undefined } })), {
    b: [null, 1],
    c: {},
  });
  t.is(decode(encode(undefined)), null);
});

test('minus zero is zero', (t) => {
  t.deepEqual(encode([-0, { a: -0 }]), encode([0, { a: 0 }]));
});

test('a Uint8Array comes back as a Buffer of its own', (t) => {
  const encoded = encode({ bytes: new Uint8Array([1, 2, 3]).subarray(1) });
  const back = decode(encoded) as { bytes: Buffer };
  t.deepEqual(back.bytes, Buffer.from([2, 3]));
  encoded.fill(0);
  t.deepEqual(back.bytes, Buffer.from([2, 3]));
});

test('objects without a prototype are kept, with the prototype of Object', (t) => {
  const bare = Object.assign(Object.create(null), { a: 1 }) as object;
  t.is(Object.getPrototypeOf(decode(encode(bare))), Object.prototype);
});

const fixtures: [value: unknown, hex: string][] = [
  [{ id: 'a', n: 1 }, '82a26964a161a16e01'],
  [[1.5, -1, 300, true, null], '95cb3ff8000000000000ffcd012cc3c0'],
  [new Date(1_000), 'd6ff00000001'],
  [new Date(1_500), 'd7ff7735940000000001'],
  [new Date(-1_000), 'c70cff00000000ffffffffffffffff'],
  [255n, 'd54200ff'],
  [-256n, 'd542ff00'],
  [-1n, 'd442ff'],
  [new Uint8Array([9]), 'c40109'],
  [{ constructor: [1n], ä: -0 }, '82ab636f6e7374727563746f7291d44201a2c3a400'],
];
for (const [index, [value, hex]] of fixtures.entries()) {
  test(`bytes of fixture ${index} stay ${hex}`, (t) => {
    t.is(encode(value).toString('hex'), hex);
  });
}

test('encoded bytes are not touched by later encoding', (t) => {
  const first = encode({ a: 'first' });
  const before = Buffer.from(first);
  for (let round = 0; round < 2_000; round += 1) encode({ a: 'other', round });
  t.deepEqual(first, before);
});

test('a small value does not hold the memory of a larger one before it', (t) => {
  const sizes = [1, 5_000, 10_000].map((length) => encode('x'.repeat(length)).length);
  t.deepEqual(sizes, [2, 5_003, 10_003]);
  t.true(encode('small').buffer.byteLength <= Buffer.poolSize);
});

test('an encoder that failed half-way leaves nothing in the next value', (t) => {
  const trap = {
    a: 'written first',
    get b(): number {
      calls += 1;
      if (calls === 2) throw new RangeError('second reading');
      return 1;
    },
  };
  let calls = 0;
  t.throws(() => encode(trap), { message: 'second reading' });
  t.is(encode(1).toString('hex'), '01');
});

class Point {
  readonly x = 1;
}
class OwnDate extends Date {}
const circle: Record<string, unknown> = { a: [] };
(circle['a'] as unknown[]).push(1, circle);
const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { v: value };
  return value;
};

const refused: [name: string, value: unknown, message: RegExp][] = [
  [
    'a function',
    { a: [{ b: () => 1 }] },
    /^records\[0\]\.a\[0\]\.b is a function; null, a boolean/,
  ],
  ['a symbol', { s: Symbol('x') }, /^records\[0\]\.s is a symbol; /],
  [
    'a Map',
    { m: new Map() },
    /^records\[0\]\.m is an instance of Map; .*plain object was expected$/,
  ],
  ['a Set', [new Set()], /^records\[0\]\[0\] is an instance of Set; /],
  ['a class instance', { p: new Point() }, /^records\[0\]\.p is an instance of Point; /],
  ['a kind of Date', { d: new OwnDate() }, /^records\[0\]\.d is an instance of OwnDate; /],
  ['an invalid Date', { d: new Date(NaN) }, /^records\[0\]\.d is an invalid Date$/],
  [
    'a boxed number',
    { 'a b': Object(1) as unknown },
    /^records\[0\]\["a b"\] is an instance of Number; /,
  ],
  ['other typed arrays', new Float32Array(1), /^records\[0\] is an instance of Float32Array; /],
  ['a cycle', { x: circle }, /^records\[0\]\.x\.a\[1\] contains itself$/],
  ['a lone surrogate', { t: 'a\ud800' }, /^records\[0\]\.t contains half a surrogate pair$/],
  [
    'a lone surrogate in a name',
    { '\udc00': 1 },
    /^records\[0\]\["\\udc00"\] has half a surrogate pair/,
  ],
  [
    'an own __proto__ attribute',
    JSON.parse('{"a":{"__proto__":{"admin":true}}}') as unknown,
    /^records\[0\]\.a\.__proto__ is no name for an attribute$/,
  ],
  [
    'an enormous bigint',
    { b: 2n ** 8191n },
    /^records\[0\]\.b is a bigint of more than 1024 bytes$/,
  ],
  [
    'deep nesting',
    nested(limits.nestingMax + 1),
    /^records\[0\].* is nested more than 64 levels deep$/,
  ],
  ['very deep nesting', nested(100_000), /is nested more than 64 levels deep$/],
];
for (const [name, value, message] of refused) {
  test(`is refused with its place: ${name}`, (t) => {
    t.throws(() => encode(value, 'records[0]'), {
      instanceOf: SkeinError,
      code: 'INVALID_REQUEST',
      message,
    });
  });
}

test('the deepest nesting allowed comes back', (t) => {
  const value = nested(limits.nestingMax);
  t.deepEqual(decode(encode(value)), value);
});

test('the same object twice is no cycle', (t) => {
  const shared = { a: 1 };
  t.deepEqual(decode(encode([shared, { shared }])), [{ a: 1 }, { shared: { a: 1 } }]);
});

for (const [value, words] of [
  [[], 'an array'],
  ['text', 'a string'],
  [null, 'null'],
  [undefined, 'undefined'],
  [new Date(0), 'an instance of Date'],
] as const) {
  test(`a record cannot be ${words}`, (t) => {
    t.throws(() => encodeRecord(value, 'records[3]'), {
      code: 'INVALID_REQUEST',
      message: `records[3] must be an object, not ${words}`,
    });
  });
}

test('a record is encoded like its value', (t) => {
  t.deepEqual(encodeRecord({ id: 1, a: [2] }), encode({ id: 1, a: [2] }));
});

for (const count of [0, 1, 15, 16, 300, 70_000]) {
  test(`a map of ${count} encoded values is what encoding the object gives`, (t) => {
    const record = Object.fromEntries(Array.from({ length: count }, (_, i) => [`name ${i}`, [i]]));
    const entries = Object.entries(record).map(([name, one]) => [name, encode(one)] as const);
    t.deepEqual(encodeMapOf(entries, count), encode(record));
  });
}

test('names of every length are written in their shortest form', (t) => {
  for (const length of [0, 1, 31, 32, 255, 256, 65_535, 65_536]) {
    const name = 'n'.repeat(length);
    t.deepEqual(encodeMapOf([[name, encode(1)]], 1), encode({ [name]: 1 }), `length ${length}`);
  }
});

test('a composed map refuses the name __proto__ and a wrong count', (t) => {
  t.throws(() => encodeMapOf([['__proto__', encode(1)]], 1), { code: 'INVALID_REQUEST' });
  t.throws(() => encodeMapOf([], 1), { message: 'a map of 1 entries was given 0' });
});

test('decoding does not touch any prototype', (t) => {
  const hostile = Buffer.from('81a95f5f70726f746f5f5f81a561646d696ec3', 'hex');
  t.throws(() => decode(hostile), {
    code: 'MALFORMED',
    message: 'the map key __proto__ at byte 1',
  });
  t.false('admin' in {});
});
