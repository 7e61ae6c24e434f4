/**
 * The databases of a node: opens those that exist, creates and drops them, follows what peers replicate. Used by
 * clusterSupervisor, whose children their writers are. Knows nothing of peers but what they say they have.
 */
import { invalidRequest, messageOf, SkeinError } from '../protocol/errors.js';
import type { FlowRules } from '../protocol/flow.js';
import { isNothing } from '../protocol/flow.js';
import { databaseName, type DatabaseName, type NodeName, type TableName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import { nameProblem } from '../protocol/schemas/names.js';
import type { RecordObject } from '../protocol/operations.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';
import { directoryProblem } from './databaseFiles.js';
import type { ActorContext, ActorRef, Reply } from './kernel/types.js';
import type { ClusterMessage, Databases, DatabaseStatus, RouterMessage } from './messages.js';
import type { NodeResources } from './resources.js';
import { routerSpec } from './shardRouter.js';
import { DEFAULT_DATABASE, SYSTEM, systemTables } from './systemDatabase.js';

export class DatabaseSet {
  readonly #context: ActorContext<ClusterMessage>;
  readonly #resources: NodeResources;
  /** Told when the databases that take part in replication are others. */
  readonly #changed: (databases: Databases) => void;
  readonly #coming = new Set<DatabaseName>();
  readonly #routers = new Map<DatabaseName, ActorRef<RouterMessage>>();
  /** Of databases that do not replicate: the tables that do all the same. */
  #shared: ReadonlyMap<DatabaseName, readonly TableName[]> = new Map();
  #rules: FlowRules | null = null;
  /** Settles when the last database that was to be created or dropped has been. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(parts: {
    context: ActorContext<ClusterMessage>;
    resources: NodeResources;
    changed: (databases: Databases) => void;
  }) {
    this.#context = parts.context;
    this.#resources = parts.resources;
    this.#changed = parts.changed;
  }

  get names(): DatabaseName[] {
    return [...this.#routers.keys()].sort();
  }

  /** Offered by a peer, and being made. */
  get coming(): readonly DatabaseName[] {
    return [...this.#coming];
  }

  /** NOT_FOUND `database 'x' does not exist`. */
  router(database: string): ActorRef<RouterMessage> {
    const router = this.#routers.get(databaseName(database));
    if (!router) throw new SkeinError('NOT_FOUND', `database '${database}' does not exist`);
    return router;
  }

  ask<T>(database: string, question: (replyTo: Reply<T>) => RouterMessage): Promise<T> {
    const timeoutMs = this.#resources.config.storage.maxTransactionQueueMs;
    return this.#context.ask<T, RouterMessage>(this.router(database), question, { timeoutMs });
  }

  /** Opens `system` first: it knows which others were dropped. */
  async open(): Promise<void> {
    const { config, files } = this.#resources;
    await files.prepare(SYSTEM);
    await this.#openDatabase(SYSTEM);
    const names = new Set([DEFAULT_DATABASE, ...(await files.list())]);
    for (const { database } of config.tables) names.add(database);
    names.delete(SYSTEM);
    await Promise.all([...names].map((database) => this.#openKnown(database)));
  }

  /** The databases that `replication.databases` names, or all; and those with tables that replicate all the same. */
  replicated(): Databases {
    return new Map(
      [...this.#routers].filter(
        ([database]) => this.#isNamed(database) || this.#shared.has(database),
      ),
    );
  }

  get shared(): ReadonlyMap<DatabaseName, readonly TableName[]> {
    return this.#shared;
  }

  /** False: nothing has changed. */
  tablesShared(database: DatabaseName, tables: readonly TableName[]): boolean {
    const before = this.#shared.get(database) ?? [];
    if (before.join('/') === tables.join('/')) return false;
    const shared = new Map(this.#shared);
    if (tables.length > 0) shared.set(database, tables);
    else shared.delete(database);
    this.#shared = shared;
    this.#changed(this.replicated());
    return true;
  }

  /** Every writer has to know whose writes it takes: those there are, and those to come. */
  flowChanged(rules: FlowRules): void {
    this.#rules = rules;
    for (const database of this.#routers.keys()) this.#tellFlow(database);
  }

  create(database: DatabaseName): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#routers.has(database)) return;
      const problem = nameProblem(database) ?? directoryProblem(database);
      if (problem !== undefined) throw invalidRequest(`'database' ${problem}`);
      if (this.#routers.size >= limits.databasesMax)
        throw invalidRequest(`this node has ${limits.databasesMax} databases and takes no more`);
      await this.#openNewDatabase(database);
      await this.#noteDropped(database, false);
      this.#changed(this.replicated());
    });
  }

  drop(database: DatabaseName): Promise<void> {
    return this.#inTurn(async () => {
      const router = this.router(database);
      await this.#noteDropped(database, true);
      this.#routers.delete(database);
      if (!this.tablesShared(database, [])) this.#changed(this.replicated());
      await this.#context.stop(router as ActorRef<never>);
      await this.#resources.files.erase(database);
    });
  }

  /** Databases that a peer replicates and this node may, are created here. */
  async follow(peer: NodeName, databases: readonly DatabaseName[]): Promise<void> {
    for (const database of databases) {
      if (this.#routers.has(database) || !this.#isNamed(database)) continue;
      if (this.#rules && isNothing(this.#rules.link(peer, database).receives)) continue;
      this.#coming.add(database);
      await this.#follow(peer, database);
      this.#coming.delete(database);
    }
  }

  #isNamed(database: DatabaseName): boolean {
    const { databases } = this.#resources.config.replication;
    return databases === '*' || databases.some(({ name }) => name === database);
  }

  #tellFlow(database: DatabaseName): void {
    if (!this.#rules) return;
    const origins = this.#rules.origins(database);
    this.#routers.get(database)?.send({ type: 'flow.changed', origins }, 'control');
  }

  /** Called in the writer's turn. */
  #defined(database: DatabaseName, definitions: readonly TableDefinition[]): void {
    if (this.#isNamed(database)) return;
    const tables = definitions.filter(({ replicate }) => replicate === true);
    this.#context.self.send(
      { type: 'tables.shared', database, tables: tables.map(({ name }) => name).sort() },
      'control',
    );
  }

  /** A database that cannot be opened is down and says so; the others go on. What was dropped is erased to its end. */
  async #openKnown(database: DatabaseName): Promise<void> {
    const { config, files, log } = this.#resources;
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
      routerSpec({
        database,
        builtIn: systemTables,
        resources: this.#resources,
        defined: (definitions) => this.#defined(database, definitions),
      }),
    );
    this.#routers.set(database, router);
    this.#tellFlow(database);
    await this.ask<DatabaseStatus>(database, (replyTo) => ({ type: 'database.status', replyTo }));
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

  /** One database after the other: a name may be made again only when all of the old one is gone. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(change);
    // Whoever asked is told of a failure; the next turn comes all the same.
    this.#changing = turn.catch(() => undefined);
    return turn;
  }

  /** What a peer says must not end this node: a database that cannot be made here is reported and left out. */
  async #follow(peer: NodeName, database: DatabaseName): Promise<void> {
    try {
      if (!(await this.#isDropped(database))) await this.create(database);
    } catch (error) {
      const reason = messageOf(error);
      this.#resources.log.error({ peer, database, reason }, 'cannot create a database');
    }
  }

  /** A dropped database stays dropped here, though peers still have it. */
  async #noteDropped(database: DatabaseName, dropped: boolean): Promise<void> {
    const key = `dropped database ${database}`;
    const write = dropped
      ? ({ table: 'hdb_info', type: 'put', records: [{ info_id: key, value: true }] } as const)
      : ({ table: 'hdb_info', type: 'delete', keys: [key] } as const);
    await this.ask(SYSTEM, (replyTo) => ({
      type: 'transaction.submit',
      writes: [write],
      notes: {},
      replyTo,
    }));
  }

  async #isDropped(database: DatabaseName): Promise<boolean> {
    const [note] = await this.ask<(RecordObject | undefined)[]>(SYSTEM, (replyTo) => ({
      type: 'records.get',
      table: 'hdb_info',
      keys: [`dropped database ${database}`],
      replyTo,
    }));
    return note !== undefined;
  }
}
