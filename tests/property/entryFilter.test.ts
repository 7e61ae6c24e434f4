/**
 * What passes a filter of entries, and what is said of the rest: against lists of changes. What becomes of the debts:
 * tests/property/flow.test.ts.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { DEFINITIONS_TABLE, definitionKey } from '../../protocol/definitionKey.js';
import {
  encodeEntry,
  isIntactEntry,
  readEntryHeader,
  readEntryNotes,
  readEntryTables,
  readLeftOut,
  type TableChanges,
} from '../../protocol/entry.js';
import { filterEntry, filterReceived, type EntryFilter } from '../../protocol/entryFilter.js';
import { permits, type TableScope } from '../../protocol/flow.js';
import { sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import { isLeftOut } from '../../protocol/leftOut.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { origin } from '../support/stores.js';

const A = origin('a');
const MS = 1_700_000_000_000;
const NAMES = ['cats', 'dogs', 'eels'].map(tableName);
const GENERATION = tableGeneration(1);

const changesOf = (table: string, keys: readonly Buffer[]): TableChanges => ({
  table: tableName(table),
  generation: GENERATION,
  changes: keys.map((key) => ({ key, change: { type: 'delete' } })),
});
/** An entry of some tables, and of some definitions. */
const entry = fc
  .record({
    tables: fc.subarray(NAMES),
    defined: fc.subarray(NAMES),
    lateMs: fc.integer({ min: -1, max: 1 }),
  })
  .map(({ tables, defined, lateMs }) => {
    const definitions = defined.map((name) => definitionKey(name, GENERATION));
    return encodeEntry({
      origin: A,
      sequence: sequence(7),
      version: version((MS + lateMs) * 2048),
      notes: { operation: 'insert' },
      tables: [
        ...(definitions.length > 0 ? [changesOf(DEFINITIONS_TABLE, definitions)] : []),
        ...tables.map((table) => changesOf(table, [encodeKey(`1 ${table}`)])),
      ],
    });
  });
const scope: fc.Arbitrary<TableScope> = fc.oneof(
  fc.subarray(NAMES).map((except) => ({ kind: 'all' as const, except })),
  fc.subarray(NAMES, { minLength: 1 }).map((tables) => ({ kind: 'only' as const, tables })),
);
const filter: fc.Arbitrary<EntryFilter> = fc.record({
  scope,
  startTimeMs: fc.option(fc.constant(MS)),
});

/** `table/key` of each change. */
const changesIn = (bytes: Buffer): string[] =>
  readEntryTables(bytes).flatMap(({ table, changes }) =>
    changes.map(({ key }) => `${table}/${Buffer.from(key).toString('hex')}`),
  );
/** The same rule in other words. */
const mayPass = (change: string, bytes: Buffer, { scope: of, startTimeMs }: EntryFilter) => {
  const [table = '', key = ''] = change.split('/');
  const isOld = startTimeMs !== null && readEntryHeader(bytes).version <= startTimeMs * 2048;
  if (table !== DEFINITIONS_TABLE) return !isOld && permits(of, tableName(table));
  if (of.kind === 'all') return true;
  return of.tables.some((name) => definitionKey(name, GENERATION).toString('hex') === key);
};
const tableOf = (change: string) => tableName(change.split('/')[0] ?? '');

test('exactly what the scope and the start time let through is left', (t) => {
  fc.assert(
    fc.property(entry, filter, (bytes, of) =>
      isDeepStrictEqual(
        changesIn(filterEntry(A, bytes, of)),
        changesIn(bytes).filter((change) => mayPass(change, bytes, of)),
      ),
    ),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('a partial entry is intact, and keeps place, stamp, notes, and the checksum of the whole one', (t) => {
  fc.assert(
    fc.property(entry, filter, filter, (bytes, one, other) => {
      const once = filterEntry(A, bytes, one);
      const twice = filterEntry(A, once, other);
      const { flags: _flags, byteLength: _length, ...place } = readEntryHeader(bytes);
      return [once, twice].every((part) => {
        const { flags, byteLength, ...kept } = readEntryHeader(part);
        return (
          isIntactEntry(A, part) &&
          byteLength === part.length &&
          (flags === 2) === (part !== bytes) &&
          isDeepStrictEqual(kept, place) &&
          isDeepStrictEqual(readEntryNotes(part), readEntryNotes(bytes))
        );
      });
    }),
    { numRuns: 3_000 },
  );
  t.pass();
});

test('nothing left out is nothing changed, not even a byte', (t) => {
  fc.assert(
    fc.property(entry, filter, (bytes, of) => {
      const part = filterEntry(A, bytes, of);
      const isAll = changesIn(part).length === changesIn(bytes).length;
      return (part === bytes) === isAll && filterEntry(A, part, of) === part;
    }),
    { numRuns: 3_000 },
  );
  t.pass();
});

test('whatever is missing is said to be left out, through any number of filters, and what came whole is not', (t) => {
  fc.assert(
    fc.property(entry, fc.array(filter, { minLength: 1, maxLength: 3 }), (bytes, filters) => {
      const part = filters.reduce((left, of) => filterEntry(A, left, of), bytes);
      const leftOut = readLeftOut(part);
      const left = new Set(changesIn(part));
      const missing = new Set(changesIn(bytes).filter((change) => !left.has(change)));
      const saysMissing = [...missing].every((change) => isLeftOut(leftOut, tableOf(change)));
      const inScope = NAMES.filter((name) => filters.every((of) => permits(of.scope, name)));
      const missed = new Set([...missing].map(tableOf));
      return saysMissing && inScope.every((name) => missed.has(name) || !isLeftOut(leftOut, name));
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('who asked for some tables hears the name of no other', (t) => {
  fc.assert(
    fc.property(entry, filter, filter, (bytes, before, of) => {
      if (of.scope.kind === 'all') return true;
      const asked = of.scope.tables;
      const part = filterEntry(A, filterEntry(A, bytes, before), of);
      return NAMES.every((name) => asked.includes(name) || !part.includes(name));
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('every byte of a partial entry is under a checksum', (t) => {
  const whole = encodeEntry({
    origin: A,
    sequence: sequence(1),
    version: version(1),
    tables: NAMES.map((name) => changesOf(name, [encodeKey('k')])),
  });
  const part = filterEntry(A, whole, {
    scope: { kind: 'all', except: [tableName('dogs')] },
    startTimeMs: null,
  });
  t.true(isIntactEntry(A, part));
  t.false(isIntactEntry(origin('b'), part));
  for (let at = 0; at < part.length; at++) {
    const damaged = Buffer.from(part);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    t.false(isIntactEntry(A, damaged), `byte ${at}`);
  }
});

test('a damaged entry is not made an intact one by leaving something out of it', (t) => {
  const of: EntryFilter = {
    scope: { kind: 'all', except: [tableName('dogs')] },
    startTimeMs: null,
  };
  const whole = encodeEntry({
    origin: A,
    sequence: sequence(1),
    version: version(1),
    tables: [changesOf('dogs', [encodeKey('k')]), changesOf('cats', [encodeKey('k')])],
  });
  const damaged = Buffer.from(whole);
  damaged[damaged.length - 1] = 0xff;
  t.is(filterReceived(A, damaged, of), damaged);
  t.not(filterReceived(A, whole, of), whole);
});
