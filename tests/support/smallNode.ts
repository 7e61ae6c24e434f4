/**
 * One node of the small world: rows, logs, a vector, marks and copies as plain values, with the decisions of protocol/
 * and nothing else between them. Every rule can be switched off. Used by smallWorld.ts.
 */
import { coveredBy, withoutSuperseded, type Covers } from '../../protocol/absence.js';
import type { Stamp } from '../../protocol/clock.js';
import { encode } from '../../protocol/codec.js';
import {
  begunAgain,
  mustBeginAgain,
  newCopy,
  withSnapshot,
  type CopiedPosition,
} from '../../protocol/copyCheckpoint.js';
import { sequence, version, type OriginId, type Version } from '../../protocol/ids.js';
import { blindSpot, isLate, newestMark, written, writtenAgain } from '../../protocol/lateNews.js';
import { promised, withoutReached } from '../../protocol/owed.js';
import {
  isVisible,
  join,
  joinOptional,
  newestStamp,
  rowOf,
  type Row,
  type RowChange,
} from '../../protocol/row.js';
import { foldChanges } from '../../protocol/transaction.js';
import { deleteIn } from '../../storage/rowWriter.js';
import {
  emptyDisk,
  imageOf,
  type Copy,
  type Disk,
  type SmallEntry,
  type Snapshot,
  type Write,
} from './smallDisk.js';
import type { Rule } from './smallRules.js';
import { origin } from './stores.js';

export class SmallNode {
  readonly name: string;
  readonly #off: ReadonlySet<Rule>;
  readonly #noted: (entry: SmallEntry) => void;
  disk = emptyDisk();
  isUp = true;
  isUnclean = false;
  skew = 0;
  origin: OriginId;
  #lives = 1;

  constructor(name: string, off: ReadonlySet<Rule>, noted: (entry: SmallEntry) => void) {
    this.name = name;
    this.#off = off;
    this.#noted = noted;
    this.origin = origin(name, 1);
  }

  get isWhole(): boolean {
    return this.disk.copy === null;
  }

  has(id: OriginId): number {
    return this.disk.vector.get(id)?.sequence ?? 0;
  }

  get covers(): Covers {
    return coveredBy(this.disk.vector);
  }

  // ---- writing

  write(writes: readonly Write[], now: number): void {
    const changes = new Map<string, RowChange>();
    for (const write of writes) {
      const before = changes.get(write.key);
      const change = changeOf(write);
      changes.set(write.key, before ? foldChanges(before, change) : change);
    }
    this.commit(changes, now);
  }

  commit(changes: ReadonlyMap<string, RowChange>, now: number): void {
    const stamp = version(Math.max(this.disk.clock + 1, now + this.skew));
    const next = { origin: this.origin, sequence: this.has(this.origin) + 1, version: stamp };
    const entry: SmallEntry = { ...next, changes };
    this.#noted(entry);
    this.apply(entry);
  }

  apply(entry: SmallEntry): void {
    const { disk } = this;
    const stamp: Stamp = { version: entry.version, origin: entry.origin };
    for (const [key, change] of entry.changes)
      disk.rows.set(key, joinOptional(disk.rows.get(key), rowOf(change, stamp)));
    disk.vector.set(entry.origin, positionOf(entry));
    const log = disk.logs.get(entry.origin) ?? { start: entry.sequence, entries: [] };
    disk.logs.set(entry.origin, { start: log.start, entries: [...log.entries, entry] });
    disk.clock = version(Math.max(disk.clock, entry.version));
  }

  // ---- forgetting

  purge(before: number): void {
    const { disk } = this;
    if (!this.isWhole && this.#is('nothing is purged in the middle of a copy')) return;
    for (const [key, row] of disk.rows) {
      const dead = deleteIn(row);
      if (!dead || dead.version >= before + this.skew) continue;
      if (this.#is('only deletes that the vector covers are purged') && !this.covers(dead))
        continue;
      this.#mark(dead.origin, dead.version);
      if (row.kind === 'patched') disk.rows.set(key, { ...row, dead: null });
      else disk.rows.delete(key);
    }
  }

  trim(before: number): void {
    for (const [id, log] of this.disk.logs) {
      const entries = log.entries.filter((entry) => entry.version >= before + this.skew);
      const start = log.start + log.entries.length - entries.length;
      this.disk.logs.set(id, { start, entries });
    }
  }

  // ---- the log

  /** The entry this node needs next of an origin; null: only a copy helps; undefined: there is no more. */
  nextFrom(peer: SmallNode, id: OriginId): SmallEntry | null | undefined {
    const next = this.has(id) + 1;
    if (next > peer.has(id)) return undefined;
    const log = peer.disk.logs.get(id);
    const entry = log && next >= log.start ? log.entries[next - log.start] : undefined;
    if (!entry) return null;
    const late = isLate(entry.version, newestMark(this.disk.marks));
    return late && this.#is('late entries are not applied') ? null : entry;
  }

  pull(peer: SmallNode, count: number): void {
    this.greet(peer);
    for (const id of peer.disk.vector.keys())
      for (let left = count; left > 0 && id !== this.origin; left--) {
        const entry = this.nextFrom(peer, id);
        if (!entry) break;
        this.apply(entry);
      }
  }

  greet(peer: SmallNode): void {
    const clock = version(Math.max(this.disk.clock, peer.disk.clock));
    this.disk.clock = clock;
    peer.disk.clock = clock;
  }

  // ---- copies

  /** Merges up to `count` rows of a copy from that peer; adopts at the end. */
  copyFrom(peer: SmallNode, count: number, now: number): void {
    const { disk } = this;
    this.greet(peer);
    disk.copy ??= {
      checkpoint: newCopy(++disk.copies),
      after: '',
      source: '',
      snapshot: null,
      first: null,
    };
    const { copy } = disk;
    const snapshot =
      copy.snapshot && copy.source === peer.name ? copy.snapshot : this.#open(copy, peer);
    const keys = [...new Set([...snapshot.rows.keys(), ...disk.rows.keys()])]
      .filter((key) => key > copy.after)
      .sort();
    for (const key of keys.slice(0, count)) {
      this.#merge(copy, snapshot, key, now);
      copy.after = key;
    }
    if (keys.length <= count) this.#adopt(copy);
  }

  #open(copy: Copy, peer: SmallNode): Snapshot {
    const marks = [...peer.disk.marks].map(([id, at]) => ({ origin: id, version: at }));
    if (
      this.#is('a purge at the source ends a checkpoint') &&
      mustBeginAgain(copy.checkpoint, marks)
    ) {
      copy.checkpoint = begunAgain(copy.checkpoint);
      copy.after = '';
      copy.first = null;
    }
    const covers = coveredBy(new Map(peer.disk.vector));
    const owes = this.#is('what a source owes is owed with its rows');
    const before = copy.checkpoint.adopt;
    copy.checkpoint = withSnapshot(copy.checkpoint, {
      positions: [...peer.disk.vector.values()],
      owed: owes ? [...promised(peer.disk.owed).values()] : [],
      estimatedRows: 0,
    });
    if (before && !this.#is('the minimum of all snapshots is adopted'))
      copy.checkpoint = { ...copy.checkpoint, adopt: before };
    copy.first ??= covers;
    copy.source = peer.name;
    const mine = [...this.disk.marks].map(([id, at]) => ({ origin: id, version: at }));
    copy.snapshot = {
      rows: new Map(peer.disk.rows),
      covers,
      theirBlindSpot: blindSpot(marks, this.covers),
      myBlindSpot: blindSpot(mine, covers),
    };
    if (this.#is('marks are inherited'))
      for (const mark of marks) this.#mark(mark.origin, mark.version);
    return copy.snapshot;
  }

  #merge(copy: Copy, snapshot: Snapshot, key: string, now: number): void {
    const { disk } = this;
    const byChunk = this.#is('absence is judged by the snapshot of the chunk');
    const isTheirs = byChunk ? snapshot.covers : (copy.first ?? snapshot.covers);
    const mine = disk.rows.get(key);
    const theirs = snapshot.rows.get(key);
    const kept =
      mine && this.#is('the receiver drops what the source knows to be superseded')
        ? this.#without(mine, isTheirs, theirs)
        : mine;
    const taken =
      theirs && this.#is('the receiver does not take what it knows to be superseded')
        ? this.#without(theirs, this.covers, mine)
        : theirs;
    if (mine && kept !== mine) this.#noteDropped(copy.checkpoint.number, key);
    const row = kept && taken ? join(kept, taken) : (kept ?? taken);
    if (!row) return void disk.rows.delete(key);
    disk.rows.set(key, row);
    disk.clock = version(Math.max(disk.clock, newestStamp(row).version));
    const forMe = this.#is(
      'news that the source may have forgotten the delete of is written again',
    );
    const forThem = this.#is(
      'news that the receiver may have forgotten the delete of is written again',
    );
    const isNews: Covers = (stamp) =>
      (forMe && stamp.version <= snapshot.theirBlindSpot && !snapshot.covers(stamp)) ||
      (forThem && stamp.version <= snapshot.myBlindSpot && !this.covers(stamp));
    this.#writeAgain(key, isNews, 'lateNews', now);
  }

  #without(row: Row, covers: Covers, other: Row | undefined): Row | undefined {
    if (this.#is('absence is judged for each component'))
      return withoutSuperseded(row, covers, other);
    return !other && covers(newestStamp(row)) ? undefined : row;
  }

  #adopt(copy: Copy): void {
    for (const position of copy.checkpoint.adopt?.values() ?? []) {
      if (this.has(position.origin) >= position.sequence) continue;
      this.disk.vector.set(position.origin, position);
      this.disk.logs.set(position.origin, { start: position.sequence + 1, entries: [] });
    }
    this.abandonCopy();
  }

  abandonCopy(): void {
    const { copy } = this.disk;
    if (!copy) return;
    this.disk.owed.push({ number: copy.checkpoint.number, reach: copy.checkpoint.reach });
    this.disk.copy = null;
  }

  /** Writes again what nobody leads to; true: something was. `leads`: whether somebody has more of it. */
  writeOrphans(leads: (id: OriginId) => boolean, now: number): boolean {
    const { disk } = this;
    disk.owed = withoutReached(disk.owed, disk.vector);
    if (!this.isWhole || !this.#is('orphans are written again')) return false;
    let any = false;
    const owed = disk.owed;
    disk.owed = [];
    for (const { number, reach } of owed) {
      const left = new Map(reach);
      for (const [id, promise] of [...reach].sort(byName)) {
        if (leads(id)) continue;
        left.delete(id);
        const reached = disk.vector.get(id)?.version ?? 0;
        const isOrphan: Covers = (stamp) =>
          stamp.origin === id && stamp.version > reached && stamp.version <= promise.version;
        for (const key of [...disk.rows.keys()].sort())
          if (this.#writeAgain(key, isOrphan, 'orphan', now)) any = true;
        if (this.#writeDropped(number, now)) any = true;
      }
      if (left.size > 0) disk.owed.push({ number, reach: left });
    }
    return any;
  }

  #writeDropped(number: number, now: number): boolean {
    if (!this.#is('what was dropped on the word of a lost source is written again')) return false;
    const keys = this.disk.dropped.get(number) ?? new Set();
    this.disk.dropped.delete(number);
    for (const key of [...keys].sort())
      this.commit(new Map([[key, written(this.disk.rows.get(key))]]), now);
    return keys.size > 0;
  }

  #writeAgain(key: string, isNews: Covers, why: 'lateNews' | 'orphan', now: number): boolean {
    const row = this.disk.rows.get(key);
    const change = row && writtenAgain(row, isNews, why);
    if (change) this.commit(new Map([[key, change]]), now);
    return change !== undefined;
  }

  #noteDropped(number: number, key: string): void {
    this.disk.dropped.set(number, new Set([...(this.disk.dropped.get(number) ?? []), key]));
  }

  #mark(id: OriginId, at: Version): void {
    if (at > (this.disk.marks.get(id) ?? 0)) this.disk.marks.set(id, at);
  }

  // ---- failing

  stop(): void {
    this.isUp = false;
    if (this.disk.copy) this.disk.copy.snapshot = null;
  }

  start(): void {
    if (this.isUp) return;
    this.isUp = true;
    if (this.isUnclean && this.#is('an unclean start begins a new incarnation'))
      this.origin = origin(this.name, ++this.#lives);
    this.isUnclean = false;
  }

  /** Its disk as it is, to be put back later. */
  image(): Disk {
    return imageOf(this.disk);
  }

  /** Goes down, and finds this on its disk when it comes back. */
  load(image: Disk | null): void {
    this.stop();
    this.disk = image ? imageOf(image) : emptyDisk();
    this.isUnclean = true;
  }

  shown(key: string): Row | undefined {
    const row = this.disk.rows.get(key);
    return isVisible(row) ? row : undefined;
  }

  #is(rule: Rule): boolean {
    return !this.#off.has(rule);
  }
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a < b ? -1 : 1;

const positionOf = (entry: SmallEntry): CopiedPosition => ({
  origin: entry.origin,
  sequence: sequence(entry.sequence),
  version: entry.version,
  checksum: 0,
});

const changeOf = ({ type, name, value }: Write): RowChange => {
  if (type === 'delete') return { type };
  if (type === 'put') return { type, body: encode({ [name]: value }) };
  return { type, attributes: [{ name, value: encode(value) }] };
};
