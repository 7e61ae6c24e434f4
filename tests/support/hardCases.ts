/**
 * What the tests of hard cases write and read over the operations API, in few words: one table, records by their `id`.
 * Called by tests/cluster/hard*.test.ts and scripts/hardCases.ts. Judges nothing.
 */
import type { ClusterNode } from './cluster.js';
import { scan, type Row } from './clusterDump.js';
import { flat, isConnectionFailure } from './clusterClient.js';

export const TABLE = 'cases';
const AT_ONCE = 16;

/** On one node; the others get it as any change. `bucket` is indexed. */
export const createCases = (node: ClusterNode): Promise<unknown> =>
  node.client.send({
    operation: 'create_table',
    table: TABLE,
    primary_key: 'id',
    attributes: [
      { name: 'id', is_primary_key: true },
      { name: 'bucket', indexed: true },
    ],
  });

/** The answer, with `txn_time`. */
export const insert = (node: ClusterNode, ...records: readonly Row[]): Promise<unknown> =>
  node.client.send({ operation: 'insert', table: TABLE, records });

export const update = (node: ClusterNode, ...records: readonly Row[]): Promise<unknown> =>
  node.client.send({ operation: 'update', table: TABLE, records });

export const erase = (node: ClusterNode, ...ids: readonly string[]): Promise<unknown> =>
  node.client.send({ operation: 'delete', table: TABLE, ids });

/** So many transactions, some of them at a time. */
export const times = async (
  count: number,
  write: (at: number) => Promise<unknown>,
): Promise<void> => {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < count; at = next++) await write(at);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
};

/** Records without their times, by id. */
export const shown = async (node: ClusterNode): Promise<Record<string, Row>> => {
  const rows = await scan(node, { database: 'data', table: TABLE, primaryKey: 'id' });
  return Object.fromEntries(
    rows.map(({ id, __createdtime__: _created, __updatedtime__: _updated, ...values }) => [
      String(id),
      values,
    ]),
  );
};

/** Undefined where the node does not show it. */
export const one = async (node: ClusterNode, id: string): Promise<Row | undefined> =>
  (await shown(node))[id];

/** How many copies of `data` it finished, over all its lives; it has to log at `info`. */
export const copiesOf = async (node: ClusterNode): Promise<number> =>
  (await node.log())
    .split('\n')
    .filter((line) => line.includes('"copy complete"') && line.includes('"database":"data"'))
    .length;

export interface CopyView {
  readonly rows_done: number;
  readonly rows_estimated: number;
}

/** How far the copy of `data` has got, also when it is complete; null: none was begun, or nobody answers. */
export const copyOf = async (node: ClusterNode): Promise<CopyView | null> => {
  try {
    const { databases } = (await node.client.send({ operation: 'cluster_status' })) as {
      databases: { database: string; copy?: CopyView }[];
    };
    return databases.find(({ database }) => database === 'data')?.copy ?? null;
  } catch (error) {
    // Its doors are not open yet.
    if (isConnectionFailure(error)) return null;
    throw error;
  }
};

/** Streams of `data` with one peer: feeds and resyncs in the tree. */
export const streamsOf = async (node: ClusterNode, peer: ClusterNode): Promise<string[]> => {
  const { actors } = await node.client.tree();
  return flat(actors)
    .filter(({ path }) => path.includes(`/peer:${peer.name}/`) && path.endsWith(':data'))
    .map(({ name }) => name)
    .sort();
};
