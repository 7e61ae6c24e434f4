/**
 * peer:<node>: the link to one node. Dials and redials, greets, keeps alive, decides between two links, and owns
 * the streams of both directions. Spawned by peerSupervisor. Frames of streams go straight to their actors;
 * only what concerns the link passes this mailbox.
 */
import {
  decodeControl,
  encodeControl,
  isControlFrame,
  type ControlFrame,
} from '../protocol/frames.js';
import { readDataHeader } from '../protocol/dataFrames.js';
import { messageOf } from '../protocol/errors.js';
import type { DatabaseName, NodeName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import { keepsNewer, reconnectDelayMs } from '../protocol/session.js';
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
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
  readonly url: string;
  readonly databases: Databases;
  readonly cluster: ActorRef<ClusterMessage>;
  readonly resources: NodeResources;
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
  readonly #tickMs: number;
  #databases: Databases;
  #links = new Map<number, PeerLink>();
  #current: PeerLink | null = null;
  #justOpened: PeerLink | null = null;
  #nextLink: number;
  #dialling = false;
  #attempt = 0;
  #nextTryMs: number | null = null;
  #lastError: { code: number; timeMs: number; reason: string } | null = null;
  #reason = 'not yet connected';

  constructor(context: ActorContext<PeerMessage>, parts: PeerParts) {
    this.#context = context;
    this.#parts = parts;
    this.#databases = parts.databases;
    // The end of a link of an earlier life may be told to this one: it must not be taken for one of its own.
    this.#nextLink = context.life * LINKS_PER_LIFE;
    this.#streams = new PeerStreams({ ...parts, context });
    const { pingIntervalMs } = parts.resources.config.replication;
    this.#tickMs = Math.max(50, Math.min(1_000, pingIntervalMs / 4));
    context.startTimer('tick', this.#tickMs, { type: 'timer.tick' });
    this.#dial();
  }

  readonly receive = (message: PeerMessage): void | Promise<void> => {
    switch (message.type) {
      case 'databases.changed':
        return this.#onDatabases(message.databases);
      case 'link.accepted':
        return this.#begin(message.connection);
      case 'link.dialled':
        this.#dialling = false;
        return this.#begin(message.connection);
      case 'link.failed':
        this.#dialling = false;
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
        return this.#status().then(message.replyTo.ok, message.replyTo.fail);
      default:
        return message satisfies never;
    }
  };

  stopped(): void {
    for (const link of this.#links.values()) link.close(1001, 'this node is stopping');
    this.#links.clear();
  }

  phase(): string {
    if (this.#current) return 'open';
    if (this.#links.size > 0) return 'greeting';
    return this.#dialling ? 'connecting' : 'waiting';
  }

  describe(): Record<string, unknown> {
    return {
      url: this.#parts.url,
      links: this.#links.size,
      attempt: this.#attempt,
      streamCrashes: this.#streams.crashes.count,
      lastStreamCrash: this.#streams.crashes.last,
      rttMs: this.#current?.rttMs ?? null,
      ...(this.#current ? {} : { reason: this.#reason }),
    };
  }

  #dial(): void {
    if (this.#current || this.#dialling || this.#context.signal.aborted) return;
    this.#dialling = true;
    this.#attempt++;
    this.#nextTryMs = null;
    const { transport, config } = this.#parts.resources;
    const { signal, self } = this.#context;
    const localAddress = localAddressOf(config.node.name);
    transport
      .dial(this.#parts.url, {
        signal,
        timeoutMs: limits.greetingMsMax,
        ...(localAddress !== undefined && { localAddress }),
      })
      .then(
        (connection) => {
          if (signal.aborted) connection.terminate();
          else self.send({ type: 'link.dialled', connection }, 'control');
        },
        (error: unknown) => self.send({ type: 'link.failed', reason: messageOf(error) }, 'control'),
      );
  }

  /** A socket is there: who it is, the transport has proven; the greeting follows. */
  #begin(connection: Connection): void {
    const id = this.#nextLink++;
    const { resources, name } = this.#parts;
    const link = new PeerLink({
      id,
      connection,
      peer: name,
      resources,
      databases: [...this.#databases.keys()],
      opened: () => {
        this.#justOpened = link;
      },
      measured: (rttMs) => this.#streams.measured(rttMs),
    });
    this.#links.set(id, link);
    void this.#streams
      .clock()
      .then((clock) =>
        this.#context.self.send({ type: 'greeting.ready', link: id, clock }, 'control'),
      );
  }

  /** Frames wait until now, so that none overtakes the greeting. */
  #greet({ link: id, clock }: Extract<PeerMessage, { type: 'greeting.ready' }>): void {
    const link = this.#links.get(id);
    if (!link) return;
    link.clock = clock;
    link.connection.start({
      frame: (bytes) => this.#route(link, bytes),
      closed: (closed) =>
        this.#context.self.send({ type: 'link.closed', link: id, ...closed }, 'control'),
      drained: () => {
        link.link.drained();
        if (this.#current === link) this.#streams.drained();
      },
    });
    link.step({ type: 'started', clock });
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
    link.step({ type: 'frame', frame, clock: link.clock });
    if (this.#justOpened === link) await this.#onOpened(link);
    if (link !== this.#current) return;
    if (frame.kind === 'Subscribe') await this.#streams.serve(frame, link.link);
    else if (frame.kind === 'Gossip') {
      this.#streams.offered(frame.databases);
      this.#gossip(frame.databases);
    }
  }

  async #onOpened(link: PeerLink): Promise<void> {
    this.#justOpened = null;
    const older = this.#current;
    if (older) {
      const own = this.#parts.resources.config.node.name;
      const newerWins = keepsNewer({ own, peer: this.#parts.name, older, newer: link });
      (newerWins ? older : link).close(1000, 'DUPLICATE');
      if (!newerWins) return;
    }
    this.#current = link;
    this.#reason = '';
    this.#nextTryMs = null;
    this.#context.cancelTimer('dial');
    link.connection.acceptFrames(this.#parts.resources.config.replication.maxPayloadBytes);
    await this.#streams.stop();
    this.#streams.start(link.link, this.#databases, link.dialled);
    this.#streams.observeClock(link.peerClock);
    this.#gossip(link.peerDatabases);
    this.#parts.resources.log.info({ peer: this.#parts.name }, 'connected');
  }

  #gossip(databases: readonly DatabaseName[]): void {
    this.#parts.cluster.send({ type: 'databases.gossiped', peer: this.#parts.name, databases });
  }

  async #onClosed(id: number, closed: Closed): Promise<void> {
    const link = this.#links.get(id);
    if (!link) return;
    this.#links.delete(id);
    link.ended();
    if (link !== this.#current) {
      if (!this.#current && this.#links.size === 0 && !this.#dialling)
        this.#notConnected(closed.reason || `closed with ${closed.code}`, closed.code);
      return;
    }
    this.#current = null;
    if (link.wasUseful) this.#attempt = 0;
    await this.#streams.stop();
    const reason =
      link.closeReason ?? (closed.reason || `the connection was lost (${closed.code})`);
    this.#parts.resources.log.info({ peer: this.#parts.name, reason }, 'disconnected');
    this.#notConnected(reason, closed.code);
  }

  #notConnected(reason: string, code: number): void {
    const { now, random } = this.#parts.resources.environment;
    this.#reason = reason;
    this.#lastError = { code, timeMs: now(), reason };
    if (this.#current) return;
    const delayMs = reconnectDelayMs({
      attempt: Math.max(1, this.#attempt),
      msMin: limits.reconnectMsMin,
      msMax: limits.reconnectMsMax,
      random: random(),
    });
    this.#nextTryMs = now() + delayMs;
    this.#context.startTimer('dial', delayMs, { type: 'timer.dial' });
  }

  #tick(): void {
    this.#context.startTimer('tick', this.#tickMs, { type: 'timer.tick' });
    for (const link of this.#links.values()) link.step({ type: 'ticked' });
  }

  #onDatabases(databases: Databases): void | Promise<void> {
    this.#databases = databases;
    if (!this.#current) return;
    this.#current.link.send(encodeControl({ kind: 'Gossip', databases: [...databases.keys()] }));
    return this.#streams.databasesChanged(databases);
  }

  async #status(): Promise<PeerStatus> {
    const { name, url } = this.#parts;
    const databases: StreamStatus[] = await this.#streams.status();
    const rttMs = this.#current?.rttMs;
    return {
      name,
      url,
      connected: this.#current !== null,
      phase: this.phase(),
      attempt: this.#attempt,
      databases,
      ...(this.#current === null && { reason: this.#reason }),
      ...(this.#nextTryMs !== null && { nextTryMs: this.#nextTryMs }),
      ...(rttMs !== undefined && rttMs !== null && { rttMs }),
      ...(this.#current && { lastHeardMs: this.#current.lastHeardMs }),
      ...(this.#lastError && { lastError: this.#lastError }),
    };
  }
}

/** A node named by a loopback address dials from it, so that the other side sees whom it deals with. */
const localAddressOf = (name: NodeName): string | undefined =>
  /^127\.\d+\.\d+\.\d+$/.test(name) ? name : undefined;
