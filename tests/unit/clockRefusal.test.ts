/**
 * Entries from a clock that is too far ahead: the origin waits and others go on, both sides say so, and it goes on by
 * itself when its time has come (CX-07).
 */
import test from 'ava';
import { GroupCommit } from '../../actors/groupCommit.js';
import { OwnHistory } from '../../actors/ownHistory.js';
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import { nodeName, sequence, version } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { aheadMs, refusedBecause, wrongClock } from '../../protocol/refusals.js';
import {
  clockStatus,
  counterOf,
  direction,
  HOUR_MS,
  originOf,
  skewedNodes,
  type SkewedNode,
} from '../support/skewedNodes.js';
import { definition, memoryStore, origin, write } from '../support/stores.js';
import { waitUntil } from '../support/waitUntil.js';

const shows = async ({ node }: SkewedNode, id: string): Promise<boolean> =>
  (await node.table('Row').get(id)) !== undefined;

test('CX-07: an origin whose clock is ahead waits, another that comes the same way does not', async (t) => {
  const nodes = skewedNodes(t);
  const a = await nodes.start('a', 'ab');
  const b = await nodes.start('b', 'abc', HOUR_MS);
  const c = await nodes.start('c', 'bc');
  await b.node.table('Row').put({ id: 'k', x: 1 });
  await c.node.table('Row').put({ id: 'p', x: 1 });
  await waitUntil('p on a', () => shows(a, 'p'));
  t.false(await shows(a, 'k'));
  const refuses = await waitUntil('a status', async () => (await clockStatus(a.node))?.refuses);
  t.regex(refuses.reason, /^the clock of b is 3(59\d|600) s ahead of this node's$/);
  t.is(refuses.entries[0]?.node, 'b');
  const resumesInMs = new Date(refuses.entries[0]?.resumes ?? 0).getTime() - Date.now();
  t.true(Math.abs(resumesInMs - HOUR_MS + 60_000) < 10_000, `${resumesInMs}`);
  const ofConnection = await waitUntil(
    'the connection to say so too',
    async () => (await direction(a.node, 'b', 'receiving')).reason,
  );
  t.regex(ofConnection, /^the clock of b is \d+ s ahead of this node's$/);
  const told = await waitUntil('b to be told', async () => (await clockStatus(b.node))?.refusedBy);
  const word = `a does not take ${originOf(b.node)} from 1 on: this node's clock was ahead of its own`;
  t.true(told.some(({ node, reason }) => node === 'a' && reason.startsWith(word)));
  t.true((await direction(b.node, 'a', 'sending')).reason?.startsWith(word));
  a.skewMs = HOUR_MS;
  await waitUntil('k on a', () => shows(a, 'k'));
  t.is((await clockStatus(a.node))?.refuses, undefined);
  await waitUntil('b to know', async () =>
    ((await clockStatus(b.node))?.refusedBy ?? []).every(({ node }) => node !== 'a'),
  );
});

test('what is refused is asked for again when its time has come, and not before', async (t) => {
  const nodes = skewedNodes(t);
  const a = await nodes.start('a', 'ab');
  const b = await nodes.start('b', 'ab', HOUR_MS);
  await b.node.table('Row').put({ id: 'k', x: 1 });
  await waitUntil('a refusal', () => counterOf(a.node, 'entriesAheadOfClock') === 1);
  const before = Date.now();
  await waitUntil('three retries to have been due', () => Date.now() - before > 3_200);
  t.is(counterOf(a.node, 'entriesAheadOfClock'), 1);
});

test('a node that is restarted hears again of what is refused', async (t) => {
  const nodes = skewedNodes(t);
  const a = await nodes.start('a', 'ab');
  const b = await nodes.start('b', 'ab', HOUR_MS);
  await b.node.table('Row').put({ id: 'k', x: 1 });
  const isTold = async (): Promise<boolean> => (await clockStatus(b.node))?.refusedBy !== undefined;
  await waitUntil('b to be told', isTold);
  await a.node.close();
  const again = await nodes.start('a', 'ab');
  await waitUntil('b to be told by the new life', async () => {
    const held = await clockStatus(again.node);
    return held?.refuses !== undefined && isTold();
  });
  t.false(await shows(again, 'k'));
});

test('several nodes that are ahead at once say that this clock is behind', async (t) => {
  const nodes = skewedNodes(t);
  const a = await nodes.start('a', 'abc', -HOUR_MS);
  const b = await nodes.start('b', 'ab');
  const c = await nodes.start('c', 'ac');
  await b.node.table('Row').put({ id: 'k', x: 1 });
  await c.node.table('Row').put({ id: 'p', x: 1 });
  const reason = await waitUntil('both refused', async () => {
    const refuses = (await clockStatus(a.node))?.refuses;
    return refuses?.entries.length === 2 && refuses.reason;
  });
  t.regex(reason, /^this node's clock is behind: ahead of it are [bc] by \d+ s, [bc] by \d+ s$/);
  a.skewMs = 0;
  await waitUntil('both rows', async () => (await shows(a, 'k')) && shows(a, 'p'));
});

const at = (ms: number, node: string, life = 1) => ({
  origin: origin(node, life),
  sequence: 3,
  version: version(ms * TICKS_PER_MILLISECOND),
});

test('two lives of one node are one clock', (t) => {
  t.is(
    wrongClock([at(5_000, 'b'), at(9_000, 'b', 2)], 1_000),
    "the clock of b is 8 s ahead of this node's",
  );
  t.is(wrongClock([], 1_000), null);
  t.is(aheadMs(at(5_000, 'b'), 9_000), 0);
});

test('a refusal is told of another node under its name', (t) => {
  const { peer, ...refusal } = { peer: 'c', ...at(5_000, 'b') } as never as Parameters<
    typeof refusedBecause
  >[0];
  const own = 'a' as Parameters<typeof refusedBecause>[1];
  t.is(
    refusedBecause({ peer, ...refusal, sequence: 0 }, own),
    `c does not take ${refusal.origin}: the clock of b was ahead of its own when that was written`,
  );
});

test('refusals are kept of so many peers, and only of what is here', async (t) => {
  const store = await memoryStore({ builtIn: [definition('dogs')] });
  await write(store, { table: 'dogs', type: 'put', records: [{ id: 1 }] });
  const history = new OwnHistory(store, new GroupCommit(store, () => undefined));
  const names = Array.from({ length: limits.membersMax + 5 }, (_, place) => nodeName(`n${place}`));
  const own = { origin: store.origin, sequence: 1, version: store.clock };
  for (const peer of names) history.refused(peer, own);
  t.is(history.refusals(names).length, limits.membersMax);
  const last = names.at(-1) ?? t.fail();
  history.refused(last, { ...own, origin: origin('stranger') });
  t.deepEqual(history.refusals([last]), [{ peer: last, ...own }]);
  history.told(last, [{ ...own, sequence: sequence(1) }]);
  t.deepEqual(history.refusals([last]), []);
});
