/**
 * revocation: asks authorities whether certificates of other nodes were revoked, and asks again while links have them.
 * Spawned by clusterSupervisor on nodes with TLS; answers the gate (revocationGate.ts), which decides without it while it
 * is away. Touches no link: what it learns is told to the gate, where links look.
 */
import { messageOf } from '../protocol/errors.js';
import type { RefreshedCheck } from '../security/revocationChecker.js';
import { passes, RevocationChecker } from '../security/revocationChecker.js';
import type { RevocationResult } from '../security/revocation.js';
import type { Fetch, RevocationCache, RevocationPorts } from '../security/revocationPorts.js';
import type { Actor, ActorContext, ActorSpec, Reply } from './kernel/types.js';
import type { RevocationMessage } from './messages.js';
import type { NodeResources } from './resources.js';
import type { CertificatePair } from './revocationGate.js';

export interface RevocationParts {
  readonly resources: Pick<NodeResources, 'environment' | 'log' | 'trust'>;
  readonly cache: RevocationCache;
  readonly fetch: Fetch;
  /** Of Skein, for the user agent. */
  readonly version: string;
}

export const revocationSpec = (parts: RevocationParts): ActorSpec<RevocationMessage> => ({
  name: 'revocation',
  policy: {
    restart: 'onCrash',
    budget: { restarts: 5, withinMs: 60_000 },
    backoff: { msMin: 100, msMax: 10_000 },
    whenSpent: 'stop',
  },
  start: (context) => new Revocation(context, parts),
});

/** The wall clock may be set, and machines sleep: looked at so often, though nothing seems due. */
const LOOK_MS_MAX = 60_000;

class Revocation implements Actor<RevocationMessage> {
  readonly #context: ActorContext<RevocationMessage>;
  readonly #parts: RevocationParts;
  readonly #checker: RevocationChecker;
  readonly #counts = { checks: 0, cached: 0, fetches: 0, refused: 0, unknown: 0 };
  #isRefreshing = false;

  constructor(context: ActorContext<RevocationMessage>, parts: RevocationParts) {
    this.#context = context;
    this.#parts = parts;
    this.#checker = new RevocationChecker(parts.resources.trust.revocation.settings, this.#ports());
    // Links of before this life.
    for (const pair of parts.resources.trust.revocation.held) this.#check(pair);
  }

  readonly receive = (message: RevocationMessage): void => {
    switch (message.type) {
      case 'certificate.check':
        return this.#check(message.pair, message.replyTo);
      case 'certificate.released':
        if (!this.#gate.isHeld(message.pem)) this.#checker.forget(message.pem);
        return this.#wait();
      case 'check.ended':
        return this.#onResults([message]);
      case 'timer.refresh':
        return this.#refresh();
      case 'refresh.ended':
        this.#isRefreshing = false;
        return this.#onResults(message.checks.map(resultOf));
      case 'refresh.failed':
        throw message.error;
      default:
        return message satisfies never;
    }
  };

  describe(): Record<string, unknown> {
    const { nextDueMs } = this.#checker;
    return {
      ...this.#counts,
      held: this.#gate.held.length,
      nextDue: nextDueMs === undefined ? null : new Date(nextDueMs).toISOString(),
    };
  }

  get #gate(): NodeResources['trust']['revocation'] {
    return this.#parts.resources.trust.revocation;
  }

  /** Beside the mailbox: an authority may take its time. */
  #check({ pem, issuerPem }: CertificatePair, replyTo?: Reply<RevocationResult>): void {
    this.#counts.checks++;
    void this.#checker.check(pem, issuerPem).then(
      (result) => {
        replyTo?.ok(result);
        this.#context.self.send({ type: 'check.ended', pem, result }, 'control');
      },
      (error: unknown) => {
        this.#parts.resources.log.error({ err: error }, 'a certificate could not be checked');
        replyTo?.fail(error instanceof Error ? error : new Error(messageOf(error)));
      },
    );
  }

  #refresh(): void {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    const { self } = this.#context;
    void this.#checker.refreshDue(this.#parts.resources.environment.now()).then(
      (checks) => self.send({ type: 'refresh.ended', checks }, 'control'),
      (error: unknown) => {
        const failure = error instanceof Error ? error : new Error(messageOf(error));
        self.send({ type: 'refresh.failed', error: failure }, 'control');
      },
    );
  }

  #onResults(results: readonly { pem: string; result: RevocationResult }[]): void {
    for (const { pem, result } of results) {
      if (result.code === 'REVOCATION_UNKNOWN') this.#counts.unknown++;
      else if (!passes(result)) this.#counts.refused++;
      if (this.#gate.isHeld(pem)) this.#gate.learn(pem, result, this.#parts.resources.log);
      else this.#checker.forget(pem);
    }
    this.#wait();
  }

  #wait(): void {
    const { nextDueMs } = this.#checker;
    if (this.#isRefreshing) return;
    if (nextDueMs === undefined) return this.#context.cancelTimer('refresh');
    const dueInMs = nextDueMs - this.#parts.resources.environment.now();
    const waitMs = Math.max(0, Math.min(dueInMs, LOOK_MS_MAX));
    this.#context.startTimer('refresh', waitMs, { type: 'timer.refresh' });
  }

  #ports(): RevocationPorts {
    const { cache, fetch, version, resources } = this.#parts;
    const { environment, log } = resources;
    return {
      version,
      now: environment.now,
      warn: (text) => log.warn(text),
      fetch: (url, request) => {
        this.#counts.fetches++;
        return fetch(url, request);
      },
      cache: {
        ...cache,
        answer: async (id) => {
          const row = await cache.answer(id);
          if (row !== undefined) this.#counts.cached++;
          return row;
        },
      },
    };
  }
}

const resultOf = ({ certificate, result }: RefreshedCheck) => ({
  pem: certificate.toString(),
  result,
});
