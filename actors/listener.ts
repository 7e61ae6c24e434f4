/**
 * listener: accepts replication connections and hands them to `peers`. Without TLS it listens on loopback
 * only. When it fails, links that exist and those this node dials go on.
 */
import { SkeinError } from '../protocol/errors.js';
import type { Actor, ActorContext, ActorRef, ActorSpec } from './kernel/types.js';
import type { ListenerMessage, PeersMessage } from './messages.js';
import type { NodeResources } from './resources.js';
import type { Connection, ListeningSocket } from './transport/types.js';

export const listenerSpec = (parts: {
  resources: NodeResources;
  peers: ActorRef<PeersMessage>;
}): ActorSpec<ListenerMessage> => ({
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
  readonly #peers: ActorRef<PeersMessage>;
  #accepted = 0;

  private constructor(socket: ListeningSocket, peers: ActorRef<PeersMessage>) {
    this.#socket = socket;
    this.#peers = peers;
  }

  static async open(
    context: ActorContext<ListenerMessage>,
    parts: { resources: NodeResources; peers: ActorRef<PeersMessage> },
  ): Promise<Listener> {
    const { config, transport } = parts.resources;
    const address = addressOf(config);
    const socket = await transport.listen(address, (connection) => {
      if (context.self.send({ type: 'connection.accepted', connection }) !== 'queued')
        connection.terminate();
    });
    return new Listener(socket, parts.peers);
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
    if (this.#peers.send({ type: 'peer.accepted', connection }, 'control') !== 'queued')
      connection.terminate();
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
