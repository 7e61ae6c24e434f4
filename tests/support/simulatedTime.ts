/**
 * Virtual time for the simulation: a queue of events, seeded randomness, and a hash over all that happened.
 * Used by the other simulated*.ts. Between two events everything that promises set off has come to rest,
 * so a seed gives the same run each time. Nothing here may look at the real clock.
 */
import { crc32 } from 'node:zlib';

/** Numbers that follow from the seed alone (mulberry32). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    const item = list[Math.floor(this.next() * list.length)];
    if (item === undefined) throw new Error('Nothing to pick from');
    return item;
  }

  hex(bytes: number): string {
    let text = '';
    for (let left = bytes; left > 0; left--)
      text += this.between(0, 255).toString(16).padStart(2, '0');
    return text;
  }
}

/** A scheduled event; `isCancelled` may be set until it has run. */
export interface Scheduled {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  isCancelled: boolean;
}

/** Events handed to the event loop at once: microtasks run to their end between two immediates. */
const EVENTS_PER_LOOP = 256;

export class SimulatedTime {
  readonly random: SeededRandom;
  /** Virtual milliseconds since the run began. */
  now = 0;
  /** Events run so far. */
  events = 0;
  readonly #eventsMax: number;
  readonly #print: ((line: string) => void) | null;
  #queue: Scheduled[] = [];
  #order = 0;
  #hash = 0;
  #failure: Error | null = null;

  constructor(options: {
    seed: number;
    eventsMax: number;
    print?: ((line: string) => void) | undefined;
  }) {
    this.random = new SeededRandom(options.seed);
    this.#eventsMax = options.eventsMax;
    this.#print = options.print ?? null;
  }

  /** Of everything noted so far. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  after(delayMs: number, run: () => void): Scheduled {
    const event = { at: this.now + delayMs, order: this.#order++, run, isCancelled: false };
    push(this.#queue, event);
    return event;
  }

  /** Part of the hash, and of the trace when one is printed. */
  note(what: string, detail: () => string = () => ''): void {
    this.#hash = crc32(`${this.now} ${what}`, this.#hash);
    if (this.#print) this.#print(`${this.now.toFixed(2).padStart(10)}  ${what} ${detail()}`);
  }

  /** Ends the run with this error; the first one counts. */
  fail(error: Error): void {
    this.#failure ??= error;
  }

  /** Runs events until `isOver` says so or nothing is left. Rejects with what failed. */
  run(isOver: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = 0;
      let isDone = false;
      const step = (): void => {
        left--;
        if (!isDone) isDone = !this.#step(isOver);
        if (left > 0) return;
        if (!isDone) return loop();
        if (this.#failure) reject(this.#failure);
        else resolve();
      };
      const loop = (): void => {
        left = EVENTS_PER_LOOP;
        for (let index = 0; index < EVENTS_PER_LOOP; index++) setImmediate(step);
      };
      loop();
    });
  }

  /** False: the run is over. */
  #step(isOver: () => boolean): boolean {
    if (this.#failure || isOver()) return false;
    let event = pop(this.#queue);
    while (event?.isCancelled === true) event = pop(this.#queue);
    if (!event) return false;
    this.now = event.at;
    if (++this.events > this.#eventsMax)
      this.fail(new Error(`More than ${this.#eventsMax} events: something goes on for ever`));
    try {
      event.run();
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
    return true;
  }
}

const isBefore = (a: Scheduled, b: Scheduled): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order);

/** A binary heap, the earliest event first. */
const push = (heap: Scheduled[], event: Scheduled): void => {
  let place = heap.length;
  heap.push(event);
  while (place > 0) {
    const above = (place - 1) >> 1;
    const parent = heap[above];
    if (!parent || !isBefore(event, parent)) break;
    heap[place] = parent;
    place = above;
  }
  heap[place] = event;
};

const pop = (heap: Scheduled[]): Scheduled | undefined => {
  const first = heap[0];
  const last = heap.pop();
  if (!first || !last || heap.length === 0) return first;
  let place = 0;
  for (;;) {
    const below = smallerChild(heap, place);
    const child = heap[below];
    if (!child || !isBefore(child, last)) break;
    heap[place] = child;
    place = below;
  }
  heap[place] = last;
  return first;
};

const smallerChild = (heap: readonly Scheduled[], place: number): number => {
  const left = 2 * place + 1;
  const a = heap[left];
  const b = heap[left + 1];
  return a && b && isBefore(b, a) ? left + 1 : left;
};
