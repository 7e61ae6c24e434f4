/**
 * What a database does not hold although its vector covers it, because it was left out of entries or copies: per table
 * and origin, the highest sequence of which something is missing. A table with a debt is held in part here. Debts are
 * paid by copying the table from a peer that holds it whole and whose vector reaches them. Driven by storage/debts.ts
 * and actors/debtPayments.ts. Pure.
 *
 *   table   something of that table was left out
 *   cutOff  the same, because it is older than a start time: never paid for its own sake
 *   others  of any table, but for the ones that are known: which, was not told
 */
import { exceptedTables, isRefused, NOTHING, type OriginScope, type TableScope } from './flow.js';
import type { OriginId, TableName } from './ids.js';
import {
  isLeftOut,
  leftOutBy,
  leftOutByEither,
  NOTHING_LEFT_OUT,
  tableSet,
  type LeftOut,
} from './leftOut.js';
import { limits } from './limits.js';

/** Per origin a sequence. */
export type Reached = ReadonlyMap<OriginId, number>;

export type Debt = NamedDebt | DebtOfOthers;

interface NamedDebt {
  readonly kind: 'table' | 'cutOff';
  readonly table: TableName;
  readonly owed: Reached;
}

interface DebtOfOthers {
  readonly kind: 'others';
  readonly known: readonly TableName[];
  readonly owed: Reached;
}

/** By what `debtKey` says. */
export type Debts = ReadonlyMap<string, Debt>;

export const NO_DEBTS: Debts = new Map();

/** Different for different debts. */
export const debtKey = (debt: DebtSubject): string =>
  debt.kind === 'others' ? `others ${JSON.stringify(debt.known)}` : `${debt.kind} ${debt.table}`;

/** Which tables are held in part. */
export const heldInPart = (debts: Debts): LeftOut => {
  let inPart = NOTHING_LEFT_OUT;
  for (const debt of debts.values())
    inPart = leftOutByEither(
      inPart,
      debt.kind === 'others'
        ? { tables: [], others: debt.known }
        : { tables: [debt.table], others: null },
    );
  return inPart;
};

/** Something was left out of what these positions cover. */
export const withDebt = (
  debts: Debts,
  debt: { leftOut: LeftOut; isCutOff: boolean; upTo: Reached },
): Debts => {
  const { leftOut, isCutOff, upTo } = debt;
  const changed = new Map(debts);
  for (const table of leftOut.tables)
    owe(changed, { kind: isCutOff ? 'cutOff' : 'table', table }, upTo);
  if (leftOut.others) owe(changed, { kind: 'others', known: tableSet(leftOut.others) }, upTo);
  return bounded(changed);
};

/**
 * What is owed after a copy with these positions, which left out `missing` of the whole database, and of origins what
 * `origins` does not take.
 */
export const withoutPaid = (
  debts: Debts,
  payment: { missing: LeftOut; reached: Reached; origins: OriginScope },
): Debts => {
  const left = new Map<string, Debt>();
  for (const debt of debts.values()) {
    if (debt.kind === 'others') payOthers(left, debt, payment);
    else owe(left, debt, unpaid(debt, payment));
  }
  return bounded(left);
};

/** A peer, as far as it can pay. */
export interface Payer {
  /** Tables that pass from it. */
  readonly scope: TableScope;
  /** Tables of these it holds in part itself. */
  readonly inPart: LeftOut;
  readonly reached: Reached;
}

/** The tables to copy from that peer, so that something is owed no more; null: it cannot pay anything. */
export const payableBy = (debts: Debts, payer: Payer, origins: OriginScope): TableScope | null => {
  const missing = leftOutByEither(leftOutBy(payer.scope), payer.inPart);
  const parts = [...debts.values()]
    .filter((debt) => isReached(debt, payer.reached, origins))
    .map((debt) => payablePart(debt, missing, origins));
  const names = tableSet(parts.flatMap((part) => (part.kind === 'only' ? part.tables : [])));
  const allBut = parts.flatMap((part) => (part.kind === 'all' ? [part.except] : []));
  const [first, ...rest] = allBut;
  if (!first) return names.length > 0 ? { kind: 'only', tables: names } : null;
  const isInAll = (table: TableName): boolean => rest.every((except) => except.includes(table));
  return {
    kind: 'all',
    except: first.filter((table) => isInAll(table) && !names.includes(table)),
  };
};

const payablePart = (debt: Debt, missing: LeftOut, origins: OriginScope): TableScope => {
  switch (debt.kind) {
    case 'cutOff':
      return NOTHING;
    case 'table':
      return isLeftOut(missing, debt.table) ? NOTHING : { kind: 'only', tables: [debt.table] };
    case 'others': {
      const { others, tables } = missing;
      if (others === null) return { kind: 'all', except: tableSet([...tables, ...debt.known]) };
      const isNews = (table: TableName): boolean =>
        !isLeftOut(missing, table) && !debt.known.includes(table) && isTaken(debt, table, origins);
      return { kind: 'only', tables: others.filter(isNews) };
    }
    default:
      return debt satisfies never;
  }
};

const isTaken = (debt: Debt, table: TableName, origins: OriginScope): boolean =>
  [...debt.owed.keys()].some(
    (origin) => !isRefused(origins, origin) && !exceptedTables(origins, origin).includes(table),
  );

type DebtSubject = Omit<NamedDebt, 'owed'> | Omit<DebtOfOthers, 'owed'>;

interface Payment {
  readonly missing: LeftOut;
  readonly reached: Reached;
  readonly origins: OriginScope;
}

const owe = (debts: Map<string, Debt>, subject: DebtSubject, upTo: Reached): void => {
  if (upTo.size === 0) return;
  const key = debtKey(subject);
  const owed = new Map(debts.get(key)?.owed);
  for (const [origin, sequence] of upTo)
    if (sequence > (owed.get(origin) ?? 0)) owed.set(origin, sequence);
  debts.set(key, { ...subject, owed });
};

/** An origin of which this table is not taken is not waited for. */
const isWaitedFor = (origins: OriginScope, origin: OriginId, debt: DebtSubject): boolean =>
  !isRefused(origins, origin) &&
  !(debt.kind !== 'others' && exceptedTables(origins, origin).includes(debt.table));

const isReached = (debt: Debt, reached: Reached, origins: OriginScope): boolean => {
  const waited = [...debt.owed].filter(([origin]) => isWaitedFor(origins, origin, debt));
  return (
    waited.length > 0 &&
    waited.every(([origin, sequence]) => (reached.get(origin) ?? 0) >= sequence)
  );
};

const unpaid = (debt: NamedDebt, payment: Payment): Reached => {
  if (isLeftOut(payment.missing, debt.table)) return debt.owed;
  return new Map(
    [...debt.owed].filter(
      ([origin, sequence]) =>
        sequence > (payment.reached.get(origin) ?? 0) ||
        !isWaitedFor(payment.origins, origin, debt),
    ),
  );
};

/** What came is known from now on; what of the rest is named is owed by name. */
const payOthers = (
  left: Map<string, Debt>,
  debt: DebtOfOthers,
  { missing, reached, origins }: Payment,
): void => {
  for (const [origin, sequence] of debt.owed) {
    const upTo = new Map([[origin, sequence]]);
    const isKnown = (table: TableName): boolean => debt.known.includes(table);
    const excepted = exceptedTables(origins, origin);
    if (sequence > (reached.get(origin) ?? 0) || isRefused(origins, origin)) owe(left, debt, upTo);
    else if (missing.others === null) {
      for (const table of tableSet([...missing.tables, ...excepted]))
        if (!isKnown(table)) owe(left, { kind: 'table', table }, upTo);
    } else {
      const came = missing.others.filter(
        (table) => !missing.tables.includes(table) && !excepted.includes(table),
      );
      owe(left, { kind: 'others', known: tableSet([...debt.known, ...came]) }, upTo);
    }
  }
};

/** Too many different ones become one that says less: more is copied then than would be needed. */
const bounded = (debts: Map<string, Debt>): Debts => {
  const ofOthers = [...debts.values()].filter((debt) => debt.kind === 'others');
  if (ofOthers.length > limits.debtsOfOthersMax) merge(debts, ofOthers, knownToAll(ofOthers));
  const ofTables = [...debts.values()].filter(({ kind }) => kind !== 'others');
  if (ofTables.length > limits.debtsOfTablesMax) merge(debts, ofTables, []);
  return debts;
};

const knownToAll = ([first, ...rest]: readonly DebtOfOthers[]): readonly TableName[] =>
  first?.known.filter((table) => rest.every(({ known }) => known.includes(table))) ?? [];

const merge = (
  debts: Map<string, Debt>,
  merged: readonly Debt[],
  known: readonly TableName[],
): void => {
  for (const debt of merged) debts.delete(debtKey(debt));
  for (const { owed } of merged) owe(debts, { kind: 'others', known }, owed);
};
