/**
 * One seed of the simulation, from start to verdict. First faults and load, with every disk watched after each batch;
 * then everything is healed, nobody writes any more, and all nodes have to come to the same end: the fold of all
 * operations in stamp order. Called by scripts/simulate.ts and tests/simulation.
 */
import {
  decodeControl,
  FRAME_KIND,
  isControlFrame,
  type ControlFrame,
} from '../../protocol/frames.js';
import { decodeEntries } from '../../protocol/dataFrames.js';
import { readEntryHeader } from '../../protocol/entry.js';
import { nodeOf, tableName } from '../../protocol/ids.js';
import type { RecordObject } from '../../protocol/operations.js';
import type { TableDefinition } from '../../protocol/tableDefinition.js';
import { asError, SimulatedClients, TABLES } from './simulatedClients.js';
import { SimulatedFaults, type Member } from './simulatedFaults.js';
import { History, textOf, type Values } from './simulatedHistory.js';
import { SimulatedNetwork } from './simulatedNetwork.js';
import { DATABASE, SimulatedNode } from './simulatedNode.js';
import { forgets, optionsOf, useLimits, type SimulationOptions } from './simulatedOptions.js';
import { SimulatedTime } from './simulatedTime.js';
import { NodeWatch } from './simulatedWatch.js';

export interface SimulationResult {
  readonly options: SimulationOptions;
  /** Null: every promise held. */
  readonly failure: Error | null;
  /** The same for each run of a seed. */
  readonly hash: string;
  readonly events: number;
  readonly totals: ReadonlyMap<string, number>;
}

const EVENTS_MAX = 150_000;
/** Virtual time within which a healed cluster has to agree. */
const CONVERGED_MS_MAX = 120_000;
const LOOK_MS = 100;

export const simulate = async (
  seed: number,
  print?: (line: string) => void,
): Promise<SimulationResult> => {
  const options = optionsOf(seed);
  const restore = useLimits(options.limits);
  try {
    const cluster = new SimulatedCluster(options, print);
    const failure = await cluster.run().then(() => null, asError);
    return { options, failure, ...cluster.summary() };
  } finally {
    restore();
  }
};

class SimulatedCluster {
  readonly #options: SimulationOptions;
  readonly #time: SimulatedTime;
  readonly #history: History;
  readonly #totals = new Map<string, number>();
  readonly #members: Member[];
  readonly #faults: SimulatedFaults;
  readonly #clients: SimulatedClients;
  #isOver = false;

  constructor(options: SimulationOptions, print?: (line: string) => void) {
    this.#options = options;
    const time = new SimulatedTime({ seed: options.seed, eventsMax: EVENTS_MAX, print });
    this.#time = time;
    const network = new SimulatedNetwork(
      time,
      {
        sent: ({ from, bytes }) => this.#judging(() => this.#onSent(from, bytes)),
        arrived: (frame) => this.#judging(() => this.#onArrived(frame)),
        lost: (frames) => this.#count('framesLost', frames),
      },
      options.delayMsMax,
    );
    const settings = { ...options, pingIntervalMs: 2_000 };
    const history = new History((table) =>
      options.expiring.includes(table) ? options.expirationSeconds * 1_000 : undefined,
    );
    this.#history = history;
    const count = (what: string, by?: number): void => this.#count(what, by);
    this.#members = options.nodes.map((name) => {
      const node = new SimulatedNode({ name, time, network, settings, count });
      const watch = new NodeWatch(name, node.disk, history, {
        forgets: forgets(options),
        aheadMsMax: 2 * options.skewMsMax,
      });
      return { node, watch, hasJoined: false, diskErrors: 0 };
    });
    this.#faults = new SimulatedFaults({
      time,
      network,
      members: this.#members,
      options,
      history,
      count,
    });
    this.#clients = new SimulatedClients({
      history,
      random: time.random,
      keys: options.keys,
      fail: (error) => time.fail(error),
    });
    this.#link();
  }

  async run(): Promise<void> {
    this.#begin();
    const { writes, writeEveryMs, loadFromMs } = this.#options;
    const until = loadFromMs + writes * writeEveryMs + 200;
    await this.#time.run(() => this.#time.now >= until);
    this.#time.note('heal');
    this.#faults.heal();
    await this.#converge();
    await this.#readAtTheEnd();
    this.#judge();
  }

  summary(): Pick<SimulationResult, 'hash' | 'events' | 'totals'> {
    for (const { node, watch } of this.#members) {
      this.#count('crashesOfActors', node.crashes);
      this.#count('diskErrors', node.disk.faultsMet);
      this.#count('copiesCompleted', watch.copies);
      this.#count('clockReturns', watch.clockReturns);
      this.#count('batchesThatPurged', watch.purges);
      this.#count('batchesThatTrimmed', watch.trims);
      this.#count('expiredRecordsRemoved', watch.removals);
    }
    for (const { id, state } of this.#clients.operations) {
      this.#count(`operations ${state}`);
      if (state === 'pending' || state === 'unknown')
        this.#count(this.#history.entryOf(id) ? 'unknownButStored' : 'unknownAndNotStored');
    }
    for (const { operation } of this.#history.entries())
      if (operation.startsWith('written again')) this.#count(operation);
    this.#count('versionTies', this.#history.ties());
    this.#count('reads', this.#clients.reads);
    this.#count('operationsLost', this.#faults.lost.size);
    return { hash: this.#time.hash, events: this.#time.events, totals: this.#totals };
  }

  #link(): void {
    const { topology } = this.#options;
    for (const [i, one] of this.#members.entries())
      for (const [j, two] of this.#members.entries()) {
        if (i === j) continue;
        const isNear = Math.abs(i - j) === 1;
        if (topology === 'mesh' || (topology === 'chain' ? isNear : i === 0 || j === 0))
          one.node.neighbours.push(two.node.name);
      }
  }

  #begin(): void {
    const { writes, writeEveryMs, loadFromMs, faults, faultEveryMs } = this.#options;
    const { joinLater, skewMsMax } = this.#options;
    const { random } = this.#time;
    for (const member of this.#members) {
      if (faults.includes('clockJump')) member.node.skewMs = random.between(-skewMsMax, skewMsMax);
      if (joinLater.includes(member.node.name))
        this.#time.after(loadFromMs + writes * writeEveryMs * random.next(), () =>
          this.#faults.start(member),
        );
      else this.#faults.start(member);
    }
    const definer = this.#members[0];
    if (definer) this.#define(definer);
    for (const member of this.#members.slice(1)) if (random.chance(0.2)) this.#define(member);
    for (let place = 1; place <= writes; place++)
      this.#time.after(loadFromMs + place * writeEveryMs * (0.5 + random.next() / 2), () =>
        this.#load(),
      );
    for (const { atMs, forMs } of this.#options.diskFailures)
      this.#time.after(atMs, () => this.#faults.failDisk(forMs));
    const until = loadFromMs + writes * writeEveryMs;
    if (faults.length > 0)
      for (
        let at = loadFromMs / 2 + faultEveryMs * random.next();
        at < until;
        at += faultEveryMs * 2 * random.next() + 1
      )
        this.#time.after(at, () => this.#faults.cause(random.pick(faults)));
  }

  #define({ node }: Member): void {
    for (const name of TABLES)
      node
        .ask<void>((replyTo) => ({
          type: 'table.define',
          definition: definitionOf(name, this.#options),
          notes: { operation: `define ${name} at ${node.name}` },
          replyTo,
        }))
        .catch(() => this.#count('definitionsFailed'));
  }

  #load(): void {
    const up = this.#members.filter(({ node }) => node.router !== null);
    if (up.length === 0) return;
    const { node, watch } = this.#time.random.pick(up);
    this.#clients.write(node, watch);
    const reader = this.#time.random.pick(up);
    if (this.#time.random.chance(0.3)) this.#clients.read(reader.node, reader.watch);
  }

  /** What a copy promised and no disk holds any more is written again, and then nobody waits for it. */
  #forgetLostPromises(): void {
    for (const { watch } of this.#members)
      for (const [origin, sequence] of watch.mustReach)
        if (!this.#members.some((member) => member.watch.covers(origin, sequence)))
          watch.mustReach.delete(origin);
  }

  async #converge(): Promise<void> {
    const deadline = this.#time.now + CONVERGED_MS_MAX;
    this.#isOver = false;
    const look = (): void => {
      this.#forgetLostPromises();
      if (this.#differences() === '') this.#isOver = true;
      else if (this.#time.now > deadline) {
        const problem = `no agreement ${CONVERGED_MS_MAX} ms after healing: ${this.#differences()}`;
        this.#time.fail(new Error(problem));
      } else this.#time.after(LOOK_MS, look);
    };
    look();
    await this.#time.run(() => this.#isOver);
    this.#time.note('agreed');
  }

  /** Empty when all nodes are whole and stand at the same positions. */
  #differences(): string {
    const highest = new Map<string, number>();
    for (const { watch } of this.#members)
      for (const [origin, sequence] of watch.vector)
        highest.set(origin, Math.max(sequence, highest.get(origin) ?? 0));
    const found: string[] = [];
    for (const { node, watch } of this.#members) {
      if (!node.isUp) found.push(`${node.name} is down`);
      if (watch.isCopying) found.push(`${node.name} is copying`);
      for (const [origin, sequence] of highest)
        if (!watch.covers(origin as never, sequence))
          found.push(`${node.name} has not ${origin} ${sequence}`);
      if (!watch.isExact) found.push(`${node.name} has not reached what it copied from`);
    }
    return found.join(', ');
  }

  /** Through the doors that users have: by key, by scan, by index. */
  async #readAtTheEnd(): Promise<void> {
    const asked = this.#members.flatMap(({ node, watch }) => {
      if (![...watch.vector.values()].some((sequence) => sequence > 0)) return [];
      this.#clients.read(node, watch);
      return TABLES.map((table) => this.#checkSearch(node, watch, table));
    });
    this.#isOver = false;
    Promise.all(asked).then(
      () => {
        this.#isOver = true;
      },
      (error: unknown) => this.#time.fail(asError(error)),
    );
    await this.#time.run(() => this.#isOver);
  }

  async #checkSearch(node: SimulatedNode, watch: NodeWatch, table: string): Promise<void> {
    const search = (
      conditions: { attribute: string; comparator: 'greater_than'; value: number }[],
    ) =>
      node.ask<RecordObject[]>((replyTo) => ({
        type: 'records.search',
        table,
        query: { conditions },
        replyTo,
      }));
    const expectedNow = (): Values[] =>
      [...this.#history.rows]
        .filter((row) => row.startsWith(`${table} `))
        .map((row) => watch.expectedAt(row, node.nowMs()))
        .filter((record) => record !== undefined);
    const before = expectedNow();
    const found = await search([]).catch(() => []);
    const foundTagged = await search([
      { attribute: 'tag', comparator: 'greater_than', value: 0 },
    ]).catch(() => []);
    const after = new Set(expectedNow().map(textOf));
    for (const [what, shown, wanted] of [
      ['a scan', found, before],
      ['a search by tag', foundTagged, before.filter(({ tag }) => typeof tag === 'number')],
    ] as const) {
      const present = shown as Values[];
      // What expired while the search was under way may be in it or not.
      const lasting = (records: readonly Values[]): string =>
        sortedTexts(records.filter((record) => after.has(textOf(record))));
      const known = new Set(wanted.map(textOf));
      const surplus = present.filter((record) => !known.has(textOf(record)));
      if (surplus.length > 0 || lasting(present) !== lasting(wanted))
        throw new Error(
          `${what} of ${table} on ${node.name} shows ${sortedTexts(present)}, expected ${sortedTexts(wanted)}`,
        );
    }
  }

  #judge(): void {
    for (const { watch } of this.#members) watch.checkAll();
    const [first, ...others] = this.#members;
    if (!first) return;
    const state = first.watch.state();
    // Nodes that forget do so at different times: only what is visible is the same then, which checkAll has seen.
    for (const { watch } of forgets(this.#options) ? [] : others)
      compareStates(first.watch.name, state, watch.name, watch.state());
    for (const { id, state } of this.#clients.operations) {
      const entry = this.#history.entryOf(id);
      const isThere = entry !== undefined && first.watch.covers(entry.origin, entry.sequence);
      const isAnew = this.#members.some(({ watch }) => watch.writtenAnew.has(id));
      if (state === 'acknowledged' && entry && !isThere && !isAnew && !this.#faults.lost.has(id))
        throw new Error(`${id} was acknowledged and is gone`);
      if ((state === 'refused' || state === 'notStored') && entry)
        throw new Error(`${id} was answered as ${state} and is in a log`);
    }
  }

  /** A frame is sent in an actor's turn, where a throw would be taken for a crash of that actor. */
  #judging(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#time.fail(asError(error));
    }
  }

  #onSent(from: string, bytes: Buffer): void {
    const watch = this.#member(from).watch;
    if (isControlFrame(bytes)) {
      const kind = bytes[0] ?? 0;
      if (!TOLD.has(kind)) return;
      const frame = decodeControl(bytes) as Extract<ControlFrame, { kind: 'Ack' }>;
      watch.checkTold(frame.kind, frame.positions);
    } else if (bytes[0] === FRAME_KIND.Entries)
      for (const { origin, bytes: entry } of decodeEntries(bytes))
        watch.checkTold('Entries', [{ origin, sequence: readEntryHeader(entry).sequence }]);
  }

  #onArrived({ from, to, bytes }: { from: string; to: string; bytes: Buffer }): void {
    const kind = KINDS.get(bytes[0] ?? 0) ?? 'unknown';
    this.#time.note(`${from}>${to} ${kind} ${bytes.length}`, () =>
      isControlFrame(bytes) ? JSON.stringify(decodeControl(bytes)) : '',
    );
    this.#count(`frames ${kind}`);
    if (kind === 'Entries') {
      for (const { origin } of decodeEntries(bytes))
        if (nodeOf(origin) !== from) this.#count('entriesRelayed');
    } else if (kind === 'CopyBegin') this.#onCopyBegin({ from, to, bytes });
    else if (kind === 'CopyRequest') {
      const frame = decodeControl(bytes);
      if (frame.kind === 'CopyRequest' && frame.after) this.#count('copiesResumed');
    } else if (kind === 'Want') {
      const frame = decodeControl(bytes);
      if (frame.kind === 'Want') this.#count('wantsDropped', frame.drop.length);
    }
  }

  #onCopyBegin({ from, to, bytes }: { from: string; to: string; bytes: Buffer }): void {
    const frame = decodeControl(bytes);
    if (frame.kind !== 'CopyBegin') return;
    this.#faults.disturbCopy(from, to);
    const { mustReach } = this.#member(to).watch;
    for (const { origin, sequence } of frame.positions)
      mustReach.set(origin, Math.max(sequence, mustReach.get(origin) ?? 0));
  }

  #member(name: string): Member {
    const member = this.#members.find(({ node }) => node.name === name);
    if (!member) throw new Error(`No node ${name}`);
    return member;
  }

  #count(what: string, by = 1): void {
    this.#totals.set(what, (this.#totals.get(what) ?? 0) + by);
  }
}

/** Frames that say what the sender has. */
const TOLD: ReadonlySet<number> = new Set([
  FRAME_KIND.Subscribed,
  FRAME_KIND.Notice,
  FRAME_KIND.Ack,
  FRAME_KIND.CopyBegin,
]);

const KINDS = new Map<number, string>(
  Object.entries(FRAME_KIND).map(([name, number]) => [number, name]),
);

/** `t1` has an index (and may be dynamic), `t2` has none: its puts are written blind. */
const definitionOf = (name: string, options: SimulationOptions): TableDefinition => ({
  database: DATABASE,
  name: tableName(name),
  primaryKey: 'id',
  schemaDefined: name === 't2' || !options.dynamicTable,
  ...(options.expiring.includes(name) && { expirationSeconds: options.expirationSeconds }),
  attributes: [
    { name: 'id', isPrimaryKey: true },
    { name: 'tag', ...(name === 't1' && { indexed: true }) },
    { name: 'x' },
    { name: 'y' },
    { name: 'long' },
  ],
});

const sortedTexts = (records: readonly object[]): string =>
  records
    .map((record) => textOf(record as RecordObject))
    .sort()
    .join(' ');

const compareStates = (
  a: string,
  stateA: ReadonlyMap<string, string>,
  b: string,
  stateB: ReadonlyMap<string, string>,
): void => {
  for (const row of new Set([...stateA.keys(), ...stateB.keys()]))
    if (stateA.get(row) !== stateB.get(row))
      throw new Error(
        `${row} differs: ${a} has ${stateA.get(row) ?? 'none'}, ${b} has ${stateB.get(row) ?? 'none'}`,
      );
};
