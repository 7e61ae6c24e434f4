/**
 * peers: parent of all peer:<node>. Opens what membership says, hands accepted connections to the peer they belong to,
 * passes the list of databases on. Holds no logic about links or members, so that a bug there cannot drop links.
 */
import { nodeName, type NodeName } from '../protocol/ids.js';
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
import type { Connection } from './transport/types.js';

export const peersSpec = (parts: {
  resources: NodeResources;
  cluster: ActorRef<ClusterMessage>;
  databases: () => Databases;
}): ActorSpec<PeersMessage> => ({
  name: 'peers',
  policy: {
    restart: 'onCrash',
    budget: { restarts: 5, withinMs: 60_000 },
    whenSpent: 'escalate',
  },
  start: (context) => new PeerSupervisor(context, parts),
});

interface Peer {
  readonly ref: ActorRef<PeerMessage>;
  readonly url: string;
}

const STATUS_MS = 3_000;

class PeerSupervisor implements Actor<PeersMessage> {
  readonly #context: ActorContext<PeersMessage>;
  readonly #resources: NodeResources;
  readonly #cluster: ActorRef<ClusterMessage>;
  #databases: Databases;
  #peers = new Map<NodeName, Peer>();

  constructor(
    context: ActorContext<PeersMessage>,
    parts: {
      resources: NodeResources;
      cluster: ActorRef<ClusterMessage>;
      databases: () => Databases;
    },
  ) {
    this.#context = context;
    this.#resources = parts.resources;
    this.#cluster = parts.cluster;
    this.#databases = parts.databases();
  }

  readonly receive = (message: PeersMessage): void => {
    switch (message.type) {
      case 'peer.open':
        return this.#open(message.name, message.url);
      case 'peer.accepted':
        return this.#accept(message.connection);
      case 'databases.changed':
        this.#databases = message.databases;
        for (const { ref } of this.#peers.values()) ref.send(message, 'control');
        return;
      case 'peers.status':
        void this.#status().then(message.replyTo.ok, message.replyTo.fail);
        return;
      default:
        return message satisfies never;
    }
  };

  describe(): Record<string, unknown> {
    return { peers: [...this.#peers.keys()] };
  }

  #open(name: NodeName, url: string): void {
    if (this.#peers.has(name)) return;
    const ref = this.#context.spawn(
      peerSpec({
        name,
        url,
        databases: this.#databases,
        cluster: this.#cluster,
        resources: this.#resources,
      }),
    );
    this.#peers.set(name, { ref, url });
  }

  /** The transport has proven the other end's name: its IP address, or its name in memory. */
  #accept(connection: Connection): void {
    const name = nodeName(connection.remoteAddress);
    const peer = this.#peers.get(name);
    if (!peer) {
      this.#resources.log.warn({ peer: name }, 'refused a connection from an unknown node');
      return refuse(
        connection,
        `no hdb_nodes entry for ${name}; run add_node from this node specifying the peer URL to register it`,
      );
    }
    const sent = peer.ref.send({ type: 'link.accepted', connection }, 'control');
    if (sent !== 'queued') refuse(connection, 'this node takes no connections now', 1013);
  }

  async #status(): Promise<PeerStatus[]> {
    return Promise.all(
      [...this.#peers].map(([name, { ref, url }]) =>
        this.#context
          .ask<PeerStatus, PeerMessage>(ref, (replyTo) => ({ type: 'peer.status', replyTo }), {
            timeoutMs: STATUS_MS,
            lane: 'control',
          })
          .catch((error: Error) => silent(name, url, error)),
      ),
    );
  }
}

const refuse = (connection: Connection, reason: string, code = 1008): void => {
  connection.start({ frame: () => undefined, closed: () => undefined, drained: () => undefined });
  connection.close(code, reason);
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
