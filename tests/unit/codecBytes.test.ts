/** The byte writer and reader under log entries and frames. */
import { ByteReader, ByteWriter, isWellFormed, varintBytes } from '../../protocol/bytes.js';
import test from 'ava';

const MAX = Number.MAX_SAFE_INTEGER;

test('everything written is read back', (t) => {
  const writer = new ByteWriter(16);
  writer
    .u8(255)
    .u16(65_535)
    .u32(2 ** 32 - 1)
    .u48(2 ** 48 - 1)
    .u64(MAX)
    .f64(-1.5);
  writer
    .varint(300)
    .shortText('grüße 😀')
    .bytes(Buffer.from('raw'))
    .utf8('end')
    .bytes(Buffer.from('!'));
  const reader = new ByteReader(writer.finish());
  t.is(reader.u8(), 255);
  t.is(reader.u16(), 65_535);
  t.is(reader.u32(), 2 ** 32 - 1);
  t.is(reader.u48(), 2 ** 48 - 1);
  t.is(reader.u64(), MAX);
  t.is(reader.f64(), -1.5);
  t.is(reader.varint(), 300);
  t.is(reader.shortText(), 'grüße 😀');
  t.is(reader.view(3).toString(), 'raw');
  t.is(reader.text(3), 'end');
  t.is(reader.left, 1);
  t.is(reader.bytes(1).toString(), '!');
  t.notThrows(() => reader.end());
});

for (const [value, hex] of [
  [0, '00'],
  [127, '7f'],
  [128, '8001'],
  [16_383, 'ff7f'],
  [16_384, '808001'],
  [2 ** 31, '8080808008'],
  [2 ** 32, '8080808010'],
  [MAX, 'ffffffffffffff0f'],
] as const) {
  test(`the varint of ${value} is ${hex}`, (t) => {
    const bytes = new ByteWriter().varint(value).finish();
    t.is(bytes.toString('hex'), hex);
    t.is(varintBytes(value), bytes.length);
    t.is(new ByteReader(bytes).varint(), value);
  });
}

test('texts of every length are read back', (t) => {
  for (const unit of ['a', 'ü', '€', '😀', '\0']) {
    for (const length of [0, 1, 21, 22, 32, 33, 42, 43, 127, 128, 5_000]) {
      const text = unit.repeat(length);
      t.is(new ByteReader(new ByteWriter(16).shortText(text).finish()).shortText(), text);
    }
  }
});

test('a short text that turns out not to be ASCII is written whole', (t) => {
  const bytes = new ByteWriter().shortText('abcä').finish();
  t.is(bytes.toString('hex'), '05616263c3a4');
});

test('a finished copy is not touched by what is written later, a view is', (t) => {
  const writer = new ByteWriter().u8(1).u8(2);
  const copy = writer.finish();
  const view = writer.view();
  writer.clear().u8(9).u8(9);
  t.deepEqual([...copy], [1, 2]);
  t.deepEqual([...view], [9, 9]);
});

test('reserved room is patched, and only what was written', (t) => {
  const writer = new ByteWriter().u8(1);
  const at = writer.reserve(4);
  writer.u8(2);
  writer.patchU32(at, 0x01020304);
  t.is(writer.finish().toString('hex'), '010102030402');
  writer.patchU8(0, 7);
  writer.patchBytes(1, Buffer.from([9, 9]));
  t.is(writer.finish().toString('hex'), '070909030402');
  t.throws(() => writer.patchU32(3, 0), { instanceOf: RangeError });
  t.throws(() => writer.patchU8(-1, 0), { instanceOf: RangeError });
});

for (const [name, write] of [
  ['256 in one byte', (writer: ByteWriter) => writer.u8(256)],
  ['-1 in two bytes', (writer: ByteWriter) => writer.u16(-1)],
  ['2^32 in four bytes', (writer: ByteWriter) => writer.u32(2 ** 32)],
  ['2^53 in eight bytes', (writer: ByteWriter) => writer.u64(2 ** 53)],
  ['a negative varint', (writer: ByteWriter) => writer.varint(-1)],
  ['half a varint', (writer: ByteWriter) => writer.varint(0.5)],
] as const) {
  test(`writing ${name} is a programmer's error`, (t) => {
    t.throws(() => write(new ByteWriter()), { instanceOf: RangeError });
  });
}

for (const [name, hex, read, message] of [
  ['a number', '00', (reader: ByteReader) => reader.u16(), '2 bytes expected, 1 left at byte 0'],
  ['a varint', '80', (reader: ByteReader) => reader.varint(), '1 bytes expected, 0 left at byte 1'],
  [
    'a text',
    '0361',
    (reader: ByteReader) => reader.shortText(),
    '3 bytes expected, 1 left at byte 1',
  ],
  ['a view', '00', (reader: ByteReader) => reader.view(2), '2 bytes expected, 1 left at byte 0'],
  [
    'an integer',
    '0020000000000000',
    (reader: ByteReader) => reader.u64(),
    'an integer above 2^53 - 1 at byte 0',
  ],
  [
    'a long varint',
    '8000',
    (reader: ByteReader) => reader.varint(),
    'a varint longer than needed at byte 0',
  ],
  [
    'a large varint',
    'ffffffffffffff10',
    (reader: ByteReader) => reader.varint(),
    'a varint above 2^53 - 1 at byte 0',
  ],
  ['bytes left over', '00', (reader: ByteReader) => reader.end(), '1 bytes too many at byte 0'],
] as const) {
  test(`reading ${name} that is not right says where`, (t) => {
    const reader = new ByteReader(Buffer.from(hex, 'hex'));
    t.throws(() => read(reader), { code: 'MALFORMED', message });
  });
}

test('a reader of a part stays inside it and counts from the whole', (t) => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4), 1, 3);
  t.is(reader.u8(), 2);
  t.is(reader.offset, 2);
  t.is(reader.left, 1);
  t.throws(() => reader.u16(), { code: 'MALFORMED', message: /at byte 2$/ });
  t.is(reader.u8(), 3);
  t.notThrows(() => reader.end());
});

test('half a surrogate pair is not well formed', (t) => {
  t.false(isWellFormed('a\ud83d'));
  t.true(isWellFormed('a😀'));
});
