/**
 * Loss of power for a real process: strace tells which bytes of each file were flushed, the process is killed, and
 * every file loses what was written and not flushed. Needs Debian's strace. Called by system tests and
 * scripts/powerLoss.ts; touches only files below the node's own directory.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterNode } from './cluster.js';
import { waitUntil } from './waitUntil.js';

/** `nodeArguments` of a life that begins after the power came back. */
export const afterPowerLoss: readonly string[] = [
  '--import',
  new URL('./anotherBoot.js', import.meta.url).href,
];

export interface LostBytes {
  /** Of all files together. */
  readonly bytes: number;
  readonly files: number;
}

/** Watches one life of a node from now on. */
export class PoweredLife {
  readonly #node: ClusterNode;
  readonly #tracer: ChildProcess;
  readonly #traceFile: string;
  readonly #sizes: ReadonlyMap<string, number>;

  private constructor(parts: {
    node: ClusterNode;
    tracer: ChildProcess;
    traceFile: string;
    sizes: ReadonlyMap<string, number>;
  }) {
    this.#node = parts.node;
    this.#tracer = parts.tracer;
    this.#traceFile = parts.traceFile;
    this.#sizes = parts.sizes;
  }

  /** Call while the node is idle: what is in its files then counts as flushed. */
  static async watch(node: ClusterNode): Promise<PoweredLife> {
    const traceFile = `${node.configFile}.trace`;
    const tracer = spawn(
      'strace',
      ['-f', '-y', '-s', '0', '-e', `trace=${TRACED}`, '-e', 'signal=none']
        .concat(['-o', traceFile, '-p', String(node.pid)])
        .concat([]),
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    tracer.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await waitUntil('strace to have attached', () => {
      if (tracer.exitCode !== null) throw new Error(`strace ended: ${said}`);
      return said.includes('attached');
    });
    return new PoweredLife({ node, tracer, traceFile, sizes: await sizesBelow(node.rootPath) });
  }

  /** Ends the process, and takes from its files what was not flushed. */
  async cut(): Promise<LostBytes> {
    const traced = this.#tracer.exitCode === null ? once(this.#tracer, 'exit') : undefined;
    await this.#node.kill();
    await traced;
    const flushed = flushedSizes(await readFile(this.#traceFile, 'utf8'), this.#sizes);
    await rm(this.#traceFile);
    return this.#takeAway(flushed);
  }

  async #takeAway(flushed: ReadonlyMap<string, number>): Promise<LostBytes> {
    let [bytes, files] = [0, 0];
    const present = await sizesBelow(this.#node.rootPath);
    for (const [path, size] of present) {
      const kept = flushed.get(path);
      if (kept === undefined || kept >= size) continue;
      await truncate(path, kept);
      bytes += size - kept;
      files++;
    }
    return { bytes, files };
  }
}

const TRACED = 'write,writev,pwrite64,pwritev,fdatasync,fsync';

/** Per file that was written: how many of its bytes the last completed flush covers. */
export const flushedSizes = (
  trace: string,
  before: ReadonlyMap<string, number>,
): Map<string, number> => {
  const written = new Map<string, number>();
  const flushed = new Map<string, number>();
  /** What a thread has begun and the kernel has not answered. */
  const begun = new Map<string, { path: string; isFlush: boolean; size: number }>();
  const sizeOf = (path: string): number => written.get(path) ?? before.get(path) ?? 0;
  const ended = (call: { path: string; isFlush: boolean; size: number }, result: number): void => {
    if (result < 0) return;
    if (call.isFlush) flushed.set(call.path, Math.max(flushed.get(call.path) ?? 0, call.size));
    else written.set(call.path, sizeOf(call.path) + result);
    if (!flushed.has(call.path)) flushed.set(call.path, before.get(call.path) ?? 0);
  };
  for (const line of trace.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const result = Number(/ = (-?\d+)[^=]*$/.exec(rest)?.[1] ?? Number.NaN);
    const call = begun.get(thread);
    if (rest.startsWith('<...')) {
      if (call) ended(call, result);
      begun.delete(thread);
      continue;
    }
    const [, name = '', path = ''] = /^(\w+)\(\d+<([^>]*)>/.exec(rest) ?? [];
    if (!path.startsWith('/')) continue;
    const isFlush = name === 'fsync' || name === 'fdatasync';
    const started = { path, isFlush, size: sizeOf(path) };
    if (rest.includes('<unfinished')) begun.set(thread, started);
    else if (!Number.isNaN(result)) ended(started, result);
  }
  return flushed;
};

const sizesBelow = async (directory: string): Promise<Map<string, number>> => {
  const sizes = new Map<string, number>();
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  for (const entry of found) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    sizes.set(path, (await stat(path)).size);
  }
  return sizes;
};
