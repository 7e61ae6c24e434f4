/**
 * Watches whether peers know another past of this node than its own directory tells, or none of them takes what it wrote
 * while its clock was ahead, and begins a new incarnation then. Used by the shardRouter only. What is written again is
 * decided in storage/ownPast.ts and storage/returnedClock.ts.
 */
import type { OriginPosition, Want } from '../protocol/frames.js';
import type { NodeName, OriginId } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { Refusal, ToldRefusal } from '../protocol/refusals.js';
import type { Commit } from '../storage/commit.js';
import { beginAfterFork, forkShownBy, forkShownByWant, type Fork } from '../storage/ownPast.js';
import { originsAhead, writeAheadAgain, type AheadOrigin } from '../storage/returnedClock.js';
import type { Store } from '../storage/store.js';
import type { GroupCommit } from './groupCommit.js';

type Positions = ReadonlyMap<OriginId, { readonly sequence: number }>;
type LinkedPeers = ReadonlyMap<NodeName, { readonly positions: Positions }>;

export class OwnHistory {
  readonly #store: Store;
  readonly #group: GroupCommit;
  /** Peers that have said how much of this node's log they have. */
  readonly #heard = new Set<NodeName>();
  /** What peers wanted before they had said that. */
  readonly #wanted = new Map<NodeName, Want>();
  /** What peers have said they do not take; of peers that were linked first, the oldest are forgotten first. */
  readonly #refusedBy = new Map<NodeName, Map<OriginId, Refusal>>();
  /** What happened last; null: nothing. */
  account: string | null = null;

  constructor(store: Store, group: GroupCommit) {
    this.#store = store;
    this.#group = group;
  }

  /** A peer says what it has. A fork: not what is here. */
  told(peer: NodeName, positions: readonly OriginPosition[]): Fork | null {
    this.#heard.add(peer);
    const want = this.#wanted.get(peer);
    this.#wanted.delete(peer);
    this.#taken(peer, positions);
    for (const position of positions) {
      const fork = forkShownBy(this.#store, position);
      if (fork) return fork;
    }
    return want ? forkShownByWant(this.#store, want) : null;
  }

  /** A peer says what it wants next. Positions tell more of where the pasts parted, so they are waited for. */
  wanted(peer: NodeName, want: Want): Fork | null {
    if (this.#heard.has(peer)) return forkShownByWant(this.#store, want);
    this.#wanted.set(peer, want);
    return null;
  }

  unlinked(peer: NodeName): void {
    this.#heard.delete(peer);
    this.#wanted.delete(peer);
  }

  /** A peer does not take an entry, or a copy with it. */
  refused(peer: NodeName, refusal: Refusal): void {
    if (!this.#store.accepted.has(refusal.origin)) return;
    const refusals = this.#refusedBy.get(peer) ?? new Map<OriginId, Refusal>();
    refusals.set(refusal.origin, refusal);
    this.#refusedBy.delete(peer);
    this.#refusedBy.set(peer, refusals);
    const [oldest] = this.#refusedBy.keys();
    if (this.#refusedBy.size > limits.membersMax && oldest) this.#refusedBy.delete(oldest);
  }

  /** What these peers do not take of what is here. */
  refusals(linked: Iterable<NodeName>): ToldRefusal[] {
    return [...linked].flatMap((peer) =>
      [...(this.#refusedBy.get(peer)?.values() ?? [])]
        .filter(
          ({ origin, sequence: at }) => (this.#store.accepted.get(origin)?.sequence ?? 0) >= at,
        )
        .map((refusal) => ({ peer, ...refusal })),
    );
  }

  /**
   * What to take away, because the clock has come back and no linked peer takes it; empty: it has not come to that. A
   * peer that has some of it would go on showing it: then it is left to its time.
   */
  #takenByNobody(linked: LinkedPeers, latestMs: number): readonly AheadOrigin[] {
    const { origin: own, accepted } = this.#store;
    const refuses = (peer: NodeName): boolean => this.#refusedBy.get(peer)?.has(own) === true;
    if (linked.size === 0 || ![...linked.keys()].every(refuses)) return [];
    const ahead = originsAhead(this.#store, latestMs);
    if (!accepted.has(own) || !ahead.some(({ origin }) => origin === own)) return [];
    if (ahead.some(({ isForgotten }) => isForgotten)) return [];
    const hasSome = ({ positions }: { positions: Positions }): boolean =>
      ahead.some(({ origin, kept }) => (positions.get(origin)?.sequence ?? 0) > kept.sequence);
    return [...linked.values()].some(hasSome) ? [] : ahead;
  }

  /**
   * Takes away in the open batch what no linked peer takes and this clock would not either, and writes its rows again.
   * Returns the batches that had to be written before; null: it has not come to that.
   */
  async returnToPresent(
    linked: LinkedPeers,
    { nowMs, latestMs }: { nowMs: number; latestMs: number },
  ): Promise<Commit[] | null> {
    if (this.#takenByNobody(linked, latestMs).length === 0) return null;
    const written = await this.#group.drain();
    const before = this.#store.origin;
    const ahead = originsAhead(this.#store, latestMs);
    const count = await writeAheadAgain(this.#store, this.#group.forming, { ahead, nowMs });
    this.#refusedBy.clear();
    this.account =
      `the clock was ahead, and no peer takes what was written as ${before} then: ` +
      `${count} rows were written again as ${this.#store.origin}`;
    return written;
  }

  /** Puts the beginning into the open batch. Returns the batches that had to be written before. */
  async beginAgain(fork: Fork, nowMs: number): Promise<Commit[]> {
    const written = await this.#group.drain();
    const before = this.#store.origin;
    const count = await beginAfterFork(this.#store, this.#group.forming, { fork, nowMs });
    this.account =
      `others know another past of ${before}: the directory was restored or copied; ` +
      `${count} entries were written again as ${this.#store.origin}`;
    return written;
  }

  #taken(peer: NodeName, positions: readonly OriginPosition[]): void {
    const refusals = this.#refusedBy.get(peer);
    for (const { origin, version } of positions)
      if (version >= (refusals?.get(origin)?.version ?? Infinity)) refusals?.delete(origin);
  }
}
