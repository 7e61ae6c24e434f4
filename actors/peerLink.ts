/**
 * One socket to a peer with its session machine. Used by peerConnection only; several may exist until
 * their greetings have told which one stays.
 */
import type { Logger } from 'pino';
import { PROTOCOL_VERSION } from '../protocol/frames.js';
import {
  incarnation,
  nodeName,
  version,
  type DatabaseName,
  type NodeName,
  type Version,
} from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import {
  admission,
  startSession,
  stepSession,
  type OpenLink,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from '../protocol/session.js';
import { lapse } from './admission.js';
import { Link } from './link.js';
import type { NodeResources } from './resources.js';
import { provenNames } from './transport/proven.js';
import type { Closed, Connection } from './transport/types.js';

export interface PeerLinkParts {
  readonly id: number;
  readonly connection: Connection;
  /** The node this link is for. */
  readonly peer: NodeName;
  readonly resources: NodeResources;
  /** What this node offers to replicate. */
  readonly databases: readonly DatabaseName[];
  readonly opened: () => void;
  readonly measured: (rttMs: number) => void;
}

/** The expected name if it is proven, else one that is: the session tells the difference. */
const provenNameFor = ({ proven, remoteAddress }: Connection, expected: NodeName): NodeName => {
  const names = provenNames(proven);
  return names.includes(expected) ? expected : (names[0] ?? nodeName(remoteAddress));
};

/** A link that was heard from so recently is not asked whether the peer is there. */
const QUIET_MS = 1_000;
/** How long the answer to such a question is waited for. */
const ANSWER_MS = 1_000;
/** How long the open link has, when another process greets under its name. */
const ADMISSION_MS = 1_500;

export class PeerLink implements OpenLink {
  readonly id: number;
  readonly connection: Connection;
  readonly link: Link;
  /** This node's hybrid clock when the link began. */
  clock: Version = version(0);
  /** Why it ended, or is being ended by this side; null while it may be used. */
  closeReason: string | null = null;
  /** The greeting was completed and answered: the next redial begins with a short wait. */
  wasUseful = false;
  lastHeardMs: number;
  readonly #parts: PeerLinkParts;
  readonly #probes = new Set<(heard: boolean) => void>();
  readonly #releaseCertificate: () => void;
  #session: SessionState;

  constructor(parts: PeerLinkParts) {
    const { resources, connection, peer } = parts;
    const { config, environment } = resources;
    this.id = parts.id;
    this.connection = connection;
    this.link = new Link(connection);
    this.#parts = parts;
    this.lastHeardMs = environment.now();
    this.#releaseCertificate = this.#holdCertificate();
    this.#session = startSession(
      {
        greeting: {
          versions: { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION },
          node: config.node.name,
          incarnation: incarnation(environment.processStartId),
          process: environment.processStartId,
          capabilities: [],
          databases: parts.databases,
        },
        dialled: connection.dialled,
        proven: provenNameFor(connection, peer),
        expected: peer,
        greetingMsMax: limits.greetingMsMax,
        pingIntervalMs: config.replication.pingIntervalMs,
        pingTimeoutMs: config.replication.pingTimeoutMs,
      },
      environment.now(),
    );
  }

  get dialled(): boolean {
    return this.connection.dialled;
  }

  get opened(): number {
    return this.id;
  }

  get rttMs(): number | null {
    return this.#session.rttMs;
  }

  /** The peer's process; empty before the greeting. */
  get process(): string {
    return this.#session.peer?.process ?? '';
  }

  get hasGreeted(): boolean {
    return this.#session.phase !== 'greeting';
  }

  /** Why the peer cannot be reached over this link now; null when it can. To be read after `listen`. */
  get lostReason(): string | null {
    const silentMs = this.#silentMs;
    if (this.closeReason !== null) return this.closeReason;
    // Its close was read; the end of the socket may take long after that, and nothing is sent any more.
    if (!this.connection.isOpen()) return 'the peer is closing the link';
    if (silentMs <= QUIET_MS + ANSWER_MS) return null;
    return `nothing heard for ${Math.round(silentMs)} ms`;
  }

  /** What the peer offers; empty before the greeting. */
  get peerDatabases(): readonly DatabaseName[] {
    return this.#session.peer?.databases ?? [];
  }

  /** The peer's hybrid clock at its greeting. */
  get peerClock(): Version {
    return this.#session.peer?.clock ?? version(0);
  }

  heard(): void {
    this.lastHeardMs = this.#parts.resources.environment.now();
    for (const settle of this.#probes) settle(true);
  }

  /** Resolves at once when something was heard of late, else when the peer has answered, or had time to. */
  async listen(): Promise<void> {
    if (this.#silentMs > QUIET_MS) await this.#probe(ANSWER_MS);
  }

  /** Whether a link of that process of the peer may open beside this one; see `admission`. */
  async admits(process: string): Promise<boolean> {
    const question = { openProcess: this.process, newProcess: process };
    const verdict = admission({ ...question, heard: null });
    if (verdict !== 'probe') return verdict === 'admit';
    const heard = await this.#probe(ADMISSION_MS);
    return admission({ ...question, heard }) === 'admit';
  }

  /** Why the peer's certificate is not accepted, by its authority; undefined: it is, or there is none. */
  async certificateRefusal(): Promise<string | undefined> {
    const { proven } = this.connection;
    if (proven.kind !== 'certificate') return undefined;
    const { trust, log } = this.#parts.resources;
    return await trust.revocation.check(proven.certificate, log.child({ peer: this.#parts.peer }));
  }

  begin(clock: Version, refusal: string | undefined): void {
    if (refusal !== undefined) this.#carryOut({ type: 'close', code: 1008, reason: refusal });
    else if (!this.#hasLapsed()) this.step({ type: 'started', clock });
  }

  /** At least every quarter of the ping interval. */
  tick(): void {
    if (!this.#hasLapsed()) this.step({ type: 'ticked' });
  }

  /** What lets the peer in may end while it is here: its certificate expires, or is revoked. Then the link is closed. */
  #hasLapsed(): boolean {
    const { peer, resources } = this.#parts;
    const { proven } = this.connection;
    const { trust, environment } = resources;
    const reason =
      lapse(proven, peer, { isRevoked: trust.isRevoked, nowMs: environment.now() }) ??
      (proven.kind === 'certificate' ? trust.revocation.refusalOf(proven.certificate) : undefined);
    if (reason === undefined) return false;
    if (this.closeReason === null) this.#carryOut({ type: 'close', code: 1008, reason });
    return true;
  }

  /** The greeting is over. */
  acceptFrames(): void {
    this.connection.acceptFrames(this.#parts.resources.config.replication.maxPayloadBytes);
  }

  step(event: SessionEvent): void {
    const { environment } = this.#parts.resources;
    this.#session = { ...this.#session, lastHeardMs: this.lastHeardMs };
    const [session, effects] = stepSession(this.#session, event, environment.now());
    this.#session = session;
    for (const effect of effects) this.#carryOut(effect);
  }

  /** From now on nothing that arrives has an effect. */
  close(code: number, reason: string): void {
    this.closeReason ??= reason;
    this.connection.close(code, reason);
    this.step({ type: 'socketClosed' });
    this.#stopListening();
  }

  /** The socket is gone, and its owner has come to know it. */
  ended(): void {
    this.link.closed();
    this.step({ type: 'socketClosed' });
    this.#stopListening();
  }

  /** The socket has told its end: from now on nothing is heard. */
  lost({ code, reason }: Closed): void {
    this.closeReason ??= reason || `the connection was lost (${code})`;
    this.#stopListening();
  }

  #holdCertificate(): () => void {
    const { proven } = this.connection;
    if (proven.kind !== 'certificate') return () => undefined;
    return this.#parts.resources.trust.revocation.hold(proven.certificate);
  }

  #stopListening(): void {
    this.#releaseCertificate();
    for (const settle of this.#probes) settle(false);
  }

  get #silentMs(): number {
    return this.#parts.resources.environment.now() - this.lastHeardMs;
  }

  /** Pings. Resolves with true when anything is heard from now on, with false after `waitMs` or when the link ends. */
  #probe(waitMs: number): Promise<boolean> {
    if (this.closeReason !== null) return Promise.resolve(false);
    const { setTimer, clearTimer } = this.#parts.resources.environment;
    return new Promise((resolve) => {
      const settle = (heard: boolean): void => {
        clearTimer(timer);
        this.#probes.delete(settle);
        resolve(heard);
      };
      // One more turn: after a time in which this process stood still, the answer may lie in the socket unread.
      let timer = setTimer(waitMs, () => {
        timer = setTimer(0, () => settle(false));
      });
      this.#probes.add(settle);
      this.step({ type: 'probed' });
    });
  }

  get #log(): Logger {
    return this.#parts.resources.log;
  }

  #carryOut(effect: SessionEffect): void {
    switch (effect.type) {
      case 'sendFrame':
        return this.link.sendControl(effect.frame);
      case 'opened':
        return this.#parts.opened();
      case 'measured':
        this.wasUseful = true;
        return this.#parts.measured(effect.rttMs);
      case 'close':
        this.#log.warn({ peer: this.#parts.peer, reason: effect.reason }, 'closing a link');
        return this.close(effect.code, effect.reason);
      default:
        return effect satisfies never;
    }
  }
}
