/**
 * Stores for tests: opened over any level with fixed names and times, and read back as a whole.
 * Used by the unit, property and conformance tests of storage/. Decides nothing about what is right.
 */
import type { AbstractChainedBatch } from 'abstract-level';
import { encodeCopyRows } from '../../protocol/dataFrames.js';
import { filterEntry, type EntryFilter } from '../../protocol/entryFilter.js';
import { EVERYTHING } from '../../protocol/flow.js';
import {
  databaseName,
  incarnation,
  nodeName,
  originId,
  tableName,
  type OriginId,
} from '../../protocol/ids.js';
import { encodeIndexValue } from '../../protocol/orderedKey.js';
import { decode } from '../../protocol/codec.js';
import { recordOf } from '../../protocol/row.js';
import type { AttributeDefinition, TableDefinition } from '../../protocol/tableDefinition.js';
import type { Table } from '../../storage/catalog.js';
import type { Accepted, Commit, EntryOutcome } from '../../storage/commit.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import { indexKey, indexOf, primaryKeyOf, rowsOf } from '../../storage/keys.js';
import { openMemory, type Level } from '../../storage/level.js';
import { logReader } from '../../storage/log.js';
import { decodeRow } from '../../storage/rowFormat.js';
import { Store, type StoreOptions } from '../../storage/store.js';

export const DATABASE = databaseName('data');
/** A present for every test: no clock is asked. */
export const NOW_MS = 1_700_000_000_000;
const BYTES_MAX = 1024 * 1024;

/** `a` with 1 is `a#0000000000000001`. */
export const origin = (node: string, life = 1): OriginId =>
  originId({ node: nodeName(node), incarnation: incarnation(String(life).padStart(16, '0')) });

export const definition = (
  name: string,
  attributes: readonly AttributeDefinition[] = [],
  more: Partial<TableDefinition> = {},
): TableDefinition => ({
  database: DATABASE,
  name: tableName(name),
  primaryKey: 'id',
  attributes: [{ name: 'id', isPrimaryKey: true }, ...attributes],
  schemaDefined: attributes.length > 0,
  ...more,
});

/** `lives` counts the incarnations given out; share it between starts of one node. */
export const openStore = async (
  level: Level,
  options: Partial<Omit<StoreOptions, 'node'>> & { node?: string; lives?: { count: number } } = {},
): Promise<Store> => {
  const { node = 'a', lives = { count: 0 }, ...rest } = options;
  return Store.open({
    level,
    database: DATABASE,
    newIncarnation: () => incarnation(String(++lives.count).padStart(16, '0')),
    bootId: 'boot-1',
    writeAsync: true,
    builtIn: [],
    ...rest,
    node: nodeName(node),
  });
};

export const memoryStore = async (options: Parameters<typeof openStore>[1] = {}): Promise<Store> =>
  openStore(await openMemory(), options);

/** One commit of whatever `fill` puts into it, written. */
export const inCommit = async <Result>(
  store: Store,
  fill: (commit: Commit) => Result,
): Promise<Result> => {
  const commit = store.commit();
  const result = fill(commit);
  await commit.write();
  return result;
};

export const define = (store: Store, table: TableDefinition): Promise<void> =>
  inCommit(store, (commit) => commit.define({ definition: table, nowMs: NOW_MS }));

let keys = 0;

export const transaction = (
  writes: readonly LocalWrite[],
  options: { nowMs?: number; bytesMax?: number } = {},
): Parameters<Commit['transact']>[0] => ({
  writes,
  nowMs: options.nowMs ?? NOW_MS,
  newKey: () => `key-${++keys}`,
  transactionBytesMax: options.bytesMax ?? BYTES_MAX,
});

export const write = (store: Store, ...writes: LocalWrite[]): Promise<Accepted> =>
  inCommit(store, (commit) => commit.transact(transaction(writes)));

/** Everything `from` may show of its logs and `to` has not applied, applied in one commit, as it passes the filter. */
export const catchUp = async (
  to: Store,
  from: Store,
  filter: EntryFilter = { scope: EVERYTHING, startTimeMs: null },
): Promise<EntryOutcome[]> => {
  const outcomes: EntryOutcome[] = [];
  const reader = logReader(from);
  const found: [OriginId, Buffer[]][] = [];
  for (const id of reader.vector().keys()) {
    const after = to.accepted.get(id)?.sequence ?? 0;
    const read = await reader.read({ origin: id, after, bytesMax: Infinity });
    if (read.kind === 'entries') found.push([id, [...read.entries]]);
  }
  await inCommit(to, (commit) => {
    for (const [id, entries] of found)
      for (const entry of entries)
        outcomes.push(commit.apply(id, filterEntry(id, entry, filter), filter.startTimeMs));
  });
  return outcomes;
};

/** All entries of an origin's log. */
export const logOf = async (store: Store, id: OriginId): Promise<readonly Buffer[]> => {
  const read = await logReader(store).read({ origin: id, after: 0, bytesMax: Infinity });
  return read.kind === 'entries' ? read.entries : [];
};

const rowsIn = async (store: Store, table: Table) => {
  const found = await store.level.iterator(rowsOf(table.number)).all();
  return found.map(([key, value]) => ({
    table: table.name,
    generation: table.generation,
    key: primaryKeyOf(key),
    row: decodeRow(key, value, store.origins),
  }));
};

/** The whole states of a table's rows as bytes that do not depend on the store's origin numbers. */
export const rowStates = async (store: Store, name: string): Promise<string> =>
  encodeCopyRows(1, await rowsIn(store, store.catalog.get(name))).toString('latin1');

/** Visible records in key order. */
export const records = async (store: Store, name: string): Promise<Record<string, unknown>[]> => {
  const visible: Record<string, unknown>[] = [];
  for (const { row } of await rowsIn(store, store.catalog.get(name))) {
    const bytes = recordOf(row);
    if (bytes) visible.push(decode(bytes) as Record<string, unknown>);
  }
  return visible;
};

/** What lies in a table's indexes, and what its rows say should lie there: both in key order. */
export const indexes = async (
  store: Store,
  name: string,
): Promise<{ stored: string[]; expected: string[] }> => {
  const table = store.catalog.get(name);
  const expected: string[] = [];
  for (const { key, row } of await rowsIn(store, table)) {
    const bytes = recordOf(row);
    const record = bytes ? (decode(bytes) as Record<string, unknown>) : {};
    for (const attribute of table.attributes.values()) {
      if (attribute.index === 'none' || !Object.hasOwn(record, attribute.name)) continue;
      const value = encodeIndexValue(record[attribute.name]);
      const place = { table: table.number, attribute: attribute.number, primaryKey: key };
      if (value) expected.push(indexKey({ ...place, value }).toString('hex'));
    }
  }
  const stored = await store.level.keys(indexOf(table.number)).all();
  return { stored: stored.map((key) => key.toString('hex')), expected: expected.sort() };
};

type ChainedBatch = AbstractChainedBatch<unknown, Buffer, Buffer>;

/** Lets `around` stand in for the write of every batch of the level, until what comes back is called. */
export const interceptBatches = (
  level: Level,
  around: (write: () => Promise<void>, options: unknown) => Promise<void>,
): (() => void) => {
  const original = level.batch;
  const open = level.batch.bind(level) as unknown as () => ChainedBatch;
  const intercepted = (): ChainedBatch => {
    const batch = open();
    const writeBatch = batch.write.bind(batch) as (options?: object) => Promise<void>;
    batch.write = ((options?: object) => around(() => writeBatch(options), options)) as never;
    return batch;
  };
  level.batch = intercepted as unknown as Level['batch'];
  return () => {
    level.batch = original;
  };
};
