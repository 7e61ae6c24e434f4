/**
 * Mixed writes at a steady rate on random serving nodes of a cluster, each noted with its answer for the oracle.
 * Called by the tests of real processes and scripts/killLoop.ts. Never asks again for a write that failed.
 */
import type { Cluster, ClusterNode } from './cluster.js';
import { isConnectionFailure, Refused } from './clusterClient.js';
import type { Row } from './clusterDump.js';
import type { Change, Oracle } from './clusterOracle.js';

export interface LoadOptions {
  readonly cluster: Cluster;
  readonly oracle: Oracle;
  readonly table: string;
  /** Operations per second. */
  readonly rate: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Different keys that are written. */
  readonly keys?: number;
}

export interface LoadFigures {
  readonly seconds: number;
  readonly acknowledged: number;
  readonly unanswered: number;
  readonly refused: number;
  /** Counted per kind of failure, with its text. */
  readonly failures: Readonly<Record<string, number>>;
}

const TICK_MS = 5;
const IN_FLIGHT_MAX = 48;
const KEYS = 400;
const FIELDS = 4;
const BUCKETS = 8;
const IN_ONE_TRANSACTION = 3;
/** Of every hundred operations. */
const SHARES = { insert: 35, update: 30, upsert: 20 };

type Kind = 'insert' | 'update' | 'upsert' | 'delete';

/** Attributes of the rows this load writes that are worth looking up by index. */
export const INDEXED = ['bucket', 'f0'];

export class Load {
  readonly #options: LoadOptions;
  readonly #flying = new Set<Promise<void>>();
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #failures = new Map<string, number>();
  #issued = 0;
  #acknowledged = 0;
  #unanswered = 0;
  #refused = 0;
  #error: unknown = undefined;

  /** Begins at once. */
  constructor(options: LoadOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Begins no more writes and waits for none. */
  readonly abandon = (): void => clearInterval(this.#timer);

  /** Resolves when every write that was begun has its answer or will never have one. */
  async stop(): Promise<LoadFigures> {
    this.abandon();
    await Promise.all(this.#flying);
    if (this.#error !== undefined) throw this.#error;
    return {
      seconds: (performance.now() - this.#startedAt) / 1_000,
      acknowledged: this.#acknowledged,
      unanswered: this.#unanswered,
      refused: this.#refused,
      failures: Object.fromEntries(this.#failures),
    };
  }

  /** Behind with its rate it does not catch up in one burst: what cannot fly is not begun. */
  #tick(): void {
    const due = Math.floor(((performance.now() - this.#startedAt) / 1_000) * this.#options.rate);
    while (this.#issued < due) {
      this.#issued++;
      if (this.#flying.size >= IN_FLIGHT_MAX) continue;
      const write = this.#write().catch((error: unknown) => {
        this.#error ??= error;
      });
      this.#flying.add(write);
      void write.finally(() => this.#flying.delete(write));
    }
  }

  async #write(): Promise<void> {
    const node = this.#pick(this.#options.cluster.serving);
    if (!node) return;
    const kind = this.#kind();
    const keys = this.#keys();
    const records = keys.map((id) => this.#record(kind, id));
    try {
      const { table } = this.#options;
      const answer = (await node.client.send({
        operation: kind,
        table,
        ...(kind === 'delete' ? { ids: keys } : { records }),
      })) as Row;
      this.#acknowledged++;
      this.#noteAnswer(node, { kind, keys, records, answer });
    } catch (error) {
      this.#noteFailure(error, changesOf(kind, keys, records));
    }
  }

  #noteAnswer(
    node: ClusterNode,
    written: { kind: Kind; keys: readonly string[]; records: readonly Row[]; answer: Row },
  ): void {
    const { kind, keys, records, answer } = written;
    const skipped = new Set((answer['skipped_hashes'] as string[] | undefined) ?? []);
    const time = Number(answer['txn_time']);
    for (const change of changesOf(kind, keys, records))
      if (!skipped.has(change.key))
        this.#options.oracle.answered({ change, time, node: node.name });
  }

  #noteFailure(error: unknown, changes: readonly Change[]): void {
    const text = kindOfFailure(error);
    this.#failures.set(text, (this.#failures.get(text) ?? 0) + 1);
    if (wasNotStored(error)) {
      this.#refused++;
      return;
    }
    this.#unanswered++;
    for (const change of changes) this.#options.oracle.unanswered(change);
  }

  #kind(): Kind {
    const drawn = this.#options.random() * 100;
    if (drawn < SHARES.insert) return 'insert';
    if (drawn < SHARES.insert + SHARES.update) return 'update';
    return drawn < SHARES.insert + SHARES.update + SHARES.upsert ? 'upsert' : 'delete';
  }

  #keys(): string[] {
    const count = this.#options.random() < 0.1 ? IN_ONE_TRANSACTION : 1;
    const { keys = KEYS, random } = this.#options;
    return [...new Set(Array.from({ length: count }, () => `k${Math.floor(random() * keys)}`))];
  }

  #record(kind: Kind, id: string): Row {
    const write = this.#issued;
    const field = `f${Math.floor(this.#options.random() * FIELDS)}`;
    const bucket = `b${Math.floor(this.#options.random() * BUCKETS)}`;
    if (kind === 'insert') return { id, bucket, f0: write % BUCKETS, f1: write, inserted: write };
    return { id, [field]: field === 'f0' ? write % BUCKETS : write, bucket };
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#options.random() * list.length)];
  }
}

const changesOf = (kind: Kind, keys: readonly string[], records: readonly Row[]): Change[] =>
  keys.map((key, at) => {
    if (kind === 'delete') return { type: 'delete', key };
    return { type: kind === 'insert' ? 'put' : 'patch', key, values: records[at] ?? {} };
  });

/** Refused before anything was written, by the meaning of docs/OPERATIONS.md; everything else may have happened. */
const wasNotStored = (error: unknown): boolean => {
  if (error instanceof Refused) return error.status < 500 || error.code === 'OVERLOADED';
  return isConnectionFailure(error) && (error as { code?: string }).code === 'ECONNREFUSED';
};

const kindOfFailure = (error: unknown): string => {
  if (error instanceof Refused) return error.message.slice(0, 200);
  return error instanceof Error ? error.message.slice(0, 100) : String(error);
};

/** The same draws for the same seed (mulberry32). */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};
