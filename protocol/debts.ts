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
import {
  exceptedTables,
  isNothing,
  isRefused,
  NOTHING,
  type OriginScope,
  type TableScope,
} from './flow.js';
import type { OriginId, TableName } from './ids.js';
import {
  isLeftOut,
  leftOutBy,
  leftOutByEither,
  NOTHING_LEFT_OUT,
  tableSet,
  type LeftOut,
  type PartHeld,
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

/** Which tables are held in part, whoever wrote what is missing. */
export const heldInPart = (debts: Debts): LeftOut => {
  let inPart = NOTHING_LEFT_OUT;
  for (const debt of debts.values()) inPart = leftOutByEither(inPart, leftOutOf(debt));
  return inPart;
};

/** The same for each origin. */
export const partHeldOf = (debts: Debts): PartHeld => {
  const held = new Map<OriginId, LeftOut>();
  for (const debt of debts.values())
    for (const origin of debt.owed.keys())
      held.set(origin, leftOutByEither(held.get(origin) ?? NOTHING_LEFT_OUT, leftOutOf(debt)));
  return held;
};

const leftOutOf = (debt: Debt): LeftOut =>
  debt.kind === 'others'
    ? { tables: [], others: debt.known }
    : { tables: [debt.table], others: null };

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

/** What a copy brought, as far as debts go. */
export interface Payment {
  /** What it left out of the whole database. */
  readonly leftOut: LeftOut;
  /** What its source holds in part itself. */
  readonly inPart: PartHeld;
  readonly reached: Reached;
  /** Whose writes were taken from it. */
  readonly origins: OriginScope;
}

/** What is owed after that. */
export const withoutPaid = (debts: Debts, payment: Payment): Debts => {
  const left = new Map<string, Debt>();
  for (const debt of debts.values())
    for (const [origin, sequence] of debt.owed) {
      const upTo = new Map([[origin, sequence]]);
      const isReached = sequence <= (payment.reached.get(origin) ?? 0);
      if (!isReached || isRefused(payment.origins, origin)) owe(left, debt, upTo);
      else if (debt.kind === 'others') payOthers(left, debt, { origin, upTo }, payment);
      else if (isLeftOut(missingOf(origin, payment), debt.table)) owe(left, debt, upTo);
    }
  return bounded(left);
};

/** A peer, as far as it can pay. */
export interface Payer {
  /** Tables that pass from it. */
  readonly scope: TableScope;
  /** What it holds in part itself. */
  readonly inPart: PartHeld;
  readonly reached: Reached;
}

/**
 * The tables to copy from that peer, so that something is owed no more; null: it cannot pay anything now. What it will be
 * able to pay with more of an origin is waited for, rather than copied twice.
 */
export const payableBy = (debts: Debts, payer: Payer, origins: OriginScope): TableScope | null => {
  const parts = [...debts.values()].flatMap((debt) => payableParts(debt, payer, origins));
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

/** Origin by origin; empty as long as the peer has less of one of them than is owed. */
const payableParts = (debt: Debt, payer: Payer, origins: OriginScope): TableScope[] => {
  const outside = leftOutBy(payer.scope);
  const parts: TableScope[] = [];
  for (const [origin, sequence] of debt.owed) {
    if (isRefused(origins, origin)) continue;
    const payment = { ...payer, leftOut: outside, origins };
    const part = payablePart(debt, missingOf(origin, payment));
    if (isNothing(part)) continue;
    if (sequence > (payer.reached.get(origin) ?? 0)) return [];
    parts.push(part);
  }
  return parts;
};

const payablePart = (debt: Debt, missing: LeftOut): TableScope => {
  switch (debt.kind) {
    case 'cutOff':
      return NOTHING;
    case 'table':
      return isLeftOut(missing, debt.table) ? NOTHING : { kind: 'only', tables: [debt.table] };
    case 'others': {
      const { others, tables } = missing;
      if (others === null) return { kind: 'all', except: tableSet([...tables, ...debt.known]) };
      const isNews = (table: TableName): boolean =>
        !tables.includes(table) && !debt.known.includes(table);
      return { kind: 'only', tables: others.filter(isNews) };
    }
    default:
      return debt satisfies never;
  }
};

type DebtSubject = Omit<NamedDebt, 'owed'> | Omit<DebtOfOthers, 'owed'>;

const owe = (debts: Map<string, Debt>, subject: DebtSubject, upTo: Reached): void => {
  if (upTo.size === 0) return;
  const key = debtKey(subject);
  const owed = new Map(debts.get(key)?.owed);
  for (const [origin, sequence] of upTo)
    if (sequence > (owed.get(origin) ?? 0)) owed.set(origin, sequence);
  debts.set(key, { ...subject, owed });
};

const missingOf = (origin: OriginId, { leftOut, inPart, origins }: Payment): LeftOut => {
  const held = leftOutByEither(leftOut, inPart.get(origin) ?? NOTHING_LEFT_OUT);
  const excepted = { tables: exceptedTables(origins, origin), others: null };
  return leftOutByEither(held, excepted);
};

/** What came is known from now on; what of the rest is named is owed by name. */
const payOthers = (
  left: Map<string, Debt>,
  debt: DebtOfOthers,
  { origin, upTo }: { origin: OriginId; upTo: Reached },
  payment: Payment,
): void => {
  const { tables, others } = missingOf(origin, payment);
  if (others === null)
    for (const table of tables) {
      if (!debt.known.includes(table)) owe(left, { kind: 'table', table }, upTo);
    }
  else {
    const came = others.filter((table) => !tables.includes(table));
    owe(left, { kind: 'others', known: tableSet([...debt.known, ...came]) }, upTo);
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
