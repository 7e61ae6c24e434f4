/**
 * Origins have a short number in each store, so that a stamp in a row costs a few bytes. Numbers are
 * given at first use and written in the batch that needs them (commit.ts).
 */
import { SkeinError } from '../protocol/errors.js';
import type { OriginId } from '../protocol/ids.js';
import { allOf, numberOf, originKey, PREFIX } from './keys.js';
import type { Level, Puts } from './level.js';
import type { OriginNumbers } from './rowFormat.js';
import { sealed, unsealed } from './seal.js';

export class Origins implements OriginNumbers {
  #numbers = new Map<OriginId, number>();
  #origins: OriginId[] = [];
  #unwritten: number[] = [];

  static async load(level: Level): Promise<Origins> {
    const origins = new Origins();
    for await (const [key, value] of level.iterator(allOf(PREFIX.origin)))
      origins.#set(numberOf(key), unsealed(key, value, 'An origin').toString('utf8') as OriginId);
    return origins;
  }

  numberOf(origin: OriginId): number {
    const known = this.#numbers.get(origin);
    if (known !== undefined) return known;
    const number = this.#origins.length;
    this.#set(number, origin);
    this.#unwritten.push(number);
    return number;
  }

  /** Undefined when this store has never met it. */
  knownNumberOf(origin: OriginId): number | undefined {
    return this.#numbers.get(origin);
  }

  originOf(number: number): OriginId {
    const origin = this.#origins[number];
    if (origin === undefined) throw new SkeinError('DAMAGED', `No origin has number ${number}`);
    return origin;
  }

  /** Writes the numbers given since the last call. */
  flush(batch: Puts): void {
    for (const number of this.#unwritten) {
      const key = originKey(number);
      batch.put(key, sealed(key, Buffer.from(this.originOf(number), 'utf8')));
    }
    this.#unwritten = [];
  }

  #set(number: number, origin: OriginId): void {
    this.#numbers.set(origin, number);
    this.#origins[number] = origin;
  }
}

const LOCAL_SUFFIX = '~local';

/** The log of what stays on this node. */
export const localOriginOf = (origin: OriginId): OriginId => `${origin}${LOCAL_SUFFIX}` as OriginId;

export const isLocalOrigin = (origin: OriginId): boolean => origin.endsWith(LOCAL_SUFFIX);
