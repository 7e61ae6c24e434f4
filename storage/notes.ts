/**
 * Private notes of a store, which commits write (`Commit.putNote`). Read by what remembers something beside rows when it
 * starts: actors/copyLedger.ts.
 */
import { decode } from '../protocol/codec.js';
import type { Store } from './store.js';

/** Undefined when there is none. */
export const readNote = async (store: Store, key: Buffer): Promise<unknown> => {
  const bytes = await store.level.get(key);
  return bytes === undefined ? undefined : decode(bytes);
};
