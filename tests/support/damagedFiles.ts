/**
 * Spoils the files of a database that nobody has open, as bits that flip on a disk do. Used by the tests of damaged files.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { decode } from '../../protocol/codec.js';
import type { Key } from '../../protocol/operations.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { allOf, numberOf, PREFIX, rowKey } from '../../storage/keys.js';
import { openDirectory } from '../../storage/level.js';
import { spoilt } from './damagedStores.js';

/** Moves all of a database into table files: nothing is left in the journal. */
export const compact = async (directory: string): Promise<void> => {
  const level = await openDirectory(directory);
  const ranges = level as unknown as { compactRange(from: Buffer, to: Buffer): Promise<void> };
  await ranges.compactRange(Buffer.from([0]), Buffer.from([0xff]));
  await level.close();
};

/** Flips bits of `count` bytes that follow one another, at this share of the largest table file. */
export const spoilTableFile = async (
  directory: string,
  { share, count }: { share: number; count: number },
): Promise<void> => {
  let largest = { path: '', size: 0 };
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.ldb')) continue;
    const path = join(directory, name);
    const { size } = await stat(path);
    if (size > largest.size) largest = { path, size };
  }
  const file = await open(largest.path, 'r+');
  try {
    const bytes = Buffer.alloc(count);
    const at = Math.floor((largest.size - count) * share);
    await file.read(bytes, 0, count, at);
    await file.write(
      bytes.map((byte) => byte ^ 0x24),
      0,
      count,
      at,
    );
  } finally {
    await file.close();
  }
};

/** One bit of a stored row, by the number its table has. */
export const spoilStoredRow = async (
  directory: string,
  { table, key }: { table: string; key: Key },
): Promise<void> => {
  const level = await openDirectory(directory);
  try {
    for await (const [tableAt, value] of level.iterator(allOf(PREFIX.table))) {
      if ((decode(value) as { name: string }).name !== table) continue;
      const place = rowKey(numberOf(tableAt), encodeKey(key));
      const stored = await level.get(place);
      if (!stored) throw new Error(`${table} has no row ${String(key)}`);
      await level.put(place, spoilt(stored));
    }
  } finally {
    await level.close();
  }
};
