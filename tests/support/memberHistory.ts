/**
 * One random history of a cluster of real nodes: they are added, removed, killed, started, moved to other ports and cut
 * off from each other while all of them are written to. Afterwards all must be whole. Called by the membership tests and
 * scripts/membershipHistories.ts. The same seed makes the same choices; what real processes do in between varies.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, startCluster, type Cluster, type ClusterNode } from './cluster.js';
import { settle } from './clusterDump.js';
import { seededRandom } from './clusterLoad.js';
import { MemberFacts } from './memberFacts.js';
import { startBehindProxies, type MemberNetwork } from './memberNetwork.js';
import { createNotes, haveNotes } from './memberRecords.js';
import {
  addNode,
  connectedNames,
  fullMesh,
  knownNames,
  removeNode,
  sameMembership,
  systemRows,
} from './memberViews.js';
import { MemberWriter } from './memberWriter.js';
import { waitUntil } from './waitUntil.js';

export interface HistoryOptions {
  readonly seed: number;
  readonly nodes?: number;
  readonly steps?: number;
  readonly told?: (step: string) => void;
}

export interface HistoryFigures {
  readonly steps: number;
  readonly members: number;
  readonly notes: number;
  /** From the last step until all was whole. */
  readonly wholeMs: number;
}

const NODES = 4;
const STEPS = 16;
const WHOLE_MS_MAX = 60_000;
const WAIT_MS_MAX = 400;

/** Rejects when the cluster does not become whole, with the steps that led there. */
export const runMemberHistory = async (options: HistoryOptions): Promise<HistoryFigures> => {
  const { seed, nodes = NODES, steps = STEPS } = options;
  // Behind proxies for partitions; without them nodes move to other ports.
  const { cluster, network, close } =
    seed % 2 === 0 ? await startPlain(nodes) : await startBehindProxies({ nodes });
  const history = new History({ cluster, network, seed, told: options.told });
  try {
    await history.begin();
    for (let step = 0; step < steps; step++) await history.step();
    return await history.end();
  } catch (error) {
    throw new Error(`seed ${seed}: ${String(error)}\n${history.steps.join('\n')}`, {
      cause: error,
    });
  } finally {
    await history.abandon();
    await close();
  }
};

const startPlain = async (
  nodes: number,
): Promise<{ cluster: Cluster; network: null; close: () => Promise<void> }> => {
  const cluster = await startCluster({ nodes, apart: true });
  return { cluster, network: null, close: () => cluster.close() };
};

class History {
  readonly steps: string[] = [];
  readonly #cluster: Cluster;
  readonly #network: MemberNetwork | null;
  readonly #random: () => number;
  readonly #told: (step: string) => void;
  readonly #facts = new MemberFacts();
  /** What the last acknowledged operation on a node asked for, where nothing else was going on; null: something was. */
  readonly #wanted = new Map<ClusterNode, boolean | null>();
  /** Took part in an operation of which not all have heard: removed now, it would take the news with it. */
  readonly #bearers = new Set<ClusterNode>();
  /** Named by an operation of which not all have heard. */
  readonly #touched = new Set<ClusterNode>();
  #groups: readonly (readonly ClusterNode[])[] = [];
  /** Nobody was killed, cut off or moved since all were whole. */
  #isCalm = true;
  #hasMoved = false;
  #writer: MemberWriter | null = null;

  constructor(parts: {
    cluster: Cluster;
    network: MemberNetwork | null;
    seed: number;
    told: ((step: string) => void) | undefined;
  }) {
    this.#cluster = parts.cluster;
    this.#network = parts.network;
    this.#random = seededRandom(parts.seed);
    this.#told = parts.told ?? (() => undefined);
  }

  /** All but the last node are one cluster. */
  async begin(): Promise<void> {
    const [first, ...others] = this.#cluster.nodes;
    if (!first) throw new Error('a history needs nodes');
    for (const node of this.#cluster.nodes) await createNotes(node);
    for (const other of others.slice(0, -1)) await this.#add(first, other);
    await this.#calm();
    this.#writer = new MemberWriter(this.#cluster);
  }

  async step(): Promise<void> {
    const kinds = [
      ...times(4, () => this.#addSome()),
      ...times(3, () => this.#removeSome()),
      ...times(2, () => this.#twoAtOnce()),
      ...times(2, () => this.#killSome()),
      ...times(3, () => this.#startSome()),
      ...times(2, () => (this.#network ? this.#split() : this.#moveSome())),
      ...times(1, () => this.#heal()),
      ...times(1, () => this.#calm()),
    ];
    await this.#pick(kinds)?.();
    await sleep(this.#random() * WAIT_MS_MAX);
  }

  /** Everything is healed; then all must be whole. */
  async end(): Promise<HistoryFigures> {
    const startedAt = performance.now();
    await this.#calm();
    const wholeMs = Math.round(performance.now() - startedAt);
    const members = this.#members();
    const writer = this.#writer;
    await writer?.stop();
    const notes = members.flatMap((node) => writer?.acknowledgedBy(node) ?? []);
    await haveNotes(members, notes);
    await settle(this.#only(members));
    return { steps: this.steps.length, members: members.length, notes: notes.length, wholeMs };
  }

  async abandon(): Promise<void> {
    await this.#writer?.stop().catch((error: unknown) => this.#say(`writing: ${String(error)}`));
  }

  // ---- steps; each does nothing when there is nothing to do it with

  async #addSome(): Promise<void> {
    const member = this.#pick(this.#members().filter(({ isServing }) => isServing));
    if (!member) return;
    const outside = this.#cluster.nodes.filter(
      (node) => !this.#members().includes(node) && node.isServing && this.#areLinked(node, member),
    );
    const newcomer = this.#pick(outside);
    if (!newcomer) return;
    if (this.#random() < 0.5) await this.#add(member, newcomer);
    else await this.#add(newcomer, member);
  }

  async #add(asked: ClusterNode, target: ClusterNode): Promise<void> {
    this.#say(`${asked.name} adds ${target.name}`);
    const message = await addNode(asked, target);
    if (message !== `Successfully added '${target.name}' to cluster`)
      throw new Error(`add_node was answered with ${message}`);
    for (const node of [asked, target]) {
      await this.#look(node);
      this.#bearers.add(node);
      this.#want(node, true);
    }
  }

  async #removeSome(): Promise<void> {
    const members = this.#members();
    const remover = this.#pick(members.filter(({ isServing }) => isServing));
    const victim = this.#pick(members.filter((node) => !this.#bearers.has(node)));
    if (!remover || !victim || members.length < 3) return;
    // Its own removal is news that a node can only bear itself when it reaches another.
    if (victim === remover && !this.#isCalm) return;
    const isCertain = this.#isCalm && !this.#touched.has(victim);
    this.#say(`${remover.name} removes ${victim.name}`);
    try {
      await removeNode(remover, victim);
    } catch (error) {
      // It has not heard yet that the node was added, or knows that it was removed.
      if (!isCertain && String(error).includes('does not exist')) return this.#say('  unknown');
      throw error;
    }
    await this.#look(remover);
    if (isCertain && this.#facts.isMember(victim.name))
      throw new Error(`${victim.name} was removed, and is a member: ${this.#facts.toString()}`);
    this.#bearers.add(remover);
    this.#want(victim, false);
  }

  /** Two members decide about a third node at the same moment: either may win, and the same everywhere. */
  async #twoAtOnce(): Promise<void> {
    const serving = this.#cluster.serving;
    const node = this.#pick(serving.filter((one) => !this.#bearers.has(one)));
    const deciding = this.#members().filter((one) => one !== node && one.isServing);
    const [one, two] = deciding.sort(() => this.#random() - 0.5);
    if (!node || !one || !two || this.#groups.length > 0) return;
    const decisions = [one, two].map((asked) => ({ asked, adds: this.#random() < 0.5 }));
    const words = decisions.map(({ asked, adds }) => `${asked.name} ${adds ? 'adds' : 'removes'}`);
    this.#say(`${words.join(' and ')} ${node.name} at once`);
    const outcomes = await Promise.allSettled(
      decisions.map(({ asked, adds }) => (adds ? addNode(asked, node) : removeNode(asked, node))),
    );
    for (const outcome of outcomes)
      this.#say(`  ${String(outcome.status === 'rejected' ? outcome.reason : outcome.value)}`);
    for (const each of [one, two, node]) {
      await this.#look(each);
      this.#bearers.add(each);
    }
    this.#touched.add(node);
    this.#wanted.set(node, null);
  }

  async #killSome(): Promise<void> {
    const node = this.#pick(this.#cluster.running);
    if (!node || this.#cluster.running.length < 3) return;
    this.#isCalm = false;
    if (this.#random() < 0.5) {
      this.#say(`${node.name} is killed`);
      await node.kill();
    } else {
      this.#say(`${node.name} is stopped`);
      await node.stop();
    }
  }

  async #startSome(): Promise<void> {
    const node = this.#pick(this.#cluster.nodes.filter(({ isRunning }) => !isRunning));
    if (!node) return;
    this.#say(`${node.name} is started`);
    await node.start();
  }

  /** Once between two calms: of two that moved, neither finds the other. */
  async #moveSome(): Promise<void> {
    const node = this.#pick(this.#cluster.running);
    if (!node || this.#hasMoved) return;
    this.#hasMoved = true;
    this.#isCalm = false;
    const replicationPort = await freePort(node.name);
    this.#say(`${node.name} moves to ${replicationPort}`);
    await node.kill();
    node.configure({ replicationPort });
    await node.start();
  }

  async #split(): Promise<void> {
    const apart = this.#cluster.nodes.filter(() => this.#random() < 0.4);
    const rest = this.#cluster.nodes.filter((node) => !apart.includes(node));
    if (apart.length === 0 || rest.length === 0) return;
    this.#say(`${apart.map(({ name }) => name).join(', ')} apart from the rest`);
    this.#isCalm = false;
    this.#groups = [apart, rest];
    this.#network?.split(this.#groups);
  }

  async #heal(): Promise<void> {
    if (this.#groups.length === 0) return;
    this.#say('the network is healed');
    this.#groups = [];
    this.#network?.heal();
  }

  /** All run and reach each other: then, before long, all members are one mesh and know the same. */
  async #calm(): Promise<void> {
    await this.#heal();
    await Promise.all(
      this.#cluster.nodes.filter(({ isRunning }) => !isRunning).map((node) => node.start()),
    );
    for (const node of this.#cluster.nodes) await this.#look(node);
    const members = this.#members();
    this.#say(`all must be whole: ${this.#facts.toString()}`);
    await fullMesh(members, WHOLE_MS_MAX);
    await sameMembership(members, WHOLE_MS_MAX);
    await this.#checkOutsiders(members);
    this.#checkWanted();
    this.#bearers.clear();
    this.#touched.clear();
    this.#isCalm = true;
    this.#hasMoved = false;
  }

  // ---- checks

  async #checkOutsiders(members: readonly ClusterNode[]): Promise<void> {
    const names = members.map(({ name }) => name).sort();
    for (const node of members) {
      const known = [...(await knownNames(node)), node.name].sort();
      if (known.join(' ') !== names.join(' '))
        throw new Error(`${node.name} knows ${known.join(' ')}, members are ${names.join(' ')}`);
    }
    for (const node of this.#cluster.nodes.filter((one) => !members.includes(one)))
      await waitUntil(`${node.name} to be without members`, async () =>
        (await connectedNames(node)).every((name) => !names.includes(name)),
      );
  }

  #checkWanted(): void {
    for (const [node, wanted] of this.#wanted)
      if (wanted !== null && wanted !== this.#facts.isMember(node.name))
        throw new Error(
          `${node.name} must ${wanted ? '' : 'not '}be a member: ${this.#facts.toString()}`,
        );
  }

  // ---- the model

  #members(): ClusterNode[] {
    return this.#cluster.nodes.filter(({ name }) => this.#facts.isMember(name));
  }

  #only(nodes: readonly ClusterNode[]): Cluster {
    return this.#cluster.only(...nodes.map((node) => this.#cluster.nodes.indexOf(node)));
  }

  async #look(node: ClusterNode): Promise<void> {
    this.#facts.take(await systemRows(node, 'hdb_node_generations'));
  }

  #want(node: ClusterNode, wanted: boolean): void {
    const isCertain = this.#isCalm && !this.#touched.has(node);
    this.#wanted.set(node, isCertain ? wanted : null);
    this.#touched.add(node);
  }

  #areLinked(a: ClusterNode, b: ClusterNode): boolean {
    return this.#groups.every((group) => group.includes(a) === group.includes(b));
  }

  #say(step: string): void {
    this.steps.push(step);
    this.#told(step);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }
}

const times = <T>(count: number, what: T): T[] => Array.from({ length: count }, () => what);
