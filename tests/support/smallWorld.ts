/**
 * A few small nodes, a list of commands from a seed, and the fold they all have to come to: all operations that some
 * disk still holds, executed one at a time in stamp order. Every command is total, so that a list can be shortened.
 * Used by tests/property/smallWorld.test.ts; smallNode.ts is where the decisions of protocol/ are called.
 */
import { decode } from '../../protocol/codec.js';
import type { OriginId } from '../../protocol/ids.js';
import { recordOf } from '../../protocol/row.js';
import type { Command } from './smallCommands.js';
import type { SmallEntry, Write } from './smallDisk.js';
import { SmallNode } from './smallNode.js';
import type { Rule } from './smallRules.js';

/** In the time of the commands. */
export const LOG_KEPT = 3;
export const DELETES_KEPT = 5;
export const BEGINS_AT = 5_000;
const ROUNDS_MAX = 60;

/** Null when all nodes end as the fold says; else what is wrong. */
export const play = (
  names: readonly string[],
  commands: readonly Command[],
  off: readonly Rule[] = [],
): string | null => {
  const world = new SmallWorld(names, new Set(off));
  for (const command of commands) world.run(command);
  world.heal();
  return world.settle() ?? world.verdict();
};

export class SmallWorld {
  readonly #nodes: Map<string, SmallNode>;
  readonly #history: SmallEntry[] = [];
  readonly #cut = new Set<string>();
  readonly #durable = new Map<string, ReturnType<SmallNode['image']>>();
  readonly #backups = new Map<string, ReturnType<SmallNode['image']>>();
  #now = BEGINS_AT;

  constructor(names: readonly string[], off: ReadonlySet<Rule> = new Set()) {
    const noted = (entry: SmallEntry): void => void this.#history.push(entry);
    this.#nodes = new Map(names.map((name) => [name, new SmallNode(name, off, noted)]));
  }

  get nodes(): ReadonlyMap<string, SmallNode> {
    return this.#nodes;
  }

  run(command: Command): void {
    this.#now++;
    if (command[0] === 'time') this.#now += command[1];
    else this.#onNode(this.#node(command[1]), command);
  }

  #onNode(node: SmallNode, command: Exclude<Command, readonly ['time', number]>): void {
    switch (command[0]) {
      case 'write':
        return this.#write(node, command[2]);
      case 'pull':
        return this.#withPeer(node, command[2], (peer) => node.pull(peer, command[3]));
      case 'copy':
        return this.#withPeer(node, command[2], (peer) => {
          if (peer.isWhole) node.copyFrom(peer, command[3], this.#now);
        });
      case 'cut':
        return this.#cutLink(command[1], command[2]);
      case 'heal':
        return void this.#cut.delete(linkOf(command[1], command[2]));
      case 'skew':
        node.skew = command[2];
        return undefined;
      case 'start':
        return node.start();
      case 'restore':
        return this.#restore(node, this.#backups.get(command[2]));
      default:
        return node.isUp ? this.#onUp(node, command[0]) : undefined;
    }
  }

  #onUp(node: SmallNode, verb: string): void {
    switch (verb) {
      case 'purge':
        return node.purge(this.#now - DELETES_KEPT);
      case 'trim':
        return node.trim(this.#now - LOG_KEPT);
      case 'orphans':
        return void this.#orphans(node);
      case 'crash':
        return this.#ended(node, () => node.stop());
      case 'sync':
        return void this.#durable.set(node.name, node.image());
      case 'power':
        return this.#ended(node, () => node.load(this.#durable.get(node.name) ?? null));
      case 'wipe':
        this.#durable.delete(node.name);
        return this.#ended(node, () => node.load(null));
      case 'backup':
        return void this.#backups.set(node.name, node.image());
      default:
        throw new Error(`No command ${verb}`);
    }
  }

  /** Mends all links. */
  heal(): void {
    this.#cut.clear();
  }

  /** Starts everybody and goes on over the links there are. Null when everything has come to rest. */
  settle(): string | null {
    for (const node of this.#all) node.start();
    for (let round = 0; round < ROUNDS_MAX; round++) {
      this.#now += 5;
      const before = this.#fingerprint();
      for (const node of this.#all) {
        node.trim(this.#now - LOG_KEPT);
        node.purge(this.#now - DELETES_KEPT);
      }
      for (const node of this.#all)
        for (const peer of this.#peersOf(node)) node.pull(peer, Infinity);
      for (const node of this.#all) this.#catchUpByCopy(node, round);
      if (before !== this.#fingerprint()) continue;
      const written = this.#all.map((node) => this.#orphans(node));
      if (!written.includes(true)) return null;
    }
    return 'ENDLESS';
  }

  verdict(): string | null {
    const left = this.#history.filter((entry) => this.#isHeld(entry));
    for (const node of this.#all) {
      if (!node.isWhole) return `STALL: ${node.name} is in the middle of a copy`;
      for (const entry of left)
        if (node.has(entry.origin) < entry.sequence)
          return `STALL: ${node.name} lacks ${entry.origin} ${entry.sequence}`;
    }
    const expected = foldOf(left);
    const keys = new Set([
      ...expected.keys(),
      ...this.#all.flatMap((node) => [...node.disk.rows.keys()]),
    ]);
    for (const key of keys) {
      const shown = this.#all.map((node) => `${node.name}=${recordText(node, key)}`);
      const wanted = this.#all.map((node) => `${node.name}=${expected.get(key) ?? 'none'}`);
      if (shown.join() !== wanted.join()) return `WRONG ${key}: ${shown.join()}, not ${wanted[0]}`;
    }
    return null;
  }

  get #all(): SmallNode[] {
    return [...this.#nodes.values()];
  }

  #node(name: string): SmallNode {
    const node = this.#nodes.get(name);
    if (!node) throw new Error(`No node ${name}`);
    return node;
  }

  #peersOf(node: SmallNode): SmallNode[] {
    return this.#all.filter((peer) => this.#isLinked(node, peer));
  }

  #isLinked(a: SmallNode, b: SmallNode): boolean {
    return a !== b && a.isUp && b.isUp && !this.#cut.has(linkOf(a.name, b.name));
  }

  #withPeer(node: SmallNode, name: string, act: (peer: SmallNode) => void): void {
    const peer = this.#node(name);
    if (this.#isLinked(node, peer)) act(peer);
  }

  /** As users may: a delete only of what is visible, a patch that is no upsert too. */
  #write(node: SmallNode, writes: readonly Write[]): void {
    if (!node.isUp) return;
    const done = writes.filter(({ key, type }) => type !== 'delete' || node.shown(key));
    if (done.length > 0) node.write(done, this.#now);
  }

  #cutLink(a: string, b: string): void {
    this.#cut.add(linkOf(a, b));
    for (const [name, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      const { copy } = this.#node(name).disk;
      if (copy?.source === peer) copy.snapshot = null;
    }
  }

  #ended(node: SmallNode, end: () => void): void {
    end();
    for (const { disk } of this.#all)
      if (disk.copy?.source === node.name) disk.copy.snapshot = null;
  }

  #restore(node: SmallNode, image: ReturnType<SmallNode['image']> | undefined): void {
    if (!image || !node.isUp) return;
    this.#durable.set(node.name, image);
    this.#ended(node, () => node.load(image));
    node.start();
  }

  #orphans(node: SmallNode): boolean {
    const leads = (id: OriginId): boolean =>
      this.#peersOf(node).some((peer) => peer.has(id) > node.has(id));
    return node.isUp && node.writeOrphans(leads, this.#now);
  }

  #catchUpByCopy(node: SmallNode, round: number): void {
    const peers = this.#peersOf(node);
    const usable = peers.filter((peer) => peer.isWhole);
    if (!node.isWhole) {
      const source = usable[round % usable.length];
      if (source) node.copyFrom(source, Infinity, this.#now);
      else if (peers.length > 0 && peers.every((peer) => node.name < peer.name)) node.abandonCopy();
      return;
    }
    for (const id of new Set(peers.flatMap((peer) => [...peer.disk.vector.keys()]))) {
      if (id === node.origin) continue;
      const ahead = peers.filter((peer) => node.nextFrom(peer, id) !== undefined);
      if (ahead.length === 0 || ahead.some((peer) => node.nextFrom(peer, id))) continue;
      const source = ahead.find((peer) => usable.includes(peer));
      if (source) return node.copyFrom(source, Infinity, this.#now);
    }
  }

  #isHeld({ origin, sequence }: SmallEntry): boolean {
    return this.#all.some((node) => node.has(origin) >= sequence);
  }

  #fingerprint(): string {
    return this.#all
      .map((node) => {
        const vector = [...node.disk.vector].map(([id, { sequence }]) => `${id}:${sequence}`);
        const rows = [...node.disk.rows].map(([key]) => recordText(node, key));
        return `${vector.join()} ${rows.join()} ${node.disk.copy?.after} ${node.disk.rows.size}`;
      })
      .join('|');
  }
}

const linkOf = (a: string, b: string): string => [a, b].sort().join('-');

const recordText = (node: SmallNode, key: string): string => {
  const row = node.shown(key);
  const body = row && recordOf(row);
  return body ? textOf(decode(body) as object) : 'none';
};

const textOf = (record: object): string =>
  JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));

/** The operations one at a time, in stamp order, without any of the code under test. */
const foldOf = (entries: readonly SmallEntry[]): Map<string, string> => {
  const sorted = [...entries].sort(
    (a, b) => a.version - b.version || (a.origin < b.origin ? -1 : 1),
  );
  const records = new Map<string, Record<string, unknown>>();
  for (const { changes } of sorted)
    for (const [key, change] of changes) {
      if (change.type === 'delete') records.delete(key);
      else if (change.type === 'put') records.set(key, decode(change.body) as object as never);
      else {
        const values = change.attributes.map(({ name, value }) => [name, decode(value)]);
        records.set(key, { ...records.get(key), ...Object.fromEntries(values) });
      }
    }
  return new Map([...records].map(([key, record]) => [key, textOf(record)]));
};
