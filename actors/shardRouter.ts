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
import type { Fork } from '../storage/ownPast.js';
import { Store } from '../storage/store.js';
import { answer, answerLater } from './answers.js';
import { CatchingUp } from './catchingUp.js';
import { CopyReceiver } from './copyReceiver.js';
import { EntryReceiver } from './entryReceiver.js';
import { GroupCommit } from './groupCommit.js';
import { IndexFill } from './indexFill.js';
import type { Actor, ActorContext, ActorSpec } from './kernel/types.js';
import { LocalWrites } from './localWrites.js';
import { LogReaders } from './logReaders.js';
import { Maintenance } from './maintenance.js';
import type { RouterMessage } from './messages.js';
import { OwnHistory } from './ownHistory.js';
import type { NodeResources } from './resources.js';
import { describeTables, getRecords, searchRecords } from './tableReads.js';

export const routerSpec = (parts: {
  database: DatabaseName;
  builtIn: readonly TableDefinition[];
  resources: NodeResources;
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

type Reading = Extract<
  RouterMessage,
  {
    type:
      | 'records.get'
      | 'records.search'
      | 'tables.describe'
      | 'feed.open'
      | 'feed.closed'
      | 'log.open'
      | 'database.status';
  }
>;

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
  readonly #rules: KeptRules;
  #isRetrying = false;

  private constructor(parts: {
    context: ActorContext<RouterMessage>;
    resources: NodeResources;
    store: Store;
    catchingUp: CatchingUp;
    rules: KeptRules;
  }) {
    this.#rules = parts.rules;
    this.#context = parts.context;
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
    this.#maintainLater();
    this.#indexFill = new IndexFill(parts.store);
    if (this.#indexFill.isNeeded) this.#context.self.send({ type: 'index.fill' });
  }

  static async open(parts: {
    database: DatabaseName;
    builtIn: readonly TableDefinition[];
    resources: NodeResources;
    context: ActorContext<RouterMessage>;
    rules: KeptRules;
  }): Promise<ShardRouter> {
    const { database, resources, context, rules } = parts;
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
    catchingUp.takeFrom(rules.origins);
    return new ShardRouter({ context, resources, store, catchingUp, rules });
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
      case 'peer.linked':
        this.#copies.forgetFrom(message.peer);
        this.#catchingUp.linked(message.peer, message);
        return this.#beginAgain(this.#history.told(message.peer, message.positions));
      case 'peer.noticed':
        this.#catchingUp.noticed(message.peer, message.positions, message.whole, message.inPart);
        return this.#beginAgain(this.#history.told(message.peer, message.positions));
      case 'own.wanted':
        return this.#beginAgain(this.#history.wanted(message.peer, message.want));
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
        return this.#catchingUp.retry();
      case 'timer.maintain':
        this.#maintenance.beginRound();
        this.#catchingUp.payDebts();
        return this.#maintain();
      case 'maintenance.step':
        return this.#maintain();
      default:
        return this.#read(message);
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
      ...this.#maintenance.counts,
      ...(this.#history.account && { ownPast: this.#history.account }),
    };
  }

  phase(): string {
    if (!this.#catchingUp.isWhole) return 'copying';
    return this.#catchingUp.isReady ? 'ready' : 'catching up';
  }

  async stopped(): Promise<void> {
    try {
      await this.#group.drain();
    } catch (error) {
      this.#group.fail(error instanceof Error ? error : new Error(messageOf(error)));
    } finally {
      await this.#resources.files.close(this.#store);
      this.#readers.stopped();
    }
  }

  /** What changes nothing. */
  #read(message: Reading): void {
    switch (message.type) {
      case 'records.get':
        return answer(message.replyTo, () => getRecords(this.#store, message));
      case 'records.search':
        return answerLater(message.replyTo, () => searchRecords(this.#store, message));
      case 'tables.describe':
        return answerLater(message.replyTo, () => describeTables(this.#store, message));
      case 'feed.open':
        return this.#readers.openFeed(message);
      case 'feed.closed':
        return this.#readers.closeFeed(message);
      case 'log.open':
        return this.#readers.openLog(message);
      case 'database.status':
        return message.replyTo.ok(this.#status());
      default:
        return message satisfies never;
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
      this.#group.fail(failure);
      throw new SkeinError('STORAGE_FAILED', `A batch could not be written: ${failure.message}`, {
        cause: failure,
      });
    }
    const commit = this.#group.settle();
    this.#settled(commit);
    this.#copies.batchWritten();
    this.#group.pump();
    if (commit.definitionsChanged) return this.#definitionsChanged();
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
    for (const commit of written) this.#settled(commit);
    if (written.some((commit) => commit.definitionsChanged)) await this.#definitionsChanged();
    const { database } = this.#store.options;
    this.#context.count('rollbacks');
    this.#resources.log.error({ database, origin: fork.origin }, this.#history.account ?? '');
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

  async #maintain(): Promise<void> {
    const more = await this.#maintenance.steps(this.#group.forming);
    this.#group.pump();
    if (more) this.#context.self.send({ type: 'maintenance.step' });
    else this.#maintainLater();
  }

  #maintainLater(): void {
    this.#context.startTimer('maintain', this.#maintenance.intervalMs, { type: 'timer.maintain' });
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

  #retryLater(): void {
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    this.#context.startTimer('retry', RETRY_MS, { type: 'timer.retry' });
  }

  #status() {
    return {
      database: this.#store.options.database,
      origin: this.#store.origin,
      positions: this.#readers.sharedPositions(),
      clock: this.#store.clock,
      ready: this.#catchingUp.isReady,
      ownPast: this.#history.account,
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
