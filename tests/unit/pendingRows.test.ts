/** Rows of a batch that is not on the disk yet. */
import test from 'ava';
import { PendingRows } from '../../storage/pendingRows.js';

const key = (name: string): Buffer => Buffer.from(name);

test('a row is found as it was added last, also after it was looked up', (t) => {
  const rows = new PendingRows();
  t.is(rows.get(key('k')), undefined);
  rows.add(key('k'), Buffer.of(1));
  t.deepEqual(rows.get(key('k')), Buffer.of(1));
  rows.add(key('k'), Buffer.of(2));
  rows.add(key('p'), Buffer.of(3));
  t.deepEqual(rows.get(key('k')), Buffer.of(2));
  t.deepEqual(rows.get(key('p')), Buffer.of(3));
});

test('a row that is gone is told from one that was not touched', (t) => {
  const rows = new PendingRows();
  rows.add(key('k'), Buffer.of(1));
  rows.add(key('k'), null);
  t.is(rows.get(key('k')), null);
  t.is(rows.get(key('q')), undefined);
});

test('keys are told apart by every byte', (t) => {
  const rows = new PendingRows();
  rows.add(Buffer.of(0xff, 0xfe), Buffer.of(1));
  t.is(rows.get(Buffer.of(0xff, 0xff)), undefined);
  t.deepEqual(rows.get(Buffer.of(0xff, 0xfe)), Buffer.of(1));
});
