/**
 * Who reads the logs of a database: feeds of peers, and change iterators of embedding programs. Tells them what is
 * durable, and hands out snapshots for copies. Used by the shardRouter only; writes nothing.
 */
import type { CopyPlaceOnWire, OriginPosition } from '../protocol/frames.js';
import type { OriginId } from '../protocol/ids.js';
import type { PartHeld } from '../protocol/leftOut.js';
import type { Commit } from '../storage/commit.js';
import { logReader, type LogReader } from '../storage/log.js';
import { openCopy, type CopyScope, type CopySource } from '../storage/snapshot.js';
import { isLocalOrigin } from '../storage/origins.js';
import type { Store } from '../storage/store.js';
import type { CatchingUp } from './catchingUp.js';
import type { ActorRef } from './kernel/types.js';
import type { FeedMessage, OpenedCopy, RouterMessage } from './messages.js';

type Message<Type extends RouterMessage['type']> = Extract<RouterMessage, { type: Type }>;

export class LogReaders {
  readonly #store: Store;
  readonly #catchingUp: CatchingUp;
  readonly #hold: (source: CopySource) => CopySource;
  readonly #log: LogReader;
  readonly #feeds = new Set<ActorRef<FeedMessage>>();
  readonly #listeners = new Set<() => void>();
  #wasWhole: boolean;
  #wasInPart: PartHeld;
  #isStopped = false;

  /** `hold` keeps the log after a snapshot while that is read. */
  constructor(parts: {
    store: Store;
    catchingUp: CatchingUp;
    hold: (source: CopySource) => CopySource;
  }) {
    this.#store = parts.store;
    this.#catchingUp = parts.catchingUp;
    this.#hold = parts.hold;
    this.#log = logReader(parts.store);
    this.#wasWhole = parts.catchingUp.isWhole;
    this.#wasInPart = parts.store.debts.inPart;
  }

  get feedCount(): number {
    return this.#feeds.size;
  }

  openFeed({ feed, replyTo }: Message<'feed.open'>): void {
    this.#feeds.add(feed);
    replyTo.ok({
      log: this.#log,
      origin: this.#store.origin,
      positions: this.sharedPositions(),
      whole: this.#catchingUp.isWhole,
      inPart: this.#store.debts.inPart,
      openCopy: (after, scope) => this.#openCopy(after, scope),
    });
  }

  closeFeed({ feed }: Message<'feed.closed'>): void {
    this.#feeds.delete(feed);
  }

  openLog({ listener, replyTo }: Message<'log.open'>): void {
    if (listener) this.#listeners.add(listener);
    replyTo.ok({
      log: this.#log,
      isOpen: () => !this.#isStopped,
      close: () => {
        if (listener) this.#listeners.delete(listener);
      },
    });
  }

  /** That batch is durable. */
  announce(commit: Commit): void {
    const whole = this.#catchingUp.isWhole;
    const origins = new Set([...commit.moved].filter((origin) => !isLocalOrigin(origin)));
    for (const listener of this.#listeners) listener();
    const { inPart } = this.#store.debts;
    const isSame = whole === this.#wasWhole && inPart === this.#wasInPart;
    if (origins.size === 0 && isSame) return;
    this.#wasWhole = whole;
    this.#wasInPart = inPart;
    const positions = this.positionsOf(origins);
    for (const feed of this.#feeds) feed.send({ type: 'log.advanced', positions, whole, inPart });
  }

  /** This node goes on under a new incarnation: feeds begin anew, and tell of it. */
  originChanged(): void {
    for (const feed of this.#feeds) feed.send({ type: 'origin.changed' }, 'control');
  }

  stopped(): void {
    this.#isStopped = true;
    for (const listener of this.#listeners) listener();
  }

  /** What is durable of these. */
  positionsOf(origins: Iterable<OriginId>): OriginPosition[] {
    const positions: OriginPosition[] = [];
    for (const origin of origins) {
      const held = this.#store.durable.get(origin);
      if (held) positions.push({ origin, sequence: held.sequence, version: held.version });
    }
    return positions;
  }

  sharedPositions(): OriginPosition[] {
    return this.positionsOf(this.#store.sharedVector().keys());
  }

  /** A node in the middle of a copy is the source of none: what its vector says is not what it holds. */
  async #openCopy(after: CopyPlaceOnWire | null, scope: CopyScope): Promise<OpenedCopy | null> {
    if (!this.#catchingUp.isWhole) return null;
    // Of the same moment as the snapshot, which is pinned before anything is waited for.
    const { owed } = this.#catchingUp.ledger;
    const source = await openCopy(this.#store, after ?? undefined, scope);
    return { source: this.#hold(source), owed };
  }
}
