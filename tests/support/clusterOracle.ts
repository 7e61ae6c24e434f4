/**
 * What a table must hold after acknowledged writes: the fold of docs/CONSISTENCY.md over real answers. Writes without
 * an answer may have happened or not. Called by the load and the tests of real processes; knows no process.
 */
import { canonical, type Row } from './clusterDump.js';

export type Change =
  | { readonly type: 'put' | 'patch'; readonly key: string; readonly values: Row }
  | { readonly type: 'delete'; readonly key: string };

/** When it was written, as the answer says, and on which node: together what decides who wins. */
export interface Placed {
  readonly change: Change;
  readonly time: number;
  readonly node: string;
}

/** More of them on one key than this are too many to try every order. */
const UNANSWERED_MAX = 4;
const UPDATED = '__updatedtime__';
const CREATED = '__createdtime__';

export class Oracle {
  #before = new Map<string, Row>();
  #answered = new Map<string, Placed[]>();
  #unanswered = new Map<string, Change[]>();
  answeredCount = 0;
  unansweredCount = 0;

  answered(placed: Placed): void {
    this.answeredCount++;
    listIn(this.#answered, placed.change.key).push(placed);
  }

  unanswered(change: Change): void {
    this.unansweredCount++;
    listIn(this.#unanswered, change.key).push(change);
  }

  /** What is wrong with the rows that nodes hold now, one line per key; empty: nothing. */
  problems(rows: readonly Row[], keyAttribute: string): string[] {
    const held = new Map(rows.map((row) => [String(row[keyAttribute]), row]));
    const keys = new Set([
      ...held.keys(),
      ...this.#before.keys(),
      ...this.#answered.keys(),
      ...this.#unanswered.keys(),
    ]);
    return [...keys].flatMap((key) => {
      const problem = this.#problemOf(key, held.get(key));
      return problem === undefined ? [] : [problem];
    });
  }

  /** Goes on from what has been found right: later writes are all ordered after it. */
  rebase(rows: readonly Row[], keyAttribute: string): void {
    this.#before = new Map(rows.map((row) => [String(row[keyAttribute]), row]));
    this.#answered.clear();
    this.#unanswered.clear();
  }

  #problemOf(key: string, held: Row | undefined): string | undefined {
    const answered = [...(this.#answered.get(key) ?? [])].sort(inOrder);
    const unanswered = this.#unanswered.get(key) ?? [];
    const before = this.#before.get(key);
    if (unanswered.length === 0) {
      const wanted = answered.reduce(folded, before);
      if (sameWithTime(wanted, held)) return undefined;
      return `${key}: is ${canonical(held)}, must be ${canonical(wanted)} after ${canonical(answered)}`;
    }
    if (unanswered.length > UNANSWERED_MAX)
      throw new Error(`${unanswered.length} writes of ${key} have no answer`);
    for (const order of orders(answered, unanswered))
      if (sameValues(order.reduce(folded, before), held)) return undefined;
    return `${key}: is ${canonical(held)}, which is none of what ${canonical(answered)} and perhaps ${canonical(unanswered)} make of ${canonical(before)}`;
  }
}

const folded = (row: Row | undefined, { change, time }: Placed): Row | undefined => {
  switch (change.type) {
    case 'put':
      return { ...change.values, [UPDATED]: time };
    case 'patch':
      return { ...row, ...change.values, [UPDATED]: time };
    case 'delete':
      return undefined;
    default:
      return change satisfies never;
  }
};

/** Every way to leave out or place writes of which nobody knows when they happened. */
function* orders(
  answered: readonly Placed[],
  unanswered: readonly Change[],
): Generator<readonly Placed[]> {
  const [change, ...rest] = unanswered;
  if (change === undefined) {
    yield answered;
    return;
  }
  yield* orders(answered, rest);
  for (let at = 0; at <= answered.length; at++)
    yield* orders(
      [...answered.slice(0, at), { change, time: 0, node: '' }, ...answered.slice(at)],
      rest,
    );
}

const inOrder = (a: Placed, b: Placed): number =>
  a.time === b.time ? (a.node < b.node ? -1 : 1) : a.time - b.time;

const sameWithTime = (wanted: Row | undefined, held: Row | undefined): boolean =>
  canonical(without(wanted, [CREATED])) === canonical(without(held, [CREATED]));

const sameValues = (wanted: Row | undefined, held: Row | undefined): boolean =>
  canonical(without(wanted, [CREATED, UPDATED])) === canonical(without(held, [CREATED, UPDATED]));

const without = (row: Row | undefined, names: readonly string[]): Row | null =>
  row ? Object.fromEntries(Object.entries(row).filter(([name]) => !names.includes(name))) : null;

const listIn = <T>(lists: Map<string, T[]>, key: string): T[] => {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
};
