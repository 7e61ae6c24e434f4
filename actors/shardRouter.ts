/**
 * router:<database>: the single writer of one database. Accepts local transactions, peers' entries and copied
 * rows into group commits, answers reads beside them, and tells feeds and resyncs what moved. Spawned by
 * clusterSupervisor; recovers from the store at each start. Data is in protocol/ and storage/; here is only traffic.
 */
import { isDeepStrictEqual } from 'node:util';
import { messageOf, SkeinError } from '../protocol/errors.js';
import { ALL_ORIGINS, type OriginScope } from '../protocol/flow.js';
import { incarnation, type DatabaseName, type NodeName, type OriginId } from '../protocol/ids.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import type { Commit } from '../storage/commit.js';
import type { Finding } from '../storage/damage.js';
import type { Fork } from '../storage/ownPast.js';
import { isCorruption } from '../storage/level.js';
import type { Store } from '../storage/store.js';
import { CatchingUp } from './catchingUp.js';
import { CopyReceiver } from './copyReceiver.js';
import { DamageReports } from './damageReports.js';
import { DatabaseReads } from './databaseReads.js';
import { EntryReceiver } from './entryReceiver.js';
import { GroupCommit } from './groupCommit.js';
import { IndexFill } from './indexFill.js';
import type { Actor, ActorContext, ActorSpec, StopReason } from './kernel/types.js';
import { LocalWrites } from './localWrites.js';
import { LogReaders } from './logReaders.js';
import { Maintenance } from './maintenance.js';
import type { RouterMessage } from './messages.js';
import { OwnHistory } from './ownHistory.js';
import { ReadOnlyRouter } from './readOnlyRouter.js';
import type { NodeResources } from './resources.js';

export const routerSpec = (parts: {
  database: DatabaseName;
  builtIn: readonly TableDefinition[];
  resources: NodeResources;
  /** Told of all tables when a life begins and when they change. */
  defined?: (definitions: readonly TableDefinition[]) => void;
}): ActorSpec<RouterMessage> => {
  const rules: KeptRules = { origins: ALL_ORIGINS };
  return {
    name: `router:${parts.database}`,
    policy: {
      restart: 'onCrash',
      budget: { restarts: 5, withinMs: 10_000 },
      backoff: { msMin: 100, msMax: 5_000 },
      whenSpent: 'stop',
    },
    start: (context) => ShardRouter.open({ ...parts, context, rules }),
  };
};

/** Outlives a crash: nobody tells the next life of rules that have not changed. */
interface KeptRules {
  origins: OriginScope;
}

const RETRY_MS = 1_000;

class ShardRouter implements Actor<RouterMessage> {
  readonly #context: ActorContext<RouterMessage>;
  readonly #resources: NodeResources;
  readonly #store: Store;
  readonly #group: GroupCommit;
  readonly #catchingUp: CatchingUp;
  readonly #readers: LogReaders;
  readonly #writes: LocalWrites;
  readonly #entries: EntryReceiver;
  readonly #copies: CopyReceiver;
  readonly #maintenance: Maintenance;
  readonly #history: OwnHistory;
  readonly #indexFill: IndexFill;
  readonly #reads: DatabaseReads;
  readonly #damage: DamageReports;
  readonly #startedMs: number;
  readonly #rules: KeptRules;
  readonly #defined: (definitions: readonly TableDefinition[]) => void;
  #isRetrying = false;
  /** Why this life ends: its batches cannot be written, or its files are damaged. */
  #failure: Error | null = null;

  private constructor(parts: {
    defined?: (definitions: readonly TableDefinition[]) => void;
    context: ActorContext<RouterMessage>;
    resources: NodeResources;
    store: Store;
    catchingUp: CatchingUp;
    rules: KeptRules;
  }) {
    this.#rules = parts.rules;
    this.#context = parts.context;
    this.#defined = parts.defined ?? (() => undefined);
    this.#resources = parts.resources;
    this.#store = parts.store;
    this.#catchingUp = parts.catchingUp;
    this.#group = new GroupCommit(parts.store, (commit, failure) =>
      this.#context.self.send(
        { type: 'batch.written', commit, ...(failure && { failure }) },
        'control',
      ),
    );
    const { store, context, resources, catchingUp } = parts;
    const { now } = resources.environment;
    this.#entries = new EntryReceiver({
      store,
      context,
      resources,
      refused: (from, refusal) => {
        catchingUp.ahead(from, refusal);
        this.#retryLater();
      },
      group: this.#group,
      origins: () => catchingUp.origins,
      positionsOf: (origins) => this.#readers.positionsOf(origins),
    });
    this.#copies = new CopyReceiver({
      store,
      catchingUp,
      now,
      group: this.#group,
      areTooFarAhead: (written) => this.#entries.areTooFarAhead(written),
      refusals: catchingUp.refusals,
      continueLater: () => void context.self.send({ type: 'copy.step' }),
      failed: (peer, reason) => this.#copyFailed({ type: 'copy.failed', peer, reason }),
      completed: (peer) => this.#copyCompleted(peer),
    });
    this.#maintenance = new Maintenance({
      store,
      catchingUp,
      now,
      config: resources.config,
      orphaned: ({ origin }) => this.#orphaned(origin),
    });
    this.#readers = new LogReaders({
      store,
      catchingUp,
      hold: (source) => this.#maintenance.hold(source),
    });
    this.#writes = new LocalWrites(store, this.#group, resources);
    this.#history = new OwnHistory(store, this.#group);
    this.#reads = new DatabaseReads({
      store,
      catchingUp,
      readers: this.#readers,
      now,
      ownPast: () => this.#history.account,
      refusedBy: () => this.#history.refusals(this.#catchingUp.told().keys()),
      readOnly: () => null,
    });
    this.#damage = new DamageReports({ store, group: this.#group, context, log: resources.log });
    this.#startedMs = now();
    this.#maintainLater();
    this.#indexFill = new IndexFill(parts.store);
    if (this.#indexFill.isNeeded) this.#context.self.send({ type: 'index.fill' });
    this.#tellTables();
  }

  static async open(parts: {
    database: DatabaseName;
    builtIn: readonly TableDefinition[];
    resources: NodeResources;
    defined?: (definitions: readonly TableDefinition[]) => void;
    context: ActorContext<RouterMessage>;
    rules: KeptRules;
  }): Promise<Actor<RouterMessage>> {
    const { database, resources, context, rules } = parts;
    const options = {
      database,
      node: resources.config.node.name,
      newIncarnation: () => incarnation(resources.environment.randomId(8)),
      bootId: resources.environment.bootId,
      writeAsync: resources.config.storage.writeAsync,
      builtIn: parts.builtIn,
    };
    const opened = await resources.files.databases.open(options);
    if (opened.kind === 'readOnly')
      return ReadOnlyRouter.open({ context, resources, opened, options });
    const { store } = opened;
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
      resources.config.replication.maxClockSkewMs,
    );
    catchingUp.takeFrom(rules.origins);
    return new ShardRouter({ ...parts, context, resources, store, catchingUp, rules });
  }

  readonly receive = (message: RouterMessage): void | Promise<void> => {
    switch (message.type) {
      case 'transaction.submit':
        return this.#writes.submit(message);
      case 'table.define':
        return this.#writes.define(message);
      case 'table.drop':
        return this.#writes.dropTable(message);
      case 'attribute.drop':
        return this.#writes.dropAttribute(message);
      case 'entries.apply':
        return this.#entries.apply(message);
      case 'copy.begin':
        return this.#copies.begin(message);
      case 'copy.apply':
        return this.#copies.apply(message);
      case 'copy.end':
        return this.#copies.end(message);
      case 'copy.step':
        return this.#copies.step();
      case 'copy.want':
        return this.#catchingUp.wantCopyFrom(message.peer);
      case 'copy.failed':
        return this.#copyFailed(message);
      case 'batch.written':
        return this.#batchWritten(message);
      case 'index.fill':
        return this.#fillIndexes();
      case 'damage.found':
        return this.#damageFound(message.finding);
      case 'peer.linked':
        this.#copies.forgetFrom(message.peer);
        this.#catchingUp.linked(message.peer, message);
        return this.#beginAgain(this.#history.told(message.peer, message.positions));
      case 'peer.noticed':
        this.#catchingUp.noticed(message.peer, message.positions, message.whole, message.inPart);
        return this.#beginAgain(this.#history.told(message.peer, message.positions));
      case 'own.wanted':
        return this.#beginAgain(this.#history.wanted(message.peer, message.want));
      case 'entries.refused':
        this.#history.refused(message.peer, message.refusal);
        return this.#returnToPresent();
      case 'flow.changed':
        return this.#takeFrom(message.origins);
      case 'peer.tooOld':
        return this.#catchingUp.tooOld(message.peer, message.origin);
      case 'peer.lost':
        if (this.#catchingUp.lost(message.peer, message.origins)) this.#retryLater();
        return;
      case 'peer.measured':
        return this.#catchingUp.measured(message.peer, message.rttMs);
      case 'peer.unlinked':
        this.#history.unlinked(message.peer);
        return this.#catchingUp.unlinked(message.peer, message.resync);
      case 'clock.observed':
        return this.#entries.observeClock(message.clock);
      case 'note.due':
        this.#catchingUp.ledger.note(this.#group.forming);
        return this.#group.pump();
      case 'timer.retry':
        this.#isRetrying = false;
        return this.#retry();
      case 'timer.maintain':
        return this.#beginRound();
      case 'maintenance.step':
        return this.#maintain();
      default:
        return this.#reads.read(message);
    }
  };

  describe(): Record<string, unknown> {
    return {
      origin: this.#store.origin,
      positions: Object.fromEntries(
        [...this.#store.durable].map(([origin, { sequence }]) => [origin, sequence]),
      ),
      feeds: this.#readers.feedCount,
      batches: this.#group.batches,
      copy: this.#catchingUp.progress,
      ...this.#damage.described,
      ...this.#maintenance.counts,
      ...(this.#history.account && { ownPast: this.#history.account }),
    };
  }

  phase(): string {
    if (!this.#catchingUp.isWhole) return 'copying';
    return this.#catchingUp.isReady ? 'ready' : 'catching up';
  }

  async stopped(reason: StopReason): Promise<void> {
    const { databases } = this.#resources.files;
    const failure = this.#failure ?? corruptionIn(reason);
    if (failure && reason.kind !== 'stopped') {
      // It stays open to be read until it can be opened anew.
      databases.failed(this.#store.options.database, failure);
      this.#group.fail(failure);
      return this.#readers.stopped();
    }
    try {
      await this.#group.drain();
    } catch (error) {
      this.#group.fail(error instanceof Error ? error : new Error(messageOf(error)));
    } finally {
      await this.#resources.files.close(this.#store);
      this.#readers.stopped();
    }
  }

  /** A copy that is going on goes on under the new rules. */
  #takeFrom(origins: OriginScope): void {
    if (isDeepStrictEqual(origins, this.#rules.origins)) return;
    this.#rules.origins = origins;
    this.#copies.forget();
    this.#catchingUp.takeFrom(origins);
  }

  #nowMs(): number {
    return this.#resources.environment.now();
  }

  #copyCompleted(peer: NodeName): void {
    const rows = this.#catchingUp.progress?.rowsDone;
    this.#resources.log.info({ from: peer, rows }, 'copy complete');
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
      this.#failure = failure;
      this.#group.fail(failure);
      throw new SkeinError('STORAGE_FAILED', `A batch could not be written: ${failure.message}`, {
        cause: failure,
      });
    }
    const commit = this.#group.settle();
    this.#settled(commit);
    this.#resources.files.databases.wrote(
      this.#store.options.database,
      this.#nowMs() - this.#startedMs,
    );
    this.#copies.batchWritten();
    this.#group.pump();
    if (commit.definitionsChanged) return this.#definitionsChanged();
  }

  /** What LevelDB says of its own files is no state to go on with: they are closed and repaired. */
  #damageFound(finding: Finding): void {
    this.#damage.report(finding);
    if (finding.kind !== 'files') return;
    this.#failure = finding.error;
    throw new SkeinError('STORAGE_FAILED', `The files are damaged: ${finding.error.message}`, {
      cause: finding.error,
    });
  }

  #settled(commit: Commit): void {
    this.#context.count('rows', commit.rowCount);
    if (commit.writtenAgain > 0) this.#context.count('rowsWrittenAgain', commit.writtenAgain);
    if (commit.passedOver > 0) this.#context.count('changesPassedOver', commit.passedOver);
    this.#catchingUp.advanced(commit.moved);
    this.#readers.announce(commit);
  }

  /** A peer has proved that this directory lies behind the node's own past. */
  #beginAgain(fork: Fork | null): void | Promise<void> {
    if (fork) return this.#beginIncarnation(fork);
  }

  async #beginIncarnation(fork: Fork): Promise<void> {
    const written = await this.#history.beginAgain(fork, this.#nowMs());
    this.#context.count('rollbacks');
    return this.#incarnationBegun(fork.origin, written);
  }

  /** No linked peer takes what was written here while the clock was ahead, and it is right again. Never during a copy. */
  async #returnToPresent(): Promise<void> {
    if (!this.#catchingUp.isReady || this.#maintenance.isRead) return;
    const nowMs = this.#nowMs();
    const latestMs = nowMs + this.#resources.config.replication.maxClockSkewMs;
    const { origin } = this.#store;
    const times = { nowMs, latestMs };
    const written = await this.#history.returnToPresent(this.#catchingUp.told(), times);
    if (!written) return;
    this.#context.count('clockReturns');
    return this.#incarnationBegun(origin, written);
  }

  async #incarnationBegun(before: OriginId, written: readonly Commit[]): Promise<void> {
    for (const commit of written) this.#settled(commit);
    if (written.some((commit) => commit.definitionsChanged)) await this.#definitionsChanged();
    const { database } = this.#store.options;
    this.#resources.log.error({ database, origin: before }, this.#history.account ?? '');
    this.#group.whenDurable({
      done: () => {
        this.#readers.originChanged();
        this.#catchingUp.plan();
      },
      failed: ignoreFailure,
    });
    this.#group.pump();
  }

  #orphaned(origin: OriginId): void {
    this.#context.count('orphans');
    this.#resources.log.warn(
      { database: this.#store.options.database, origin },
      'nobody has what a copy brought of this origin: it is written again',
    );
  }

  async #beginRound(): Promise<void> {
    if (this.#damage.needsCopy) this.#catchingUp.wantMissingRows();
    this.#catchingUp.payDebts();
    if (this.#catchingUp.refusals.isWaiting) this.#retryLater();
    await this.#returnToPresent();
    this.#maintenance.beginRound();
    return this.#maintain();
  }

  async #maintain(): Promise<void> {
    const more = await this.#maintenance.steps(this.#group.forming);
    this.#group.pump();
    if (more) this.#context.self.send({ type: 'maintenance.step' });
    else this.#maintainLater();
  }

  #maintainLater(): void {
    this.#context.startTimer('maintain', this.#maintenance.intervalMs, { type: 'timer.maintain' });
  }

  #tellTables(): void {
    this.#defined(this.#store.catalog.tables.map(({ definition }) => definition));
  }

  async #definitionsChanged(): Promise<void> {
    this.#tellTables();
    this.#catchingUp.retry();
    if (this.#indexFill.isNeeded) this.#context.self.send({ type: 'index.fill' });
    await this.#store.eraseRetired();
  }

  async #fillIndexes(): Promise<void> {
    const more = await this.#indexFill.step(this.#group.forming);
    this.#group.pump();
    if (more) this.#context.self.send({ type: 'index.fill' });
  }

  #retry(): void {
    if (this.#catchingUp.retry()) this.#retryLater();
  }

  #retryLater(): void {
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    this.#context.startTimer('retry', RETRY_MS, { type: 'timer.retry' });
  }
}

const corruptionIn = (reason: StopReason): Error | null =>
  reason.kind !== 'stopped' && isCorruption(reason.error) ? reason.error : null;

/** The writer restarts; the sender starts again from the vector. */
const ignoreFailure = (): void => undefined;
