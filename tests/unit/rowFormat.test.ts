/** The stored bytes of a row, byte for byte, and what is done with bytes that are none. */
import test from 'ava';
import { crc32 } from 'node:zlib';
import { encode, encodeRecord } from '../../protocol/codec.js';
import { version } from '../../protocol/ids.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import type { Row } from '../../protocol/row.js';
import { rowKey } from '../../storage/keys.js';
import {
  decodeRow,
  encodeRow,
  isStoredDelete,
  wholeBody,
  type OriginNumbers,
} from '../../storage/rowFormat.js';
import { SkeinError } from '../../protocol/errors.js';
import { origin } from '../support/stores.js';

const A = origin('a');
const B = origin('b');
const KEY = rowKey(3, encodeKey('k'));

/** CRC-32 of key and value behind the value, lowest byte first. */
const withChecksum = (value: Buffer): Buffer => {
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32(Buffer.concat([KEY, value])));
  return Buffer.concat([value, sum]);
};

/** `b` has whatever number the test is about. */
const numbers = (b = 1): OriginNumbers => ({
  numberOf: (id) => (id === A ? 0 : b),
  originOf: (number) => {
    if (number === 0) return A;
    if (number === b) return B;
    throw new SkeinError('DAMAGED', `No origin has number ${number}`);
  },
});
const stamp = (at: number, by = A) => ({ version: version(at), origin: by });
const body = encodeRecord({ x: 1 });

for (const [name, row, hex] of [
  ['whole', { kind: 'whole', stamp: stamp(0x102, B), body }, '01 0000000000000102 01 81a17801'],
  ['deleted', { kind: 'deleted', stamp: stamp(0x102) }, '02 0000000000000102 00'],
  [
    'patched',
    {
      kind: 'patched',
      floor: stamp(1),
      alive: stamp(3, B),
      dead: null,
      registers: new Map([
        ['x', { stamp: stamp(1), value: encode(7) }],
        ['y', { stamp: stamp(3, B), value: encode('t') }],
      ]),
    },
    // two stamps; floor 1, alive 2, dead none; two registers
    '03 02 0000000000000001 00 0000000000000003 01 01 02 00 02 0178 00 01 07 0179 01 02 a174',
  ],
] as const satisfies readonly (readonly [string, Row, string])[])
  test(`a row that is ${name} is stored as ${hex}`, (t) => {
    const bytes = encodeRow(KEY, row, numbers());
    const value = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    t.deepEqual(bytes, withChecksum(value));
    t.deepEqual(decodeRow(KEY, bytes, numbers()), row);
    t.is(isStoredDelete(bytes), row.kind === 'deleted');
    t.deepEqual(wholeBody(bytes), row.kind === 'whole' ? body : undefined);
  });

for (const number of [0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000])
  test(`origin number ${number} is kept, and the record after it is found`, (t) => {
    const row: Row = { kind: 'whole', stamp: stamp(9, B), body };
    const bytes = encodeRow(KEY, row, numbers(number));
    t.deepEqual(decodeRow(KEY, bytes, numbers(number)), row);
    t.deepEqual(wholeBody(bytes), body);
    const deleted: Row = { kind: 'deleted', stamp: stamp(9, B) };
    t.deepEqual(decodeRow(KEY, encodeRow(KEY, deleted, numbers(number)), numbers(number)), deleted);
  });

test('the values of a row are views into its bytes', (t) => {
  const bytes = encodeRow(KEY, { kind: 'whole', stamp: stamp(9), body }, numbers());
  const row = decodeRow(KEY, bytes, numbers());
  t.is(row.kind === 'whole' ? row.body.buffer : null, bytes.buffer);
});

for (const [name, hex] of [
  ['no bytes', ''],
  ['a kind of a later version', '04000000000000000900'],
  ['a stamp that is cut off', '0100000000'],
  ['bytes after a delete', '0200000000000000090000'],
  ['an origin that nobody has', '02000000000000000907'],
  ['a head without its stamp', '03000001 0000'],
  ['a patched row that was never written', '0301 000000000000000100 000000 00'],
] as const)
  test(`${name} is DAMAGED`, (t) => {
    const bytes = withChecksum(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    t.throws(() => decodeRow(KEY, bytes, numbers()), {
      code: 'DAMAGED',
      message: 'A stored row cannot be read',
    });
  });

test('a row of which any bit changed, any byte is gone, or that lies under another key is DAMAGED', (t) => {
  const bytes = encodeRow(KEY, { kind: 'whole', stamp: stamp(9, B), body }, numbers());
  const damaged = { code: 'DAMAGED' };
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    t.throws(() => decodeRow(KEY, changed, numbers()), damaged, `bit ${bit}`);
  }
  for (let length = 0; length < bytes.length; length++)
    t.throws(
      () => decodeRow(KEY, bytes.subarray(0, length), numbers()),
      damaged,
      `${length} bytes`,
    );
  t.throws(() => decodeRow(rowKey(3, encodeKey('l')), bytes, numbers()), damaged);
  t.throws(() => decodeRow(rowKey(4, encodeKey('k')), bytes, numbers()), damaged);
});
