/**
 * Clusters of real nodes whose routes have directions: started with the routes of each, and asked which links and streams
 * there are. Called by the flow tests of the cluster folder.
 */
import type { ExecutionContext } from 'ava';
import type { ConfigInput, RouteInput } from '../../config/types.js';
import { startCluster, type Cluster, type ClusterNode } from './cluster.js';
import { flat } from './clusterClient.js';
import { waitUntil } from './waitUntil.js';

/** What a node says of one of its neighbours; `to` is that node's place in the cluster. */
export interface FlowRoute extends RouteInput {
  readonly to: number;
}

/** Resolves when all of them run; each has the routes that stand at its place, and all have `replication`. */
export const startFlow = async (
  t: ExecutionContext,
  routes: readonly (readonly FlowRoute[])[],
  more: ConfigInput = {},
): Promise<Cluster> => {
  const asleep = routes.map((_, index) => index);
  const cluster = await startCluster({ nodes: routes.length, apart: true, asleep, config: more });
  t.teardown(() => cluster.close());
  for (const [index, list] of routes.entries()) {
    const replication = {
      ...more.replication,
      routes: list.map((route) => routeTo(cluster, route)),
    };
    cluster.node(index).configure({ config: { replication } });
  }
  await Promise.all(cluster.nodes.map((node) => node.start()));
  return cluster;
};

export const routeTo = (cluster: Cluster, { to, ...rules }: FlowRoute): RouteInput => ({
  hostname: cluster.node(to).name,
  port: cluster.node(to).ports.replication,
  ...rules,
});

/** Nodes that it has a link with, or tries to have one: the peers in its tree. */
export const peersOf = async (node: ClusterNode): Promise<string[]> => {
  const { actors } = await node.client.tree();
  return flat(actors)
    .map(({ name }) => /^peer:(.+)$/.exec(name)?.[1])
    .filter((name) => name !== undefined)
    .sort();
};

interface SocketView {
  readonly database: string;
  readonly connected: boolean;
  readonly sending: { readonly state: string };
  readonly receiving: { readonly state: string };
}

/**
 * Resolves when that node is connected with the other, and has these sockets with it: `data:open:closed` for a database
 * that is sent and not received.
 */
export const flows = async (
  node: ClusterNode,
  other: ClusterNode,
  wanted: string,
  msMax = 30_000,
): Promise<void> => {
  let seen = '';
  await waitUntil(
    `${node.name} to have ${wanted || 'nothing'} with ${other.name}`,
    async () => {
      seen = (await socketsOf(node, other)).map(shownSocket).sort().join(' ');
      return seen === wanted;
    },
    msMax,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; it has '${seen}'`, { cause: error });
  });
};

const socketsOf = async (node: ClusterNode, other: ClusterNode): Promise<readonly SocketView[]> => {
  const { connections } = (await node.client.send({ operation: 'cluster_status' })) as {
    connections: { name: string; database_sockets: SocketView[] }[];
  };
  return connections.find(({ name }) => name === other.name)?.database_sockets ?? [];
};

const shownSocket = ({ database, connected, sending, receiving }: SocketView): string =>
  `${database}:${wordFor(sending.state)}:${wordFor(receiving.state)}${connected ? '' : ' (down)'}`;

const wordFor = (state: string): string => (state === 'CLOSED' ? 'closed' : 'open');
