/** Opening and closing peers, where they are dialled, and what nodes tell one another of databases and members. */
import test from 'ava';
import { databaseName, nodeName } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import type { MemberFact } from '../../protocol/membership.js';
import { settle, until } from '../support/manualEnvironment.js';
import { startPeers, type OtherEnd, type PeerScene } from '../support/peerScene.js';

const b = nodeName('b');
const UNKNOWN =
  '1008 no hdb_nodes entry for b; run add_node from this node specifying the peer URL to register it';

const member = (name: string, more: Partial<MemberFact> = {}): MemberFact => ({
  name: nodeName(name),
  generation: 1,
  ended: false,
  url: `memory://${name}`,
  ...more,
});

const open = (scene: PeerScene, ...urls: string[]): void =>
  void scene.peers.send({ type: 'peer.open', name: b, urls });
const close = (scene: PeerScene, reason: string): void =>
  void scene.peers.send({ type: 'peer.close', name: b, reason });

/** A peer that only waits, linked by a dial of `b`. */
const linked = async (scene: PeerScene, databases: string[] = []): Promise<OtherEnd> => {
  open(scene);
  const end = await scene.dial('b');
  end.greet('p1', databases);
  await settle();
  return end;
};

test('the URLs of a peer are dialled in turn, the first one first, and the status names the last', async (t) => {
  const scene = await startPeers(t);
  const accepted = await scene.listen('b');
  open(scene, 'memory://nowhere', 'memory://elsewhere', 'memory://b');
  await settle();
  for (const [url, waitMs] of [
    ['memory://nowhere', limits.reconnectMsMin / 2],
    ['memory://elsewhere', limits.reconnectMsMin],
  ] as const) {
    t.like(await scene.status(), { url, connected: false, phase: 'waiting' });
    t.is(accepted.length, 0);
    await scene.environment.advance(waitMs);
  }
  t.is(accepted.length, 1);
  accepted[0]?.greet('p1');
  await settle();
  t.like(await scene.status(), { url: 'memory://b', connected: true, phase: 'open', attempt: 3 });
});

test('after the last URL the first is dialled again', async (t) => {
  const scene = await startPeers(t);
  open(scene, 'memory://nowhere', 'memory://elsewhere');
  await scene.environment.advance(limits.reconnectMsMin);
  t.is((await scene.status()).url, 'memory://elsewhere');
  await scene.environment.advance(limits.reconnectMsMin * 2);
  t.like(await scene.status(), { url: 'memory://nowhere', attempt: 3 });
});

test('other URLs are tried at the next dial, the first of them first, and opening again says nothing new', async (t) => {
  const scene = await startPeers(t);
  const accepted = await scene.listen('b');
  open(scene, 'memory://nowhere', 'memory://elsewhere');
  await settle();
  const waiting = await scene.status();
  open(scene, 'memory://nowhere', 'memory://elsewhere');
  open(scene, 'memory://b', 'memory://nowhere');
  await settle();
  t.is(accepted.length, 0);
  t.is((await scene.status()).nextTryMs, waiting.nextTryMs);
  await scene.environment.advance(limits.reconnectMsMin);
  t.is(accepted.length, 1);
});

test('a peer without URLs is not dialled, says so, and can be linked from its side', async (t) => {
  const scene = await startPeers(t);
  open(scene);
  await scene.environment.advance(limits.reconnectMsMax);
  t.like(await scene.status(), {
    url: '',
    phase: 'waiting',
    attempt: 0,
    reason: 'no URL of it is known: it has to dial this node',
  });
  const end = await scene.dial('b');
  end.greet('p1');
  await settle();
  t.true((await scene.status()).connected);
});

test('a peer whose link ended is not dialled while it has no URL, and at once when it gets one', async (t) => {
  const scene = await startPeers(t);
  const accepted = await scene.listen('b');
  const end = await linked(scene);
  end.connection.close(1001, 'this node is stopping');
  await scene.environment.advance(limits.reconnectMsMax);
  t.is((await scene.status()).nextTryMs, undefined);
  t.is(accepted.length, 0);
  open(scene, 'memory://b');
  await settle();
  t.is(accepted.length, 1);
});

test('databases and members are told right after the greeting, to who dialled and who was dialled', async (t) => {
  const scene = await startPeers(t);
  const members = [member('a'), member('b', { generation: 2, url: null })];
  scene.peers.send({ type: 'members.changed', members });
  const accepted = await linked(scene);
  t.is(accepted.kinds, 'Welcome Gossip');
  t.deepEqual(accepted.of('Gossip'), [{ kind: 'Gossip', databases: [], members }]);
  const listening = await scene.listen('c');
  scene.peers.send({ type: 'peer.open', name: nodeName('c'), urls: ['memory://c'] });
  await settle();
  listening[0]?.greet('p1');
  await settle();
  t.is(listening[0]?.kinds, 'Hello Gossip');
  t.deepEqual(listening[0]?.of('Gossip')[0]?.members, members);
});

test('changes of databases and members are told over the open link, sameness is not', async (t) => {
  const scene = await startPeers(t);
  const end = await linked(scene);
  scene.peers.send({ type: 'members.changed', members: [member('a')] });
  await settle();
  scene.peers.send({ type: 'members.changed', members: [member('a')] });
  await settle();
  scene.peers.send({ type: 'members.changed', members: [member('a', { ended: true })] });
  await settle();
  scene.peers.send({ type: 'databases.changed', databases: new Map() });
  await settle();
  t.deepEqual(
    end.of('Gossip').map(({ members }) => members.map(({ ended }) => ended)),
    [[], [false], [true], [true]],
  );
});

test('a link that opens later is told the members of then', async (t) => {
  const scene = await startPeers(t);
  open(scene);
  await settle();
  scene.peers.send({ type: 'members.changed', members: [member('a')] });
  const end = await linked(scene);
  t.deepEqual(end.of('Gossip')[0]?.members, [member('a')]);
});

test('what the peer tells is handed to the cluster: databases of its greeting, databases and members of its gossip', async (t) => {
  const scene = await startPeers(t);
  scene.peers.send({ type: 'members.changed', members: [member('a')] });
  const end = await linked(scene, ['data']);
  const databases = [databaseName('data'), databaseName('zoo')];
  end.say({ kind: 'Gossip', databases, members: [member('c')] });
  await settle();
  t.deepEqual(scene.told, [
    { type: 'gossip.heard', peer: b, databases: [databaseName('data')], members: [] },
    { type: 'gossip.heard', peer: b, databases, members: [member('c')] },
  ]);
});

test('the members of a large cluster may follow a Welcome at once', async (t) => {
  const scene = await startPeers(t);
  const accepted = await scene.listen('b');
  open(scene, 'memory://b');
  await settle();
  const members = Array.from({ length: limits.membersMax }, (_, at) =>
    member(`node-${at}`, { url: `wss://${'x'.repeat(100)}${at}` }),
  );
  accepted[0]?.greet('p1');
  accepted[0]?.say({ kind: 'Gossip', databases: [], members });
  await until(() => scene.told.length > 0 || accepted[0]?.end !== undefined, 'an outcome');
  await settle();
  t.is(accepted[0]?.end, undefined);
  t.like(scene.told.at(-1), { type: 'gossip.heard', members });
});

test('a closed peer is told why, and is unknown from then on', async (t) => {
  const scene = await startPeers(t);
  const end = await linked(scene);
  close(scene, 'removed from the cluster');
  await until(() => end.end !== undefined, 'the link has closed');
  t.is(end.end, '1000 removed from the cluster');
  const again = await scene.dial('b');
  await until(() => again.end !== undefined, 'the refusal');
  t.is(again.end, UNKNOWN);
  t.is(await scene.status().catch((error: Error) => error.message), 'There is no peer');
});

test('a dial that is under way when its peer is closed leads to no link', async (t) => {
  const scene = await startPeers(t);
  const accepted = await scene.listen('b');
  open(scene, 'memory://b');
  close(scene, 'removed');
  await scene.environment.advance(limits.reconnectMsMax);
  t.true(accepted.every(({ end }) => end !== undefined));
  t.is(scene.network.openConnections(), 0);
});

test('a peer can be opened again right after it was closed, while its actor is still stopping', async (t) => {
  const scene = await startPeers(t);
  const first = await linked(scene);
  close(scene, 'moved');
  open(scene);
  // Between the two lives: known, but there is nobody to take the link yet.
  const early = await scene.dial('b');
  await until(() => first.end !== undefined, 'the first link has closed');
  t.is(first.end, '1000 moved');
  if (early.end !== undefined) t.is(early.end, '1013 this node takes no connections now');
  const second = await scene.dial('b');
  second.greet('p1');
  await until(() => second.kinds === 'Welcome Gossip', 'the second link is open');
  t.true((await scene.status()).connected);
});

test('a connection between closing and opening again is to be tried later, not refused as unknown', async (t) => {
  const scene = await startPeers(t);
  await linked(scene);
  const dialling = scene.dial('b');
  await until(() => scene.network.openConnections() === 4, 'a connection');
  close(scene, 'moved');
  open(scene);
  const end = await dialling;
  await until(() => end.end !== undefined || end.kinds !== '', 'an outcome');
  t.not(end.end, UNKNOWN);
});

/** The actor of `b` waits to hear whether its link is alive, and takes no message until then. */
const busy = async (scene: PeerScene): Promise<void> => {
  const first = await linked(scene);
  first.connection.pause();
  const second = await scene.dial('b');
  second.greet('p2');
  await settle();
};

test('an accepted connection that its peer has not come to when it is closed is refused for now', async (t) => {
  const scene = await startPeers(t);
  await busy(scene);
  const early = await scene.dial('b');
  close(scene, 'moved');
  open(scene);
  const later = await scene.dial('b');
  await until(() => later.end !== undefined, 'a refusal at once');
  t.is(early.end, undefined);
  await scene.environment.advance(2_000);
  t.is(later.end, '1013 this node takes no connections now');
  t.is(early.end, '1013 this node takes no connections now');
  const last = await scene.dial('b');
  last.greet('p2');
  await settle();
  t.is(last.kinds, 'Welcome Gossip');
});

test('a peer that is closed is unknown while its actor is still stopping', async (t) => {
  const scene = await startPeers(t);
  await busy(scene);
  close(scene, 'removed');
  const end = await scene.dial('b');
  await until(() => end.end !== undefined, 'the refusal');
  t.is(end.end, UNKNOWN);
});

test('an accepted connection that its peer has not come to when the node stops is refused', async (t) => {
  const scene = await startPeers(t);
  await busy(scene);
  const end = await scene.dial('b');
  const stopping = scene.system.stop();
  await scene.environment.advance(2_000);
  await stopping;
  await settle();
  t.is(end.end, '1013 this node takes no connections now');
});

test('a dialled connection that its peer has not come to when it is closed is let go', async (t) => {
  const scene = await startPeers(t);
  const accepted = await scene.listen('elsewhere');
  scene.network.block('a', 'elsewhere');
  open(scene, 'memory://elsewhere');
  const first = await scene.dial('b');
  first.greet('p1');
  await settle();
  first.connection.pause();
  const second = await scene.dial('b');
  second.greet('p2');
  await settle();
  scene.network.heal('a', 'elsewhere');
  await until(() => accepted.length === 1, 'the dial goes through');
  await settle();
  close(scene, 'removed');
  await scene.environment.advance(2_000);
  t.is(accepted[0]?.end, '1006 ');
});

test('the last word counts when a peer is closed, opened and closed while its actor stops', async (t) => {
  const scene = await startPeers(t);
  await linked(scene);
  close(scene, 'one');
  open(scene);
  close(scene, 'two');
  await settle(30);
  const end = await scene.dial('b');
  await until(() => end.end !== undefined, 'the refusal');
  t.is(end.end, UNKNOWN);
});

test('a peer that crashed begins with the URLs and members of now, not of its first life', async (t) => {
  const scene = await startPeers(t);
  open(scene, 'memory://nowhere');
  await settle();
  open(scene, 'memory://b');
  scene.peers.send({ type: 'members.changed', members: [member('a')] });
  const accepted = await scene.listen('b');
  await settle();
  t.true(scene.system.crash('/peers/peer:b', new Error('crashed by a test')));
  await scene.environment.advance(limits.reconnectMsMin);
  accepted[0]?.greet('p1');
  await settle();
  t.is(accepted.length, 1);
  t.deepEqual(accepted[0]?.of('Gossip')[0]?.members, [member('a')]);
});

test('peers says which peers are open', async (t) => {
  const scene = await startPeers(t);
  open(scene);
  scene.peers.send({ type: 'peer.open', name: nodeName('c'), urls: [] });
  close(scene, 'removed');
  t.deepEqual(await scene.system.ask(scene.peers, (replyTo) => ({ type: 'peers.open', replyTo })), [
    nodeName('c'),
  ]);
});

test('a connection for an operation goes to the cluster, whoever dials, and to no peer', async (t) => {
  const scene = await startPeers(t);
  await scene.dial('stranger', 'operation');
  t.like(scene.told, [{ type: 'operation.accepted', connection: { remoteAddress: 'stranger' } }]);
});
