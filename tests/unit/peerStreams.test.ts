/** What a link's greeting says of this node's clocks, and what the peer's does to them. */
import test from 'ava';
import type { ActorContext, ActorRef, Reply } from '../../actors/kernel/types.js';
import type { DatabaseStatus, PeerMessage, RouterMessage } from '../../actors/messages.js';
import type { Link } from '../../actors/link.js';
import { PeerStreams } from '../../actors/peerStreams.js';
import { OPEN_RULES } from '../../protocol/flow.js';
import { databaseName, nodeName, version, type Version } from '../../protocol/ids.js';

interface Router extends ActorRef<RouterMessage> {
  readonly observed: Version[];
}

/** A database whose clock stands at `clock`. */
const routerAt = (clock: number): Router => {
  const observed: Version[] = [];
  const send = (message: RouterMessage): 'queued' => {
    if (message.type === 'database.status')
      message.replyTo.ok({ clock: version(clock) } as DatabaseStatus);
    if (message.type === 'clock.observed') observed.push(message.clock);
    return 'queued';
  };
  return { path: '/router', send, observed };
};

const ask = (router: Router, question: (replyTo: Reply<unknown>) => RouterMessage) =>
  new Promise((ok, fail) => router.send(question({ ok, fail })));

const streamsOf = (routers: Record<string, Router>): PeerStreams =>
  new PeerStreams({
    context: { ask } as unknown as ActorContext<PeerMessage>,
    resources: {} as never,
    name: nodeName('p'),
    rules: OPEN_RULES,
    databases: new Map(
      Object.entries(routers).map(([name, router]) => [databaseName(name), router]),
    ),
  });

/** Streams over a link on which nothing is heard, and the waits before they are asked for again. */
const subscribed = (): {
  streams: PeerStreams;
  waits: () => number[];
  unsubscribe: (reason: string) => void;
} => {
  const waits: number[] = [];
  const spawned: string[] = [];
  const context = {
    spawn: ({ name }: { name: string }) => (spawned.push(name), { path: `/${name}` }),
    watch: () => undefined,
    stop: () => Promise.resolve(),
    children: () => [],
    startTimer: (_name: string, afterMs: number) => void waits.push(afterMs),
  } as unknown as ActorContext<PeerMessage>;
  const databases = new Map([[databaseName('data'), routerAt(1)]]);
  const streams = new PeerStreams({
    context,
    resources: { environment: { now: () => 0 }, log: { info: () => undefined } } as never,
    name: nodeName('p'),
    databases,
    rules: OPEN_RULES,
  });
  streams.start({} as Link, databases, true);
  const unsubscribe = (reason: string): void => {
    const stream = 1 + 2 * (spawned.length - 1);
    streams.frame({ kind: 'Unsubscribe', stream, reason });
    const terminated = { path: '/resync:data', reason: { kind: 'stopped' } } as never;
    const database = databaseName('data');
    streams.ended({ type: 'stream.ended', terminated, database, side: 'resync' });
  };
  return { streams, waits: () => waits, unsubscribe };
};

test('what a peer refuses is asked for again slowly, and what it says of that is known', async (t) => {
  const { streams, waits, unsubscribe } = subscribed();
  unsubscribe('the sending end restarted');
  t.deepEqual(waits(), [250]);
  streams.subscribe(databaseName('data'));
  unsubscribe('Unauthorized database subscription to data');
  t.deepEqual(waits(), [250, 30_000]);
  const [shown] = await streams.status();
  t.is(shown?.receivingClosed, 'Unauthorized database subscription to data');
});

test('the greeting carries the clock of the system database', async (t) => {
  t.is(await streamsOf({ data: routerAt(5), system: routerAt(9) }).clock(), version(9));
  t.is(await streamsOf({}).clock(), version(0));
});

test('CX-09: the greeting carries the newest clock of all databases', async (t) => {
  t.is(await streamsOf({ system: routerAt(5), data: routerAt(9) }).clock(), version(9));
});

test("CX-09: the peer's clock raises that of every database", (t) => {
  const [system, data] = [routerAt(5), routerAt(9)];
  streamsOf({ system, data }).observeClock(version(7));
  t.deepEqual([system.observed, data.observed], [[version(7)], [version(7)]]);
});
