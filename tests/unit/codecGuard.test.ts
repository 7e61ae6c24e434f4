/** The guard in front of decoding: hostile and damaged bytes, and how little they cost. */
import { guard } from '../../protocol/byteGuard.js';
import { encode } from '../../protocol/codec.js';
import { SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import test from 'ava';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const repeated = (unit: string, bytes: number): Buffer => Buffer.alloc(bytes, unit, 'hex');

const refused: [name: string, bytes: Buffer, message: RegExp][] = [
  ['nothing', Buffer.alloc(0), /^the bytes end inside a value at byte 0$/],
  ['a text cut short', hex('a3 61 62'), /^the bytes end inside a value at byte 0$/],
  ['a length cut short', hex('91 da 00'), /^the bytes end inside a value at byte 1$/],
  ['binary cut short', hex('c4 05 01'), /^the bytes end inside a value at byte 0$/],
  ['an array cut short', hex('92 01'), /^more values declared than there are bytes at byte 0$/],
  [
    'an inner array that takes the bytes of the outer',
    hex('92 92 01 02'),
    /declared .* at byte 1$/,
  ],
  ['a map without its last value', hex('81 a1 61'), /^the bytes end inside a value at byte 3$/],
  ['bytes after the value', hex('01 02 03'), /^2 bytes after the value at byte 1$/],
  ['the unused type', hex('91 c1'), /^the unused type 0xc1 at byte 1$/],
  ['an unknown extension', hex('d4 0d 00'), /^unknown extension type 13 at byte 0$/],
  ['a timestamp of a wrong size', hex('d4 ff 00'), /^no valid timestamp at byte 0$/],
  ['a timestamp beyond Date', hex('c7 0c ff 00000000 7fffffffffffffff'), /^no valid timestamp/],
  ['a timestamp with too many nanoseconds', hex('d7 ff ffffffff 00000000'), /^no valid timestamp/],
  ['an empty bigint', hex('c7 00 42'), /^a bigint of 0 bytes/],
  [
    'an enormous bigint',
    Buffer.concat([hex('c8 0401 42'), Buffer.alloc(1025, 1)]),
    /^a bigint of 1025 bytes, 1 to 1024 allowed at byte 0$/,
  ],
  ['an unsigned integer beyond 2^53', hex('cf 0020000000000000'), /^an integer beyond 2\^53 - 1/],
  ['a signed integer beyond 2^53', hex('d3 ffe0000000000000'), /^an integer beyond 2\^53 - 1/],
  ['a map key that is a number', hex('81 01 02'), /^a map key that is no text at byte 1$/],
  ['a map key that is an array', hex('81 90 02'), /^a map key that is no text at byte 1$/],
  ['a number as key after an inner value', hex('82 a1 61 90 01 02'), /no text at byte 4$/],
  ['__proto__ after an inner value', hex('82 a1 61 80 a9 5f5f70726f746f5f5f 01'), /at byte 4$/],
  ['__proto__ in 1 byte of length', hex('81 d9 09 5f5f70726f746f5f5f 01'), /__proto__ at byte 1$/],
  ['__proto__ in 2', hex('81 da 0009 5f5f70726f746f5f5f 01'), /__proto__ at byte 1$/],
  ['__proto__ in 4', hex('81 db 00000009 5f5f70726f746f5f5f 01'), /__proto__ at byte 1$/],
  ['__proto__ further in', hex('82 a1 61 91 81 a9 5f5f70726f746f5f5f 01 a1 62 01'), /at byte 5$/],
  ['an array of 4 G', hex('dd ffffffff'), /^more values declared/],
  ['a map of 4 G', hex('df ffffffff'), /^more values declared/],
  ['a text of 4 G', hex('db ffffffff'), /^the bytes end inside a value/],
  ['binary of 4 G', hex('c6 ffffffff'), /^the bytes end inside a value/],
  ['an extension of 4 G', hex('c9 ffffffff ff'), /^the bytes end inside a value/],
  ['one level too many', repeated('91', limits.nestingMax + 1), /declared|nested too deeply/],
  ['a million levels', repeated('91', 1_000_000), /^values nested too deeply at byte 64$/],
  ['levels of maps', repeated('81a161', 300_000), /^values nested too deeply at byte 192$/],
];
for (const [name, bytes, message] of refused) {
  test(`refuses ${name}`, (t) => {
    t.throws(() => guard(bytes), { instanceOf: SkeinError, code: 'MALFORMED', message });
  });
}

for (const [name, bytes] of [
  ['63 KB of nested array headers', repeated('dcffff', 63_000)],
  ['300 KB of nested array headers', repeated('dcffff', 300_000)],
  ['10 MB of nested array headers', repeated('dcffff', 10_000_000)],
  ['400 KB of nested map headers', repeated('deffff', 400_000)],
  ['400 KB of nested maps with keys', repeated('deffffa0', 400_000)],
] as const) {
  test(`SE-23 refuses ${name} without work or memory`, (t) => {
    const memory = process.memoryUsage();
    const start = performance.now();
    t.throws(() => guard(bytes), { code: 'MALFORMED' });
    t.true(performance.now() - start < 500);
    const after = process.memoryUsage();
    t.true(after.heapTotal + after.arrayBuffers - memory.heapTotal - memory.arrayBuffers < 2 ** 24);
  });
}

test('accepts 64-bit integers that a number holds', (t) => {
  t.notThrows(() => guard(hex('92 cf 001fffffffffffff d3 ffe0000000000001')));
});

test('accepts a value between other bytes and refuses it when it would go on', (t) => {
  const value = encode({ a: [1, 'two'] });
  const bytes = Buffer.concat([hex('c1'), value, hex('c1')]);
  t.notThrows(() => guard(bytes, 1, 1 + value.length));
  for (let end = 1; end < 1 + value.length; end += 1) {
    t.throws(() => guard(bytes, 1, end), { code: 'MALFORMED' }, `end ${end}`);
  }
  t.throws(() => guard(bytes, 1, bytes.length), { message: /^1 bytes after the value/ });
});

test('accepts plain Uint8Arrays, names like __proto_ and __proto__ as a value', (t) => {
  t.notThrows(() =>
    guard(Uint8Array.from(encode({ __proto_: '__proto__', d: new Date(1), n: 1n }))),
  );
  t.notThrows(() => guard(encode({ __prot___: 1, x__proto__: 2 })));
});

test('counts every element of a large flat array', (t) => {
  const bytes = Buffer.alloc(1_000_005, 1);
  bytes.writeUInt8(0xdd, 0);
  bytes.writeUInt32BE(1_000_000, 1);
  t.notThrows(() => guard(bytes));
  t.throws(() => guard(bytes.subarray(0, 1_000_004)), { message: /^more values declared/ });
});
