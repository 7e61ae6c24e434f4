/** What a subscriber has not acknowledged, and how often sending had to wait. */
import test from 'ava';
import { FeedProgress } from '../../actors/feedProgress.js';
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import type { OriginPosition, Want } from '../../protocol/frames.js';
import { sequence, version, type OriginId } from '../../protocol/ids.js';
import { entriesBehind, readStanding, type StandingReading } from '../../protocol/standing.js';
import { originNamed } from '../support/scenario.js';

const [OWN, OTHER] = [originNamed('a'), originNamed('b')];
const START = 1_000_000;

const at = (origin: OriginId, count: number, ms = START): OriginPosition => ({
  origin,
  sequence: sequence(count),
  version: version(ms * TICKS_PER_MILLISECOND),
});
const want = (origin: OriginId, after: number): Want => ({
  origin,
  after: sequence(after),
  checksum: 0,
});

const feed = (...positions: OriginPosition[]) => {
  let nowMs = START;
  const progress = new FeedProgress({ origin: OWN, positions }, () => nowMs);
  return {
    progress,
    pass: (ms: number) => (nowMs += ms),
    behind: () => entriesBehind(progress.status(false).sending),
    read: (): StandingReading =>
      readStanding(progress.status(false).sending, {
        nowMs,
        isLinked: true,
        silentMs: 0,
        silentMsMax: 30_000,
        copyMovedMs: null,
        partMovedMs: null,
      }),
  };
};

test('what is acknowledged counts, not what was sent', (t) => {
  const { progress, behind } = feed(at(OWN, 5));
  progress.wanted([want(OWN, 2)], []);
  t.is(behind(), 3);
  progress.sent(at(OWN, 3));
  t.is(behind(), 3);
  progress.acknowledged([at(OWN, 4)]);
  t.is(behind(), 1);
  progress.advanced([at(OWN, 9)]);
  t.is(behind(), 5);
  progress.acknowledged([at(OWN, 9)]);
  t.is(behind(), 0);
});

test('an acknowledgement that comes late does not undo one', (t) => {
  const { progress, behind } = feed(at(OWN, 5));
  progress.wanted([want(OWN, 2)], []);
  progress.acknowledged([at(OWN, 4)]);
  progress.acknowledged([at(OWN, 3)]);
  t.is(behind(), 1);
});

test('what the subscriber takes from elsewhere is not missing here', (t) => {
  const { progress, behind } = feed(at(OWN, 5), at(OTHER, 7));
  progress.wanted([want(OWN, 5)], []);
  t.is(behind(), 0);
  progress.wanted([want(OTHER, 3)], []);
  t.is(behind(), 4);
  progress.wanted([], [OTHER]);
  t.is(behind(), 0);
});

test('what a subscriber refuses of this node stays missing, unless it cannot be had here', (t) => {
  const { progress, behind } = feed(at(OWN, 5));
  progress.wanted([want(OWN, 2)], []);
  progress.wanted([], [OWN]);
  t.is(behind(), 3);
  progress.tooOld(OWN);
  t.is(behind(), 0);
});

test('a subscriber that asks for nothing of a node that has something is not HEALTHY', (t) => {
  const silent = feed(at(OWN, 5));
  t.is(silent.read().state, 'CATCHING_UP');
  silent.pass(10_000);
  t.is(silent.read().state, 'STALLED');
  silent.progress.wanted([want(OWN, 5)], []);
  t.is(silent.read().state, 'HEALTHY');
  t.is(feed(at(OTHER, 5)).read().state, 'HEALTHY');
});

test('the first that a node writes is missing before it is asked for', (t) => {
  const { progress, behind } = feed(at(OTHER, 5));
  progress.advanced([at(OWN, 2)]);
  t.is(behind(), 2);
  progress.wanted([want(OWN, 0)], []);
  progress.acknowledged([at(OWN, 2)]);
  t.is(behind(), 0);
});

test('the age of a backlog is that of its first entry, told when that is sent', (t) => {
  const { progress, read } = feed(at(OWN, 500));
  progress.wanted([want(OWN, 2)], []);
  t.is(read().lagMs, 1);
  progress.sent(at(OWN, 4, START - 90_000));
  t.is(read().lagMs, 1);
  progress.sent(at(OWN, 3, START - 60_000));
  t.is(read().lagMs, 60_000);
  progress.acknowledged([at(OWN, 100, START - 30_000)]);
  t.is(read().lagMs, 30_000);
});

test('a copy has moved when rows went; without one there is nothing to move', (t) => {
  const { progress, pass } = feed(at(OWN, 5));
  pass(1_000);
  progress.copyMoved();
  pass(500);
  t.is(progress.status(true).copyMovedMs, START + 1_000);
  t.is(progress.status(false).copyMovedMs, null);
});

test('half of the last 30 s in pauses is a back pressure of 50 %', (t) => {
  const { progress, pass } = feed();
  for (let second = 0; second < 40; second++) {
    progress.paused(second % 2 === 0);
    pass(1_000);
  }
  t.is(progress.status(false).backPressurePercent, 50);
  progress.paused(true);
  pass(30_000);
  t.is(progress.status(false).backPressurePercent, 100);
});
