/** Serial numbers: every hexadecimal spelling is the same number, anything else is compared letter by letter. */
import test from 'ava';
import { canonicalSerial, readRevokedSerials, serialOfBytes } from '../../security/serials.js';

const spellings = [
  ['A', 'A'],
  ['a', 'A'],
  ['0A', 'A'],
  ['0x0A', 'A'],
  ['0X0a', 'A'],
  ['00:0A', 'A'],
  [' 00 0a ', 'A'],
  ['000000000000000000000A', 'A'],
  ['A1B2', 'A1B2'],
  ['a1:b2', 'A1B2'],
  ['0xa1 b2', 'A1B2'],
  ['0', '0'],
  ['00:00', '0'],
  ['1234', '1234'],
] as const;

for (const [text, serial] of spellings)
  test(`'${text}' is ${serial}`, (t) => {
    t.is(canonicalSerial(text), serial);
  });

for (const text of ['', ' ', ':', '0x', 'QA69C7E2S', '0x0x1', '-0A', '1.5', 'x1', '1\u0000'])
  test(`'${text}' is no hexadecimal number`, (t) => {
    t.is(canonicalSerial(text), undefined);
  });

test('bytes of a serial have the same form', (t) => {
  t.is(serialOfBytes(Buffer.from('000a', 'hex')), 'A');
  t.is(serialOfBytes(Buffer.from('a1b2', 'hex')), 'A1B2');
  t.is(serialOfBytes(Buffer.from('00', 'hex')), '0');
  t.is(serialOfBytes(Buffer.alloc(0)), '0');
});

test('SE-12 a revoked serial matches in whatever way either side spells it', (t) => {
  const list = readRevokedSerials(['a', '0xA1:B2']);
  for (const serial of ['0A', 'A', 'a1b2', 'A1B2', '00A1B2']) t.true(list.has(serial), serial);
  for (const serial of ['B', 'A1', '1B2', '']) t.false(list.has(serial), serial);
  t.deepEqual(list.findings, []);
});

test('SE-12 an entry that is no number matches itself only and is reported once', (t) => {
  const list = readRevokedSerials(['QA69C7E2S', '0a', 'QA69C7E2S']);
  t.true(list.has('QA69C7E2S'));
  t.false(list.has('qa69c7e2s'));
  t.true(list.has('A'));
  t.deepEqual(list.findings, [
    "Revoked certificate 'QA69C7E2S' is no hexadecimal number; it is compared letter by letter",
  ]);
});

test('an empty list matches nothing, not even what is no serial', (t) => {
  t.false(readRevokedSerials([]).has(''));
  t.false(readRevokedSerials(['A']).has('no serial'));
});
