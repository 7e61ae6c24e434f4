/** What proves that a directory lies behind its node's own past, and what is written again then. */
import test from 'ava';
import { version } from '../../protocol/ids.js';
import { beginAfterFork, forkShownBy, forkShownByWant } from '../../storage/ownPast.js';
import type { Store } from '../../storage/store.js';
import { at, erase, node, nodes, patch, pull, put, shown, stepped } from '../support/forgetting.js';

const positionOf = (store: Store) => {
  const held = store.accepted.get(store.origin);
  if (!held) throw new Error('nothing was written');
  return { origin: store.origin, ...held };
};

/** Two directories of one node that have one entry in common, and wrote on apart: the first is known to others. */
const parted = async () => {
  const [known, restored, peer] = (await nodes('aab')) as [Store, Store, Store];
  for (const store of [known, restored]) await put(store, 'k', { x: 1 });
  return { known, restored, peer };
};

test('a peer that knows less, or the same, proves nothing', async (t) => {
  const a = await node('a');
  await put(a, 'k', { x: 1 });
  const first = positionOf(a);
  await put(a, 'p', { x: 1 }, 1);
  t.is(forkShownBy(a, first), null);
  t.is(forkShownBy(a, positionOf(a)), null);
  t.is(forkShownByWant(a, { origin: a.origin, after: 1, checksum: first.checksum }), null);
  t.is(forkShownByWant(a, { origin: a.origin, after: 2, checksum: 0 }), null);
});

test('a peer that knows more proves it, and so does another entry under the same sequence', async (t) => {
  const { known, restored } = await parted();
  await put(known, 'p', { x: 2 }, 10);
  t.like(forkShownBy(restored, positionOf(known)), { sequence: 2 });
  await put(restored, 'p', { x: 3 }, 20);
  t.like(forkShownBy(restored, positionOf(known)), {
    sequence: 2,
    version: positionOf(known).version,
  });
  await put(restored, 'q', { x: 3 }, 30);
  t.like(forkShownBy(restored, positionOf(known)), { sequence: 2 });
});

test('of an entry with the same version the checksum tells', async (t) => {
  const { known, restored } = await parted();
  await put(known, 'p', { x: 2 }, 10);
  await put(restored, 'p', { x: 3 }, 10);
  t.is(forkShownBy(restored, positionOf(known)), null);
  const { origin, checksum } = positionOf(known);
  t.like(forkShownByWant(restored, { origin, after: 2, checksum }), {
    sequence: 2,
    version: version(positionOf(known).version - 1),
  });
});

test('another origin, and an earlier life of this node, prove nothing', async (t) => {
  const { known, restored, peer } = await parted();
  await put(known, 'p', { x: 2 }, 10);
  t.is(forkShownBy(peer, positionOf(known)), null);
  const told = positionOf(known);
  await stepped(restored, async (commit) => commit.beginIncarnation());
  t.is(forkShownBy(restored, told), null);
});

test('CX-11: entries beyond the fork are written again as a new incarnation, and make room for the others', async (t) => {
  const { known, restored, peer } = await parted();
  await put(known, 'lost', { x: 2 }, 10);
  await put(known, 'k', { x: 2 }, 11);
  await pull(peer, known);
  await put(restored, 'k', { x: 3 }, 20);
  await patch(restored, 'lost', { y: 3 }, 21);
  await put(restored, 'gone', { x: 3 }, 22);
  await erase(restored, 'gone', 23);
  const fork = forkShownBy(restored, positionOf(known));
  t.truthy(fork);
  if (!fork) return;
  const before = restored.origin;
  t.is(
    await stepped(restored, (commit) => beginAfterFork(restored, commit, { fork, nowMs: at(30) })),
    4,
  );
  t.not(restored.origin, before);
  t.is(restored.durable.get(before)?.sequence as number, 1);
  t.deepEqual(await pull(restored, peer), ['applied', 'applied']);
  await pull(peer, restored);
  for (const store of [restored, peer]) {
    t.deepEqual(shown(store, 'k'), { x: 3 });
    t.deepEqual(shown(store, 'lost'), { x: 2, y: 3 });
    t.is(shown(store, 'gone'), null);
  }
});

test('what has been superseded since is not written again', async (t) => {
  const { known, restored, peer } = await parted();
  await put(known, 'p', { x: 2 }, 10);
  await put(restored, 'k', { x: 3 }, 20);
  await put(peer, 'k', { x: 4 }, 30);
  await pull(restored, peer);
  const fork = forkShownBy(restored, positionOf(known));
  if (!fork) return t.fail();
  await stepped(restored, (commit) => beginAfterFork(restored, commit, { fork, nowMs: at(40) }));
  t.is(restored.accepted.get(restored.origin), undefined);
  t.deepEqual(shown(restored, 'k'), { x: 4 });
});
