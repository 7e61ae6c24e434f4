/**
 * What is done to the nodes and links of statusTruthBench.ts between two comparisons, drawn from a seed, and the writes
 * that go on all the time. Called by statusTruth.ts. Never acts by itself: each act has ended when the next comparison
 * begins.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DATABASES, type TruthBench } from './statusTruthBench.js';
import type { TruthLink, TruthNode } from './statusTruthParts.js';

type LinkAct = 'cut' | 'hang' | 'half' | 'slow' | 'rst';
type NodeAct = 'stop' | 'pause' | 'kill' | 'wipe';
type Act = LinkAct | NodeAct;

const ACTS: readonly Act[] = [
  'cut',
  'hang',
  'half',
  'slow',
  'rst',
  'stop',
  'pause',
  'kill',
  'wipe',
  'hang',
  'half',
  'rst',
];
const PAUSE_MS = { min: 300, max: 3_200 };
const RESET_BYTES_MAX = 600;
const RESET_MS_MAX = 700;
/** In how many of a hundred turns with something broken the oldest of it is undone. */
const HEALS = 30;
const ACTS_IN_HUNDRED = 55;

/** Since when, and how it ends. */
interface Undo {
  readonly undo: () => void | Promise<void>;
}

export class Nemesis {
  readonly #bench: TruthBench;
  readonly #random: () => number;
  #bag: Act[] = [];
  #undone: Undo[] = [];

  constructor(bench: TruthBench, random: () => number) {
    this.#bench = bench;
    this.#random = random;
  }

  /** Undoes something, does something, or neither. Resolves when it has happened. */
  async act(): Promise<void> {
    if (this.#undone.length > 0 && this.#random() * 100 < HEALS) await this.#heal();
    const most = this.#random() < 0.2 ? 3 : 2;
    if (this.#undone.length >= most || this.#random() * 100 >= ACTS_IN_HUNDRED) return;
    if (this.#bag.length === 0) this.#bag = this.#shuffled(ACTS);
    const act = this.#bag.pop();
    if (act) await this.#do(act);
  }

  #heal(): void | Promise<void> {
    return this.#undone.shift()?.undo();
  }

  async #do(act: Act): Promise<void> {
    switch (act) {
      case 'cut':
      case 'hang':
      case 'half':
      case 'slow':
        return this.#breakLink(act);
      case 'rst': {
        const link = this.#wholeLink();
        const bytes = 1 + Math.floor(this.#random() * RESET_BYTES_MAX);
        return link?.resetWithin(bytes, RESET_MS_MAX);
      }
      default:
        return this.#hitNode(act);
    }
  }

  #breakLink(kind: 'cut' | 'hang' | 'half' | 'slow'): void {
    const link = this.#wholeLink();
    if (!link) return;
    link.apply(kind, link.ends[this.#random() < 0.5 ? 0 : 1]);
    this.#undone.push({ undo: () => link.heal() });
  }

  /** One node at a time, so that two are left that serve. */
  async #hitNode(act: NodeAct): Promise<void> {
    const { nodes, failed } = this.#bench;
    if (!nodes.every(({ isThere }) => isThere)) return;
    const node = this.#pick(nodes);
    if (!node) return;
    if (act === 'pause') {
      node.stop();
      await sleep(PAUSE_MS.min + this.#random() * (PAUSE_MS.max - PAUSE_MS.min));
      return node.continue();
    }
    if (act === 'stop') {
      node.stop();
      this.#undone.push({ undo: () => node.continue() });
      return;
    }
    await node.kill();
    if (act === 'wipe') await this.#wipe(node);
    this.#undone.push({ undo: () => node.launch(failed) });
  }

  /** Every source it may copy from holds what is common to all others. */
  async #wipe(node: TruthNode): Promise<void> {
    await node.node.wipe();
    node.wipes++;
    const others = this.#bench.nodes.filter((other) => other !== node);
    const owed = new Map<string, ReadonlySet<string>>();
    for (const database of DATABASES) {
      const [first, ...more] = await Promise.all(
        others.map((other) => this.#bench.rows(other, database)),
      );
      const ids = [...(first?.keys() ?? [])].filter((id) => more.every((rows) => rows?.has(id)));
      owed.set(database, new Set(ids));
    }
    node.owed = owed;
  }

  #wholeLink(): TruthLink | undefined {
    return this.#pick(this.#bench.links.filter(({ fault }) => fault === null));
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }

  #shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((one) => ({ one, place: this.#random() }))
      .sort((a, b) => a.place - b.place)
      .map(({ one }) => one);
  }
}

const TICK_MS = 40;
const IN_FLIGHT_MAX = 6;

/** Inserts one row after the other, on every node that takes them. */
export class TruthLoad {
  readonly #bench: TruthBench;
  readonly #timer: NodeJS.Timeout;
  readonly #flying = new Map<TruthNode, number>();
  #written = 0;
  #error: unknown = undefined;

  /** Begins at once. */
  constructor(bench: TruthBench) {
    this.#bench = bench;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Writes that were answered. Throws what a node refused for another reason than being away. */
  stop(): number {
    clearInterval(this.#timer);
    if (this.#error !== undefined) throw this.#error;
    return this.#written;
  }

  #tick(): void {
    const turn = this.#turn++;
    const node = this.#bench.nodes[turn % this.#bench.nodes.length];
    if (!node?.isThere || (this.#flying.get(node) ?? 0) >= IN_FLIGHT_MAX) return;
    const database = DATABASES[Math.floor(turn / 3) % DATABASES.length] ?? 'data';
    this.#count(node, 1);
    this.#bench
      .write(node, database, { id: `load-${turn}`, at: Date.now() })
      .then((wasWritten) => {
        if (wasWritten) this.#written++;
      })
      .catch((error: unknown) => {
        this.#error ??= error;
      })
      .finally(() => this.#count(node, -1));
  }

  #turn = 0;

  #count(node: TruthNode, by: number): void {
    this.#flying.set(node, (this.#flying.get(node) ?? 0) + by);
  }
}
