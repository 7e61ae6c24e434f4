/** What may be newer on a key, answered in bounded memory: a wrong "no" cannot happen. */
import test from 'ava';
import * as fc from 'fast-check';
import { version } from '../../protocol/ids.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { rowKey } from '../../storage/keys.js';
import { Recency } from '../../storage/recency.js';

const key = (name: string): Buffer => rowKey(1, encodeKey(name));

test('everything stored before counts as just seen', (t) => {
  const recency = new Recency(version(5));
  t.false(recency.isNewest(key('k'), version(5)));
  t.true(recency.isNewest(key('k'), version(6)));
});

test('an equal version of another origin may be there', (t) => {
  const recency = new Recency(version(0));
  recency.note(key('k'), version(7));
  t.false(recency.isNewest(key('k'), version(7)));
  t.true(recency.isNewest(key('k'), version(8)));
});

test('an older write noted later hides nothing', (t) => {
  const recency = new Recency(version(0));
  recency.note(key('k'), version(7));
  recency.note(key('k'), version(3));
  t.false(recency.isNewest(key('k'), version(5)));
});

test('no key is ever called newest while something newer lies on it', (t) => {
  const writes = fc.array(fc.tuple(fc.string({ minLength: 1, maxLength: 30 }), fc.nat(50)), {
    maxLength: 50,
  });
  fc.assert(
    fc.property(writes, (given) => {
      const recency = new Recency(version(0));
      const newest = new Map<string, number>();
      for (const [name, at] of given) {
        const held = newest.get(name) ?? 0;
        if (recency.isNewest(key(name), version(at)) && held >= at) return false;
        recency.note(key(name), version(at));
        newest.set(name, Math.max(held, at));
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass();
});
