/** How a database compares with its peers, while they are linked and after. */
import test from 'ava';
import { CatchingUp } from '../../actors/catchingUp.js';
import type { ActorRef } from '../../actors/kernel/types.js';
import type { ResyncMessage } from '../../actors/messages.js';
import { PeerStandings } from '../../actors/peerStandings.js';
import { encodeEntry } from '../../protocol/entry.js';
import type { OriginPosition } from '../../protocol/frames.js';
import { nodeName, sequence, version, type NodeName, type OriginId } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { inCommit, memoryStore, origin } from '../support/stores.js';

const B = origin('b');
const [PEER, THIRD] = ['p', 'q'].map(nodeName) as [NodeName, NodeName];

const at = (of: OriginId, count: number): OriginPosition => ({
  origin: of,
  sequence: sequence(count),
  version: version(count),
});

const stage = async () => {
  const store = await memoryStore({ node: nodeName('me') });
  const clock = { nowMs: 1_000 };
  const standings = new PeerStandings(store, () => clock.nowMs);
  const apply = (count: number): Promise<void> =>
    inCommit(store, (commit) => {
      const place = { origin: B, sequence: sequence(count), version: version(count) };
      commit.apply(B, encodeEntry({ ...place, tables: [] }));
    });
  const behind = (peer: NodeName): number =>
    standings.of(peer, { sources: [], whole: true }).entriesBehind;
  return { store, standings, clock, apply, behind };
};

test('what a peer has and is not durable here is missing; the own log never is', async (t) => {
  const { store, standings, apply, behind } = await stage();
  standings.opened(PEER, [at(B, 2), at(store.origin, 9)]);
  t.is(behind(PEER), 2);
  await apply(1);
  standings.compared(PEER, [at(B, 2)]);
  t.is(behind(PEER), 1);
  standings.compared(PEER, [at(B, 5)]);
  t.is(behind(PEER), 4);
});

test('a peer that is gone is remembered, and what it had may come from another', async (t) => {
  const { standings, apply, behind } = await stage();
  standings.opened(PEER, [at(B, 2)]);
  t.deepEqual(standings.parted(), []);
  standings.closed(PEER);
  t.deepEqual(
    standings.parted().map(({ peer, entriesBehind }) => [peer, entriesBehind]),
    [[PEER, 2]],
  );
  await apply(1);
  standings.advanced([B]);
  t.is(behind(PEER), 1);
  await apply(2);
  standings.advanced([B]);
  t.is(behind(PEER), 0);
  standings.opened(PEER, [at(B, 2)]);
  t.deepEqual(standings.parted(), []);
});

test('a peer that was level when it went is as late as it is gone', async (t) => {
  const { standings, clock } = await stage();
  standings.opened(PEER, []);
  clock.nowMs = 50_000;
  standings.closed(PEER);
  clock.nowMs = 60_000;
  t.is(standings.parted()[0]?.receiving.levelMs, 50_000);
  t.is(standings.parted()[0]?.receiving.turnedMs, 50_000);
});

test('of peers that are gone no more are remembered than a cluster may have, the last ones', async (t) => {
  const { standings } = await stage();
  standings.opened(THIRD, []);
  for (let count = 0; count < limits.membersMax + 5; count++) {
    const peer = nodeName(`n${count}`);
    standings.opened(peer, []);
    standings.closed(peer);
  }
  t.is(standings.parted().length, limits.membersMax - 1);
  t.is(standings.parted().at(-1)?.peer, nodeName(`n${limits.membersMax + 4}`));
  t.true(standings.of(THIRD, { sources: [], whole: true }).receiving.isOpen);
});

test('a copy is complete when what it stands for is durable, not before', async (t) => {
  const { store } = await stage();
  const load = [store, nodeName('me'), () => undefined, () => 1_000] as const;
  const catchingUp = await CatchingUp.load(...load);
  const resync: ActorRef<ResyncMessage> = { path: '/resync', send: () => 'queued' };
  catchingUp.linked(PEER, { resync, origin: B, positions: [at(B, 5_000)], whole: true });
  catchingUp.advanced([]);
  t.like(catchingUp.memory.copyPace, { isComplete: false });
  await inCommit(store, (commit) => t.true(catchingUp.finishCopy(PEER, commit)));
  catchingUp.advanced([]);
  t.like(catchingUp.memory.copyPace, { isComplete: false });
  catchingUp.adopted();
  catchingUp.advanced([]);
  t.like(catchingUp.memory.copyPace, { isComplete: true, percent: 100 });
});
