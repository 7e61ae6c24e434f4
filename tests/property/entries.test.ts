/** Any transaction comes back from its log entry; no bytes make the reader throw anything but MALFORMED. */
import test from 'ava';
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import {
  encodeEntry,
  isIntactEntry,
  readEntryHeader,
  readEntryNotes,
  readEntryTables,
  type EntryContent,
} from '../../protocol/entry.js';
import { SkeinError } from '../../protocol/errors.js';
import { sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import type { RowChange } from '../../protocol/row.js';
import { origin } from '../support/stores.js';

const plain = { noNullPrototype: true } as const;
const bytes = fc.uint8Array({ maxLength: 40 }).map((one) => Buffer.from(one));
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const change: fc.Arbitrary<RowChange> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), body: bytes }, plain),
  fc.record(
    {
      type: fc.constant('patch' as const),
      attributes: fc.array(fc.record({ name: text, value: bytes }, plain), { maxLength: 4 }),
    },
    plain,
  ),
  fc.record({ type: fc.constant('delete' as const) }, plain),
);
const table = fc.record(
  {
    table: text.map(tableName),
    generation: fc.maxSafeNat().map(tableGeneration),
    changes: fc.array(fc.record({ key: bytes, change }, plain), { maxLength: 4 }),
  },
  plain,
);
const content: fc.Arbitrary<EntryContent> = fc.record({
  origin: text.map((node) => origin(node)),
  sequence: fc.maxSafeNat().map(sequence),
  version: fc.maxSafeNat().map(version),
  notes: fc.record({ user: text, operation: text }, { requiredKeys: [] }),
  tables: fc.array(table, { maxLength: 4 }),
});

test('any transaction comes back from its entry', (t) => {
  fc.assert(
    fc.property(content, (given) => {
      const entry = encodeEntry(given);
      const header = readEntryHeader(entry);
      return (
        isIntactEntry(given.origin, entry) &&
        header.byteLength === entry.length &&
        header.sequence === given.sequence &&
        header.version === given.version &&
        isDeepStrictEqual(readEntryTables(entry), given.tables) &&
        isDeepStrictEqual(readEntryNotes(entry), { ...given.notes })
      );
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});

/** `act` gives something or refuses; anything but MALFORMED goes on and fails the test. */
const refusesAtMost = (act: () => unknown): boolean => {
  try {
    act();
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code !== 'MALFORMED') throw error;
  }
  return true;
};

const readAll = (entry: Buffer): boolean =>
  refusesAtMost(() => readEntryHeader(entry)) &&
  refusesAtMost(() => readEntryTables(entry)) &&
  refusesAtMost(() => readEntryNotes(entry));

const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });

test('an entry with changed bytes is read or refused, never worse', (t) => {
  fc.assert(
    fc.property(content, damage, fc.nat(), (given, changes, length) => {
      const entry = encodeEntry(given);
      for (const [at, value] of changes) entry[at % entry.length] = value;
      return readAll(entry) && readAll(entry.subarray(0, length % (entry.length + 1)));
    }),
    { numRuns: 20_000 },
  );
  t.pass();
});

test('a changed byte never passes as intact', (t) => {
  fc.assert(
    fc.property(content, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, at, difference) => {
      const entry = encodeEntry(given);
      const place = at % entry.length;
      entry[place] = (entry[place] ?? 0) ^ difference;
      return !isIntactEntry(given.origin, entry);
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('random bytes are read or refused, never worse', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (given) => readAll(Buffer.from(given))),
    { numRuns: 20_000 },
  );
  t.pass();
});
