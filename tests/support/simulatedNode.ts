/**
 * One node of the simulation: a disk that outlives its processes, and in each process the real actors of a database and
 * of its links (router, peers, streams) on the real kernel, with virtual time in place of nact's scheduling.
 * Driven by simulatedCluster.ts.
 */
import type { Logger } from 'pino';
import type { Config } from '../../config/types.js';
import { ask } from '../../actors/kernel/ask.js';
import { Children } from '../../actors/kernel/children.js';
import type { Executor, Worker } from '../../actors/kernel/executor.js';
import { Journal } from '../../actors/kernel/journal.js';
import { spawnPlace } from '../../actors/kernel/place.js';
import type { Parent, Surroundings } from '../../actors/kernel/surroundings.js';
import type { ActorRef, ActorSpec, Message, Reply } from '../../actors/kernel/types.js';
import type { Environment } from '../../actors/environment.js';
import { listenerSpec } from '../../actors/listener.js';
import type { ClusterMessage, RouterMessage } from '../../actors/messages.js';
import { peersSpec } from '../../actors/peerSupervisor.js';
import type { NodeResources } from '../../actors/resources.js';
import { Trust } from '../../actors/trust.js';
import { routerSpec } from '../../actors/shardRouter.js';
import { SkeinError } from '../../protocol/errors.js';
import { databaseName, nodeName } from '../../protocol/ids.js';
import { simulatedFiles } from './simulatedFiles.js';
import { SimulatedDisk, type SimulatedProcess } from './simulatedLevel.js';
import type { SimulatedNetwork } from './simulatedNetwork.js';
import type { Scheduled, SimulatedTime } from './simulatedTime.js';

export const DATABASE = databaseName('data');

/** Virtual time begins here for every clock that is right. */
const EPOCH_MS = 1_700_000_000_000;

export interface NodeSettings {
  readonly writeAsync: boolean;
  readonly maxClockSkewMs: number;
  /** How long logs and deletes are kept. */
  readonly auditRetentionMs: number;
  readonly tombstoneRetentionMs: number;
  readonly pingIntervalMs: number;
  /** Actors have their turn at once, or up to so much later. */
  readonly turnMsMax: number;
  /** The wall clock moves in steps of this many milliseconds. */
  readonly clockStepMs: number;
  readonly applyMsMax: number;
  readonly answerMsMax: number;
  readonly slowReads: number;
}

export class SimulatedNode {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly neighbours: string[] = [];
  /** How far this node's wall clock is off. */
  skewMs = 0;
  router: ActorRef<RouterMessage> | null = null;
  /** Crashes of actors, over all processes. */
  crashes = 0;
  readonly #time: SimulatedTime;
  readonly #network: SimulatedNetwork;
  readonly #settings: NodeSettings;
  readonly #log: Logger;
  #process: NodeProcess | null = null;
  #boot = 1;

  constructor(parts: {
    name: string;
    time: SimulatedTime;
    network: SimulatedNetwork;
    settings: NodeSettings;
    /** Told of every warning in the node's log. */
    count: (what: string) => void;
  }) {
    this.name = parts.name;
    this.#time = parts.time;
    this.#network = parts.network;
    this.#settings = parts.settings;
    this.#log = countingLogger(parts.count);
    this.disk = new SimulatedDisk(parts.time, parts.settings);
  }

  get isUp(): boolean {
    return this.#process !== null;
  }

  nowMs(): number {
    const { clockStepMs } = this.#settings;
    const now = EPOCH_MS + this.#time.now + this.skewMs;
    return Math.floor(now / clockStepMs) * clockStepMs;
  }

  start(): void {
    if (this.#process) return;
    const process = new NodeProcess(this.#time);
    this.#process = process;
    const environment = this.#environment(process);
    const resources: NodeResources = {
      trust: new Trust(),
      config: this.#config(),
      environment,
      files: simulatedFiles({ process, names: [DATABASE], diskOf: () => this.disk }),
      transport: this.#network.transport(this.name, process),
      log: this.#log,
    };
    const kernel = process.kernel(environment, this.#settings.turnMsMax, () => this.crashes++);
    const router = kernel.spawn(routerSpec({ database: DATABASE, builtIn: [], resources }));
    const cluster = kernel.spawn(deafCluster);
    const peers = kernel.spawn(
      peersSpec({ resources, cluster, databases: () => new Map([[DATABASE, router]]) }),
    );
    kernel.spawn(listenerSpec({ resources, peers, cluster }));
    for (const name of this.neighbours)
      peers.send({ type: 'peer.open', name: nodeName(name), urls: [`memory://${name}`] });
    this.router = router;
  }

  /** Kill -9: nothing of the process happens any more, what it had not written is gone. */
  kill(): void {
    const process = this.#process;
    if (!process) return;
    process.isAlive = false;
    this.#process = null;
    this.router = null;
    this.#network.killed(process);
  }

  /** Kill, and the machine goes down with it. Returns the number of batches lost. */
  losePower(): number {
    this.kill();
    this.#boot++;
    return this.disk.losePower(this.#time.random);
  }

  /** An ordered stop, then the end of the process. */
  stop(stopped: () => void): void {
    const process = this.#process;
    if (!process) return;
    this.router = null;
    void process.stop().then(() => {
      if (this.#process === process) this.kill();
      stopped();
    });
  }

  /** The answer of the database, as a caller would get it. */
  ask<T>(question: (replyTo: Reply<T>) => RouterMessage): Promise<T> {
    const { router } = this;
    const process = this.#process;
    if (!router || !process)
      return Promise.reject(new SkeinError('UNAVAILABLE', 'The node is down'));
    return ask(this.#environment(process), router, question);
  }

  #environment(process: NodeProcess): Environment {
    const { random } = this.#time;
    return {
      now: () => this.nowMs(),
      random: () => random.next(),
      setTimer: (afterMs, run) => process.after(afterMs, run),
      clearTimer: (timer) => {
        if (timer) (timer as Scheduled).isCancelled = true;
      },
      randomId: (bytes) => random.hex(bytes),
      bootId: `boot ${this.#boot}`,
      processStartId: process.id,
    };
  }

  #config(): Config {
    const { maxClockSkewMs, pingIntervalMs, writeAsync } = this.#settings;
    const maxTransactionBytes = 1_000_000;
    return {
      rootPath: '/',
      node: { name: nodeName(this.name), url: `memory://${this.name}` },
      replication: {
        routes: [],
        routeDirection: 'peer',
        databases: '*',
        allowInsecure: false,
        enableRootCAs: false,
        certificateVerification: true,
        maxClockSkewMs,
        tombstoneRetentionMs: this.#settings.tombstoneRetentionMs,
        maxTransactionBytes,
        maxPayloadBytes: 4_000_000,
        pingIntervalMs,
        pingTimeoutMs: pingIntervalMs * 2,
        readyWaitMs: 0,
      },
      tls: [],
      operationsApi: {},
      debug: { allowCrash: false },
      storage: { engine: 'level', path: '/', writeAsync, maxTransactionQueueMs: 45_000 },
      authentication: {
        authorizeLocal: false,
        cacheTtlMs: 0,
        operationTokenMs: 86_400_000,
        refreshTokenMs: 86_400_000,
      },
      logging: { level: 'error', auditRetentionMs: this.#settings.auditRetentionMs },
      tables: [],
    };
  }
}

/** Where the databases that a peer names would be made. */
const deafCluster: ActorSpec<ClusterMessage> = {
  name: 'cluster',
  policy: { restart: 'never', whenSpent: 'stop' },
  start: () => ({ receive: () => undefined }),
};

const nothing = (): void => undefined;

/** Warnings are counted by their text, all else is dropped. */
const countingLogger = (count: (what: string) => void): Logger => {
  const warn = (_fields: unknown, text: string): void => count(`warned: ${text}`);
  return {
    trace: nothing,
    debug: nothing,
    info: nothing,
    warn,
    error: warn,
    fatal: warn,
  } as unknown as Logger;
};

/** One life of a node; a kernel of its own. */
class NodeProcess implements SimulatedProcess {
  readonly time: SimulatedTime;
  readonly id: string;
  isAlive = true;
  readonly #children = new Children();

  constructor(time: SimulatedTime) {
    this.time = time;
    this.id = time.random.hex(8);
  }

  after(delayMs: number, run: () => void): Scheduled {
    return this.time.after(delayMs, () => {
      if (this.isAlive) run();
    });
  }

  kernel(
    environment: Environment,
    turnMsMax: number,
    crashed: () => void,
  ): { spawn: <M extends Message>(spec: ActorSpec<M>) => ActorRef<M> } {
    const journal = new Journal(environment);
    journal.subscribe((event) => {
      if (event.type !== 'actor.crashed') return;
      this.time.note('crash', () => `${event.path} ${event.during} ${event.error.stack}`);
      crashed();
    });
    const surroundings: Surroundings = {
      environment,
      journal,
      executor: this.#executor(turnMsMax),
    };
    const top: Parent = {
      path: '',
      children: this.#children,
      failed: (child, error) =>
        this.time.fail(new Error(`${child.path} failed for good`, { cause: error })),
    };
    return { spawn: (spec) => spawnPlace(surroundings, top, spec) };
  }

  stop(): Promise<void> {
    return this.#children.stopAll();
  }

  /** In place of nact: turns of different actors come in the order of their waking, or shuffled a little. */
  #executor(turnMsMax: number): Executor {
    const { random } = this.time;
    const delay = (): number => (turnMsMax > 0 ? random.next() * turnMsMax : 0);
    return {
      worker: (_path, drain) => createWorker(drain, (run) => this.after(delay(), run)),
      stop: () => undefined,
    };
  }
}

/** One turn at a time; waking twice before a turn is waking once. */
const createWorker = (
  drain: () => void | Promise<void>,
  later: (run: () => void) => unknown,
): Worker => {
  let isStopped = false;
  let isWoken = false;
  let isRunning = false;
  const run = (): void => {
    if (isStopped || isRunning) return;
    isWoken = false;
    const pending = drain();
    if (pending === undefined) return;
    isRunning = true;
    void pending.then(() => {
      isRunning = false;
      if (isWoken) later(run);
    });
  };
  return {
    wake: () => {
      if (isWoken) return;
      isWoken = true;
      if (!isRunning) later(run);
    },
    stop: () => {
      isStopped = true;
    },
  };
};
