/** Clusters of nodes that were started apart and added to the first of them. Called by the membership tests. */
import type { ExecutionContext } from 'ava';
import { startCluster, type Cluster } from './cluster.js';
import { createNotes } from './memberRecords.js';
import { addNode, fullMesh } from './memberViews.js';

/** Resolves when all are a full mesh; ends with the test. */
export const startJoined = async (
  t: ExecutionContext,
  nodes: number,
  firstAddress = 2,
): Promise<Cluster> => {
  const cluster = await startCluster({ nodes, apart: true, firstAddress });
  t.teardown(() => cluster.close());
  await joinAll(cluster);
  return cluster;
};

/** The first node adds all others, and has the table for notes. */
export const joinAll = async (cluster: Cluster): Promise<void> => {
  const [first, ...others] = cluster.nodes;
  if (!first) throw new Error('a cluster has nodes');
  await createNotes(first);
  for (const other of others) await addNode(first, other);
  await fullMesh(cluster.nodes);
};
