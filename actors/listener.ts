/**
 * listener: accepts connections of other nodes, with TLS and without, and hands them on: links to `peers`, operations to
 * `cluster`. Who they are is judged there. When it fails, links that exist and those this node dials go on.
 */
import { SkeinError } from '../protocol/errors.js';
import type { ListenAddress } from '../config/types.js';
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
  readonly #sockets: readonly ListeningSocket[];
  readonly #parts: ListenerParts;
  #accepted = 0;

  private constructor(sockets: readonly ListeningSocket[], parts: ListenerParts) {
    this.#sockets = sockets;
    this.#parts = parts;
  }

  static async open(
    context: ActorContext<ListenerMessage>,
    parts: ListenerParts,
  ): Promise<Listener> {
    const { config, transport, log } = parts.resources;
    const accepted = (connection: Connection): void => {
      if (context.self.send({ type: 'connection.accepted', connection }) !== 'queued')
        connection.terminate();
    };
    const sockets: ListeningSocket[] = [];
    try {
      for (const { secure, ...address } of portsOf(config))
        sockets.push(await transport.listen(address, accepted, { secure }));
    } catch (error) {
      await Promise.all(sockets.map((socket) => socket.close()));
      throw error;
    }
    const { insecure } = config.replication;
    if (insecure) log.warn(insecure, INSECURE);
    return new Listener(sockets, parts);
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

  async stopped(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }

  describe(): Record<string, unknown> {
    return { addresses: this.#sockets.map(({ address }) => address), accepted: this.#accepted };
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

const INSECURE =
  'replication.port is open without TLS: everything is readable on the way, and nodes are known by their IP address only; not for networks that others can reach';

const portsOf = (
  config: NodeResources['config'],
): readonly (ListenAddress & { readonly secure: boolean })[] => {
  const { insecure, secure } = config.replication;
  if (insecure ?? secure)
    return [
      ...(secure ? [{ ...secure, secure: true }] : []),
      ...(insecure ? [{ ...insecure, secure: false }] : []),
    ];
  const memory = /^memory:\/\/(.+)$/.exec(config.node.url);
  if (memory?.[1]) return [{ host: memory[1], port: 0, secure: false }];
  throw new SkeinError('INVALID_CONFIGURATION', 'There is no address to listen on for replication');
};

/** Whether this node needs certificates: it listens with TLS, or is to dial with it. */
export const usesTls = ({ replication, operationsApi }: NodeResources['config']): boolean =>
  replication.secure !== undefined ||
  operationsApi.secure !== undefined ||
  replication.routes.some(({ url }) => url.startsWith('wss:'));

/** Whether users reach this node over a network of its own: then they need passwords and tokens from its first start on. */
export const takesOperations = ({ operationsApi }: NodeResources['config']): boolean =>
  operationsApi.listen !== undefined || operationsApi.secure !== undefined;

/** Whether this node accepts replication connections at all. */
export const listens = (config: NodeResources['config']): boolean =>
  config.replication.insecure !== undefined ||
  config.replication.secure !== undefined ||
  config.node.url.startsWith('memory://');
