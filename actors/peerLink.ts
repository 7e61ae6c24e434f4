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
  startSession,
  stepSession,
  type OpenLink,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from '../protocol/session.js';
import { Link } from './link.js';
import type { NodeResources } from './resources.js';
import type { Connection } from './transport/types.js';

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

export class PeerLink implements OpenLink {
  readonly id: number;
  readonly connection: Connection;
  readonly link: Link;
  /** This node's hybrid clock when the link began. */
  clock: Version = version(0);
  closeReason: string | null = null;
  /** The greeting was completed and answered: the next redial begins with a short wait. */
  wasUseful = false;
  lastHeardMs: number;
  readonly #parts: PeerLinkParts;
  #session: SessionState;

  constructor(parts: PeerLinkParts) {
    const { resources, connection, peer } = parts;
    const { config, environment } = resources;
    this.id = parts.id;
    this.connection = connection;
    this.link = new Link(connection);
    this.#parts = parts;
    this.lastHeardMs = environment.now();
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
        proven: nodeName(connection.remoteAddress),
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
  }

  step(event: SessionEvent): void {
    const { environment } = this.#parts.resources;
    this.#session = { ...this.#session, lastHeardMs: this.lastHeardMs };
    const [session, effects] = stepSession(this.#session, event, environment.now());
    this.#session = session;
    for (const effect of effects) this.#carryOut(effect);
  }

  close(code: number, reason: string): void {
    this.closeReason ??= reason;
    this.connection.close(code, reason);
  }

  /** The socket is gone. */
  ended(): void {
    this.link.closed();
    this.step({ type: 'socketClosed' });
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
