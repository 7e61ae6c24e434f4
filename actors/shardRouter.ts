/**
 * router:<database>: the single writer of one database. Accepts local transactions, peers' entries and copied
 * rows into group commits, answers reads beside them, and tells feeds and resyncs what moved. Spawned by
 * clusterSupervisor; recovers from the store at each start. Data is in protocol/ and storage/; here is only traffic.
 */
import { messageOf, SkeinError } from '../protocol/errors.js';
import { isTooFarAhead, observe } from '../protocol/clock.js';
import { newestStamp } from '../protocol/row.js';
import { readEntryHeader } from '../protocol/entry.js';
import type { SentEntry } from '../protocol/dataFrames.js';
import type { OriginPosition } from '../protocol/frames.js';
import { incarnation, type DatabaseName, type OriginId, type Version } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { ApplyProblem } from '../protocol/resync.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import type { Commit } from '../storage/commit.js';
import { logReader, type LogReader } from '../storage/log.js';
import { openCopy } from '../storage/snapshot.js';
import { isLocalOrigin, Store } from '../storage/store.js';
import { answer, answerLater } from './answers.js';
import { CatchingUp } from './catchingUp.js';
import { GroupCommit } from './groupCommit.js';
import { IndexFill } from './indexFill.js';
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
import type { FeedMessage, RouterMessage } from './messages.js';
import type { NodeResources } from './resources.js';
import { describeTables, getRecords, searchRecords } from './tableReads.js';

export const routerSpec = (parts: {
  database: DatabaseName;
  builtIn: readonly TableDefinition[];
  resources: NodeResources;
}): ActorSpec<RouterMessage> => ({
  name: `router:${parts.database}`,
  policy: {
    restart: 'onCrash',
    budget: { restarts: 5, withinMs: 10_000 },
    backoff: { msMin: 100, msMax: 5_000 },
    whenSpent: 'stop',
  },
  start: (context) => ShardRouter.open({ ...parts, context }),
});

const RETRY_MS = 1_000;

class ShardRouter implements Actor<RouterMessage> {
  readonly #context: ActorContext<RouterMessage>;
  readonly #resources: NodeResources;
  readonly #store: Store;
  readonly #log: LogReader;
  readonly #group: GroupCommit;
  readonly #catchingUp: CatchingUp;
  readonly #indexFill: IndexFill;
  readonly #feeds = new Set<ActorRef<FeedMessage>>();
  readonly #listeners = new Set<() => void>();
  #wasWhole: boolean;
  #isRetrying = false;
  #isStopped = false;

  private constructor(parts: {
    context: ActorContext<RouterMessage>;
    resources: NodeResources;
    store: Store;
    catchingUp: CatchingUp;
  }) {
    this.#context = parts.context;
    this.#resources = parts.resources;
    this.#store = parts.store;
    this.#log = logReader(parts.store);
    this.#catchingUp = parts.catchingUp;
    this.#wasWhole = parts.catchingUp.isWhole;
    this.#group = new GroupCommit(parts.store, (commit, failure) =>
      this.#context.self.send(
        { type: 'batch.written', commit, ...(failure && { failure }) },
        'control',
      ),
    );
    this.#indexFill = new IndexFill(parts.store);
    if (this.#indexFill.isNeeded) this.#context.self.send({ type: 'index.fill' });
  }

  static async open(parts: {
    database: DatabaseName;
    builtIn: readonly TableDefinition[];
    resources: NodeResources;
    context: ActorContext<RouterMessage>;
  }): Promise<ShardRouter> {
    const { database, resources, context } = parts;
    const level = await resources.files.open(database);
    const store = await Store.open({
      level,
      database,
      node: resources.config.node.name,
      newIncarnation: () => incarnation(resources.environment.randomId(8)),
      bootId: resources.environment.bootId,
      writeAsync: resources.config.storage.writeAsync,
      builtIn: parts.builtIn,
    });
    if (store.recovery === 'newIncarnation')
      resources.log.warn(
        { database, origin: store.origin },
        'began a new incarnation: writes of the last run may be missing here',
      );
    await store.eraseRetired();
    const noteDue = (): void => void context.self.send({ type: 'note.due' }, 'control');
    const catchingUp = await CatchingUp.load(
      store,
      resources.config.node.name,
      noteDue,
      resources.environment.now,
    );
    return new ShardRouter({ context, resources, store, catchingUp });
  }

  readonly receive = (message: RouterMessage): void | Promise<void> => {
    switch (message.type) {
      case 'transaction.submit':
        return this.#submit(message);
      case 'table.define':
        return this.#define(message);
      case 'table.drop':
        return this.#dropTable(message);
      case 'attribute.drop':
        return this.#change(message.replyTo, (commit) =>
          commit.dropAttribute(this.#store.catalog.get(message.table), message.attribute),
        );
      case 'entries.apply':
        return this.#applyEntries(message);
      case 'copy.begin':
        return this.#beginCopy(message);
      case 'copy.apply':
        return this.#applyRows(message);
      case 'copy.end':
        return this.#endCopy(message);
      case 'copy.failed':
        return this.#copyFailed(message);
      case 'batch.written':
        return this.#batchWritten(message);
      case 'index.fill':
        return this.#fillIndexes();
      case 'feed.open':
        return this.#openFeed(message);
      case 'feed.closed':
        this.#feeds.delete(message.feed);
        return;
      case 'peer.linked':
        return this.#catchingUp.linked(message.peer, message);
      case 'peer.noticed':
        return this.#catchingUp.noticed(message.peer, message.positions, message.whole);
      case 'peer.tooOld':
        return this.#catchingUp.tooOld(message.peer, message.origin);
      case 'peer.lost':
        if (this.#catchingUp.lost(message.peer, message.origins)) this.#retryLater();
        return;
      case 'peer.measured':
        return this.#catchingUp.measured(message.peer, message.rttMs);
      case 'peer.unlinked':
        return this.#catchingUp.unlinked(message.peer, message.resync);
      case 'clock.observed':
        return this.#observeClock(message.clock);
      case 'note.due':
        this.#catchingUp.note(this.#group.forming);
        return this.#group.pump();
      case 'timer.retry':
        this.#isRetrying = false;
        return this.#catchingUp.retry();
      case 'records.get':
        return answer(message.replyTo, () => getRecords(this.#store, message));
      case 'records.search':
        return answerLater(message.replyTo, () => searchRecords(this.#store, message));
      case 'tables.describe':
        return answerLater(message.replyTo, () => describeTables(this.#store, message));
      case 'log.open':
        return this.#openLog(message);
      case 'database.status':
        return message.replyTo.ok(this.#status());
      default:
        return message satisfies never;
    }
  };

  describe(): Record<string, unknown> {
    return {
      origin: this.#store.origin,
      positions: Object.fromEntries(
        [...this.#store.durable].map(([origin, { sequence }]) => [origin, sequence]),
      ),
      feeds: this.#feeds.size,
      batches: this.#group.batches,
      copy: this.#catchingUp.progress,
    };
  }

  phase(): string {
    if (!this.#catchingUp.isWhole) return 'copying';
    return this.#catchingUp.isReady ? 'ready' : 'catching up';
  }

  async stopped(): Promise<void> {
    this.#isStopped = true;
    try {
      await this.#group.drain();
    } catch (error) {
      this.#group.fail(error instanceof Error ? error : new Error(messageOf(error)));
    } finally {
      await this.#resources.files.close(this.#store);
      for (const listener of this.#listeners) listener();
    }
  }

  #nowMs(): number {
    return this.#resources.environment.now();
  }

  #submit(message: Extract<RouterMessage, { type: 'transaction.submit' }>): void {
    const { replyTo } = message;
    if (this.#group.waitingBytes > limits.routerQueueBytesMax) return replyTo.fail(overloaded());
    answer(
      replyTo,
      () =>
        this.#group.forming.transact({
          writes: message.writes,
          notes: message.notes,
          nowMs: this.#nowMs(),
          newKey: () => uuid(this.#resources.environment.randomId(16)),
          transactionBytesMax: this.#resources.config.replication.maxTransactionBytes,
        }),
      (accepted, ok) => this.#group.whenDurable({ done: () => ok(accepted), failed: replyTo.fail }),
    );
    this.#group.pump();
  }

  /** A change of the schema: answered when durable. */
  #change(
    replyTo: { ok: (value: void) => void; fail: (error: Error) => void },
    change: (commit: Commit) => void,
  ): void {
    answer(
      replyTo,
      () => change(this.#group.forming),
      (_done, ok) => this.#group.whenDurable({ done: () => ok(undefined), failed: replyTo.fail }),
    );
    this.#group.pump();
  }

  #define(message: Extract<RouterMessage, { type: 'table.define' }>): void {
    const { definition, notes } = message;
    this.#change(message.replyTo, (commit) =>
      commit.define({ definition, nowMs: this.#nowMs(), notes }),
    );
  }

  #dropTable(message: Extract<RouterMessage, { type: 'table.drop' }>): void {
    this.#change(message.replyTo, (commit) => commit.dropTable(message.table));
  }

  #applyEntries(message: Extract<RouterMessage, { type: 'entries.apply' }>): void {
    const commit = this.#group.forming;
    const problems = new Map<OriginId, ApplyProblem>();
    const touched = new Set<OriginId>();
    for (const entry of message.entries) {
      if (problems.has(entry.origin)) continue;
      const problem = this.#applyEntry(commit, entry);
      if (problem) problems.set(entry.origin, problem);
      touched.add(entry.origin);
    }
    this.#group.whenDurable({
      done: () =>
        message.from.send({
          type: 'entries.committed',
          positions: this.#positionsOf(touched),
          bytes: message.bytes,
          problems: [...problems].map(([origin, problem]) => ({ origin, problem })),
        }),
      failed: ignoreFailure,
    });
    this.#group.pump();
  }

  #applyEntry(commit: Commit, { origin, bytes }: SentEntry): ApplyProblem | null {
    const { version } = readEntryHeader(bytes);
    const { maxClockSkewMs } = this.#resources.config.replication;
    if (isTooFarAhead({ version, nowMs: this.#nowMs(), maxClockSkewMs }))
      return this.#tooFar(origin);
    const outcome = commit.apply(origin, bytes);
    if (outcome === 'applied' || outcome === 'known') return null;
    if (outcome === 'damaged') this.#context.count('damagedEntries');
    return outcome;
  }

  /** A peer's clock at its greeting: what is written here from now on is ordered after it. */
  #observeClock(clock: Version): void {
    const { maxClockSkewMs } = this.#resources.config.replication;
    if (isTooFarAhead({ version: clock, nowMs: this.#nowMs(), maxClockSkewMs })) return;
    this.#store.clock = observe(this.#store.clock, clock);
  }

  #tooFar(origin: OriginId): ApplyProblem {
    this.#context.count('entriesAheadOfClock');
    this.#resources.log.warn({ origin }, 'an entry is further ahead than replication.maxClockSkew');
    return 'ahead';
  }

  /** Rows from a clock far ahead would carry this node's clock with them, and no peer would take what it writes. */
  #beginCopy(message: Extract<RouterMessage, { type: 'copy.begin' }>): void {
    if (!this.#areTooFarAhead([...message.positions, ...message.owed]))
      return this.#catchingUp.copyBegun(message.peer, message);
    const reason = 'it holds writes further ahead than replication.maxClockSkew';
    this.#copyFailed({ type: 'copy.failed', peer: message.peer, reason });
  }

  #areTooFarAhead(written: readonly { readonly version: Version }[]): boolean {
    const { maxClockSkewMs } = this.#resources.config.replication;
    const nowMs = this.#nowMs();
    return written.some(({ version }) => isTooFarAhead({ version, nowMs, maxClockSkewMs }));
  }

  #applyRows(message: Extract<RouterMessage, { type: 'copy.apply' }>): void {
    const taken =
      !this.#areTooFarAhead(message.rows.map(({ row }) => newestStamp(row))) &&
      this.#catchingUp.takeRows(message.peer, message.rows, this.#group.forming);
    if (!taken) {
      this.#catchingUp.copyFailed(message.peer);
      this.#retryLater();
    }
    this.#group.whenDurable({
      done: () => message.from.send({ type: 'rows.committed', bytes: message.bytes }),
      failed: ignoreFailure,
    });
    this.#group.pump();
  }

  #endCopy(message: Extract<RouterMessage, { type: 'copy.end' }>): void {
    if (!this.#catchingUp.finishCopy(message.peer, this.#group.forming)) return;
    this.#resources.log.info({ from: message.peer, rows: message.rows }, 'copy complete');
    this.#group.whenDurable({ done: () => this.#catchingUp.adopted(), failed: ignoreFailure });
    this.#group.pump();
    this.#catchingUp.plan();
  }

  #copyFailed(message: Extract<RouterMessage, { type: 'copy.failed' }>): void {
    this.#resources.log.warn({ from: message.peer, reason: message.reason }, 'copy interrupted');
    this.#catchingUp.copyFailed(message.peer);
    this.#retryLater();
  }

  /** After a failure nothing in memory may be believed: crash, reopen, read back. */
  #batchWritten({
    commit: written,
    failure,
  }: Extract<RouterMessage, { type: 'batch.written' }>): void | Promise<void> {
    if (!this.#group.isWriting(written)) return;
    if (failure) {
      this.#group.fail(failure);
      throw new SkeinError('STORAGE_FAILED', `A batch could not be written: ${failure.message}`, {
        cause: failure,
      });
    }
    const commit = this.#group.settle();
    this.#context.count('rows', commit.rowCount);
    if (commit.passedOver > 0) this.#context.count('changesPassedOver', commit.passedOver);
    this.#announce(commit);
    this.#group.pump();
    if (commit.definitionsChanged) return this.#definitionsChanged();
  }

  #announce(commit: Commit): void {
    this.#catchingUp.advanced(commit.moved);
    const whole = this.#catchingUp.isWhole;
    const origins = new Set([...commit.moved].filter((origin) => !isLocalOrigin(origin)));
    for (const listener of this.#listeners) listener();
    if (origins.size === 0 && whole === this.#wasWhole) return;
    this.#wasWhole = whole;
    const positions = this.#positionsOf(origins);
    for (const feed of this.#feeds) feed.send({ type: 'log.advanced', positions, whole });
  }

  async #definitionsChanged(): Promise<void> {
    this.#catchingUp.retry();
    if (this.#indexFill.isNeeded) this.#context.self.send({ type: 'index.fill' });
    await this.#store.eraseRetired();
  }

  async #fillIndexes(): Promise<void> {
    const more = await this.#indexFill.step(this.#group.forming);
    this.#group.pump();
    if (more) this.#context.self.send({ type: 'index.fill' });
  }

  #openFeed(message: Extract<RouterMessage, { type: 'feed.open' }>): void {
    this.#feeds.add(message.feed);
    message.replyTo.ok({
      log: this.#log,
      origin: this.#store.origin,
      positions: this.#sharedPositions(),
      whole: this.#catchingUp.isWhole,
      owed: () => this.#catchingUp.owed,
      openCopy: (after) => openCopy(this.#store, after ?? undefined),
    });
  }

  #openLog(message: Extract<RouterMessage, { type: 'log.open' }>): void {
    const { listener } = message;
    if (listener) this.#listeners.add(listener);
    message.replyTo.ok({
      log: this.#log,
      isOpen: () => !this.#isStopped,
      close: () => {
        if (listener) this.#listeners.delete(listener);
      },
    });
  }

  #retryLater(): void {
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    this.#context.startTimer('retry', RETRY_MS, { type: 'timer.retry' });
  }

  #positionsOf(origins: Iterable<OriginId>): OriginPosition[] {
    const positions: OriginPosition[] = [];
    for (const origin of origins) {
      const held = this.#store.durable.get(origin);
      if (held) positions.push({ origin, sequence: held.sequence, version: held.version });
    }
    return positions;
  }

  #sharedPositions(): OriginPosition[] {
    return this.#positionsOf(this.#store.sharedVector().keys());
  }

  #status() {
    return {
      database: this.#store.options.database,
      origin: this.#store.origin,
      positions: this.#sharedPositions(),
      clock: this.#store.clock,
      ready: this.#catchingUp.isReady,
      copy: this.#catchingUp.progress,
      peers: this.#catchingUp.standings(),
      parted: this.#catchingUp.memory.parted(),
      copyPace: this.#catchingUp.memory.copyPace,
      nowMs: this.#nowMs(),
    };
  }
}

/** The writer restarts; the sender starts again from the vector. */
const ignoreFailure = (): void => undefined;

const overloaded = (): SkeinError =>
  new SkeinError(
    'OVERLOADED',
    'Outstanding write transactions have too long of queue, please try again later',
  );

const uuid = (hex: string): string => {
  const variant = ((parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
};
