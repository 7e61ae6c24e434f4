/** What a feed answers about itself: what its subscriber has not confirmed, copies, and pauses. */
import test from 'ava';
import type { Actor, ActorContext } from '../../actors/kernel/types.js';
import type { Link } from '../../actors/link.js';
import type { FeedMessage, FeedOpening, FeedStatus } from '../../actors/messages.js';
import { feedSpec } from '../../actors/tableSubscription.js';
import { encodeEntry } from '../../protocol/entry.js';
import { EVERYTHING } from '../../protocol/flow.js';
import type { OriginPosition, Want } from '../../protocol/frames.js';
import { databaseName, nodeName, sequence, version, type OriginId } from '../../protocol/ids.js';
import { ALL_HELD, NOTHING_LEFT_OUT } from '../../protocol/leftOut.js';
import { entriesBehind } from '../../protocol/standing.js';
import { originNamed } from '../support/scenario.js';

const [OWN, OLD] = [originNamed('a'), originNamed('b')];
const LENGTH = 3;

const entry = (count: number): Buffer =>
  encodeEntry({ origin: OWN, sequence: sequence(count), version: version(count), tables: [] });
const at = (origin: OriginId, count: number): OriginPosition => ({
  origin,
  sequence: sequence(count),
  version: version(count),
});
const want = (origin: OriginId, after: number): Want => ({
  origin,
  after: sequence(after),
  checksum: 0,
});

/** The log of OWN holds three entries, that of OLD begins too late. */
const opening = {
  origin: OWN,
  positions: [at(OWN, LENGTH), at(OLD, 9)],
  whole: true,
  inPart: ALL_HELD,
  openCopy: () =>
    Promise.resolve({
      owed: [],
      source: {
        vector: new Map(),
        marks: [],
        tables: [],
        leftOut: NOTHING_LEFT_OUT,
        inPart: ALL_HELD,
        estimateRows: () => Promise.resolve(1),
        next: () => Promise.resolve({ rows: [], isEnd: true }),
        close: () => Promise.resolve(),
      },
    }),
  log: {
    vector: () => new Map(),
    readNow: ({ origin, after }: { origin: OriginId; after: number }) =>
      origin === OLD
        ? { kind: 'tooOld' }
        : { kind: 'entries', entries: after < LENGTH ? [entry(after + 1)] : [] },
  },
} as unknown as FeedOpening;

const start = async (windowBytes: number) => {
  const clock = { nowMs: 1_000_000 };
  const link = { send: () => undefined, sendControl: () => undefined, isCongested: false };
  const context = {
    life: 1,
    self: { path: '/feed', send: () => 'queued' },
    ask: () => Promise.resolve(opening),
    count: () => undefined,
    startTimer: () => undefined,
  } as unknown as ActorContext<FeedMessage>;
  const spec = feedSpec({
    database: databaseName('data'),
    subscriber: nodeName('s'),
    subscribe: {
      kind: 'Subscribe',
      stream: 1,
      database: databaseName('data'),
      wants: [],
      windowBytes,
    },
    scope: EVERYTHING,
    router: { path: '/router', send: () => 'queued' },
    link: link as unknown as Link,
    now: () => clock.nowMs,
  });
  const actor: Actor<FeedMessage> = await spec.start(context);
  const frame = (of: Extract<FeedMessage, { type: 'frame.received' }>['frame']): unknown =>
    actor.receive({ type: 'frame.received', frame: of });
  return {
    clock,
    frame,
    want: (...add: Want[]) => frame({ kind: 'Want', stream: 1, add, drop: [] }),
    ack: (count: number, creditBytes: number) =>
      frame({ kind: 'Ack', stream: 1, positions: [at(OWN, count)], creditBytes }),
    status: () =>
      new Promise<FeedStatus>((ok, fail) => {
        void actor.receive({ type: 'feed.status', replyTo: { ok, fail } });
      }),
  };
};

test('a feed without credit is under pressure, and what it sent is missing until it is confirmed', async (t) => {
  const feed = await start(1);
  await feed.want(want(OWN, 0));
  feed.clock.nowMs += 15_000;
  const paused = await feed.status();
  t.like(paused, { backPressurePercent: 50, entriesUnsent: 2 });
  t.is(entriesBehind(paused.sending), 3);
  await feed.ack(1, 10_000);
  feed.clock.nowMs += 15_000;
  const sent = await feed.status();
  t.like(sent, { backPressurePercent: 50, entriesUnsent: 0 });
  t.is(entriesBehind(sent.sending), 2);
  await feed.ack(3, 0);
  t.is(entriesBehind((await feed.status()).sending), 0);
});

test('a log that begins too late is not counted as missing: it cannot be had here', async (t) => {
  const feed = await start(10_000);
  await feed.want(want(OLD, 1));
  t.is(entriesBehind((await feed.status()).sending), 0);
});

test('a copy has moved when it was asked for, and is over at its end', async (t) => {
  const feed = await start(0);
  feed.clock.nowMs += 5_000;
  await feed.frame({ kind: 'CopyRequest', stream: 1, after: null });
  feed.clock.nowMs += 1_000;
  t.like(await feed.status(), { copying: true, copyMovedMs: feed.clock.nowMs - 1_000 });
  await feed.ack(0, 100);
  t.like(await feed.status(), { copying: false, copyMovedMs: null });
});
