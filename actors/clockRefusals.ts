/**
 * What this database does not take yet because its stamps are too far ahead of the wall clock: entries by origin, and
 * copies by peer. Noted by the entryReceiver and the copyReceiver, used by CatchingUp, which leaves it alone until its time
 * has come. Tells each peer once what of its own is not taken.
 */
import type { NodeName, OriginId, Version } from '../protocol/ids.js';
import { isRefusedStill, type Refusal } from '../protocol/refusals.js';
import type { ActorRef } from './kernel/types.js';
import type { ResyncMessage } from './messages.js';

export interface OfferingPeer {
  /** What it says it has. */
  readonly positions: ReadonlyMap<OriginId, { readonly sequence: number }>;
  readonly resync: ActorRef<ResyncMessage>;
  /** What it was told that is not taken. */
  readonly toldRefused: Map<OriginId, Version>;
}

export class ClockRefusals {
  readonly #maxClockSkewMs: number;
  readonly #now: () => number;
  /** One for each origin that is wanted of somebody. */
  readonly #entries = new Map<OriginId, Refusal>();
  /** Of each linked peer, what its copy was refused for. */
  readonly #copies = new Map<NodeName, readonly Refusal[]>();

  constructor(maxClockSkewMs: number, now: () => number) {
    this.#maxClockSkewMs = maxClockSkewMs;
    this.#now = now;
  }

  /** The first entry of an origin counts: nothing after it can be taken before. */
  note(refusal: Refusal): void {
    const known = this.#entries.get(refusal.origin);
    if (!known || known.sequence > refusal.sequence) this.#entries.set(refusal.origin, refusal);
  }

  noteCopy(peer: NodeName, refusals: readonly Refusal[]): void {
    this.#copies.set(peer, refusals);
  }

  /** That peer is to be asked for a copy again, or is gone. */
  forgetCopy(peer: NodeName): void {
    this.#copies.delete(peer);
  }

  /** Something is waited for. */
  get isWaiting(): boolean {
    return this.#entries.size > 0 || this.#copies.size > 0;
  }

  /** Forgets what may be taken now, and what none of these peers has any more. */
  release(peers: ReadonlyMap<NodeName, OfferingPeer>): void {
    const offered = [...peers.values()];
    for (const [origin, refusal] of this.#entries)
      if (!this.#isStill(refusal) || !offered.some((peer) => hasIt(peer, refusal)))
        this.#entries.delete(origin);
    for (const [peer, refusals] of this.#copies)
      if (!refusals.some((refusal) => this.#isStill(refusal))) this.#copies.delete(peer);
  }

  tell(peers: ReadonlyMap<NodeName, OfferingPeer>): void {
    if (!this.isWaiting) return;
    for (const [name, peer] of peers)
      for (const refusal of this.#concerning(name)) {
        const isTold = peer.toldRefused.get(refusal.origin) === refusal.version;
        if (isTold || !hasIt(peer, refusal)) continue;
        peer.toldRefused.set(refusal.origin, refusal.version);
        peer.resync.send({ type: 'refusal.tell', refusal }, 'control');
      }
  }

  /** Origins that nobody is to be asked for. */
  origins(): IterableIterator<OriginId> {
    return this.#entries.keys();
  }

  /** Peers that are not to be asked for a copy. */
  copySources(): IterableIterator<NodeName> {
    return this.#copies.keys();
  }

  /** One for each origin. */
  all(): Refusal[] {
    const all = new Map<OriginId, Refusal>();
    for (const refusals of this.#copies.values())
      for (const refusal of refusals) all.set(refusal.origin, refusal);
    for (const [origin, refusal] of this.#entries) all.set(origin, refusal);
    return [...all.values()];
  }

  #concerning(peer: NodeName): Refusal[] {
    const copied = this.#copies.get(peer) ?? [];
    return [
      ...this.#entries.values(),
      ...copied.filter(({ origin }) => !this.#entries.has(origin)),
    ];
  }

  #isStill(refusal: Refusal): boolean {
    const time = { nowMs: this.#now(), maxClockSkewMs: this.#maxClockSkewMs };
    return isRefusedStill(refusal, time);
  }
}

const hasIt = ({ positions }: OfferingPeer, { origin, sequence }: Refusal): boolean =>
  (positions.get(origin)?.sequence ?? -1) >= sequence;
