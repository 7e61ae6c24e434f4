/** The hybrid clock and stamps, case by case. */
import test from 'ava';
import {
  compareStamps,
  isTooFarAhead,
  millisecondsOf,
  newer,
  observe,
  tick,
  TICKS_PER_MILLISECOND,
} from '../../protocol/clock.js';
import { version } from '../../protocol/ids.js';
import { origin } from '../support/stores.js';

const at = (ms: number, counter = 0) => version(ms * TICKS_PER_MILLISECOND + counter);
const stamp = (value: number, node: string, life = 1) => ({
  version: version(value),
  origin: origin(node, life),
});

for (const [name, last, nowMs, expected] of [
  ['takes the wall clock when that is ahead', at(5), 9, at(9)],
  ['counts on while the wall clock stands', at(9), 9, at(9, 1)],
  ['never goes back with the wall clock', at(9, 7), 3, at(9, 8)],
  ['goes on into the next millisecond when the counter is full', at(9, 2047), 9, at(10)],
  ['begins at the wall clock', version(0), 1, at(1)],
  ['leaves fractions of a millisecond to the counter', at(1), 7.9, at(7)],
] as const)
  test(`the next version ${name}`, (t) => t.is(tick(last, nowMs), expected));

test('what is seen raises the clock and never lowers it', (t) => {
  t.is(observe(at(3), at(9)), at(9));
  t.is(observe(at(9), at(3)), at(9));
  t.true(tick(observe(at(3), at(9)), 4) > at(9));
});

test('versions stay safe integers until the year 2109', (t) => {
  const last = tick(version(0), Date.UTC(2109, 0, 1));
  t.true(Number.isSafeInteger(last));
  t.is(millisecondsOf(last), Date.UTC(2109, 0, 1));
});

test('milliseconds carry the counter as their fraction', (t) => {
  t.is(millisecondsOf(at(5, 1024)), 5.5);
});

test('a version is too far ahead only beyond the allowed skew', (t) => {
  const question = { nowMs: 1_000, maxClockSkewMs: 60_000 };
  t.false(isTooFarAhead({ ...question, version: at(61_000) }));
  t.true(isTooFarAhead({ ...question, version: at(61_000, 1) }));
});

for (const [name, older, younger] of [
  ['the version decides first', stamp(1, 'z'), stamp(2, 'a')],
  ['then the node name', stamp(1, 'a'), stamp(1, 'b')],
  ['CX-03: then the incarnation, so a lost disk makes no tie', stamp(1, 'a', 1), stamp(1, 'a', 2)],
] as const)
  test(`of two stamps ${name}`, (t) => {
    t.true(compareStamps(older, younger) < 0);
    t.true(compareStamps(younger, older) > 0);
    t.is(newer(older, younger), younger);
    t.is(newer(younger, older), younger);
  });

test('only the stamp of the same operation is equal', (t) => {
  t.is(compareStamps(stamp(1, 'a'), stamp(1, 'a')), 0);
  t.is(newer(null, stamp(1, 'a'))?.version, version(1));
  t.is(newer(stamp(1, 'a'), null)?.version, version(1));
  t.is(newer(null, null), null);
});
