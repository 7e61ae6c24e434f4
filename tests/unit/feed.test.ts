/** A feed under random events keeps its invariants. Single cases: tests/scenario/feed.txt. */
import test from 'ava';
import * as fc from 'fast-check';
import { startFeed, stepFeed, type FeedEffect, type FeedEvent } from '../../protocol/feed.js';
import { nodeName, sequence, version } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { originNamed } from '../support/scenario.js';

const ORIGINS = ['a', 'b', 'c'].map(originNamed);
const ENTRY_BYTES_MAX = 900;
const LAST = 1_000_000;

type Step = { readonly kind: number; readonly size: number; readonly place: number };
const steps = fc.array(
  fc.record({
    kind: fc.nat(4),
    size: fc.integer({ min: 1, max: ENTRY_BYTES_MAX }),
    place: fc.nat(2),
  }),
  { maxLength: 60 },
);

/** A subscriber, a disk and a link around one feed, that write down what they see. */
const run = (given: readonly Step[], windowBytes: number) => {
  const log = ORIGINS.map((origin) => ({ origin, sequence: sequence(LAST), version: version(1) }));
  let state = startFeed({ subscriber: nodeName('s'), windowBytes, log });
  let reading: Extract<FeedEffect, { type: 'readEntries' }> | null = null;
  let found: { origin: string; after: number; count: number } | null = null;
  const seen = { granted: windowBytes, sent: 0, overdrawn: 0, places: new Map<string, number>() };
  const turns: string[] = [];

  const step = (event: FeedEvent): void => {
    const [next, effects] = stepFeed(state, event);
    state = next;
    for (const effect of effects) {
      if (effect.type === 'readEntries') {
        if (reading) throw new Error('two reads under way');
        if (effect.bytesMax > Math.min(limits.frameBytesTarget, state.creditBytes))
          throw new Error('reads more than there is credit for');
        reading = effect;
        turns.push(effect.origin);
      }
      if (effect.type === 'sendEntries') {
        if (!found) throw new Error('sends what was not read');
        if ((seen.places.get(found.origin) ?? 0) !== found.after)
          throw new Error('skips or repeats');
        seen.places.set(found.origin, found.after + found.count);
      }
    }
    found = null;
  };

  step({
    type: 'wanted',
    add: ORIGINS.map((origin) => ({ origin, after: sequence(0), checksum: 0 })),
    drop: [],
  });
  for (const { kind, size } of given) {
    if (kind >= 2 && reading) {
      const { origin, after, bytesMax } = reading as Extract<FeedEffect, { type: 'readEntries' }>;
      reading = null;
      const count = Math.max(1, Math.floor(bytesMax / size));
      const bytes = count * size;
      found = { origin, after, count };
      seen.sent += bytes;
      seen.overdrawn = Math.max(seen.overdrawn, seen.sent - seen.granted);
      step({ type: 'entriesRead', origin, after, result: { count, bytes }, logStart: sequence(1) });
    } else if (kind === 0) {
      seen.granted += size;
      step({ type: 'credited', bytes: size });
    } else step({ type: 'congestionChanged', congested: size % 2 === 0 });
  }
  return { ...seen, turns, state };
};

test('a feed never sends beyond its credit but for the rest of one entry', (t) => {
  fc.assert(
    fc.property(steps, fc.nat(3_000), (given, windowBytes) => {
      const { overdrawn, granted, sent, state } = run(given, windowBytes);
      return overdrawn < ENTRY_BYTES_MAX && state.creditBytes === granted - sent;
    }),
    { numRuns: 3_000 },
  );
  t.pass();
});

test('a feed never reads an origin twice in a row while another has more', (t) => {
  fc.assert(
    fc.property(steps, (given) => {
      const { turns } = run(given, 1_000_000);
      return turns.every((origin, turn) => turn === 0 || origin !== turns[turn - 1]);
    }),
    { numRuns: 1_000 },
  );
  t.pass();
});

test('of a copy less is under way than the receiver would let be', (t) => {
  const windowBytes = 4 * limits.copyWindowBytes;
  let state = startFeed({ subscriber: nodeName('s'), windowBytes, log: [] });
  const step = (event: FeedEvent): readonly FeedEffect[] => {
    const [next, effects] = stepFeed(state, event);
    state = next;
    return effects;
  };
  step({ type: 'copyRequested', after: null });
  let effects = step({ type: 'copyOpened' });
  let underWay = 0;
  while (effects.some(({ type }) => type === 'readCopy')) {
    underWay += 60_000;
    effects = step({ type: 'copyRead', bytes: 60_000, ended: false });
  }
  t.true(underWay >= limits.copyWindowBytes && underWay < limits.copyWindowBytes + 60_000);
  t.true(step({ type: 'credited', bytes: 60_000 }).some(({ type }) => type === 'readCopy'));
});
