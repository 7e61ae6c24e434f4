/**
 * The settled configuration of one node: complete, validated, frozen. `load.ts` makes it from file,
 * environment and arguments; `startNode` from a partial object. Units are in the names.
 */
import type { StatedFlow } from '../protocol/flowRules.js';
import type { NodeName } from '../protocol/ids.js';
import type { ReceivingRule, Replicates, SendingRule } from '../protocol/validate.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';

export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface Route {
  /** Node name expected at the other end. */
  readonly name: NodeName;
  /** ws:// or wss:// or memory: URL to dial. */
  readonly url: string;
  readonly startTimeMs?: number;
  /** From this node's view; absent: it says nothing of directions, and everything passes both ways. */
  readonly flow?: StatedFlow;
  /** Serial numbers of certificates that are not accepted for that node, as they were written down. */
  readonly revokedCertificates?: readonly string[];
}

/** PEM, as it stands in the configuration or in a file. */
export type PemSource = { readonly text: string } | { readonly file: string };

/** A certificate that the operator provides, with its key, an authority to be trusted, or both. */
export interface TlsEntry {
  readonly certificate?: PemSource;
  /** There when `certificate` is. */
  readonly privateKey?: PemSource;
  readonly authority?: PemSource;
  /** Empty: what the certificate itself names. */
  readonly hostnames: readonly string[];
  /** Empty: for everything. */
  readonly uses: readonly string[];
  /** In the spelling of OpenSSL. */
  readonly ciphers?: string;
}

export interface DatabaseSelection {
  readonly name: string;
}

export interface Config {
  /** Directory of everything the node stores. */
  readonly rootPath: string;
  readonly node: {
    readonly name: NodeName;
    /**
     * URL other nodes dial; `memory://name` for a node that takes part over the in-memory transport. With port 0
     * the real port is known only to whoever listens.
     */
    readonly url: string;
  };
  readonly replication: {
    /** Insecure port, with IP identity; absent: not listening there. */
    readonly insecure?: ListenAddress;
    /** TLS port; absent: not listening there. */
    readonly secure?: ListenAddress;
    /** The insecure port may be open beyond loopback. */
    readonly allowInsecure: boolean;
    /** The public authorities that come with Node are trusted as well. */
    readonly enableRootCAs: boolean;
    /** `mtls.certificateVerification` as it was given. */
    readonly certificateVerification: boolean | Readonly<Record<string, unknown>>;
    readonly routes: readonly Route[];
    /** Whose view the flags `sends` and `receives` are, in routes and in operations: that of the other node by default. */
    readonly routeDirection: 'peer' | 'local';
    readonly databases: '*' | readonly DatabaseSelection[];
    readonly maxClockSkewMs: number;
    /** How long deletes are remembered; not less than `logging.auditRetentionMs`. */
    readonly tombstoneRetentionMs: number;
    readonly maxTransactionBytes: number;
    readonly maxPayloadBytes: number;
    readonly pingIntervalMs: number;
    readonly pingTimeoutMs: number;
    /** So long after its start an empty node with peers is not ready before it has met one. */
    readonly readyWaitMs: number;
  };
  readonly tls: readonly TlsEntry[];
  readonly operationsApi: {
    readonly listen?: ListenAddress;
    /** Absent: those of the node. */
    readonly tls?: readonly TlsEntry[];
  };
  readonly debug: { readonly listen?: ListenAddress; readonly allowCrash: boolean };
  readonly storage: {
    readonly engine: 'level' | 'memory';
    readonly path: string;
    /** True: a write is acknowledged before it is flushed to the disk. */
    readonly writeAsync: boolean;
    readonly maxTransactionQueueMs: number;
  };
  readonly authentication: {
    readonly authorizeLocal: boolean;
    readonly cacheTtlMs: number;
    readonly operationTokenMs: number;
    readonly refreshTokenMs: number;
    readonly adminUsername?: string;
    readonly adminPassword?: string;
  };
  readonly logging: { readonly level: LogLevel; readonly auditRetentionMs: number };
  readonly tables: readonly TableDefinition[];
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'notify' | 'warn' | 'error' | 'fatal';

/** Where a node's configuration came from, for what is written back to it. Holds no values. */
export interface ConfigSource {
  /** Absolute path of the configuration file; absent: there is none. */
  readonly file?: string;
  /** What set `replication.routes`, when it was not the file: `environment variable REPLICATION_ROUTES`. */
  readonly routesFrom?: string;
}

/** What may be given to `startNode` and stand in a file: the documented keys, all optional. */
export interface ConfigInput {
  rootPath?: string;
  replication?: {
    hostname?: string | number;
    url?: string;
    port?: number | string | null;
    securePort?: number | string | null;
    routes?: readonly (string | RouteInput)[];
    routeDirection?: 'peer' | 'local';
    databases?: '*' | readonly (string | { name: string })[];
    allowInsecure?: boolean;
    enableRootCAs?: boolean;
    mtls?: boolean | { certificateVerification?: boolean | Readonly<Record<string, unknown>> };
    maxClockSkew?: number;
    tombstoneRetention?: number | string;
    maxTransactionBytes?: number;
    maxPayload?: number;
    pingInterval?: number;
    pingTimeout?: number;
    readyWait?: number;
    [key: string]: unknown;
  };
  node?: { hostname?: string | number; url?: string };
  tls?: TlsInput | readonly TlsInput[];
  operationsApi?: {
    tls?: TlsInput;
    network?: { port?: number | string | null; [key: string]: unknown };
    [key: string]: unknown;
  };
  debug?: { port?: number | string | null; allowCrash?: boolean };
  storage?: {
    path?: string;
    engine?: 'level' | 'memory';
    writeAsync?: boolean;
    maxTransactionQueueTime?: number | string;
    [key: string]: unknown;
  };
  authentication?: {
    authorizeLocal?: boolean;
    cacheTTL?: number;
    operationTokenTimeout?: number | string;
    refreshTokenTimeout?: number | string;
    hashFunction?: string;
    /** First user, made at the first start. Both or neither. */
    adminUsername?: string;
    adminPassword?: string;
    [key: string]: unknown;
  };
  logging?: { level?: LogLevel; auditRetention?: number | string; [key: string]: unknown };
  /** GraphQL files with `@table` definitions, relative to the configuration file. */
  schemas?: readonly string[];
  /** The same, given directly as GraphQL text (embedding). */
  schema?: string;
  [key: string]: unknown;
}

export interface TlsInput {
  /** PEM text, or a file relative to `rootPath`. */
  certificate?: string;
  certificateAuthority?: string;
  privateKey?: string;
  host?: string | readonly string[];
  hosts?: string | readonly string[];
  hostname?: string | readonly string[];
  hostnames?: string | readonly string[];
  uses?: string | readonly string[];
  ciphers?: string;
}

export interface RouteInput {
  host?: string | number;
  hostname?: string | number;
  url?: string;
  port?: number;
  startTime?: number | string;
  replicates?: boolean | Replicates;
  sendsTo?: readonly (string | SendingRule)[];
  receivesFrom?: readonly (string | ReceivingRule)[];
  subscriptions?: readonly SubscriptionInput[];
  excludeTables?: readonly string[];
  revokedCertificates?: readonly string[];
  [key: string]: unknown;
}

export interface SubscriptionInput {
  database?: string;
  /** The same as `database`. */
  schema?: string;
  table: string;
  publish?: boolean;
  subscribe?: boolean;
}
