/** Whether a peer is there, as the status tells it, and who takes part when two processes have one name. */
import test, { type ExecutionContext } from 'ava';
import type { PeerStatus } from '../../actors/messages.js';
import { databaseName, nodeName } from '../../protocol/ids.js';
import { settle, until } from '../support/manualEnvironment.js';
import { startPeers, type OtherEnd, type PeerScene } from '../support/peerScene.js';

const b = nodeName('b');
const TAKEN = 'another process already takes part as b';

/** `b` has dialled and greeted with process `p1`; all pings so far are answered. */
const linked = async (t: ExecutionContext): Promise<{ scene: PeerScene; end: OtherEnd }> => {
  const scene = await startPeers(t);
  scene.peers.send({ type: 'peer.open', name: b, urls: [] });
  const end = await scene.dial('b');
  end.greet('p1');
  await scene.environment.advance(1_000);
  end.pong();
  await settle();
  return { scene, end };
};

/** Resolves with the status and how long it took on the scene's clock. */
const timed = async (scene: PeerScene): Promise<{ status: PeerStatus; tookMs: number }> => {
  const { environment } = scene;
  const before = environment.now();
  const answered: PeerStatus[] = [];
  const asked = scene.status().then((status) => answered.push(status));
  await settle();
  while (answered.length === 0 && environment.now() < before + 5_000) await environment.advance(50);
  await asked;
  const [status] = answered;
  if (!status) throw new Error('No status');
  return { status, tookMs: environment.now() - before };
};

test('the status of a link that hangs says at once that nothing is heard, while the link stays', async (t) => {
  const { scene, end } = await linked(t);
  scene.network.block('b', 'a');
  await scene.environment.advance(4_000);
  const { status, tookMs } = await timed(scene);
  t.like(status, {
    connected: false,
    phase: 'open',
    reason: `nothing heard for ${4_000 + tookMs} ms`,
  });
  t.true(tookMs >= 1_000 && tookMs <= 1_100, `${tookMs} ms`);
  t.is(end.end, undefined);
  scene.network.heal('a', 'b');
  end.pong();
  await settle();
  const after = await timed(scene);
  t.like(after, { status: { connected: true }, tookMs: 0 });
  t.is(after.status.reason, undefined);
});

test('a quiet peer that answers is connected as soon as it has answered', async (t) => {
  const { scene, end } = await linked(t);
  await scene.environment.advance(5_000);
  const pings = end.of('Ping').length;
  const asked = scene.status();
  await settle();
  t.is(end.of('Ping').length, pings + 1);
  end.pong();
  t.like(await asked, { connected: true, lastHeardMs: scene.environment.now() });
});

test('anything that is heard is an answer', async (t) => {
  const { scene, end } = await linked(t);
  await scene.environment.advance(5_000);
  const asked = scene.status();
  await settle();
  end.say({ kind: 'Gossip', databases: [], members: [] });
  t.true((await asked).connected);
});

test('a peer that was heard in the last second is not asked', async (t) => {
  const { scene, end } = await linked(t);
  await scene.environment.advance(900);
  const pings = end.of('Ping').length;
  t.like(await timed(scene), { status: { connected: true }, tookMs: 0 });
  t.is(end.of('Ping').length, pings);
});

test('questions in quick succession share a ping', async (t) => {
  const { scene, end } = await linked(t);
  await scene.environment.advance(5_000);
  const pings = end.of('Ping').length;
  const asked = Array.from({ length: 50 }, () => scene.status());
  await settle();
  t.is(end.of('Ping').length, pings + 1);
  end.pong();
  t.true((await Promise.all(asked)).every(({ connected }) => connected));
});

test('a link that ends while its peer is asked is told of at once', async (t) => {
  const { scene, end } = await linked(t);
  await scene.environment.advance(5_000);
  const asked = scene.status();
  await settle();
  end.connection.close(1001, 'this node is stopping');
  t.like(await asked, { connected: false, reason: 'this node is stopping' });
});

test('asking holds up nothing else: the peer is served meanwhile', async (t) => {
  const { scene, end } = await linked(t);
  scene.network.block('b', 'a');
  await scene.environment.advance(5_000);
  const asked = scene.status();
  await settle();
  scene.peers.send({ type: 'databases.changed', databases: new Map() });
  const told = end.of('Gossip').length;
  await until(() => end.of('Gossip').length > told, 'news over the link');
  await scene.environment.advance(1_100);
  t.false((await asked).connected);
});

test('no timer is left of an answered question', async (t) => {
  const { scene, end } = await linked(t);
  await scene.environment.advance(5_000);
  const before = scene.environment.waiting();
  const asked = scene.status();
  await settle();
  end.pong();
  await asked;
  t.is(scene.environment.waiting(), before);
});

test('MB-09: another process under the name of a linked peer is refused, and the peer goes on', async (t) => {
  const { scene, end } = await linked(t);
  for (const process of ['p2', 'p3', 'p2']) {
    const other = await scene.dial('b');
    other.greet(process);
    await settle();
    t.is(other.kinds, '', 'it is not welcomed before the first has had its time');
    end.pong();
    await until(() => other.end !== undefined, 'the refusal');
    t.is(other.end, `1008 ${TAKEN}`);
  }
  t.is(end.end, undefined);
  t.deepEqual(scene.warnings, [`refused a link: ${TAKEN}`]);
  const status = await scene.status();
  t.true(status.connected);
  t.like(status.lastError, { code: 1008, reason: TAKEN, timeMs: scene.environment.now() });
});

test('MB-09: a peer whose old link is silent is welcomed with its next process, and the old link is closed', async (t) => {
  const { scene, end } = await linked(t);
  end.connection.pause();
  const before = scene.environment.now();
  const next = await scene.dial('b');
  next.greet('p2');
  await settle();
  t.is(next.kinds, '');
  while (next.kinds === '' && scene.environment.now() < before + 5_000)
    await scene.environment.advance(50);
  const tookMs = scene.environment.now() - before;
  t.true(tookMs >= 1_500 && tookMs <= 1_700, `${tookMs} ms`);
  t.regex(next.kinds, /^Welcome Gossip/);
  end.connection.resume();
  await until(() => end.end !== undefined, 'the old link is closed');
  t.is(end.end, '1011 nothing heard, and the peer is there with another process');
  next.say({ kind: 'Ping', id: 77 });
  await settle();
  t.deepEqual(next.of('Pong'), [{ kind: 'Pong', id: 77 }]);
  t.like(await scene.status(), { connected: true, phase: 'open' });
});

test('MB-09: a peer that restarted in order is welcomed without a wait', async (t) => {
  const { scene, end } = await linked(t);
  end.connection.close(1001, 'this node is stopping');
  const next = await scene.dial('b');
  next.greet('p2');
  await settle();
  t.is(next.kinds, 'Welcome Gossip');
});

test('MB-09: the wait is over as soon as the old link ends', async (t) => {
  const { scene, end } = await linked(t);
  const next = await scene.dial('b');
  next.greet('p2');
  await settle();
  t.is(next.kinds, '');
  end.connection.terminate();
  await settle(30);
  t.is(next.kinds, 'Welcome Gossip');
  t.is((await scene.status()).phase, 'open');
});

test('MB-09: another link of the same process is no other process', async (t) => {
  const { scene, end } = await linked(t);
  const again = await scene.dial('b');
  again.greet('p1');
  await until(() => end.end !== undefined, 'the first link is closed');
  t.is(end.end, '1000 DUPLICATE');
  t.is(again.kinds, 'Welcome Gossip');
});

/** `a` has dialled `b` and waits for its Welcome; meanwhile process `p1` of `b` has dialled `a`. */
const dialledMeanwhile = async (
  t: ExecutionContext,
): Promise<{ scene: PeerScene; end: OtherEnd; dialled: OtherEnd }> => {
  const scene = await startPeers(t);
  const accepted = await scene.listen('b');
  scene.peers.send({ type: 'peer.open', name: b, urls: ['memory://b'] });
  const end = await scene.dial('b');
  end.greet('p1');
  await settle();
  const [dialled] = accepted;
  if (!dialled) throw new Error('b was not dialled');
  return { scene, end, dialled };
};

test('MB-09: the side that dialled refuses another process too', async (t) => {
  const { scene, end, dialled } = await dialledMeanwhile(t);
  dialled.greet('p2');
  await settle();
  end.pong();
  await until(() => dialled.end !== undefined, 'the refusal');
  t.is(dialled.end, `1008 ${TAKEN}`);
  t.is(end.end, undefined);
  t.is((await scene.status()).lastError?.reason, TAKEN);
});

test('MB-09: what a dialled process says after its Welcome is heard once it is admitted', async (t) => {
  const { scene, end, dialled } = await dialledMeanwhile(t);
  end.connection.pause();
  dialled.greet('p2', ['zoo']);
  const database = databaseName('zoo');
  dialled.say({ kind: 'Subscribe', stream: 2, database, wants: [], windowBytes: 1 });
  await settle();
  t.is(dialled.kinds, 'Hello');
  await scene.environment.advance(1_600);
  t.deepEqual(dialled.of('Unsubscribe'), [
    { kind: 'Unsubscribe', stream: 2, reason: 'Access to database "zoo" is not permitted' },
  ]);
});
