/** What a link's greeting says of this node's clocks, and what the peer's does to them. */
import test from 'ava';
import type { ActorContext, ActorRef, Reply } from '../../actors/kernel/types.js';
import type { DatabaseStatus, PeerMessage, RouterMessage } from '../../actors/messages.js';
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
