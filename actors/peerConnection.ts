/**
 * peer:<node>: the link to one node. Has it dialled, greets, keeps alive, decides between two links, tells databases and
 * members, and owns the streams of both directions. Spawned by peerSupervisor. Frames of streams go straight to their
 * actors; only what concerns the link passes this mailbox.
 */
import { isDeepStrictEqual } from 'node:util';
import { decodeControl, isControlFrame, type ControlFrame } from '../protocol/frames.js';
import { readDataHeader } from '../protocol/dataFrames.js';
import { messageOf } from '../protocol/errors.js';
import type { FlowRules } from '../protocol/flow.js';
import type { DatabaseName, NodeName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { MemberFact } from '../protocol/membership.js';
import { keepsNewer } from '../protocol/session.js';
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
import { PeerDialler } from './peerDialler.js';
import { PeerLink } from './peerLink.js';
import type {
  ClusterMessage,
  Databases,
  PeerMessage,
  PeerStatus,
  StreamStatus,
} from './messages.js';
import { PeerStreams } from './peerStreams.js';
import type { NodeResources } from './resources.js';
import type { Closed, Connection } from './transport/types.js';

export interface PeerParts {
  readonly name: NodeName;
  readonly cluster: ActorRef<ClusterMessage>;
  readonly resources: NodeResources;
  /** What holds when a life begins; what changes later comes as messages. */
  readonly present: () => {
    readonly urls: readonly string[];
    readonly databases: Databases;
    readonly members: readonly MemberFact[];
    readonly rules: FlowRules;
  };
  /** Accepted links on their way to this actor, which takes them out; what is left when it has ended is refused. */
  readonly onTheWay: Set<Connection>;
  /** Why the peer is being closed; null when this node stops. */
  readonly closeReason: () => string | null;
}

export const peerSpec = (parts: PeerParts): ActorSpec<PeerMessage> => ({
  name: `peer:${parts.name}`,
  policy: {
    restart: 'always',
    backoff: { msMin: limits.reconnectMsMin, msMax: limits.reconnectMsMax },
    whenSpent: 'stop',
  },
  start: (context) => new PeerConnection(context, parts),
});

const LINKS_PER_LIFE = 2 ** 20;

class PeerConnection implements Actor<PeerMessage> {
  readonly #context: ActorContext<PeerMessage>;
  readonly #parts: PeerParts;
  readonly #streams: PeerStreams;
  readonly #dialler: PeerDialler;
  readonly #tickMs: number;
  #databases: Databases;
  #members: readonly MemberFact[];
  #links = new Map<number, PeerLink>();
  #current: PeerLink | null = null;
  #justOpened: PeerLink | null = null;
  #nextLink: number;
  /** On the link that was open last. */
  #lastHeardMs: number | null = null;
  #lastError: { code: number; timeMs: number; reason: string } | null = null;
  #reason = 'not yet connected';
  /** What was warned of since a link opened. */
  readonly #warned = new Set<string>();

  constructor(context: ActorContext<PeerMessage>, parts: PeerParts) {
    this.#context = context;
    this.#parts = parts;
    const { urls, databases, members, rules } = parts.present();
    this.#databases = databases;
    this.#members = members;
    // The end of a link of an earlier life may be told to this one: it must not be taken for one of its own.
    this.#nextLink = context.life * LINKS_PER_LIFE;
    this.#streams = new PeerStreams({ ...parts, databases, rules, context });
    this.#dialler = new PeerDialler({ ...parts, urls, context });
    const { pingIntervalMs } = parts.resources.config.replication;
    this.#tickMs = Math.max(50, Math.min(1_000, pingIntervalMs / 4));
    context.startTimer('tick', this.#tickMs, { type: 'timer.tick' });
    this.#begin();
  }

  readonly receive = (message: PeerMessage): void | Promise<void> => {
    switch (message.type) {
      case 'databases.changed':
        return this.#onDatabases(message.databases);
      case 'members.changed':
        return this.#onMembers(message.members);
      case 'flow.changed':
        return this.#onRules(message.rules);
      case 'urls.changed':
        return this.#onUrls(message.urls);
      case 'link.accepted':
        this.#parts.onTheWay.delete(message.connection);
        return this.#meet(message.connection);
      case 'link.dialled':
        this.#dialler.over();
        return this.#meet(message.connection);
      case 'link.refused':
        return this.#current ? undefined : this.#note(message.reason, 1008);
      case 'link.failed':
        this.#dialler.over();
        return this.#notConnected(message.reason, 1006);
      case 'link.frame':
        return this.#onFrame(message.link, message.frame);
      case 'link.malformed':
        return this.#links.get(message.link)?.step({ type: 'malformed', reason: message.reason });
      case 'link.closed':
        return this.#onClosed(message.link, message);
      case 'greeting.ready':
        return this.#greet(message);
      case 'router.ended':
        return this.#streams.restart(message.database);
      case 'stream.ended':
        return this.#streams.ended(message);
      case 'timer.dial':
        return this.#dial();
      case 'timer.tick':
        return this.#tick();
      case 'timer.resubscribe':
        return this.#streams.subscribe(message.database);
      case 'peer.status':
        // Beside the mailbox: what is waited for may be behind it.
        return void this.#status().then(message.replyTo.ok, message.replyTo.fail);
      default:
        return message satisfies never;
    }
  };

  stopped(): void {
    const reason = this.#parts.closeReason();
    this.#dialler.stop();
    for (const link of this.#links.values()) {
      if (reason === null) link.close(1001, 'this node is stopping');
      else link.close(1000, reason);
    }
    this.#links.clear();
  }

  phase(): string {
    if (this.#current) return 'open';
    if (this.#links.size > 0) return 'greeting';
    return this.#dialler.isDialling ? 'connecting' : 'waiting';
  }

  describe(): Record<string, unknown> {
    return {
      url: this.#dialler.url,
      links: this.#links.size,
      attempt: this.#dialler.attempt,
      streamCrashes: this.#streams.crashes.count,
      lastStreamCrash: this.#streams.crashes.last,
      rttMs: this.#current?.rttMs ?? null,
      ...(this.#current ? {} : { reason: this.#reason }),
    };
  }

  #begin(): void {
    if (this.#dialler.hasUrl) this.#dial();
    else this.#reason = NO_URL;
  }

  #dial(): void {
    if (!this.#current) this.#dialler.dial();
  }

  /** A socket is there: who it is, the transport has proven; the greeting follows. */
  #meet(connection: Connection): void {
    const id = this.#nextLink++;
    const { resources, name } = this.#parts;
    const link = new PeerLink({
      id,
      connection,
      peer: name,
      resources,
      databases: this.#streams.offers(this.#databases.keys()),
      opened: () => {
        this.#justOpened = link;
      },
      measured: (rttMs) => this.#streams.measured(rttMs),
    });
    this.#links.set(id, link);
    void Promise.all([this.#streams.clock(), link.certificateRefusal()]).then(([clock, refusal]) =>
      this.#context.self.send({ type: 'greeting.ready', link: id, clock, refusal }, 'control'),
    );
  }

  /** Frames wait until now, so that none overtakes the greeting. */
  #greet({ link: id, clock, refusal }: Extract<PeerMessage, { type: 'greeting.ready' }>): void {
    const link = this.#links.get(id);
    if (!link) return;
    link.clock = clock;
    link.connection.start({
      frame: (bytes) => this.#route(link, bytes),
      closed: (closed) => {
        link.lost(closed);
        this.#context.self.send({ type: 'link.closed', link: id, ...closed }, 'control');
      },
      drained: () => {
        link.link.drained();
        if (this.#current === link) this.#streams.drained();
      },
    });
    link.begin(clock, refusal);
  }

  /** Runs in the socket's turn: frames of streams go straight to their actors. */
  #route(link: PeerLink, bytes: Buffer): void {
    link.heard();
    try {
      if (!isControlFrame(bytes)) {
        if (link === this.#current) this.#streams.data(readDataHeader(bytes).stream, bytes);
        return;
      }
      const frame = decodeControl(bytes);
      // What follows a Welcome may be large, and is read before this actor has had its turn.
      if (frame.kind === 'Welcome' && link.dialled) link.acceptFrames();
      if ('stream' in frame && link === this.#current && this.#streams.frame(frame)) return;
      const message = { type: 'link.frame', link: link.id, frame } as const;
      if (this.#context.self.send(message, 'control') === 'full') link.connection.terminate();
    } catch (error) {
      const message = { type: 'link.malformed', link: link.id, reason: messageOf(error) } as const;
      this.#context.self.send(message, 'control');
    }
  }

  async #onFrame(id: number, frame: ControlFrame): Promise<void> {
    const link = this.#links.get(id);
    if (!link) return;
    const greets = frame.kind === 'Hello' || frame.kind === 'Welcome';
    if (greets && !(await this.#admits(link, frame.process))) return;
    link.step({ type: 'frame', frame, clock: link.clock });
    if (this.#justOpened === link) await this.#onOpened(link);
    if (link !== this.#current) return;
    if (frame.kind === 'Subscribe') await this.#streams.serve(frame, link.link);
    else if (frame.kind === 'Gossip') {
      this.#streams.offered(frame.databases);
      this.#tellCluster(frame);
    }
  }

  /**
   * Before a link opens: false when it was closed because another process is there under this name. The mailbox waits
   * for the answer, so that what the newcomer says meanwhile is heard after its greeting.
   */
  async #admits(link: PeerLink, process: string): Promise<boolean> {
    if (link.hasGreeted || !this.#current || (await this.#current.admits(process))) return true;
    const reason = `another process already takes part as ${this.#parts.name}`;
    this.#lastError = { code: 1008, timeMs: this.#parts.resources.environment.now(), reason };
    this.#warnOnce(reason);
    link.close(1008, reason);
    return false;
  }

  #warnOnce(reason: string): void {
    if (this.#warned.has(reason)) return;
    this.#warned.add(reason);
    this.#parts.resources.log.warn({ peer: this.#parts.name, reason }, 'refused a link');
  }

  async #onOpened(link: PeerLink): Promise<void> {
    this.#justOpened = null;
    if (this.#current && !this.#replaces(this.#current, link)) return;
    this.#current = link;
    this.#reason = '';
    this.#warned.clear();
    this.#dialler.rest();
    link.acceptFrames();
    this.#gossip();
    await this.#streams.stop();
    this.#streams.start(link.link, this.#databases, link.dialled);
    this.#streams.observeClock(link.peerClock);
    this.#tellCluster({ databases: link.peerDatabases, members: [] });
    this.#parts.resources.log.info({ peer: this.#parts.name }, 'connected');
  }

  /** Closes one of the two. */
  #replaces(older: PeerLink, newer: PeerLink): boolean {
    const own = this.#parts.resources.config.node.name;
    const newerWins = keepsNewer({ own, peer: this.#parts.name, older, newer });
    if (older.process === newer.process) (newerWins ? older : newer).close(1000, 'DUPLICATE');
    else older.close(1011, 'nothing heard, and the peer is there with another process');
    return newerWins;
  }

  /** What this node has for the peer and knows, to the peer. */
  #gossip(): void {
    this.#current?.link.sendControl({
      kind: 'Gossip',
      databases: this.#streams.offers(this.#databases.keys()),
      members: this.#members,
    });
  }

  /** What the peer has and knows. */
  #tellCluster(heard: {
    databases: readonly DatabaseName[];
    members: readonly MemberFact[];
  }): void {
    const { databases, members } = heard;
    const { cluster, name } = this.#parts;
    cluster.send({ type: 'gossip.heard', peer: name, databases, members });
  }

  async #onClosed(id: number, closed: Closed): Promise<void> {
    const link = this.#links.get(id);
    if (!link) return;
    this.#links.delete(id);
    link.ended();
    if (link !== this.#current) {
      if (!this.#current && this.#links.size === 0 && !this.#dialler.isDialling)
        this.#notConnected(
          link.closeReason ?? (closed.reason || `closed with ${closed.code}`),
          closed.code,
        );
      return;
    }
    this.#current = null;
    this.#lastHeardMs = link.lastHeardMs;
    if (link.wasUseful) this.#dialler.reset();
    await this.#streams.stop();
    const reason = link.closeReason ?? closed.reason;
    this.#parts.resources.log.info({ peer: this.#parts.name, reason }, 'disconnected');
    this.#notConnected(reason, closed.code);
  }

  #notConnected(reason: string, code: number): void {
    this.#note(reason, code);
    if (!this.#current) this.#dialler.dialLater();
  }

  #note(reason: string, code: number): void {
    this.#reason = reason;
    this.#lastError = { code, timeMs: this.#parts.resources.environment.now(), reason };
  }

  #tick(): void {
    this.#context.startTimer('tick', this.#tickMs, { type: 'timer.tick' });
    for (const link of this.#links.values()) link.tick();
  }

  #onDatabases(databases: Databases): void | Promise<void> {
    this.#databases = databases;
    if (!this.#current) return;
    this.#gossip();
    return this.#streams.databasesChanged(databases);
  }

  /** What the peer was refused it may ask for again when it hears what there is. */
  async #onRules(rules: FlowRules): Promise<void> {
    if (await this.#streams.rulesChanged(rules)) this.#gossip();
  }

  #onMembers(members: readonly MemberFact[]): void {
    if (isDeepStrictEqual(members, this.#members)) return;
    this.#members = members;
    this.#gossip();
  }

  /** A wait for the next dial goes on; who had nowhere to dial begins. */
  #onUrls(urls: readonly string[]): void {
    const hadUrl = this.#dialler.hasUrl;
    this.#dialler.urlsChanged(urls);
    if (!this.#current && hadUrl !== this.#dialler.hasUrl) this.#begin();
  }

  /** A link over which nothing came of late is asked first: `connected` is about now. */
  async #status(): Promise<PeerStatus> {
    const [databases]: [StreamStatus[], unknown] = await Promise.all([
      this.#streams.status(),
      this.#current?.listen(),
    ]);
    const { url, attempt, nextTryMs } = this.#dialler;
    const reason = this.#current ? this.#current.lostReason : this.#reason;
    const rttMs = this.#current?.rttMs ?? null;
    const lastHeardMs = this.#current?.lastHeardMs ?? this.#lastHeardMs;
    return {
      name: this.#parts.name,
      url,
      connected: reason === null,
      phase: this.phase(),
      attempt,
      databases,
      ...(reason !== null && { reason }),
      ...(nextTryMs !== null && { nextTryMs }),
      ...(rttMs !== null && { rttMs }),
      ...(lastHeardMs !== null && { lastHeardMs }),
      ...(this.#lastError && { lastError: this.#lastError }),
    };
  }
}

const NO_URL = 'no URL of it is known: it has to dial this node';
