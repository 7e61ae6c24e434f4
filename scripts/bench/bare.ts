/**
 * The bare pipeline: what the packages allow when they do only the unavoidable. Each record is encoded once
 * on A, written there with a log entry, sent in 64 KiB frames, and written on B with a log entry too.
 * Called by scripts/bench/run.ts; `node dist/scripts/bench/bare.js --records 200000` prints all variants.
 * Starts processes and writes below the system's temporary folder; removes both.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { BareFinished, BareReport, BareTask, Encoding } from './bareMessages.js';

export interface BareOptions {
  readonly records: number;
  /** True: every batch is on the disk before the next begins, on both ends (`writeAsync: false`). */
  readonly sync: boolean;
  /** True: the bytes of the records exist before the clock starts. */
  readonly readyMade: boolean;
  /** Encode with protocol/codec.ts, which also inspects, where plain msgpack-lite would do. */
  readonly withCodec?: boolean;
  /** Where the data goes; default the system's temporary folder. */
  readonly folder?: string;
}

export interface BareResult {
  readonly recordsPerSecond: number;
  /** Of all processes together, per record. */
  readonly cpuMicrosecondsPerRecord: number;
  /** Of all log entries: what the link carries, without frame headers. */
  readonly bytes: number;
}

/**
 * Runs the pipeline once, with at least one record. The clock starts when the link is open and stops when both
 * ends have written everything. Rejects when a process fails or a store does not hold exactly what was written.
 */
export async function runBare(options: BareOptions): Promise<BareResult> {
  const encoding: Encoding = options.readyMade
    ? 'readyMade'
    : options.withCodec === true
      ? 'codec'
      : 'plain';
  const { records, sync } = options;
  // Without a record nothing would ever be acknowledged.
  if (!(Number.isSafeInteger(records) && records > 0)) throw new RangeError('records must be > 0');
  return withFolder(options.folder, async (folder) => {
    using replica = new Worker({ role: 'replica', folder: join(folder, 'b'), records, sync });
    const { port } = await replica.next('listening');
    const task = { folder: join(folder, 'a'), records, sync, encoding, port };
    using origin = new Worker({ role: 'origin', ...task });
    const finished = await Promise.all([origin.next('finished'), replica.next('finished')]);
    return resultOf(finished, records);
  });
}

/**
 * What LevelDB allows: the same batches of ready-made bytes without a network, by `writers` processes at
 * once, each into its own store. Two writers (the default) do what the pipeline makes both ends do.
 * `recordsPerSecond` counts each record once, not once per writer.
 */
export async function runLevelAlone(options: {
  readonly records: number;
  readonly sync: boolean;
  readonly writers?: 1 | 2;
  readonly folder?: string;
}): Promise<BareResult> {
  const { records, sync } = options;
  return withFolder(options.folder, async (folder) => {
    const task = { role: 'level' as const, records, sync };
    using first = new Worker({ ...task, folder: join(folder, 'a') });
    using second =
      options.writers === 1 ? undefined : new Worker({ ...task, folder: join(folder, 'b') });
    const workers = second === undefined ? [first] : [first, second];
    await Promise.all(workers.map((worker) => worker.next('prepared')));
    for (const worker of workers) worker.begin();
    const finished = await Promise.all(workers.map((worker) => worker.next('finished')));
    return resultOf(finished, records);
  });
}

/** A forked bareProcess.ts with its task. Disposing it ends the process. */
class Worker {
  readonly #child: ChildProcess;
  readonly #reports: BareReport[] = [];
  readonly #failed: Promise<never>;

  constructor(task: BareTask) {
    const program = fileURLToPath(new URL('./bareProcess.js', import.meta.url));
    this.#child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (report: BareReport) => this.#reports.push(report));
    this.#failed = once(this.#child, 'exit').then(([code, signal]: unknown[]) => {
      throw new Error(`the ${task.role} ended with ${String(signal ?? code)}`);
    });
    this.#failed.catch(() => undefined);
    this.#child.send(task);
  }

  /** The next report, which must be of that type. Rejects when the process ends before it. */
  async next<Type extends BareReport['type']>(
    type: Type,
  ): Promise<Extract<BareReport, { type: Type }>> {
    if (this.#reports.length === 0) {
      await Promise.race([once(this.#child, 'message'), this.#failed]);
    }
    const report = this.#reports.shift();
    if (report?.type !== type) throw new Error(`${type} expected, not ${report?.type}`);
    return report as Extract<BareReport, { type: Type }>;
  }

  begin(): void {
    this.#child.send({ type: 'begin' });
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

/** The slowest process decides: none is done before all are. */
function resultOf(finished: readonly BareFinished[], records: number): BareResult {
  const elapsedMs = Math.max(...finished.map((one) => one.elapsedMs));
  const cpu = finished.reduce((sum, one) => sum + one.cpuMicroseconds, 0);
  return {
    recordsPerSecond: (records * 1000) / elapsedMs,
    cpuMicrosecondsPerRecord: cpu / records,
    bytes: finished[0]?.bytes ?? 0,
  };
}

async function withFolder<Result>(
  parent: string | undefined,
  use: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(parent ?? tmpdir(), 'skein-bare-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { records: { type: 'string', default: '200000' } } });
  const records = Number(values.records);
  for (const sync of [false, true]) {
    const name = sync ? 'fsync' : 'no fsync';
    print(`${name}, level alone, one writer`, await runLevelAlone({ records, sync, writers: 1 }));
    print(`${name}, level alone, two writers`, await runLevelAlone({ records, sync }));
    print(`${name}, ready-made`, await runBare({ records, sync, readyMade: true }));
    print(`${name}, encoded`, await runBare({ records, sync, readyMade: false }));
    const withCodec = { records, sync, readyMade: false, withCodec: true };
    print(`${name}, encoded by protocol/codec.ts`, await runBare(withCodec));
  }
}

function print(name: string, result: BareResult): void {
  const rate = Math.round(result.recordsPerSecond).toLocaleString('en');
  const cpu = result.cpuMicrosecondsPerRecord.toFixed(2);
  console.log(`${name.padEnd(40)} ${rate.padStart(9)} records/s ${cpu.padStart(6)} us CPU/record`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
