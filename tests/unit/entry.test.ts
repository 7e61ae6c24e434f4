/** The log entry: its bytes, what comes back, what is refused. */
import test from 'ava';
import { encode, encodeRecord } from '../../protocol/codec.js';
import {
  encodeEntry,
  ENTRY_HEADER_BYTES,
  isIntactEntry,
  readEntryHeader,
  readEntryNotes,
  readEntryTables,
  type EntryContent,
} from '../../protocol/entry.js';
import { sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { origin } from '../support/stores.js';

const content: EntryContent = {
  origin: origin('a'),
  sequence: sequence(812),
  version: version(3_481_600_000_000_001),
  notes: { user: 'ada', operation: 'insert' },
  tables: [
    {
      table: tableName('dogs'),
      generation: tableGeneration(2),
      changes: [
        { key: encodeKey('k'), change: { type: 'put', body: encodeRecord({ id: 'k', x: 1 }) } },
        {
          key: encodeKey(7),
          change: { type: 'patch', attributes: [{ name: 'ä', value: encode(null) }] },
        },
        { key: encodeKey('gone'), change: { type: 'delete' } },
      ],
    },
    { table: tableName('cats'), generation: tableGeneration(1), changes: [] },
  ],
};
const entry = encodeEntry(content);
const damaged = (at: number, value: number, from = entry): Buffer => {
  const bytes = Buffer.from(from);
  bytes[at] = value;
  return bytes;
};

test('the header says where the entry stands and how long it is, at any offset', (t) => {
  const header = readEntryHeader(Buffer.concat([Buffer.alloc(3), entry]), 3);
  t.like(header, { flags: 0, sequence: 812, version: 3_481_600_000_000_001 });
  t.is(header.byteLength, entry.length);
  t.is(header.checksum, entry.readUInt32BE(22));
});

test('tables and changes come back as they were given', (t) => {
  const plain = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (_, one: unknown) => (Buffer.isBuffer(one) ? one.toJSON() : one)),
    );
  t.deepEqual(plain(readEntryTables(entry)), plain(content.tables));
});

test('records are views into the entry, not copies', (t) => {
  const change = readEntryTables(entry)[0]?.changes[0]?.change;
  t.is(change?.type === 'put' ? change.body.buffer : null, entry.buffer);
});

test('notes come back, and an entry without any has none', (t) => {
  t.deepEqual(readEntryNotes(entry), { user: 'ada', operation: 'insert' });
  const { notes: _notes, ...silent } = content;
  t.deepEqual(readEntryNotes(encodeEntry(silent)), {});
  t.deepEqual(readEntryNotes(encodeEntry({ ...silent, notes: {} })), {});
});

test('every byte is under the checksum', (t) => {
  t.true(isIntactEntry(content.origin, entry));
  for (let at = 0; at < entry.length; at++) {
    const changed = damaged(at, (entry[at] ?? 0) ^ 0x10);
    t.false(isIntactEntry(content.origin, changed), `byte ${at}`);
  }
});

test('an entry is intact only under the origin that wrote it', (t) => {
  t.false(isIntactEntry(origin('b'), entry));
  t.false(isIntactEntry(origin('a', 2), entry));
});

test('more origins than are remembered change no checksum', (t) => {
  for (let life = 0; life < limits.originsPerFrameMax + 2; life++)
    isIntactEntry(origin('z', life), entry);
  t.true(isIntactEntry(content.origin, entry));
});

const withLength = (bodyBytes: number): Buffer => {
  const bytes = Buffer.from(entry);
  bytes.writeUInt32BE(bodyBytes, 2);
  return bytes;
};

for (const [name, bytes, message] of [
  ['cut off in its header', entry.subarray(0, 25), 'The log entry is cut off in its header'],
  ['of another layout', damaged(0, 2), 'The log entry has layout 2, expected 1'],
  ['with flags of a later version', damaged(1, 4), 'The log entry has unknown flags 4'],
  [
    'larger than any transaction',
    withLength(limits.transactionBytesMax - ENTRY_HEADER_BYTES + 1),
    `The log entry is ${limits.transactionBytesMax + 1} bytes long`,
  ],
  [
    'cut off in its body',
    entry.subarray(0, entry.length - 1),
    'The log entry is cut off in its body',
  ],
  ['longer than its bytes', withLength(entry.length), 'The log entry is cut off in its body'],
  [
    'with a version beyond the safe integers',
    damaged(6, 0xff),
    'The log entry has a number beyond the safe integers',
  ],
] as const)
  test(`an entry ${name} is refused`, (t) => {
    t.throws(() => readEntryHeader(bytes), { code: 'MALFORMED', message });
  });

test('the largest transaction is still an entry', (t) => {
  const bytes = Buffer.alloc(limits.transactionBytesMax);
  withLength(limits.transactionBytesMax - ENTRY_HEADER_BYTES).copy(bytes);
  t.is(readEntryHeader(bytes).byteLength, limits.transactionBytesMax);
});

test('an entry that does not end where the bytes do is read where it lies', (t) => {
  const bytes = Buffer.concat([Buffer.alloc(3), entry, Buffer.alloc(5)]);
  t.deepEqual(readEntryHeader(bytes, 3), readEntryHeader(entry));
  t.throws(() => readEntryHeader(bytes.subarray(0, 3 + entry.length - 1), 3), {
    code: 'MALFORMED',
    message: 'The log entry is cut off in its body',
  });
});

const KIND_AT = entry.indexOf(Buffer.from('dogs')) + 4 + 2;
test('a body that is cut off, goes on or has an unknown change is refused', (t) => {
  const refused = { code: 'MALFORMED' } as const;
  t.throws(() => readEntryTables(entry.subarray(0, entry.length - 1)), refused);
  t.throws(() => readEntryTables(Buffer.concat([entry, Buffer.alloc(1)])), {
    ...refused,
    message: 'The log entry has 1 bytes after its last table',
  });
  t.is(entry[KIND_AT], 1);
  t.throws(() => readEntryTables(damaged(KIND_AT, 4)), {
    ...refused,
    message: 'The log entry has a change of unknown kind 4',
  });
});
