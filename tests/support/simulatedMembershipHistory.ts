/**
 * The history of `system` in the membership simulation. What a transaction writes into tables of this node alone has a
 * log of its own, with the version of the other half; simulatedWatch.ts, which takes an entry that is new for later than
 * all before it, is told that it knows these.
 */
import type { OriginId } from '../../protocol/ids.js';
import { isLocalOrigin } from '../../storage/origins.js';
import { History, type HistoryEntry } from './simulatedHistory.js';

export class SystemHistory extends History {
  override entry(origin: OriginId, sequence: number): HistoryEntry | undefined {
    const entry = super.entry(origin, sequence);
    if (entry || !isLocalOrigin(origin)) return entry;
    return { origin, sequence, version: 0, operation: '', bytes: Buffer.alloc(0), changes: [] };
  }
}
