/** How far one end of a stream is behind: scripted observations, and what is read at which time. */
import test from 'ava';
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import { sequence, version } from '../../protocol/ids.js';
import {
  AGES_MAX,
  entriesBehind,
  entriesBehindAll,
  readStanding,
  STALL_MS,
  startStanding,
  stepStanding,
  UNDER_WAY_MS,
  WINDOW_MS,
  type Compared,
  type StandingEvent,
  type StandingReading,
  type StreamStanding,
  type Surroundings,
} from '../../protocol/standing.js';
import { originNamed } from '../support/scenario.js';

const [A, B] = [originNamed('a'), originNamed('b')];
const START = 1_000_000;

const at = (count: number, ms: number): NonNullable<Compared['held']> => ({
  sequence: sequence(count),
  version: version(ms * TICKS_PER_MILLISECOND),
});

/** `told` and `held`: a count and when the entry with that number was written. */
const place = (
  told: [number, number],
  held?: [number, number],
  origin: Compared['origin'] = A,
): Compared => ({ origin, told: at(...told), held: held && at(...held) });

/** A stream and its clock. */
const stream = (startMs = START) => {
  let standing: StreamStanding = startStanding(startMs);
  let nowMs = startMs;
  const step = (event: StandingEvent): void => {
    standing = stepStanding(standing, event, nowMs);
  };
  return {
    open: (...places: Compared[]) => step({ type: 'opened', places }),
    close: () => step({ type: 'closed' }),
    compare: (...places: Compared[]) => step({ type: 'compared', places }),
    date: (ms: number) => step({ type: 'dated', origin: A, version: at(1, ms).version }),
    pass: (ms: number) => {
      nowMs += ms;
      return nowMs;
    },
    now: () => nowMs,
    standing: () => standing,
    read: (around: Partial<Surroundings> = {}): StandingReading =>
      readStanding(standing, {
        nowMs,
        isLinked: true,
        silentMs: 0,
        silentMsMax: 30_000,
        copyMovedMs: null,
        partMovedMs: null,
        ...around,
      }),
  };
};

test('nothing missing is HEALTHY, for as long as it stays so', (t) => {
  const one = stream();
  one.open(place([5, START], [5, START]));
  for (const ms of [0, 1, WINDOW_MS, STALL_MS, 86_400_000]) {
    one.pass(ms);
    t.deepEqual(one.read(), { state: 'HEALTHY', entriesBehind: 0, lagMs: 0 });
  }
});

test('what is under way does not make a stream unhealthy, and is counted', (t) => {
  const one = stream();
  one.open(place([5, START], [5, START]));
  one.compare(place([8, one.pass(50)], [5, START]));
  t.deepEqual(one.read(), { state: 'HEALTHY', entriesBehind: 3, lagMs: 1 });
  one.pass(UNDER_WAY_MS - 1);
  t.like(one.read(), { state: 'HEALTHY', lagMs: UNDER_WAY_MS - 1 });
  one.pass(1);
  t.like(one.read(), { state: 'CATCHING_UP', entriesBehind: 3 });
});

test('the lag of a stuck stream grows, and it is STALLED after 10 s without progress', (t) => {
  const one = stream();
  one.open(place([5, START], [5, START]));
  one.compare(place([6, START], [5, START]));
  const lags = [2_000, 4_000, 3_999].map((ms) => {
    one.pass(ms);
    t.is(one.read().state, 'CATCHING_UP');
    return one.read().lagMs;
  });
  t.deepEqual(lags, [2_000, 6_000, 9_999]);
  one.pass(1);
  t.like(one.read(), { state: 'STALLED', lagMs: 10_000, entriesBehind: 1 });
  t.is(one.read().reason, `nothing of ${A} has moved for 10 s`);
  one.pass(90_000);
  t.like(one.read(), { state: 'STALLED', lagMs: 100_000 });
});

test('the first progress ends a stall', (t) => {
  const one = stream();
  one.open(place([100, START], [0, START - 1]));
  one.pass(STALL_MS);
  t.is(one.read().state, 'STALLED');
  one.compare(place([100, START], [1, START]));
  t.is(one.read().state, 'CATCHING_UP');
  one.compare(place([100, START], [100, START]));
  t.deepEqual(one.read(), { state: 'HEALTHY', entriesBehind: 0, lagMs: 0 });
});

test('an origin that is stuck shows, whatever flows beside it', (t) => {
  const one = stream();
  one.open(place([9, START], [0, START], A), place([9, START], [0, START], B));
  for (let held = 1; held < 9; held++) {
    one.pass(2_000);
    one.compare(place([9, START], [held, START], B));
  }
  t.like(one.read(), { state: 'STALLED', reason: `nothing of ${A} has moved for 16 s` });
});

test('a distance that grows over two windows is FALLING_BEHIND, and until it shrinks', (t) => {
  const one = stream();
  one.open(place([10, START], [0, START - 1]));
  let told = 10;
  let held = 0;
  const second = (): void => {
    one.pass(1_000);
    told += 10;
    held += 5;
    one.compare(place([told, one.now()], [held, one.now() - 500]));
  };
  for (let count = 0; count < 9; count++) {
    second();
    t.not(one.read().state, 'FALLING_BEHIND');
  }
  for (let count = 0; count < 6; count++) second();
  one.pass(UNDER_WAY_MS);
  t.is(one.read().state, 'FALLING_BEHIND');
  held = told - 1;
  one.compare(place([told, one.now()], [held, one.now() - 2_000]));
  t.is(one.read().state, 'CATCHING_UP');
});

test('one window in which the distance grew is not enough', (t) => {
  const one = stream();
  one.open(place([10, START], [0, START - 2_000]));
  one.pass(WINDOW_MS + 1);
  one.compare(place([20, one.now()], [1, START]));
  one.pass(WINDOW_MS);
  t.is(one.read().state, 'CATCHING_UP');
});

test('a distance that stays the same is CATCHING_UP', (t) => {
  const one = stream();
  one.open(place([10, START], [0, START - 2_000]));
  for (let count = 1; count < 30; count++) {
    one.pass(1_000);
    one.compare(place([10 + count, one.now()], [count, one.now() - 2_000]));
    t.like(one.read(), { state: 'CATCHING_UP', entriesBehind: 10 });
  }
});

test('the age is that of the oldest entry missing, not of the newest', (t) => {
  const one = stream();
  one.open(place([1, START], [1, START]));
  one.compare(place([2, one.pass(1_000)], [1, START]));
  one.compare(place([3, one.pass(1_000)], [1, START]));
  one.pass(500);
  t.is(one.read().lagMs, 1_500);
  one.compare(place([3, START + 2_000], [2, START + 1_000]));
  t.is(one.read().lagMs, 500);
});

test('after an outage the lag is the outage, though the database rested before it', (t) => {
  const one = stream();
  one.open(place([1, START], [1, START]));
  one.pass(3_600_000);
  one.close();
  one.pass(60_000);
  one.open(place([500, one.now() - 10], [1, START]));
  t.like(one.read(), { state: 'CATCHING_UP', entriesBehind: 499, lagMs: 60_000 });
  one.compare(place([500, one.now() - 10], [400, one.now() - 20_000]));
  t.like(one.read(), { entriesBehind: 100, lagMs: 20_000 });
});

test('a first stream is as far behind as what is held is old', (t) => {
  const one = stream();
  one.open(place([500, START - 10], [1, START - 90_000]));
  t.is(one.read().lagMs, 90_000);
  const empty = stream();
  empty.open(place([500, START - 10]));
  t.is(empty.read().lagMs, 10);
});

test('an entry that is being sent tells how old what is missing is', (t) => {
  const one = stream();
  one.open(place([500, START - 10], [1, 0]));
  t.is(one.read().lagMs, 10);
  one.date(START - 7_000);
  t.is(one.read().lagMs, 7_000);
  one.date(START - 5_000);
  t.is(one.read().lagMs, 7_000);
});

test('a clock ahead of this one makes nothing younger than 1 ms', (t) => {
  const one = stream();
  one.open(place([2, START + 30_000], [1, START + 20_000]));
  t.is(one.read().lagMs, 1);
  one.pass(5_000);
  t.is(one.read().lagMs, 5_000);
});

test('without a link it is DISCONNECTED, keeps what was missing, and its lag grows', (t) => {
  const one = stream();
  one.open(place([9, START], [4, START]));
  one.pass(100);
  one.close();
  one.pass(5_000);
  t.deepEqual(one.read({ isLinked: false }), {
    state: 'DISCONNECTED',
    entriesBehind: 5,
    lagMs: 5_100,
  });
});

test('a link without the stream is STALLED after 10 s', (t) => {
  const one = stream();
  t.like(one.read(), { state: 'CATCHING_UP', reason: 'the stream is being opened' });
  one.pass(STALL_MS - 1);
  t.is(one.read().state, 'CATCHING_UP');
  one.pass(1);
  t.like(one.read(), { state: 'STALLED', reason: 'no stream for 10 s', lagMs: STALL_MS });
});

test('silence where there should be none is lag, and STALLED after 10 s of it', (t) => {
  const one = stream();
  one.open(place([5, START], [5, START]));
  t.like(one.read({ silentMs: 30_000 }), { state: 'HEALTHY', lagMs: 0 });
  t.like(one.read({ silentMs: 2_001, silentMsMax: 2_000 }), { lagMs: 2_001 });
  t.deepEqual(one.read({ silentMs: 30_001 }), {
    state: 'STALLED',
    reason: 'nothing was heard for 30 s',
    entriesBehind: 0,
    lagMs: 30_001,
  });
});

test('a copy is CATCHING_UP while it moves, and STALLED after 10 s without', (t) => {
  const one = stream();
  one.open(place([5_000, START]));
  const copyMovedMs = one.pass(60_000);
  t.like(one.read({ copyMovedMs }), { state: 'CATCHING_UP', reason: 'initial copy' });
  one.pass(STALL_MS);
  t.like(one.read({ copyMovedMs }), {
    state: 'STALLED',
    reason: 'the copy has not moved for 10 s',
  });
});

test('a transaction that comes in parts is progress before it is there', (t) => {
  const one = stream();
  one.open(place([1, START]));
  one.pass(60_000);
  t.is(one.read().state, 'STALLED');
  t.is(one.read({ partMovedMs: one.now() - 9_999 }).state, 'CATCHING_UP');
  t.is(one.read({ partMovedMs: one.now() - STALL_MS }).state, 'STALLED');
});

test('a log that turns out to be shorter leaves nothing missing beyond it', (t) => {
  const one = stream();
  one.open(place([9, START], [4, START]));
  one.compare(place([6, START], [4, START]));
  t.is(one.read().entriesBehind, 2);
  one.compare(place([3, START], [4, START]));
  t.is(one.read().entriesBehind, 0);
});

test('what two peers have and this node has not is counted once', (t) => {
  const [one, two] = [stream(), stream()];
  one.open(place([9, START], [4, START], A), place([3, START], [1, START], B));
  two.open(place([8, START], [4, START], A));
  t.is(entriesBehindAll([one.standing(), two.standing()]), 7);
});

test('ages have a bound, and joining them makes nothing younger', (t) => {
  const one = stream();
  one.open(place([1, START], [1, START]));
  for (let count = 2; count < 10 * AGES_MAX; count++)
    one.compare(place([count, one.pass(100)], [1, START]));
  const ages = one.standing().missing.get(A)?.ages ?? [];
  t.true(ages.length <= AGES_MAX && ages.length > AGES_MAX / 4);
  t.is(one.read().lagMs, one.now() - START - 100);
  t.is(entriesBehind(one.standing()), 10 * AGES_MAX - 2);
});
