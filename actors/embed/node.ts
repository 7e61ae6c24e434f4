/**
 * A node inside a service. Adds to the node's handle what embedders want: operations by `send`, typed tables,
 * transactions, waiting for the first sync, and a clean close. Called by server/startNode.ts, which opens the HTTP doors.
 */
import { homedir } from 'node:os';
import { resolveConfig } from '../../config/resolve.js';
import type { ConfigInput } from '../../config/types.js';
import { isNothing } from '../../protocol/flow.js';
import { SkeinError } from '../../protocol/errors.js';
import type { Operation, User } from '../../protocol/operations.js';
import type { ActorRef, Reply } from '../kernel/types.js';
import type {
  ClusterMessage,
  ClusterOverview,
  DatabaseStatus,
  PeerStatus,
  RouterMessage,
} from '../messages.js';
import type { NodeHandle } from '../node.js';
import { startCore, type RunningNode, type StartOptions } from '../startNode.js';
import type { MemoryNetwork } from '../transport/memory.js';
import {
  openTable,
  runTransaction,
  type AskDatabase,
  type Table,
  type Transaction,
} from './table.js';

export interface StartNodeOptions extends Omit<StartOptions, 'transport'> {
  /** Links nodes of this process without ports; nodes given the same network find each other by memory:// URLs. */
  readonly network?: MemoryNetwork;
}

export interface Node extends NodeHandle, AsyncDisposable {
  /** The cluster supervisor, for typed messages; `system.watch` and `system.ask` go with it. */
  readonly cluster: ActorRef<ClusterMessage>;
  /** Runs one operation, as the operations API would. Rejects with a SkeinError. */
  send(operation: Operation, options?: { user?: User; signal?: AbortSignal }): Promise<unknown>;
  /** A table of a database (default `data`); it must exist by the time it is used. */
  table<T extends object>(name: string, options?: { database?: string }): Table<T>;
  /** Atomic over the tables of one database, here and on every replica. Resolves with its time in ms; null: nothing written. */
  transaction(
    collect: (transaction: Transaction) => void | Promise<void>,
    options?: { database?: string },
  ): Promise<number | null>;
  /**
   * Resolves when this node has what its peers have told it of: no copy unfinished, nothing behind any linked peer, and,
   * where routes are configured, at least one peer linked. `signal` ends the wait.
   */
  synced(options?: { database?: string; signal?: AbortSignal }): Promise<void>;
}

/** Starts a node. Rejects with INVALID_CONFIGURATION, STORAGE_LOCKED, INSECURE_ADDRESS and the like; then nothing is left running. */
export const startNode = async (
  input: ConfigInput = {},
  options: StartNodeOptions = {},
): Promise<Node> => {
  const { config, warnings } = resolveConfig(input, {
    homeDirectory: homedir(),
    currentDirectory: process.cwd(),
  });
  const { network, ...rest } = options;
  const core = await startCore(config, {
    ...rest,
    ...(network && { transport: network.transport(config.node.name) }),
  });
  for (const warning of warnings) core.log.warn(warning);
  return embedded(core);
};

/** The embed door over a node that runs. */
export const embedded = (core: RunningNode): Node => {
  const askFor =
    (database: string): AskDatabase =>
    <R>(question: (replyTo: Reply<R>) => RouterMessage) =>
      askDatabase<R>(core, database, question);
  const node: Node = {
    name: core.name,
    config: core.config,
    system: core.system,
    cluster: core.cluster,
    execute: (operation, options) => core.execute(operation, options),
    send: (operation, options) => core.execute(operation, options),
    authenticate: (credentials) => core.authenticate(credentials),
    authenticateToken: (token) => core.authenticateToken(token),
    authenticateCertificate: (certificate) => core.authenticateCertificate(certificate),
    certificates: core.certificates,
    health: () => core.health(),
    tree: () => core.tree(),
    deadLetters: () => core.deadLetters(),
    close: () => core.close(),
    [Symbol.asyncDispose]: () => core.close(),
    table: <T extends object>(name: string, { database = DEFAULT } = {}) =>
      openTable<T>({ database, name, ask: askFor(database) }),
    transaction: (collect, { database = DEFAULT } = {}) =>
      runTransaction(askFor(database), collect),
    synced: (options = {}) => waitUntilSynced(core, options),
  };
  return node;
};

const DEFAULT = 'data';
const SYNC_POLL_MS = 20;

/** Routers are stable references: looked up once per database. */
const routers = new WeakMap<RunningNode, Map<string, ActorRef<RouterMessage>>>();

const askDatabase = async <R>(
  core: RunningNode,
  database: string,
  question: (replyTo: Reply<R>) => RouterMessage,
): Promise<R> => {
  const known = routers.get(core) ?? new Map<string, ActorRef<RouterMessage>>();
  routers.set(core, known);
  let router = known.get(database);
  if (!router) {
    router = await core.ask<ActorRef<RouterMessage>>((replyTo) => ({
      type: 'database.find',
      database,
      create: false,
      replyTo,
    }));
    known.set(database, router);
  }
  try {
    return await core.system.ask<R, RouterMessage>(router, question, {
      timeoutMs: core.config.storage.maxTransactionQueueMs,
    });
  } catch (error) {
    if (error instanceof SkeinError && error.code === 'UNAVAILABLE') known.delete(database);
    throw error;
  }
};

const waitUntilSynced = async (
  core: RunningNode,
  options: { database?: string; signal?: AbortSignal },
): Promise<void> => {
  for (;;) {
    options.signal?.throwIfAborted();
    if (isSynced(core, await core.overview(), options.database)) return;
    await new Promise<void>((resolve) => core.environment.setTimer(SYNC_POLL_MS, resolve));
  }
};

const isSynced = (
  core: RunningNode,
  overview: ClusterOverview,
  database: string | undefined,
): boolean => {
  const watched = overview.databases.filter(
    (status) => database === undefined || status.database === database,
  );
  const linked = overview.peers.filter((peer) => peer.connected);
  const rules = overview.membership?.rules;
  if (!rules || (core.config.replication.routes.length > 0 && linked.length === 0)) return false;
  // From a peer that gives nothing of a database there is nothing to wait for.
  const gives = (peer: PeerStatus, { database: name }: DatabaseStatus): boolean =>
    !isNothing(rules.link(peer.name, name).receives);
  return watched.every(
    (status) =>
      status.ready &&
      linked
        .filter((peer) => gives(peer, status))
        .every((peer) => status.peers.some((standing) => standing.peer === peer.name)) &&
      status.peers.every((standing) => standing.entriesBehind === 0),
  );
};
