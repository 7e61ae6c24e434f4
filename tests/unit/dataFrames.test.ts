/** Data frames: what comes back, and each way in which bytes can be none. Their bytes: frames.test.ts. */
import test from 'ava';
import { encodeRecord } from '../../protocol/codec.js';
import { ByteWriter } from '../../protocol/bytes.js';
import {
  decodeCopyRows,
  decodeEntries,
  decodeFramePart,
  encodeCopyRows,
  encodeEntries,
  encodeFramePart,
  splitFrame,
  WHOLE_FRAME_BYTES_MAX,
  readDataHeader,
} from '../../protocol/dataFrames.js';
import { encodeEntry } from '../../protocol/entry.js';
import { FRAME_KIND } from '../../protocol/frames.js';
import { sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { origin } from '../support/stores.js';

const refused = (message: string | RegExp) => ({ code: 'MALFORMED', message }) as const;

const entryOf = (
  node: string,
  at: number,
): { origin: ReturnType<typeof origin>; bytes: Buffer } => ({
  origin: origin(node),
  bytes: encodeEntry({
    origin: origin(node),
    sequence: sequence(at),
    version: version(at),
    tables: [],
  }),
});

test('entries of several origins come back in their order', (t) => {
  const sent = [entryOf('a', 1), entryOf('b', 1), entryOf('a', 2), entryOf('c', 9)];
  t.deepEqual(decodeEntries(encodeEntries(7, sent)), sent);
});

test('an origin is named once in a frame, however many entries it has', (t) => {
  const one = encodeEntries(7, [entryOf('a', 1)]);
  const many = encodeEntries(7, [entryOf('a', 1), entryOf('a', 2), entryOf('a', 3)]);
  t.is(many.length, one.length + 2 * (entryOf('a', 1).bytes.length + 1));
});

test('entries are views into the frame, not copies', (t) => {
  const frame = encodeEntries(7, [entryOf('a', 1)]);
  t.is(decodeEntries(frame)[0]?.bytes.buffer, frame.buffer);
});

test('a frame without entries or rows is none of them', (t) => {
  t.deepEqual(decodeEntries(encodeEntries(1, [])), []);
  t.deepEqual(decodeCopyRows(encodeCopyRows(1, [])), []);
});

for (const [name, bytes] of [
  ['an empty frame', Buffer.alloc(0)],
  ['a frame shorter than its header', Buffer.of(32, 0, 0, 0)],
  ['a control frame', Buffer.of(31, 0, 0, 0, 1)],
  ['a kind of a later version', Buffer.of(35, 0, 0, 0, 1)],
] as const)
  test(`${name} has no data header`, (t) => {
    t.throws(() => readDataHeader(bytes), refused(/^Unknown frame kind/));
  });

const dataFrame = (kind: number, write: (writer: ByteWriter) => void): Buffer => {
  const writer = new ByteWriter();
  writer.u8(kind).u32(1);
  write(writer);
  return writer.finish();
};

test('a frame of entries that is cut off is refused as a whole', (t) => {
  const frame = encodeEntries(1, [entryOf('a', 1), entryOf('a', 2)]);
  t.throws(() => decodeEntries(frame.subarray(0, frame.length - 1)), refused(/./));
  t.throws(() => decodeEntries(frame.subarray(0, frame.length - 20)), refused(/./));
});

test('an entry of an origin that the frame does not name is refused', (t) => {
  const frame = dataFrame(FRAME_KIND.Entries, (writer) => {
    writer.varint(1).shortText(origin('a'));
    writer.varint(1).bytes(entryOf('a', 1).bytes);
  });
  t.throws(() => decodeEntries(frame), refused('A frame names origin 1 of 1'));
});

test('more origins than a frame may name are refused before they are read', (t) => {
  const frame = dataFrame(FRAME_KIND.Entries, (writer) => {
    writer.varint(limits.originsPerFrameMax + 1);
  });
  t.throws(() => decodeEntries(frame), refused('A frame names 10001 origins'));
});

const part = { totalBytes: 10, offset: 4, bytes: Buffer.from('part') };

test('a part comes back with its place', (t) => {
  t.deepEqual(decodeFramePart(encodeFramePart(1, part)), part);
});

test('the largest frame may come in parts, a larger one is refused', (t) => {
  const most = { ...part, totalBytes: WHOLE_FRAME_BYTES_MAX };
  t.is(decodeFramePart(encodeFramePart(1, most)).totalBytes, WHOLE_FRAME_BYTES_MAX);
  const more = { ...part, totalBytes: WHOLE_FRAME_BYTES_MAX + 1 };
  t.throws(() => decodeFramePart(encodeFramePart(1, more)), refused(/is announced$/));
});

test('a large frame is split into parts that make it again, a small one stays as it is', (t) => {
  const frame = dataFrame(FRAME_KIND.CopyRows, (writer) => {
    writer.bytes(Buffer.alloc(limits.framePartBytes * 2, 7));
  });
  const parts = splitFrame(1, frame).map(decodeFramePart);
  t.deepEqual(Buffer.concat(parts.map(({ bytes }) => bytes)), frame);
  t.deepEqual(
    parts.map(({ offset, totalBytes }) => [offset, totalBytes]),
    [0, 1, 2].map((place) => [place * limits.framePartBytes, frame.length]),
  );
  const small = frame.subarray(0, limits.framePartBytes);
  t.deepEqual(splitFrame(1, small), [small]);
});

const copied = {
  table: tableName('dogs'),
  generation: tableGeneration(3),
  key: encodeKey('k'),
  row: {
    kind: 'whole',
    stamp: { version: version(9), origin: origin('a') },
    body: encodeRecord({ x: 1 }),
  },
} as const;

test('a copied row comes back with its whole state', (t) => {
  t.deepEqual(decodeCopyRows(encodeCopyRows(1, [copied])), [copied]);
});

test('a copied row that is cut off, of no form or of no origin is refused', (t) => {
  const frame = encodeCopyRows(1, [copied]);
  t.throws(() => decodeCopyRows(frame.subarray(0, frame.length - 1)), refused(/./));
  const row = (form: number, place: number): Buffer =>
    dataFrame(FRAME_KIND.CopyRows, (writer) => {
      writer.varint(1).shortText(origin('a'));
      writer.shortText('dogs').varint(1).varint(2).bytes(encodeKey('k'));
      writer.u8(form).u64(9).varint(place);
    });
  t.is(decodeCopyRows(row(2, 0)).length, 1);
  t.throws(() => decodeCopyRows(row(4, 0)), refused('A copied row has form 4'));
  t.throws(() => decodeCopyRows(row(2, 1)), refused('A frame names origin 1 of 1'));
});
