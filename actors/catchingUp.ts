/**
 * Whom a database catches up from: keeps what peers have said, asks protocol/sources.ts what to want from
 * whom, tells the resync actors, and carries an initial copy to its end. Used by the shardRouter only.
 */
import { ALL_ORIGINS, type OriginScope, type TableScope } from '../protocol/flow.js';
import type { OriginPosition } from '../protocol/frames.js';
import { nodeOf, sequence, version, type NodeName, type OriginId } from '../protocol/ids.js';
import { ALL_HELD, type PartHeld } from '../protocol/leftOut.js';
import { limits } from '../protocol/limits.js';
import type { Orphan, Waits } from '../protocol/owed.js';
import type { Refusal } from '../protocol/refusals.js';
import type { ApplyProblem } from '../protocol/resync.js';
import { planSources, type SourcesPlan } from '../protocol/sources.js';
import type { Commit } from '../storage/commit.js';
import { coversAll } from '../storage/copiedRows.js';
import { isLocalOrigin } from '../storage/origins.js';
import type { Store } from '../storage/store.js';
import { ClockRefusals } from './clockRefusals.js';
import { CopyLedger, type BegunSnapshot } from './copyLedger.js';
import { DebtPayments } from './debtPayments.js';
import type { ActorRef } from './kernel/types.js';
import {
  linkedPeer,
  peerView,
  takenOf,
  takenSnapshot,
  toldPositions,
  type LinkedPeer,
  type PeerLinked,
} from './linkedPeer.js';
import type { CopyProgress, PeerStanding, ResyncMessage } from './messages.js';
import { PeerStandings } from './peerStandings.js';

export class CatchingUp {
  readonly #store: Store;
  readonly #own: NodeName;
  #peers = new Map<NodeName, LinkedPeer>();
  #from: ReadonlyMap<OriginId, NodeName> = new Map();
  readonly #ledger: CopyLedger;
  #copyFrom: NodeName | null = null;
  #copyNeeded = false;
  #noCopyFrom = new Set<NodeName>();
  /** Origins whose next entry is late here, whoever sends it. */
  #late = new Set<OriginId>();
  #aloneSince: number | null = null;
  /** Peers that were linked in this life. */
  readonly #met = new Set<NodeName>();
  #completed: CopyProgress | null = null;
  readonly #standings: PeerStandings;
  /** What is too far ahead of the clock to be taken. */
  readonly refusals: ClockRefusals;
  readonly #payments: DebtPayments;
  #origins: OriginScope = ALL_ORIGINS;

  private constructor(parts: {
    store: Store;
    own: NodeName;
    now: () => number;
    ledger: CopyLedger;
    maxClockSkewMs: number;
  }) {
    this.#store = parts.store;
    this.#own = parts.own;
    this.#standings = new PeerStandings(parts.store, parts.now);
    this.#payments = new DebtPayments(parts.store, parts.now);
    this.#ledger = parts.ledger;
    this.refusals = new ClockRefusals(parts.maxClockSkewMs, parts.now);
  }

  /** Goes on where a crash interrupted it. `noteDue` is called when `note` should go into the next batch. */
  static async load(
    store: Store,
    own: NodeName,
    noteDue: () => void,
    now: () => number,
    maxClockSkewMs: number = limits.maxClockSkewMsDefault,
  ): Promise<CatchingUp> {
    const ledger = await CopyLedger.load(store, noteDue);
    return new CatchingUp({ store, own, now, ledger, maxClockSkewMs });
  }

  /** Whose writes are taken. */
  get origins(): OriginScope {
    return this.#origins;
  }

  /** Whose writes are taken from now on, and may be waited for. */
  takeFrom(origins: OriginScope): void {
    this.#origins = origins;
    this.#ledger.release(origins);
    for (const [peer, view] of this.#peers) {
      this.#payments.forget(peer);
      this.#standings.opened(peer, takenOf(this.#origins, view.positions.values()));
    }
    this.plan();
  }

  /** What is remembered of copies. */
  get ledger(): CopyLedger {
    return this.#ledger;
  }

  /** No copy is needed or unfinished, and everything a copy promised is here. */
  get isReady(): boolean {
    return !this.#copyNeeded && this.#ledger.copy === null && this.#ledger.owesNothing;
  }

  /** False in the middle of a copy, until what it adopts is durable: then nobody may copy from here. */
  get isWhole(): boolean {
    return this.#ledger.isWhole;
  }

  /** Of the copy that is going on, or of the last one that was completed in this life: then exactly all of it. */
  get progress(): CopyProgress | null {
    const { copy } = this.#ledger;
    if (!copy) return this.#completed;
    return { from: this.#copyFrom, rowsDone: copy.rowsDone, rowsEstimated: copy.rowsEstimated };
  }

  linked(peer: NodeName, link: PeerLinked): void {
    this.#sourceLost(peer);
    this.#noCopyFrom.delete(peer);
    this.refusals.forgetCopy(peer);
    this.#payments.forget(peer);
    this.#met.add(peer);
    this.#peers.set(peer, linkedPeer(link));
    this.#standings.opened(
      peer,
      takenOf(this.#origins, this.#peers.get(peer)?.positions.values() ?? []),
    );
    this.refusals.release(this.#peers);
    this.refusals.tell(this.#peers);
    this.plan();
  }

  noticed(
    peer: NodeName,
    positions: readonly OriginPosition[],
    whole: boolean,
    inPart: PartHeld = ALL_HELD,
  ): void {
    const view = this.#peers.get(peer);
    if (!view) return;
    toldPositions(view.positions, positions);
    this.#compare(
      peer,
      positions.map(({ origin }) => origin),
    );
    this.refusals.tell(this.#peers);
    view.whole = whole;
    view.inPart = inPart;
    this.plan();
  }

  measured(peer: NodeName, rttMs: number): void {
    const view = this.#peers.get(peer);
    if (view) view.rttMs = rttMs;
  }

  tooOld(peer: NodeName, origin: OriginId): void {
    this.#peers.get(peer)?.tooOld.add(origin);
    this.#noteMore(peer, origin);
    this.plan();
  }

  /**
   * Entries of these origins could not be applied. A gap is asked for again at once; what is late is copied; what is
   * ahead waits for its time, whoever offers it; the rest is asked for later.
   */
  lost(peer: NodeName, origins: readonly { origin: OriginId; problem: ApplyProblem }[]): boolean {
    const view = this.#peers.get(peer);
    let waits = false;
    for (const { origin, problem } of origins) {
      // What is not wanted is not asked for again.
      if (problem === 'gap' || problem === 'unwanted') continue;
      if (problem === 'late') {
        this.#late.add(origin);
        this.#noteMore(peer, origin);
        continue;
      }
      if (problem !== 'ahead') view?.refused.set(origin, problem);
      waits = true;
    }
    this.plan();
    return waits;
  }

  /** An entry is not taken before its time: nobody is asked for it, and who has it is told. */
  ahead(from: ActorRef<ResyncMessage>, refusal: Refusal): void {
    this.refusals.note(refusal);
    for (const [peer, { resync }] of this.#peers)
      if (resync === from) this.#noteMore(peer, refusal.origin);
    this.refusals.tell(this.#peers);
    this.plan();
  }

  /** The reasons for refusing may be gone: a table was defined, or time has passed. True: for some it has not yet. */
  retry(): boolean {
    for (const view of this.#peers.values()) view.refused.clear();
    this.refusals.release(this.#peers);
    this.#noCopyFrom = new Set(this.refusals.copySources());
    this.plan();
    return this.refusals.isWaiting;
  }

  /** Only the stream that is linked now can unlink its peer. */
  unlinked(peer: NodeName, resync: ActorRef<ResyncMessage>): void {
    if (this.#peers.get(peer)?.resync !== resync) return;
    this.#peers.delete(peer);
    this.refusals.forgetCopy(peer);
    this.refusals.release(this.#peers);
    this.#standings.closed(peer);
    this.#sourceLost(peer);
    this.plan();
  }

  /** Everything is to be copied from that peer once. */
  wantCopyFrom(peer: NodeName): void {
    this.#ledger.want(peer);
    this.plan();
  }

  /** Rows are missing here, nobody knows which: everything is copied from a peer that has all that was here. */
  wantMissingRows(): void {
    const { copy, wantedFrom } = this.#ledger;
    if (copy || (wantedFrom !== null && this.#peers.has(wantedFrom))) return;
    const had = this.#store.hadWhenDamaged;
    for (const [peer, { whole, positions }] of this.#peers)
      if (whole && coversAll(positions.values(), had)) return this.wantCopyFrom(peer);
  }

  isCopyingFrom(peer: NodeName): boolean {
    return this.#ledger.copy !== null && this.#copyFrom === peer;
  }

  /**
   * `again`: its rows are of no use, and the copy was asked for from the first row. `refused`: not the source.
   * `worthless`: it was to pay debts, and does not.
   */
  copyBegun(peer: NodeName, told: BegunSnapshot): 'begun' | 'again' | 'refused' | 'worthless' {
    const { copy } = this.#ledger;
    if (!copy || !this.isCopyingFrom(peer)) return 'refused';
    const snapshot = takenSnapshot(told, this.#origins);
    if (copy.tables && !this.#payments.isWorth(snapshot, copy.tables, this.#origins))
      return 'worthless';
    if (this.#ledger.snapshot(snapshot)) return 'begun';
    this.#startCopy(peer);
    return 'again';
  }

  /** All rows are merged: takes over the positions they vouch for. */
  finishCopy(peer: NodeName, commit: Commit): boolean {
    const { copy } = this.#ledger;
    if (peer !== this.#copyFrom || !copy) return false;
    this.#completed = { from: peer, rowsDone: copy.rowsDone, rowsEstimated: copy.rowsDone };
    this.#ledger.finish(peer, commit, this.#origins);
    this.#copyFrom = null;
    if (copy.tables) return true;
    for (const view of this.#peers.values()) view.tooOld.clear();
    this.#late.clear();
    this.#copyNeeded = false;
    return true;
  }

  /** The batch of `finishCopy` is durable. */
  adopted(): void {
    this.#ledger.adopted();
  }

  copyFailed(peer: NodeName): void {
    if (!this.#ledger.copy?.tables) this.#noCopyFrom.add(peer);
    this.#sourceLost(peer);
    this.refusals.tell(this.#peers);
    this.plan();
  }

  /** These origins moved: what was promised may have been reached, and a source may have given all it has. */
  advanced(moved: Iterable<OriginId>): void {
    for (const peer of this.#peers.keys()) this.#compare(peer, moved);
    this.#standings.advanced(moved);
    this.#standings.copied(this.#ledger.copy, this.isWhole && this.#completed !== null);
    for (const origin of moved)
      if (this.#isExhausted(origin)) {
        this.plan();
        break;
      }
    this.#ledger.forgetReached();
  }

  /** What a copy promised and nobody leads to any more, once that has been so for long enough. */
  orphan(nowMs: number, waits: Waits): Orphan | null {
    const everybodyIsLinked = [...this.#met].every((peer) => this.#peers.has(peer));
    return this.#ledger.orphan({ peers: this.#peers, everybodyIsLinked, waits, nowMs });
  }

  /** Gives up its copy when nobody linked has anything to go on with, or at all, and that has been so for long enough. */
  giveUpAlone(nowMs: number, { shortMs }: Waits): void {
    const isAlone = this.#isStuckAmong(([name, { whole, positions }]) =>
      whole ? positions.size === 0 : this.#own < name,
    );
    this.#aloneSince = isAlone ? (this.#aloneSince ?? nowMs) : null;
    if (this.#aloneSince === null || nowMs - this.#aloneSince < shortMs) return;
    this.#ledger.abandon();
    this.plan();
  }

  /** Asks again for tables that are held in part, where that was in vain. */
  payDebts(): void {
    if (this.#store.debts.debts.size > 0) this.plan();
  }

  /** Decides anew what is wanted from whom, and says so where it changed. */
  plan(): void {
    if (this.#mustServe()) this.#ledger.abandon();
    const plan = this.#planned();
    this.#from = plan.from;
    this.#copyNeeded = plan.copyNeeded;
    for (const [peer, view] of this.#peers) {
      const wants = plan.wants.get(peer) ?? [];
      const sent = view.resync.send({ type: 'wants.changed', wants }, 'control');
      // Its end was told before its beginning: control overtakes data.
      if (sent === 'dead') return this.unlinked(peer, view.resync);
    }
    this.#planCopy(plan);
  }

  /** A copy of everything goes before one of some tables. */
  #planCopy(plan: SourcesPlan): void {
    if (plan.copyNeeded && plan.copyFrom !== null) {
      if (this.#ledger.copy?.tables && this.#copyFrom !== null) this.#sourceLost(this.#copyFrom);
      if (this.#copyFrom === null) this.#startCopy(plan.copyFrom);
      return;
    }
    if (!this.#ledger.isIdle || plan.copyNeeded) return;
    const payment = this.#payments.next(this.#peers, this.#origins);
    if (payment) this.#startCopy(payment.peer, payment.tables);
  }

  /** What a copy of some tables took stays; the next try begins anew. */
  #sourceLost(peer: NodeName): void {
    if (this.#copyFrom !== peer) return;
    this.#copyFrom = null;
    if (this.#ledger.copy?.tables) this.#ledger.abandon();
  }

  standings(): PeerStanding[] {
    return [...this.#peers].map(([peer, { whole }]) => {
      const sources = new Set<NodeName>();
      for (const [origin, from] of this.#from) if (from === peer) sources.add(nodeOf(origin));
      return this.#standings.of(peer, { sources: [...sources], whole });
    });
  }

  /** What is remembered of how this node and its peers compare, beside `standings`. */
  get memory(): Pick<PeerStandings, 'parted' | 'copyPace'> {
    return this.#standings;
  }

  /** Linked peers, and how far they say to have come with each origin. */
  told(): ReadonlyMap<NodeName, Pick<LinkedPeer, 'positions'>> {
    return this.#peers;
  }

  /** A peer that sent the next entry, or would if it could, has more than is here, though it may not have told yet. */
  #noteMore(peer: NodeName, origin: OriginId): void {
    const told = this.#peers.get(peer)?.positions;
    const held = this.#store.accepted.get(origin);
    const next = sequence((held?.sequence ?? 0) + 1);
    if (!told || (told.get(origin)?.sequence ?? 0) >= next) return;
    told.set(origin, { origin, sequence: next, version: held?.version ?? version(0) });
  }

  #compare(peer: NodeName, origins: Iterable<OriginId>): void {
    const told = this.#peers.get(peer)?.positions;
    this.#standings.compared(
      peer,
      takenOf(
        this.#origins,
        [...origins].flatMap((origin) => told?.get(origin) ?? []),
      ),
    );
  }

  /** Everybody who can be reached is in the middle of a copy: the smallest name gives up its own. */
  #mustServe(): boolean {
    return this.#isStuckAmong(([name, { whole }]) => !whole && this.#own < name);
  }

  #isStuckAmong(isNoHelp: (peer: [NodeName, LinkedPeer]) => boolean): boolean {
    if (!this.#ledger.copy || this.#copyFrom !== null || this.#peers.size === 0) return false;
    return [...this.#peers].every(isNoHelp);
  }

  /** Where it comes from has told of no more than is here, and somebody else has: nobody else would say so again. */
  #isExhausted(origin: OriginId): boolean {
    const source = this.#peers.get(this.#from.get(origin) ?? this.#own);
    if (!source || source.origin === origin) return false;
    const held = this.#store.accepted.get(origin)?.sequence ?? 0;
    const isMore = (view: LinkedPeer): boolean =>
      (view.positions.get(origin)?.sequence ?? 0) > held;
    return !isMore(source) && [...this.#peers.values()].some(isMore);
  }

  #startCopy(peer: NodeName, some: TableScope | null = null): void {
    const { after, tables } = this.#ledger.goOn(some);
    this.#copyFrom = peer;
    const message = { type: 'copy.wanted', after, ...(tables && { tables }) } as const;
    this.#peers.get(peer)?.resync.send(message, 'control');
  }

  #planned(): SourcesPlan {
    const vector = new Map(this.#store.accepted);
    for (const origin of vector.keys()) if (isLocalOrigin(origin)) vector.delete(origin);
    return planSources({
      own: this.#own,
      ownOrigin: this.#store.origin,
      vector,
      peers: new Map(
        [...this.#peers].map(([name, view]) => [
          name,
          peerView(view, {
            late: this.#late,
            ahead: this.refusals.origins(),
            origins: this.#origins,
          }),
        ]),
      ),
      current: this.#from,
      copyUnfinished: this.#ledger.copy !== null && this.#ledger.copy.tables === null,
      copyWantedFrom: this.#ledger.wantedFrom,
      noCopyFrom: this.#noCopyFrom,
      replayEntriesMax: limits.replayEntriesMax,
    });
  }
}
