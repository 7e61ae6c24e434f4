/**
 * An executable model of the rules by which nodes write, pull, copy, forget and fail: one process, plain data, none of the
 * code under test. It says what a list of commands has to come to; compareModel.ts runs the same lists elsewhere.
 */
import {
  contains,
  folded,
  isShown,
  joined,
  rowAfter,
  saidAgain,
  saidWhole,
  stampsIn,
  stillNews,
  type ModelOperation,
  type ModelRow,
  type ModelStamp,
  type ModelVector,
} from './modelRow.js';
import type { Command } from './smallCommands.js';
import type { Write } from './smallDisk.js';
import { origin } from './stores.js';

export interface ModelEntry {
  readonly origin: string;
  readonly at: number;
  readonly version: number;
  readonly operations: Readonly<Record<string, ModelOperation>>;
}

interface ModelLog {
  readonly start: number;
  readonly entries: readonly ModelEntry[];
}

type Marks = Readonly<Record<string, number>>;

interface ModelCopy {
  readonly number: number;
  readonly after: string;
  readonly from: string;
  readonly snapshot: ModelSnapshot | null;
  /** Least and greatest of all snapshots; null before the first. */
  readonly least: ModelVector | null;
  readonly most: ModelVector;
}

interface ModelSnapshot {
  readonly rows: Readonly<Record<string, ModelRow>>;
  readonly vector: ModelVector;
  readonly theirBlindSpot: number;
  readonly myBlindSpot: number;
}

interface Promised {
  readonly number: number;
  readonly reach: ModelVector;
}

/** All of it values that are replaced and never changed, so that an image is the object itself. */
interface ModelDisk {
  readonly rows: Readonly<Record<string, ModelRow>>;
  readonly vector: ModelVector;
  readonly logs: Readonly<Record<string, ModelLog>>;
  readonly marks: Marks;
  readonly clock: number;
  readonly copy: ModelCopy | null;
  readonly copies: number;
  readonly owed: readonly Promised[];
  readonly dropped: Readonly<Record<number, readonly string[]>>;
}

const EMPTY: ModelDisk = {
  rows: {},
  vector: {},
  logs: {},
  marks: {},
  clock: 0,
  copy: null,
  copies: 0,
  owed: [],
  dropped: {},
};

interface ModelNode {
  readonly name: string;
  disk: ModelDisk;
  flushed: ModelDisk | null;
  backup: ModelDisk | null;
  isUp: boolean;
  isUnclean: boolean;
  life: number;
  skew: number;
}

export interface ModelTimes {
  /** Versions in one unit of the commands' time. */
  readonly ticks: number;
  readonly beginsAt: number;
  readonly logKept: number;
  readonly deletesKept: number;
}

export class ModelWorld {
  readonly nodes: ReadonlyMap<string, ModelNode>;
  readonly #times: ModelTimes;
  readonly #cut = new Set<string>();
  #now: number;

  constructor(names: readonly string[], times: ModelTimes) {
    this.#times = times;
    this.#now = times.beginsAt;
    this.nodes = new Map(
      names.map((name) => [
        name,
        {
          name,
          disk: EMPTY,
          flushed: null,
          backup: null,
          isUp: true,
          isUnclean: false,
          life: 1,
          skew: 0,
        },
      ]),
    );
  }

  run(command: Command): void {
    this.#now++;
    if (command[0] === 'time') this.#now += command[1];
    else this.#onNode(this.node(command[1]), command);
  }

  node(name: string): ModelNode {
    const node = this.nodes.get(name);
    if (!node) throw new Error(`No node ${name}`);
    return node;
  }

  linked(node: ModelNode): ModelNode[] {
    return [...this.nodes.values()].filter((peer) => this.#areLinked(node, peer));
  }

  /** The entry a node needs next of an origin; null: only a copy helps; undefined: there is no more. */
  next(node: ModelNode, peer: ModelNode, from: string): ModelEntry | null | undefined {
    const at = reached(node.disk.vector, from) + 1;
    if (at > reached(peer.disk.vector, from)) return undefined;
    const log = peer.disk.logs[from];
    const entry = log && at >= log.start ? log.entries[at - log.start] : undefined;
    const newestMark = Math.max(0, ...Object.values(node.disk.marks));
    return entry && entry.version > newestMark ? entry : null;
  }

  /** A node in the middle of a copy gives it up; what it took is owed. */
  abandon(name: string): void {
    const node = this.node(name);
    const { copy, owed } = node.disk;
    if (!copy) return;
    const promise = { number: copy.number, reach: copy.most };
    node.disk = { ...node.disk, copy: null, owed: [...owed, promise] };
  }

  presentOrigin(node: ModelNode): string {
    return origin(node.name, node.life);
  }

  #onNode(node: ModelNode, command: Exclude<Command, readonly ['time', number]>): void {
    switch (command[0]) {
      case 'write':
        return this.#write(node, command[2]);
      case 'pull':
        return this.#pull(node, this.node(command[2]), command[3]);
      case 'copy':
        return this.#copy(node, this.node(command[2]), command[3]);
      case 'cut':
        return this.#cutLink(command[1], command[2]);
      case 'heal':
        return void this.#cut.delete(linkName(command[1], command[2]));
      case 'skew':
        node.skew = command[2];
        return undefined;
      case 'start':
        return this.#start(node);
      case 'restore':
        return this.#restore(node, this.node(command[2]).backup);
      default:
        return node.isUp ? this.#onUp(node, command[0]) : undefined;
    }
  }

  #onUp(node: ModelNode, verb: string): void {
    switch (verb) {
      case 'purge':
        return this.#purge(node);
      case 'trim':
        return this.#trim(node);
      case 'orphans':
        return this.#sayOrphans(node);
      case 'crash':
        return this.#stop(node);
      case 'sync':
        node.flushed = imageOf(node.disk);
        return undefined;
      case 'backup':
        node.backup = imageOf(node.disk);
        return undefined;
      case 'power':
        return this.#load(node, node.flushed);
      case 'wipe':
        node.flushed = null;
        return this.#load(node, null);
      default:
        throw new Error(`No command ${verb}`);
    }
  }

  // ---- writing

  #write(node: ModelNode, writes: readonly Write[]): void {
    if (!node.isUp) return;
    const { rows } = node.disk;
    const operations: Record<string, ModelOperation> = {};
    for (const { key, type, name, value } of writes) {
      const row = rows[key];
      if (type === 'delete' && !(row && isShown(row))) continue;
      const next = type === 'delete' ? { type } : { type, values: { [name]: value } };
      operations[key] = folded(operations[key], next);
    }
    if (Object.keys(operations).length > 0) this.#say(node, operations);
  }

  #say(node: ModelNode, operations: ModelEntry['operations']): void {
    const from = this.presentOrigin(node);
    const version = Math.max(node.disk.clock + 1, this.#wall(node));
    this.#apply(node, {
      origin: from,
      at: reached(node.disk.vector, from) + 1,
      version,
      operations,
    });
  }

  #apply(node: ModelNode, entry: ModelEntry): void {
    const { disk } = node;
    const { origin: from, at, version } = entry;
    const rows = { ...disk.rows };
    for (const [key, operation] of Object.entries(entry.operations)) {
      const row = rowAfter(operation, { origin: from, version });
      const held = rows[key];
      rows[key] = held ? joined(held, row) : row;
    }
    const log = disk.logs[from] ?? { start: at, entries: [] };
    node.disk = {
      ...disk,
      rows,
      vector: { ...disk.vector, [from]: { at, version } },
      logs: { ...disk.logs, [from]: { ...log, entries: [...log.entries, entry] } },
      clock: Math.max(disk.clock, version),
    };
  }

  // ---- forgetting

  #purge(node: ModelNode): void {
    const { disk } = node;
    if (disk.copy) return;
    const horizon = this.#wall(node) - this.#times.deletesKept * this.#times.ticks;
    const rows = { ...disk.rows };
    let marks = disk.marks;
    for (const [key, row] of Object.entries(disk.rows)) {
      const { dead } = row;
      if (!dead || dead.version >= horizon || !contains(disk.vector, dead)) continue;
      marks = greaterMarks(marks, { [dead.origin]: dead.version });
      if (isShown(row)) rows[key] = { ...row, dead: null };
      else delete rows[key];
    }
    node.disk = { ...disk, rows, marks };
  }

  #trim(node: ModelNode): void {
    const horizon = this.#wall(node) - this.#times.logKept * this.#times.ticks;
    const logs = Object.entries(node.disk.logs).map(([from, log]) => {
      const entries = log.entries.filter(({ version }) => version >= horizon);
      const start = log.start + log.entries.length - entries.length;
      return [from, { start, entries }] as const;
    });
    node.disk = { ...node.disk, logs: Object.fromEntries(logs) };
  }

  // ---- taking over

  #pull(node: ModelNode, peer: ModelNode, count: number): void {
    if (!this.#areLinked(node, peer)) return;
    greet(node, peer);
    for (const from of Object.keys(peer.disk.vector))
      for (let left = count; left > 0 && from !== this.presentOrigin(node); left--) {
        const entry = this.next(node, peer, from);
        if (!entry) break;
        this.#apply(node, entry);
      }
  }

  #copy(node: ModelNode, peer: ModelNode, count: number): void {
    if (!this.#areLinked(node, peer) || peer.disk.copy) return;
    greet(node, peer);
    const snapshot = this.#opened(node, peer);
    const after = node.disk.copy?.after ?? '';
    const keys = [...new Set([...Object.keys(snapshot.rows), ...Object.keys(node.disk.rows)])]
      .filter((key) => key > after)
      .sort();
    for (const key of keys.slice(0, count)) {
      this.#merge(node, snapshot, key);
      if (node.disk.copy) node.disk = { ...node.disk, copy: { ...node.disk.copy, after: key } };
    }
    if (keys.length <= count) this.#adopt(node);
  }

  /** The snapshot that is merged from: the one there is, or a new one with which the copy goes on or begins again. */
  #opened(node: ModelNode, peer: ModelNode): ModelSnapshot {
    const { disk } = node;
    const present = disk.copy;
    if (present?.snapshot && present.from === peer.name) return present.snapshot;
    const theirs = peer.disk;
    const begun = present ?? {
      number: disk.copies + 1,
      after: '',
      from: '',
      snapshot: null,
      least: null,
      most: {},
    };
    const mustBegin = begun.least !== null && blindSpot(theirs.marks, begun.least) > 0;
    const least = mustBegin ? null : begun.least;
    const owed = theirs.owed.reduce((most, { reach }) => greater(most, reach), {} as ModelVector);
    const snapshot: ModelSnapshot = {
      rows: theirs.rows,
      vector: theirs.vector,
      theirBlindSpot: blindSpot(theirs.marks, disk.vector),
      myBlindSpot: blindSpot(disk.marks, theirs.vector),
    };
    node.disk = {
      ...disk,
      marks: greaterMarks(disk.marks, theirs.marks),
      copies: present ? disk.copies : disk.copies + 1,
      copy: {
        number: begun.number,
        after: mustBegin ? '' : begun.after,
        from: peer.name,
        snapshot,
        least: least ? lesser(least, theirs.vector) : theirs.vector,
        most: greater(greater(begun.most, theirs.vector), owed),
      },
    };
    return snapshot;
  }

  #merge(node: ModelNode, snapshot: ModelSnapshot, key: string): void {
    const { disk } = node;
    const mine = disk.rows[key] ?? null;
    const theirs = snapshot.rows[key] ?? null;
    const kept = mine && stillNews(mine, { vector: snapshot.vector, row: theirs });
    const taken = theirs && stillNews(theirs, { vector: disk.vector, row: mine });
    if (mine && JSON.stringify(kept) !== JSON.stringify(mine)) noteDropped(node, key);
    const rows = { ...disk.rows };
    const row = kept && taken ? joined(kept, taken) : (kept ?? taken);
    delete rows[key];
    if (row) rows[key] = row;
    const newestHere = row ? Math.max(...stampsIn(row).map(({ version }) => version)) : 0;
    node.disk = { ...node.disk, rows, clock: Math.max(disk.clock, newestHere) };
    if (!row) return;
    const { theirBlindSpot, myBlindSpot } = snapshot;
    const isNews = (stamp: ModelStamp): boolean =>
      (stamp.version <= theirBlindSpot && !contains(snapshot.vector, stamp)) ||
      (stamp.version <= myBlindSpot && !contains(disk.vector, stamp));
    const again = saidAgain(row, isNews, false);
    if (again) this.#say(node, { [key]: again });
  }

  #adopt(node: ModelNode): void {
    const vector: Record<string, ModelVector[string]> = { ...node.disk.vector };
    const logs: Record<string, ModelLog> = { ...node.disk.logs };
    for (const [from, place] of Object.entries(node.disk.copy?.least ?? {})) {
      if (reached(vector, from) >= place.at) continue;
      vector[from] = place;
      logs[from] = { start: place.at + 1, entries: [] };
    }
    node.disk = { ...node.disk, vector, logs };
    this.abandon(node.name);
  }

  /** What copies promised, and nobody who is linked leads to, is said again in the own name. */
  #sayOrphans(node: ModelNode): void {
    const owed = node.disk.owed.flatMap(({ number, reach }) => {
      const left = Object.entries(reach).filter(
        ([from, { at }]) => reached(node.disk.vector, from) < at,
      );
      return left.length > 0 ? [{ number, reach: Object.fromEntries(left) }] : [];
    });
    node.disk = { ...node.disk, owed };
    if (node.disk.copy) return;
    node.disk = { ...node.disk, owed: [] };
    for (const { number, reach } of owed) {
      const left: Record<string, ModelVector[string]> = {};
      for (const [from, promise] of inOrder(reach))
        if (this.#isLed(node, from)) left[from] = promise;
        else this.#sayLost(node, { number, from, upTo: promise.version });
      if (Object.keys(left).length > 0)
        node.disk = { ...node.disk, owed: [...node.disk.owed, { number, reach: left }] };
    }
  }

  #isLed(node: ModelNode, from: string): boolean {
    const mine = reached(node.disk.vector, from);
    return this.linked(node).some(({ disk }) => reached(disk.vector, from) > mine);
  }

  #sayLost(node: ModelNode, lost: { number: number; from: string; upTo: number }): void {
    const { number, from, upTo } = lost;
    const held = node.disk.vector[from]?.version ?? 0;
    const isLost = (stamp: ModelStamp): boolean =>
      stamp.origin === from && stamp.version > held && stamp.version <= upTo;
    for (const [key] of inOrder(node.disk.rows)) {
      const row = node.disk.rows[key];
      const again = row && saidAgain(row, isLost, true);
      if (again) this.#say(node, { [key]: again });
    }
    const dropped = [...(node.disk.dropped[number] ?? [])].sort();
    node.disk = { ...node.disk, dropped: { ...node.disk.dropped, [number]: [] } };
    for (const key of dropped) this.#say(node, { [key]: saidWhole(node.disk.rows[key]) });
  }

  // ---- failing

  #stop(node: ModelNode): void {
    node.isUp = false;
    for (const one of this.nodes.values())
      if (one === node || one.disk.copy?.from === node.name) one.disk = imageOf(one.disk);
  }

  #start(node: ModelNode): void {
    if (node.isUp) return;
    node.isUp = true;
    if (node.isUnclean) node.life++;
    node.isUnclean = false;
  }

  #load(node: ModelNode, disk: ModelDisk | null): void {
    this.#stop(node);
    node.disk = disk ?? EMPTY;
    node.isUnclean = true;
  }

  #restore(node: ModelNode, backup: ModelDisk | null): void {
    if (!backup || !node.isUp) return;
    node.flushed = backup;
    this.#load(node, backup);
    this.#start(node);
  }

  #cutLink(a: string, b: string): void {
    this.#cut.add(linkName(a, b));
    for (const [one, other] of [
      [this.node(a), b],
      [this.node(b), a],
    ] as const)
      if (one.disk.copy?.from === other) one.disk = imageOf(one.disk);
  }

  #areLinked(a: ModelNode, b: ModelNode): boolean {
    return a !== b && a.isUp && b.isUp && !this.#cut.has(linkName(a.name, b.name));
  }

  #wall({ skew }: ModelNode): number {
    return (this.#now + skew) * this.#times.ticks;
  }
}

const linkName = (a: string, b: string): string => [a, b].sort().join('-');

const reached = (vector: ModelVector, from: string): number => vector[from]?.at ?? 0;

const inOrder = <T>(record: Readonly<Record<string, T>>): [string, T][] =>
  Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));

/** A snapshot is not on the disk: it is opened again. */
const imageOf = (disk: ModelDisk): ModelDisk =>
  disk.copy ? { ...disk, copy: { ...disk.copy, snapshot: null } } : disk;

const greet = (a: ModelNode, b: ModelNode): void => {
  const clock = Math.max(a.disk.clock, b.disk.clock);
  a.disk = { ...a.disk, clock };
  b.disk = { ...b.disk, clock };
};

const noteDropped = (node: ModelNode, key: string): void => {
  const { copy, dropped } = node.disk;
  if (!copy) return;
  const keys = [...new Set([...(dropped[copy.number] ?? []), key])];
  node.disk = { ...node.disk, dropped: { ...dropped, [copy.number]: keys } };
};

/** The newest delete among the marks that the vector does not contain; 0: none. */
const blindSpot = (marks: Marks, vector: ModelVector): number =>
  Math.max(
    0,
    ...Object.entries(marks)
      .filter(([from, version]) => !contains(vector, { origin: from, version }))
      .map(([, version]) => version),
  );

const greaterMarks = (a: Marks, b: Marks): Marks => {
  const marks = { ...a };
  for (const [from, version] of Object.entries(b))
    marks[from] = Math.max(version, marks[from] ?? 0);
  return marks;
};

const greater = (a: ModelVector, b: ModelVector): ModelVector => {
  const vector = { ...a };
  for (const [from, place] of Object.entries(b))
    if (reached(vector, from) < place.at) vector[from] = place;
  return vector;
};

const lesser = (a: ModelVector, b: ModelVector): ModelVector => {
  const vector: Record<string, ModelVector[string]> = {};
  for (const [from, mine] of Object.entries(a)) {
    const theirs = b[from];
    if (theirs) vector[from] = theirs.at < mine.at ? theirs : mine;
  }
  return vector;
};
