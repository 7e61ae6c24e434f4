/** What a copy from several snapshots may adopt, and what it has to reach. */
import test from 'ava';
import {
  newCopy,
  withRows,
  withSnapshot,
  type CopyCheckpoint,
} from '../../protocol/copyCheckpoint.js';
import { sequence, version } from '../../protocol/ids.js';
import { originNamed, shown } from '../support/scenario.js';

const snapshot = (copy: CopyCheckpoint, vector: Record<string, number>, estimatedRows = 0) =>
  withSnapshot(copy, {
    positions: Object.entries(vector).map(([name, at]) => ({
      origin: originNamed(name),
      sequence: sequence(at),
      version: version(at),
      checksum: at,
    })),
    estimatedRows,
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
  const begun = snapshot(newCopy, { a: 1 }, 10);
  t.is(begun.after, null);
  const half = withRows(begun, { count: 4, after });
  t.like(half, { rowsDone: 4, rowsEstimated: 10, after });
  const more = withRows(half, { count: 8, after });
  t.like(more, { rowsDone: 12, rowsEstimated: 12 });
  t.like(snapshot(more, { a: 1 }, 3), { rowsDone: 12, rowsEstimated: 15, after });
});
