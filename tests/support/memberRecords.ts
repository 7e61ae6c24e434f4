/**
 * Records that membership tests write and look for: one table, one record per write, each naming the node that took
 * it. Called by the membership tests and memberHistory.ts.
 */
import type { ClusterNode } from './cluster.js';
import { scan } from './clusterDump.js';
import { waitUntil } from './waitUntil.js';

export const TABLE = 'notes';

/** On one node; the others get it as any change. */
export const createNotes = (node: ClusterNode): Promise<unknown> =>
  node.client.send({ operation: 'create_table', table: TABLE, primary_key: 'id' });

/** One record, acknowledged. */
export const note = (node: ClusterNode, id: string): Promise<unknown> =>
  node.client.send({ operation: 'insert', table: TABLE, records: [{ id, by: node.name }] });

/** Many in one transaction. */
export const noteMany = (node: ClusterNode, ids: readonly string[]): Promise<unknown> =>
  node.client.send({
    operation: 'insert',
    table: TABLE,
    records: ids.map((id) => ({ id, by: node.name })),
  });

export const notesOf = async (node: ClusterNode): Promise<string[]> =>
  (await scan(node, { database: 'data', table: TABLE, primaryKey: 'id' })).map(({ id }) =>
    String(id),
  );

/** Resolves when each of these nodes has all of these notes. */
export const haveNotes = async (
  nodes: readonly ClusterNode[],
  ids: readonly string[],
  msMax = 30_000,
): Promise<void> => {
  for (const node of nodes)
    await waitUntil(
      `${node.name} to have ${ids.length} notes`,
      async () => {
        const held = new Set(await notesOf(node).catch(noTableYet));
        return ids.every((id) => held.has(id));
      },
      msMax,
    );
};

const noTableYet = (error: unknown): string[] => {
  if (error instanceof Error && error.message.includes('does not exist')) return [];
  throw error;
};
