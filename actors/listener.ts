/**
 * listener: accepts connections of other nodes and hands them on: links to `peers`, operations to `cluster`. Without
 * TLS it listens on loopback only. When it fails, links that exist and those this node dials go on.
 */
import { SkeinError } from '../protocol/errors.js';
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
import type { ClusterMessage, ListenerMessage, PeersMessage } from './messages.js';
import type { NodeResources } from './resources.js';
import type { Connection, ListeningSocket } from './transport/types.js';

interface ListenerParts {
  readonly resources: NodeResources;
  readonly peers: ActorRef<PeersMessage>;
  readonly cluster: ActorRef<ClusterMessage>;
}

export const listenerSpec = (parts: ListenerParts): ActorSpec<ListenerMessage> => ({
  name: 'listener',
  policy: {
    restart: 'onCrash',
    budget: { restarts: 5, withinMs: 60_000 },
    backoff: { msMin: 500, msMax: 10_000 },
    whenSpent: 'stop',
  },
  start: (context) => Listener.open(context, parts),
});

class Listener implements Actor<ListenerMessage> {
  readonly #socket: ListeningSocket;
  readonly #parts: ListenerParts;
  #accepted = 0;

  private constructor(socket: ListeningSocket, parts: ListenerParts) {
    this.#socket = socket;
    this.#parts = parts;
  }

  static async open(
    context: ActorContext<ListenerMessage>,
    parts: ListenerParts,
  ): Promise<Listener> {
    const { config, transport } = parts.resources;
    const address = addressOf(config);
    const socket = await transport.listen(address, (connection) => {
      if (context.self.send({ type: 'connection.accepted', connection }) !== 'queued')
        connection.terminate();
    });
    return new Listener(socket, parts);
  }

  readonly receive = (message: ListenerMessage): void => {
    switch (message.type) {
      case 'connection.accepted':
        this.#accepted++;
        return this.#accept(message.connection);
      default:
        return message.type satisfies never;
    }
  };

  stopped(): Promise<void> {
    return this.#socket.close();
  }

  describe(): Record<string, unknown> {
    return { address: this.#socket.address, accepted: this.#accepted };
  }

  #accept(connection: Connection): void {
    const { peers, cluster } = this.#parts;
    const sent =
      connection.purpose === 'operation'
        ? cluster.send({ type: 'operation.accepted', connection }, 'control')
        : peers.send({ type: 'peer.accepted', connection }, 'control');
    if (sent !== 'queued') connection.terminate();
  }
}

const addressOf = (config: NodeResources['config']) => {
  const { insecure } = config.replication;
  if (insecure) return insecure;
  const memory = /^memory:\/\/(.+)$/.exec(config.node.url);
  if (memory?.[1]) return { host: memory[1], port: 0 };
  throw new SkeinError('INVALID_CONFIGURATION', 'There is no address to listen on for replication');
};

/** Whether this node accepts replication connections at all. */
export const listens = (config: NodeResources['config']): boolean =>
  config.replication.insecure !== undefined || config.node.url.startsWith('memory://');
