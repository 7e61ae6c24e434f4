/**
 * Clusters of real node processes on 127.0.0.2 and the addresses after it: started, killed, started again and
 * stopped as an operator would. Called by the cluster and system tests and scripts/killLoop.ts. Ends only
 * processes it started itself, and removes their directories.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ConfigInput } from '../../config/types.js';
import { OperationsClient } from './clusterClient.js';
import { CLI_FILE } from './runCli.js';
import { waitUntil } from './waitUntil.js';

export interface ClusterOptions {
  readonly nodes: number;
  /** Laid over the configuration of every node, section by section. */
  readonly config?: ConfigInput;
  /** Nodes that are configured, and known to the others, but not started. */
  readonly asleep?: readonly number[];
  /** Without routes: each node knows nobody. */
  readonly apart?: boolean;
  /** Over TLS, each node with an authority and a certificate of its own. */
  readonly secure?: boolean;
  /** Last number of the first node's address. */
  readonly firstAddress?: number;
  /** For the node program itself, before the command line's file. */
  readonly nodeArguments?: readonly string[];
}

/** What is different in a node's next life. `config` is laid over what it had, section by section. */
export interface NodeChange {
  readonly name?: string;
  readonly replicationPort?: number;
  readonly config?: ConfigInput;
}

export interface Ports {
  readonly replication: number;
  readonly operationsApi: number;
  readonly debug: number;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly afterMs: number;
}

export interface HeldResources {
  readonly rssBytes: number;
  /** Of them what is no mapped file. */
  readonly anonymousBytes: number;
  readonly heapBytes: number;
  readonly fileDescriptors: number;
}

/** `nodeArguments` of nodes that can be asked for `resources`. */
export const COLLECTING: readonly string[] = [
  '--expose-gc',
  '--import',
  new URL('./collectGarbage.js', import.meta.url).href,
];
const ANSWER_MS_MAX = 30_000;

export const ADMIN = { username: 'admin', password: 'a password for tests' };
const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 15_000;

/** Resolves when every node is ready and, unless they are apart, connected with every other that was started. */
export const startCluster = async (options: ClusterOptions): Promise<Cluster> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-cluster-'));
  const first = options.firstAddress ?? 2;
  const names = Array.from({ length: options.nodes }, (_, index) => `127.0.0.${index + first}`);
  const ports = await freePorts(names);
  const nodes = names.map(
    (name) =>
      new ClusterNode({
        name,
        ports,
        directory,
        nodeArguments: options.nodeArguments ?? [],
        config: configOf({
          name,
          routes: options.apart ? [] : names.filter((other) => other !== name),
          ports,
          directory,
          secure: options.secure ?? false,
          more: options.config ?? {},
        }),
      }),
  );
  const cluster = new Cluster(nodes, directory);
  try {
    const awake = nodes.filter((_, index) => !options.asleep?.includes(index));
    await Promise.all(awake.map((node) => node.start()));
    if (!options.apart) await cluster.connected();
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
};

export class Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly #directory: string;

  constructor(nodes: readonly ClusterNode[], directory: string) {
    this.nodes = nodes;
    this.#directory = directory;
  }

  get running(): readonly ClusterNode[] {
    return this.nodes.filter((node) => node.isRunning);
  }

  /** Those that were ready once in their present life. */
  get serving(): readonly ClusterNode[] {
    return this.nodes.filter((node) => node.isServing);
  }

  node(index: number): ClusterNode {
    const node = this.nodes[index];
    if (!node) throw new Error(`The cluster has no node ${index}`);
    return node;
  }

  /** These nodes alone, for what is asked of a part. Closed with the whole. */
  only(...indexes: readonly number[]): Cluster {
    return new Cluster(
      indexes.map((index) => this.node(index)),
      this.#directory,
    );
  }

  /** Resolves when every running node is ready and connected with every other. */
  async connected(msMax = READY_MS_MAX): Promise<void> {
    await waitUntil(
      'all running nodes to be connected',
      async () => {
        const wanted = this.running.length - 1;
        const counts = await Promise.all(this.running.map((node) => node.connectedPeers()));
        return counts.every((count) => count >= wanted);
      },
      msMax,
    );
  }

  /** Kills what still runs and removes all data. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** One node, in one life after the other. */
export class ClusterNode {
  readonly configFile: string;
  readonly rootPath: string;
  /** Variables of its next lives, beside the usual ones. */
  environment: NodeJS.ProcessEnv = {};
  #name: string;
  #ports: Ports;
  #client: OperationsClient;
  #config: ConfigInput;
  /** What the node itself writes into its file stays until it is configured anew. */
  #isWritten = false;
  /** Of its next life. */
  nodeArguments: readonly string[];
  #child: ChildProcess | null = null;
  #serving: ChildProcess | null = null;
  #ended: Promise<Ended> = Promise.resolve({ code: null, signal: null, afterMs: 0 });

  constructor(parts: {
    name: string;
    ports: Ports;
    directory: string;
    nodeArguments: readonly string[];
    config: ConfigInput;
  }) {
    this.#name = parts.name;
    this.nodeArguments = parts.nodeArguments;
    this.#ports = parts.ports;
    this.rootPath = join(parts.directory, parts.name);
    this.configFile = join(parts.directory, `${parts.name}.yaml`);
    this.#config = parts.config;
    this.#client = clientOf(parts);
  }

  get name(): string {
    return this.#name;
  }

  get ports(): Ports {
    return this.#ports;
  }

  get client(): OperationsClient {
    return this.#client;
  }

  /** The text of its configuration file, as it will be written or as it stands. */
  configText(): Promise<string> {
    return this.#isWritten
      ? readFile(this.configFile, 'utf8')
      : Promise.resolve(stringify(this.#config));
  }

  /** For its next life; a node that runs is not touched. The data directory stays. */
  configure({ name, replicationPort, config = {} }: NodeChange): void {
    if (this.#child) throw new Error(`${this.name} is running`);
    this.#name = name ?? this.#name;
    this.#ports = { ...this.#ports, replication: replicationPort ?? this.#ports.replication };
    const before = this.#config;
    this.#config = {
      ...before,
      ...config,
      replication: {
        ...before.replication,
        hostname: this.#name,
        ...(before.replication?.securePort == null
          ? { port: this.#ports.replication }
          : { securePort: this.#ports.replication }),
        ...config.replication,
      },
    };
    this.#isWritten = false;
    this.#client.disconnect();
    this.#client = clientOf({ name: this.#name, ports: this.#ports });
  }

  /** The configuration file as an operator wrote it. */
  async writeConfig(text: string): Promise<void> {
    await writeFile(this.configFile, text);
    this.#isWritten = true;
  }

  /** Its data directory becomes a copy of another's. Neither runs. */
  async copyDataFrom(other: ClusterNode): Promise<void> {
    if (this.#child || other.isRunning) throw new Error('A copy of a running node is none');
    await this.wipe();
    await cp(other.rootPath, this.rootPath, { recursive: true });
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  get isServing(): boolean {
    return this.#child !== null && this.#serving === this.#child;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} is not running`);
    return pid;
  }

  /** What it holds after a collection of garbage. Only for nodes started with `COLLECTING`. */
  async resources(): Promise<HeldResources> {
    const child = this.#child;
    if (!child) throw new Error(`${this.name} is not running`);
    const answer = once(child, 'message', { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    child.send('collect');
    const [held] = (await answer) as [HeldResources];
    return held;
  }

  /** Where others dial it. */
  get replicationUrl(): string {
    const scheme = this.#config.replication?.securePort == null ? 'ws' : 'wss';
    return this.#config.replication?.url ?? `${scheme}://${this.name}:${this.ports.replication}`;
  }

  /** Resolves when the process that runs now has ended. */
  get ended(): Promise<Ended> {
    return this.#ended;
  }

  /** Resolves when the node is ready to be asked. */
  async start(): Promise<void> {
    await this.launch();
    await this.ready();
  }

  /** Begins a new process and waits for nothing. */
  async launch(): Promise<void> {
    if (this.#child) throw new Error(`${this.name} is running already`);
    await mkdir(this.rootPath, { recursive: true });
    if (!this.#isWritten) await this.writeConfig(stringify(this.#config));
    const log = openSync(this.#logFile, 'a');
    const startedAt = performance.now();
    const child = spawn(
      process.execPath,
      [...this.nodeArguments, CLI_FILE, 'start', '--config', this.configFile, '--stop-with-parent'],
      {
        env: { ...environmentOf(process.env), ...this.environment },
        stdio: ['ignore', log, log, 'ipc'],
      },
    );
    closeSync(log);
    this.#child = child;
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        if (this.#child === child) this.#child = null;
        this.client.disconnect();
        resolve({ code, signal, afterMs: performance.now() - startedAt });
      });
    });
  }

  async ready(msMax = READY_MS_MAX): Promise<void> {
    await waitUntil(
      `${this.name} to be ready`,
      async () => {
        if (!this.#child) throw new Error(`${this.name} ended:\n${await this.logTail()}`);
        return this.client.isReady();
      },
      msMax,
    );
    this.#serving = this.#child;
  }

  /** kill -9; resolves when the process is gone. Nothing happens when it does not run. */
  async kill(): Promise<void> {
    if (!this.#child) return;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** SIGTERM; how the process ended and how long that took. Killed when it outlives the deadline. */
  async stop(): Promise<Ended> {
    const child = this.#child;
    if (!child) throw new Error(`${this.name} is not running`);
    const askedAt = performance.now();
    child.kill('SIGTERM');
    const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    const ended = await this.#ended;
    clearTimeout(deadline);
    return { ...ended, afterMs: performance.now() - askedAt };
  }

  /** Takes the whole disk away from a node that does not run. */
  async wipe(): Promise<void> {
    if (this.#child) throw new Error(`${this.name} is running`);
    await rm(this.rootPath, { recursive: true, force: true });
  }

  /** Peers it is connected to, in every database exchanged with them. */
  async connectedPeers(): Promise<number> {
    const status = (await this.client.send({ operation: 'cluster_status' })) as {
      connections: { database_sockets: { connected: boolean }[] }[];
    };
    return status.connections.filter(
      ({ database_sockets: sockets }) =>
        sockets.length > 0 && sockets.every(({ connected }) => connected),
    ).length;
  }

  /** What the node logged, over all its lives. */
  log(): Promise<string> {
    return readFile(this.#logFile, 'utf8');
  }

  async logTail(lines = 20): Promise<string> {
    return (await this.log()).split('\n').slice(-lines).join('\n');
  }

  get #logFile(): string {
    return `${this.configFile}.log`;
  }
}

const clientOf = ({ name, ports }: { name: string; ports: Ports }): OperationsClient =>
  new OperationsClient({
    host: name,
    port: ports.operationsApi,
    debugPort: ports.debug,
    ...ADMIN,
  });

const configOf = (place: {
  name: string;
  routes: readonly string[];
  ports: Ports;
  directory: string;
  secure: boolean;
  more: ConfigInput;
}): ConfigInput => {
  const { name, routes, ports, directory, secure, more } = place;
  return {
    ...more,
    rootPath: join(directory, name),
    replication: {
      hostname: name,
      port: secure ? null : ports.replication,
      securePort: secure ? ports.replication : null,
      routes: routes.map((other) => `${secure ? 'wss' : 'ws'}://${other}:${ports.replication}`),
      ...more.replication,
    },
    operationsApi: { network: { port: ports.operationsApi } },
    debug: { port: ports.debug, allowCrash: true, ...more.debug },
    authentication: { adminUsername: ADMIN.username, adminPassword: ADMIN.password },
  };
};

/** Settings meant for one node must not reach all of them. */
const environmentOf = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  PATH: environment['PATH'],
  HOME: environment['HOME'],
  NODE_OPTIONS: environment['NODE_OPTIONS'],
  NODE_V8_COVERAGE: environment['NODE_V8_COVERAGE'],
});

/** Below the range from which the system takes ports for outgoing connections, so that a restarted node finds its own. */
const PORTS = { first: 10_000, count: 20_000 };

/** One port more that is free there. */
export const freePort = async (host: string): Promise<number> =>
  (await freePorts([host])).replication;

/** Three ports that are free on all of these addresses; other processes look from another place on. */
const freePorts = async (hosts: readonly string[]): Promise<Ports> => {
  for (let tried = 0; tried < 1_000; tried++) {
    const first = PORTS.first + ((process.pid * 37 + portsGiven++ * 3) % PORTS.count);
    const ports = { replication: first, operationsApi: first + 1, debug: first + 2 };
    const free = await Promise.all(
      hosts.flatMap((host) => Object.values(ports).map((port: number) => isFree(host, port))),
    );
    if (free.every(Boolean)) return ports;
  }
  throw new Error('No three free ports were found');
};

let portsGiven = 0;

const isFree = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
