/**
 * The peers of one node `a` with everything around them under a test's control: a clock that stands still, a network in
 * memory, other nodes that say what the test lets them say. For unit tests of the link actors.
 */
import type { ExecutionContext } from 'ava';
import type { Logger } from 'pino';
import { resolveConfig } from '../../config/resolve.js';
import { createSystem } from '../../actors/kernel/index.js';
import type { ActorRef, ActorSystem } from '../../actors/kernel/types.js';
import { listenerSpec } from '../../actors/listener.js';
import type { ClusterMessage, Databases, PeersMessage, PeerStatus } from '../../actors/messages.js';
import { peersSpec } from '../../actors/peerSupervisor.js';
import type { NodeResources } from '../../actors/resources.js';
import { Trust } from '../../actors/trust.js';
import { MemoryNetwork } from '../../actors/transport/memory.js';
import type { Connection, Purpose } from '../../actors/transport/types.js';
import { decodeControl, encodeControl, type ControlFrame } from '../../protocol/frames.js';
import { databaseName, incarnation, nodeName, version } from '../../protocol/ids.js';
import {
  createManualEnvironment,
  settle,
  until,
  type ManualEnvironment,
} from './manualEnvironment.js';
import { record, type Recorder } from './recorder.js';

export interface PeerScene {
  readonly system: ActorSystem;
  readonly environment: ManualEnvironment;
  readonly network: MemoryNetwork;
  readonly resources: NodeResources;
  readonly peers: ActorRef<PeersMessage>;
  /** What the cluster supervisor was told. */
  readonly told: ClusterMessage[];
  readonly warnings: string[];
  status(): Promise<PeerStatus>;
  /** Another node listens under that name: what it accepts. */
  listen(name: string): Promise<OtherEnd[]>;
  /** Another node dials `a`. */
  dial(name: string, purpose?: Purpose): Promise<OtherEnd>;
}

/** The far end of a link to `a`. */
export class OtherEnd {
  readonly connection: Connection;
  readonly heard: Recorder;
  readonly #name: string;

  constructor(connection: Connection, name: string) {
    this.connection = connection;
    this.#name = name;
    this.heard = record(connection);
  }

  get frames(): ControlFrame[] {
    return this.heard.frames.map(decodeControl);
  }

  get kinds(): string {
    return this.frames.map(({ kind }) => kind).join(' ');
  }

  of<Kind extends ControlFrame['kind']>(kind: Kind): Extract<ControlFrame, { kind: Kind }>[] {
    return this.frames.filter(
      (frame): frame is Extract<ControlFrame, { kind: Kind }> => frame.kind === kind,
    );
  }

  /** `1008 the reason`; undefined while it is open. */
  get end(): string | undefined {
    const [closed] = this.heard.closings;
    return closed && `${closed.code} ${closed.reason}`;
  }

  say(frame: ControlFrame): void {
    this.connection.send(encodeControl(frame));
  }

  /** Hello or Welcome, as it is due. */
  greet(process: string, databases: readonly string[] = []): void {
    this.say({
      kind: this.connection.dialled ? 'Hello' : 'Welcome',
      versions: { min: 1, max: 1 },
      node: nodeName(this.#name),
      incarnation: incarnation('00000000000000b1'),
      process,
      nowMs: 0,
      clock: version(0),
      capabilities: [],
      databases: databases.map(databaseName),
    });
  }

  /** Answers all pings that came so far. */
  pong(): void {
    for (const { id } of this.of('Ping')) this.say({ kind: 'Pong', id });
  }
}

export const startPeers = async (t: ExecutionContext): Promise<PeerScene> => {
  const environment = createManualEnvironment();
  const network = new MemoryNetwork({ timers: environment });
  const told: ClusterMessage[] = [];
  const warnings: string[] = [];
  const { config } = resolveConfig(CONFIG, {
    currentDirectory: '/nowhere',
    homeDirectory: '/nowhere',
  });
  const resources: NodeResources = {
    trust: new Trust(),
    config,
    environment: { ...environment, randomId: () => '', bootId: '', processStartId: 'of-a' },
    files: {} as never,
    transport: network.transport('a'),
    log: logInto(warnings),
  };
  const failed = (error: Error): void => t.fail(error.message);
  const system = createSystem({ name: 'peers of a', environment, onFailed: failed });
  const cluster = system.spawn<ClusterMessage>({
    name: 'cluster',
    policy: { restart: 'never', whenSpent: 'stop' },
    start: () => ({ receive: (message) => void told.push(message) }),
  });
  const databases = (): Databases => new Map();
  const peers = system.spawn(peersSpec({ resources, cluster, databases }));
  system.spawn(listenerSpec({ resources, peers, cluster }));
  t.teardown(() => stop(system, environment));
  await settle();
  return {
    system,
    environment,
    network,
    resources,
    peers,
    told,
    warnings,
    status: async () => {
      const [status] = await system.ask<PeerStatus[], PeersMessage>(peers, (replyTo) => ({
        type: 'peers.status',
        replyTo,
      }));
      if (!status) throw new Error('There is no peer');
      return status;
    },
    listen: async (name) => {
      const accepted: OtherEnd[] = [];
      await network
        .transport(name)
        .listen({ host: name, port: 0 }, (connection) =>
          accepted.push(new OtherEnd(connection, name)),
        );
      return accepted;
    },
    dial: async (name, purpose = 'replication') => {
      const signal = new AbortController().signal;
      const options = { signal, timeoutMs: 1_000, purpose };
      const connection = await network.transport(name).dial('memory://a', options);
      const end = new OtherEnd(connection, name);
      await settle();
      return end;
    },
  };
};

const CONFIG = {
  storage: { engine: 'memory' },
  replication: { hostname: 'a', url: 'memory://a' },
} as const;

/** Waits of the kernel and of closes run out on the scene's clock. */
const stop = async (system: ActorSystem, environment: ManualEnvironment): Promise<void> => {
  let isStopped = false;
  const stopping = system.stop().then(() => (isStopped = true));
  await environment.advance(1);
  if (!isStopped) await environment.advance(60_000);
  await until(() => isStopped, 'the actors have stopped');
  await stopping;
};

const logInto = (warnings: string[]): Logger => {
  const nothing = (): void => undefined;
  const warn = (fields: { reason?: string }, text: string): void =>
    void warnings.push(fields.reason === undefined ? text : `${text}: ${fields.reason}`);
  return { info: nothing, debug: nothing, warn, error: warn } as unknown as Logger;
};
