/** Primary keys and index values as bytes: their form, their bounds, their cuts. */
import { encode } from '../../protocol/codec.js';
import { limits } from '../../protocol/limits.js';
import {
  checkKey,
  decodeKey,
  encodeIndexValue,
  encodeIndexValueFromEncoded,
  encodeKey,
  indexPrefixForStartsWith,
  indexValueIsCut,
  splitIndexKey,
} from '../../protocol/orderedKey.js';
import test from 'ava';

for (const [key, hex] of [
  ['a', '0761'],
  ['ä\0', '07c3a400'],
  [0, '058000000000000000'],
  [-0, '058000000000000000'],
  [1, '05bff0000000000000'],
  [-1, '05400fffffffffffff'],
  [Infinity, '05fff0000000000000'],
] as const) {
  test(`the key ${Object.is(key, -0) ? '-0' : JSON.stringify(key)} is ${hex}`, (t) => {
    const bytes = encodeKey(key);
    t.is(bytes.toString('hex'), hex);
    t.is(decodeKey(bytes), key === 0 ? 0 : key);
    t.notThrows(() => checkKey(bytes));
  });
}

for (const [name, key, message] of [
  ['the empty string', '', 'a primary key must not be the empty string'],
  ['NaN', NaN, 'a primary key must be a string or a number, not NaN'],
  ['null', null, 'a primary key must be a string or a number, not null'],
  ['an array', ['a'], 'a primary key must be a string or a number, not an array'],
  ['a bigint', 1n, 'a primary key must be a string or a number, not bigint'],
  ['undefined', undefined, 'a primary key must be a string or a number, not undefined'],
  ['half a surrogate pair', 'a\ud800', 'a primary key must not contain half a surrogate pair'],
] as const) {
  test(`${name} is no primary key`, (t) => {
    t.throws(() => encodeKey(key), { code: 'INVALID_REQUEST', message });
  });
}

test('the longest key is kept and one byte more is refused with both numbers', (t) => {
  const longest =
    'ü'.repeat((limits.keyBytesMax - 1) / 2) + 'x'.repeat((limits.keyBytesMax - 1) % 2);
  t.is(decodeKey(encodeKey(longest)), longest);
  t.is(encodeKey(longest).length, limits.keyBytesMax);
  t.throws(() => encodeKey(`${longest}x`), {
    code: 'KEY_TOO_LONG',
    message: `the primary key takes 1025 bytes, 1024 are allowed`,
  });
});

for (const [name, bytes] of [
  ['nothing', Buffer.alloc(0)],
  ['an empty string', Buffer.from('07', 'hex')],
  ['a number cut short', Buffer.from('0580', 'hex')],
  ['a number with a tail', Buffer.from('05800000000000000000', 'hex')],
  ['a type that is no key', Buffer.from('02', 'hex')],
] as const) {
  test(`${name} is not read as a key`, (t) => {
    t.throws(() => decodeKey(bytes), { code: 'MALFORMED' });
    t.throws(() => checkKey(bytes), { code: 'MALFORMED' });
  });
}

for (const [name, bytes] of [
  ['text that is no UTF-8', Buffer.from('07ff', 'hex')],
  ['minus zero', Buffer.from('057fffffffffffffff', 'hex')],
  ['no number', Buffer.from('05fff8000000000000', 'hex')],
  ['more bytes than a key has', Buffer.alloc(limits.keyBytesMax + 1, 7)],
] as const) {
  test(`a key from outside that is ${name} is refused`, (t) => {
    t.throws(() => checkKey(bytes), { code: 'MALFORMED' });
  });
}

for (const [value, hex] of [
  [null, '02'],
  [false, '03'],
  [true, '04'],
  [1, '05bff000000000000000'],
  [1n, '05bff000000000000000'],
  [new Date(1), '06bff000000000000000'],
  ['', '070000'],
  ['a\0b', '076100ff620000'],
] as const) {
  test(`the index value of ${String(value)} ${typeof value} is ${hex}`, (t) => {
    const bytes = encodeIndexValue(value);
    t.is(bytes?.toString('hex'), hex);
    t.deepEqual(encodeIndexValueFromEncoded(encode(value)), bytes);
    t.false(indexValueIsCut(Buffer.from(hex, 'hex')));
  });
}

for (const [name, value] of [
  ['undefined', undefined],
  ['NaN', NaN],
  ['an object', { a: 1 }],
  ['an array', [1]],
  ['binary', Buffer.from('a')],
] as const) {
  test(`${name} is not indexed`, (t) => {
    t.is(encodeIndexValue(value), undefined);
    if (value !== undefined) t.is(encodeIndexValueFromEncoded(encode(value)), undefined);
  });
}

for (const hex of ['cd0001', 'ce00000001', 'cf0000000000000001', 'd001', 'd10001', 'd200000001']) {
  test(`the integer 1 written as ${hex} is indexed like any other 1`, (t) => {
    t.deepEqual(encodeIndexValueFromEncoded(Buffer.from(hex, 'hex')), encodeIndexValue(1));
  });
}

for (const hex of ['ca3f800000', 'd30000000000000001', 'cc01']) {
  test(`the number 1 written as ${hex} is indexed like any other 1`, (t) => {
    t.deepEqual(encodeIndexValueFromEncoded(Buffer.from(hex, 'hex')), encodeIndexValue(1));
  });
}

for (const [name, hex] of [
  ['nothing', ''],
  ['half a number', 'cb00'],
  ['an unknown extension', 'd40100'],
  ['an empty bigint', 'c70042'],
] as const) {
  test(`${name} has no index value`, (t) => {
    const bytes = Buffer.from(hex, 'hex');
    t.throws(() => encodeIndexValueFromEncoded(bytes), { code: 'MALFORMED' });
  });
}

const value = (one: unknown): Buffer => encodeIndexValue(one) ?? Buffer.alloc(0);

test('a text of 256 bytes is whole, one of 257 is cut and sorts after it', (t) => {
  const whole = value('x'.repeat(256));
  const cut = value('x'.repeat(257));
  t.false(indexValueIsCut(whole));
  t.true(indexValueIsCut(cut));
  t.is(cut.length, whole.length);
  t.is(Buffer.compare(whole, cut), -1);
  t.deepEqual(encodeIndexValueFromEncoded(encode('x'.repeat(257))), cut);
});

test('a cut inside a character keeps the order', (t) => {
  const cutInside = value(`${'x'.repeat(254)}😀`);
  const shorter = value(`${'x'.repeat(254)}z`);
  t.true(indexValueIsCut(cutInside));
  t.is(Buffer.compare(shorter, cutInside), -1);
});

test('a cut text of zeros has all of them escaped', (t) => {
  const cut = value('\0'.repeat(300));
  t.is(cut.length, 1 + 256 * 2 + 2);
  t.is(splitIndexKey(cut, 0), cut.length);
  t.true(indexValueIsCut(cut));
});

test('a bigint that no number equals is cut and sorts between its neighbours', (t) => {
  const inOrder = [
    -(10n ** 400n),
    -Number.MAX_VALUE,
    -(2n ** 53n) - 3n,
    -(2 ** 53) - 2,
    -(2n ** 53n) - 1n,
    -(2 ** 53),
    2 ** 53,
    2n ** 53n + 1n,
    2 ** 53 + 2,
    2n ** 53n + 3n,
    2 ** 53 + 4,
    Number.MAX_VALUE,
    10n ** 400n,
    Infinity,
  ];
  const encoded = inOrder.map(value);
  t.deepEqual(encoded.toSorted(Buffer.compare), encoded);
  t.deepEqual(
    encoded.map((bytes) => indexValueIsCut(bytes)),
    inOrder.map((one) => typeof one === 'bigint'),
  );
  for (const one of inOrder) t.deepEqual(encodeIndexValueFromEncoded(encode(one)), value(one));
});

test('the prefix of a text is what index values of longer texts start with', (t) => {
  const prefix = indexPrefixForStartsWith('ab\0');
  const starts = (text: string): boolean => value(text).subarray(0, prefix.length).equals(prefix);
  t.true(starts('ab\0'));
  t.true(starts('ab\0c'));
  t.false(starts('ab'));
  t.false(starts('ab\x01'));
  t.deepEqual([...indexPrefixForStartsWith('')], [7]);
});

test('a prefix longer than indexed texts is that of the cut text', (t) => {
  const prefix = indexPrefixForStartsWith('y'.repeat(1_000));
  t.true(value('y'.repeat(2_000)).subarray(0, prefix.length).equals(prefix));
});

test('texts with half a surrogate pair are refused', (t) => {
  t.throws(() => encodeIndexValue('\ud800'), { code: 'INVALID_REQUEST' });
  t.throws(() => indexPrefixForStartsWith('\ud800'), { code: 'INVALID_REQUEST' });
});

for (const hex of [
  '',
  '00',
  '01',
  '08',
  '05',
  '0761',
  '076100',
  '076100ff',
  '05bff0000000000000',
]) {
  test(`an index key cannot be split in ${hex === '' ? 'nothing' : hex}`, (t) => {
    t.throws(() => splitIndexKey(Buffer.from(hex, 'hex'), 0), { code: 'MALFORMED' });
  });
}
