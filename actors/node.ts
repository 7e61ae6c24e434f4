/**
 * The handle of a running node: what every door (embed API, operations API, debug endpoint, CLI) talks to.
 * Doors see this and message types, never storage.
 */
import type { X509Certificate } from 'node:crypto';
import type { Config } from '../config/types.js';
import type { User } from '../protocol/operations.js';
import type { Credentials, TokenBearer } from './users.js';
import type { SecureContexts } from './transport/secureContexts.js';
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

export type ServedCertificates = Pick<
  SecureContexts,
  'defaultOptions' | 'contextFor' | 'onReplaced'
>;

export interface NodeHandle {
  readonly name: string;
  readonly config: Config;
  readonly system: ActorSystem;
  /**
   * Runs one operation as the cluster supervisor would answer it: resolves with the documented body,
   * rejects with a SkeinError (`statusCode`, `message`). Validates; does not authenticate: `user` absent
   * means the embedding program itself, which may do everything.
   */
  execute(
    operation: unknown,
    options?: { user?: User; address?: string; signal?: AbortSignal },
  ): Promise<unknown>;
  /**
   * The user with the rights of the moment. Rejects with UNAUTHENTICATED `Login failed`, and TOO_MANY_LOGINS after many
   * failures from that address. Passwords are checked anew after `authentication.cacheTTL`.
   */
  authenticate(credentials: Credentials): Promise<User>;
  /** Whom a token stands for, and what it is good for. UNAUTHENTICATED `invalid token` or `token expired`. */
  authenticateToken(token: string): Promise<TokenBearer>;
  /** The user that a client certificate stands for; TLS has judged it. UNAUTHENTICATED `Login failed`. */
  authenticateCertificate(certificate: X509Certificate): Promise<User>;
  /** What HTTPS shows, and whose client certificates it believes. */
  readonly certificates: ServedCertificates;
  health(): Promise<Health>;
  tree(): readonly ActorSnapshot[];
  deadLetters(): readonly DeadLetter[];
  close(): Promise<void>;
}
