/** What a copy from several snapshots may adopt, and what it has to reach. */
import test from 'ava';
import {
  newCopy as newCopyNumbered,
  withRows,
  withSnapshot,
  type CopyCheckpoint,
} from '../../protocol/copyCheckpoint.js';
import { sequence, version } from '../../protocol/ids.js';
import { originNamed, shown } from '../support/scenario.js';

const newCopy = newCopyNumbered(1);

const copied = (vector: Record<string, number>) =>
  Object.entries(vector).map(([name, at]) => ({
    origin: originNamed(name),
    sequence: sequence(at),
    version: version(at),
    checksum: at,
  }));

const snapshot = (
  copy: CopyCheckpoint,
  vector: Record<string, number>,
  more: { estimatedRows?: number; owed?: Record<string, number> } = {},
) =>
  withSnapshot(copy, {
    positions: copied(vector),
    owed: copied(more.owed ?? {}),
    estimatedRows: more.estimatedRows ?? 0,
  });

const positions = (vector: CopyCheckpoint['adopt']): string =>
  shown([...(vector ?? [])].map(([origin, position]) => [origin, position.sequence] as const));

test('one snapshot is adopted as it is, and reached with it', (t) => {
  const copy = snapshot(newCopy, { a: 5, b: 1 });
  t.is(positions(copy.adopt), 'a:5 b:1');
  t.is(positions(copy.reach), 'a:5 b:1');
});

test('CX-20: of two snapshots the minimum is adopted, an origin missing in one not at all', (t) => {
  t.is(positions(snapshot(snapshot(newCopy, { c: 2 }), { d: 1 }).adopt), 'nothing');
  t.is(positions(snapshot(snapshot(newCopy, { c: 2, d: 1 }), { c: 1, d: 4 }).adopt), 'c:1 d:1');
});

test('CX-21: the maximum of all snapshots has to be reached', (t) => {
  t.is(positions(snapshot(snapshot(newCopy, { c: 2 }), { d: 1 }).reach), 'c:2 d:1');
  t.is(positions(snapshot(snapshot(newCopy, { c: 2, d: 1 }), { c: 1, d: 4 }).reach), 'c:2 d:4');
});

test('what a source owes has to be reached here too, and is not adopted', (t) => {
  const copy = snapshot(newCopy, { a: 5, b: 2 }, { owed: { a: 9, c: 4 } });
  t.is(positions(copy.adopt), 'a:5 b:2');
  t.is(positions(copy.reach), 'a:9 b:2 c:4');
  t.like(copy.reach.get(originNamed('c')), { checksum: 4, version: 4 });
});

test('what one source owes is kept when the copy goes on with another', (t) => {
  const first = snapshot(newCopy, { a: 5 }, { owed: { a: 9, c: 4 } });
  t.is(positions(snapshot(first, { a: 6 }, { owed: { c: 3 } }).reach), 'a:9 c:4');
  t.is(positions(snapshot(first, { a: 6, c: 7 }).reach), 'a:9 c:7');
  t.is(positions(snapshot(first, { a: 6 }, { owed: { a: 10 } }).reach), 'a:10 c:4');
});

test('an empty snapshot adopts nothing, also when another follows it', (t) => {
  t.is(positions(snapshot(snapshot(newCopy, {}), { a: 3 }).adopt), 'nothing');
});

test('a position keeps the checksum and version of its entry', (t) => {
  const copy = snapshot(snapshot(newCopy, { a: 5 }), { a: 3 });
  t.like(copy.adopt?.get(originNamed('a')), { checksum: 3, version: 3 });
  t.like(copy.reach.get(originNamed('a')), { checksum: 5, version: 5 });
});

test('rows move the place, and progress never passes its estimate', (t) => {
  const after = { table: 'dogs', generation: 1, key: Buffer.of(1) };
  const begun = snapshot(newCopy, { a: 1 }, { estimatedRows: 10 });
  t.is(begun.after, null);
  const half = withRows(begun, { count: 4, after });
  t.like(half, { rowsDone: 4, rowsEstimated: 10, after });
  const more = withRows(half, { count: 8, after });
  t.like(more, { rowsDone: 12, rowsEstimated: 12 });
  t.like(snapshot(more, { a: 1 }, { estimatedRows: 3 }), {
    rowsDone: 12,
    rowsEstimated: 15,
    after,
  });
});
