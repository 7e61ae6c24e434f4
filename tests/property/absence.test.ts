/**
 * What each side of a copy gives up of its row, and what is written again: against the rule in other words, over lists
 * of components. The rules among nodes: tests/property/smallWorld.test.ts.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { withoutSuperseded } from '../../protocol/absence.js';
import type { Stamp } from '../../protocol/clock.js';
import { decode, encode, encodeRecord } from '../../protocol/codec.js';
import { version, type Version } from '../../protocol/ids.js';
import { blindSpot, isLate, newestMark, written, writtenAgain } from '../../protocol/lateNews.js';
import { isVisible, join, recordOf, rowOf, type Row, type RowChange } from '../../protocol/row.js';
import { origin } from '../support/stores.js';

const A = origin('a');
const NEVER: Version = version(0);

/** An operation in one number: its kind, its attributes, and its version, which is never given twice. */
const operation = (code: number, at: number): { change: RowChange; stamp: Stamp } => {
  const stamp = { version: version(at), origin: A };
  const names = ['x', 'y'].filter((_name, place) => (code >> (2 + place)) & 1);
  const kind = code & 3;
  if (kind === 0) return { stamp, change: { type: 'delete' } };
  if (kind === 1)
    return {
      stamp,
      change: { type: 'put', body: encodeRecord(Object.fromEntries(names.map((n) => [n, at]))) },
    };
  const attributes = names.map((name) => ({ name, value: encode(at) }));
  return { stamp, change: { type: 'patch', attributes } };
};

/** Rows of two nodes, each of some of the same operations, and which of them one of the nodes knows. */
const scene = fc
  .array(fc.tuple(fc.nat(15), fc.boolean(), fc.boolean(), fc.boolean()), {
    minLength: 1,
    maxLength: 7,
  })
  .map((given) => {
    const operations = given.map(([code], place) => operation(code, place + 1));
    const rowOfThose = (chosen: (place: number) => boolean): Row | undefined =>
      operations
        .filter((_one, place) => chosen(place))
        .map(({ change, stamp }) => rowOf(change, stamp))
        .reduce<Row | undefined>((row, next) => (row ? join(row, next) : next), undefined);
    return {
      mine: rowOfThose((place) => given[place]?.[1] === true),
      theirs: rowOfThose((place) => given[place]?.[2] === true),
      known: new Set(given.flatMap((one, place) => (one[3] ? [place + 1] : []))),
    };
  });

type Parts = Record<string, number>;

/** A row as a list: `floor`, `alive`, `dead`, `=x` with their versions. */
const partsOf = (row: Row | undefined): Parts => {
  if (!row) return {};
  if (row.kind === 'deleted') return { dead: row.stamp.version };
  const parts: Parts = {};
  if (row.kind === 'whole') {
    parts.floor = row.stamp.version;
    parts.alive = row.stamp.version;
    for (const name of Object.keys(decode(row.body) as object)) parts[`=${name}`] = parts.alive;
    return parts;
  }
  if (row.floor) parts.floor = row.floor.version;
  if (row.dead) parts.dead = row.dead.version;
  parts.alive = row.alive.version;
  for (const [name, { stamp }] of row.registers) parts[`=${name}`] = stamp.version;
  return parts;
};

const superseded = (mine: Parts, theirs: Parts, known: ReadonlySet<number>): Parts => {
  const left: Parts = {};
  for (const [name, at] of Object.entries(mine)) {
    const held = name === 'floor' ? Math.max(theirs.floor ?? 0, theirs.dead ?? 0) : theirs[name];
    if (name === 'dead' || !known.has(at) || (held ?? 0) >= at) left[name] = at;
  }
  const writes = Object.entries(left).filter(([name]) => name !== 'dead' && name !== 'alive');
  if (left.alive === undefined && writes.length > 0)
    left.alive = Math.max(...writes.map(([, at]) => at));
  return left;
};

/** There is one form for each state. */
const kindOf = (parts: Parts): Row['kind'] | undefined => {
  if (parts.alive === undefined) return parts.dead === undefined ? undefined : 'deleted';
  const isOnePut = parts.floor !== undefined && new Set(Object.values(parts)).size === 1;
  return isOnePut ? 'whole' : 'patched';
};

test('what is known to the other side and not held there goes, component by component, but for a delete', (t) => {
  fc.assert(
    fc.property(scene, ({ mine, theirs, known }) => {
      if (!mine) return true;
      const left = withoutSuperseded(mine, ({ version: at }) => known.has(at), theirs);
      const expected = superseded(partsOf(mine), partsOf(theirs), known);
      return isDeepStrictEqual(partsOf(left), expected) && left?.kind === kindOf(expected);
    }),
    { numRuns: 30_000 },
  );
  t.pass();
});

test('a row of which nothing goes is the same object, so that one that lost something is told apart', (t) => {
  fc.assert(
    fc.property(scene, ({ mine, theirs, known }) => {
      if (!mine) return true;
      const left = withoutSuperseded(mine, ({ version: at }) => known.has(at), theirs);
      return (left === mine) === isDeepStrictEqual(partsOf(left), partsOf(mine));
    }),
    { numRuns: 30_000 },
  );
  t.pass();
});

test('a row written again shows what it showed, on a node that has nothing else of it', (t) => {
  fc.assert(
    fc.property(scene, fc.boolean(), ({ mine, known }, isOrphan) => {
      const isNews = ({ version: at }: Stamp): boolean => known.has(at);
      const change = mine && writtenAgain(mine, isNews, isOrphan ? 'orphan' : 'lateNews');
      if (!mine || !change) return true;
      const again = join(mine, rowOf(change, { version: version(100), origin: A }));
      const before = recordOf(mine);
      const after = recordOf(again);
      if (!before || !after) return before === after;
      return isDeepStrictEqual(decode(after), decode(before));
    }),
    { numRuns: 30_000 },
  );
  t.pass();
});

test('a row is written again for what is news in it, as a put where the put is, else as its attributes', (t) => {
  fc.assert(
    fc.property(scene, fc.boolean(), ({ mine, known }, isOrphan) => {
      if (!mine) return true;
      const change = writtenAgain(
        mine,
        ({ version: at }) => known.has(at),
        isOrphan ? 'orphan' : 'lateNews',
      );
      const parts = partsOf(mine);
      const isNews = (name: string): boolean => known.has(parts[name] ?? 0);
      const news = Object.keys(parts).filter(isNews);
      if (!isVisible(mine)) return (change?.type === 'delete') === news.length > 0;
      if (isNews('floor') || (isOrphan && isNews('dead'))) return change?.type === 'put';
      if (news.every((name) => name === 'dead')) return change === undefined;
      const named = change?.type === 'patch' ? change.attributes.map(({ name }) => `=${name}`) : [];
      const wanted = news.filter((name) => name.startsWith('=')).sort();
      return change?.type === 'patch' && isDeepStrictEqual(named, wanted);
    }),
    { numRuns: 30_000 },
  );
  t.pass();
});

test('what nobody else knows to be superseded is written as it is shown, and a row that is hidden as a delete', (t) => {
  const stamp = { version: version(1), origin: A };
  const body = encodeRecord({ x: 1 });
  t.deepEqual(written({ kind: 'whole', stamp, body }), { type: 'put', body });
  t.deepEqual(written({ kind: 'deleted', stamp }), { type: 'delete' });
  t.deepEqual(written(undefined), { type: 'delete' });
});

test('the blind spot is the newest mark that the other side does not cover', (t) => {
  const marks = [
    { origin: A, version: version(7) },
    { origin: origin('b'), version: version(5) },
    { origin: origin('c'), version: version(3) },
  ];
  t.is(
    blindSpot(marks, ({ origin: of }) => of === A),
    version(5),
  );
  t.is(
    blindSpot(marks, () => true),
    NEVER,
  );
  t.is(
    blindSpot([], () => false),
    NEVER,
  );
});

test('an entry is late up to the newest mark, whoever made that delete', (t) => {
  const marks = new Map([
    [A, version(7)],
    [origin('b'), version(9)],
  ]);
  t.true(isLate(version(9), newestMark(marks)));
  t.false(isLate(version(10), newestMark(marks)));
  t.false(isLate(version(1), newestMark(new Map())));
});
