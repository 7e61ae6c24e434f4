/**
 * Skein doing the work of the bare pipeline: two nodes in two processes, through the embed API and through the
 * operations API; and what only a whole product has: copy, latency, idling, starting. Called by run.ts.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchDocuments } from './bareRecords.js';
import type { SkeinOrder, SkeinReport } from './skeinMessages.js';

export interface Rate {
  readonly recordsPerSecond: number;
  /** Of both nodes together, per record; absent where a client took part. */
  readonly cpuMicrosecondsPerRecord?: number;
}

const A = { name: '127.0.0.41', port: 9963, operationsPort: 9965 };
const B = { name: '127.0.0.42', port: 9963 };
const BATCH = 1_000;
/** Small enough that the log has more entries than an empty node would replay. */
const COPIED_BATCH = 20;

/** Records put through the embed API on A, in transactions of 1 000, until B has them durably. */
export const ingestEmbedded = (options: {
  records: number;
  writeAsync: boolean;
  table: 'declared' | 'dynamic';
}): Promise<Rate> =>
  withPair(options.writeAsync, async (a, b) => {
    if (options.table === 'dynamic') await makeDynamicTable();
    const reached = b.order(
      { type: 'await', node: A.name, sequence: firstSequence + options.records / BATCH },
      'reached',
    );
    const ingested = await a.order(
      { type: 'ingest', table: options.table, records: options.records, batch: BATCH },
      'ingested',
    );
    const done = await reached;
    return {
      recordsPerSecond: (options.records * 1000) / (done.atMs - ingested.startedMs),
      cpuMicrosecondsPerRecord: (ingested.cpuMicroseconds + done.cpuMicroseconds) / options.records,
    };
  });

/** The table's definition is A's first entry, or its second where both nodes defined the declared one. */
const firstSequence = 1;

/** The same records as JSON over the operations API on A, 1 000 in a request, two requests at once. */
export const ingestOperations = (options: {
  records: number;
  writeAsync: boolean;
  table: 'declared' | 'dynamic';
}): Promise<Rate> =>
  withPair(options.writeAsync, async (_a, b) => {
    if (options.table === 'dynamic') await makeDynamicTable();
    const bodies = bodiesOf(options.table, options.records);
    const sequence = firstSequence + bodies.length;
    const reached = b.order({ type: 'await', node: A.name, sequence }, 'reached');
    const startedMs = wallMs();
    const queue = [...bodies];
    const client = async (): Promise<void> => {
      for (let body = queue.shift(); body !== undefined; body = queue.shift()) await post(body);
    };
    await Promise.all([client(), client()]);
    const done = await reached;
    return { recordsPerSecond: (options.records * 1000) / (done.atMs - startedMs) };
  });

/** B starts empty beside an A that holds the records; from its first row to the last. */
export const copy = (options: { records: number; writeAsync: boolean }): Promise<Rate> =>
  withFolder(async (folder) => {
    using a = await started(folder, A, [B], options.writeAsync);
    await a.order(
      { type: 'ingest', table: 'declared', records: options.records, batch: COPIED_BATCH },
      'ingested',
    );
    using b = new SkeinProcess();
    await b.order(startOrder(folder, B, [A], options.writeAsync), 'started');
    const done = await b.order({ type: 'awaitCopy' }, 'copied');
    await stopAll(a, b);
    return { recordsPerSecond: (options.records * 1000) / (done.endedMs - done.startedMs) };
  });

export interface Latency {
  readonly medianMs: number;
  readonly p99Ms: number;
}

/** From the call of put on A to the change being handed out on B, one write at a time on an idle pair. */
export const latency = (options: { writes: number; writeAsync: boolean }): Promise<Latency> =>
  withPair(options.writeAsync, async (a, b) => {
    const { writes } = options;
    const watching = b.order({ type: 'watch', table: 'declared', changes: writes }, 'watched');
    const { written } = await a.order(
      { type: 'writeSlowly', table: 'declared', writes },
      'written',
    );
    const seen = new Map((await watching).seen);
    const delays = written
      .map(([key, at]) => (seen.get(key) ?? Infinity) - at)
      .sort((x, y) => x - y);
    return {
      medianMs: delays[writes >> 1] ?? NaN,
      p99Ms: delays[Math.floor(writes * 0.99)] ?? NaN,
    };
  });

/** A node that is linked and has nothing to do. */
export const idle = (forMs: number): Promise<{ cpuShare: number; rssBytes: number }> =>
  withPair(false, async (a) => {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    return a.order({ type: 'usage', forMs }, 'usage');
  });

/** From spawn of the command to its operations API answering, first on an empty directory, then again. */
export const startUp = (): Promise<{ firstMs: number; againMs: number }> =>
  withFolder(async (folder) => {
    const firstMs = await timeStart(folder);
    return { firstMs, againMs: await timeStart(folder) };
  });

const timeStart = async (folder: string): Promise<number> => {
  const cli = fileURLToPath(new URL('../../server/cli.js', import.meta.url));
  const from = wallMs();
  const settings = ['--ROOTPATH', join(folder, 'cli'), '--REPLICATION_HOSTNAME', A.name];
  const child = spawn(
    process.execPath,
    [cli, 'start', ...settings, '--REPLICATION_PORT', String(A.port)],
    {
      stdio: 'ignore',
      env: { ...process.env, HDB_ADMIN_PASSWORD: 'bench', HDB_ADMIN_USERNAME: 'bench' },
    },
  );
  try {
    for (;;) {
      const ok = await fetch(`http://${A.name}:9925/readyz`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (ok) return wallMs() - from;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
};

class SkeinProcess {
  readonly #child: ChildProcess;
  #waiting: ((report: SkeinReport) => void)[] = [];

  constructor() {
    const program = fileURLToPath(new URL('./skeinProcess.js', import.meta.url));
    this.#child = fork(program, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: (process.env.SKEIN_BENCH_NODE_ARGUMENTS ?? '').split(' ').filter(Boolean),
    });
    this.#child.on('message', (report: SkeinReport) => this.#waiting.shift()?.(report));
    this.#child.on('exit', (code, signal) => {
      for (const waiting of this.#waiting)
        waiting({ type: 'failed', reason: `ended with ${signal ?? code}` });
    });
  }

  /** One order at a time. */
  async order<Type extends SkeinReport['type']>(
    order: SkeinOrder,
    expected: Type,
  ): Promise<Extract<SkeinReport, { type: Type }>> {
    const answer = new Promise<SkeinReport>((resolve) => this.#waiting.push(resolve));
    this.#child.send(order);
    const report = await answer;
    if (report.type === expected) return report as Extract<SkeinReport, { type: Type }>;
    throw new Error(`${expected} expected, not ${JSON.stringify(report)}`);
  }

  /** Ends by itself, so that profiles are written. */
  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    await this.order({ type: 'stop' }, 'stopped');
    await ended;
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

interface NodePlace {
  readonly name: string;
  readonly port: number;
  readonly operationsPort?: number;
}

const startOrder = (
  folder: string,
  place: NodePlace,
  others: readonly NodePlace[],
  writeAsync: boolean,
): SkeinOrder => ({
  type: 'start',
  ...place,
  routes: others.map(({ name, port }) => `${name}:${port}`),
  rootPath: join(folder, place.name),
  writeAsync,
});

const started = async (
  folder: string,
  place: NodePlace,
  others: readonly NodePlace[],
  writeAsync: boolean,
): Promise<SkeinProcess> => {
  const node = new SkeinProcess();
  await node.order(startOrder(folder, place, others, writeAsync), 'started');
  return node;
};

/** A first, so that the table is defined there and B has nothing to add. */
const withPair = <T>(
  writeAsync: boolean,
  use: (a: SkeinProcess, b: SkeinProcess) => Promise<T>,
): Promise<T> =>
  withFolder(async (folder) => {
    using a = await started(folder, A, [B], writeAsync);
    using b = await started(folder, B, [A], writeAsync);
    await b.order({ type: 'await', node: A.name, sequence: 1 }, 'reached');
    const result = await use(a, b);
    await stopAll(a, b);
    return result;
  });

const stopAll = async (...nodes: SkeinProcess[]): Promise<void> => {
  for (const node of nodes) await node.stop();
};

const withFolder = async <T>(use: (folder: string) => Promise<T>): Promise<T> => {
  const folder = await mkdtemp(join(tmpdir(), 'skein-bench-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const makeDynamicTable = (): Promise<void> =>
  post(JSON.stringify({ operation: 'create_table', table: 'dynamic', primary_key: 'id' }));

const bodiesOf = (table: string, records: number): string[] => {
  const documents = benchDocuments(records);
  const bodies: string[] = [];
  for (let at = 0; at < records; at += BATCH)
    bodies.push(
      JSON.stringify({ operation: 'upsert', table, records: documents.slice(at, at + BATCH) }),
    );
  return bodies;
};

const post = async (body: string): Promise<void> => {
  const answer = await fetch(`http://${A.name}:${A.operationsPort}/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${text}`);
};

const wallMs = (): number => performance.timeOrigin + performance.now();
