/**
 * One link and one node of statusTruthBench.ts: what can be done to them, and when it was. Used by that bench and
 * statusTruthNemesis.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { KIB } from '../../protocol/limits.js';
import type { ClusterNode } from './cluster.js';
import type { LinkProxy } from './linkProxy.js';

/** What a comparison found done to the link or its ends. */
export const FAULTS = [
  'none',
  'cut',
  'hang',
  'half',
  'slow',
  'rst',
  'stopped',
  'continued',
  'killed',
  'restarted',
  'wiped',
] as const;
export type FaultKind = (typeof FAULTS)[number];

/** Bytes a second in each direction. */
const SLOW_RATE = 32 * KIB;
/** On a slow link a frame of a copy or of a backlog may be before what is told. */
export const SLOW_MS = ((64 * KIB) / SLOW_RATE) * 1_000;

export class TruthLink {
  readonly ends: readonly [number, number];
  readonly #proxies: ReadonlyMap<number, LinkProxy>;
  fault: { readonly kind: FaultKind; readonly sinceMs: number; readonly deaf: number } | null =
    null;
  /** When something was done to it, or undone, for the last time. */
  touchedMs = Date.now();
  resetMs = 0;

  /** `proxies`: by the end that dials through it. */
  constructor(ends: readonly [number, number], proxies: ReadonlyMap<number, LinkProxy>) {
    this.ends = ends;
    this.#proxies = proxies;
  }

  get count(): number {
    let count = 0;
    for (const proxy of this.#proxies.values()) count += proxy.links();
    return count;
  }

  /** Where that end dials the other. */
  urlFor(dialler: number): string {
    const proxy = this.#proxies.get(dialler);
    if (!proxy) throw new Error(`Node ${dialler} is no end of this link`);
    return `ws://${proxy.address.host}:${proxy.address.port}`;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { bytes: passed } of this.#proxies.values())
      bytes += passed.toTarget + passed.fromTarget;
    return bytes;
  }

  apply(kind: 'cut' | 'hang' | 'half' | 'slow', deaf: number): void {
    for (const [dialler, proxy] of this.#proxies) {
      proxy.restore();
      if (kind === 'cut') proxy.cut();
      else if (kind === 'hang') proxy.hang();
      else if (kind === 'slow') proxy.slow(SLOW_RATE);
      else proxy.half(dialler === deaf ? 'fromTarget' : 'toTarget');
    }
    this.touchedMs = Date.now();
    this.fault = { kind, sinceMs: this.touchedMs, deaf };
  }

  heal(): void {
    for (const proxy of this.#proxies.values()) proxy.restore();
    this.fault = null;
    this.touchedMs = Date.now();
  }

  /** Resolves when the link was reset after some more bytes, or none passed. */
  async resetWithin(bytes: number, msMax: number): Promise<void> {
    const before = this.bytes;
    const deadline = Date.now() + msMax;
    for (const proxy of this.#proxies.values()) proxy.rstAt(bytes);
    while (Date.now() < deadline && this.bytes < before + bytes) await sleep(10);
    const wasReset = this.bytes >= before + bytes;
    this.heal();
    if (wasReset) this.resetMs = this.touchedMs;
  }

  close(): Promise<unknown> {
    return Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }
}

export class TruthNode {
  readonly index: number;
  readonly node: ClusterNode;
  stoppedMs: number | null = null;
  continuedMs = 0;
  killedMs: number | null = null;
  launchedMs = 0;
  readyMs = 0;
  lives = 0;
  wipes = 0;
  /** What every possible source of a copy held when this node's disk was taken away, per database. */
  owed: ReadonlyMap<string, ReadonlySet<string>> | null = null;

  constructor(index: number, node: ClusterNode) {
    this.index = index;
    this.node = node;
  }

  get name(): string {
    return this.node.name;
  }

  get disk(): string {
    return `${this.name}~${this.wipes}`;
  }

  /** It takes writes and answers. */
  get isThere(): boolean {
    return this.node.isServing && this.stoppedMs === null;
  }

  /** It may at least answer. */
  get isAwake(): boolean {
    return this.node.isRunning && this.stoppedMs === null;
  }

  stop(): void {
    process.kill(this.node.pid, 'SIGSTOP');
    this.stoppedMs = Date.now();
  }

  continue(): void {
    process.kill(this.node.pid, 'SIGCONT');
    this.stoppedMs = null;
    this.continuedMs = Date.now();
  }

  async kill(): Promise<void> {
    await this.node.kill();
    this.killedMs = Date.now();
  }

  /** Begins a new life. `failed` is told when it does not become ready. */
  async launch(failed: (error: unknown) => void): Promise<void> {
    await this.node.launch();
    this.killedMs = null;
    this.launchedMs = Date.now();
    const life = ++this.lives;
    this.node.ready(60_000).then(
      () => (this.readyMs = Date.now()),
      (error: unknown) => {
        // Killed before it was ready, which is the nemesis's right.
        if (this.lives === life && this.node.isRunning) failed(error);
      },
    );
  }
}
