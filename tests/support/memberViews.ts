/**
 * Who is a member, as real nodes say through their operations API: status, node table, lives; and the operations that
 * change it, as a client sends them. Called by the membership tests and memberHistory.ts. Judges nothing but equality.
 */
import { ADMIN, type ClusterNode } from './cluster.js';
import { canonical, type Row } from './clusterDump.js';
import { waitUntil } from './waitUntil.js';

export interface ConnectionView {
  readonly name: string;
  readonly url?: string;
  readonly connected: boolean;
  readonly phase?: string;
  readonly reason?: string;
  readonly database_sockets: readonly {
    readonly database: string;
    readonly connected: boolean;
    readonly lastConnectionError?: { readonly code: number; readonly reason?: string };
  }[];
}

export interface StatusView {
  readonly node_name: string;
  readonly is_enabled: boolean;
  readonly connections: readonly ConnectionView[];
}

const MESH_MS_MAX = 30_000;

export const statusOf = async (node: ClusterNode): Promise<StatusView> =>
  (await node.client.send({ operation: 'cluster_status' })) as StatusView;

/** Names of the peers it is connected with in every database, sorted. */
export const connectedNames = async (node: ClusterNode): Promise<string[]> =>
  (await statusOf(node)).connections
    .filter(
      ({ database_sockets: sockets }) =>
        sockets.length > 0 && sockets.every(({ connected }) => connected),
    )
    .map(({ name }) => name)
    .sort();

/** Names of all that it knows, connected or not, sorted. */
export const knownNames = async (node: ClusterNode): Promise<string[]> =>
  (await statusOf(node)).connections.map(({ name }) => name).sort();

export const systemRows = async (node: ClusterNode, table: string): Promise<Row[]> =>
  (await node.client.send({
    operation: 'search_by_value',
    database: 'system',
    table,
    attribute: table === 'hdb_nodes' ? 'name' : 'id',
    value: '*',
  })) as Row[];

/** The node table and the lives, as comparable text. */
export const membershipOf = async (node: ClusterNode): Promise<string> => {
  const [nodes, lives] = await Promise.all([
    systemRows(node, 'hdb_nodes'),
    systemRows(node, 'hdb_node_generations'),
  ]);
  return canonical([sorted(nodes, 'name'), sorted(lives, 'id')]);
};

/** `name#generation`, and whether it has ended. */
export const livesOf = async (node: ClusterNode): Promise<string[]> =>
  (await systemRows(node, 'hdb_node_generations'))
    .map(({ id, ended }) => `${String(id)}${ended === true ? ' ended' : ''}`)
    .sort();

export const memberNames = async (node: ClusterNode): Promise<string[]> =>
  (await systemRows(node, 'hdb_nodes')).map(({ name }) => String(name)).sort();

/** What it answers to add_node for that target; other fields come on top. */
export const addNode = async (
  node: ClusterNode,
  target: ClusterNode,
  more: Row = {},
): Promise<string> => messageOf(node, { operation: 'add_node', ...reach(target), ...more });

export const removeNode = async (node: ClusterNode, target: ClusterNode): Promise<string> =>
  messageOf(node, { operation: 'remove_node', hostname: target.name });

export const messageOf = async (node: ClusterNode, operation: Row): Promise<string> =>
  ((await node.client.send(operation)) as { message: string }).message;

/** Where a node is, and what lets one add it. */
export const reach = (target: ClusterNode): Row => ({
  url: target.replicationUrl,
  authorization: ADMIN,
});

/** Resolves when each of these is connected with all others, and with nobody else. */
export const fullMesh = async (
  nodes: readonly ClusterNode[],
  msMax = MESH_MS_MAX,
): Promise<void> => {
  const names = nodes.map(({ name }) => name).sort();
  for (const node of nodes)
    await connectedExactly(
      node,
      names.filter((name) => name !== node.name),
      msMax,
    );
};

/** Resolves when that node is connected with these and nobody else. */
export const connectedExactly = async (
  node: ClusterNode,
  names: readonly string[],
  msMax = MESH_MS_MAX,
): Promise<void> => {
  const wanted = [...names].sort().join(' ');
  let last = '';
  await waitUntil(
    `${node.name} to be connected with ${wanted || 'nobody'}`,
    async () => {
      last = (await connectedNames(node)).join(' ');
      return last === wanted;
    },
    msMax,
  ).catch(async (error: unknown) => {
    const status = JSON.stringify((await statusOf(node)).connections.map(briefly));
    throw new Error(`${String(error)}; it is with '${last}'\n${status}`, { cause: error });
  });
};

/** Resolves with what all of these say when they say the same of members and lives. */
export const sameMembership = async (
  nodes: readonly ClusterNode[],
  msMax = MESH_MS_MAX,
): Promise<string> => {
  let views: string[] = [];
  await waitUntil(
    `${nodes.map(({ name }) => name).join(', ')} to have the same members`,
    async () => {
      views = await Promise.all(nodes.map(membershipOf));
      return new Set(views).size === 1;
    },
    msMax,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${views.join('\n')}`, { cause: error });
  });
  return views[0] ?? '';
};

const briefly = ({ name, url, connected, phase, reason }: ConnectionView): Row => ({
  name,
  url,
  connected,
  phase,
  reason,
});

const sorted = (rows: readonly Row[], key: string): Row[] =>
  [...rows].sort((a, b) => (String(a[key]) < String(b[key]) ? -1 : 1));
