/**
 * A node without anything behind it, for tests of the doors: answers come from a table, and what was
 * asked is kept. Called by unit tests of server/.
 */
import type { ActorSnapshot, ActorSystem, DeadLetter } from '../../actors/kernel/types.js';
import type { Health, NodeHandle } from '../../actors/node.js';
import type { Credentials, TokenBearer } from '../../actors/users.js';
import type { Config } from '../../config/types.js';
import { nodeName } from '../../protocol/ids.js';
import { invalidRequest, SkeinError } from '../../protocol/errors.js';
import type { User } from '../../protocol/operations.js';

export type FakeAnswer = (operation: Record<string, unknown>, user: User | undefined) => unknown;

export interface FakeNodeOptions {
  readonly name?: string;
  /** Per operation: a value to resolve with, or a function that returns or throws. */
  readonly answers?: Readonly<Record<string, FakeAnswer>>;
  readonly health?: Partial<Health>;
  readonly healthFails?: Error;
  /** Of all users; default `secret`. */
  readonly password?: string;
  readonly authorizeLocal?: boolean;
  readonly allowCrash?: boolean;
  readonly tree?: readonly ActorSnapshot[];
  readonly deadLetters?: readonly DeadLetter[];
  readonly listen?: Partial<Pick<Config, 'operationsApi' | 'debug'>>;
}

export interface FakeNode extends NodeHandle {
  readonly executed: { operation: Record<string, unknown>; user: User | undefined }[];
  readonly signals: AbortSignal[];
  readonly logins: Credentials[];
  readonly crashed: string[];
  readonly closed: () => boolean;
}

/** Knows the tokens `admin-operation` and `admin-refresh`, and the users `admin` / `secret`, `reader` / `secret` (no super user) and `retired` / `secret` (inactive). */
export const fakeNode = (options: FakeNodeOptions = {}): FakeNode => {
  const executed: FakeNode['executed'] = [];
  const logins: FakeNode['logins'] = [];
  const signals: AbortSignal[] = [];
  const crashed: string[] = [];
  let closed = false;
  return {
    name: options.name ?? 'node-a',
    config: fakeConfig(options),
    system: fakeSystem(options, crashed),
    executed,
    logins,
    signals,
    crashed,
    closed: () => closed,
    execute: async (operation, { user, signal } = {}) => {
      const body = operation as Record<string, unknown>;
      executed.push({ operation: body, user });
      if (signal !== undefined) {
        signals.push(signal);
      }
      const name = String(body['operation']);
      const answer = options.answers?.[name];
      if (answer === undefined) {
        throw invalidRequest(`Operation '${name}' not found`);
      }
      return answer(body, user);
    },
    authenticate: async (credentials) => {
      logins.push(credentials);
      const user = USERS.find(({ username }) => username === credentials.username);
      if (user === undefined || credentials.password !== (options.password ?? 'secret')) {
        throw new SkeinError('UNAUTHENTICATED', 'Login failed');
      }
      return user;
    },
    authenticateToken: async (token) => {
      const bearer = TOKENS.get(token);
      if (bearer === undefined) throw new SkeinError('UNAUTHENTICATED', 'invalid token');
      return bearer;
    },
    health: async () => {
      if (options.healthFails !== undefined) {
        throw options.healthFails;
      }
      return { ...WELL, ...options.health };
    },
    tree: () => options.tree ?? [],
    deadLetters: () => options.deadLetters ?? [],
    close: async () => {
      closed = true;
    },
  };
};

/** An actor at rest; override what matters. */
export const fakeSnapshot = (
  path: string,
  changes: Partial<ActorSnapshot> = {},
): ActorSnapshot => ({
  path,
  name: path.slice(path.lastIndexOf('/') + 1),
  state: 'running',
  phase: 'running',
  life: 1,
  mailbox: { control: 0, data: 0 },
  processed: 0,
  crashes: 0,
  restarts: 0,
  hung: false,
  startedAt: 0,
  counters: {},
  details: {},
  children: [],
  ...changes,
});

const ADMIN: User = { username: 'admin', superUser: true, active: true };

const USERS: readonly User[] = [
  ADMIN,
  { username: 'reader', superUser: false, active: true, role: 'read_only' },
  { username: 'retired', superUser: false, active: false },
];

const TOKENS: ReadonlyMap<string, TokenBearer> = new Map([
  ['admin-operation', { user: ADMIN, kind: 'operation' }],
  ['admin-refresh', { user: ADMIN, kind: 'refresh' }],
]);

const WELL: Health = { status: 'ok', problems: [], live: true, ready: true, started: true };

const fakeConfig = (options: FakeNodeOptions): Config => ({
  rootPath: '/nowhere',
  node: { name: nodeName(options.name ?? 'node-a'), url: 'memory:node-a' },
  replication: {
    routes: [],
    routeDirection: 'peer',
    databases: '*',
    allowInsecure: false,
    enableRootCAs: false,
    certificateVerification: true,
    maxClockSkewMs: 60_000,
    tombstoneRetentionMs: 864_000_000,
    maxTransactionBytes: 1 << 26,
    maxPayloadBytes: 1 << 22,
    pingIntervalMs: 30_000,
    pingTimeoutMs: 60_000,
    readyWaitMs: 0,
  },
  tls: [],
  operationsApi: options.listen?.operationsApi ?? { listen: { host: '127.0.0.1', port: 0 } },
  debug: options.listen?.debug ?? {
    listen: { host: '127.0.0.1', port: 0 },
    allowCrash: options.allowCrash === true,
  },
  storage: { engine: 'memory', path: '/nowhere', writeAsync: false, maxTransactionQueueMs: 45_000 },
  authentication: {
    authorizeLocal: options.authorizeLocal === true,
    cacheTtlMs: 30_000,
    operationTokenMs: 86_400_000,
    refreshTokenMs: 30 * 86_400_000,
  },
  logging: { level: 'fatal', auditRetentionMs: 1 },
  tables: [],
});

/** Only what a door may ask of the actor system. */
const fakeSystem = (options: FakeNodeOptions, crashed: string[]): ActorSystem => {
  const refuse = (): never => {
    throw new Error('a door must not ask this of the actor system');
  };
  const paths = new Set(allPaths(options.tree ?? []));
  return {
    spawn: refuse,
    stop: refuse,
    ask: refuse,
    watch: refuse,
    subscribe: refuse,
    tree: () => options.tree ?? [],
    deadLetters: () => options.deadLetters ?? [],
    crash: (path) => {
      if (paths.has(path)) {
        crashed.push(path);
      }
      return paths.has(path);
    },
  };
};

const allPaths = (actors: readonly ActorSnapshot[]): string[] =>
  actors.flatMap((actor) => [actor.path, ...allPaths(actor.children)]);
