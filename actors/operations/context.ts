/**
 * What an operation may use: the databases' writers, the state of the whole node, and the rights of who asks.
 * Made by clusterSupervisor for each operation; operations keep nothing.
 */
import type { Logger } from 'pino';
import type { Config, ConfigSource, Route } from '../../config/types.js';
import type { EntryNotes } from '../../protocol/entry.js';
import type { DatabaseName, NodeName } from '../../protocol/ids.js';
import type { User } from '../../protocol/operations.js';
import type { ActorRef, Reply } from '../kernel/types.js';
import type { TokenKeys } from '../tokenKeys.js';
import type { Trust } from '../trust.js';
import type { UserDirectory } from '../users.js';
import type {
  ClusterOverview,
  MembershipMessage,
  RouterMessage,
  SignerMessage,
} from '../messages.js';

export interface OperationContext {
  readonly config: Config;
  readonly configSource: ConfigSource;
  readonly log: Logger;
  readonly user: User | null;
  readonly databases: readonly DatabaseName[];
  /** NOT_FOUND `database 'x' does not exist`. */
  router(database: string): ActorRef<RouterMessage>;
  ask<T>(database: string, question: (replyTo: Reply<T>) => RouterMessage): Promise<T>;
  createDatabase(database: string): Promise<void>;
  dropDatabase(database: string): Promise<void>;
  overview(): Promise<ClusterOverview>;
  membership<T>(question: (replyTo: Reply<T>) => MembershipMessage): Promise<T>;
  /** Asks the signer. SIGNER_UNAVAILABLE while it is away, or on a node without TLS. */
  signer<T>(question: (replyTo: Reply<T>) => SignerMessage): Promise<T>;
  /** Which certificates of other nodes are not accepted. */
  readonly trust: Pick<Trust, 'isRevoked' | 'revocation'>;
  nowMs(): number;
  /** All routes of this node, from now on. */
  routesChanged(routes: readonly Route[]): void;
  /** Has another node run one operation; rejects with PeerUnreachable or PeerRefused. */
  callPeer(call: {
    name: NodeName;
    url: string;
    verifyTls?: boolean;
    operation: Record<string, unknown>;
    authorization?: string;
  }): Promise<Record<string, unknown>>;
  readonly users: UserDirectory;
  /** For handing the keys of tokens to nodes of the cluster. */
  readonly tokenKeys: Pick<TokenKeys, 'texts' | 'replace'>;
  /** Where the request comes from, as far as that is known. */
  readonly from: { readonly address?: string };
}

/** Who and what, for the log. */
export const notesOf = (context: OperationContext, operation: string): EntryNotes => ({
  operation,
  ...(context.user && { user: context.user.username }),
});

export const INTERNAL =
  "The 'system' database, tables and records are used internally by Skein and cannot be updated or removed.";
