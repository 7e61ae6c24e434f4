/** Whom a database copies from, what a copy leaves to be reached, and what of it a restart knows. */
import test from 'ava';
import { CatchingUp } from '../../actors/catchingUp.js';
import type { ActorRef } from '../../actors/kernel/types.js';
import type { ResyncMessage } from '../../actors/messages.js';
import type { CopiedPosition } from '../../protocol/copyCheckpoint.js';
import type { Mark } from '../../protocol/frames.js';
import { encodeRecord } from '../../protocol/codec.js';
import { encodeEntry } from '../../protocol/entry.js';
import {
  nodeName,
  sequence,
  tableGeneration,
  tableName,
  version,
  type NodeName,
  type OriginId,
} from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import type { Row } from '../../protocol/row.js';
import type { Commit } from '../../storage/commit.js';
import type { Store } from '../../storage/store.js';
import { definition, inCommit, memoryStore, origin } from '../support/stores.js';

const B = origin('b');
const [ME, PEER, THIRD] = ['me', 'p', 'q'].map(nodeName) as [NodeName, NodeName, NodeName];

const at = (count: number, of = B): CopiedPosition => ({
  origin: of,
  sequence: sequence(count),
  version: version(count),
  checksum: count,
});

/** What a resync actor was told, in words. */
interface Told extends ActorRef<ResyncMessage> {
  readonly told: string[];
}
const resyncOf = (): Told => {
  const told: string[] = [];
  const send = (message: ResyncMessage): 'queued' => {
    if (message.type === 'wants.changed')
      told.push(`wants ${message.wants.map((want) => `${want.origin}:${want.after}`).join(' ')}`);
    else told.push(message.type);
    return 'queued';
  };
  return { path: '/resync', send, told };
};

interface Stage {
  readonly store: Store;
  readonly catchingUp: CatchingUp;
  readonly notes: { due: number };
  /** Starts anew over what is stored. */
  again(): Promise<CatchingUp>;
}

const stageOf = async (own = ME): Promise<Stage> => {
  const store = await memoryStore({ node: own, builtIn: [definition('dogs')] });
  const notes = { due: 0 };
  const load = (): Promise<CatchingUp> =>
    CatchingUp.load(
      store,
      own,
      () => void notes.due++,
      () => 0,
    );
  return { store, notes, catchingUp: await load(), again: load };
};

const link = (
  catchingUp: CatchingUp,
  peer: NodeName,
  options: { has: number; whole?: boolean },
): Told => {
  const resync = resyncOf();
  catchingUp.linked(peer, {
    resync,
    origin: origin(peer),
    positions: [at(options.has)],
    whole: options.whole ?? true,
  });
  return resync;
};

const row: Row = {
  kind: 'whole',
  stamp: { version: version(1), origin: B },
  body: encodeRecord({ x: 1 }),
};
const begin = (
  catchingUp: CatchingUp,
  peer: NodeName,
  snapshot: { has: number; owed?: readonly CopiedPosition[]; rows?: number; marks?: Mark[] },
): ReturnType<CatchingUp['copyBegun']> =>
  catchingUp.copyBegun(peer, {
    positions: [at(snapshot.has)],
    owed: snapshot.owed ?? [],
    estimatedRows: snapshot.rows ?? 1,
    marks: snapshot.marks ?? [],
  });

/** One row of the copy, in this batch. */
const merge = (catchingUp: CatchingUp, commit: Commit): void => {
  commit.applyCopied([
    { table: tableName('dogs'), generation: tableGeneration(1), key: encodeKey('k'), row },
  ]);
  const after = { table: 'dogs', generation: 1, key: Buffer.from(encodeKey('k')) };
  catchingUp.ledger.merged({ count: 1, after }, commit);
};

/** A copy from PEER that has B up to `has` and owes `owed`, finished here in a batch that is durable. */
const copied = async (
  { store, catchingUp }: Stage,
  copy: { has: number; owed: readonly CopiedPosition[] },
): Promise<void> => {
  begin(catchingUp, PEER, copy);
  await inCommit(store, (commit) => {
    merge(catchingUp, commit);
    catchingUp.finishCopy(PEER, commit);
  });
  catchingUp.adopted();
  catchingUp.advanced([B]);
};

const apply = async (store: Store, count: number): Promise<void> =>
  inCommit(store, (commit) => {
    const place = { origin: B, sequence: sequence(count), version: version(count) };
    commit.apply(B, encodeEntry({ ...place, tables: [] }));
  });

test('rows that do not move the place of a copy do not take it back to the beginning', async (t) => {
  const { store, catchingUp } = await stageOf();
  link(catchingUp, PEER, { has: 5_000 });
  begin(catchingUp, PEER, { has: 5_000 });
  await inCommit(store, (commit) => merge(catchingUp, commit));
  const asked: unknown[] = [];
  const send = (message: ResyncMessage): 'queued' => {
    if (message.type === 'copy.wanted') asked.push(message.after?.table);
    return 'queued';
  };
  for (const round of [1, 2]) {
    catchingUp.linked(PEER, {
      resync: { ...resyncOf(), send },
      origin: origin(PEER),
      positions: [at(5_000)],
      whole: true,
    });
    t.is(begin(catchingUp, PEER, { has: 5_000 }), 'begun');
    t.is(asked.length, round);
    await inCommit(store, (commit) => catchingUp.ledger.merged({ count: 1, after: null }, commit));
  }
  t.deepEqual(asked, ['dogs', 'dogs']);
});

test('CX-33: a copy begins again at a source that has purged what earlier snapshots do not know', async (t) => {
  const { store, catchingUp, again } = await stageOf();
  const resync = link(catchingUp, PEER, { has: 5_000 });
  begin(catchingUp, PEER, { has: 5_000 });
  await inCommit(store, (commit) => merge(catchingUp, commit));
  catchingUp.unlinked(PEER, resync);
  const next = link(catchingUp, THIRD, { has: 6_000 });
  t.is(begin(catchingUp, THIRD, { has: 6_000, marks: [at(5_001)] }), 'again');
  t.deepEqual(next.told, ['wants ', 'copy.wanted', 'copy.wanted']);
  t.is(catchingUp.ledger.copy?.after, null);
  t.is(begin(catchingUp, THIRD, { has: 6_000, marks: [at(5_001)] }), 'begun');
  t.is(catchingUp.ledger.copy?.adopt?.get(B)?.sequence, sequence(6_000));
  await inCommit(store, (commit) => catchingUp.ledger.note(commit));
  t.is((await again()).ledger.copy?.after, null);
});

test('CX-33: a copy goes on at a source whose purged deletes its snapshots know', async (t) => {
  const { store, catchingUp } = await stageOf();
  const resync = link(catchingUp, PEER, { has: 5_000 });
  begin(catchingUp, PEER, { has: 5_000 });
  await inCommit(store, (commit) => merge(catchingUp, commit));
  catchingUp.unlinked(PEER, resync);
  link(catchingUp, THIRD, { has: 6_000 });
  t.is(begin(catchingUp, THIRD, { has: 6_000, marks: [at(5_000)] }), 'begun');
  t.is(catchingUp.ledger.copy?.after?.table, 'dogs');
});

test('a node that copies is whole only when what it adopts is durable', async (t) => {
  const { store, catchingUp } = await stageOf();
  t.true(catchingUp.isWhole);
  const resync = link(catchingUp, PEER, { has: 5_000 });
  t.is(resync.told.at(-1), 'copy.wanted');
  t.false(catchingUp.isWhole);
  begin(catchingUp, PEER, { has: 5_000 });
  await inCommit(store, (commit) => {
    merge(catchingUp, commit);
    t.true(catchingUp.finishCopy(PEER, commit));
    t.false(catchingUp.isWhole);
  });
  t.false(catchingUp.isWhole);
  catchingUp.adopted();
  t.true(catchingUp.isWhole);
});

test('what the source of a copy owed is owed here, until it is reached', async (t) => {
  const stage = await stageOf();
  const { store, catchingUp, notes } = stage;
  link(catchingUp, PEER, { has: 5_000 });
  await copied(stage, { has: 5_000, owed: [at(5_001)] });
  t.false(catchingUp.isReady);
  t.deepEqual(catchingUp.ledger.owed, [at(5_001)]);
  await apply(store, 5_001);
  catchingUp.advanced([B]);
  t.deepEqual(catchingUp.ledger.owed, []);
  t.true(catchingUp.isReady);
  t.is(notes.due, 1);
});

test('a restart knows what copies promised, and forgets it when it is reached', async (t) => {
  const stage = await stageOf();
  link(stage.catchingUp, PEER, { has: 5_000 });
  await copied(stage, { has: 5_000, owed: [at(5_001)] });
  const restarted = await stage.again();
  t.deepEqual(restarted.ledger.owed, [at(5_001)]);
  t.false(restarted.isReady);
  t.true(restarted.isWhole);
  await apply(stage.store, 5_001);
  const reached = await stage.again();
  t.deepEqual(reached.ledger.owed, []);
  t.true(reached.isReady);
});

test('a restart goes on with a copy after the last row it took', async (t) => {
  const { store, catchingUp, again } = await stageOf();
  link(catchingUp, PEER, { has: 5_000 });
  begin(catchingUp, PEER, { has: 5_000, rows: 2 });
  await inCommit(store, (commit) => merge(catchingUp, commit));
  const restarted = await again();
  t.false(restarted.isWhole);
  t.like(restarted.progress, { from: null, rowsDone: 1, rowsEstimated: 2 });
  t.is(link(restarted, THIRD, { has: 5_000 }).told.at(-1), 'copy.wanted');
});

for (const [own, isWhole] of [
  ['a', true],
  ['z', false],
] as const)
  test(`CX-32: everybody linked is in the middle of a copy: ${own} ${isWhole ? 'gives up its own' : 'waits'}`, async (t) => {
    const { store, catchingUp, notes } = await stageOf(nodeName(own));
    const first = link(catchingUp, PEER, { has: 5_000 });
    begin(catchingUp, PEER, { has: 5_000, owed: [at(6_000)], rows: 2 });
    await inCommit(store, (commit) => merge(catchingUp, commit));
    catchingUp.unlinked(PEER, first);
    t.false(catchingUp.isWhole);
    link(catchingUp, PEER, { has: 5_000, whole: false });
    t.is(catchingUp.isWhole, isWhole);
    t.deepEqual(catchingUp.ledger.owed, isWhole ? [at(6_000)] : []);
    t.is(notes.due, isWhole ? 1 : 0);
    t.false(catchingUp.isReady);
    t.is(store.sharedVector().get(B), undefined);
  });

test('a copy is not given up while somebody linked is whole, though that refused to be its source', async (t) => {
  const { catchingUp } = await stageOf(nodeName('a'));
  link(catchingUp, THIRD, { has: 5_000 });
  catchingUp.copyFailed(THIRD);
  link(catchingUp, PEER, { has: 5_000, whole: false });
  t.false(catchingUp.isWhole);
  t.is(catchingUp.progress?.from, null);
  catchingUp.retry();
  t.is(catchingUp.progress?.from, THIRD);
});

test('what peers said about logs that begin too late is forgotten after a copy', async (t) => {
  const stage = await stageOf();
  const { catchingUp } = stage;
  const resync = link(catchingUp, PEER, { has: 5_000 });
  catchingUp.tooOld(PEER, B);
  await copied(stage, { has: 5_000, owed: [] });
  catchingUp.noticed(PEER, [at(5_001)], true);
  t.is(resync.told.at(-1), `wants ${B}:5000`);
  t.true(catchingUp.isReady);
});

test('an origin whose next entry is late is copied from whoever sent it, and read again after that', async (t) => {
  const stage = await stageOf();
  const { catchingUp } = stage;
  const resync = link(catchingUp, PEER, { has: 1 });
  await apply(stage.store, 1);
  catchingUp.advanced([B]);
  t.deepEqual(resync.told, [`wants ${B}:0`]);
  // Sent before it was told of.
  t.false(catchingUp.lost(PEER, [{ origin: B, problem: 'late' }]));
  t.deepEqual(resync.told.slice(1), ['wants ', 'copy.wanted']);
  await copied(stage, { has: 2, owed: [] });
  catchingUp.noticed(PEER, [at(3)], true);
  t.is(resync.told.at(-1), `wants ${B}:2`);
});

test('a peer whose log begins too late has more than it has told', async (t) => {
  const stage = await stageOf();
  const { catchingUp } = stage;
  const resync = link(catchingUp, PEER, { has: 1 });
  await apply(stage.store, 1);
  catchingUp.advanced([B]);
  t.deepEqual(resync.told, [`wants ${B}:0`]);
  catchingUp.tooOld(PEER, B);
  t.is(resync.told.at(-1), 'copy.wanted');
});

test('a copy is given up after a while when all who are linked have nothing', async (t) => {
  const { catchingUp } = await stageOf();
  const first = link(catchingUp, PEER, { has: 5_000 });
  begin(catchingUp, PEER, { has: 5_000 });
  catchingUp.unlinked(PEER, first);
  const waits = { shortMs: 10, longMs: 100 };
  catchingUp.giveUpAlone(0, waits);
  catchingUp.giveUpAlone(20, waits);
  t.false(catchingUp.isWhole);
  catchingUp.linked(THIRD, {
    resync: resyncOf(),
    origin: origin(THIRD),
    positions: [],
    whole: true,
  });
  catchingUp.giveUpAlone(30, waits);
  catchingUp.giveUpAlone(39, waits);
  t.false(catchingUp.isWhole);
  catchingUp.giveUpAlone(40, waits);
  t.true(catchingUp.isWhole);
  t.deepEqual(catchingUp.ledger.owed, [at(5_000)]);
});

test('the log goes on, and the node is not ready, while nobody can give the copy it needs', async (t) => {
  const { catchingUp } = await stageOf();
  const resync = link(catchingUp, PEER, { has: 5_000, whole: false });
  t.deepEqual(resync.told, [`wants ${B}:0`]);
  t.false(catchingUp.isReady);
  t.true(catchingUp.isWhole);
});

test('when a relay has given all it has, the rest is wanted of another that told of more before', async (t) => {
  const { store, catchingUp } = await stageOf();
  const first = link(catchingUp, PEER, { has: 2 });
  t.deepEqual(first.told, [`wants ${B}:0`]);
  const other = link(catchingUp, THIRD, { has: 3 });
  t.deepEqual(other.told, ['wants ']);
  await apply(store, 1);
  catchingUp.advanced([B]);
  t.deepEqual(other.told, ['wants ']);
  await apply(store, 2);
  catchingUp.advanced([B]);
  t.is(other.told.at(-1), `wants ${B}:2`);
  t.is(first.told.at(-1), 'wants ');
});

test('a peer tells of no more origins than anybody needs, and of nothing that is no origin', async (t) => {
  const { catchingUp } = await stageOf();
  const resync = link(catchingUp, PEER, { has: 1, whole: false });
  const invented = Array.from({ length: limits.originsPerPeerMax + 5 }, (_, place) =>
    at(1, `x#${place.toString(16).padStart(16, '0')}` as OriginId),
  );
  // Not whole: so much would be copied otherwise, and nothing wanted of the log.
  catchingUp.noticed(PEER, [at(1, `${B}~local` as OriginId), ...invented], false);
  const wanted = (resync.told.at(-1) ?? '').split(' ').slice(1);
  t.is(wanted.length, limits.originsPerPeerMax);
  t.false(wanted.some((want) => want.includes('~local')));
});
