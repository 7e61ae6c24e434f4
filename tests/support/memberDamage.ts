/**
 * Overwrites one row of the node table in the files of a node that does not run, as a bad disk or a forger would.
 * Called by the membership tests only.
 */
import { join } from 'node:path';
import { decode } from '../../protocol/codec.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { allOf, numberOf, PREFIX, rowKey } from '../../storage/keys.js';
import { openDirectory, type Level } from '../../storage/level.js';
import { sealed } from '../../storage/seal.js';
import type { ClusterNode } from './cluster.js';

/**
 * The stored bytes of the row, as they were, become what `change` makes of them; `seal` puts the checksum behind a value
 * that is to pass for a stored one.
 */
export const damageNodeRow = async (
  node: ClusterNode,
  name: string,
  change: (stored: Buffer, seal: (value: Buffer) => Buffer) => Buffer,
): Promise<void> => {
  if (node.isRunning) throw new Error(`${node.name} is running`);
  const level = await openDirectory(join(node.rootPath, 'database', 'system'));
  try {
    const key = rowKey(await numberOfTable(level, 'hdb_nodes'), encodeKey(name));
    const stored = await level.get(key);
    if (!stored) throw new Error(`${node.name} has no row of ${name}`);
    await level.put(
      key,
      change(Buffer.from(stored), (value) => sealed(key, value)),
    );
  } finally {
    await level.close();
  }
};

const numberOfTable = async (level: Level, name: string): Promise<number> => {
  for await (const [key, value] of level.iterator(allOf(PREFIX.table)))
    if ((decode(value) as { name: string }).name === name) return numberOf(key);
  throw new Error(`The database has no table ${name}`);
};
