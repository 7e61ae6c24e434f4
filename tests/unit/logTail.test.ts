/** The end of the log in memory: what it gives, what it has given up, and its bound. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import * as fc from 'fast-check';
import { sequence } from '../../protocol/ids.js';
import { LogTail } from '../../storage/logTail.js';
import { origin } from '../support/stores.js';
import { waitUntil } from '../support/waitUntil.js';

const A = origin('a');
const B = origin('b');

const filled = (bytesMax: number, entries: readonly (readonly [typeof A, number, number])[]) => {
  const tail = new LogTail(bytesMax);
  for (const [id, at, length] of entries)
    tail.add({ origin: id, sequence: sequence(at), bytes: Buffer.alloc(length, at) });
  return tail;
};

const found = (
  tail: LogTail,
  id: typeof A,
  after: number,
  bytesMax = 1_000,
): number[] | undefined =>
  tail.read({ origin: id, after, bytesMax })?.map((bytes) => bytes[0] ?? 0);

test('entries are found after any position that is still there', (t) => {
  const tail = filled(1_000, [
    [A, 5, 10],
    [A, 6, 10],
    [B, 1, 10],
    [A, 7, 10],
  ]);
  t.deepEqual(found(tail, A, 4), [5, 6, 7]);
  t.deepEqual(found(tail, A, 6), [7]);
  t.deepEqual(found(tail, B, 0), [1]);
  t.is(found(tail, A, 3), undefined);
  t.is(found(tail, A, 7), undefined);
  t.is(found(tail, origin('c'), 0), undefined);
});

test('a read ends before its bytes are exceeded, but gives at least one entry', (t) => {
  const tail = filled(1_000, [
    [A, 1, 40],
    [A, 2, 40],
    [A, 3, 40],
  ]);
  t.deepEqual(found(tail, A, 0, 80), [1, 2]);
  t.deepEqual(found(tail, A, 0, 79), [1]);
  t.deepEqual(found(tail, A, 0, 1), [1]);
});

test('the oldest entries of all origins are given up together', (t) => {
  const tail = filled(100, [
    [A, 1, 40],
    [B, 1, 40],
    [A, 2, 40],
  ]);
  t.is(found(tail, A, 0), undefined);
  t.deepEqual(found(tail, A, 1), [2]);
  t.deepEqual(found(tail, B, 0), [1]);
});

test('an entry larger than the bound is not kept', (t) => {
  const tail = filled(100, [[A, 1, 101]]);
  t.is(found(tail, A, 0), undefined);
  tail.add({ origin: A, sequence: sequence(2), bytes: Buffer.alloc(10, 2) });
  t.deepEqual(found(tail, A, 1), [2]);
});

test('a log that goes on after an adopted position begins anew', (t) => {
  const tail = filled(1_000, [
    [A, 1, 10],
    [A, 9, 10],
    [A, 10, 10],
  ]);
  t.is(found(tail, A, 0), undefined);
  t.is(found(tail, A, 1), undefined);
  t.deepEqual(found(tail, A, 8), [9, 10]);
});

test('what is found is always whole, in order and within the bound', (t) => {
  const adds = fc.array(fc.tuple(fc.nat(1), fc.integer({ min: 1, max: 60 }), fc.nat(20)), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(adds, (given) => {
      const tail = new LogTail(300);
      const last = [0, 0];
      for (const [which, length, jump] of given) {
        const at = (last[which] ?? 0) + (jump === 0 ? 3 : 1);
        last[which] = at;
        const id = which === 0 ? A : B;
        tail.add({ origin: id, sequence: sequence(at), bytes: Buffer.alloc(length, at % 256) });
        let kept = 0;
        for (const [each, origins] of [A, B].entries()) {
          const newest = last[each] ?? 0;
          let from = newest;
          while (from > 0 && tail.read({ origin: origins, after: from - 1, bytesMax: 1e9 })) from--;
          const all = tail.read({ origin: origins, after: from, bytesMax: 1e9 }) ?? [];
          if (all.length !== newest - from) return false;
          for (const [place, bytes] of all.entries())
            if (bytes.length === 0 || bytes[0] !== (from + 1 + place) % 256) return false;
          kept += all.reduce((sum, bytes) => sum + bytes.length, 0);
        }
        if (kept > 300) return false;
      }
      return true;
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test('a long log passes through, with the same end of it in memory at each step', (t) => {
  const tail = new LogTail(1_000);
  let wrong = 0;
  for (let at = 1; at <= 5_000; at++) {
    tail.add({ origin: A, sequence: sequence(at), bytes: Buffer.alloc(10, at % 256) });
    if (at <= 100) continue;
    const kept = found(tail, A, at - 100, 1e6);
    if (kept?.length !== 100 || kept[0] !== (at - 99) % 256) wrong++;
    if (found(tail, A, at - 101) !== undefined) wrong++;
  }
  t.is(wrong, 0);
});

test('what is given up is not held any longer', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const tail = new LogTail(1_000);
  const held: WeakRef<Buffer>[] = [];
  for (let at = 1; at <= 20; at++) {
    const bytes = Buffer.alloc(900, at);
    held.push(new WeakRef(bytes));
    tail.add({ origin: A, sequence: sequence(at), bytes });
  }
  const count = await waitUntil('the bytes to be collected', () => {
    collect();
    const left = held.filter((reference) => reference.deref() !== undefined).length;
    return left <= 1 && left;
  });
  t.is(count, 1);
});
