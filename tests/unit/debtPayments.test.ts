/** Whom a database asks to pay its debts, how often, and what becomes of a payment that is interrupted. */
import test from 'ava';
import { CatchingUp } from '../../actors/catchingUp.js';
import type { ActorRef } from '../../actors/kernel/types.js';
import type { ResyncMessage } from '../../actors/messages.js';
import type { CopiedPosition } from '../../protocol/copyCheckpoint.js';
import { withDebt } from '../../protocol/debts.js';
import { EVERYTHING, type TableScope } from '../../protocol/flow.js';
import { nodeName, sequence, tableName, version, type NodeName } from '../../protocol/ids.js';
import type { PartHeld } from '../../protocol/leftOut.js';
import { limits } from '../../protocol/limits.js';
import type { Store } from '../../storage/store.js';
import { definition, inCommit, memoryStore, origin } from '../support/stores.js';

const B = origin('b');
const [P, Q] = ['p', 'q'].map(nodeName) as [NodeName, NodeName];
const DOGS = tableName('dogs');
const ONLY_DOGS: TableScope = { kind: 'only', tables: [DOGS] };
const at = (count: number): CopiedPosition => ({
  origin: B,
  sequence: sequence(count),
  version: version(count),
  checksum: count,
});

interface Stage {
  readonly store: Store;
  readonly catchingUp: CatchingUp;
  readonly clock: { nowMs: number };
  again(): Promise<CatchingUp>;
}

/** A store that has B up to 5, and owes what the first 5 said of dogs. */
const stageOf = async (): Promise<Stage> => {
  const store = await memoryStore({ node: 'me', builtIn: [definition('dogs')] });
  const clock = { nowMs: 1_000_000 };
  const again = (): Promise<CatchingUp> =>
    CatchingUp.load(
      store,
      nodeName('me'),
      () => undefined,
      () => clock.nowMs,
    );
  await inCommit(store, (commit) => {
    commit.adopt([[B, { ...at(5), logStart: sequence(6) }]]);
    const leftOut = { tables: [DOGS], others: null };
    store.debts.change((debts) =>
      withDebt(debts, { leftOut, isCutOff: false, upTo: new Map([[B, 5]]) }),
    );
  });
  return { store, clock, again, catchingUp: await again() };
};

interface Told extends ActorRef<ResyncMessage> {
  /** The tables of each copy that was asked for. */
  readonly asked: unknown[];
}
const link = (
  catchingUp: CatchingUp,
  peer: NodeName,
  more: { has?: number; whole?: boolean; scope?: TableScope; inPart?: PartHeld } = {},
): Told => {
  const asked: unknown[] = [];
  const send = (message: ResyncMessage): 'queued' => {
    if (message.type === 'copy.wanted') asked.push(message.tables ?? 'all');
    return 'queued';
  };
  const resync = { path: '/resync', send, asked };
  const { has = 5, whole = true, ...rest } = more;
  catchingUp.linked(peer, {
    resync,
    origin: origin(peer),
    positions: has > 0 ? [at(has)] : [],
    whole,
    ...rest,
  });
  return resync;
};
const begin = (catchingUp: CatchingUp, peer: NodeName, has: number) =>
  catchingUp.copyBegun(peer, {
    positions: [at(has)],
    owed: [],
    estimatedRows: 1,
    marks: [],
    leftOut: { tables: [], others: [DOGS] },
  });

for (const [name, more] of [
  ['has less than is owed', { has: 4 }],
  ['is in the middle of a copy', { whole: false }],
  ['does not send the table', { scope: { kind: 'all', except: [DOGS] } }],
  ['holds it in part itself', { inPart: new Map([[B, { tables: [DOGS], others: null }]]) }],
] as const)
  test(`a peer that ${name} is not asked to pay, the next one is`, async (t) => {
    const { catchingUp } = await stageOf();
    const first = link(catchingUp, P, more);
    const second = link(catchingUp, Q);
    t.deepEqual(first.asked, []);
    t.deepEqual(second.asked, [ONLY_DOGS]);
    t.true(catchingUp.isWhole);
    t.false(catchingUp.isReady);
  });

test('a peer that holds another origin in part pays what it holds', async (t) => {
  const { catchingUp } = await stageOf();
  const inPart = new Map([[origin('c'), { tables: [DOGS], others: null }]]);
  t.deepEqual(link(catchingUp, P, { inPart }).asked, [ONLY_DOGS]);
});

test('a payment ends with nothing owed, no position adopted, and the logs as they were', async (t) => {
  const { store, catchingUp } = await stageOf();
  link(catchingUp, P);
  t.is(begin(catchingUp, P, 7), 'begun');
  await inCommit(store, (commit) => t.true(catchingUp.finishCopy(P, commit)));
  catchingUp.advanced([]);
  t.is(store.debts.debts.size, 0);
  t.is(store.durable.get(B)?.sequence, sequence(5));
  // What its rows were at has to be reached.
  t.false(catchingUp.isReady);
  t.deepEqual(catchingUp.ledger.owed, [at(7)]);
});

test('whoever copies from here during a payment has to reach what that promises', async (t) => {
  const { catchingUp } = await stageOf();
  link(catchingUp, P);
  begin(catchingUp, P, 7);
  t.true(catchingUp.isWhole);
  t.false(catchingUp.ledger.isIdle);
  t.deepEqual(catchingUp.ledger.owed, [at(7)]);
});

test('a source that does not pay is asked again only after a while', async (t) => {
  const { catchingUp, clock } = await stageOf();
  const { asked } = link(catchingUp, P);
  t.is(begin(catchingUp, P, 4), 'worthless');
  catchingUp.copyFailed(P);
  catchingUp.plan();
  catchingUp.payDebts();
  t.is(asked.length, 1);
  t.true(catchingUp.ledger.isIdle);
  t.true(catchingUp.isReady);
  clock.nowMs += limits.debtRetryMs - 1;
  catchingUp.payDebts();
  t.is(asked.length, 1);
  clock.nowMs += 1;
  catchingUp.payDebts();
  t.is(asked.length, 2);
});

test('a source that does not know what was purged here does not pay', async (t) => {
  const { store, catchingUp } = await stageOf();
  await inCommit(store, (commit) => commit.raiseMarks([{ origin: B, version: version(6) }]));
  t.deepEqual(link(catchingUp, P).asked, []);
  t.deepEqual(link(catchingUp, Q, { has: 6 }).asked, [ONLY_DOGS]);
});

test('nor does one whose snapshot turns out not to know it', async (t) => {
  const { store, catchingUp } = await stageOf();
  t.deepEqual(link(catchingUp, P, { has: 6 }).asked, [ONLY_DOGS]);
  await inCommit(store, (commit) => commit.raiseMarks([{ origin: B, version: version(7) }]));
  t.is(begin(catchingUp, P, 6), 'worthless');
});

test('what was promised of a node that is refused from now on is not waited for', async (t) => {
  const { store, catchingUp } = await stageOf();
  link(catchingUp, P);
  begin(catchingUp, P, 7);
  await inCommit(store, (commit) => t.true(catchingUp.finishCopy(P, commit)));
  catchingUp.advanced([]);
  t.deepEqual(catchingUp.ledger.owed, [at(7)]);
  catchingUp.takeFrom({ refused: [nodeName('b')], exceptTables: new Map() });
  t.deepEqual(catchingUp.ledger.owed, []);
  t.true(catchingUp.isReady);
});

test('of a node that is refused while a copy goes on nothing is adopted or waited for', async (t) => {
  const { store, catchingUp } = await stageOf();
  const { asked } = link(catchingUp, P, { has: 9 });
  catchingUp.tooOld(P, B);
  t.is(asked.at(-1), 'all');
  begin(catchingUp, P, 9);
  catchingUp.takeFrom({ refused: [nodeName('b')], exceptTables: new Map() });
  await inCommit(store, (commit) => t.true(catchingUp.finishCopy(P, commit)));
  t.is(store.durable.get(B)?.sequence, sequence(5));
  t.deepEqual(catchingUp.ledger.owed, []);
});

test('a payment is given up with its peer, and begun anew with another', async (t) => {
  const { store, catchingUp } = await stageOf();
  const first = link(catchingUp, P);
  begin(catchingUp, P, 7);
  await inCommit(store, (commit) =>
    catchingUp.ledger.merged(
      { count: 1, after: { table: 'dogs', generation: 1, key: Buffer.from('k') } },
      commit,
    ),
  );
  catchingUp.unlinked(P, first);
  t.true(catchingUp.ledger.isIdle);
  t.deepEqual(catchingUp.ledger.owed, [at(7)]);
  t.deepEqual(link(catchingUp, Q).asked, [ONLY_DOGS]);
  t.is(catchingUp.ledger.copy?.after, null);
});

test('a restart begins a payment anew, and knows what the last one promised', async (t) => {
  const { store, catchingUp, again } = await stageOf();
  link(catchingUp, P);
  begin(catchingUp, P, 7);
  await inCommit(store, (commit) => catchingUp.ledger.note(commit));
  const restarted = await again();
  t.true(restarted.ledger.isIdle);
  t.deepEqual(restarted.ledger.owed, [at(7)]);
  t.deepEqual(link(restarted, P).asked, [ONLY_DOGS]);
});

test('a copy of everything that becomes necessary goes before a payment', async (t) => {
  const { catchingUp } = await stageOf();
  const { asked } = link(catchingUp, P, { has: 9 });
  begin(catchingUp, P, 9);
  catchingUp.tooOld(P, B);
  t.deepEqual(asked, [ONLY_DOGS, 'all']);
  t.is(catchingUp.ledger.copy?.tables, null);
  t.is(begin(catchingUp, P, 9), 'begun');
});

test('the log of others goes on during a payment', async (t) => {
  const { catchingUp } = await stageOf();
  const wants: number[] = [];
  const send = (message: ResyncMessage): 'queued' => {
    if (message.type === 'wants.changed') wants.push(message.wants.length);
    return 'queued';
  };
  catchingUp.linked(P, {
    resync: { path: '/resync', send },
    origin: origin('p'),
    positions: [at(6)],
    whole: true,
    scope: EVERYTHING,
  });
  t.false(catchingUp.ledger.isIdle);
  catchingUp.plan();
  t.deepEqual(wants, [1, 1]);
});
