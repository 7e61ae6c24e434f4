/**
 * cluster: owns the tree of one node. Starts its children in order, runs operations beside its mailbox, creates and
 * drops databases. Everything below fails in isolation; what fails here ends the node.
 */
import { invalidRequest, messageOf, SkeinError } from '../protocol/errors.js';
import { databaseName, type DatabaseName, type NodeName } from '../protocol/ids.js';
import { nameProblem } from '../protocol/schemas/names.js';
import { limits } from '../protocol/limits.js';
import type { RecordObject, User } from '../protocol/operations.js';
import { generatePassword, hashPassword, verifyPassword } from '../security/credentials.js';
import { healthSpec } from './health.js';
import type {
  Actor,
  ActorContext,
  ActorRef,
  ActorSpec,
  ActorSystem,
  Reply,
} from './kernel/types.js';
import { listenerSpec, listens } from './listener.js';
import { membershipSpec } from './membership.js';
import type {
  ClusterMessage,
  ClusterOverview,
  Databases,
  DatabaseStatus,
  PeersMessage,
  PeerStatus,
  RouterMessage,
} from './messages.js';
import type { OperationContext } from './operations/context.js';
import { directoryProblem } from './databaseFiles.js';
import { runOperation } from './operations/run.js';
import { ensureTable } from './operations/schema.js';
import { peersSpec } from './peerSupervisor.js';
import type { NodeResources } from './resources.js';
import { routerSpec } from './shardRouter.js';
import { DEFAULT_DATABASE, SYSTEM, systemTables } from './systemDatabase.js';

export interface ClusterParts {
  readonly resources: NodeResources;
  readonly system: ActorSystem;
  /** Told the password of the first user when it had to be made up. */
  readonly passwordGenerated: (username: string, password: string) => void;
}

export const clusterSpec = (parts: ClusterParts): ActorSpec<ClusterMessage> => ({
  name: 'cluster',
  policy: { restart: 'never', whenSpent: 'escalate' },
  start: (context) => ClusterSupervisor.open(context, parts),
});

const STATUS_MS = 5_000;

class ClusterSupervisor implements Actor<ClusterMessage> {
  readonly #context: ActorContext<ClusterMessage>;
  readonly #parts: ClusterParts;
  readonly #routers = new Map<DatabaseName, ActorRef<RouterMessage>>();
  #peers: ActorRef<PeersMessage> | null = null;
  #operations = 0;
  /** Settles when the last database that was to be created or dropped has been. */
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(context: ActorContext<ClusterMessage>, parts: ClusterParts) {
    this.#context = context;
    this.#parts = parts;
  }

  static async open(
    context: ActorContext<ClusterMessage>,
    parts: ClusterParts,
  ): Promise<ClusterSupervisor> {
    const cluster = new ClusterSupervisor(context, parts);
    const { resources } = parts;
    context.spawn(healthSpec(parts));
    await cluster.#openDatabases();
    await cluster.#firstUser();
    for (const table of resources.config.tables) await ensureTable(cluster.#operating(null), table);
    const databases = (): Databases => cluster.#replicated();
    const peers = context.spawn(peersSpec({ resources, cluster: context.self, databases }));
    cluster.#peers = peers;
    context.spawn(membershipSpec({ resources, peers }));
    if (listens(resources.config)) context.spawn(listenerSpec({ resources, peers }));
    return cluster;
  }

  readonly receive = (message: ClusterMessage): void | Promise<void> => {
    switch (message.type) {
      case 'operation.run':
        return this.#run(message);
      case 'user.authenticate':
        return beside(message.replyTo, this.#authenticate(message));
      case 'database.find':
        return beside(message.replyTo, this.#find(message));
      case 'databases.gossiped':
        return void this.#onGossip(message.peer, message.databases);
      case 'cluster.overview':
        return beside(message.replyTo, this.#overview());
      default:
        return message satisfies never;
    }
  };

  describe(): Record<string, unknown> {
    return { databases: [...this.#routers.keys()], operations: this.#operations };
  }

  #run(message: Extract<ClusterMessage, { type: 'operation.run' }>): void {
    this.#operations++;
    beside(message.replyTo, runOperation(this.#operating(message.user), message.operation));
  }

  #operating(user: User | null): OperationContext {
    return {
      config: this.#parts.resources.config,
      user,
      databases: [...this.#routers.keys()].sort(),
      router: (database) => this.#router(database),
      ask: async (database, question) => this.#ask(this.#router(database), question),
      createDatabase: (database) => this.#createDatabase(databaseName(database)),
      dropDatabase: (database) => this.#dropDatabase(databaseName(database)),
      overview: () => this.#overview(),
    };
  }

  #router(database: string): ActorRef<RouterMessage> {
    const router = this.#routers.get(databaseName(database));
    if (!router) throw new SkeinError('NOT_FOUND', `database '${database}' does not exist`);
    return router;
  }

  #ask<T>(
    router: ActorRef<RouterMessage>,
    question: (replyTo: Reply<T>) => RouterMessage,
  ): Promise<T> {
    const timeoutMs = this.#parts.resources.config.storage.maxTransactionQueueMs;
    return this.#context.ask<T, RouterMessage>(router, question, { timeoutMs });
  }

  async #openDatabases(): Promise<void> {
    const { config, files } = this.#parts.resources;
    await files.prepare(SYSTEM);
    await this.#openDatabase(SYSTEM);
    const names = new Set([DEFAULT_DATABASE, ...(await files.list())]);
    for (const { database } of config.tables) names.add(database);
    names.delete(SYSTEM);
    await Promise.all([...names].map((database) => this.#openKnown(database)));
  }

  /** A database that cannot be opened is down and says so; the others go on. What was dropped is erased to its end. */
  async #openKnown(database: DatabaseName): Promise<void> {
    const { config, files, log } = this.#parts.resources;
    const isDeclared = config.tables.some((table) => table.database === database);
    if (!isDeclared && (await this.#isDropped(database))) return files.erase(database);
    try {
      await this.#openDatabase(database);
    } catch (error) {
      log.error({ database, reason: messageOf(error) }, 'cannot open a database');
    }
  }

  /** Resolves when it answers: then it has recovered. */
  async #openDatabase(database: DatabaseName): Promise<void> {
    const router = this.#context.spawn(
      routerSpec({ database, builtIn: systemTables, resources: this.#parts.resources }),
    );
    this.#routers.set(database, router);
    await this.#ask<DatabaseStatus>(router, (replyTo) => ({ type: 'database.status', replyTo }));
  }

  /** The databases that `replication.databases` names, or all. */
  #replicated(): Databases {
    const { databases } = this.#parts.resources.config.replication;
    if (databases === '*') return new Map(this.#routers);
    const named = new Set(databases.map(({ name }) => name));
    return new Map([...this.#routers].filter(([database]) => named.has(database)));
  }

  #createDatabase(database: DatabaseName): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#routers.has(database)) return;
      const problem = nameProblem(database) ?? directoryProblem(database);
      if (problem !== undefined) throw invalidRequest(`'database' ${problem}`);
      if (this.#routers.size >= limits.databasesMax)
        throw invalidRequest(`this node has ${limits.databasesMax} databases and takes no more`);
      await this.#openNewDatabase(database);
      await this.#noteDropped(database, false);
      this.#announce();
    });
  }

  /** A database that cannot be opened is offered to no peer, and creating it can be tried again. */
  async #openNewDatabase(database: DatabaseName): Promise<void> {
    try {
      await this.#openDatabase(database);
    } catch (error) {
      const router = this.#routers.get(database);
      this.#routers.delete(database);
      if (router) await this.#context.stop(router as ActorRef<never>);
      throw error;
    }
  }

  #dropDatabase(database: DatabaseName): Promise<void> {
    return this.#inTurn(async () => {
      const router = this.#router(database);
      await this.#noteDropped(database, true);
      this.#routers.delete(database);
      this.#announce();
      await this.#context.stop(router as ActorRef<never>);
      await this.#parts.resources.files.erase(database);
    });
  }

  /** One database after the other: a name may be made again only when all of the old one is gone. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(change);
    // Whoever asked is told of a failure; the next turn comes all the same.
    this.#changing = turn.catch(() => undefined);
    return turn;
  }

  #announce(): void {
    this.#peers?.send({ type: 'databases.changed', databases: this.#replicated() }, 'control');
  }

  /** A dropped database stays dropped here, though peers still have it. */
  async #noteDropped(database: DatabaseName, dropped: boolean): Promise<void> {
    const key = `dropped database ${database}`;
    const write = dropped
      ? ({ table: 'hdb_info', type: 'put', records: [{ info_id: key, value: true }] } as const)
      : ({ table: 'hdb_info', type: 'delete', keys: [key] } as const);
    await this.#ask(this.#router(SYSTEM), (replyTo) => ({
      type: 'transaction.submit',
      writes: [write],
      notes: {},
      replyTo,
    }));
  }

  async #isDropped(database: DatabaseName): Promise<boolean> {
    const [note] = await this.#read('hdb_info', `dropped database ${database}`);
    return note !== undefined;
  }

  /** A database that a peer replicates and this node may, is created here. */
  async #onGossip(peer: NodeName, databases: readonly DatabaseName[]): Promise<void> {
    const { databases: allowed } = this.#parts.resources.config.replication;
    for (const database of databases) {
      if (this.#routers.has(database)) continue;
      if (allowed !== '*' && !allowed.some(({ name }) => name === database)) continue;
      await this.#follow(peer, database);
    }
  }

  /** What a peer says must not end this node: a database that cannot be made here is reported and left out. */
  async #follow(peer: NodeName, database: DatabaseName): Promise<void> {
    try {
      if (!(await this.#isDropped(database))) await this.#createDatabase(database);
    } catch (error) {
      const reason = messageOf(error);
      this.#parts.resources.log.error({ peer, database, reason }, 'cannot create a database');
    }
  }

  async #find(message: { database: string; create: boolean }): Promise<ActorRef<RouterMessage>> {
    if (message.create) await this.#createDatabase(databaseName(message.database));
    return this.#router(message.database);
  }

  async #overview(): Promise<ClusterOverview> {
    const peers = this.#peers;
    const options = { timeoutMs: STATUS_MS, lane: 'control' } as const;
    const databases = await Promise.all(
      [...this.#routers.values()].map((router) =>
        this.#context
          .ask<DatabaseStatus, RouterMessage>(
            router,
            (replyTo) => ({ type: 'database.status', replyTo }),
            options,
          )
          .catch(() => null),
      ),
    );
    const statuses = peers
      ? await this.#context.ask<PeerStatus[], PeersMessage>(
          peers,
          (replyTo) => ({ type: 'peers.status', replyTo }),
          options,
        )
      : [];
    return { databases: databases.filter((status) => status !== null), peers: statuses };
  }

  #read(table: string, key: string): Promise<(RecordObject | undefined)[]> {
    return this.#ask(this.#router(SYSTEM), (replyTo) => ({
      type: 'records.get',
      table,
      keys: [key],
      replyTo,
    }));
  }

  /** One answer for every failure: nothing tells whether the user exists. */
  async #authenticate(credentials: { username: string; password: string }): Promise<User> {
    const [user] =
      credentials.username === '' ? [] : await this.#read('hdb_user', credentials.username);
    const stored = typeof user?.password === 'string' ? user.password : UNKNOWN_USER;
    if (!(await verifyPassword(credentials.password, stored)) || !user)
      throw new SkeinError('UNAUTHENTICATED', 'Login failed');
    if (user.active === false)
      throw new SkeinError('UNAUTHENTICATED', 'Cannot complete request: User is inactive');
    return {
      username: credentials.username,
      active: true,
      role: String(user.role),
      superUser: user.role === SUPER_USER,
    };
  }

  /** Nodes that open the operations API have a user from their first start on. */
  async #firstUser(): Promise<void> {
    const { authentication, operationsApi } = this.#parts.resources.config;
    if (!operationsApi.listen && authentication.adminPassword === undefined) return;
    const users = await this.#ask<RecordObject[]>(this.#router(SYSTEM), (replyTo) => ({
      type: 'records.search',
      table: 'hdb_user',
      query: { operator: 'and', conditions: [], limit: 1 },
      replyTo,
    }));
    if (users.length > 0) return;
    const username = authentication.adminUsername ?? 'admin';
    const password = authentication.adminPassword ?? generatePassword();
    await this.#putUser(username, password);
    if (authentication.adminPassword === undefined)
      this.#parts.passwordGenerated(username, password);
  }

  async #putUser(username: string, password: string): Promise<void> {
    const record = {
      username,
      password: await hashPassword(password),
      role: SUPER_USER,
      active: true,
      hash_function: 'scrypt',
    };
    await this.#ask(this.#router(SYSTEM), (replyTo) => ({
      type: 'transaction.submit',
      writes: [{ table: 'hdb_user', type: 'put', records: [record] }],
      notes: { operation: 'add_user' },
      replyTo,
    }));
  }
}

const SUPER_USER = 'super_user';

/** Checked in place of a user that does not exist, so that both answers take as long. */
const UNKNOWN_USER = `scrypt$16384$8$1$${'A'.repeat(24)}$${'A'.repeat(44)}`;

/** Answers when the work is done, without holding up the mailbox. */
const beside = <T>(replyTo: Reply<T>, work: Promise<T>): void => {
  work.then(replyTo.ok, (error: unknown) =>
    replyTo.fail(error instanceof Error ? error : new Error(String(error))),
  );
};
