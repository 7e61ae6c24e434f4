/**
 * Streams under random notices, commits and acknowledgements with a clock of their own, against a model that knows when
 * each entry was written. What is read must never be better than the truth.
 */
import test from 'ava';
import * as fc from 'fast-check';
import {
  backPressurePercent,
  noBackPressure,
  PRESSURE_MS,
  stepBackPressure,
} from '../../protocol/backPressure.js';
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import { readCopyPace, stepCopyPace, type CopyPace } from '../../protocol/copyPace.js';
import { sequence, version } from '../../protocol/ids.js';
import {
  readStanding,
  STALL_MS,
  startStanding,
  stepStanding,
  UNDER_WAY_MS,
  type Compared,
} from '../../protocol/standing.js';
import { originNamed } from '../support/scenario.js';

const ORIGINS = ['a', 'b', 'c'].map(originNamed);
const START = 1_000_000;

type Step = { kind: number; origin: number; count: number; ms: number };
const steps = fc.array(
  fc.record({
    kind: fc.nat(9),
    origin: fc.nat(ORIGINS.length - 1),
    count: fc.integer({ min: 1, max: 9 }),
    ms: fc.oneof(fc.nat(300), fc.nat(6_000), fc.constant(0)),
  }),
  { maxLength: 80, size: 'max' },
);

/** What is true of one origin: when each entry was written, up to where is told and held. */
interface Truth {
  readonly written: number[];
  told: number;
  held: number;
  progressMs: number;
}

const run = (given: readonly Step[]): void => {
  let nowMs = START;
  let isOpen = false;
  let standing = startStanding(nowMs);
  let turnedMs = nowMs;
  const truths = ORIGINS.map((): Truth => ({ written: [], told: 0, held: 0, progressMs: nowMs }));
  const at = ({ written }: Truth, count: number) => ({
    sequence: sequence(count),
    version: version((written[count - 1] ?? 0) * TICKS_PER_MILLISECOND),
  });
  const placeOf = (index: number): Compared[] => {
    const [truth, origin] = [truths[index], ORIGINS[index]];
    if (!truth || !origin || truth.told === 0) return [];
    const held = truth.held === 0 ? undefined : at(truth, truth.held);
    return [{ origin, told: at(truth, truth.told), held }];
  };
  const notice = (truth: Truth): void => {
    if (truth.told <= truth.held) truth.progressMs = nowMs;
    truth.told = truth.written.length;
  };
  for (const { kind, origin: index, count, ms } of given) {
    nowMs += ms;
    const truth = truths[index];
    if (!truth) continue;
    if (kind <= 2) truth.written.push(...Array<number>(count).fill(nowMs));
    else if (kind === 9) {
      const wasOpen = isOpen;
      isOpen = !isOpen;
      turnedMs = nowMs;
      if (!wasOpen)
        for (const one of truths) {
          notice(one);
          one.progressMs = nowMs;
        }
      const places = ORIGINS.flatMap((_, place) => placeOf(place));
      const event = wasOpen ? { type: 'closed' as const } : { type: 'opened' as const, places };
      standing = stepStanding(standing, event, nowMs);
    } else if (isOpen) {
      if (kind <= 5) notice(truth);
      else if (truth.held < truth.told) {
        truth.held = Math.min(truth.told, truth.held + count);
        truth.progressMs = nowMs;
      }
      standing = stepStanding(standing, { type: 'compared', places: placeOf(index) }, nowMs);
    }
    check({ truths, standing, nowMs, isOpen, turnedMs });
  }
};

const check = (seen: {
  truths: readonly Truth[];
  standing: ReturnType<typeof startStanding>;
  nowMs: number;
  isOpen: boolean;
  turnedMs: number;
}): void => {
  const { truths, standing, nowMs, isOpen } = seen;
  const reading = readStanding(standing, {
    nowMs,
    isLinked: isOpen,
    silentMs: 0,
    silentMsMax: 30_000,
    copyMovedMs: null,
    partMovedMs: null,
  });
  const behind = truths.reduce((sum, { told, held }) => sum + Math.max(0, told - held), 0);
  const late = truths.filter(({ told, held }) => told > held);
  const oldest = Math.min(...late.map(({ written, held }) => written[held] ?? nowMs));
  const text = JSON.stringify({ reading, behind, nowMs, oldest });
  const fail = (rule: string): never => {
    throw new Error(`${rule}: ${text}`);
  };
  if (reading.entriesBehind !== behind) fail('the count is not the truth');
  if (reading.lagMs === 0 && behind > 0) fail('a lag of 0 with something missing');
  if (isOpen && behind === 0 && reading.lagMs !== 0) fail('a lag with nothing missing');
  // A notice tells of its newest entry only: up to there an age is known.
  const newest = Math.min(...late.map(({ written, told }) => written[told - 1] ?? nowMs));
  if (behind > 0 && reading.lagMs < nowMs - newest) fail('younger than everything missing');
  if (reading.state === 'HEALTHY' && behind > 0 && nowMs - newest >= UNDER_WAY_MS)
    fail('HEALTHY with something missing for long');
  if (reading.state === 'HEALTHY' && !isOpen) fail('HEALTHY without a stream');
  if (reading.state === 'STALLED' && !late.some((one) => nowMs - one.progressMs >= STALL_MS))
    fail('STALLED before the bound');
  const isStuck = late.some((one) => nowMs - one.progressMs >= STALL_MS);
  if (isOpen && isStuck && reading.state !== 'STALLED') fail('stuck and not STALLED');
};

test('what is read of a stream is never better than the truth', (t) => {
  fc.assert(fc.property(steps, run), { numRuns: 2_000 });
  t.pass();
});

test('the percentage of a copy never falls, never exceeds 100, and is 100 only when complete', (t) => {
  const rows = fc.record({
    done: fc.nat(50),
    more: fc.integer({ min: -60, max: 200 }),
    ms: fc.nat(4_000),
  });
  fc.assert(
    fc.property(fc.array(rows, { maxLength: 60, size: 'max' }), (given) => {
      let nowMs = START;
      let rowsDone = 0;
      let pace: CopyPace | null = null;
      let shown = 0;
      for (const { done, more, ms } of given) {
        nowMs += ms;
        rowsDone += done;
        pace = stepCopyPace(
          pace,
          { rowsDone, rowsEstimated: Math.max(rowsDone, rowsDone + more) },
          nowMs,
        );
        if (!pace) throw new Error('a copy that goes on has a pace');
        const { percent, remainingMs, rowsPerSecond } = readCopyPace(pace, nowMs + ms);
        if (percent < shown || percent >= 100) throw new Error(`${percent} after ${shown}`);
        if ((remainingMs ?? 0) < 0 || (rowsPerSecond ?? 0) < 0) throw new Error('negative');
        if (pace.samples.length > 13) throw new Error(`${pace.samples.length} samples`);
        shown = percent;
      }
      const complete = stepCopyPace(pace, 'complete', nowMs);
      if (complete && readCopyPace(complete, nowMs).percent !== 100) throw new Error('not 100');
    }),
  );
  t.pass();
});

test('back pressure is the share of the last 30 s in which sending was paused', (t) => {
  const turns = fc.array(
    fc.record({ ms: fc.oneof(fc.nat(50), fc.nat(20_000)), paused: fc.boolean() }),
    {
      maxLength: 60,
      size: 'max',
    },
  );
  fc.assert(
    fc.property(turns, (given) => {
      let nowMs = START;
      let pressure = noBackPressure;
      let isPaused = false;
      const spans: [number, number][] = [];
      for (const { ms, paused } of given) {
        if (isPaused) spans.push([nowMs, nowMs + ms]);
        nowMs += ms;
        const truth = spans.reduce(
          (sum, [from, to]) => sum + Math.max(0, to - Math.max(from, nowMs - PRESSURE_MS)),
          0,
        );
        const percent = backPressurePercent(pressure, nowMs);
        // The second that is leaving counts as a whole or in part.
        if (Math.abs(percent - (truth / PRESSURE_MS) * 100) > 4 || percent < 0 || percent > 100)
          throw new Error(`${percent} for ${truth} ms`);
        pressure = stepBackPressure(pressure, paused, nowMs);
        isPaused = paused;
        if (pressure.buckets.length > 32) throw new Error(`${pressure.buckets.length} buckets`);
      }
    }),
  );
  t.pass();
});
