/** Finding attributes in encoded records without decoding them. */
import { decode, encode } from '../../protocol/codec.js';
import { createPicker, mapEntries, pick, skipValue } from '../../protocol/skipScan.js';
import test from 'ava';

const record = {
  id: 'a',
  'ä name that takes more than thirty-one bytes': { deep: [1, [2, { x: Buffer.alloc(300) }]] },
  age: 41,
  when: new Date(1_500),
  big: 2n ** 70n,
  text: 'x'.repeat(70_000),
  list: Array.from({ length: 40 }, (_, index) => ({ index })),
  '': null,
  last: 1.5,
};
const encoded = encode(record);

test('the entries of a record are its attributes, in order, with the bytes of their values', (t) => {
  const entries = mapEntries(encoded);
  t.deepEqual(
    entries.map((entry) => [entry.name, decode(encoded.subarray(entry.start, entry.end))]),
    Object.entries(record),
  );
  t.is(entries.at(-1)?.end, encoded.length);
});

test('a picker answers in its own order and undefined for what is absent', (t) => {
  const picked = createPicker(['last', 'i', 'id', 'lasd', ''])(encoded);
  t.is(picked.length, 5);
  t.deepEqual(
    picked.map((bytes) => bytes && decode(bytes)),
    [1.5, undefined, 'a', undefined, null],
  );
});

test('picking by a set finds what is there', (t) => {
  const found = pick(encoded, new Set(['age', 'absent', 'when']));
  t.deepEqual([...found.keys()], ['age', 'when']);
  t.deepEqual(found.get('when'), encode(record.when));
});

test('picked bytes are views of the record', (t) => {
  const [bytes] = createPicker(['age'])(encoded);
  t.is(bytes?.buffer, encoded.buffer);
});

test('of duplicate names the last one counts, as in decoding', (t) => {
  const twice = Buffer.from('82a16101a16102', 'hex');
  t.deepEqual(decode(twice), { a: 2 });
  t.deepEqual(pick(twice, ['a']).get('a'), encode(2));
});

test('a value is skipped up to its end, wherever it starts', (t) => {
  const bytes = Buffer.concat([encode(1), encode(record), encode('end')]);
  t.is(skipValue(bytes, 1), 1 + encoded.length);
  t.is(skipValue(bytes, 1 + encoded.length), bytes.length);
});

test('bytes that end too early are refused at every length', (t) => {
  const small = encode({ a: [1, 'xyz'], b: { c: new Date(1) }, d: Buffer.from('1234') });
  const picker = createPicker(['d']);
  for (let end = 0; end < small.length; end += 1) {
    const cut = small.subarray(0, end);
    t.throws(() => mapEntries(cut), { code: 'MALFORMED' }, `entries ${end}`);
    t.throws(() => picker(cut), { code: 'MALFORMED' }, `picker ${end}`);
    t.throws(() => skipValue(cut, 0), { code: 'MALFORMED' }, `skip ${end}`);
  }
});

for (const [name, bytes] of [
  ['an array', encode([1])],
  ['an empty array', encode([])],
  ['null', encode(null)],
  ['zero', encode(0)],
  ['a text', encode('text')],
  ['a map with a number as key', Buffer.from('810102', 'hex')],
] as const) {
  test(`${name} is no record`, (t) => {
    t.throws(() => mapEntries(bytes), { code: 'MALFORMED' });
    t.throws(() => pick(bytes, ['a']), { code: 'MALFORMED' });
  });
}

test('a record without attributes has no entries', (t) => {
  t.deepEqual(mapEntries(encode({})), []);
});
