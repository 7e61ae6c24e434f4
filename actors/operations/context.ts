/**
 * What an operation may use: the databases' writers, the state of the whole node, and the rights of who asks.
 * Made by clusterSupervisor for each operation; operations keep nothing.
 */
import type { Config } from '../../config/types.js';
import type { EntryNotes } from '../../protocol/entry.js';
import type { DatabaseName } from '../../protocol/ids.js';
import type { User } from '../../protocol/operations.js';
import type { ActorRef, Reply } from '../kernel/types.js';
import type { ClusterOverview, RouterMessage } from '../messages.js';

export interface OperationContext {
  readonly config: Config;
  readonly user: User | null;
  readonly databases: readonly DatabaseName[];
  /** NOT_FOUND `database 'x' does not exist`. */
  router(database: string): ActorRef<RouterMessage>;
  ask<T>(database: string, question: (replyTo: Reply<T>) => RouterMessage): Promise<T>;
  createDatabase(database: string): Promise<void>;
  dropDatabase(database: string): Promise<void>;
  overview(): Promise<ClusterOverview>;
}

/** Who and what, for the log. */
export const notesOf = (context: OperationContext, operation: string): EntryNotes => ({
  operation,
  ...(context.user && { user: context.user.username }),
});
