/**
 * What the disks of the membership simulation say about lives, looked at after each batch: an end never goes away, every
 * generation and every end has an operation behind it, and whoever knows of an end has nothing more to do with that
 * life. Reads rows through simulatedWatch.ts, never the actors' memory.
 */
import type { MemberFact } from '../../protocol/membership.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { PREFIX } from '../../storage/keys.js';
import { rowName, type History, type HistoryEntry, type Values } from './simulatedHistory.js';
import type { Write } from './simulatedLevel.js';
import type { MembershipNode } from './simulatedMembershipNode.js';
import type { MembershipOperations } from './simulatedMembershipOperations.js';
import type { SimulatedTime } from './simulatedTime.js';
import type { NodeWatch } from './simulatedWatch.js';

/** What is on one disk about the latest life of one node. */
export interface KnownLife {
  readonly generation: number;
  readonly ended: boolean;
  /** Since when the disk says so, in virtual time. */
  readonly since: number;
}

/** How long a running node may take to act upon an end on its disk; and after a crash. */
const NOTICED_MS_MAX = 3_000;
const RESTARTED_MS_MAX = 10_000;

export const LIVES = 'hdb_node_generations';
export const NODES = 'hdb_nodes';

/** `name#generation` -> whether some disk has said that it ended. */
export class AllLives {
  readonly seen = new Map<string, boolean>();
}

export class LivesWatch {
  readonly node: MembershipNode;
  readonly watch: NodeWatch;
  /** By node name. */
  readonly known = new Map<string, KnownLife>();
  /** It has lost lives with the power, and may not know whom it was added to. */
  hasForgotten = false;
  /** Every row of the table of lives: key -> ended. */
  #rows = new Map<string, boolean>();
  /** Entries this node wrote itself, with the time. */
  readonly written: { readonly at: number; readonly entry: HistoryEntry }[] = [];
  readonly #heard = new Map<string, number>();
  readonly #history: History;
  readonly #time: SimulatedTime;
  readonly #all: AllLives;
  readonly #operations: MembershipOperations;
  readonly #endSeen: (about: string) => void;

  constructor(parts: {
    node: MembershipNode;
    watch: NodeWatch;
    history: History;
    time: SimulatedTime;
    all: AllLives;
    operations: MembershipOperations;
    /** The end of another node's life has come to this disk. */
    endSeen: (about: string) => void;
  }) {
    this.node = parts.node;
    this.watch = parts.watch;
    this.#history = parts.history;
    this.#time = parts.time;
    this.#all = parts.all;
    this.#operations = parts.operations;
    this.#endSeen = parts.endSeen;
    const { applied } = parts.node.system;
    parts.node.system.applied = (writes, before) => {
      applied(writes, before);
      this.#onBatch(writes);
    };
  }

  /** The disk lost something. */
  reload(): void {
    const before = this.#rows.size;
    this.#rows.clear();
    this.known.clear();
    this.#learn();
    if (this.#rows.size < before) this.hasForgotten = true;
  }

  /** Whether the disk has said that a life of that node ended which was at least this one. */
  knowsEnd(name: string, generation: number): boolean {
    for (const [key, ended] of this.#rows) {
      const [of, number] = key.split('#');
      if (ended && of === name && Number(number) >= generation) return true;
    }
    return false;
  }

  get lives(): string {
    const lives = [...this.#rows].map(([key, ended]) => `${key}${ended ? '!' : ''}`);
    return lives.sort().join(' ');
  }

  /** The latest lives: `a#1 b#2!`. */
  get latest(): string {
    const lives = [...this.known].map(
      ([name, { generation, ended }]) => `${name}#${generation}${ended ? '!' : ''}`,
    );
    return lives.sort().join(' ');
  }

  /** Rows of the node table, by name. */
  get nodes(): Map<string, Values> {
    const found = new Map<string, Values>();
    for (const row of this.#history.rows) {
      if (!row.startsWith(`${NODES} `)) continue;
      const record = this.watch.recordAt(row);
      if (record) found.set(String(record['name']), record);
    }
    return found;
  }

  /** Whether this disk has long said that the life of that node, or its own, has ended: by now nothing may go there. */
  isRemoved(name: string): boolean {
    return this.#hasLongEnded(name) || this.#hasLongEnded(this.node.name);
  }

  /** Peers tell of a later life before the disk does. */
  hear(members: readonly MemberFact[]): void {
    for (const { name, generation } of members)
      this.#heard.set(name, Math.max(generation, this.#heard.get(name) ?? 0));
  }

  /** A link is about to be dialled to an address at which only these nodes ever were. */
  checkDial(host: string, everAt: ReadonlySet<string>): void {
    if (everAt.size > 0 && [...everAt].every((name) => this.isRemoved(name)))
      this.#report(`dials ${host}`);
  }

  /** A frame of an open link is about to be sent. */
  checkSent(to: string, kind: string): void {
    if (this.isRemoved(to)) this.#report(`sends ${kind} to ${to}`);
  }

  /** Not thrown: an actor is running, and would be restarted. */
  #report(what: string): void {
    const { name } = this.node;
    this.#time.fail(new Error(`${name} ${what}, though its disk says ${this.latest}`));
  }

  #hasLongEnded(name: string): boolean {
    const life = this.known.get(name);
    const { process } = this.node;
    if (!life?.ended || !process) return false;
    if ((this.#heard.get(name) ?? 0) > life.generation) return false;
    if (process.startedAt > life.since) return true;
    const now = this.#time.now;
    return now - life.since > NOTICED_MS_MAX && now - process.crashedAt > RESTARTED_MS_MAX;
  }

  #onBatch(writes: readonly Write[]): void {
    this.#noteWritten(writes);
    if (writes.some(({ key }) => key[0] === PREFIX.row)) this.#learn();
  }

  #noteWritten(writes: readonly Write[]): void {
    if (!writes.some(({ key }) => key[0] === PREFIX.log)) return;
    for (const [origin, sequence] of this.watch.vector) {
      if (!origin.startsWith(`${this.node.name}#`)) continue;
      const entry = this.#history.entry(origin, sequence);
      if (!entry || this.written.some((one) => one.entry === entry)) continue;
      this.written.push({ at: this.#time.now, entry });
    }
  }

  #learn(): void {
    for (const row of this.#history.rows)
      if (row.startsWith(`${LIVES} `)) this.#learnLife(row, this.watch.recordAt(row));
  }

  #learnLife(row: string, record: Values | undefined): void {
    if (!record) {
      for (const key of this.#rows.keys())
        if (row === rowName(LIVES, encodeKey(key))) this.#fail(`${key} is no longer on its disk`);
      return;
    }
    const key = String(record['id']);
    const name = String(record['name']);
    const generation = Number(record['generation']);
    const ended = record['ended'] === true;
    const before = this.#rows.get(key);
    if (before === ended) return;
    if (before === true) this.#fail(`${key} had ended on its disk, and goes on`);
    this.#rows.set(key, ended);
    this.#checkCause(key, { name, generation, ended });
    const known = this.known.get(name);
    if (known && known.generation > generation) return;
    this.known.set(name, { generation, ended, since: this.#time.now });
    if (ended && name !== this.node.name) this.#endSeen(name);
  }

  /** When a life, or its end, is first on any disk. */
  #checkCause(key: string, life: { name: string; generation: number; ended: boolean }): void {
    const { name, generation, ended } = life;
    const before = this.#all.seen.get(key);
    if (before === undefined && generation > 1) {
      if (this.#all.seen.get(`${name}#${generation - 1}`) !== true)
        this.#fail(`${key} begins, and the life before it has not ended`);
      if (!this.#operations.mayAdd(name)) this.#fail(`${key} begins, and nobody adds it`);
    }
    if (ended && before !== true && !this.#operations.mayEnd(name))
      this.#fail(`${key} has ended, and nobody removed it`);
    if (before !== true) this.#all.seen.set(key, ended);
  }

  #fail(what: string): never {
    throw new Error(`${this.node.name}: ${what}`);
  }
}
