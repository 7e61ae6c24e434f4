/**
 * One seed of the membership simulation, from start to verdict. First operators add and remove nodes while clients
 * write and things go wrong, with every disk watched; then everything is healed, nobody asks for anything any more, and
 * the nodes have to come to the same members and data, and to rest. Called by scripts/simulateMembership.ts and tests.
 */
import { decodeControl, FRAME_KIND } from '../../protocol/frames.js';
import { nodeOf, tableName, type OriginId } from '../../protocol/ids.js';
import type { TableDefinition } from '../../protocol/tableDefinition.js';
import { asError, SimulatedClients, TABLES } from './simulatedClients.js';
import { History } from './simulatedHistory.js';
import { AddressBook } from './simulatedMembershipAddresses.js';
import { useSimulatedCrypto } from './simulatedMembershipCrypto.js';
import { MembershipFaults, type Attendant } from './simulatedMembershipFaults.js';
import { AllLives, LivesWatch } from './simulatedMembershipLives.js';
import { SystemHistory } from './simulatedMembershipHistory.js';
import { MembershipNode } from './simulatedMembershipNode.js';
import { MembershipOperations } from './simulatedMembershipOperations.js';
import {
  membershipOptionsOf,
  type MembershipSimulationOptions,
} from './simulatedMembershipOptions.js';
import {
  agreementOf,
  checkContents,
  type Agreement,
  type Clusters,
} from './simulatedMembershipVerdict.js';
import { SimulatedNetwork } from './simulatedNetwork.js';
import { DATABASE, type SimulatedNode } from './simulatedNode.js';
import { useLimits } from './simulatedOptions.js';
import { SimulatedTime } from './simulatedTime.js';
import { NodeWatch } from './simulatedWatch.js';

export interface MembershipSimulationResult {
  readonly options: MembershipSimulationOptions;
  /** Null: every promise held. */
  readonly failure: Error | null;
  /** The same for each run of a seed. */
  readonly hash: string;
  readonly events: number;
  readonly totals: ReadonlyMap<string, number>;
}

const EVENTS_MAX = 80_000;
/** Virtual time within which healed nodes have to agree. */
const CONVERGED_MS_MAX = 60_000;
const LOOK_MS = 500;
/** Virtual time for which nothing may be written once they have. */
const QUIET_MS = 10_000;

export const simulateMembership = async (
  seed: number,
  print?: (line: string) => void,
): Promise<MembershipSimulationResult> => {
  const options = membershipOptionsOf(seed);
  const time = new SimulatedTime({ seed, eventsMax: EVENTS_MAX, print });
  const restoreLimits = useLimits(options.limits);
  const restoreCrypto = useSimulatedCrypto(time.random);
  try {
    const run = new MembershipSimulation(options, time);
    const failure = await run.run().then(() => null, asError);
    return { options, failure, ...run.summary() };
  } finally {
    restoreCrypto();
    restoreLimits();
  }
};

class MembershipSimulation {
  readonly #options: MembershipSimulationOptions;
  readonly #time: SimulatedTime;
  readonly #network: SimulatedNetwork;
  readonly #addresses = new AddressBook();
  readonly #systemHistory = new SystemHistory();
  readonly #dataHistory = new History();
  readonly #all = new AllLives();
  readonly #totals = new Map<string, number>();
  readonly #attendants: readonly Attendant[];
  readonly #operations: MembershipOperations;
  readonly #faults: MembershipFaults;
  readonly #clients: SimulatedClients;
  /** Writes that the writer's disk lost with the power. */
  readonly #lost = new Set<string>();
  #clusters: Clusters = [];

  constructor(options: MembershipSimulationOptions, time: SimulatedTime) {
    this.#options = options;
    this.#time = time;
    this.#network = new SimulatedNetwork(
      time,
      {
        sent: (frame) => this.#onSent(frame),
        arrived: (frame) => this.#onArrived(frame),
        lost: () => undefined,
      },
      options.delayMsMax,
    );
    this.#operations = new MembershipOperations(time, (name) => this.#attendant(name).lives);
    this.#attendants = options.nodes.map((name) => this.#attend(name));
    this.#faults = new MembershipFaults({
      time,
      network: this.#network,
      addresses: this.#addresses,
      attendants: this.#attendants,
      options,
      operations: this.#operations,
      count: (what, by) => this.#count(what, by),
      lost: () => this.#noteLost(),
    });
    this.#clients = new SimulatedClients({
      history: this.#dataHistory,
      random: time.random,
      keys: options.keys,
      fail: (error) => time.fail(error),
    });
  }

  async run(): Promise<void> {
    const until = this.#plan();
    await this.#time.run(() => this.#time.now >= until);
    this.#time.note('heal');
    this.#faults.heal();
    await this.#agree();
    await this.#rest();
    checkContents(this.#clusters);
    this.#checkWrites();
    this.#countEnd();
  }

  summary(): Pick<MembershipSimulationResult, 'hash' | 'events' | 'totals'> {
    for (const { node } of this.#attendants) {
      this.#count('crashesOfActors', node.crashes);
      this.#count('diskErrors', node.system.faultsMet + node.data.faultsMet);
    }
    for (const { kind, state } of this.#operations.issued) this.#count(`${kind} ${state}`);
    for (const { state } of this.#clients.operations) this.#count(`writes ${state}`);
    for (const key of this.#all.seen.keys()) if (!key.endsWith('#1')) this.#count('rejoins');
    for (const ended of this.#all.seen.values()) if (ended) this.#count('livesEnded');
    return { hash: this.#time.hash, events: this.#time.events, totals: this.#totals };
  }

  #attend(name: string): Attendant {
    const time = this.#time;
    const node: MembershipNode = new MembershipNode({
      name,
      time,
      network: this.#network,
      addresses: this.#addresses,
      options: this.#options,
      tables: TABLES.map(definitionOf),
      dials: (host) => attendant.lives.checkDial(host, this.#addresses.everAt(host)),
      count: (what) => this.#count(what),
    });
    const system = new NodeWatch(name, node.system, this.#systemHistory);
    const data = new NodeWatch(name, node.data, this.#dataHistory);
    const lives = new LivesWatch({
      node,
      watch: system,
      history: this.#systemHistory,
      time,
      all: this.#all,
      operations: this.#operations,
      endSeen: () => this.#faults.onEnd(attendant),
    });
    const attendant: Attendant = { node, system, data, lives, blows: 0 };
    return attendant;
  }

  /** Schedules the first phase; returns its end. */
  #plan(): number {
    const { operations, operationEveryMs, writes, faults, faultEveryMs } = this.#options;
    const { random } = this.#time;
    const until = 500 + operations * operationEveryMs * 2;
    for (const name of this.#options.nodes) this.#addresses.move(name);
    for (const { node } of this.#attendants)
      this.#time.after(random.next() * 200, () => node.start());
    const scattered = (count: number, act: () => void): void => {
      for (let place = 0; place < count; place++)
        this.#time.after(300 + (until - 300) * random.next(), act);
    };
    this.#time.after(300, () => this.#gather());
    scattered(operations, () => this.#operate());
    scattered(writes, () => this.#write());
    if (faults.length > 0)
      scattered(Math.ceil(until / faultEveryMs), () => this.#faults.cause(random.pick(faults)));
    return until;
  }

  #gather(): void {
    for (const [place, { node }] of this.#attendants.entries()) {
      const before = this.#attendants[place - 1]?.node;
      if (before?.isServing && this.#time.random.chance(this.#options.gathered))
        this.#operations.issue('add_node', before, node);
    }
  }

  #operate(): void {
    const { random } = this.#time;
    const up = this.#attendants.filter(({ node }) => node.isServing);
    if (up.length === 0) return;
    const { node: by, lives } = random.pick(up);
    const others = this.#attendants.map(({ node }) => node).filter((node) => node !== by);
    const about = random.pick(others);
    if (!random.chance(this.#options.removes))
      return this.#operations.issue(random.chance(0.15) ? 'update_node' : 'add_node', by, about);
    const members = others.filter(({ name }) => lives.known.get(name)?.ended === false);
    const removed = random.chance(0.15)
      ? by
      : random.chance(0.9) && members.length > 0
        ? random.pick(members)
        : about;
    this.#operations.issue('remove_node', by, removed);
  }

  #write(): void {
    const up = this.#attendants.filter(({ node }) => node.isServing);
    if (up.length === 0) return;
    const { node, data } = this.#time.random.pick(up);
    // The clients ask and nothing else.
    this.#clients.write(node as unknown as SimulatedNode, data);
  }

  /** Looks until the nodes agree twice in a row. */
  async #agree(): Promise<void> {
    const deadline = this.#time.now + CONVERGED_MS_MAX;
    let isOver = false;
    let agreed = 0;
    const look = async (): Promise<void> => {
      const { differences, clusters } = await this.#look();
      this.#clusters = clusters;
      agreed = differences.length === 0 ? agreed + 1 : 0;
      if (agreed === 2) isOver = true;
      else if (this.#time.now > deadline)
        throw new Error(
          `no agreement ${CONVERGED_MS_MAX} ms after healing: ${differences.join('\n  ')}`,
        );
      else this.#time.after(LOOK_MS, () => void look().catch(failed));
    };
    const failed = (error: unknown): void => this.#time.fail(asError(error));
    void look().catch(failed);
    await this.#time.run(() => isOver);
    this.#time.note('agreed');
  }

  /** From now on nothing changes, and nobody writes. */
  async #rest(): Promise<void> {
    const before = this.#attendants.map(logsOf);
    const until = this.#time.now + QUIET_MS;
    await this.#time.run(() => this.#time.now >= until);
    for (const [place, attendant] of this.#attendants.entries()) {
      const after = logsOf(attendant);
      if (after !== before[place])
        throw new Error(
          `${attendant.node.name} went on writing: from ${before[place]} to ${after}`,
        );
    }
    const agreements: Agreement[] = [];
    this.#look().then(
      (found) => agreements.push(found),
      (error: unknown) => this.#time.fail(asError(error)),
    );
    await this.#time.run(() => agreements.length > 0);
    const differences = agreements.flatMap((found) => found.differences);
    if (agreements.length === 0 || differences.length > 0)
      throw new Error(`they no longer agree: ${differences.join('\n  ')}`);
  }

  #look(): Promise<Agreement> {
    return agreementOf({
      attendants: this.#attendants,
      operations: this.#operations,
      routes: this.#options.routes,
    });
  }

  /** Whoever acknowledged a write has it, and by now so has its cluster. */
  #checkWrites(): void {
    for (const { id, state } of this.#clients.operations) {
      const entry = this.#dataHistory.entryOf(id);
      if (state === 'notStored' && entry)
        throw new Error(`${id} was answered as ${state} and is in a log`);
      if (state !== 'acknowledged' || !entry || this.#lost.has(id)) continue;
      const { origin, sequence } = entry;
      const writer = this.#writerOf(origin);
      const cluster = this.#clusters.find((members) => members.some((one) => one === writer));
      if (!cluster?.every(({ data }) => data.covers(origin, sequence)))
        throw new Error(`${id} was acknowledged by ${writer?.node.name} and is gone`);
    }
  }

  #countEnd(): void {
    for (const cluster of this.#clusters) this.#count(`clusters of ${cluster.length}`);
    for (const { lives, node } of this.#attendants)
      if (lives.known.get(node.name)?.ended) this.#count('removedAtTheEnd');
  }

  /** Whoever was told of these may be in no cluster with the writer at the end. */
  #noteLost(): void {
    for (const { origin, sequence, operation } of this.#dataHistory.entries()) {
      const writer = this.#writerOf(origin);
      if (writer && !writer.data.covers(origin, sequence)) this.#lost.add(operation);
    }
  }

  #writerOf(origin: OriginId): Attendant | undefined {
    return this.#attendants.find(({ node }) => node.name === nodeOf(origin));
  }

  #onSent({ from, to, bytes }: { from: string; to: string; bytes: Buffer }): void {
    const kind = KINDS.get(bytes[0] ?? 0) ?? 'unknown';
    if (!BEFORE_LINKS.has(kind)) this.#attendant(from).lives.checkSent(to, kind);
  }

  #onArrived({ from, to, bytes }: { from: string; to: string; bytes: Buffer }): void {
    const kind = KINDS.get(bytes[0] ?? 0) ?? 'unknown';
    this.#time.note(`${from}>${to} ${kind} ${bytes.length}`, () =>
      DATA.has(kind) ? '' : JSON.stringify(decodeControl(bytes)),
    );
    this.#count(`frames ${kind}`);
    if (kind === 'CopyBegin') this.#onCopyBegin(to, bytes);
    if (kind === 'Gossip') this.#onGossip(to, bytes);
  }

  #onGossip(to: string, bytes: Buffer): void {
    const frame = decodeControl(bytes);
    if (frame.kind === 'Gossip') this.#attendant(to).lives.hear(frame.members);
  }

  /** The rows may be ahead of the positions until these are reached. */
  #onCopyBegin(to: string, bytes: Buffer): void {
    const frame = decodeControl(bytes);
    if (frame.kind !== 'CopyBegin') return;
    const { system, data } = this.#attendant(to);
    for (const watch of [system, data]) {
      const history = watch === system ? this.#systemHistory : this.#dataHistory;
      for (const { origin, sequence } of frame.positions)
        if (history.entry(origin, sequence))
          watch.mustReach.set(origin, Math.max(sequence, watch.mustReach.get(origin) ?? 0));
    }
  }

  #attendant(name: string): Attendant {
    const found = this.#attendants.find(({ node }) => node.name === name);
    if (!found) throw new Error(`No node ${name}`);
    return found;
  }

  #count(what: string, by = 1): void {
    if (by > 0) this.#totals.set(what, (this.#totals.get(what) ?? 0) + by);
  }
}

const KINDS = new Map<number, string>(
  Object.entries(FRAME_KIND).map(([name, number]) => [number, name]),
);

const DATA: ReadonlySet<string> = new Set(['Entries', 'CopyRows', 'FramePart', 'unknown']);

/** What may be said to anybody: greetings show who is there, operations have connections of their own. */
const BEFORE_LINKS: ReadonlySet<string> = new Set([
  'Hello',
  'Welcome',
  'Operation',
  'OperationResult',
]);

const logsOf = ({ system, data }: Attendant): string =>
  [system, data]
    .flatMap(({ vector }) => [...vector].map(([origin, sequence]) => `${origin} ${sequence}`))
    .join(', ');

const definitionOf = (name: string): TableDefinition => ({
  database: DATABASE,
  name: tableName(name),
  primaryKey: 'id',
  schemaDefined: true,
  attributes: [
    { name: 'id', isPrimaryKey: true },
    { name: 'tag', ...(name === 't1' && { indexed: true }) },
    { name: 'x' },
    { name: 'y' },
    { name: 'long' },
  ],
});
