/**
 * Records that expire: any order and repetition of the same operations shows the same record at every moment, and what
 * nodes accept in a table whose records expire comes to what it would be if expiring were a delete at the deadline.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import {
  compareStamps,
  millisecondsOf,
  TICKS_PER_MILLISECOND,
  type Stamp,
} from '../../protocol/clock.js';
import { decode, encode, encodeMapOf } from '../../protocol/codec.js';
import { readEntryHeader, readEntryTables } from '../../protocol/entry.js';
import {
  DEADLINE,
  encodeDeadline,
  shownAt,
  withDeadline,
  type Deadline,
} from '../../protocol/expiry.js';
import { version } from '../../protocol/ids.js';
import { decodeKey } from '../../protocol/orderedKey.js';
import { joinOptional, recordOf, rowOf, type Row, type RowChange } from '../../protocol/row.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import type { Store } from '../../storage/store.js';
import { readRecord } from '../../storage/tables.js';
import {
  catchUp,
  define,
  definition,
  inCommit,
  logOf,
  memoryStore,
  NOW_MS,
  origin,
  transaction,
} from '../support/stores.js';

interface Operation {
  readonly stamp: Stamp;
  readonly change: RowChange;
  readonly deadline: Deadline | undefined;
}

type Record_ = Record<string, unknown>;

const TIMES_MAX = 12;
const ORIGINS = [origin('a'), origin('b')] as const;

const deadlines: fc.Arbitrary<Deadline | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.constant({ kind: 'none' } as const),
  fc.integer({ min: 1, max: TIMES_MAX }).map((atMs) => ({ kind: 'given', atMs }) as const),
  fc.integer({ min: 1, max: TIMES_MAX }).map((atMs) => ({ kind: 'ofTable', atMs }) as const),
);

const changes = (deadline: Deadline | undefined): fc.Arbitrary<RowChange> =>
  fc
    .record({
      type: fc.constantFrom('put' as const, 'patch' as const, 'delete' as const),
      names: fc.subarray(['x', 'y', 'z']),
      value: fc.nat(9),
    })
    .map(({ type, names, value }) => {
      if (type === 'delete') return { type };
      const attributes = names.map((name) => ({ name, value: encode(value) }));
      const body = encodeMapOf(
        attributes.map((one) => [one.name, one.value] as const),
        attributes.length,
      );
      const change = type === 'put' ? { type, body } : { type, attributes };
      return deadline ? withDeadline(change, encodeDeadline(deadline)) : change;
    });

const operations: fc.Arbitrary<Operation[]> = fc.uniqueArray(
  fc
    .tuple(fc.integer({ min: 1, max: TIMES_MAX }), fc.constantFrom(...ORIGINS), deadlines)
    .chain(([ms, from, deadline]) =>
      changes(deadline).map((change) => ({
        stamp: { version: version(ms * TICKS_PER_MILLISECOND), origin: from },
        change,
        deadline: change.type === 'delete' ? undefined : deadline,
      })),
    ),
  { minLength: 1, maxLength: 7, selector: ({ stamp }) => `${stamp.version} ${stamp.origin}` },
);

/** A record as executing the operations leaves it: each attribute with the time at which it was set. */
interface Executed {
  attributes: Map<string, { value: unknown; place: number; ms: number }>;
  deadline: { atMs: number; place: number; isGiven: boolean } | null;
  newestMs: number;
}

/**
 * The plain meaning, without the code under test: operations are executed in stamp order, and whoever looks leaves out
 * what had been set before a deadline that is over. The newest word on the deadline counts.
 */
const executed = (given: readonly Operation[]): Executed | null => {
  let state: Executed | null = null;
  const inOrder = [...given].sort((a, b) => compareStamps(a.stamp, b.stamp));
  for (const [place, { change, deadline, stamp }] of inOrder.entries()) {
    const ms = millisecondsOf(stamp.version);
    if (change.type === 'delete') {
      state = null;
      continue;
    }
    if (change.type === 'put' || !state)
      state = { attributes: new Map(), deadline: null, newestMs: ms };
    state.newestMs = ms;
    for (const [name, value] of attributesOf(change))
      state.attributes.set(name, { value, place, ms });
    if (deadline)
      state.deadline =
        deadline.kind === 'none'
          ? null
          : { atMs: deadline.atMs, place, isGiven: deadline.kind === 'given' };
  }
  return state;
};

const seenAt = (
  state: Executed | null,
  look: { nowMs: number; lifeMs: number | undefined },
): Record_ | undefined => {
  if (!state) return undefined;
  const { attributes, deadline, newestMs } = state;
  const isLater = (place: number, ms: number): boolean =>
    deadline === null || (place > deadline.place && ms >= deadline.atMs);
  const later = [...attributes].filter(([, { place, ms }]) => isLater(place, ms));
  const isRenewed = deadline !== null && later.length > 0;
  const present = isRenewed ? null : deadline;
  const byTable = present?.isGiven || look.lifeMs === undefined ? Infinity : newestMs + look.lifeMs;
  if (Math.min(present?.atMs ?? Infinity, byTable) <= look.nowMs) return undefined;
  const shown = isRenewed ? later : [...attributes];
  return Object.fromEntries(shown.map(([name, { value }]) => [name, value]));
};

const attributesOf = (change: Exclude<RowChange, { type: 'delete' }>): [string, unknown][] => {
  const all: [string, unknown][] =
    change.type === 'put'
      ? Object.entries(decode(change.body) as Record_)
      : change.attributes.map(({ name, value }) => [name, decode(value)]);
  return all.filter(([name]) => name !== DEADLINE);
};

const deadlineIn = (change: Exclude<RowChange, { type: 'delete' }>): unknown => {
  const body = change.type === 'put' ? (decode(change.body) as Record_)[DEADLINE] : undefined;
  const set = change.type === 'patch' && change.attributes.find(({ name }) => name === DEADLINE);
  return set ? decode(set.value) : body;
};

const recordAt = (
  row: Row | undefined,
  look: { nowMs: number; lifeMs: number | undefined },
): Record_ | undefined => {
  const shown = shownAt(row, look);
  const body = shown && recordOf(shown);
  if (!body) return undefined;
  const { [DEADLINE]: _deadline, ...record } = decode(body) as Record_;
  return record;
};

const joined = (given: readonly Operation[]): Row | undefined => {
  let row: Row | undefined;
  for (const { change, stamp } of given) row = joinOptional(row, rowOf(change, stamp));
  return row;
};

/** Every write names an attribute: a write of nothing is told from none by the row, but not by what is shown. */
const withAttributes = operations.map((given) =>
  given.filter(({ change }) => change.type === 'delete' || attributesOf(change).length > 0),
);

test('any order and repetition shows the same at every moment, and what stamp order says', (t) => {
  const lives = fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined });
  fc.assert(
    fc.property(withAttributes, fc.array(fc.nat(6)), lives, (given, picks, lifeMs) => {
      const repeated = picks.flatMap((pick) => given[pick % given.length] ?? []);
      const forth = joined([...repeated, ...given]);
      const back = joined([...given].reverse());
      const state = executed(given);
      for (let nowMs = 0; nowMs <= 2 * TIMES_MAX; nowMs++) {
        const wanted = seenAt(state, { nowMs, lifeMs });
        if (!isDeepStrictEqual(recordAt(forth, { nowMs, lifeMs }), wanted)) return false;
        if (!isDeepStrictEqual(recordAt(back, { nowMs, lifeMs }), wanted)) return false;
      }
      return true;
    }),
    { numRuns: 20_000 },
  );
  t.pass();
});

const LIFE_MS = 3_000;

type Command =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'pull'; readonly to: number; readonly from: number }
  | {
      readonly kind: 'write';
      readonly node: number;
      readonly type: LocalWrite['type'];
      readonly name: string;
      readonly livesMs: number;
      /** Whether it says when the record expires. */
      readonly gives: boolean;
    };

const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 400, 999, 1_000, 2_000),
    }),
    fc.record({ kind: fc.constant('pull' as const), to: fc.nat(2), from: fc.nat(2) }),
    fc.record({
      kind: fc.constant('write' as const),
      node: fc.nat(2),
      type: fc.constantFrom<LocalWrite['type']>('insert', 'put', 'update', 'upsert', 'delete'),
      name: fc.constantFrom('x', 'y', 'z'),
      livesMs: fc.constantFrom(-400, 400, 1_000, 2_000, 4_000),
      gives: fc.boolean(),
    }),
  ),
  { minLength: 5, maxLength: 30 },
);

/** Clocks of the nodes differ by a second from one to the next. */
const clockOf = (node: number, nowMs: number): number => nowMs + node * 1_000;

/**
 * Who says when a record expires: the table; writes of whole records; or any write, at one node alone (with more of them
 * the newest word counts, also when its node had not seen an earlier end).
 */
type Mode = 'byTable' | 'byPut' | 'byAnyAtOne';

const play = async (
  given: readonly Command[],
  mode: Mode,
): Promise<{ stores: Store[]; nowMs: number }> => {
  const more = mode === 'byTable' ? { expirationSeconds: LIFE_MS / 1000 } : {};
  const names = mode === 'byAnyAtOne' ? ['a'] : ['a', 'b', 'c'];
  const stores = await Promise.all(names.map((node) => memoryStore({ node })));
  const storeOf = (node: number): Store => stores[node % stores.length] as Store;
  await define(storeOf(0), definition('t', [{ name: 'x', indexed: true }], more));
  await settle(stores);
  let nowMs = NOW_MS;
  for (const [place, command] of given.entries()) {
    if (command.kind === 'wait') nowMs += command.ms;
    else if (command.kind === 'pull') await catchUp(storeOf(command.to), storeOf(command.from));
    else {
      const at = clockOf(command.node % stores.length, nowMs);
      const write = writeOf(command, { mode, at, value: place });
      await inCommit(storeOf(command.node), (commit) =>
        commit.transact(transaction([write], { nowMs: at })),
      );
    }
  }
  await settle(stores);
  return { stores, nowMs };
};

const writeOf = (
  { type, name, livesMs, gives }: Extract<Command, { kind: 'write' }>,
  { mode, at, value }: { mode: Mode; at: number; value: number },
): LocalWrite => {
  if (type === 'delete') return { table: 't', type, keys: ['k'] };
  const mayGive = mode === 'byAnyAtOne' || (mode === 'byPut' && ['put', 'insert'].includes(type));
  const expiry = gives && mayGive ? { expiresAt: at + livesMs } : {};
  return { table: 't', type, records: [{ id: 'k', [name]: value }], ...expiry };
};

const settle = async (stores: readonly Store[]): Promise<void> => {
  for (const to of stores) for (const from of stores) if (to !== from) await catchUp(to, from);
  for (const to of stores) for (const from of stores) if (to !== from) await catchUp(to, from);
};

/** All that was logged, executed one at a time; a record is erased at its deadline like by a delete. */
const foldWithExpiry = async (store: Store, nowMs: number): Promise<Record_ | undefined> => {
  const found: { stamp: Stamp; change: RowChange }[] = [];
  for (const id of store.accepted.keys())
    for (const entry of await logOf(store, id))
      for (const { table, changes: ofTable } of readEntryTables(entry))
        if (table === 't')
          for (const { key, change } of ofTable)
            if (decodeKey(key) === 'k')
              found.push({
                stamp: { version: readEntryHeader(entry).version, origin: id },
                change,
              });
  let record: Record_ | undefined;
  let endMs = Infinity;
  for (const { stamp, change } of found.sort((a, b) => compareStamps(a.stamp, b.stamp))) {
    if (endMs <= millisecondsOf(stamp.version)) [record, endMs] = [undefined, Infinity];
    if (change.type === 'delete') [record, endMs] = [undefined, Infinity];
    else {
      if (change.type === 'put') [record, endMs] = [undefined, Infinity];
      record = { ...record, ...Object.fromEntries(attributesOf(change)) };
      const deadline = deadlineIn(change);
      if (typeof deadline === 'number') endMs = Math.abs(deadline);
    }
  }
  return endMs <= nowMs ? undefined : record;
};

for (const mode of ['byTable', 'byPut', 'byAnyAtOne'] as const)
  test(`what nodes accept is what it would be if expiring were a delete (${mode})`, async (t) => {
    await fc.assert(
      fc.asyncProperty(commands, async (given) => {
        const { stores, nowMs } = await play(given, mode);
        for (const later of [0, 700, 1_500, 2_999, 3_001, 6_000])
          for (const store of stores) {
            const at = nowMs + later;
            const shown = readRecord(store, store.catalog.get('t'), { key: 'k', nowMs: at });
            if (!isDeepStrictEqual(shown, await foldWithExpiry(store, at))) return false;
          }
        return true;
      }),
      { numRuns: mode === 'byAnyAtOne' ? 1_000 : 200 },
    );
    t.pass();
  });
