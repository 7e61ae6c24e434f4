/**
 * Puts one node together: resources, actor system, cluster supervisor, doors' handle. Called by embed/node.ts and the
 * command line. Nothing is global: many nodes live in one process.
 */
import type { X509Certificate } from 'node:crypto';
import pino, { type Logger } from 'pino';
import { refuseUnavailable } from '../config/unavailable.js';
import type { Config, ConfigSource } from '../config/types.js';
import { SkeinError } from '../protocol/errors.js';
import type { User } from '../protocol/operations.js';
import { redaction } from '../protocol/secretFields.js';
import { readRevocationSettings, type RevocationSettings } from '../security/revocationSettings.js';
import { clusterSpec } from './clusterSupervisor.js';
import { databaseFiles } from './databaseFiles.js';
import type { OpenDatabases } from './openDatabases.js';
import { systemEnvironment, type Environment } from './environment.js';
import { createSystem } from './kernel/index.js';
import type { ActorRef, ActorSystem, AskOptions } from './kernel/types.js';
import { usesTls } from './listener.js';
import type { ClusterMessage, ClusterOverview, DatabaseStatus } from './messages.js';
import type { Health, NodeHandle, ServedCertificates } from './node.js';
import { memoryTransport } from './transport/memoryDefault.js';
import type { Transport } from './transport/types.js';
import { webSocketTransport } from './transport/webSocket.js';
import type { Credentials, TokenBearer } from './users.js';
import { isEmpty, waitingForPeers } from './readiness.js';
import { Trust } from './trust.js';

export interface StartOptions {
  /** Where the configuration comes from; absent: from the program, so that no operation can rewrite it. */
  readonly configSource?: ConfigSource;
  readonly environment?: Environment;
  readonly logger?: Logger;
  /** Carries links instead of the one the node's URL asks for. */
  readonly transport?: Transport;
  /** Told once, at the first start, when no admin password was configured. */
  readonly passwordGenerated?: (username: string, password: string) => void;
  /** Told when the whole tree has failed; the node is then of no use. */
  readonly failed?: (error: Error) => void;
}

/** Resolves when all stores are open and the node listens. Rejects when it cannot: nothing is left running. */
export const startCore = async (
  config: Config,
  options: StartOptions = {},
): Promise<RunningNode> => {
  refuseUnavailable(config);
  const revocation = readRevocationSettings(config.replication.certificateVerification);
  const environment = options.environment ?? systemEnvironment();
  const log =
    options.logger ??
    pino({
      level: pinoLevel(config.logging.level),
      base: { node: config.node.name },
      redact: redaction(),
    });
  const node = new RunningNode({ config, environment, log, options, revocation });
  await node.open();
  return node;
};

export class RunningNode implements NodeHandle {
  readonly name: string;
  readonly config: Config;
  readonly system: ActorSystem;
  readonly cluster: ActorRef<ClusterMessage>;
  readonly environment: Environment;
  readonly log: Logger;
  readonly certificates: ServedCertificates;
  readonly #databases: OpenDatabases;
  readonly #startedMs: number;
  /** Nothing of others was here at the start, and none of them has been met. */
  #isNew = true;
  #phase: 'starting' | 'running' | 'failed' | 'stopped' = 'starting';
  #closing: Promise<void> | null = null;
  #failure: Error | null = null;
  /** A running node keeps its process alive, also when it has no socket. */
  readonly #hold = setInterval(() => undefined, HOLD_MS);

  constructor(parts: {
    config: Config;
    environment: Environment;
    log: Logger;
    options: StartOptions;
    revocation: RevocationSettings;
  }) {
    const { config, environment, log, options, revocation } = parts;
    this.name = config.node.name;
    this.config = config;
    this.environment = environment;
    this.#startedMs = environment.now();
    this.log = log;
    this.system = createSystem({
      name: `skein-${config.node.name}-${environment.randomId(4)}`,
      environment,
      onFailed: (error) => {
        this.#phase = 'failed';
        this.#failure = error;
        log.fatal({ err: error }, 'the node failed');
        options.failed?.(error);
      },
    });
    const trust = new Trust(revocation);
    this.certificates = trust.operations;
    const transport = options.transport ?? transportFor(config, trust);
    const files = databaseFiles(config.storage);
    const resources = { config, environment, log, transport, trust, files };
    this.#databases = files.databases;
    this.cluster = this.system.spawn(
      clusterSpec({
        resources,
        system: this.system,
        configSource: options.configSource ?? {},
        passwordGenerated: options.passwordGenerated ?? printPassword,
      }),
    );
    // A start that fails is closed at once, and a tree that is being stopped escalates no more.
    this.system.watch(this.cluster as ActorRef<never>, ({ reason }) => {
      if (reason.kind !== 'stopped') this.#failure ??= reason.error;
    });
  }

  /** Waits until everything below is up. */
  async open(): Promise<void> {
    try {
      this.#isNew = isEmpty(this.config.node.name, await this.overview());
      this.#phase = 'running';
    } catch (error) {
      await this.close();
      throw this.#failure ? rootOf(this.#failure) : error;
    }
  }

  ask<T>(
    question: (replyTo: { ok: (value: T) => void; fail: (error: Error) => void }) => ClusterMessage,
    options?: AskOptions,
  ): Promise<T> {
    return this.system.ask<T, ClusterMessage>(this.cluster, question, {
      timeoutMs: OPERATION_MS_MAX,
      ...options,
    });
  }

  overview(): Promise<ClusterOverview> {
    return this.ask<ClusterOverview>((replyTo) => ({ type: 'cluster.overview', replyTo }), {
      lane: 'control',
    });
  }

  execute(
    operation: unknown,
    options: { user?: User; address?: string; signal?: AbortSignal } = {},
  ): Promise<unknown> {
    const { user = null, address, signal } = options;
    const from = address === undefined ? {} : { address };
    return this.ask<unknown>(
      (replyTo) => ({ type: 'operation.run', operation, user, ...from, replyTo }),
      signal ? { signal } : {},
    );
  }

  authenticate(credentials: Credentials): Promise<User> {
    return this.ask<User>((replyTo) => ({ type: 'user.authenticate', credentials, replyTo }));
  }

  authenticateToken(token: string): Promise<TokenBearer> {
    return this.ask<TokenBearer>((replyTo) => ({ type: 'token.authenticate', token, replyTo }));
  }

  authenticateCertificate(certificate: X509Certificate): Promise<User> {
    return this.ask<User>((replyTo) => ({
      type: 'certificate.authenticate',
      certificate,
      replyTo,
    }));
  }

  async health(): Promise<Health> {
    const live = this.#phase === 'running' || this.#phase === 'starting';
    if (this.#phase !== 'running')
      return {
        status: this.#phase === 'starting' ? 'starting' : this.#phase,
        problems: this.#failure ? [this.#failure.message] : [],
        live,
        ready: false,
        started: false,
      };
    const overview = await this.overview();
    const { databases, silent } = overview;
    const problems = [...problemsOf(this.tree()), ...databases.flatMap(damageProblem)];
    const waiting = [
      ...silent
        .filter((database) => !problems.some((problem) => problem.includes(`router:${database} `)))
        .map((database) => `database ${database} does not answer`),
      ...databases
        .filter(({ ready, damage }) => !ready && !damage)
        .map(({ database }) => `database ${database} is catching up by copy`),
      ...this.#waitingForPeers(overview),
    ];
    const isUp = problems.every((problem) => !problem.includes('router:'));
    return {
      status: problems.length > 0 ? 'degraded' : 'ok',
      problems: [...problems, ...waiting],
      live,
      ready: isUp && waiting.length === 0 && databases.every(({ ready }) => ready),
      started: true,
    };
  }

  tree(): ReturnType<ActorSystem['tree']> {
    return this.system.tree();
  }

  deadLetters(): ReturnType<ActorSystem['deadLetters']> {
    return this.system.deadLetters();
  }

  /** Not for ever: a first node may have routes to others that are not there yet. */
  #waitingForPeers(overview: ClusterOverview): readonly string[] {
    const { environment, config } = this;
    const isOver = environment.now() - this.#startedMs >= config.replication.readyWaitMs;
    const reason = this.#isNew && !isOver ? waitingForPeers(overview) : undefined;
    if (reason !== undefined) return [reason];
    this.#isNew = false;
    return [];
  }

  async #stop(): Promise<void> {
    await this.system.stop();
    // What a writer that is down for good has left open.
    await this.#databases.releaseAll();
  }

  /** Stops everything in order and waits for it. Again: the same promise. */
  close(): Promise<void> {
    this.#closing ??= this.#stop().finally(() => {
      clearInterval(this.#hold);
      if (this.#phase !== 'failed') this.#phase = 'stopped';
    });
    return this.#closing;
  }
}

/** Longer than any queue: a bound against leaks, not a promise. */
const OPERATION_MS_MAX = 10 * 60_000;

/** Shown once, because nothing keeps it. */
const printPassword = (username: string, password: string): void => {
  process.stdout.write(`first user ${username}, password ${password} (shown once)\n`);
};

const HOLD_MS = 2 ** 30;

const transportFor = (config: Config, { contexts }: Trust): Transport => {
  if (config.node.url.startsWith('memory:')) return memoryTransport(config.node.name);
  const { allowInsecure } = config.replication;
  return webSocketTransport({ allowInsecure, ...(usesTls(config) && { contexts }) });
};

const pinoLevel = (level: Config['logging']['level']): string =>
  level === 'notify' ? 'info' : level;

/** What somebody can act on stands at the bottom of a chain of escalations. */
const rootOf = (error: Error): Error => {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if (at instanceof SkeinError && at.code !== 'UNAVAILABLE') return at;
  return error;
};

const damageProblem = ({ database, damage }: DatabaseStatus): string[] => {
  if (!damage) return [];
  const { rows, entries, tables } = damage;
  const partial = tables.map(({ table, reason }) => `${table} (${reason})`).join(', ');
  return [
    `database ${database} is damaged: ${rows} rows and ${entries} log entries cannot be read` +
      (partial && `; held in part: ${partial}`),
  ];
};

const problemsOf = (tree: ReturnType<ActorSystem['tree']>): string[] =>
  tree.flatMap((actor): string[] => {
    const below = problemsOf(actor.children);
    if (actor.hung) return [`${actor.path} hangs`, ...below];
    if (actor.state === 'backingOff') return [`${actor.path} waits to be restarted`, ...below];
    if (actor.state === 'failed')
      return [`${actor.path} is down: ${actor.lastCrash?.message ?? 'crashed'}`, ...below];
    if (actor.phase.startsWith('read only: ')) return [`${actor.path} is ${actor.phase}`, ...below];
    return below;
  });
