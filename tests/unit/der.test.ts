/** DER: what is taken, and that nothing else is. */
import test from 'ava';
import {
  DerReader,
  bitOf,
  bitStringBytes,
  booleanOf,
  derElement,
  derIdentifier,
  derInteger,
  identifierOf,
  integerBytes,
  onlyElement,
  smallNumber,
  tags,
  timeOf,
} from '../../security/der.js';

const element = (hex: string) => new DerReader(Buffer.from(hex, 'hex')).any();
const text = (tag: number, content: string) =>
  onlyElement(derElement(tag, Buffer.from(content)), tag);

const refused = [
  ['nothing', ''],
  ['a tag alone', '30'],
  ['content that is cut', '300201'],
  ['an indefinite length', '30800000'],
  ['a length that needs no second byte', '3081027f7f'],
  ['a length with a leading zero', `30820080${'00'.repeat(128)}`],
  ['a length of five bytes', '3085000000000100'],
  ['a length beyond everything', '3084ffffffff00'],
  ['a length that is cut', '3082'],
  ['a tag of several bytes', '1f0100'],
] as const;

for (const [what, hex] of refused)
  test(`${what} is refused`, (t) => {
    t.throws(() => element(hex), { code: 'MALFORMED' });
  });

test('elements are as long as they say, by one byte or several', (t) => {
  for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
    const bytes = derElement(tags.octetString, Buffer.alloc(length));
    const { from, to } = onlyElement(bytes, tags.octetString);
    t.is(to - from, length);
    t.is(to, bytes.length);
  }
});

test('an element does not reach beyond what holds it', (t) => {
  const inner = Buffer.from('300404030101ff', 'hex');
  t.throws(() => new DerReader(inner, 2, 6).any(), { code: 'MALFORMED' });
  t.notThrows(() => new DerReader(inner, 2, 7).any());
});

test('another tag, and bytes that are left over, are refused', (t) => {
  t.throws(() => onlyElement(Buffer.from('020101', 'hex'), tags.sequence), { code: 'MALFORMED' });
  t.throws(() => onlyElement(Buffer.from('300000', 'hex'), tags.sequence), { code: 'MALFORMED' });
});

test('integers are read without their leading zeros', (t) => {
  const hexOf = (hex: string): string => Buffer.from(integerBytes(element(hex))).toString('hex');
  t.is(hexOf('02010a'), '0a');
  t.is(hexOf('020200ff'), 'ff');
  t.is(hexOf('020100'), '00');
  t.throws(() => integerBytes(element('0200')), { code: 'MALFORMED' });
  t.deepEqual(derInteger(Buffer.from('ff', 'hex')), Buffer.from('020200ff', 'hex'));
  t.is(smallNumber(element('0a0103')), 3);
  t.is(smallNumber(element('02020100')), 256);
  for (const hex of ['0201ff', '0200', '02050100000000'])
    t.throws(() => smallNumber(element(hex)), { code: 'MALFORMED' });
});

test('truth is ff, its contrary 00, and there is nothing else', (t) => {
  t.true(booleanOf(element('0101ff')));
  t.false(booleanOf(element('010100')));
  for (const hex of ['010101', '0100', '0102ffff'])
    t.throws(() => booleanOf(element(hex)), { code: 'MALFORMED' });
});

test('bits are counted from the left', (t) => {
  const usage = element('03020106');
  t.deepEqual(
    [0, 4, 5, 6, 7, 8, 100].map((index) => bitOf(usage, index)),
    [false, false, true, true, false, false, false],
  );
  t.deepEqual([...bitStringBytes(element('030300abcd'))], [0xab, 0xcd]);
  for (const hex of ['03020106', '0300'])
    t.throws(() => bitStringBytes(element(hex)), { code: 'MALFORMED' });
});

for (const identifier of ['2.5.29.31', '1.3.6.1.5.5.7.48.1', '1.2.840.113549.1.1.11', '2.999.3'])
  test(`${identifier} is read as it is written`, (t) => {
    const bytes = derIdentifier(identifier);
    t.is(identifierOf(onlyElement(bytes, tags.objectIdentifier)), identifier);
  });

test('object identifiers without end, empty or enormous are refused', (t) => {
  for (const hex of [
    '0600',
    '060155ff',
    '060181',
    `0641${'01'.repeat(65)}`,
    `060a${'ff'.repeat(9)}7f`,
  ])
    t.throws(() => identifierOf(onlyElement(Buffer.from(hex, 'hex'), tags.objectIdentifier)), {
      code: 'MALFORMED',
    });
});

const times = [
  [tags.utcTime, '491231235959Z', '2049-12-31T23:59:59Z'],
  [tags.utcTime, '500101000000Z', '1950-01-01T00:00:00Z'],
  [tags.generalizedTime, '20500101000000Z', '2050-01-01T00:00:00Z'],
  [tags.generalizedTime, '20240229120000Z', '2024-02-29T12:00:00Z'],
] as const;

for (const [tag, written, read] of times)
  test(`${written} is ${read}`, (t) => {
    t.is(timeOf(text(tag, written)), Date.parse(read));
  });

const noTimes = [
  [tags.generalizedTime, '20230229120000Z'],
  [tags.generalizedTime, '20231301000000Z'],
  [tags.generalizedTime, '20230001000000Z'],
  [tags.generalizedTime, '20230100000000Z'],
  [tags.generalizedTime, '20230101240000Z'],
  [tags.generalizedTime, '20230101006000Z'],
  [tags.generalizedTime, '20230101000060Z'],
  [tags.generalizedTime, '20230101000000'],
  [tags.generalizedTime, '20230101000000.5Z'],
  [tags.generalizedTime, '20230101000000+0000'],
  [tags.generalizedTime, '2023010100000xZ'],
  [tags.generalizedTime, '00990101000000Z'],
  [tags.utcTime, '230101000000+'],
  [tags.utcTime, '2301010000Z'],
  [tags.octetString, '230101000000Z'],
] as const;

for (const [tag, written] of noTimes)
  test(`'${written}' with tag ${tag} is no time`, (t) => {
    t.throws(() => timeOf(text(tag, written)), { code: 'MALFORMED' });
  });
