/**
 * The handle of a running node: what every door (embed API, operations API, debug endpoint, CLI) talks to.
 * Doors see this and message types, never storage.
 */
import type { Config } from '../config/types.js';
import type { User } from '../protocol/operations.js';
import type { ActorSnapshot, ActorSystem, DeadLetter } from './kernel/types.js';

export interface Health {
  /** `ok`: everything runs; `degraded`: an actor is backing off, stopped or hung; `failed`: the tree is down. */
  readonly status: 'starting' | 'ok' | 'degraded' | 'failed' | 'stopped';
  /** What is wrong, and what is waited for (an unfinished copy, also when `ok`), one line each. */
  readonly problems: readonly string[];
  readonly live: boolean;
  /** Stores open, and no copy this node depends on is unfinished. */
  readonly ready: boolean;
  readonly started: boolean;
}

export interface NodeHandle {
  readonly name: string;
  readonly config: Config;
  readonly system: ActorSystem;
  /**
   * Runs one operation as the cluster supervisor would answer it: resolves with the documented body,
   * rejects with a SkeinError (`statusCode`, `message`). Validates; does not authenticate: `user` absent
   * means the embedding program itself, which may do everything.
   */
  execute(operation: unknown, options?: { user?: User; signal?: AbortSignal }): Promise<unknown>;
  /** Rejects with UNAUTHENTICATED `Login failed`. Verified logins are cached for `authentication.cacheTTL`. */
  authenticate(credentials: { username: string; password: string }): Promise<User>;
  health(): Promise<Health>;
  tree(): readonly ActorSnapshot[];
  deadLetters(): readonly DeadLetter[];
  close(): Promise<void>;
}
