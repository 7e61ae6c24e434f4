/**
 * What to do when the clock of this node has come back to its senses and nobody takes what it wrote before: everything here
 * whose stamp lies too far ahead leaves logs and rows, and the rows are written again with a stamp of now, under a new
 * incarnation. Called by actors/ownHistory.ts, with no batch and no copy under way; whether it has come to that is decided
 * there.
 */
import type { Covers } from '../protocol/absence.js';
import { newer, observe, TICKS_PER_MILLISECOND } from '../protocol/clock.js';
import { readEntryHeader, readEntryTables } from '../protocol/entry.js';
import { sequence, version as asVersion, type OriginId, type Version } from '../protocol/ids.js';
import { writtenAgain } from '../protocol/lateNews.js';
import { limits } from '../protocol/limits.js';
import { componentsOf, rowFrom, type Row } from '../protocol/row.js';
import type { Commit } from './commit.js';
import { readDefinitionKey } from './definitionRows.js';
import { logFrom, logKey } from './keys.js';
import { Rewriting } from './rewriting.js';
import { readRows } from './rowRange.js';
import { DEFINITIONS, isTable, type Target } from './rowWriter.js';
import type { Store } from './store.js';
import type { Position } from './vector.js';

/** An origin of which this directory holds entries that are too far ahead, and the last one that is not. */
export interface AheadOrigin {
  readonly origin: OriginId;
  readonly kept: Position;
  /** The log tells which rows they are; else it begins after the first of them. */
  readonly isLogged: boolean;
  /** A delete among them was purged: nothing here tells of which row, so it cannot be written again. */
  readonly isForgotten: boolean;
}

/** All of them, those of tables that stay on this node too; empty: nothing here is newer than `latest`. */
export const originsAhead = (store: Store, latestMs: number): AheadOrigin[] => {
  const latest = asVersion(Math.floor(latestMs * TICKS_PER_MILLISECOND));
  const ahead: AheadOrigin[] = [];
  for (const [origin, held] of store.accepted)
    if (held.version > latest) {
      const kept = keptOf(store, origin, latest);
      const isForgotten = (store.marks.get(origin) ?? 0) > kept.kept.version;
      ahead.push({ origin, ...kept, isForgotten });
    }
  return ahead;
};

/**
 * Begins a new incarnation in this batch, takes these entries away, and writes the rows that show something of them
 * again. Returns the number of rows.
 */
export const writeAheadAgain = async (
  store: Store,
  commit: Commit,
  request: { readonly ahead: readonly AheadOrigin[]; readonly nowMs: number },
): Promise<number> => {
  const { ahead, nowMs } = request;
  const rows = await rowsAhead(store, commit, ahead);
  commit.beginIncarnation();
  await takeAway(store, commit, ahead);
  store.clock = newestOf(store, asVersion(0));
  let count = 0;
  for (const { target, keys } of rows)
    for (const stays of [false, true]) {
      const rewriting = new Rewriting(commit, target, { nowMs, operation: OPERATION, stays });
      for (const key of keys)
        if (staysHere(store, target, key) === stays)
          if (replaceRow({ commit, target, key, rewriting, ahead })) count++;
      rewriting.end();
    }
  return count;
};

const OPERATION = 'written again: the clock was ahead';

// ---- what is ahead

/** Versions rise with sequences, so the last one that is not ahead is found by halving. */
const keptOf = (
  store: Store,
  origin: OriginId,
  latest: Version,
): Pick<AheadOrigin, 'kept' | 'isLogged'> => {
  const held = store.accepted.get(origin);
  const logStart = held?.logStart ?? sequence(1);
  let low = logStart - 1;
  let high = held?.sequence ?? 0;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const header = headerOf(store, origin, middle);
    if (header && header.version <= latest) low = middle;
    else high = middle;
  }
  const last = low >= logStart ? headerOf(store, origin, low) : undefined;
  if (last) {
    const { version, checksum } = last;
    return { kept: { sequence: sequence(low), version, checksum, logStart }, isLogged: true };
  }
  return { kept: NOTHING, isLogged: logStart <= 1 };
};

const NOTHING: Position = {
  sequence: sequence(0),
  version: asVersion(0),
  checksum: 0,
  logStart: sequence(1),
};

const headerOf = (store: Store, origin: OriginId, at: number) => {
  const number = store.origins.knownNumberOf(origin);
  const bytes = number === undefined ? undefined : store.level.getSync(logKey(number, at));
  return bytes && readEntryHeader(bytes);
};

// ---- their rows

interface RowsOf {
  readonly target: Target;
  readonly keys: readonly Uint8Array[];
}

const rowsAhead = async (
  store: Store,
  commit: Commit,
  ahead: readonly AheadOrigin[],
): Promise<RowsOf[]> =>
  ahead.every(({ isLogged }) => isLogged)
    ? loggedRows(store, commit, ahead)
    : allRows(store, commit, isAheadOf(ahead));

const loggedRows = async (
  store: Store,
  commit: Commit,
  ahead: readonly AheadOrigin[],
): Promise<RowsOf[]> => {
  const rows = new Map<Target, Map<string, Uint8Array>>();
  for (const { origin, kept } of ahead) {
    const log = logFrom(store.origins.numberOf(origin), kept.sequence + 1);
    for await (const bytes of store.level.values(log))
      for (const { table, generation, changes } of readEntryTables(bytes)) {
        const target = commit.rows.resolve(table, generation);
        if (target === 'notHeld' || target === 'unknown') continue;
        const keys = rows.get(target) ?? new Map<string, Uint8Array>();
        rows.set(target, keys);
        for (const { key } of changes) keys.set(Buffer.from(key).toString('latin1'), key);
      }
  }
  return [...rows].map(([target, keys]) => ({ target, keys: [...keys.values()] }));
};

/** Where a log does not reach back: every row is looked at. */
const allRows = async (store: Store, commit: Commit, isAhead: Covers): Promise<RowsOf[]> => {
  const all: RowsOf[] = [];
  for (const target of [DEFINITIONS, ...store.catalog.tables]) {
    const keys: Uint8Array[] = [];
    let after: Uint8Array | null = null;
    do {
      const range = { table: target.number, after, last: null, rowsMax: limits.readBatchRows };
      const page: Awaited<ReturnType<typeof readRows>> = await readRows(store, commit.rows, range);
      for (const { key, row } of page.rows)
        if (writtenAgain(row, isAhead, 'orphan')) keys.push(key);
      after = page.upTo;
    } while (after !== null);
    all.push({ target, keys });
  }
  return all;
};

const isAheadOf = (ahead: readonly AheadOrigin[]): Covers => {
  const kept = new Map(ahead.map(({ origin, kept: { version } }) => [origin, version]));
  return ({ origin, version }) => version > (kept.get(origin) ?? Infinity);
};

// ---- what becomes of them

const takeAway = async (
  store: Store,
  commit: Commit,
  ahead: readonly AheadOrigin[],
): Promise<void> => {
  for (const { origin, kept } of ahead) {
    const log = logFrom(store.origins.numberOf(origin), kept.sequence + 1);
    for await (const key of store.level.keys(log)) commit.putNote(key, undefined);
    commit.move(origin, kept);
  }
};

/** Tables with `replicate: false` have a log of their own, and so have their definitions. */
const staysHere = (store: Store, target: Target, key: Uint8Array): boolean => {
  if (isTable(target)) return target.definition.replicate === false;
  const name = readDefinitionKey(key)?.name;
  return name !== undefined && store.catalog.find(name)?.definition.replicate === false;
};

/** What stays is older than what is written now, so the row shows what it showed. False: nothing of it was ahead. */
const replaceRow = (place: {
  commit: Commit;
  target: Target;
  key: Uint8Array;
  rewriting: Rewriting;
  ahead: readonly AheadOrigin[];
}): boolean => {
  const { commit, target, key, rewriting } = place;
  const isAhead = isAheadOf(place.ahead);
  const old = commit.rows.row(target, key);
  const again = old && writtenAgain(old, isAhead, 'orphan');
  if (!again) return false;
  commit.rows.replace({ target, key, old, row: withoutAhead(old, isAhead) });
  rewriting.add(key, again);
  return true;
};

const withoutAhead = (row: Row, isAhead: Covers): Row | undefined => {
  const { floor, alive, dead, registers } = componentsOf(row);
  const left = [...registers].filter(([, { stamp }]) => !isAhead(stamp));
  const floorLeft = floor && isAhead(floor) ? null : floor;
  let newest = floorLeft;
  for (const [, { stamp }] of left) newest = newer(newest, stamp);
  return rowFrom({
    floor: floorLeft,
    alive: alive && isAhead(alive) ? newest : alive,
    dead: dead && isAhead(dead) ? null : dead,
    registers: new Map(left),
  });
};

const newestOf = (store: Store, least: Version): Version => {
  let newest = least;
  for (const { version } of store.accepted.values()) newest = observe(newest, version);
  return newest;
};
