/**
 * The streams of one peer: for each shared database a feed (serving the peer's subscription) and a resync (this node's
 * own). Used by peerConnection only; children of that actor. Routes stream frames to them without its mailbox.
 */
import { SkeinError } from '../protocol/errors.js';
import { EVERYTHING, intersection, isNothing, type FlowRules } from '../protocol/flow.js';
import type { ControlFrame } from '../protocol/frames.js';
import { version, type DatabaseName, type NodeName, type Version } from '../protocol/ids.js';
import type { ActorContext, ActorRef } from './kernel/types.js';
import type { Link } from './link.js';
import type {
  Databases,
  DatabaseStatus,
  FeedMessage,
  FeedStatus,
  PeerMessage,
  ResyncMessage,
  ResyncStatus,
  RouterMessage,
  StreamStatus,
} from './messages.js';
import { resyncSpec } from './resync.js';
import type { NodeResources } from './resources.js';
import { StreamRules, unauthorized } from './streamRules.js';
import { feedSpec } from './tableSubscription.js';

interface Receiving {
  readonly stream: number;
  readonly ref: ActorRef<ResyncMessage>;
}
interface Sending {
  readonly stream: number;
  readonly ref: ActorRef<FeedMessage>;
}

const RESUBSCRIBE_MS = { min: 250, max: 30_000 } as const;
const STATUS_MS = 2_000;
/** So many ends in a row that the longest wait follows. */
const REFUSED = 16;

export class PeerStreams {
  readonly #context: ActorContext<PeerMessage>;
  readonly #resources: NodeResources;
  readonly #peer: NodeName;
  #databases: Databases;
  readonly #rules: StreamRules;
  #link: Link | null = null;
  #nextStream = 1;
  #receiving = new Map<DatabaseName, Receiving>();
  #sending = new Map<DatabaseName, Sending>();
  #resyncs = new Map<number, ActorRef<ResyncMessage>>();
  #feeds = new Map<number, ActorRef<FeedMessage>>();
  #watched = new Set<DatabaseName>();
  /** Subscriptions that ended since the peer last accepted one or said what it offers. */
  #ended = new Map<DatabaseName, number>();
  #crashCount = 0;
  #lastCrash: string | null = null;

  constructor(parts: {
    context: ActorContext<PeerMessage>;
    resources: NodeResources;
    name: NodeName;
    databases: Databases;
    rules: FlowRules;
  }) {
    this.#rules = new StreamRules(parts.name, parts.rules);
    this.#context = parts.context;
    this.#resources = parts.resources;
    this.#peer = parts.name;
    this.#databases = parts.databases;
  }

  /** The hybrid clock of this node, for the greeting; 0 where the system database cannot tell. */
  async clock(): Promise<Version> {
    const routers = [...this.#databases.values()];
    const statuses = await Promise.all(routers.map((router) => askStatus(this.#context, router)));
    return version(Math.max(0, ...statuses.map((status) => status?.clock ?? 0)));
  }

  /** What is written here from now on is ordered after what the peer had seen. */
  observeClock(clock: Version): void {
    for (const router of this.#databases.values())
      router.send({ type: 'clock.observed', clock }, 'control');
  }

  /** `dialled`: by this side, which numbers its streams oddly and the other evenly: Unsubscribe says no more than one. */
  start(link: Link, databases: Databases, dialled: boolean): void {
    this.#link = link;
    this.#nextStream = dialled ? 1 : 2;
    this.#databases = databases;
    this.#ended.clear();
    this.#rules.linkedAnew();
    for (const database of databases.keys()) this.subscribe(database);
  }

  async stop(): Promise<void> {
    this.#link = null;
    const refs = [...this.#receiving.values(), ...this.#sending.values()].map(({ ref }) => ref);
    this.#receiving.clear();
    this.#sending.clear();
    this.#resyncs.clear();
    this.#feeds.clear();
    await Promise.all(refs.map((ref) => this.#context.stop(ref as ActorRef<never>)));
  }

  /** Begins (again) to receive a database. */
  subscribe(database: DatabaseName): void {
    const router = this.#databases.get(database);
    const link = this.#link;
    if (!router || !link || this.#receiving.has(database)) return;
    const { receives, startTimeMs } = this.#rules.of(database);
    if (isNothing(receives)) return;
    this.#watchRouter(database, router);
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const ref = this.#context.spawn(
      resyncSpec({
        database,
        peer: this.#peer,
        stream,
        scope: receives,
        startTimeMs,
        router,
        link,
        now: this.#resources.environment.now,
      }),
    );
    this.#receiving.set(database, { stream, ref });
    this.#resyncs.set(stream, ref);
    this.#context.watch(ref as ActorRef<never>, (terminated) => ({
      type: 'stream.ended',
      terminated,
      database,
      side: 'resync',
    }));
  }

  /** The peer subscribes: an earlier subscription of the same database ends. */
  async serve(frame: Extract<ControlFrame, { kind: 'Subscribe' }>, link: Link): Promise<void> {
    const { database, stream } = frame;
    const router = this.#databases.get(database);
    if (!router) {
      const reason = this.#rules.isOffered(database)
        ? `Access to database "${database}" is not permitted`
        : unauthorized(database);
      return link.sendControl({ kind: 'Unsubscribe', stream, reason });
    }
    await this.#stopSending(database);
    if (this.#link !== link) return;
    const scope = intersection(this.#rules.of(database).sends, frame.scope ?? EVERYTHING);
    if (isNothing(scope)) {
      const reason = unauthorized(database);
      return link.sendControl({ kind: 'Unsubscribe', stream, reason });
    }
    this.#watchRouter(database, router);
    const ref = this.#context.spawn(
      feedSpec({
        database,
        subscriber: this.#peer,
        subscribe: frame,
        scope,
        router,
        link,
        now: this.#resources.environment.now,
      }),
    );
    this.#sending.set(database, { stream, ref });
    this.#feeds.set(stream, ref);
    this.#context.watch(ref as ActorRef<never>, (terminated) => ({
      type: 'stream.ended',
      terminated,
      database,
      side: 'feed',
    }));
  }

  /** The database's writer began a new life: its streams begin anew on both sides. */
  async restart(database: DatabaseName): Promise<void> {
    await this.#endSending(database, 'the database restarted');
    await this.#stopReceiving(database);
    this.#resubscribeLater(database);
  }

  /** Of these databases the ones that the peer may know of: something of them is sent to it. */
  offers(databases: Iterable<DatabaseName>): DatabaseName[] {
    return [...databases].filter((database) => this.#rules.isOffered(database));
  }

  /** The peer says what it offers: what it refused before, it may give now. */
  offered(databases: readonly DatabaseName[]): void {
    this.#ended.clear();
    for (const database of databases) this.subscribe(database);
  }

  /** A stream's actor ended by itself. */
  ended(message: Extract<PeerMessage, { type: 'stream.ended' }>): void {
    const { database, side, terminated } = message;
    if ('error' in terminated.reason) this.#noteCrash(terminated.path, terminated.reason.error);
    if (terminated.reason.kind === 'restarting') return;
    if (side === 'feed') {
      const sending = this.#sending.get(database);
      if (sending?.ref.path !== terminated.path || this.#isAlive(sending.ref)) return;
      this.#sending.delete(database);
      this.#feeds.delete(sending.stream);
      return;
    }
    const receiving = this.#receiving.get(database);
    if (!receiving || this.#isAlive(receiving.ref)) return;
    this.#receiving.delete(database);
    this.#resyncs.delete(receiving.stream);
    this.#resubscribeLater(database);
  }

  /** Crashes of streams: their places are made anew, so that their parent has to remember. */
  get crashes(): { readonly count: number; readonly last: string | null } {
    return { count: this.#crashCount, last: this.#lastCrash };
  }

  #noteCrash(path: string, error: Error): void {
    this.#crashCount++;
    this.#lastCrash = `${path.slice(path.lastIndexOf('/') + 1)}: ${error.message}`;
  }

  async databasesChanged(databases: Databases): Promise<void> {
    const gone = [...this.#databases.keys()].filter((database) => !databases.has(database));
    this.#databases = databases;
    for (const database of gone) {
      this.#watched.delete(database);
      this.#ended.delete(database);
      await this.#endSending(database, 'the database is not offered any more');
      await this.#stopReceiving(database);
    }
    for (const database of databases.keys()) this.subscribe(database);
  }

  /**
   * Other rules hold from now on: streams they close end, streams they open or change begin anew, and the rest goes on.
   * True: the peer may receive what was refused to it, and has to be told.
   */
  async rulesChanged(rules: FlowRules): Promise<boolean> {
    let isOpener = false;
    for (const changed of this.#rules.change(rules, this.#databases.keys())) {
      const { database, now } = changed;
      if (changed.sends) {
        // What was sent was sent under the old rule: the subscriber begins anew from where it is.
        const isClosed = isNothing(now.sends);
        const reason = isClosed ? unauthorized(database) : 'other rules hold for this stream';
        await this.#endSending(database, reason);
        isOpener ||= !isClosed;
      }
      if (changed.receives) await this.#receiveAnew(database);
    }
    return isOpener;
  }

  async #receiveAnew(database: DatabaseName): Promise<void> {
    await this.#stopReceiving(database);
    this.#rules.acceptedByPeer(database);
    this.#ended.delete(database);
    this.subscribe(database);
  }

  /** Hands a stream's control frame to its actor; false: it is not for one. */
  frame(frame: ControlFrame & { stream: number }): boolean {
    switch (frame.kind) {
      case 'Subscribe':
        return false;
      case 'Unsubscribe':
        this.#onUnsubscribe(frame.stream, frame.reason);
        return true;
      case 'Want':
      case 'Ack':
      case 'CopyRequest':
      case 'Refused':
        this.#feeds.get(frame.stream)?.send({ type: 'frame.received', frame });
        return true;
      case 'Subscribed':
        this.#requireOwn(frame.stream);
        this.#onSubscribed(frame.stream);
        this.#resyncs.get(frame.stream)?.send({ type: 'frame.received', frame });
        return true;
      default:
        this.#requireOwn(frame.stream);
        this.#resyncs.get(frame.stream)?.send({ type: 'frame.received', frame });
        return true;
    }
  }

  /** Frames of a stream that has ended may still be on their way; one that was never begun has none. MALFORMED. */
  #requireOwn(stream: number): void {
    if (stream >= this.#nextStream || stream % 2 !== this.#nextStream % 2)
      throw new SkeinError('MALFORMED', `stream ${stream} was never subscribed to`);
  }

  data(stream: number, bytes: Buffer): void {
    this.#requireOwn(stream);
    const resync = this.#resyncs.get(stream);
    if (resync?.send({ type: 'data.received', bytes }) === 'full')
      void this.#context.stop(resync as ActorRef<never>);
  }

  drained(): void {
    for (const { ref } of this.#sending.values()) ref.send({ type: 'link.drained' });
  }

  measured(rttMs: number): void {
    for (const { ref } of this.#receiving.values()) ref.send({ type: 'rtt.measured', rttMs });
  }

  async status(): Promise<StreamStatus[]> {
    return Promise.all(
      [...this.#databases.keys()].map(async (database) => ({
        database,
        isServed: this.#sending.has(database),
        sending: await this.#feedStatus(database),
        receiving: await this.#resyncStatus(database),
        ...this.#rules.closed(database),
      })),
    );
  }

  /** The other end gave a stream up: ours as subscriber begins anew, ours as sender ends. */
  #onUnsubscribe(stream: number, reason: string): void {
    for (const [database, receiving] of this.#receiving)
      if (receiving.stream === stream) {
        this.#resources.log.info({ peer: this.#peer, database, reason }, 'a stream ended');
        if (reason === unauthorized(database)) this.#refused(database, reason);
        void this.#context.stop(receiving.ref as ActorRef<never>);
        return;
      }
    for (const [database, sending] of this.#sending)
      if (sending.stream === stream) void this.#stopSending(database);
  }

  #onSubscribed(stream: number): void {
    for (const [database, receiving] of this.#receiving)
      if (receiving.stream === stream) {
        this.#ended.delete(database);
        this.#rules.acceptedByPeer(database);
      }
  }

  /** It is asked for again only when the peer says that it offers databases, or slowly. */
  #refused(database: DatabaseName, reason: string): void {
    this.#rules.refusedByPeer(database, reason);
    this.#ended.set(database, REFUSED);
  }

  #resubscribeLater(database: DatabaseName): void {
    if (!this.#link || !this.#databases.has(database)) return;
    const ended = this.#ended.get(database) ?? 0;
    this.#ended.set(database, ended + 1);
    const delayMs = Math.min(RESUBSCRIBE_MS.max, RESUBSCRIBE_MS.min * 2 ** ended);
    this.#context.startTimer(`resubscribe:${database}`, delayMs, {
      type: 'timer.resubscribe',
      database,
    });
  }

  /** Ends a stream of which the peer would otherwise go on believing that it is open. */
  async #endSending(database: DatabaseName, reason: string): Promise<void> {
    const sending = this.#sending.get(database);
    if (!sending) return;
    const { stream } = sending;
    await this.#stopSending(database);
    this.#link?.sendControl({ kind: 'Unsubscribe', stream, reason });
  }

  async #stopSending(database: DatabaseName): Promise<void> {
    const sending = this.#sending.get(database);
    if (!sending) return;
    this.#sending.delete(database);
    this.#feeds.delete(sending.stream);
    await this.#context.stop(sending.ref as ActorRef<never>);
  }

  async #stopReceiving(database: DatabaseName): Promise<void> {
    const receiving = this.#receiving.get(database);
    if (!receiving) return;
    this.#receiving.delete(database);
    this.#resyncs.delete(receiving.stream);
    await this.#context.stop(receiving.ref as ActorRef<never>);
  }

  #watchRouter(database: DatabaseName, router: ActorRef<RouterMessage>): void {
    if (this.#watched.has(database)) return;
    this.#watched.add(database);
    this.#context.watch(router as ActorRef<never>, ({ reason }) => {
      // A watch outlives restarts: only a router made anew has to be watched again.
      if (reason.kind !== 'restarting') this.#watched.delete(database);
      return { type: 'router.ended', database };
    });
  }

  #isAlive(ref: { path: string }): boolean {
    const name = ref.path.slice(ref.path.lastIndexOf('/') + 1);
    return this.#context.children().includes(name);
  }

  async #feedStatus(database: DatabaseName): Promise<FeedStatus | null> {
    const sending = this.#sending.get(database);
    if (!sending) return null;
    return this.#context
      .ask<FeedStatus, FeedMessage>(sending.ref, (replyTo) => ({ type: 'feed.status', replyTo }), {
        timeoutMs: STATUS_MS,
        lane: 'control',
      })
      .catch(() => null);
  }

  async #resyncStatus(database: DatabaseName): Promise<ResyncStatus | null> {
    const receiving = this.#receiving.get(database);
    if (!receiving) return null;
    return this.#context
      .ask<ResyncStatus, ResyncMessage>(
        receiving.ref,
        (replyTo) => ({ type: 'resync.status', replyTo }),
        { timeoutMs: STATUS_MS, lane: 'control' },
      )
      .catch(() => null);
  }
}

/** Null when the database cannot answer now. */
const askStatus = (
  context: ActorContext<PeerMessage>,
  router: ActorRef<RouterMessage>,
): Promise<DatabaseStatus | null> =>
  context
    .ask<DatabaseStatus, RouterMessage>(
      router,
      (replyTo) => ({ type: 'database.status', replyTo }),
      { timeoutMs: STATUS_MS, lane: 'control' },
    )
    .catch(() => null);
