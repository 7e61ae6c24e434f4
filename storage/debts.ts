/**
 * The debts of a database on the disk and in memory: which tables it holds in part. They are written in the batch of
 * the entries and copies they come from. Held by store.ts, changed and written by commit.ts, read for snapshots with
 * the snapshot. What debts mean is in protocol/debts.ts.
 */
import { isDeepStrictEqual } from 'node:util';
import { decode, encode } from '../protocol/codec.js';
import type { CopyCheckpoint } from '../protocol/copyCheckpoint.js';
import {
  debtKey,
  heldInPart,
  NO_DEBTS,
  withDebt,
  partHeldOf,
  withoutPaid,
  type Debt,
  type Debts,
} from '../protocol/debts.js';
import { exceptedTables, type OriginScope } from '../protocol/flow.js';
import type { OriginId, TableName } from '../protocol/ids.js';
import {
  isLeftOut,
  leftOutBy,
  leftOutByEither,
  NOTHING_LEFT_OUT,
  tableSet,
  type LeftOut,
  type PartHeld,
} from '../protocol/leftOut.js';
import { allOf, debtStoreKey, PREFIX } from './keys.js';
import type { Level } from './level.js';
import type { Store } from './store.js';

export const loadDebts = async (
  level: Pick<Level, 'iterator'>,
  options: { snapshot?: unknown } = {},
): Promise<Debts> => {
  const range = { ...allOf(PREFIX.debt), ...options } as ReturnType<typeof allOf>;
  const debts = new Map<string, Debt>();
  for await (const [, value] of level.iterator(range)) {
    const { owed, ...subject } = decode(value) as StoredDebt;
    const debt = { ...subject, owed: new Map(owed) } as Debt;
    debts.set(debtKey(debt), debt);
  }
  return debts.size > 0 ? debts : NO_DEBTS;
};

interface StoredDebt {
  kind: Debt['kind'];
  table?: TableName;
  known?: TableName[];
  owed: [OriginId, number][];
}

export class DebtBook {
  #debts: Debts;
  /** As they stand on the disk, or in a batch on its way there. */
  #written: Debts;
  /** What is held in part of all origins, and of each. */
  #anyInPart: LeftOut;
  #inPart: PartHeld;

  constructor(debts: Debts) {
    this.#debts = debts;
    this.#written = debts;
    this.#anyInPart = heldInPart(debts);
    this.#inPart = partHeldOf(debts);
  }

  get debts(): Debts {
    return this.#debts;
  }

  /** What is held in part of each origin. The same object while that is so. */
  get inPart(): PartHeld {
    return this.#inPart;
  }

  /** Whether something of that table may be missing here though the vector covers it. */
  isInPart(table: TableName): boolean {
    return isLeftOut(this.#anyInPart, table);
  }

  get hasChanged(): boolean {
    return this.#debts !== this.#written;
  }

  change(change: (debts: Debts) => Debts): void {
    this.#debts = change(this.#debts);
    this.#anyInPart = heldInPart(this.#debts);
    const inPart = partHeldOf(this.#debts);
    if (!isDeepStrictEqual(inPart, this.#inPart)) this.#inPart = inPart;
  }

  /** Puts what has changed since the last call into a batch. */
  flush(put: (key: Buffer, value: Buffer | undefined) => void): void {
    for (const [key, debt] of this.#debts)
      if (this.#written.get(key) !== debt) put(debtStoreKey(key), stored(debt));
    for (const key of this.#written.keys())
      if (!this.#debts.has(key)) put(debtStoreKey(key), undefined);
    this.#written = this.#debts;
  }
}

/**
 * A copy is complete: what it paid is owed no more, what it left out of the positions that are adopted from it is owed.
 * To be called before they are adopted.
 */
export const settleDebts = (
  store: Pick<Store, 'debts' | 'accepted'>,
  copy: CopyCheckpoint,
  origins: OriginScope,
): void => {
  const { debts, accepted } = store;
  const reached = new Map([...(copy.adopt ?? [])].map(([origin, at]) => [origin, at.sequence]));
  const { inPart } = copy;
  const outside = copy.tables ? leftOutBy(copy.tables) : NOTHING_LEFT_OUT;
  const leftOut = leftOutByEither(copy.leftOut, outside);
  debts.change((all) => withoutPaid(all, { leftOut, inPart, reached, origins }));
  const cutOff = { tables: copy.cutOff, others: null };
  debts.change((all) => withDebt(all, { leftOut: cutOff, isCutOff: true, upTo: reached }));
  if (copy.tables) return;
  for (const [origin, sequence] of reached) {
    if (sequence <= (accepted.get(origin)?.sequence ?? 0)) continue;
    const excepted = { tables: tableSet(exceptedTables(origins, origin)), others: null };
    const held = leftOutByEither(leftOut, inPart.get(origin) ?? NOTHING_LEFT_OUT);
    const missing = leftOutByEither(held, excepted);
    const upTo = new Map([[origin, sequence]]);
    debts.change((all) => withDebt(all, { leftOut: missing, isCutOff: false, upTo }));
  }
};

const stored = (debt: Debt): Buffer => encode({ ...debt, owed: [...debt.owed] });
