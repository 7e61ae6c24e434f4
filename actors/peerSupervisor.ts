/**
 * peers: parent of all peer:<node>. Opens and closes what membership says, hands accepted links to the peer they belong
 * to, passes databases and members on. Holds no logic about links or members, so that a bug there cannot drop links.
 */
import { OPEN_RULES, type FlowRules } from '../protocol/flow.js';
import type { NodeName } from '../protocol/ids.js';
import type { MemberFact } from '../protocol/membership.js';
import { admit } from './admission.js';
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
import type {
  ClusterMessage,
  Databases,
  PeerMessage,
  PeersMessage,
  PeerStatus,
} from './messages.js';
import { peerSpec } from './peerConnection.js';
import type { NodeResources } from './resources.js';
import { refuseConnection } from './transport/closing.js';
import type { Connection } from './transport/types.js';

interface PeersParts {
  readonly resources: NodeResources;
  readonly cluster: ActorRef<ClusterMessage>;
  readonly databases: () => Databases;
}

export const peersSpec = (parts: PeersParts): ActorSpec<PeersMessage> => {
  const kept: KeptRules = { rules: OPEN_RULES };
  return {
    name: 'peers',
    policy: {
      restart: 'onCrash',
      budget: { restarts: 5, withinMs: 60_000 },
      whenSpent: 'escalate',
    },
    start: (context) => new PeerSupervisor(context, parts, kept),
  };
};

/** Outlives a crash: until the rules are told again the old ones hold, and not none. */
interface KeptRules {
  rules: FlowRules;
}

interface Peer {
  readonly ref: ActorRef<PeerMessage>;
  readonly onTheWay: Set<Connection>;
  urls: readonly string[];
  /** Null while it is open. */
  closeReason: string | null;
}

const STATUS_MS = 3_000;

class PeerSupervisor implements Actor<PeersMessage> {
  readonly #context: ActorContext<PeersMessage>;
  readonly #parts: PeersParts;
  readonly #kept: KeptRules;
  #databases: Databases;
  #members: readonly MemberFact[] = [];
  #peers = new Map<NodeName, Peer>();
  /** Peers whose actor is stopping, with the URLs to open them with again; null: they stay closed. */
  #closing = new Map<NodeName, readonly string[] | null>();

  constructor(context: ActorContext<PeersMessage>, parts: PeersParts, kept: KeptRules) {
    this.#kept = kept;
    this.#context = context;
    this.#parts = parts;
    this.#databases = parts.databases();
  }

  readonly receive = (message: PeersMessage): void => {
    switch (message.type) {
      case 'peer.open':
        return this.#open(message.name, message.urls);
      case 'peer.close':
        return this.#close(message.name, message.reason);
      case 'peer.accepted':
        return this.#accept(message.connection);
      case 'databases.changed':
        this.#databases = message.databases;
        return this.#tellPeers(message);
      case 'members.changed':
        this.#members = message.members;
        return this.#tellPeers(message);
      case 'flow.changed':
        this.#kept.rules = message.rules;
        return this.#tellPeers(message);
      case 'peers.open':
        return message.replyTo.ok([...this.#peers.keys()]);
      case 'peers.status':
        void this.#status().then(message.replyTo.ok, message.replyTo.fail);
        return;
      default:
        return message satisfies never;
    }
  };

  stopped(): void {
    for (const { onTheWay } of this.#peers.values()) refuseAll(onTheWay);
  }

  describe(): Record<string, unknown> {
    return { peers: [...this.#peers.keys()], closing: [...this.#closing.keys()] };
  }

  #open(name: NodeName, urls: readonly string[]): void {
    const open = this.#peers.get(name);
    if (open) {
      if (areSame(open.urls, urls)) return;
      open.urls = urls;
      open.ref.send({ type: 'urls.changed', urls }, 'control');
    } else if (this.#closing.has(name)) this.#closing.set(name, urls);
    else this.#peers.set(name, this.#spawn(name, urls));
  }

  #spawn(name: NodeName, urls: readonly string[]): Peer {
    const { resources, cluster } = this.#parts;
    const onTheWay = new Set<Connection>();
    const ref = this.#context.spawn(
      peerSpec({
        name,
        cluster,
        resources,
        present: () => ({
          urls: peer.urls,
          databases: this.#databases,
          members: this.#members,
          rules: this.#kept.rules,
        }),
        onTheWay,
        closeReason: () => peer.closeReason,
      }),
    );
    const peer: Peer = { ref, urls, onTheWay, closeReason: null };
    return peer;
  }

  /** Its name is free for another actor only when this one has stopped. */
  #close(name: NodeName, reason: string): void {
    if (this.#closing.has(name)) this.#closing.set(name, null);
    const peer = this.#peers.get(name);
    if (!peer) return;
    peer.closeReason = reason;
    this.#peers.delete(name);
    this.#closing.set(name, null);
    void this.#context.stop(peer.ref as ActorRef<never>).then(() => {
      refuseAll(peer.onTheWay);
      const urls = this.#closing.get(name) ?? null;
      this.#closing.delete(name);
      if (urls !== null) this.#open(name, urls);
    });
  }

  #tellPeers(message: Extract<PeersMessage, PeerMessage>): void {
    for (const { ref } of this.#peers.values()) ref.send(message, 'control');
  }

  /** What the transport has proven decides whose link it is: a certificate, an IP address, or a name in memory. */
  #accept(connection: Connection): void {
    const { log, environment, trust } = this.#parts.resources;
    const admission = admit(connection.proven, {
      admits: (name) => this.#peers.has(name) || (this.#closing.get(name) ?? null) !== null,
      isRevoked: trust.isRevoked,
      nowMs: environment.now(),
    });
    if ('reason' in admission) {
      const { reason, claims, refused } = admission;
      if (refused !== undefined)
        this.#peers.get(refused)?.ref.send({ type: 'link.refused', reason }, 'control');
      const { remoteAddress } = connection;
      log.warn({ remoteAddress, reason, claims }, 'refused a connection from an unknown node');
      return refuseConnection(connection, { code: 1008, reason });
    }
    const peer = this.#peers.get(admission.name);
    if (peer?.ref.send({ type: 'link.accepted', connection }, 'control') === 'queued')
      peer.onTheWay.add(connection);
    else refuseConnection(connection, LATER);
  }

  async #status(): Promise<PeerStatus[]> {
    return Promise.all(
      [...this.#peers].map(([name, { ref, urls }]) =>
        this.#context
          .ask<PeerStatus, PeerMessage>(ref, (replyTo) => ({ type: 'peer.status', replyTo }), {
            timeoutMs: STATUS_MS,
            lane: 'control',
          })
          .catch((error: Error) => silent(name, urls[0] ?? '', error)),
      ),
    );
  }
}

const areSame = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((one, at) => one === others[at]);

const LATER = { code: 1013, reason: 'this node takes no connections now' } as const;

const refuseAll = (connections: Set<Connection>): void => {
  for (const connection of connections) refuseConnection(connection, LATER);
  connections.clear();
};

/** A peer actor that cannot answer is a fact worth showing. */
const silent = (name: NodeName, url: string, error: Error): PeerStatus => ({
  name,
  url,
  connected: false,
  phase: 'restarting',
  reason: error.message,
  attempt: 0,
  databases: [],
});
