/**
 * Nodes of one database with the rules under a test's control: the real writer, links and streams of each over a memory
 * network, without membership. For tests of what streams do with rules; decides nothing by itself.
 */
import type { ExecutionContext } from 'ava';
import type { Logger } from 'pino';
import { resolveConfig } from '../../config/resolve.js';
import { databaseFiles, type DatabaseFiles } from '../../actors/databaseFiles.js';
import { Trust } from '../../actors/trust.js';
import { systemEnvironment } from '../../actors/environment.js';
import { createSystem } from '../../actors/kernel/index.js';
import type { ActorRef, ActorSystem, Reply } from '../../actors/kernel/types.js';
import { listenerSpec } from '../../actors/listener.js';
import type {
  ClusterMessage,
  DatabaseStatus,
  PeersMessage,
  PeerStatus,
  RouterMessage,
} from '../../actors/messages.js';
import { peersSpec } from '../../actors/peerSupervisor.js';
import type { NodeResources } from '../../actors/resources.js';
import { routerSpec } from '../../actors/shardRouter.js';
import { MemoryNetwork } from '../../actors/transport/memory.js';
import {
  ALL_ORIGINS,
  OPEN_LINK,
  OPEN_RULES,
  type FlowRules,
  type LinkScope,
  type OriginScope,
} from '../../protocol/flow.js';
import { nodeName, type NodeName } from '../../protocol/ids.js';
import type { TableDefinition } from '../../protocol/tableDefinition.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import { flat } from './clusterClient.js';
import { DATABASE } from './stores.js';
import { waitUntil } from './waitUntil.js';

/** Rules of one node: per peer what differs from an open link, and whose writes are taken. */
export interface Rules {
  readonly links?: Readonly<Record<string, Partial<LinkScope>>>;
  readonly origins?: OriginScope;
}

const rulesOf = ({ links = {}, origins = ALL_ORIGINS }: Rules): FlowRules => ({
  link: (peer) => ({ ...OPEN_LINK, ...links[peer] }),
  origins: () => origins,
});

export class FlowNode {
  readonly name: NodeName;
  /** What it has logged, with the reasons. */
  readonly logged: string[] = [];
  readonly #network: MemoryNetwork;
  readonly #files: DatabaseFiles;
  readonly #builtIn: readonly TableDefinition[];
  #rules: FlowRules = OPEN_RULES;
  #running: Running | null = null;

  constructor(name: string, network: MemoryNetwork, builtIn: readonly TableDefinition[]) {
    this.name = nodeName(name);
    this.#network = network;
    this.#builtIn = builtIn;
    this.#files = databaseFiles({ engine: 'memory', path: '' } as never);
  }

  /** Beginning with the rules that hold now. */
  start(): void {
    this.#running = startOn(this.#resources(), this.#builtIn);
    this.#tellRules();
  }

  async stop(): Promise<void> {
    await this.#running?.system.stop();
    this.#running = null;
  }

  ruled(rules: Rules): void {
    this.#rules = rulesOf(rules);
    this.#tellRules();
  }

  /** Dials the other node, or waits to be dialled by it. */
  open({ name }: FlowNode, dials: boolean): void {
    this.#now.peers.send({ type: 'peer.open', name, urls: dials ? [`memory://${name}`] : [] });
  }

  write(...writes: LocalWrite[]): Promise<unknown> {
    return this.ask((replyTo: Reply<unknown>) => ({
      type: 'transaction.submit',
      writes,
      notes: {},
      replyTo: replyTo as never,
    }));
  }

  put(table: string, id: string, values: object = {}): Promise<unknown> {
    return this.write({ table, type: 'put', records: [{ id, ...values }] });
  }

  define(definition: TableDefinition): Promise<void> {
    return this.ask((replyTo: Reply<void>) => ({
      type: 'table.define',
      definition,
      notes: {},
      replyTo,
    }));
  }

  /** Keys of a table in their order. */
  async ids(table: string): Promise<string> {
    const found = await this.ask((replyTo: Reply<Record<string, unknown>[]>) => ({
      type: 'records.search',
      table,
      query: { conditions: [], sort: { attribute: 'id', descending: false } },
      replyTo: replyTo as never,
    }));
    return found.map(({ id }) => String(id)).join(' ');
  }

  async holds(table: string, ids: string): Promise<void> {
    let found = '';
    await waitUntil(`${this.name} to hold ${ids} in ${table}`, async () => {
      found = await this.ids(table);
      return found === ids;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; it holds ${found}`, { cause: error });
    });
  }

  status(): Promise<DatabaseStatus> {
    return this.ask((replyTo: Reply<DatabaseStatus>) => ({ type: 'database.status', replyTo }));
  }

  /** The same positions as the other node, whatever rows are there. */
  reaches(other: FlowNode): Promise<unknown> {
    return waitUntil(`${this.name} to reach ${other.name}`, async () => {
      const [mine, theirs] = await Promise.all([this.status(), other.status()]);
      const held = new Map(mine.positions.map(({ origin, sequence }) => [origin, sequence]));
      return theirs.positions.every(({ origin, sequence }) => (held.get(origin) ?? 0) >= sequence);
    });
  }

  async peer(other: FlowNode): Promise<PeerStatus> {
    const all = await this.#now.system.ask<PeerStatus[], PeersMessage>(
      this.#now.peers,
      (replyTo) => ({ type: 'peers.status', replyTo }),
    );
    const one = all.find(({ name }) => name === other.name);
    if (!one) throw new Error(`${this.name} has no peer ${other.name}`);
    return one;
  }

  async linked(other: FlowNode): Promise<void> {
    await waitUntil(`${this.name} to be linked`, async () => (await this.peer(other)).connected);
  }

  tell(message: RouterMessage): void {
    this.#now.router.send(message);
  }

  /** Crashes the actor at that path, and waits for its next life. */
  async crash(path: string): Promise<void> {
    const { system } = this.#now;
    const lifeOf = (): number => flat(system.tree()).find((one) => one.path === path)?.life ?? 0;
    const before = lifeOf();
    system.crash(path, new Error('crashed by a test'));
    await waitUntil(`another life of ${path}`, () => lifeOf() > before);
  }

  /** A counter of one actor. */
  counted(path: string, what: string): number {
    const actor = flat(this.#now.system.tree()).find((one) => one.path.endsWith(path));
    return actor?.counters[what] ?? 0;
  }

  ask<T>(question: (replyTo: Reply<T>) => RouterMessage): Promise<T> {
    return this.#now.system.ask<T, RouterMessage>(this.#now.router, question);
  }

  get #now(): Running {
    if (!this.#running) throw new Error(`${this.name} is not running`);
    return this.#running;
  }

  #tellRules(): void {
    const origins = this.#rules.origins(DATABASE);
    this.#now.router.send({ type: 'flow.changed', origins }, 'control');
    this.#now.peers.send({ type: 'flow.changed', rules: this.#rules }, 'control');
  }

  #resources(): NodeResources {
    const { config } = resolveConfig(
      {
        storage: { engine: 'memory' },
        replication: { hostname: this.name, url: `memory://${this.name}` },
      },
      { currentDirectory: '/nowhere', homeDirectory: '/nowhere' },
    );
    return {
      config,
      environment: systemEnvironment(),
      files: this.#files,
      transport: this.#network.transport(this.name),
      trust: new Trust(),
      log: logInto(this.logged),
    };
  }
}

const logInto = (logged: string[]): Logger => {
  const note = (fields: { reason?: string }, text: string): void =>
    void logged.push(fields.reason === undefined ? text : `${text}: ${fields.reason}`);
  const nothing = (): void => undefined;
  return { info: note, warn: note, error: note, debug: nothing, trace: nothing } as never;
};

interface Running {
  readonly system: ActorSystem;
  readonly router: ActorRef<RouterMessage>;
  readonly peers: ActorRef<PeersMessage>;
}

const startOn = (resources: NodeResources, builtIn: readonly TableDefinition[]): Running => {
  const { environment } = resources;
  const onFailed = (error: Error): void => {
    throw error;
  };
  const system = createSystem({ name: resources.config.node.name, environment, onFailed });
  const cluster = system.spawn<ClusterMessage>({
    name: 'cluster',
    policy: { restart: 'never', whenSpent: 'stop' },
    start: () => ({ receive: () => undefined }),
  });
  const router = system.spawn(routerSpec({ database: DATABASE, builtIn, resources }));
  const databases = () => new Map([[DATABASE, router]]);
  const peers = system.spawn(peersSpec({ resources, cluster, databases }));
  system.spawn(listenerSpec({ resources, peers, cluster }));
  return { system, router, peers };
};

/** Links two nodes: one connection, from the first. */
export const join = async (one: FlowNode, other: FlowNode): Promise<void> => {
  other.open(one, false);
  one.open(other, true);
  await one.linked(other);
};

/** Nodes of these names, started and not linked; each is stopped at the end of the test. */
export const flowNodes = (
  t: ExecutionContext,
  names: string,
  builtIn: readonly TableDefinition[] = [],
): FlowNode[] => {
  const network = new MemoryNetwork();
  return [...names].map((name) => {
    const node = new FlowNode(name, network, builtIn);
    node.start();
    t.teardown(() => node.stop());
    return node;
  });
};
