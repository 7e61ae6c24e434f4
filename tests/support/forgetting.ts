/**
 * Stores that write, take over from one another, and forget, in words as short as the counterexamples'. Time is given
 * with each step. For tests/scenario and tests/unit; decides nothing by itself.
 */
import { decode } from '../../protocol/codec.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { recordOf } from '../../protocol/row.js';
import type { Commit, EntryOutcome } from '../../storage/commit.js';
import { rowKey } from '../../storage/keys.js';
import { Purge } from '../../storage/purge.js';
import type { Store } from '../../storage/store.js';
import { Trim } from '../../storage/trim.js';
import { catchUp, definition, inCommit, memoryStore, NOW_MS, transaction } from './stores.js';

export const TABLE = 'dogs';
const WITH_TABLE = { builtIn: [definition(TABLE)] };

export const node = (name: string): Promise<Store> => memoryStore({ node: name, ...WITH_TABLE });

export const nodes = (names: string): Promise<Store[]> => Promise.all([...names].map(node));

/** Milliseconds after the beginning. */
export const at = (ms: number): number => NOW_MS + ms;

export const put = async (store: Store, id: string, values: object, ms = 0): Promise<void> => {
  const writes = [{ table: TABLE, type: 'put', records: [{ id, ...values }] }] as const;
  await inCommit(store, (commit) => commit.transact(transaction(writes, { nowMs: at(ms) })));
};

export const patch = async (store: Store, id: string, values: object, ms = 0): Promise<void> => {
  const writes = [{ table: TABLE, type: 'upsert', records: [{ id, ...values }] }] as const;
  await inCommit(store, (commit) => commit.transact(transaction(writes, { nowMs: at(ms) })));
};

export const erase = async (store: Store, id: string, ms = 0): Promise<void> => {
  const writes = [{ table: TABLE, type: 'delete', keys: [id] }] as const;
  await inCommit(store, (commit) => commit.transact(transaction(writes, { nowMs: at(ms) })));
};

export const pull = (to: Store, from: Store): Promise<EntryOutcome[]> => catchUp(to, from);

/** Forgets all deletes made before that time. */
export const purge = async (store: Store, beforeMs: number, rowsMax = 2): Promise<void> => {
  const purging = new Purge(store);
  const request = { beforeMs: at(beforeMs), rowsMax };
  while (await stepped(store, (commit) => purging.step(commit, request)));
};

/** Takes all entries written before that time out of the logs. */
export const trim = async (store: Store, beforeMs: number, entriesMax = 2): Promise<void> => {
  const trimming = new Trim(store);
  const request = { beforeMs: at(beforeMs), entriesMax, held: () => Infinity };
  while (await stepped(store, (commit) => trimming.step(commit, request)));
};

/** One step in a batch of its own. */
export const stepped = async <Result>(
  store: Store,
  step: (commit: Commit) => Promise<Result>,
): Promise<Result> => {
  const commit = store.commit();
  const result = await step(commit);
  await commit.write();
  return result;
};

/** What was written of that key, without key and times; null: nothing is visible. */
export const shown = (store: Store, id: string): unknown => {
  const row = store.row(rowKey(store.catalog.get(TABLE).number, encodeKey(id)));
  const body = row && recordOf(row);
  if (!body) return null;
  const values = Object.entries(decode(body) as Record<string, unknown>);
  return Object.fromEntries(values.filter(([name]) => name !== 'id' && !name.startsWith('__')));
};

/** How many entries a node has written itself, those written again included. */
export const ownEntries = (store: Store): number => store.accepted.get(store.origin)?.sequence ?? 0;
