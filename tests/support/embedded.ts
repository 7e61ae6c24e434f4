/**
 * Nodes inside the test's process, linked by a memory network of their own. Called by the tests of the embed API
 * and of single actors; closes nothing by itself.
 */
import pino from 'pino';
import type { ConfigInput } from '../../config/types.js';
import { MemoryNetwork, startNode, type ActorSnapshot, type Node } from '../../index.js';
import { flat } from './clusterClient.js';
import { waitUntil } from './waitUntil.js';

export interface Embedded {
  readonly nodes: readonly Node[];
  readonly network: MemoryNetwork;
  node(index: number): Node;
  close(): Promise<void>;
}

const NAMES = ['a', 'b', 'c', 'd'];

export const SILENT = pino({ level: 'silent' });

/** Nodes `a`, `b`, ... with data in memory, linked each with each. */
export const startEmbedded = async (count: number, config: ConfigInput = {}): Promise<Embedded> => {
  const network = new MemoryNetwork();
  const names = NAMES.slice(0, count);
  const nodes = await Promise.all(
    names.map((name) => startNode(memoryConfig(name, names, config), { network, logger: SILENT })),
  );
  await Promise.all(nodes.map((node) => node.synced({ signal: AbortSignal.timeout(10_000) })));
  return {
    nodes,
    network,
    node: (index) => {
      const node = nodes[index];
      if (!node) throw new Error(`No node ${index} was started`);
      return node;
    },
    close: async () => {
      await Promise.all(nodes.map((node) => node.close()));
    },
  };
};

export const memoryConfig = (
  name: string,
  names: readonly string[],
  more: ConfigInput = {},
): ConfigInput => ({
  ...more,
  storage: { engine: 'memory', ...more.storage },
  replication: {
    hostname: name,
    url: `memory://${name}`,
    routes: names.filter((other) => other !== name).map((other) => `memory://${other}`),
    ...more.replication,
  },
});

/** Every actor of a node, parents before children. */
export const actorsOf = (node: Node): ActorSnapshot[] => flat(node.tree());

export const actorAt = (node: Node, path: string): ActorSnapshot => {
  const actor = actorsOf(node).find((one) => one.path === path);
  if (!actor) throw new Error(`There is no actor at ${path}`);
  return actor;
};

/** Waits until all nodes answer the same for every record of a table; the records in key order. */
export const sameRecords = async (
  nodes: readonly Node[],
  table: string,
  count?: number,
): Promise<object[]> => {
  const read = (node: Node): Promise<object[]> =>
    node.table(table).query({ sort: { attribute: 'id' } });
  let seen = '';
  return waitUntil(
    `the same records of ${table} on all nodes`,
    async () => {
      const all = await Promise.all(nodes.map(read));
      const texts = new Set(all.map((records) => JSON.stringify(records)));
      seen = all.map((records) => records.length).join(', ');
      const [first] = all;
      return texts.size === 1 && (count === undefined || first?.length === count) && first;
    },
    10_000,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; the nodes hold ${seen} records`, { cause: error });
  });
};
