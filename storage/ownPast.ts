/**
 * What to do when a peer proves that this directory lies behind the node's own past: it was restored, or cloned, and
 * went on under an incarnation that others know more of, or other things of. A new incarnation begins, and what was
 * written here since is written again under it. Called by the shardRouter, with no batch under way.
 */
import type { Covers } from '../protocol/absence.js';
import { readEntryHeader, readEntryTables } from '../protocol/entry.js';
import { sequence, version as asVersion, type OriginId, type Version } from '../protocol/ids.js';
import { writtenAgain } from '../protocol/lateNews.js';
import type { Commit } from './commit.js';
import { logFrom, logKey, sequenceOf } from './keys.js';
import { isEntryAt } from './logCheck.js';
import { Rewriting } from './rewriting.js';
import type { Store } from './store.js';
import type { Position } from './vector.js';

/** The last entry that this node and the peer may have in common is not newer than `version`, nor beyond `sequence`. */
export interface Fork {
  readonly origin: OriginId;
  readonly sequence: number;
  readonly version: Version;
}

export interface ToldPosition {
  readonly origin: OriginId;
  readonly sequence: number;
  readonly version: Version;
}

/** Whether a peer's position of this node's present log contradicts that log; null: it does not, or none can tell. */
export const forkShownBy = (store: Store, told: ToldPosition): Fork | null => {
  const { origin, sequence: at, version } = told;
  const held = store.accepted.get(origin);
  if (origin !== store.origin || at === 0) return null;
  if (at > (held?.sequence ?? 0)) return { origin, sequence: at, version };
  const mine = at === held?.sequence ? held.version : storedHeader(store, origin, at)?.version;
  return mine === undefined || mine === version ? null : { origin, sequence: at, version };
};

/** The same for what a peer wants of it: the checksum of the last entry it has. */
export const forkShownByWant = (
  store: Store,
  want: { origin: OriginId; after: number; checksum: number },
): Fork | null => {
  const { origin, after, checksum } = want;
  const held = store.accepted.get(origin);
  if (origin !== store.origin || checksum === 0 || after === 0) return null;
  const mine = after === held?.sequence ? held : storedHeader(store, origin, after);
  if (!mine || mine.checksum === 0 || mine.checksum === checksum) return null;
  return { origin, sequence: after, version: asVersion(mine.version - 1) };
};

/**
 * Begins a new incarnation in this batch. Entries beyond the fork leave the old log, so that the peer's come in their
 * place, and rows that still show something of them are written again. Returns the number of those entries.
 */
export const beginAfterFork = async (
  store: Store,
  commit: Commit,
  { fork, nowMs }: { fork: Fork; nowMs: number },
): Promise<number> => {
  const parted = await entriesBeyond(store, fork);
  commit.beginIncarnation();
  const first = parted[0];
  if (!first) return 0;
  const { isNews, rows } = contentOf(fork.origin, parted);
  for (const { table, generation, keys } of rows) {
    const target = commit.rows.resolve(table, generation);
    if (target === 'notHeld' || target === 'unknown') continue;
    const rewriting = new Rewriting(commit, target, { nowMs, operation: OPERATION });
    for (const key of keys.values()) {
      const row = commit.rows.row(target, key);
      const again = row && writtenAgain(row, isNews, 'orphan');
      if (again) rewriting.add(key, again);
    }
    rewriting.end();
  }
  for (const { at } of parted)
    commit.putNote(logKey(store.origins.numberOf(fork.origin), at), undefined);
  moveBack(store, commit, fork.origin, first);
  return parted.length;
};

const OPERATION = 'written again: the directory was restored';

interface PartedEntry {
  readonly at: number;
  readonly bytes: Buffer;
}

const storedHeader = (store: Store, origin: OriginId, at: number) => {
  const number = store.origins.knownNumberOf(origin);
  const bytes = number === undefined ? undefined : store.level.getSync(logKey(number, at));
  return bytes && isEntryAt(origin, at, bytes) ? readEntryHeader(bytes) : undefined;
};

/** Entries that the peer cannot have: beyond its last one, or newer. */
const entriesBeyond = async (store: Store, fork: Fork): Promise<PartedEntry[]> => {
  const number = store.origins.knownNumberOf(fork.origin);
  const first = store.accepted.get(fork.origin)?.logStart;
  if (number === undefined || first === undefined) return [];
  const parted: PartedEntry[] = [];
  for await (const [key, bytes] of store.level.iterator(logFrom(number, first))) {
    const at = sequenceOf(key);
    if (!isEntryAt(fork.origin, at, bytes)) store.damage.noteEntry(fork.origin, at, false);
    else if (at > fork.sequence || readEntryHeader(bytes).version > fork.version)
      parted.push({ at, bytes });
  }
  return parted;
};

const contentOf = (origin: OriginId, parted: readonly PartedEntry[]) => {
  const versions = new Set<Version>();
  const groups = new Map<string, Group>();
  for (const { bytes } of parted) {
    versions.add(readEntryHeader(bytes).version);
    for (const { table, generation, changes } of readEntryTables(bytes)) {
      const name = `${generation}/${table}`;
      const group = groups.get(name) ?? { table, generation, keys: new Map() };
      groups.set(name, group);
      for (const { key } of changes) group.keys.set(Buffer.from(key).toString('latin1'), key);
    }
  }
  const isNews: Covers = (stamp) => stamp.origin === origin && versions.has(stamp.version);
  return { isNews, rows: groups.values() };
};

type Group = Pick<ReturnType<typeof readEntryTables>[number], 'table' | 'generation'> & {
  readonly keys: Map<string, Uint8Array>;
};

/** To just before the first entry that parted. */
const moveBack = (store: Store, commit: Commit, origin: OriginId, first: PartedEntry): void => {
  const held = store.accepted.get(origin);
  const before = storedHeader(store, origin, first.at - 1);
  const position: Position = {
    sequence: sequence(first.at - 1),
    version: before?.version ?? asVersion(readEntryHeader(first.bytes).version - 1),
    checksum: before?.checksum ?? 0,
    logStart: held?.logStart ?? sequence(first.at),
  };
  commit.move(origin, position);
};
