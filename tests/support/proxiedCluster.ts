/**
 * A cluster of real processes in which every node is dialled through a link proxy of its own. Called by scripts that
 * cut links under load and count what passes.
 */
import { startCluster, type Cluster, type ClusterOptions } from './cluster.js';
import { openLinkProxy, type LinkProxy } from './linkProxy.js';

export interface ProxiedCluster {
  readonly cluster: Cluster;
  /** In the order of the nodes. */
  readonly proxies: readonly LinkProxy[];
  /** Through all proxies, both directions. */
  bytes(): number;
  close(): Promise<void>;
}

/** Resolves when all nodes but the sleeping ones run and are connected. */
export const startProxiedCluster = async (
  options: Omit<ClusterOptions, 'apart'>,
): Promise<ProxiedCluster> => {
  const cluster = await startCluster({ ...options, apart: true });
  const proxies = await Promise.all(
    cluster.nodes.map(({ name, ports }) =>
      openLinkProxy({ target: { host: name, port: ports.replication } }),
    ),
  );
  const urls = proxies.map(({ address }) => `ws://${address.host}:${address.port}`);
  for (const [at, node] of cluster.nodes.entries()) {
    if (node.isRunning) await node.stop();
    const routes = urls.filter((_, other) => other !== at);
    node.configure({ config: { replication: { routes, url: urls[at] ?? '' } } });
  }
  const awake = cluster.nodes.filter((_, at) => !options.asleep?.includes(at));
  await Promise.all(awake.map((node) => node.start()));
  await cluster.connected();
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
