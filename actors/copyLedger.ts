/**
 * What a database has to remember of its copies: how far the one that goes on has got, and what finished and abandoned
 * ones promised and has not come yet. Stored in the batches of the rows it speaks of. Used by CatchingUp only, which
 * decides from whom to copy.
 */
import { encode } from '../protocol/codec.js';
import {
  begunAgain,
  byOrigin,
  mustBeginAgain,
  newCopy,
  withRows,
  withSnapshot,
  type CopiedPosition,
  type CopyCheckpoint,
} from '../protocol/copyCheckpoint.js';
import { ALL_ORIGINS, isRefused, type OriginScope, type TableScope } from '../protocol/flow.js';
import type { CopyPlaceOnWire, Mark } from '../protocol/frames.js';
import {
  partHeldFrom,
  partHeldOnWire,
  type LeftOut,
  type PartHeld,
  type PartHeldOnWire,
} from '../protocol/leftOut.js';
import type { NodeName, OriginId, TableName } from '../protocol/ids.js';
import {
  nextOrphan,
  promised,
  watchLost,
  withoutOrphan,
  withoutReached,
  type LeadingPeer,
  type LostSince,
  type Orphan,
  type OwedCopy,
  type Waits,
} from '../protocol/owed.js';
import type { Commit } from '../storage/commit.js';
import { settleDebts } from '../storage/debts.js';
import { metaKey } from '../storage/keys.js';
import { readNote } from '../storage/notes.js';
import type { Store } from '../storage/store.js';

const COPY_KEY = metaKey('copy');

/** What a source says of itself before its rows. */
export interface BegunSnapshot {
  readonly positions: readonly CopiedPosition[];
  readonly owed: readonly CopiedPosition[];
  readonly estimatedRows: number;
  readonly marks: readonly Mark[];
  /** What of the whole database it does not bring; absent: it brings all. */
  readonly leftOut?: LeftOut;
  /** What its source holds in part; absent: nothing. */
  readonly inPart?: PartHeld;
  /** Tables of which it leaves out what is older than this link's start time; absent: none. */
  readonly cutOff?: readonly TableName[];
}

export class CopyLedger {
  readonly #store: Store;
  readonly #noteDue: () => void;
  #copy: CopyCheckpoint | null;
  /** Positions were taken over by a batch that is not yet durable. */
  #isAdopting = false;
  #owed: readonly OwedCopy[];
  /** Copies whose promises are settled, and of which it is still noted what they dropped. */
  #settled: readonly number[];
  #lastCopy: number;
  /** A copy from this peer was asked for and has not been made yet. */
  #wantedFrom: NodeName | null;
  #lostSince: LostSince = new Map();

  private constructor(store: Store, noteDue: () => void, stored: StoredState | undefined) {
    this.#store = store;
    this.#noteDue = noteDue;
    this.#copy = stored?.copy ? restored(stored.copy) : null;
    this.#owed = (stored?.owed ?? []).map(({ number, reach }) => ({
      number,
      reach: byOrigin(reach),
    }));
    this.#settled = stored?.settled ?? [];
    this.#lastCopy = stored?.lastCopy ?? 0;
    this.#wantedFrom = stored?.wantedFrom ?? null;
    // A copy that pays debts is begun anew.
    if (this.#copy?.tables) this.abandon();
    this.forgetReached();
  }

  /** `noteDue` is called when `note` should go into the next batch. */
  static async load(store: Store, noteDue: () => void): Promise<CopyLedger> {
    const stored = (await readNote(store, COPY_KEY)) as StoredState | undefined;
    return new CopyLedger(store, noteDue, stored);
  }

  get copy(): CopyCheckpoint | null {
    return this.#copy;
  }

  get wantedFrom(): NodeName | null {
    return this.#wantedFrom;
  }

  /** A copy of everything is to be made from that peer, also after a restart. */
  want(peer: NodeName): void {
    this.#wantedFrom = peer;
    this.#noteDue();
  }

  get owesNothing(): boolean {
    return this.#owed.length === 0;
  }

  /**
   * False in the middle of a copy of the whole database, until what it adopts is durable. One that pays debts fills
   * tables that are held in part, and known to be.
   */
  get isWhole(): boolean {
    return (this.#copy === null || this.#copy.tables !== null) && !this.#isAdopting;
  }

  /** No copy of any kind is going on. */
  get isIdle(): boolean {
    return this.#copy === null && !this.#isAdopting;
  }

  /** What whoever copies from here has to reach beside this node's vector. */
  get owed(): readonly CopiedPosition[] {
    const paying = this.#copy?.tables ? [this.#copy] : [];
    return [...promised([...this.#owed, ...paying]).values()];
  }

  /** Goes on with the copy there is, or begins one: of these tables, to pay debts; null: of all. */
  goOn(tables: TableScope | null = null): CopyCheckpoint {
    this.#copy ??= newCopy(++this.#lastCopy, tables);
    return this.#copy;
  }

  /** False: the copy has to begin again from the first row, and this snapshot's rows are of no use to it. */
  snapshot(snapshot: BegunSnapshot): boolean {
    if (!this.#copy) return false;
    const goesOn = !mustBeginAgain(this.#copy, snapshot.marks);
    this.#copy = goesOn ? withSnapshot(this.#copy, snapshot) : begunAgain(this.#copy);
    if (!goesOn) this.#noteDue();
    return goesOn;
  }

  merged(rows: { count: number; after: CopyPlaceOnWire | null }, commit: Commit): void {
    if (!this.#copy) return;
    this.#copy = withRows(this.#copy, rows);
    this.note(commit);
  }

  /**
   * All rows, the last of them from that peer, are merged: takes over the positions they vouch for, pays what debts
   * they pay, and owes what they did not bring.
   */
  finish(peer: NodeName, commit: Commit, origins: OriginScope = ALL_ORIGINS): void {
    if (!this.#copy) return;
    const copy = takenOf(this.#copy, origins);
    settleDebts(this.#store, copy, origins);
    if (copy.tables === null) {
      if (this.#wantedFrom === peer) this.#wantedFrom = null;
      commit.adopt(
        [...(copy.adopt ?? [])].map(([origin, position]) => [
          origin,
          { ...position, logStart: position.sequence },
        ]),
      );
      this.#isAdopting = true;
    }
    this.#end(copy);
    this.note(commit);
  }

  /** The batch of `finish` is durable. */
  adopted(): void {
    this.#isAdopting = false;
  }

  /** What it took stays, and is owed. */
  abandon(): void {
    if (this.#copy) this.#end(this.#copy);
    this.forgetReached();
    this.#noteDue();
  }

  /** Puts what a restart has to know into a batch; nothing when there is nothing. */
  note(commit: Commit): void {
    const state: StoredState = {
      copy: this.#copy && stored(this.#copy),
      owed: this.#owed.map(({ number, reach }) => ({ number, reach: [...reach.values()] })),
      settled: [...this.#settled],
      lastCopy: this.#lastCopy,
      wantedFrom: this.#wantedFrom,
    };
    const isEmpty =
      state.copy === null &&
      state.owed.length === 0 &&
      state.settled.length === 0 &&
      state.wantedFrom === null;
    commit.putNote(COPY_KEY, isEmpty ? undefined : encode(state));
  }

  /** What was promised of these is not waited for: they are not taken any more. */
  release(origins: OriginScope): void {
    const left = this.#owed.flatMap(({ number, reach }) => {
      const kept = new Map([...reach].filter(([origin]) => !isRefused(origins, origin)));
      return kept.size > 0 ? [{ number, reach: kept }] : [];
    });
    if (promiseCount(left) === promiseCount(this.#owed)) return;
    this.#owe(left);
    this.#noteDue();
  }

  /** The vector moved: what was promised may have been reached. */
  forgetReached(): void {
    const left = withoutReached(this.#owed, this.#store.durable);
    if (promiseCount(left) === promiseCount(this.#owed)) return;
    this.#owe(left);
    this.#noteDue();
  }

  /** What nobody leads to any more, once that has been so for long enough. */
  orphan(situation: {
    peers: ReadonlyMap<NodeName, LeadingPeer>;
    everybodyIsLinked: boolean;
    waits: Waits;
    nowMs: number;
  }): Orphan | null {
    if (!this.isIdle || this.owesNothing) return null;
    const { peers, ...rest } = situation;
    const owed = this.#owed;
    const place = { owed, vector: this.#store.durable, peers, nowMs: rest.nowMs };
    this.#lostSince = watchLost(this.#lostSince, place);
    return nextOrphan(this.#lostSince, { owed, ...rest });
  }

  /** The orphan was written again: nobody waits for it any more. */
  wroteAgain(orphan: { copy: number; origin: OriginId }, commit: Commit): void {
    this.#owe(withoutOrphan(this.#owed, orphan));
    this.note(commit);
  }

  /** A copy whose promises are settled, and of which it is still noted what it dropped. */
  get settled(): number | null {
    return this.#settled[0] ?? null;
  }

  /** What the first settled copy dropped is forgotten in this batch. */
  forgotSettled(commit: Commit): void {
    this.#settled = this.#settled.slice(1);
    this.note(commit);
  }

  #end({ number, reach }: CopyCheckpoint): void {
    this.#copy = null;
    if (reach.size > 0) this.#owed = [...this.#owed, { number, reach }];
    else this.#settled = [...this.#settled, number];
  }

  #owe(owed: readonly OwedCopy[]): void {
    const numbers = new Set(owed.map(({ number }) => number));
    const done = this.#owed.filter(({ number }) => !numbers.has(number));
    this.#settled = [...this.#settled, ...done.map(({ number }) => number)];
    this.#owed = owed;
  }
}

const promiseCount = (owed: readonly OwedCopy[]): number =>
  owed.reduce((sum, { reach }) => sum + reach.size, 0);

/** Rules may have changed since its snapshots were begun. */
const takenOf = (copy: CopyCheckpoint, origins: OriginScope): CopyCheckpoint => {
  if (origins.refused.length === 0) return copy;
  const taken = (positions: CopyCheckpoint['reach']) =>
    new Map([...positions].filter(([origin]) => !isRefused(origins, origin)));
  return { ...copy, adopt: copy.adopt && taken(copy.adopt), reach: taken(copy.reach) };
};

interface StoredState {
  copy: StoredCheckpoint | null;
  owed: { number: number; reach: CopiedPosition[] }[];
  settled: number[];
  lastCopy: number;
  wantedFrom: NodeName | null;
}

interface StoredCheckpoint {
  number: number;
  after: CopyCheckpoint['after'];
  adopt: CopiedPosition[] | null;
  reach: CopiedPosition[];
  rowsDone: number;
  rowsEstimated: number;
  tables: TableScope | null;
  leftOut: LeftOut;
  inPart: PartHeldOnWire;
  cutOff: readonly TableName[];
}

const stored = (copy: CopyCheckpoint): StoredCheckpoint => ({
  ...copy,
  adopt: copy.adopt && [...copy.adopt.values()],
  reach: [...copy.reach.values()],
  inPart: partHeldOnWire(copy.inPart),
});

/** One of an earlier version says nothing of tables: it is of all. */
const restored = (
  checkpoint: Omit<StoredCheckpoint, 'tables'> & Partial<StoredCheckpoint>,
): CopyCheckpoint => ({
  ...newCopy(checkpoint.number),
  ...checkpoint,
  adopt: checkpoint.adopt && byOrigin(checkpoint.adopt),
  reach: byOrigin(checkpoint.reach),
  inPart: partHeldFrom(checkpoint.inPart),
});
