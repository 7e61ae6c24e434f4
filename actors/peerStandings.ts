/**
 * How this database compares with each peer, as the receiving end: what the peers have said to have and is not here.
 * Fed by CatchingUp, read for cluster_status. A peer whose stream has closed is remembered, with what was missing then.
 */
import { stepCopyPace, type CopyPace } from '../protocol/copyPace.js';
import type { OriginPosition } from '../protocol/frames.js';
import { nodeOf, sequence, version, type NodeName, type OriginId } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import {
  entriesBehind,
  startStanding,
  stepStanding,
  type Compared,
  type StreamStanding,
} from '../protocol/standing.js';
import type { Store } from '../storage/store.js';
import type { PeerStanding } from './messages.js';

export class PeerStandings {
  readonly #store: Store;
  readonly #now: () => number;
  /** Those whose stream closed first are forgotten first. */
  readonly #standings = new Map<NodeName, StreamStanding>();
  #copyPace: CopyPace | null = null;

  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** A stream from that peer has begun: `positions` is all it has. */
  opened(peer: NodeName, positions: Iterable<OriginPosition>): void {
    this.#step(peer, { type: 'opened', places: this.#places(peer, positions) });
  }

  /** The peer has more of these than before, or this database has. */
  compared(peer: NodeName, positions: Iterable<OriginPosition>): void {
    const places = this.#places(peer, positions);
    if (places.length > 0) this.#step(peer, { type: 'compared', places });
  }

  closed(peer: NodeName): void {
    this.#step(peer, { type: 'closed' });
    const standing = this.#standings.get(peer);
    this.#standings.delete(peer);
    if (standing) this.#standings.set(peer, standing);
    for (const [name, { isOpen }] of this.#standings) {
      if (this.#standings.size <= limits.membersMax) return;
      if (!isOpen) this.#standings.delete(name);
    }
  }

  /** This database has more of these: what a peer that is gone had may have come from another. */
  advanced(origins: Iterable<OriginId>): void {
    const moved = [...origins];
    for (const [peer, { isOpen, missing }] of this.#standings) {
      if (isOpen || missing.size === 0) continue;
      const places = moved.flatMap((origin) => {
        const upTo = missing.get(origin)?.ages.at(-1)?.upTo;
        return upTo === undefined
          ? []
          : [{ origin, sequence: sequence(upTo), version: version(0) }];
      });
      if (places.length > 0) this.compared(peer, places);
    }
  }

  /** `copy`: null while none is going on; `isComplete`: the last one is. */
  copied(
    copy: { readonly rowsDone: number; readonly rowsEstimated: number } | null,
    isComplete: boolean,
  ): void {
    const observed = copy ?? (isComplete ? 'complete' : null);
    if (observed) this.#copyPace = stepCopyPace(this.#copyPace, observed, this.#now());
  }

  get copyPace(): CopyPace | null {
    return this.#copyPace;
  }

  /** `of`: what CatchingUp knows of the peer beside this. */
  of(peer: NodeName, of: Pick<PeerStanding, 'sources' | 'whole'>): PeerStanding {
    const nowMs = this.#now();
    const receiving = this.#standings.get(peer) ?? startStanding(nowMs);
    return { peer, ...of, entriesBehind: entriesBehind(receiving), receiving, nowMs };
  }

  /** Of the peers whose stream is closed. */
  parted(): PeerStanding[] {
    return [...this.#standings]
      .filter(([, { isOpen }]) => !isOpen)
      .map(([peer]) => this.of(peer, { sources: [], whole: true }));
  }

  #step(peer: NodeName, event: Parameters<typeof stepStanding>[1]): void {
    const nowMs = this.#now();
    const before = this.#standings.get(peer) ?? startStanding(nowMs);
    this.#standings.set(peer, stepStanding(before, event, nowMs));
  }

  /** Nobody else writes this node's own log, whatever peers say. */
  #places(peer: NodeName, positions: Iterable<OriginPosition>): Compared[] {
    return [...positions]
      .filter(({ origin }) => origin !== this.#store.origin)
      .map((told) => ({
        origin: told.origin,
        told,
        held: this.#store.durable.get(told.origin),
        isRelayed: nodeOf(told.origin) !== peer,
      }));
  }
}
