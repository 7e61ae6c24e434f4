/**
 * A network between nodes of a cluster that can be cut pair by pair: each node is dialled through a link proxy of its
 * own, which is also the URL it gives to others. Called by the membership tests and memberHistory.ts.
 */
import { startCluster, type Cluster, type ClusterNode, type ClusterOptions } from './cluster.js';
import { openLinkProxy, type LinkProxy } from './linkProxy.js';

export class MemberNetwork {
  readonly #proxies: ReadonlyMap<ClusterNode, LinkProxy>;

  constructor(proxies: ReadonlyMap<ClusterNode, LinkProxy>) {
    this.#proxies = proxies;
  }

  /** Nodes of different groups do not reach each other; existing links are reset. */
  split(groups: readonly (readonly ClusterNode[])[]): void {
    for (const [node, proxy] of this.#proxies) {
      const group = groups.find((members) => members.includes(node)) ?? [node];
      const others = [...this.#proxies.keys()].filter((other) => !group.includes(other));
      proxy.cutFrom(others.map(({ name }) => name));
    }
  }

  heal(): void {
    for (const proxy of this.#proxies.values()) proxy.restore();
  }

  /** Behind its proxy, the node listens on another port from its next life on; nobody else can tell. */
  proxyOf(node: ClusterNode): LinkProxy {
    const proxy = this.#proxies.get(node);
    if (!proxy) throw new Error(`${node.name} has no proxy`);
    return proxy;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }
}

/** Nodes without routes, started, each behind its proxy. */
export const startBehindProxies = async (
  options: ClusterOptions,
): Promise<{ cluster: Cluster; network: MemberNetwork; close: () => Promise<void> }> => {
  const asleep = Array.from({ length: options.nodes }, (_, index) => index);
  const cluster = await startCluster({ ...options, apart: true, asleep });
  const network = new MemberNetwork(
    new Map(
      await Promise.all(
        cluster.nodes.map(async (node) => {
          const target = { host: node.name, port: node.ports.replication };
          const proxy = await openLinkProxy({ target });
          const { host, port } = proxy.address;
          node.configure({ config: { replication: { url: `ws://${host}:${port}` } } });
          return [node, proxy] as const;
        }),
      ),
    ),
  );
  const close = async (): Promise<void> => {
    await cluster.close();
    await network.close();
  };
  try {
    await Promise.all(cluster.nodes.map((node) => node.start()));
    return { cluster, network, close };
  } catch (error) {
    await close();
    throw error;
  }
};
