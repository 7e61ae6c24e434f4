/**
 * A disk and the abstract-level on it, in virtual time: a batch is applied whole some time after it was written and
 * answered some time after that. A killed process loses what was not yet applied; a power loss also what was not
 * flushed. Made by simulatedNode.ts; the oracle looks on through `applied`.
 */
import {
  AbstractChainedBatch,
  AbstractIterator,
  AbstractLevel,
  AbstractSnapshot,
  type AbstractIteratorOptions,
} from 'abstract-level';
import type { Level } from '../../storage/level.js';
import type { SeededRandom, SimulatedTime } from './simulatedTime.js';

/** Sorted and immutable, so that a snapshot is a reference. */
export interface Content {
  readonly keys: readonly Buffer[];
  readonly values: readonly Buffer[];
}

export interface Write {
  readonly key: Buffer;
  /** Undefined: the key is taken away. */
  readonly value: Buffer | undefined;
}

/** What one process may use; `isAlive` ends with a kill, and nothing of it happens any more. */
export interface SimulatedProcess {
  readonly time: SimulatedTime;
  readonly isAlive: boolean;
}

export interface DiskSpeed {
  /** Until a batch is applied, and from there until it is answered: at most so long. */
  readonly applyMsMax: number;
  readonly answerMsMax: number;
  /** How often a read takes time. */
  readonly slowReads: number;
}

export type WriteFault = 'refused' | 'appliedWithoutAnswer';

const EMPTY: Content = { keys: [], values: [] };

/** States a power loss can fall back to. */
const UNFLUSHED_MAX = 12;

export class SimulatedDisk {
  content: Content = EMPTY;
  /** Called for each batch when it is applied. */
  applied: (writes: readonly Write[], before: Content) => void = () => undefined;
  /** What happens to the next batch, once. */
  nextFault: WriteFault | null = null;
  /** No batch is taken: the disk is full, or gone. */
  isFailing = false;
  faultsMet = 0;
  readonly #time: SimulatedTime;
  readonly #speed: DiskSpeed;
  #unflushed: Content[] = [];
  #lastApplyAt = 0;

  constructor(time: SimulatedTime, speed: DiskSpeed) {
    this.#time = time;
    this.#speed = speed;
  }

  /** Resolves when the batch is durable, as far as `sync` asks for it. */
  write(process: SimulatedProcess, writes: readonly Write[], sync: boolean): Promise<void> {
    const { random } = this.#time;
    const fault = this.isFailing ? 'refused' : this.nextFault;
    this.nextFault = null;
    if (fault) this.faultsMet++;
    const at = Math.max(this.#lastApplyAt, this.#time.now + random.next() * this.#speed.applyMsMax);
    this.#lastApplyAt = at;
    return new Promise((resolve, reject) => {
      const failed = (): void => reject(new Error('simulated: the disk reported an error'));
      this.#time.after(at - this.#time.now, () => {
        if (!process.isAlive) return;
        if (fault === 'refused') return failed();
        this.#apply(writes, sync);
        this.#time.after(random.next() * this.#speed.answerMsMax, () => {
          if (!process.isAlive) return;
          if (fault) failed();
          else resolve();
        });
      });
    });
  }

  /** Rejects while the disk fails, after a while like a write. */
  probe(process: SimulatedProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#time.after(this.#speed.applyMsMax / 2, () => {
        if (!process.isAlive) return;
        if (this.isFailing) reject(new Error('simulated: no space left on device'));
        else resolve();
      });
    });
  }

  /** Loses a random part of what was not flushed. Returns the number of batches lost. */
  losePower(random: SeededRandom): number {
    const lost = random.between(0, this.#unflushed.length);
    if (lost > 0) this.content = this.#unflushed[this.#unflushed.length - lost] ?? this.content;
    this.#unflushed = [];
    return lost;
  }

  erase(): void {
    this.content = EMPTY;
    this.#unflushed = [];
  }

  /** Null: the read needs no time. */
  readDelay(process: SimulatedProcess): Promise<void> | null {
    const { random } = this.#time;
    if (!random.chance(this.#speed.slowReads)) return null;
    return new Promise((resolve) => {
      this.#time.after(random.next() * this.#speed.applyMsMax, () => {
        if (process.isAlive) resolve();
      });
    });
  }

  #apply(writes: readonly Write[], sync: boolean): void {
    const before = this.content;
    this.content = withWrites(before, writes);
    if (sync) this.#unflushed = [];
    else if (this.#unflushed.push(before) > UNFLUSHED_MAX) this.#unflushed.shift();
    this.applied(writes, before);
  }
}

/** Place of the first key that is not below `key`. */
export const placeOf = ({ keys }: Content, key: Buffer): number => {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Buffer.compare(keys[middle] ?? EMPTY_KEY, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
};

export const valueAt = (content: Content, key: Buffer): Buffer | undefined => {
  const place = placeOf(content, key);
  return content.keys[place]?.equals(key) === true ? content.values[place] : undefined;
};

const EMPTY_KEY = Buffer.alloc(0);

const withWrites = (content: Content, writes: readonly Write[]): Content => {
  const keys = content.keys.slice();
  const values = content.values.slice();
  const next = { keys, values };
  for (const { key, value } of writes) {
    const place = placeOf(next, key);
    const isThere = keys[place]?.equals(key) === true;
    if (value === undefined) {
      if (!isThere) continue;
      keys.splice(place, 1);
      values.splice(place, 1);
    } else if (isThere) values[place] = value;
    else {
      keys.splice(place, 0, key);
      values.splice(place, 0, value);
    }
  }
  return next;
};

interface Range {
  readonly gt?: Buffer;
  readonly gte?: Buffer;
  readonly lt?: Buffer;
  readonly lte?: Buffer;
  readonly reverse?: boolean;
  readonly limit?: number;
  readonly snapshot?: Snapshot;
}

const placesOf = (content: Content, range: Range): { from: number; to: number } => {
  const from = range.gt ? afterKey(content, range.gt) : range.gte ? placeOf(content, range.gte) : 0;
  const to = range.lte
    ? afterKey(content, range.lte)
    : range.lt
      ? placeOf(content, range.lt)
      : content.keys.length;
  return { from, to: Math.max(from, to) };
};

const afterKey = (content: Content, key: Buffer): number => {
  const place = placeOf(content, key);
  return content.keys[place]?.equals(key) === true ? place + 1 : place;
};

/** The types of abstract-level leave out what only implementations use. */
const BaseSnapshot = AbstractSnapshot as unknown as new (options: object) => AbstractSnapshot;

class Snapshot extends BaseSnapshot {
  readonly content: Content;

  constructor(content: Content, options: object) {
    super(options);
    this.content = content;
  }
}

/** The types do not know `getSync` yet. */
const MANIFEST: object = {
  encodings: { buffer: true },
  explicitSnapshots: true,
  has: true,
  getSync: true,
};

/** abstract-level calls the methods that begin with `_`; its types do not name them. */
class SimulatedLevel extends AbstractLevel<Buffer, Buffer, Buffer> {
  readonly disk: SimulatedDisk;
  readonly process: SimulatedProcess;

  constructor(disk: SimulatedDisk, process: SimulatedProcess) {
    super(MANIFEST, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    this.disk = disk;
    this.process = process;
  }

  async _get(key: Buffer, options: Range): Promise<Buffer | undefined> {
    return valueAt(this.#seen(options), key);
  }

  _getSync(key: Buffer, options: Range): Buffer | undefined {
    return valueAt(this.#seen(options), key);
  }

  async _getMany(keys: Buffer[], options: Range): Promise<(Buffer | undefined)[]> {
    return keys.map((key) => valueAt(this.#seen(options), key));
  }

  _put(key: Buffer, value: Buffer, options: { sync?: boolean }): Promise<void> {
    return this.disk.write(this.process, [{ key, value }], options.sync === true);
  }

  _del(key: Buffer, options: { sync?: boolean }): Promise<void> {
    return this.disk.write(this.process, [{ key, value: undefined }], options.sync === true);
  }

  _batch(
    operations: { type: 'put' | 'del'; key: Buffer; value?: Buffer }[],
    options: { sync?: boolean },
  ): Promise<void> {
    const writes = operations.map(({ key, value }) => ({ key, value }));
    return this.disk.write(this.process, writes, options.sync === true);
  }

  _clear(options: Range): Promise<void> {
    const { content } = this.disk;
    const { from, to } = placesOf(content, options);
    if (from === to) return Promise.resolve();
    const writes = content.keys.slice(from, to).map((key) => ({ key, value: undefined }));
    return this.disk.write(this.process, writes, false);
  }

  _chainedBatch(): AbstractChainedBatch<this, Buffer, Buffer> {
    return new ChainedBatch(this) as unknown as AbstractChainedBatch<this, Buffer, Buffer>;
  }

  _snapshot(options: object): Snapshot {
    return new Snapshot(this.disk.content, options);
  }

  _iterator(options: Range): EntryIterator {
    return new EntryIterator(this, options, this.#seen(options));
  }

  #seen(options: Range): Content {
    return options.snapshot?.content ?? this.disk.content;
  }
}

class ChainedBatch extends AbstractChainedBatch<SimulatedLevel, Buffer, Buffer> {
  #writes: Write[] = [];

  _put(key: Buffer, value: Buffer): void {
    this.#writes.push({ key, value });
  }

  _del(key: Buffer): void {
    this.#writes.push({ key, value: undefined });
  }

  _clear(): void {
    this.#writes = [];
  }

  _write(options: { sync?: boolean }): Promise<void> {
    const { disk, process } = this.db;
    return disk.write(process, this.#writes, options.sync === true);
  }
}

class EntryIterator extends AbstractIterator<SimulatedLevel, Buffer, Buffer> {
  readonly #content: Content;
  readonly #reverse: boolean;
  #from: number;
  #to: number;

  constructor(level: SimulatedLevel, options: Range, content: Content) {
    super(level, options as AbstractIteratorOptions<Buffer, Buffer>);
    const { from, to } = placesOf(content, options);
    this.#content = content;
    this.#reverse = options.reverse === true;
    this.#from = from;
    this.#to = to;
  }

  async _next(): Promise<[Buffer, Buffer] | undefined> {
    return this.#take();
  }

  async _nextv(size: number): Promise<[Buffer, Buffer][]> {
    const delay = this.db.disk.readDelay(this.db.process);
    if (delay) await delay;
    const found: [Buffer, Buffer][] = [];
    for (let entry = this.#take(); entry; entry = this.#take()) {
      found.push(entry);
      if (found.length === size) break;
    }
    return found;
  }

  #take(): [Buffer, Buffer] | undefined {
    if (this.#from >= this.#to) return undefined;
    const place = this.#reverse ? --this.#to : this.#from++;
    return [this.#content.keys[place] ?? EMPTY_KEY, this.#content.values[place] ?? EMPTY_KEY];
  }
}

/** Opens what is on the disk for one process. */
export const openSimulatedLevel = async (
  disk: SimulatedDisk,
  process: SimulatedProcess,
): Promise<Level> => {
  const level = new SimulatedLevel(disk, process);
  await level.open();
  return level as unknown as Level;
};
