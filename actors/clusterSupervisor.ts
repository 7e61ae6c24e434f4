/**
 * cluster: owns the tree of one node. Starts its children in order and runs operations beside its mailbox, those that
 * deal with other nodes in a clerk. Everything below fails in isolation; what fails here ends the node.
 */
import { join } from 'node:path';
import type { Config, ConfigSource, Route } from '../config/types.js';
import { SkeinError } from '../protocol/errors.js';
import { databaseName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { User } from '../protocol/operations.js';
import { signerSpec } from './certificateSigner.js';
import { CertificateTable } from './certificateTable.js';
import { clerkSpec } from './clerk.js';
import { DatabaseSet } from './databaseSet.js';
import { healthSpec } from './health.js';
import type {
  Actor,
  ActorContext,
  ActorRef,
  ActorSpec,
  ActorSystem,
  Reply,
} from './kernel/types.js';
import { keyFiles } from './keyFiles.js';
import { listenerSpec, listens, takesOperations, usesTls } from './listener.js';
import { membershipSpec } from './membership.js';
import type {
  ClusterMessage,
  ClusterOverview,
  DatabaseStatus,
  MembershipMessage,
  MembershipView,
  PeersMessage,
  PeerStatus,
  RouterMessage,
  IdentityView,
  SignerMessage,
} from './messages.js';
import { readSigned, signerUnavailable } from './operations/certification.js';
import type { OperationContext } from './operations/context.js';
import { isLongOperation, runOperation } from './operations/run.js';
import { runPeerOperation } from './operations/peerOperations.js';
import { ensureTable } from './operations/schema.js';
import { OwnCertificates } from './ownCertificates.js';
import { callPeer, refuseOperation, servePeerOperation } from './peerOperation.js';
import { peersSpec } from './peerSupervisor.js';
import { ProvidedFiles } from './providedFiles.js';
import type { NodeResources } from './resources.js';
import { openRevocation } from './revocationDoor.js';
import { SYSTEM } from './systemDatabase.js';
import type { Connection } from './transport/types.js';
import { TokenKeys } from './tokenKeys.js';
import { type AskSystem, UserDirectory } from './users.js';

export interface ClusterParts {
  readonly resources: NodeResources;
  readonly system: ActorSystem;
  /** Where the configuration comes from, for the operations that rewrite it. */
  readonly configSource: ConfigSource;
  /** Told the password of the first user when it had to be made up. */
  readonly passwordGenerated: (username: string, password: string) => void;
}

export const clusterSpec = (parts: ClusterParts): ActorSpec<ClusterMessage> => ({
  name: 'cluster',
  policy: { restart: 'never', whenSpent: 'escalate' },
  start: (context) => ClusterSupervisor.open(context, parts),
});

const STATUS_MS = 5_000;
const LONG_OPERATION_MS_MAX = 120_000;

class ClusterSupervisor implements Actor<ClusterMessage> {
  readonly #context: ActorContext<ClusterMessage>;
  readonly #parts: ClusterParts;
  readonly #databases: DatabaseSet;
  readonly #askSystem: AskSystem = (question) => this.#databases.ask(SYSTEM, question);
  readonly #tokenKeys: TokenKeys;
  readonly #users: UserDirectory;
  #signer: ActorRef<SignerMessage> | null = null;
  #peers: ActorRef<PeersMessage> | null = null;
  #membership: ActorRef<MembershipMessage> | null = null;
  #operations = 0;
  #clerks = 0;
  /** Operations of other nodes that are being answered. */
  #serving = 0;
  /** Of these, those whose sender has proven nothing. */
  #strangers = 0;

  private constructor(context: ActorContext<ClusterMessage>, parts: ClusterParts) {
    this.#context = context;
    this.#parts = parts;
    this.#databases = new DatabaseSet({
      context,
      resources: parts.resources,
      changed: (databases) =>
        void this.#peers?.send({ type: 'databases.changed', databases }, 'control'),
    });
    const { config, environment, log } = parts.resources;
    this.#tokenKeys = new TokenKeys({
      directory: keyDirectory(config),
      log,
      isMadeAtFirstUse: !takesOperations(config),
    });
    this.#users = new UserDirectory({
      ask: (question) => this.#databases.ask(SYSTEM, question),
      config,
      environment,
      tokenKeys: this.#tokenKeys,
    });
  }

  static async open(
    context: ActorContext<ClusterMessage>,
    parts: ClusterParts,
  ): Promise<ClusterSupervisor> {
    const cluster = new ClusterSupervisor(context, parts);
    const { resources } = parts;
    context.spawn(healthSpec(parts));
    const { config } = resources;
    await Promise.all([
      cluster.#databases.open(),
      takesOperations(config) && cluster.#tokenKeys.prepare(),
    ]);
    await onceMore(() => cluster.#users.ensureFirstUser(parts.passwordGenerated));
    for (const table of config.tables)
      await onceMore(() => ensureTable(cluster.#operating(null), table));
    if (usesTls(config)) await cluster.#openSigner();
    const databases = () => cluster.#databases.replicated();
    const peers = context.spawn(peersSpec({ resources, cluster: context.self, databases }));
    cluster.#peers = peers;
    const system = cluster.#databases.router(SYSTEM);
    const sharedTables = () => cluster.#databases.shared;
    cluster.#membership = context.spawn(
      membershipSpec({ resources, cluster: context.self, peers, system, sharedTables }),
    );
    if (listens(resources.config))
      context.spawn(listenerSpec({ resources, peers, cluster: context.self }));
    return cluster;
  }

  readonly receive = (message: ClusterMessage): void | Promise<void> => {
    switch (message.type) {
      case 'operation.run':
        return this.#run(message);
      case 'operation.accepted':
        return this.#serve(message.connection);
      case 'user.authenticate':
        return beside(message.replyTo, this.#users.authenticate(message.credentials));
      case 'certificate.authenticate':
        return beside(message.replyTo, this.#users.authenticateCertificate(message.certificate));
      case 'token.authenticate':
        return beside(message.replyTo, this.#users.authenticateToken(message.token));
      case 'database.find':
        return beside(message.replyTo, this.#find(message));
      case 'gossip.heard':
        void this.#databases.follow(message.peer, message.databases);
        if (message.members.length > 0)
          this.#membership?.send({ type: 'members.heard', members: message.members }, 'control');
        return;
      case 'flow.changed':
        return this.#databases.flowChanged(message.rules);
      case 'tables.shared':
        return this.#onShared(message);
      case 'cluster.overview':
        return beside(message.replyTo, this.#overview());
      default:
        return message satisfies never;
    }
  };

  /** Nothing can be dialled or accepted over TLS before there are certificates. */
  async #openSigner(): Promise<void> {
    const { resources } = this.#parts;
    const table = new CertificateTable(this.#askSystem, keyFiles(resources.config));
    const own = new OwnCertificates({ table, ...resources });
    const provided = new ProvidedFiles({ table, ...resources, now: resources.environment.now });
    await provided.takeAll();
    await own.prepare();
    this.#revokeByRoutes(resources.config.replication.routes);
    await openRevocation(this.#context, { resources, ask: this.#askSystem });
    this.#signer = this.#context.spawn(
      signerSpec({
        resources,
        system: this.#databases.router(SYSTEM),
        table,
        own,
        provided,
        askMember: async (member, csr, signal) => {
          const operation = { operation: 'sign_certificate', csr };
          return readSigned(await callPeer({ resources, ...member, operation, signal }));
        },
      }),
    );
    await this.#context.ask<IdentityView, SignerMessage>(this.#signer, (replyTo) => ({
      type: 'identity.view',
      replyTo,
    }));
  }

  #revokeByRoutes(routes: readonly Route[]): void {
    const { trust, log } = this.#parts.resources;
    trust.revoke(
      'routes',
      routes.map(({ name, revokedCertificates: serials = [] }) => ({ name, serials })),
      (text) => log.warn(text),
    );
  }

  #onRoutes(routes: readonly Route[]): void {
    this.#revokeByRoutes(routes);
    this.#membership?.send({ type: 'routes.changed', routes }, 'control');
  }

  describe(): Record<string, unknown> {
    return {
      databases: this.#databases.names,
      operations: this.#operations,
      peerOperations: this.#serving,
    };
  }

  /** What takes part follows the definitions of tables. */
  #onShared(message: Extract<ClusterMessage, { type: 'tables.shared' }>): void {
    if (this.#databases.tablesShared(message.database, message.tables))
      this.#membership?.send({ type: 'tables.shared', shared: this.#databases.shared }, 'control');
  }

  #run(message: Extract<ClusterMessage, { type: 'operation.run' }>): void {
    const { operation, user, address, replyTo } = message;
    const from = address === undefined ? {} : { address };
    this.#operations++;
    if (!isLongOperation(operation))
      return beside(replyTo, runOperation(this.#operating(user, { from }), operation));
    this.#clerk({
      operation: operation.operation,
      deadlineMs: LONG_OPERATION_MS_MAX,
      work: (signal) => runOperation(this.#operating(user, { from, signal }), operation),
      replyTo,
    });
  }

  /** Another node has one operation to be run. */
  #serve(connection: Connection): void {
    if (this.#serving >= limits.peerOperationsMax)
      return refuseOperation(connection, 'too many operations of other nodes, try again later');
    const isStranger = connection.proven.kind === 'unproven';
    if (isStranger && this.#strangers >= limits.strangerOperationsMax)
      return refuseOperation(connection, 'too many strangers, try again later');
    const { environment, log } = this.#parts.resources;
    this.#serving++;
    if (isStranger) this.#strangers++;
    const served = (): void => {
      this.#serving--;
      if (isStranger) this.#strangers--;
    };
    this.#clerk<void>({
      operation: `of ${connection.remoteAddress}`,
      deadlineMs: limits.peerOperationMsMax * 2,
      work: (signal) =>
        servePeerOperation(
          connection,
          (request) => runPeerOperation(this.#operating(null, { signal }), request),
          { environment, log },
        ),
      replyTo: { ok: served, fail: served },
    });
  }

  #clerk<T>(parts: {
    operation: string;
    deadlineMs: number;
    work: (signal: AbortSignal) => Promise<T>;
    replyTo: Reply<T>;
  }): void {
    this.#context.spawn(clerkSpec({ name: `clerk:${++this.#clerks}`, ...parts }));
  }

  #operating(
    user: User | null,
    request: { from?: OperationContext['from']; signal?: AbortSignal } = {},
  ): OperationContext {
    const { resources, configSource } = this.#parts;
    const { from = {}, signal = this.#context.signal } = request;
    return {
      config: resources.config,
      configSource,
      user,
      databases: this.#databases.names,
      log: resources.log,
      router: (database) => this.#databases.router(database),
      ask: (database, question) => this.#databases.ask(database, question),
      createDatabase: (database) => this.#databases.create(databaseName(database)),
      dropDatabase: (database) => this.#databases.drop(databaseName(database)),
      overview: () => this.#overview(),
      membership: (question) => this.#askMembership(question),
      signer: (question) => this.#askSigner(question),
      trust: resources.trust,
      nowMs: resources.environment.now,
      routesChanged: (routes) => this.#onRoutes(routes),
      callPeer: (call) => callPeer({ resources, signal, ...call }),
      users: this.#users,
      tokenKeys: this.#tokenKeys,
      from,
    };
  }

  async #askMembership<T>(question: (replyTo: Reply<T>) => MembershipMessage): Promise<T> {
    if (!this.#membership) throw new SkeinError('UNAVAILABLE', 'the node is starting');
    return this.#context.ask<T, MembershipMessage>(this.#membership, question);
  }

  async #askSigner<T>(question: (replyTo: Reply<T>) => SignerMessage): Promise<T> {
    if (!this.#signer) throw signerUnavailable('this node has no TLS');
    try {
      return await this.#context.ask<T, SignerMessage>(this.#signer, question);
    } catch (error) {
      if (error instanceof SkeinError && error.code === 'UNAVAILABLE')
        throw signerUnavailable(error.message);
      throw error;
    }
  }

  async #find(message: { database: string; create: boolean }): Promise<ActorRef<RouterMessage>> {
    if (message.create) await this.#databases.create(databaseName(message.database));
    return this.#databases.router(message.database);
  }

  async #overview(): Promise<ClusterOverview> {
    const options = { timeoutMs: STATUS_MS, lane: 'control' } as const;
    // Peers first: what they have brought by then, the databases know.
    const [peers, membership] = await Promise.all([
      this.#peers
        ? this.#context.ask<PeerStatus[], PeersMessage>(
            this.#peers,
            (replyTo) => ({ type: 'peers.status', replyTo }),
            options,
          )
        : [],
      this.#membership
        ? this.#context
            .ask<MembershipView, MembershipMessage>(
              this.#membership,
              (replyTo) => ({ type: 'membership.view', replyTo }),
              options,
            )
            .catch(() => null)
        : null,
    ]);
    const names = this.#databases.names;
    const databases = await Promise.all(
      names.map((name) =>
        this.#context
          .ask<DatabaseStatus, RouterMessage>(
            this.#databases.router(name),
            (replyTo) => ({ type: 'database.status', replyTo }),
            options,
          )
          .catch(() => null),
      ),
    );
    return {
      databases: databases.filter((status) => status !== null),
      silent: [...names.filter((_, at) => databases[at] === null), ...this.#databases.coming],
      peers,
      membership,
    };
  }
}

/** Files that turn out to be damaged when they are first read are repaired before the next question is answered. */
const onceMore = async (step: () => Promise<void>): Promise<void> => {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code !== 'DAMAGED') throw error;
    await step();
  }
};
/** Null for a node that keeps nothing. */
const keyDirectory = ({ rootPath, storage }: Config): string | null =>
  storage.engine === 'memory' || rootPath === '' ? null : join(rootPath, 'keys');

/** Answers when the work is done, without holding up the mailbox. */
const beside = <T>(replyTo: Reply<T>, work: Promise<T>): void => {
  work.then(replyTo.ok, (error: unknown) =>
    replyTo.fail(error instanceof Error ? error : new Error(String(error))),
  );
};
