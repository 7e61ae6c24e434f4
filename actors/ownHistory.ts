/**
 * Watches whether peers know another past of this node than its own directory tells, and begins a new incarnation when
 * one does. Used by the shardRouter only. What is written again then is decided in storage/ownPast.ts.
 */
import type { OriginPosition, Want } from '../protocol/frames.js';
import type { NodeName } from '../protocol/ids.js';
import type { Commit } from '../storage/commit.js';
import { beginAfterFork, forkShownBy, forkShownByWant, type Fork } from '../storage/ownPast.js';
import type { Store } from '../storage/store.js';
import type { GroupCommit } from './groupCommit.js';

export class OwnHistory {
  readonly #store: Store;
  readonly #group: GroupCommit;
  /** Peers that have said how much of this node's log they have. */
  readonly #heard = new Set<NodeName>();
  /** What peers wanted before they had said that. */
  readonly #wanted = new Map<NodeName, Want>();
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
}
