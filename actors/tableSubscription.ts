/**
 * feed:<database>: the sending end of a stream. Drives protocol/feed.ts: reads the log and sends frames through the
 * link, never through the peer's mailbox. Spawned by peerConnection when the peer subscribes. After a crash it does not
 * know what was sent: it ends the stream, and the peer subscribes again from its vector.
 */
import { millisecondsOf } from '../protocol/clock.js';
import { encodeCopyRows, encodeEntries, splitFrame, type SentRow } from '../protocol/dataFrames.js';
import { readEntryHeader } from '../protocol/entry.js';
import { filterEntry, passesAll, type EntryFilter } from '../protocol/entryFilter.js';
import {
  backlogOf,
  hasRoom,
  startFeed,
  stepFeed,
  type FeedEffect,
  type FeedEvent,
  type FeedState,
} from '../protocol/feed.js';
import { intersection, isEverything, type TableScope } from '../protocol/flow.js';
import type { ControlFrame, CopyPlaceOnWire, OriginPosition, Want } from '../protocol/frames.js';
import {
  sequence,
  type DatabaseName,
  type NodeName,
  type OriginId,
  type Version,
} from '../protocol/ids.js';
import { AHEAD } from '../protocol/refusals.js';
import {
  isWhole,
  partHeldOnWire,
  partHeldWithin,
  type PartHeld,
  type PartHeldOnWire,
} from '../protocol/leftOut.js';
import type { LogRead } from '../storage/log.js';
import type { CopySource } from '../storage/snapshot.js';
import { FeedProgress } from './feedProgress.js';
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
import type { Link } from './link.js';
import type { FeedMessage, FeedOpening, FeedStatus, RouterMessage } from './messages.js';

export interface FeedParts {
  readonly database: DatabaseName;
  readonly subscriber: NodeName;
  readonly subscribe: Extract<ControlFrame, { kind: 'Subscribe' }>;
  /** Tables that may be sent, of those the subscriber asked for. */
  readonly scope: TableScope;
  readonly router: ActorRef<RouterMessage>;
  readonly link: Link;
  readonly now: () => number;
}

export const feedSpec = (parts: FeedParts): ActorSpec<FeedMessage> => ({
  name: `feed:${parts.database}`,
  policy: {
    restart: 'onCrash',
    budget: { restarts: 3, withinMs: 5_000 },
    whenSpent: 'escalate',
  },
  start: async (context) => {
    if (context.life > 1) return endedFeed(context, parts);
    const opening = await context.ask(parts.router, (replyTo: Parameters<typeof openFeed>[1]) =>
      openFeed(context.self, replyTo),
    );
    return new TableSubscription(context, parts, opening);
  },
});

const NOTICE_MS = 100;

type RefusedFrame = Extract<ControlFrame, { kind: 'Refused' }>;

const openFeed = (
  feed: ActorRef<FeedMessage>,
  replyTo: Extract<RouterMessage, { type: 'feed.open' }>['replyTo'],
): Extract<RouterMessage, { type: 'feed.open' }> => ({ type: 'feed.open', feed, replyTo });

/** A second life has forgotten what was sent: the receiver has to say where it stands. */
const endedFeed = (context: ActorContext<FeedMessage>, parts: FeedParts): Actor<FeedMessage> => {
  const { stream } = parts.subscribe;
  parts.link.sendControl({ kind: 'Unsubscribe', stream, reason: 'the sending end restarted' });
  context.stopSelf();
  return { receive: () => undefined };
};

class TableSubscription implements Actor<FeedMessage> {
  readonly #context: ActorContext<FeedMessage>;
  readonly #parts: FeedParts;
  readonly #opening: FeedOpening;
  readonly #stream: number;
  #state: FeedState;
  #read: { readonly origin: OriginId; readonly entries: readonly Buffer[] } | null = null;
  #copy: { readonly source: CopySource; rows: readonly SentRow[]; sent: number } | null = null;
  #confirmed: Version | null = null;
  #sending: Version | null = null;
  readonly #progress: FeedProgress;
  /** This node is not in the middle of a copy: only then can it be the source of one. */
  #whole: boolean;
  #inPart: PartHeld;
  /** What may be sent, and was asked for. */
  readonly #filter: EntryFilter;

  constructor(context: ActorContext<FeedMessage>, parts: FeedParts, opening: FeedOpening) {
    this.#context = context;
    this.#parts = parts;
    this.#opening = opening;
    this.#whole = opening.whole;
    this.#inPart = opening.inPart;
    const { stream, startTimeMs = null } = parts.subscribe;
    this.#filter = { scope: parts.scope, startTimeMs };
    this.#stream = stream;
    this.#state = startFeed({
      subscriber: parts.subscriber,
      windowBytes: parts.subscribe.windowBytes,
      log: opening.positions,
    });
    this.#progress = new FeedProgress(opening, parts.now);
    this.#progress.wanted(parts.subscribe.wants, []);
    this.#tellOwn(parts.subscribe.wants);
    parts.link.sendControl({
      kind: 'Subscribed',
      stream: this.#stream,
      origin: opening.origin,
      positions: opening.positions,
      whole: opening.whole,
      ...(!isEverything(parts.scope) && { scope: parts.scope }),
      ...this.#toldInPart(),
    });
    void this.#step({ type: 'wanted', add: parts.subscribe.wants, drop: [] });
  }

  readonly receive = (message: FeedMessage): void | Promise<void> => {
    switch (message.type) {
      case 'frame.received':
        return this.#onFrame(message.frame);
      case 'log.advanced':
        return this.#onAdvanced(message);
      case 'origin.changed':
        return this.#endStream('this node began a new incarnation');
      case 'link.drained':
        return this.#step({ type: 'congestionChanged', congested: false });
      case 'timer.notice':
        return this.#step({ type: 'noticeTimer' });
      case 'feed.status':
        return message.replyTo.ok(this.#status());
      default:
        return message satisfies never;
    }
  };

  async stopped(): Promise<void> {
    this.#parts.router.send({ type: 'feed.closed', feed: this.#context.self }, 'control');
    await this.#copy?.source.close();
  }

  phase(): string {
    if (this.#state.copying !== 'no') return 'copying';
    return backlogOf(this.#state) > 0 ? 'replaying' : 'live';
  }

  describe(): Record<string, unknown> {
    const { creditBytes, congested, wants } = this.#state;
    return {
      stream: this.#stream,
      creditBytes,
      congested,
      origins: Object.fromEntries(wants),
      backlog: backlogOf(this.#state),
    };
  }

  #onFrame(frame: ControlFrame): void | Promise<void> {
    switch (frame.kind) {
      case 'Want':
        this.#progress.wanted(frame.add, frame.drop);
        this.#tellOwn(frame.add);
        return this.#step({ type: 'wanted', add: frame.add, drop: frame.drop });
      case 'Ack':
        this.#noteConfirmed(frame.positions);
        this.#progress.acknowledged(frame.positions);
        return this.#step({ type: 'credited', bytes: frame.creditBytes });
      case 'Refused':
        return this.#tellRefused(frame);
      case 'CopyRequest':
        this.#progress.copyMoved();
        return this.#step({ ...copyWanted(frame), type: 'copyRequested' });
      default:
        return undefined;
    }
  }

  /** The writer knows whether what the subscriber has of this node's log is what is here. */
  #tellOwn(wants: readonly Want[]): void {
    const { router, subscriber: peer } = this.#parts;
    const want = wants.find(({ origin }) => origin === this.#opening.origin);
    if (want) router.send({ type: 'own.wanted', peer, want }, 'control');
  }

  #tellRefused({ origin, sequence: at, version, reason }: RefusedFrame): void {
    const { router, subscriber: peer } = this.#parts;
    if (reason !== AHEAD) return;
    const refusal = { origin, sequence: at, version };
    router.send({ type: 'entries.refused', peer, refusal }, 'control');
  }

  #endStream(reason: string): void {
    this.#parts.link.sendControl({ kind: 'Unsubscribe', stream: this.#stream, reason });
    this.#context.stopSelf();
  }

  #onAdvanced(told: Extract<FeedMessage, { type: 'log.advanced' }>): void | Promise<void> {
    const { positions, whole, inPart } = told;
    if (whole !== this.#whole || inPart !== this.#inPart) {
      this.#whole = whole;
      this.#inPart = inPart;
      this.#sendNotice([]);
    }
    this.#progress.advanced(positions);
    return this.#step({ type: 'logAdvanced', positions });
  }

  /** Steps the machine until nothing more is to be done at once. */
  async #step(first: FeedEvent): Promise<void> {
    const events: FeedEvent[] = [first];
    for (let event = events.shift(); event; event = events.shift()) {
      const [state, effects] = stepFeed(this.#state, event);
      this.#state = state;
      for (const effect of effects) {
        const next = await this.#carryOut(effect);
        if (next) events.push(next);
      }
    }
    this.#progress.paused(isPaused(this.#state));
  }

  #carryOut(effect: FeedEffect): FeedEvent | undefined | Promise<FeedEvent | undefined> {
    switch (effect.type) {
      case 'readEntries':
        return this.#readEntries(effect);
      case 'sendEntries':
        return this.#sendEntries();
      case 'sendTooOld':
        this.#progress.tooOld(effect.origin);
        this.#parts.link.sendControl({ kind: 'TooOld', stream: this.#stream, ...effectOf(effect) });
        return undefined;
      case 'sendNotice':
        this.#sendNotice(effect.positions);
        return undefined;
      case 'startNoticeTimer':
        this.#context.startTimer('notice', NOTICE_MS, { type: 'timer.notice' });
        return undefined;
      case 'openCopy':
        return this.#openCopy(effect);
      case 'readCopy':
        return this.#readCopy(effect.bytesMax);
      case 'sendCopyRows':
        return this.#sendCopyRows(effect.ended);
      default:
        return effect satisfies never;
    }
  }

  #readEntries(request: {
    origin: OriginId;
    after: number;
    bytesMax: number;
  }): FeedEvent | Promise<FeedEvent> {
    const { log } = this.#opening;
    const now = log.readNow(request);
    if (now) return this.#entriesRead(request, now);
    return log.read(request).then((read) => this.#entriesRead(request, read));
  }

  #entriesRead(request: { origin: OriginId; after: number }, read: LogRead): FeedEvent {
    const { origin, after } = request;
    const entries = read.kind === 'entries' ? this.#filtered(origin, read.entries) : [];
    this.#read = { origin, entries };
    const result =
      read.kind === 'entries'
        ? { count: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.length, 0) }
        : read.kind;
    const logStart = this.#opening.log.vector().get(origin)?.logStart ?? sequence(0);
    return { type: 'entriesRead', origin, after, result, logStart };
  }

  /** Nothing is decoded on a link without rules. */
  #filtered(origin: OriginId, entries: readonly Buffer[]): readonly Buffer[] {
    if (passesAll(this.#filter)) return entries;
    return entries.map((entry) => filterEntry(origin, entry, this.#filter));
  }

  async #sendEntries(): Promise<FeedEvent | undefined> {
    if (!this.#read) return undefined;
    const { origin, entries } = this.#read;
    const last = entries.at(-1);
    if (last) this.#sending = readEntryHeader(last).version;
    if (entries[0]) this.#progress.sent({ origin, ...readEntryHeader(entries[0]) });
    const sent = entries.map((bytes) => ({ origin, bytes }));
    await this.#sendData(encodeEntries(this.#stream, sent));
    this.#context.count('entriesSent', entries.length);
    return this.#congestion();
  }

  /** In parts where it is large, and then no faster than the link takes them. */
  async #sendData(frame: Buffer): Promise<void> {
    const parts = splitFrame(this.#stream, frame);
    for (const part of parts) {
      this.#parts.link.send(part);
      if (parts.length === 1) return;
      this.#progress.paused(this.#parts.link.isCongested);
      await this.#parts.link.writable(this.#context.signal);
    }
  }

  /** The link says when it has drained. */
  #congestion(): FeedEvent | undefined {
    return this.#parts.link.isCongested
      ? { type: 'congestionChanged', congested: true }
      : undefined;
  }

  async #openCopy(asked: {
    after: CopyPlaceOnWire | null;
    tables?: TableScope;
  }): Promise<FeedEvent> {
    await this.#copy?.source.close();
    this.#copy = null;
    const { scope, startTimeMs } = this.#filter;
    const tables = asked.tables ? intersection(scope, asked.tables) : scope;
    const opened = this.#whole
      ? await this.#opening.openCopy(asked.after, { tables, startTimeMs })
      : null;
    if (!opened) {
      const reason = 'this node is in the middle of a copy itself';
      this.#parts.link.sendControl({ kind: 'CopyRefused', stream: this.#stream, reason });
      return { type: 'copyEnded' };
    }
    const { source, owed } = opened;
    this.#copy = { source, rows: [], sent: 0 };
    this.#parts.link.sendControl({
      kind: 'CopyBegin',
      stream: this.#stream,
      positions: [...source.vector].map(([origin, { sequence: reached, version, checksum }]) => ({
        origin,
        sequence: reached,
        version,
        checksum,
      })),
      owed,
      estimatedRows: await source.estimateRows(),
      marks: source.marks,
      tables: source.tables,
      ...(!isWhole(source.leftOut) && { leftOut: source.leftOut }),
      ...toldInPart(source.inPart),
    });
    return { type: 'copyOpened' };
  }

  async #readCopy(bytesMax: number): Promise<FeedEvent> {
    if (!this.#copy) return { type: 'copyRead', bytes: 0, ended: true };
    const { rows, isEnd } = await this.#copy.source.next(bytesMax);
    this.#copy.rows = rows;
    return { type: 'copyRead', bytes: 0, ended: isEnd };
  }

  async #sendCopyRows(ended: boolean): Promise<FeedEvent | undefined> {
    const copy = this.#copy;
    if (!copy) return undefined;
    if (ended) {
      await copy.source.close();
      this.#copy = null;
      this.#parts.link.sendControl({ kind: 'CopyEnd', stream: this.#stream, rows: copy.sent });
      return undefined;
    }
    const frame = encodeCopyRows(this.#stream, copy.rows);
    this.#progress.copyMoved();
    copy.sent += copy.rows.length;
    await this.#sendData(frame);
    this.#context.count('rowsCopied', copy.rows.length);
    return { type: 'credited', bytes: -frame.length };
  }

  #sendNotice(positions: readonly OriginPosition[]): void {
    const whole = this.#whole;
    const inPart = this.#toldInPart();
    this.#parts.link.sendControl({
      kind: 'Notice',
      stream: this.#stream,
      positions,
      whole,
      ...inPart,
    });
  }

  /** Of tables the subscriber may hear of. */
  #toldInPart(): ReturnType<typeof toldInPart> {
    return toldInPart(partHeldWithin(this.#inPart, this.#filter.scope));
  }

  #noteConfirmed(positions: readonly OriginPosition[]): void {
    for (const { version } of positions)
      if (version > (this.#confirmed ?? 0)) this.#confirmed = version;
    if (backlogOf(this.#state) === 0) this.#sending = null;
  }

  #status(): FeedStatus {
    return {
      sendingMs: this.#sending === null ? null : millisecondsOf(this.#sending),
      confirmedMs: this.#confirmed === null ? null : millisecondsOf(this.#confirmed),
      entriesUnsent: backlogOf(this.#state),
      copying: this.#state.copying !== 'no',
      ...this.#progress.status(this.#state.copying !== 'no'),
    };
  }
}

/** There is something to send, and no credit or a full socket. */
const isPaused = (state: FeedState): boolean =>
  (state.congested || !hasRoom(state)) && (backlogOf(state) > 0 || state.copying === 'open');

const copyWanted = ({ after, tables }: Extract<ControlFrame, { kind: 'CopyRequest' }>) => ({
  after,
  ...(tables && { tables }),
});

const toldInPart = (held: PartHeld): { inPart?: PartHeldOnWire } =>
  held.size > 0 ? { inPart: partHeldOnWire(held) } : {};

const effectOf = <E extends { type: string }>({ type: _type, ...rest }: E): Omit<E, 'type'> => rest;
