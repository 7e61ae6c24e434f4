/** Frames of every kind, changed at random, are read or refused as MALFORMED, never worse. */
import test from 'ava';
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { encode } from '../../protocol/codec.js';
import {
  decodeCopyRows,
  decodeEntries,
  decodeFramePart,
  encodeCopyRows,
  encodeEntries,
  encodeFramePart,
  readDataHeader,
  type SentRow,
} from '../../protocol/dataFrames.js';
import { encodeEntry } from '../../protocol/entry.js';
import { SkeinError } from '../../protocol/errors.js';
import { decodeControl, FRAME_KIND, isControlFrame } from '../../protocol/frames.js';
import { sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import type { Row } from '../../protocol/row.js';
import { readExpected } from '../support/checkout.js';
import { origin } from '../support/stores.js';

const plain = { noNullPrototype: true } as const;
const bytes = fc.uint8Array({ maxLength: 30 }).map((one) => Buffer.from(one));
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const someOrigin = fc.tuple(text, fc.nat(3)).map(([node, life]) => origin(node, life));
const stamp = fc.record({ version: fc.maxSafeNat().map(version), origin: someOrigin }, plain);
const row: fc.Arbitrary<Row> = fc.oneof(
  fc.record({ kind: fc.constant('whole' as const), stamp, body: bytes }, plain),
  fc.record({ kind: fc.constant('deleted' as const), stamp }, plain),
  fc.record(
    {
      kind: fc.constant('patched' as const),
      floor: fc.option(stamp),
      alive: stamp,
      dead: fc.option(stamp),
      registers: fc
        .array(fc.tuple(text, fc.record({ stamp, value: bytes }, plain)), { maxLength: 4 })
        .map((entries) => new Map(entries)),
    },
    plain,
  ),
);
const rows: fc.Arbitrary<SentRow[]> = fc.array(
  fc.record(
    {
      table: text.map(tableName),
      generation: fc.maxSafeNat().map(tableGeneration),
      key: bytes,
      row,
    },
    plain,
  ),
  { maxLength: 6 },
);
const entries = fc.array(
  fc.tuple(someOrigin, fc.nat()).map(([id, at]) => ({
    origin: id,
    bytes: encodeEntry({ origin: id, sequence: sequence(at), version: version(at), tables: [] }),
  })),
  { maxLength: 6 },
);
const stream = fc.integer({ min: 1, max: 0xffffffff });

test('any entries and rows come back from their frame, with its stream', (t) => {
  fc.assert(
    fc.property(stream, entries, rows, (number, sent, copied) => {
      const frame = encodeEntries(number, sent);
      return (
        readDataHeader(frame).stream === number &&
        isDeepStrictEqual(decodeEntries(frame), sent) &&
        isDeepStrictEqual(decodeCopyRows(encodeCopyRows(number, copied)), copied)
      );
    }),
    { numRuns: 3_000 },
  );
  t.pass();
});

test('any part comes back from its frame', (t) => {
  const part = fc.record(
    {
      totalBytes: fc.nat(limits.transactionBytesMax),
      offset: fc.maxSafeNat(),
      bytes,
    },
    plain,
  );
  fc.assert(
    fc.property(stream, part, (number, given) =>
      isDeepStrictEqual(decodeFramePart(encodeFramePart(number, given)), given),
    ),
    { numRuns: 2_000 },
  );
  t.pass();
});

/** What the link does with a message: by its first byte. */
const read = (frame: Buffer): unknown => {
  if (isControlFrame(frame)) return decodeControl(frame);
  const { kind } = readDataHeader(frame);
  if (kind === FRAME_KIND.Entries) return decodeEntries(frame);
  return kind === FRAME_KIND.FramePart ? decodeFramePart(frame) : decodeCopyRows(frame);
};

const isReadOrRefused = (frame: Buffer): boolean => {
  try {
    read(frame);
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code !== 'MALFORMED') throw error;
  }
  return true;
};

const fixtures = Object.keys(FRAME_KIND).map((kind) =>
  Buffer.from(readExpected(`tests/fixtures/frames/${kind}.hex`).replaceAll(/\s/g, ''), 'hex'),
);
const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });

test('a frame with changed bytes, or cut off, is read or refused', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...fixtures), damage, fc.nat(), (fixture, changes, length) => {
      const frame = Buffer.from(fixture);
      for (const [at, value] of changes) frame[at % frame.length] = value;
      return isReadOrRefused(frame) && isReadOrRefused(frame.subarray(0, length % frame.length));
    }),
    { numRuns: 20_000 },
  );
  t.pass();
});

test('random bytes after any kind byte are read or refused', (t) => {
  fc.assert(
    fc.property(fc.nat(40), fc.uint8Array({ maxLength: 120 }), (kind, content) =>
      isReadOrRefused(Buffer.concat([Buffer.of(kind), content])),
    ),
    { numRuns: 20_000 },
  );
  t.pass();
});

test('a control frame with any content is read or refused', (t) => {
  const field = fc.constantFrom('stream', 'id', 'after', 'positions', 'wants', 'reason', 'kind');
  const content = fc.dictionary(fc.oneof(field, text), fc.jsonValue(), { maxKeys: 6 });
  /** The encoder refuses that name; bytes with it are made by the test above. */
  const encodable = (given: object): unknown =>
    JSON.parse(JSON.stringify(given).replaceAll('__proto__', 'proto'));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 17 }), content, (kind, given) => {
      return isReadOrRefused(Buffer.concat([Buffer.of(kind), encode(encodable(given))]));
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});
