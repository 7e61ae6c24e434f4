/**
 * A cluster of real processes in which every node is dialled through a link proxy of its own. Called by scripts that
 * cut links under load and count what passes.
 */
import { startCluster, type Cluster, type ClusterOptions } from './cluster.js';
import { openLinkProxy, type LinkProxy } from './linkProxy.js';
import { waitUntil } from './waitUntil.js';

export interface ProxiedCluster {
  readonly cluster: Cluster;
  /** In the order of the nodes. */
  readonly proxies: readonly LinkProxy[];
  /** Through all proxies, both directions. */
  bytes(): number;
  close(): Promise<void>;
}

export interface ProxiedOptions extends Omit<ClusterOptions, 'apart'> {
  /** Of each node, those it has routes to and nobody else; without: all others. */
  readonly neighbours?: readonly (readonly number[])[];
}

/** Resolves when all nodes but the sleeping ones run and are connected. */
export const startProxiedCluster = async (options: ProxiedOptions): Promise<ProxiedCluster> => {
  const cluster = await startCluster({ ...options, apart: true });
  const proxies = await Promise.all(
    cluster.nodes.map(({ name, ports }) =>
      openLinkProxy({ target: { host: name, port: ports.replication } }),
    ),
  );
  const urls = proxies.map(({ address }) => `ws://${address.host}:${address.port}`);
  for (const [at, node] of cluster.nodes.entries()) {
    if (node.isRunning) await node.stop();
    const routes = urls.filter((_, other) => isNeighbour(options, at, other));
    node.configure({ config: { replication: { routes, url: urls[at] ?? '' } } });
  }
  const awake = cluster.nodes.filter((_, at) => !options.asleep?.includes(at));
  await Promise.all(awake.map((node) => node.start()));
  if (!options.neighbours) await cluster.connected();
  for (const [at, others] of (options.neighbours ?? []).entries())
    await waitUntil(
      `node ${at} to be connected with its neighbours`,
      async () => (await cluster.node(at).connectedPeers()) === others.length,
      CONNECTED_MS_MAX,
    );
  return {
    cluster,
    proxies,
    bytes: () => proxies.reduce((sum, { bytes }) => sum + bytes.toTarget + bytes.fromTarget, 0),
    close: async () => {
      await cluster.close();
      await Promise.all(proxies.map((proxy) => proxy.close()));
    },
  };
};

const CONNECTED_MS_MAX = 30_000;

const isNeighbour = ({ neighbours }: ProxiedOptions, at: number, other: number): boolean =>
  neighbours ? neighbours[at]?.includes(other) === true : other !== at;
