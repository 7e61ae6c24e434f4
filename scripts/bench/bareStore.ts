/**
 * The batches of the bare pipeline: a thousand rows and one log entry that holds the same bytes.
 * Called by bareProcess.ts on both ends. One write is under way at a time, while the next batch is prepared.
 *
 * A log entry is `rows` times: key (8 bytes), length of the record (2 bytes), record.
 */
import { Level } from 'level';

export const ROWS_PER_BATCH = 1_000;
const ROW_HEADER_BYTES = 10;
const KEY_BYTES = 9;
const ROW_PREFIX = 1;
const LOG_PREFIX = 2;

export type Database = Level<Buffer, Buffer>;
export type Batch = ReturnType<Database['batch']>;

export async function openDatabase(folder: string): Promise<Database> {
  const database = new Level<Buffer, Buffer>(folder, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
  });
  await database.open();
  return database;
}

/** Writes into a batch the rows of an entry, as slices of it, and the entry itself. Returns the rows. */
export function putEntry(batch: Batch, entry: Buffer, sequence: number): number {
  let rows = 0;
  for (let at = 0; at < entry.length; rows += 1) {
    const start = at + ROW_HEADER_BYTES;
    const end = start + entry.readUInt16BE(at + 8);
    batch.put(rowKey(entry, at), entry.subarray(start, end));
    at = end;
  }
  batch.put(logKey(sequence), entry);
  return rows;
}

export const writeBatch = (batch: Batch, sync: boolean): Promise<void> =>
  batch.write({ sync } as object);

/** Collects rows into one log entry; the buffer is used for one entry only. */
export class EntryBuilder {
  #buffer = Buffer.allocUnsafe(256 * ROWS_PER_BATCH);
  #length = 0;

  add(id: number, record: Uint8Array): void {
    const end = this.#length + ROW_HEADER_BYTES + record.length;
    if (end > this.#buffer.length) this.#grow(end);
    this.#buffer.writeUInt32BE(0, this.#length);
    this.#buffer.writeUInt32BE(id, this.#length + 4);
    this.#buffer.writeUInt16BE(record.length, this.#length + 8);
    this.#buffer.set(record, this.#length + ROW_HEADER_BYTES);
    this.#length = end;
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafe(needed * 2);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/**
 * Throws unless the database holds exactly the rows and the log entries that were written. Outside the
 * measured time: a yardstick that lost rows would be too short.
 */
export async function checkContents(database: Database, records: number): Promise<void> {
  const expected = records + Math.ceil(records / ROWS_PER_BATCH);
  let found = 0;
  const keys = database.keys();
  for (let some = await keys.nextv(10_000); some.length > 0; some = await keys.nextv(10_000)) {
    found += some.length;
  }
  await keys.close();
  if (found !== expected) throw new Error(`expected ${expected} keys, the store has ${found}`);
}

function rowKey(entry: Buffer, at: number): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key[0] = ROW_PREFIX;
  entry.copy(key, 1, at, at + 8);
  return key;
}

function logKey(sequence: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  key[0] = LOG_PREFIX;
  key.writeUInt32BE(sequence, 5);
  return key;
}
