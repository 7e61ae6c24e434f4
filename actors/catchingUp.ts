/**
 * Whom a database catches up from: keeps what peers have said, asks protocol/sources.ts what to want from
 * whom, tells the resync actors, and carries an initial copy to its end. Used by the shardRouter only.
 */
import { encode } from '../protocol/codec.js';
import {
  newCopy,
  withRows,
  withSnapshot,
  type CopiedPosition,
  type CopyCheckpoint,
} from '../protocol/copyCheckpoint.js';
import type { SentRow } from '../protocol/dataFrames.js';
import type { OriginPosition } from '../protocol/frames.js';
import { isOriginId, nodeOf, type NodeName, type OriginId } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { ApplyProblem } from '../protocol/resync.js';
import { planSources, type PeerView, type SourcesPlan } from '../protocol/sources.js';
import { DEFINITIONS_TABLE } from '../storage/catalog.js';
import { readNote, type Commit } from '../storage/commit.js';
import { metaKey } from '../storage/keys.js';
import { isLocalOrigin, type Store } from '../storage/store.js';
import type { ActorRef } from './kernel/types.js';
import type { CopyProgress, PeerStanding, ResyncMessage } from './messages.js';
import { PeerStandings } from './peerStandings.js';

interface LinkedPeer {
  resync: ActorRef<ResyncMessage>;
  positions: Map<OriginId, OriginPosition>;
  tooOld: Set<OriginId>;
  refused: Map<OriginId, ApplyProblem>;
  origin: OriginId;
  whole: boolean;
  rttMs: number | null;
}

const COPY_KEY = metaKey('copy');

export class CatchingUp {
  readonly #store: Store;
  readonly #own: NodeName;
  #peers = new Map<NodeName, LinkedPeer>();
  #from: ReadonlyMap<OriginId, NodeName> = new Map();
  #copy: CopyCheckpoint | null;
  #copyFrom: NodeName | null = null;
  #copyNeeded = false;
  #noCopyFrom = new Set<NodeName>();
  /** What finished and abandoned copies promised and the vector has not reached. */
  #reach: Map<OriginId, CopiedPosition>;
  /** Positions were taken over by a batch that is not yet durable. */
  #isAdopting = false;
  #completed: CopyProgress | null = null;
  readonly #noteDue: () => void;
  readonly #standings: PeerStandings;

  private constructor(parts: {
    store: Store;
    own: NodeName;
    noteDue: () => void;
    now: () => number;
    stored: StoredState | undefined;
  }) {
    const { stored } = parts;
    this.#store = parts.store;
    this.#own = parts.own;
    this.#noteDue = parts.noteDue;
    this.#standings = new PeerStandings(parts.store, parts.now);
    this.#copy = stored?.copy ? restored(stored.copy) : null;
    this.#reach = byOrigin(stored?.reach ?? []);
    this.#forgetReached();
    if (stored && this.#copy === null && this.#reach.size === 0) this.#noteDue();
  }

  /** Goes on where a crash interrupted it. `noteDue` is called when `note` should go into the next batch. */
  static async load(
    store: Store,
    own: NodeName,
    noteDue: () => void,
    now: () => number,
  ): Promise<CatchingUp> {
    const stored = (await readNote(store, COPY_KEY)) as StoredState | undefined;
    return new CatchingUp({ store, own, noteDue, now, stored });
  }

  /** No copy is needed or unfinished, and everything a copy promised is here. */
  get isReady(): boolean {
    return !this.#copyNeeded && this.#copy === null && this.#reach.size === 0;
  }

  /** False in the middle of a copy, until what it adopts is durable: then nobody may copy from here. */
  get isWhole(): boolean {
    return this.#copy === null && !this.#isAdopting;
  }

  /** What whoever copies from here has to reach beside this node's vector. */
  get owed(): readonly CopiedPosition[] {
    return [...this.#reach.values()];
  }

  /** Of the copy that is going on, or of the last one that was completed in this life: then exactly all of it. */
  get progress(): CopyProgress | null {
    if (!this.#copy) return this.#completed;
    const { rowsDone, rowsEstimated } = this.#copy;
    return { from: this.#copyFrom, rowsDone, rowsEstimated };
  }

  linked(
    peer: NodeName,
    link: {
      resync: ActorRef<ResyncMessage>;
      origin: OriginId;
      positions: readonly OriginPosition[];
      whole: boolean;
    },
  ): void {
    if (this.#copyFrom === peer) this.#copyFrom = null;
    this.#noCopyFrom.delete(peer);
    this.#peers.set(peer, {
      resync: link.resync,
      origin: link.origin,
      positions: toldPositions(new Map(), link.positions),
      tooOld: new Set(),
      refused: new Map(),
      whole: link.whole,
      rttMs: null,
    });
    this.#standings.opened(peer, this.#peers.get(peer)?.positions.values() ?? []);
    this.plan();
  }

  noticed(peer: NodeName, positions: readonly OriginPosition[], whole: boolean): void {
    const view = this.#peers.get(peer);
    if (!view) return;
    toldPositions(view.positions, positions);
    this.#compare(
      peer,
      positions.map(({ origin }) => origin),
    );
    view.whole = whole;
    this.plan();
  }

  measured(peer: NodeName, rttMs: number): void {
    const view = this.#peers.get(peer);
    if (view) view.rttMs = rttMs;
  }

  tooOld(peer: NodeName, origin: OriginId): void {
    this.#peers.get(peer)?.tooOld.add(origin);
    this.plan();
  }

  /** Entries of these origins could not be applied. A gap is asked for again at once; the rest later. */
  lost(peer: NodeName, origins: readonly { origin: OriginId; problem: ApplyProblem }[]): boolean {
    const view = this.#peers.get(peer);
    let waits = false;
    for (const { origin, problem } of origins) {
      if (problem === 'gap') continue;
      view?.refused.set(origin, problem);
      waits = true;
    }
    this.plan();
    return waits;
  }

  /** The reasons for refusing may be gone: a table was defined, or time has passed. */
  retry(): void {
    for (const view of this.#peers.values()) view.refused.clear();
    this.#noCopyFrom.clear();
    this.plan();
  }

  /** Only the stream that is linked now can unlink its peer. */
  unlinked(peer: NodeName, resync: ActorRef<ResyncMessage>): void {
    if (this.#peers.get(peer)?.resync !== resync) return;
    this.#peers.delete(peer);
    this.#standings.closed(peer);
    if (this.#copyFrom === peer) this.#copyFrom = null;
    this.plan();
  }

  copyBegun(
    peer: NodeName,
    snapshot: {
      positions: readonly CopiedPosition[];
      owed: readonly CopiedPosition[];
      estimatedRows: number;
    },
  ): void {
    if (peer !== this.#copyFrom || !this.#copy) return;
    this.#copy = withSnapshot(this.#copy, snapshot);
  }

  /** Takes rows of the copy into the batch, with the place they reach. False: not the source, or not defined here. */
  takeRows(peer: NodeName, rows: readonly SentRow[], commit: Commit): boolean {
    const last = rows.at(-1);
    if (peer !== this.#copyFrom || !this.#copy || !last) return false;
    if (!commit.applyCopied(rows)) return false;
    const { table, generation, key } = last;
    // Definitions open every copy, one that goes on too: they do not move its place back to the beginning.
    const reached = table === DEFINITIONS_TABLE ? this.#copy.after : null;
    this.#copy = withRows(this.#copy, {
      count: rows.length,
      after: reached ?? { table, generation, key: Buffer.from(key) },
    });
    this.note(commit);
    return true;
  }

  /** All rows are accepted: takes over the positions they vouch for. */
  finishCopy(peer: NodeName, commit: Commit): boolean {
    if (peer !== this.#copyFrom || !this.#copy) return false;
    const { adopt, rowsDone } = this.#copy;
    this.#completed = { from: peer, rowsDone, rowsEstimated: rowsDone };
    commit.adopt(
      [...(adopt ?? [])].map(([origin, position]) => [
        origin,
        { ...position, logStart: position.sequence },
      ]),
    );
    for (const view of this.#peers.values()) view.tooOld.clear();
    this.#endCopy(this.#copy);
    this.#isAdopting = true;
    this.#copyNeeded = false;
    this.note(commit);
    return true;
  }

  /** The batch of `finishCopy` is durable. */
  adopted(): void {
    this.#isAdopting = false;
  }

  /** Puts what a restart has to know into a batch; nothing when there is nothing. */
  note(commit: Commit): void {
    const state: StoredState = {
      copy: this.#copy && stored(this.#copy),
      reach: [...this.#reach.values()],
    };
    const isEmpty = state.copy === null && state.reach.length === 0;
    commit.putNote(COPY_KEY, isEmpty ? undefined : encode(state));
  }

  copyFailed(peer: NodeName): void {
    this.#noCopyFrom.add(peer);
    if (this.#copyFrom === peer) this.#copyFrom = null;
    this.plan();
  }

  /** These origins moved: what was promised may have been reached, and a source may have given all it has. */
  advanced(moved: Iterable<OriginId>): void {
    for (const peer of this.#peers.keys()) this.#compare(peer, moved);
    this.#standings.advanced(moved);
    this.#standings.copied(this.#copy, this.isWhole && this.#completed !== null);
    for (const origin of moved)
      if (this.#isExhausted(origin)) {
        this.plan();
        break;
      }
    if (this.#reach.size === 0) return;
    this.#forgetReached();
    if (this.#reach.size === 0) this.#noteDue();
  }

  /** Decides anew what is wanted from whom, and says so where it changed. */
  plan(): void {
    if (this.#mustServe()) this.#abandonCopy();
    const plan = this.#planned();
    this.#from = plan.from;
    this.#copyNeeded = plan.copyNeeded;
    for (const [peer, view] of this.#peers) {
      const wants = plan.wants.get(peer) ?? [];
      const sent = view.resync.send({ type: 'wants.changed', wants }, 'control');
      // Its end was told before its beginning: control overtakes data.
      if (sent === 'dead') return this.unlinked(peer, view.resync);
    }
    if (plan.copyNeeded && this.#copyFrom === null && plan.copyFrom !== null)
      this.#startCopy(plan.copyFrom);
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

  #compare(peer: NodeName, origins: Iterable<OriginId>): void {
    const told = this.#peers.get(peer)?.positions;
    this.#standings.compared(
      peer,
      [...origins].flatMap((origin) => told?.get(origin) ?? []),
    );
  }

  /** Everybody who can be reached is in the middle of a copy: the smallest name gives up its own. */
  #mustServe(): boolean {
    if (!this.#copy || this.#copyFrom !== null || this.#peers.size === 0) return false;
    return [...this.#peers].every(([name, view]) => !view.whole && this.#own < name);
  }

  /** What it took stays, and is owed. */
  #abandonCopy(): void {
    if (this.#copy) this.#endCopy(this.#copy);
    this.#noteDue();
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

  #forgetReached(): void {
    for (const [origin, { sequence }] of this.#reach)
      if ((this.#store.durable.get(origin)?.sequence ?? 0) >= sequence) this.#reach.delete(origin);
  }

  #endCopy({ reach }: CopyCheckpoint): void {
    for (const [origin, position] of reach)
      if ((this.#reach.get(origin)?.sequence ?? 0) < position.sequence)
        this.#reach.set(origin, position);
    this.#copy = null;
    this.#copyFrom = null;
  }

  #startCopy(peer: NodeName): void {
    this.#copy ??= newCopy;
    this.#copyFrom = peer;
    const view = this.#peers.get(peer);
    view?.resync.send({ type: 'copy.wanted', after: this.#copy.after }, 'control');
  }

  #planned(): SourcesPlan {
    const vector = new Map(this.#store.accepted);
    for (const origin of vector.keys()) if (isLocalOrigin(origin)) vector.delete(origin);
    return planSources({
      own: this.#own,
      ownOrigin: this.#store.origin,
      vector,
      peers: new Map([...this.#peers].map(([name, view]) => [name, peerView(view)])),
      current: this.#from,
      copyUnfinished: this.#copy !== null,
      noCopyFrom: this.#noCopyFrom,
      replayEntriesMax: limits.replayEntriesMax,
    });
  }
}

/** What is no origin, or more than anybody needs, is left out. */
const toldPositions = (
  told: Map<OriginId, OriginPosition>,
  positions: readonly OriginPosition[],
): Map<OriginId, OriginPosition> => {
  for (const position of positions)
    if (
      isOriginId(position.origin) &&
      (told.has(position.origin) || told.size < limits.originsPerPeerMax)
    )
      told.set(position.origin, position);
  return told;
};

const peerView = (view: LinkedPeer): PeerView => ({
  origin: view.origin,
  positions: view.positions,
  tooOld: view.tooOld,
  refused: new Set(view.refused.keys()),
  whole: view.whole,
  rttMs: view.rttMs,
});

interface StoredState {
  copy: StoredCheckpoint | null;
  reach: CopiedPosition[];
}

interface StoredCheckpoint {
  after: CopyCheckpoint['after'];
  adopt: CopiedPosition[] | null;
  reach: CopiedPosition[];
  rowsDone: number;
  rowsEstimated: number;
}

const stored = (copy: CopyCheckpoint): StoredCheckpoint => ({
  ...copy,
  adopt: copy.adopt && [...copy.adopt.values()],
  reach: [...copy.reach.values()],
});

const restored = (checkpoint: StoredCheckpoint): CopyCheckpoint => ({
  ...checkpoint,
  adopt: checkpoint.adopt && byOrigin(checkpoint.adopt),
  reach: byOrigin(checkpoint.reach),
});

const byOrigin = (positions: readonly CopiedPosition[]): Map<OriginId, CopiedPosition> =>
  new Map(positions.map((position) => [position.origin, position]));
