/**
 * The receiving end of one snapshot of a copy: walks over its rows and this node's own in key order, leaves out on
 * both sides what the other knows to be superseded, joins the rest, and writes again what may be late news for
 * somebody (docs/ARCHITECTURE.md, Catching up). Takes nothing of origins that are refused. Driven in small steps by
 * actors/copyReceiver.ts. Adopts no positions.
 */
import { coveredBy, withoutSuperseded, withoutUnwanted, type Covers } from '../protocol/absence.js';
import { observe } from '../protocol/clock.js';
import { ALL_ORIGINS, exceptedTables, isRefused, type OriginScope } from '../protocol/flow.js';
import type { CopyPlaceOnWire, Mark, OriginPosition } from '../protocol/frames.js';
import {
  tableGeneration,
  tableName,
  type OriginId,
  type TableName,
  type Version,
} from '../protocol/ids.js';
import { isWhole, type LeftOut, type PartHeld } from '../protocol/leftOut.js';
import { blindSpot, endedAgain, isLate, newestMark, writtenAgain } from '../protocol/lateNews.js';
import { join, newestStamp, type Row } from '../protocol/row.js';
import { DEFINITIONS_TABLE, type Table } from './catalog.js';
import type { Commit, CopiedRow } from './commit.js';
import { ALL } from './damage.js';
import { droppedKey } from './keys.js';
import { Rewriting } from './rewriting.js';
import { readRows } from './rowRange.js';
import { isTable } from './rowWriter.js';
import { isSoundRow } from './soundness.js';
import { isLocalOrigin } from './origins.js';
import type { Store } from './store.js';

/** What a source says of its snapshot before the first row. */
export interface Snapshot {
  readonly positions: readonly OriginPosition[];
  /** What it holds something of beside its positions; absent: nothing. */
  readonly owed?: readonly OriginPosition[];
  readonly marks: readonly Mark[];
  /** In these, what is not among its rows says something. */
  readonly tables: readonly { readonly table: string; readonly generation: number }[];
  /** What it does not tell all of, for whatever reason; absent: nothing. */
  readonly leftOut?: LeftOut;
  readonly inPart?: PartHeld;
  readonly cutOff?: readonly TableName[];
}

export interface MergeStep {
  /** `more`: call again. `waiting`: all rows given so far are merged. `undefined`: a row's table is not known here. */
  readonly state: 'more' | 'waiting' | 'ended' | 'undefined';
  /** Rows of the source taken in this step. */
  readonly count: number;
  /** How far the walk has come; null: no further than before. */
  readonly place: CopyPlaceOnWire | null;
}

interface MergeOptions {
  readonly copy: number;
  readonly rowsMax: number;
  readonly nowMs: number;
}

export class CopiedRows {
  readonly #store: Store;
  readonly #tables: Snapshot['tables'];
  /** In the vector of the snapshot. */
  readonly #isTheirs: Covers;
  readonly #isMine: Covers;
  /** The newest delete that the source has forgotten and this node does not know of; and the other way round. */
  readonly #theirBlindSpot: Version;
  readonly #myBlindSpot: Version;
  readonly #theirNewestMark: Version;
  readonly #myNewestMark: Version;
  readonly #marks: readonly Mark[];
  readonly #origins: OriginScope;
  #tableAt: number;
  #keyAt: Uint8Array | null;
  #waiting: CopiedRow[] = [];
  #isInherited = false;
  #hasEnd = false;
  /** Findings of damage when this began, if a copy to its end makes up for all of them; null: it does not. */
  readonly #heals: number | null;

  /** `after`: where an earlier snapshot of the same copy got to. `origins`: whose writes are taken. */
  constructor(
    store: Store,
    told: Snapshot,
    after: CopyPlaceOnWire | null,
    origins: OriginScope = ALL_ORIGINS,
  ) {
    const snapshot = takenOf(told, origins);
    this.#store = store;
    this.#origins = origins;
    this.#tables = snapshot.tables;
    this.#marks = snapshot.marks;
    const vector = new Map(snapshot.positions.map((position) => [position.origin, position]));
    this.#isTheirs = coveredBy(vector);
    this.#isMine = coveredBy(store.accepted);
    this.#theirBlindSpot = blindSpot(snapshot.marks, this.#isMine);
    // Before the source's marks are taken over.
    this.#myBlindSpot = blindSpot(marksOf(store), this.#isTheirs);
    this.#myNewestMark = store.newestMark;
    this.#theirNewestMark = newestMark(
      new Map(snapshot.marks.map(({ origin, version }) => [origin, version])),
    );
    // What is written here meanwhile is newer than whatever the source has forgotten: the walk may have passed its place.
    for (const { version } of [...snapshot.positions, ...snapshot.marks])
      store.clock = observe(store.clock, version);
    const { tableAt, keyAt } = placeIn(snapshot.tables, after);
    this.#tableAt = tableAt;
    this.#keyAt = keyAt;
    // From the first row, and from a node that has all that this one ever had.
    const isEverything =
      after === null && tellsAll(told) && coversAll(snapshot.positions, store.hadWhenDamaged);
    this.#heals = isEverything ? store.damage.findings : null;
  }

  add(rows: readonly CopiedRow[]): void {
    this.#waiting.push(...rows);
  }

  /** No more rows will come. */
  end(): void {
    this.#hasEnd = true;
  }

  /** Merges some rows into the batch. */
  async step(commit: Commit, options: MergeOptions): Promise<MergeStep> {
    if (!this.#isInherited) commit.raiseMarks(this.#marks);
    this.#isInherited = true;
    const next = this.#waiting[0];
    if (!next) return this.#hasEnd ? this.#walkToTheEnd(commit, options) : idle('waiting');
    if (next.table === DEFINITIONS_TABLE) {
      return this.#joinDefinitions(commit, next, options.rowsMax);
    }
    const tableAt = this.#tables.findIndex((table) => isOf(next, table));
    if (tableAt > this.#tableAt) return this.#walk(commit, [], options, null);
    const run = this.#run(next, options.rowsMax);
    const last = run.at(-1) ?? next;
    if (tableAt === this.#tableAt) return this.#walk(commit, run, options, last.key);
    return this.#mergeAlone(commit, run, options, tableAt < 0 ? placeOf(next, last.key) : null);
  }

  /** The first rows that wait, of one table. */
  #run(next: CopiedRow, rowsMax: number): CopiedRow[] {
    const run: CopiedRow[] = [];
    for (const row of this.#waiting) {
      if (run.length === rowsMax || !isOf(row, next)) break;
      run.push(row);
    }
    return run;
  }

  #joinDefinitions(commit: Commit, next: CopiedRow, rowsMax: number): MergeStep {
    const run = this.#run(next, rowsMax);
    const taken = this.#take(run.length).flatMap((one) => this.#wanted(one, null) ?? []);
    if (!commit.applyCopied(taken)) return idle('undefined');
    return { state: 'more', count: run.length, place: null };
  }

  /**
   * Rows off the walk: of a table that the source holds in part, where its lack of a row says nothing; or that it sends
   * again from further back than this copy had come.
   */
  #mergeAlone(
    commit: Commit,
    run: readonly CopiedRow[],
    options: MergeOptions,
    place: CopyPlaceOnWire | null,
  ): MergeStep {
    const first = run[0];
    const table = first && this.#resolve(commit, first);
    if (table === 'unknown' || table === undefined) return idle('undefined');
    this.#take(run.length);
    if (table !== 'notHeld') {
      const mine = run.flatMap(({ key }) => {
        const row = commit.rows.row(table, key);
        return row ? [{ key, row }] : [];
      });
      this.#merge(commit, { table, mine, theirs: run, options, isTheirsWhole: place === null });
    }
    return { state: 'more', count: run.length, place };
  }

  /** Walks on in the present table as far as `last` (null: to its end), with these rows of the source on the way. */
  async #walk(
    commit: Commit,
    theirs: readonly CopiedRow[],
    options: MergeOptions,
    last: Uint8Array | null,
  ): Promise<MergeStep> {
    const named = this.#tables[this.#tableAt];
    const table = named && this.#resolve(commit, named);
    if (!named || table === 'notHeld') return this.#walkPast(theirs.length, last);
    if (table === 'unknown' || table === undefined)
      return theirs.length > 0 ? idle('undefined') : this.#walkPast(0, last);
    const range = { table: table.number, after: this.#keyAt, last, rowsMax: options.rowsMax };
    const page = await readRows(this.#store, commit.rows, range);
    const upTo = page.upTo;
    const within = upTo ? theirs.filter(({ key }) => Buffer.compare(key, upTo) <= 0) : theirs;
    const pairs = { table, mine: page.rows, theirs: within, options, isTheirsWhole: true };
    this.#merge(commit, pairs);
    this.#take(within.length);
    if (upTo === null) return this.#walkPast(within.length, last, false);
    this.#keyAt = upTo;
    return { state: 'more', count: within.length, place: placeOf(named, upTo) };
  }

  /** The present table is done as far as `last`, or whole. */
  #walkPast(count: number, last: Uint8Array | null, takes = true): MergeStep {
    if (takes) this.#take(count);
    const named = this.#tables[this.#tableAt];
    if (last !== null) this.#keyAt = last;
    else {
      this.#tableAt++;
      this.#keyAt = null;
    }
    return { state: 'more', count, place: last && named ? placeOf(named, last) : null };
  }

  async #walkToTheEnd(commit: Commit, options: MergeOptions): Promise<MergeStep> {
    if (this.#tableAt >= this.#tables.length) return this.#end(commit);
    return this.#walk(commit, [], options, null);
  }

  /** What could not be read before has come again, unless more was found meanwhile. */
  #end(commit: Commit): MergeStep {
    const { damage } = this.#store;
    if (this.#heals !== damage.findings) return idle('ended');
    const tables = this.#tables.map((named) => this.#resolve(commit, named));
    const numbers = tables.flatMap((table) => (typeof table === 'string' ? [] : [table.number]));
    for (const note of damage.notesOf([ALL, ...numbers])) commit.rows.heal(note);
    return idle('ended');
  }

  #merge(commit: Commit, page: Page): void {
    const pairs = new Map<string, Pair>();
    for (const { key, row } of page.mine) pairOf(pairs, key).mine = row;
    for (const one of page.theirs)
      if (!isSoundRow(one.key, one.row)) commit.passedOver++;
      else {
        const pair = pairOf(pairs, one.key);
        pair.theirs = this.#wanted(one, page.table.definition.primaryKey)?.row;
        pair.isCut = pair.theirs !== one.row;
      }
    const rewriting = new Rewriting(commit, page.table, {
      nowMs: page.options.nowMs,
      operation: 'written again: late news',
    });
    for (const pair of pairs.values()) this.#mergePair(commit, page, pair, rewriting);
    rewriting.end();
  }

  #mergePair(
    commit: Commit,
    { table, options, isTheirsWhole }: Page,
    { key, mine, theirs, isCut }: Pair,
    rewriting: Rewriting,
  ): void {
    const { debts, damage } = this.#store;
    const isWhole =
      isShared(table) && !debts.isInPart(table.name) && !damage.isPartial(table.number);
    const theySayAll = isShared(table) && isTheirsWhole && !isCut;
    const kept = mine && theySayAll ? withoutSuperseded(mine, this.#isTheirs, theirs) : mine;
    const taken = theirs && isWhole ? withoutSuperseded(theirs, this.#isMine, mine) : theirs;
    if (mine && kept !== mine) {
      const place = { copy: options.copy, table: table.number, primaryKey: key };
      commit.putNote(droppedKey(place), EMPTY);
    }
    const row = kept && taken ? join(kept, taken) : (kept ?? taken);
    commit.rows.replace({ target: table, key, old: mine, row });
    if (!row) return;
    const { version } = newestStamp(row);
    this.#store.clock = observe(this.#store.clock, version);
    const both = (): Row => (mine && theirs ? join(mine, theirs) : (mine ?? theirs ?? row));
    const look = { isLateFor: this.#isLateFor, nowMs: options.nowMs };
    const again =
      isShared(table) &&
      (endedAgain(row, both, look) ?? writtenAgain(row, this.#isNews, 'lateNews'));
    if (again) rewriting.add(key, again);
  }

  /** Whether one side would not take it from a log. */
  readonly #isLateFor: Covers = (stamp) =>
    !isLocalOrigin(stamp.origin) &&
    ((isLate(stamp.version, this.#theirNewestMark) && !this.#isTheirs(stamp)) ||
      (isLate(stamp.version, this.#myNewestMark) && !this.#isMine(stamp)));

  /** Whether one side may have deleted it and forgotten that: then only a new operation is seen by everybody alike. */
  readonly #isNews: Covers = (stamp) =>
    !isLocalOrigin(stamp.origin) &&
    ((stamp.version <= this.#theirBlindSpot && !this.#isTheirs(stamp)) ||
      (stamp.version <= this.#myBlindSpot && !this.#isMine(stamp)));

  /** Undefined: nothing of it is of origins that are taken. */
  #wanted(one: CopiedRow, keyAttribute: string | null): CopiedRow | undefined {
    const { refused, exceptTables } = this.#origins;
    if (refused.length === 0 && exceptTables.size === 0) return one;
    const row = withoutUnwanted(
      one.row,
      ({ origin }) =>
        isRefused(this.#origins, origin) ||
        exceptedTables(this.#origins, origin).includes(one.table),
      keyAttribute,
    );
    return row && { ...one, row };
  }

  #take(count: number): CopiedRow[] {
    return this.#waiting.splice(0, count);
  }

  #resolve(commit: Commit, named: NamedTable): Table | 'notHeld' | 'unknown' {
    const target = commit.rows.resolve(tableName(named.table), tableGeneration(named.generation));
    if (typeof target === 'string') return target;
    return isTable(target) ? target : 'notHeld';
  }
}

type NamedTable = Snapshot['tables'][number];

interface Page {
  readonly table: Table;
  readonly mine: readonly { readonly key: Uint8Array; readonly row: Row }[];
  readonly theirs: readonly CopiedRow[];
  readonly options: MergeOptions;
  /** Only then does a row that is not among theirs say anything. */
  readonly isTheirsWhole: boolean;
}

interface Pair {
  readonly key: Uint8Array;
  mine: Row | undefined;
  theirs: Row | undefined;
  /** Something of theirs is not taken. */
  isCut: boolean;
}

const EMPTY = Buffer.alloc(0);

const idle = (state: MergeStep['state']): MergeStep => ({ state, count: 0, place: null });

const pairOf = (pairs: Map<string, Pair>, key: Uint8Array): Pair => {
  const name = Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
  const pair = pairs.get(name) ?? { key, mine: undefined, theirs: undefined, isCut: false };
  pairs.set(name, pair);
  return pair;
};

/** What this node knows of a table that stays here, or did, says nothing about rows that others lack. */
const isShared = (table: Table): boolean => table.definition.replicate !== false && !table.wasLocal;

/**
 * The snapshot without what is not taken of it. Of a source that holds writes of a refused origin a missing row says
 * nothing: they may have superseded it there. The same goes for the tables that are not taken of an origin.
 */
const takenOf = (told: Snapshot, origins: OriginScope): Snapshot => {
  const isTaken = ({ origin }: { readonly origin: OriginId }): boolean =>
    !isRefused(origins, origin);
  const held = [...told.positions, ...(told.owed ?? [])];
  const excepted = new Set<string>(held.flatMap(({ origin }) => exceptedTables(origins, origin)));
  return {
    positions: told.positions.filter(isTaken),
    marks: told.marks.filter(isTaken),
    tables: held.every(isTaken) ? told.tables.filter(({ table }) => !excepted.has(table)) : [],
  };
};

const tellsAll = ({ leftOut, inPart, cutOff }: Snapshot): boolean =>
  (leftOut === undefined || isWhole(leftOut)) && !inPart?.size && !cutOff?.length;

/** Whether whoever is there has all that `vector` says, but for what stays on its node. */
export const coversAll = (
  positions: Iterable<OriginPosition>,
  vector: Store['hadWhenDamaged'],
): boolean => {
  const reached = new Map([...positions].map(({ origin, sequence }) => [origin, sequence]));
  return [...vector].every(
    ([origin, { sequence }]) => isLocalOrigin(origin) || (reached.get(origin) ?? 0) >= sequence,
  );
};

const isOf = (
  row: { readonly table: string; readonly generation: number },
  named: NamedTable | undefined,
): boolean => row.table === named?.table && row.generation === named.generation;

const placeOf = (table: NamedTable, key: Uint8Array): CopyPlaceOnWire => ({
  table: table.table,
  generation: table.generation,
  key: Buffer.from(key),
});

const marksOf = (store: Store): Mark[] =>
  [...store.marks].map(([origin, version]) => ({ origin, version }));

/** Tables come in the order of their names; the source begins again with one that it does not have as it was. */
const placeIn = (
  tables: readonly NamedTable[],
  after: CopyPlaceOnWire | null,
): { tableAt: number; keyAt: Uint8Array | null } => {
  if (!after || after.table === DEFINITIONS_TABLE) return { tableAt: 0, keyAt: null };
  const tableAt = tables.findIndex(({ table }) => table >= after.table);
  if (tableAt < 0) return { tableAt: tables.length, keyAt: null };
  return { tableAt, keyAt: isOf(after, tables[tableAt]) ? after.key : null };
};
