/**
 * Debts in any situation: what is said to be held in part, and that a payment pays what it was asked for, so that the
 * same peer is not asked again. With rows: tests/property/flow.test.ts.
 */
import test from 'ava';
import * as fc from 'fast-check';
import {
  heldInPart,
  NO_DEBTS,
  payableBy,
  withDebt,
  withoutPaid,
  type Debts,
  type Payer,
  type Payment,
} from '../../protocol/debts.js';
import { ALL_ORIGINS, type OriginScope, type TableScope } from '../../protocol/flow.js';
import { nodeName, tableName, type OriginId, type TableName } from '../../protocol/ids.js';
import {
  ALL_HELD,
  isLeftOut,
  leftOutBy,
  leftOutByEither,
  NOTHING_LEFT_OUT,
  tableSet,
  type LeftOut,
  type PartHeld,
} from '../../protocol/leftOut.js';
import { limits } from '../../protocol/limits.js';
import { origin } from '../support/stores.js';

const NAMES = ['cats', 'dogs', 'eels'].map(tableName);
const ORIGINS = ['a', 'b'].map((name) => origin(name));

const names = fc.subarray(NAMES).map(tableSet);
const leftOut: fc.Arbitrary<LeftOut> = fc.record({ tables: names, others: fc.option(names) });
const scope: fc.Arbitrary<TableScope> = fc.oneof(
  names.map((except) => ({ kind: 'all' as const, except })),
  names.map((tables) => ({ kind: 'only' as const, tables })),
);
const reached = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...ORIGINS), fc.integer({ min: 1, max: 4 })), {
    selector: ([one]) => one,
    minLength: 1,
  })
  .map((list) => new Map<OriginId, number>(list));
const event = fc.record({ leftOut, isCutOff: fc.boolean(), upTo: reached });
const debts = fc
  .array(event, { maxLength: 4 })
  .map((events) => events.reduce<Debts>(withDebt, NO_DEBTS));
const partHeld: fc.Arbitrary<PartHeld> = fc
  .array(fc.tuple(fc.constantFrom(...ORIGINS), leftOut), { maxLength: 2 })
  .map((list) => new Map(list));
const payer: fc.Arbitrary<Payer> = fc.record({ scope, inPart: partHeld, reached });
const origins: fc.Arbitrary<OriginScope> = fc.record({
  refused: fc.subarray(['b'].map(nodeName)),
  exceptTables: fc
    .option(names)
    .map((list) => new Map(list ? [[nodeName('a'), list] as const] : [])),
});

/** What that copy of the peer brings. */
const paymentOf = (tables: TableScope, peer: Payer, whose: OriginScope): Payment => ({
  leftOut: leftOutByEither(leftOutBy(tables), leftOutBy(peer.scope)),
  inPart: peer.inPart,
  reached: peer.reached,
  origins: whose,
});

test('a table is held in part while something of it is owed, under its name or not', (t) => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 4 }), (events) => {
      const inPart = heldInPart(events.reduce<Debts>(withDebt, NO_DEBTS));
      return NAMES.every(
        (name) => isLeftOut(inPart, name) === events.some((one) => isLeftOut(one.leftOut, name)),
      );
    }),
    { numRuns: 3_000 },
  );
  t.pass();
});

test('a peer is asked for a few payments at most, each pays something, and none adds a table', (t) => {
  fc.assert(
    fc.property(debts, payer, origins, (owed, peer, whose) => {
      let left = owed;
      for (let payments = 0; payments < PAYMENTS_MAX; payments++) {
        const tables = payableBy(left, peer, whose);
        if (!tables) return true;
        const before = left;
        left = withoutPaid(before, paymentOf(tables, peer, whose));
        const [was, is] = [before, left].map(heldInPart);
        if (sumOf(left) === sumOf(before)) return false;
        if (NAMES.some((name) => was && is && !isLeftOut(was, name) && isLeftOut(is, name)))
          return false;
      }
      return false;
    }),
    { numRuns: 20_000 },
  );
  t.pass();
});

/** One debt of others may have to be split by origin first, then table by table. */
const PAYMENTS_MAX = 5;

const sumOf = (owed: Debts): string =>
  JSON.stringify([...owed].map(([name, debt]) => [name, [...debt.owed]]).sort());

test('nothing is owed after a copy of everything that reaches it, and nothing of less is paid', (t) => {
  fc.assert(
    fc.property(debts, reached, (owed, upTo) => {
      const payment = { leftOut: NOTHING_LEFT_OUT, inPart: ALL_HELD, origins: ALL_ORIGINS };
      const left = withoutPaid(owed, { ...payment, reached: upTo });
      const isShort = [...owed.values()].some((debt) =>
        [...debt.owed].some(([one, at]) => at > (upTo.get(one) ?? 0)),
      );
      return left.size > 0 === isShort;
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('a table that the copy left out, or that is not taken of an origin, is owed as before', (t) => {
  fc.assert(
    fc.property(debts, leftOut, partHeld, origins, (owed, missing, inPart, whose) => {
      const everything = new Map(ORIGINS.map((one) => [one, 9]));
      const payment = { leftOut: missing, inPart, reached: everything, origins: whose };
      const left = withoutPaid(owed, payment);
      const except = (name: TableName): boolean =>
        (whose.exceptTables.get(nodeName('a')) ?? []).includes(name);
      const isOwed = (of: Debts, name: TableName, one: OriginId): boolean =>
        [...of.values()].some(
          (debt) =>
            debt.owed.has(one) &&
            (debt.kind === 'others' ? !debt.known.includes(name) : debt.table === name),
        );
      return NAMES.every((name) =>
        ORIGINS.every((one, place) => {
          const stays =
            isLeftOut(missing, name) ||
            isLeftOut(inPart.get(one) ?? NOTHING_LEFT_OUT, name) ||
            (place === 0 ? except(name) : whose.refused.length > 0);
          return !stays || isOwed(left, name, one) === isOwed(owed, name, one);
        }),
      );
    }),
    { numRuns: 20_000 },
  );
  t.pass();
});

test('what is cut off is never paid for its own sake', (t) => {
  const cut = withDebt(NO_DEBTS, {
    leftOut: { tables: NAMES, others: null },
    isCutOff: true,
    upTo: new Map([[origin('a'), 1]]),
  });
  const peer: Payer = {
    scope: { kind: 'all', except: [] },
    inPart: ALL_HELD,
    reached: new Map([[origin('a'), 9]]),
  };
  t.is(payableBy(cut, peer, ALL_ORIGINS), null);
  t.true(isLeftOut(heldInPart(cut), tableName('dogs')));
});

test('more debts than are kept apart become one that says less, and none is forgotten', (t) => {
  const upTo = new Map([[origin('a'), 3]]);
  let owed = NO_DEBTS;
  for (let count = 0; count <= limits.debtsOfTablesMax; count++)
    owed = withDebt(owed, {
      leftOut: { tables: [tableName(`t${count}`)], others: null },
      isCutOff: count % 2 === 0,
      upTo,
    });
  t.is(owed.size, 1);
  t.true(isLeftOut(heldInPart(owed), tableName('t0')));
  for (let count = 0; count <= limits.debtsOfOthersMax; count++)
    owed = withDebt(owed, {
      leftOut: { tables: [], others: ['known', `t${count}`].map(tableName) },
      isCutOff: false,
      upTo,
    });
  t.true(owed.size <= limits.debtsOfOthersMax);
  t.true(isLeftOut(heldInPart(owed), tableName('other')));
});
