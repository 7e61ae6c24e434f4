/**
 * Rows of a table in key order, as accepted so far: what is stored, in the batch being written, and in the open one.
 * Read in pages by what walks over all rows of this node. Writes nothing.
 */
import type { Row } from '../protocol/row.js';
import { primaryKeyOf, rowKey, rowsOf } from './keys.js';
import type { RowWriter } from './rowWriter.js';
import type { Store } from './store.js';

export interface HeldRow {
  readonly key: Buffer;
  readonly row: Row;
}

export interface RowPage {
  readonly rows: readonly HeldRow[];
  /** The last key this page speaks of; null: all up to the end of the range. */
  readonly upTo: Buffer | null;
}

/** The next rows after `after` (null: from the first), up to and with `last` (null: to the last). */
export const readRows = async (
  store: Store,
  open: RowWriter,
  range: { table: number; after: Uint8Array | null; last: Uint8Array | null; rowsMax: number },
): Promise<RowPage> => {
  const { table, rowsMax } = range;
  const { gte, lt } = rowsOf(table);
  const from = range.after ? rowKey(table, range.after) : gte;
  const to = range.last ? rowKey(table, range.last) : lt;
  const stored = await store.level
    .keys({ ...(range.after ? { gt: from } : { gte: from }), lte: to, limit: rowsMax })
    .all();
  const end = stored.length === rowsMax ? stored.at(-1) : undefined;
  const keys = new Map(stored.map((key) => [key.toString('latin1'), key]));
  for (const pending of [store.inFlight, open.rows])
    for (const key of pending.keysIn({ from, to: end ?? to }))
      if (!range.after || key.compare(from) > 0) keys.set(key.toString('latin1'), key);
  const rows: HeldRow[] = [];
  for (const key of [...keys.values()].sort((a, b) => a.compare(b))) {
    const row = store.row(key, open.rows);
    if (row) rows.push({ key: primaryKeyOf(key), row });
  }
  return { rows, upTo: end ? primaryKeyOf(end) : null };
};
