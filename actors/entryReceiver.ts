/**
 * Takes peers' entries into the batches of a database, and says what became of them. Used by the shardRouter only.
 * Whether an entry may be applied is decided by the commit; here is only what needs the wall clock.
 */
import { isTooFarAhead, observe } from '../protocol/clock.js';
import { filterReceived } from '../protocol/entryFilter.js';
import { exceptedTables, isRefused, type OriginScope } from '../protocol/flow.js';
import type { SentEntry } from '../protocol/dataFrames.js';
import { readEntryHeader } from '../protocol/entry.js';
import type { OriginPosition } from '../protocol/frames.js';
import type { OriginId, Version } from '../protocol/ids.js';
import type { Refusal } from '../protocol/refusals.js';
import { limits } from '../protocol/limits.js';
import type { ApplyProblem } from '../protocol/resync.js';
import type { Commit } from '../storage/commit.js';
import type { Store } from '../storage/store.js';
import type { GroupCommit } from './groupCommit.js';
import type { ActorContext, ActorRef } from './kernel/types.js';
import type { ResyncMessage, RouterMessage } from './messages.js';
import type { NodeResources } from './resources.js';

export interface EntryReceiverParts {
  readonly store: Store;
  readonly group: GroupCommit;
  readonly resources: NodeResources;
  readonly context: ActorContext<RouterMessage>;
  /** That entry, and what follows it, waits until its time has come. */
  readonly refused: (from: ActorRef<ResyncMessage>, refusal: Refusal) => void;
  /** Whose writes are taken. */
  readonly origins: () => OriginScope;
  readonly positionsOf: (origins: Iterable<OriginId>) => OriginPosition[];
}

export class EntryReceiver {
  readonly #parts: EntryReceiverParts;
  /** Origins that were refused in this life. */
  readonly #refused = new Set<OriginId>();

  constructor(parts: EntryReceiverParts) {
    this.#parts = parts;
  }

  apply(message: Extract<RouterMessage, { type: 'entries.apply' }>): void {
    const { group, positionsOf } = this.#parts;
    const commit = group.forming;
    const problems = new Map<OriginId, ApplyProblem>();
    const touched = new Set<OriginId>();
    for (const entry of message.entries) {
      if (problems.has(entry.origin)) continue;
      const problem = this.#applyEntry(commit, entry, message);
      if (problem) problems.set(entry.origin, problem);
      touched.add(entry.origin);
    }
    group.whenDurable({
      done: () =>
        message.from.send({
          type: 'entries.committed',
          positions: positionsOf(touched),
          bytes: message.bytes,
          problems: [...problems].map(([origin, problem]) => ({ origin, problem })),
        }),
      // The writer restarts; the sender starts again from the vector.
      failed: () => undefined,
    });
    group.pump();
  }

  /** A peer's clock at its greeting: what is written here from now on is ordered after it. */
  observeClock(clock: Version): void {
    const { store } = this.#parts;
    if (!this.areTooFarAhead([{ version: clock }])) store.clock = observe(store.clock, clock);
  }

  /** Rows from a clock far ahead would carry this node's clock with them, and no peer would take what it writes. */
  areTooFarAhead(written: readonly { readonly version: Version }[]): boolean {
    const { config, environment } = this.#parts.resources;
    const { maxClockSkewMs } = config.replication;
    const nowMs = environment.now();
    return written.some(({ version }) => isTooFarAhead({ version, nowMs, maxClockSkewMs }));
  }

  #applyEntry(
    commit: Commit,
    { origin, bytes }: SentEntry,
    { from, startTimeMs }: Extract<RouterMessage, { type: 'entries.apply' }>,
  ): ApplyProblem | null {
    const { context, resources } = this.#parts;
    if (isRefused(this.#parts.origins(), origin)) return this.#refuse(origin);
    const { sequence, version } = readEntryHeader(bytes);
    if (this.areTooFarAhead([{ version }])) {
      this.#parts.refused(from, { origin, sequence, version });
      context.count('entriesAheadOfClock');
      resources.log.warn({ origin }, 'an entry is further ahead than replication.maxClockSkew');
      return 'ahead';
    }
    const outcome = commit.apply(origin, this.#taken(origin, bytes), startTimeMs ?? null);
    if (outcome === 'applied' || outcome === 'known') return null;
    if (outcome === 'damaged') context.count('damagedEntries');
    if (outcome === 'late') context.count('lateEntries');
    return outcome;
  }

  /** Not asked for, so whoever sends it does not know this node's rules, or does not follow them. */
  #refuse(origin: OriginId): ApplyProblem {
    const { context, resources } = this.#parts;
    context.count('entriesOfRefusedOrigins');
    if (!this.#refused.has(origin) && this.#refused.size < limits.originsPerPeerMax) {
      this.#refused.add(origin);
      resources.log.warn({ origin }, 'an entry came of a node of which nothing is taken');
    }
    return 'unwanted';
  }

  #taken(origin: OriginId, bytes: Buffer): Buffer {
    const except = exceptedTables(this.#parts.origins(), origin);
    return filterReceived(origin, bytes, { scope: { kind: 'all', except }, startTimeMs: null });
  }
}
