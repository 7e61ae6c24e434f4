/**
 * One node of the membership simulation: disks that outlive its processes, an address that may be another in each, and
 * in each process the whole tree below the real cluster supervisor. Driven by simulatedMembership.ts.
 */
import type { Logger } from 'pino';
import { clusterSpec } from '../../actors/clusterSupervisor.js';
import type { DatabaseFiles } from '../../actors/databaseFiles.js';
import { ask } from '../../actors/kernel/ask.js';
import type { ActorRef, Reply, SupervisionEvent } from '../../actors/kernel/types.js';
import type { ClusterMessage, ClusterOverview, RouterMessage } from '../../actors/messages.js';
import type { NodeResources } from '../../actors/resources.js';
import { Trust } from '../../actors/trust.js';
import type { Transport } from '../../actors/transport/types.js';
import type { Config, Route } from '../../config/types.js';
import { SkeinError } from '../../protocol/errors.js';
import { databaseName, nodeName } from '../../protocol/ids.js';
import type { TableDefinition } from '../../protocol/tableDefinition.js';
import type { AddressBook } from './simulatedMembershipAddresses.js';
import type { MembershipSimulationOptions } from './simulatedMembershipOptions.js';
import { MembershipProcess } from './simulatedMembershipProcess.js';
import { simulatedFiles } from './simulatedFiles.js';
import { SimulatedDisk } from './simulatedLevel.js';
import type { SimulatedNetwork } from './simulatedNetwork.js';
import type { SimulatedTime } from './simulatedTime.js';

export const ADMIN = { username: 'admin', password: 'simulated' } as const;

/** Virtual time begins here for every clock. */
const EPOCH_MS = 1_700_000_000_000;
const YEAR_MS = 31_536_000_000;
const PING_MS = 2_000;

export interface MembershipNodeParts {
  readonly name: string;
  readonly time: SimulatedTime;
  readonly network: SimulatedNetwork;
  readonly addresses: AddressBook;
  readonly options: MembershipSimulationOptions;
  readonly tables: readonly TableDefinition[];
  /** It is about to dial a link. */
  readonly dials: (host: string) => void;
  /** Told of every warning in its log. */
  readonly count: (what: string) => void;
}

export class MembershipNode {
  readonly name: string;
  readonly system: SimulatedDisk;
  readonly data: SimulatedDisk;
  process: MembershipProcess | null = null;
  /** False once an ordered stop has begun. */
  isServing = false;
  crashes = 0;
  readonly #parts: MembershipNodeParts;
  #cluster: ActorRef<ClusterMessage> | null = null;
  #boot = 1;

  constructor(parts: MembershipNodeParts) {
    this.name = parts.name;
    this.#parts = parts;
    this.system = new SimulatedDisk(parts.time, parts.options);
    this.data = new SimulatedDisk(parts.time, parts.options);
  }

  get url(): string {
    return `memory://${this.#parts.addresses.hostOf(this.name)}`;
  }

  nowMs(): number {
    return Math.floor(EPOCH_MS + this.#parts.time.now);
  }

  start(): void {
    if (this.process) return;
    const { time, network, options } = this.#parts;
    const process = new MembershipProcess({
      time,
      nowMs: () => this.nowMs(),
      bootId: `boot ${this.#boot}`,
      turnMsMax: options.turnMsMax,
      observed: (event) => this.#observe(event),
    });
    const resources: NodeResources = {
      trust: new Trust(),
      config: this.#config(),
      environment: process.environment,
      files: this.#files(process),
      transport: this.#transport(network.transport(this.name, process), process),
      log: countingLogger(this.#parts.count),
    };
    this.process = process;
    this.isServing = true;
    this.#cluster = process.system.spawn(
      clusterSpec({
        resources,
        system: process.system,
        configSource: {},
        passwordGenerated: () => time.fail(new Error('No password was to be made up')),
      }),
    );
  }

  /** Kill -9: nothing of the process happens any more, what it had not written is gone. */
  kill(): void {
    const { process } = this;
    if (!process) return;
    process.end();
    this.process = null;
    this.isServing = false;
    this.#cluster = null;
    this.#parts.addresses.silent(this.name);
    this.#parts.network.killed(process);
  }

  /** Kill, and the machine goes down with it. Returns the number of batches lost. */
  losePower(): number {
    this.kill();
    this.#boot++;
    const { random } = this.#parts.time;
    return this.system.losePower(random) + this.data.losePower(random);
  }

  /** An ordered stop, then the end of the process. */
  stop(stopped: () => void): void {
    const { process } = this;
    if (!process) return;
    this.isServing = false;
    void process.system.stop().then(() => {
      if (this.process === process) this.kill();
      stopped();
    });
  }

  /** As `ActorSystem.crash`. */
  crash(path: string): boolean {
    return this.process?.system.crash(path, new Error('simulated: crashed from outside')) ?? false;
  }

  /** The answer of `data`, as a caller of the embed API would get it. */
  async ask<T>(question: (replyTo: Reply<T>) => RouterMessage): Promise<T> {
    const environment = this.process?.environment;
    const router = await this.#askCluster<ActorRef<RouterMessage>>((replyTo) => ({
      type: 'database.find',
      database: 'data',
      create: false,
      replyTo,
    }));
    if (!environment) throw down();
    return ask(environment, router, question);
  }

  /** As a super user. */
  operate(operation: Record<string, unknown>): Promise<unknown> {
    const user = { username: ADMIN.username, active: true, role: 'super_user', superUser: true };
    return this.#askCluster((replyTo) => ({ type: 'operation.run', operation, user, replyTo }));
  }

  overview(): Promise<ClusterOverview> {
    return this.#askCluster((replyTo) => ({ type: 'cluster.overview', replyTo }));
  }

  #askCluster<T>(question: (replyTo: Reply<T>) => ClusterMessage): Promise<T> {
    const { process } = this;
    if (!process || !this.#cluster) return Promise.reject(down());
    return ask(process.environment, this.#cluster, question);
  }

  #observe(event: SupervisionEvent): void {
    if (event.type !== 'actor.crashed') return;
    this.crashes++;
    this.#parts.time.note(
      `crash ${this.name}`,
      () => `${event.path} ${event.during} ${event.error.stack}`,
    );
  }

  #files(process: MembershipProcess): DatabaseFiles {
    const disks = new Map([
      ['system', this.system],
      ['data', this.data],
    ]);
    const diskOf = (database: string): SimulatedDisk => {
      const disk = disks.get(database);
      if (!disk) throw new Error(`No disk for ${database}`);
      return disk;
    };
    const names = [databaseName('data'), databaseName('system')];
    return simulatedFiles({ process, names, diskOf });
  }

  /** Addresses stand between nodes: whoever has one now is reached there. */
  #transport(inner: Transport, process: MembershipProcess): Transport {
    const { addresses, dials } = this.#parts;
    return {
      listen: (address, accepted) => {
        addresses.listens(this.name, address.host);
        return inner.listen(address, accepted);
      },
      dial: (url, options) => {
        const host = url.replace('memory://', '');
        if (options.purpose === 'replication') dials(host);
        return ofTheLiving(
          process,
          inner.dial(`memory://${addresses.ownerOf(host) ?? host}`, options),
        );
      },
    };
  }

  #config(): Config {
    const { options, tables, addresses } = this.#parts;
    const routes: Route[] = (options.routes.get(this.name) ?? []).map((name) => ({
      name: nodeName(name),
      url: `memory://${addresses.hostOf(name)}`,
    }));
    return {
      rootPath: '/',
      node: { name: nodeName(this.name), url: this.url },
      replication: {
        routes,
        routeDirection: 'peer',
        databases: '*',
        allowInsecure: false,
        enableRootCAs: false,
        certificateVerification: true,
        maxClockSkewMs: 60_000,
        tombstoneRetentionMs: YEAR_MS,
        maxTransactionBytes: 1_000_000,
        maxPayloadBytes: 4_000_000,
        pingIntervalMs: PING_MS,
        pingTimeoutMs: PING_MS * 2,
        readyWaitMs: 0,
      },
      tls: [],
      operationsApi: {},
      debug: { allowCrash: false },
      storage: {
        engine: 'level',
        path: '/',
        writeAsync: options.writeAsync,
        maxTransactionQueueMs: 45_000,
      },
      authentication: {
        authorizeLocal: false,
        cacheTtlMs: 0,
        operationTokenMs: YEAR_MS,
        refreshTokenMs: YEAR_MS,
        adminUsername: ADMIN.username,
        adminPassword: ADMIN.password,
      },
      logging: { level: 'error', auditRetentionMs: YEAR_MS },
      tables,
    };
  }
}

/** What a dead process waited for never comes. */
const ofTheLiving = <T>(process: MembershipProcess, awaited: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    awaited.then(
      (value) => process.isAlive && resolve(value),
      (error: unknown) =>
        process.isAlive && reject(error instanceof Error ? error : new Error(String(error))),
    );
  });

const down = (): SkeinError => new SkeinError('UNAVAILABLE', 'The node is down');

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
