/**
 * Stores of which stored bytes are spoilt behind their back, as a bad disk would. For the tests of storage/ about what
 * cannot be read; the levels are in memory.
 */
import { encodeKey } from '../../protocol/orderedKey.js';
import type { Key } from '../../protocol/operations.js';
import type { OriginId } from '../../protocol/ids.js';
import { logKey, rowKey } from '../../storage/keys.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import { PendingRows } from '../../storage/pendingRows.js';
import type { Store } from '../../storage/store.js';

type Stored = Extract<LocalWrite, { records: unknown }>;

export const put = (id: Key, more: object = {}, type: Stored['type'] = 'put'): LocalWrite => ({
  table: 'dogs',
  type,
  records: [{ id, ...more }],
});

/** One bit of the last byte before the checksum. */
export const spoilt = (bytes: Buffer): Buffer => {
  const changed = Buffer.from(bytes);
  const place = changed.length - 5;
  changed[place] = (changed[place] ?? 0) ^ 0x10;
  return changed;
};

export const rowKeyOf = (store: Store, key: Key, table = 'dogs'): Buffer =>
  rowKey(store.catalog.get(table).number, encodeKey(key));

export const spoilRow = async (store: Store, key: Key, table = 'dogs'): Promise<void> => {
  const place = rowKeyOf(store, key, table);
  await store.level.put(place, spoilt(stored(store, place)));
  // As after the next batch: then it is read from the disk.
  store.inFlight = new PendingRows();
};

export const spoilEntry = async (store: Store, origin: OriginId, at: number): Promise<void> => {
  const place = entryKey(store, origin, at);
  await store.level.put(place, spoilt(stored(store, place)));
};

export const loseEntry = (store: Store, origin: OriginId, at: number): Promise<void> =>
  store.level.del(entryKey(store, origin, at));

const entryKey = (store: Store, origin: OriginId, at: number): Buffer => {
  const number = store.origins.knownNumberOf(origin);
  if (number === undefined) throw new Error(`${origin} is not known here`);
  return logKey(number, at);
};

const stored = (store: Store, place: Buffer): Buffer => {
  const bytes = store.level.getSync(place);
  if (!bytes) throw new Error('There is nothing to spoil');
  return bytes;
};
