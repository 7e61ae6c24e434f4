/**
 * Nodes with TLS inside the test's process, each on a loopback address of its own and under a name that is no address, with
 * all that they log. Data and keys are in memory. Called by the trust tests; ends what it started.
 */
import type { ExecutionContext } from 'ava';
import pino from 'pino';
import type { ConfigInput } from '../../config/types.js';
import { startNode, type Node } from '../../index.js';
import type { StartNodeOptions } from '../../actors/embed/node.js';
import { freePort } from './cluster.js';
import { openRawPeer, type RawPeer } from './rawPeer.js';
import { waitUntil } from './waitUntil.js';
import type { KeyedCertificate } from './certificates.js';

export interface SecureNode {
  readonly node: Node;
  readonly name: string;
  readonly url: string;
  readonly address: string;
  readonly port: number;
  /** One JSON text per line. */
  readonly log: () => string;
  /** The answer's message. */
  readonly send: (operation: Record<string, unknown>) => Promise<string>;
  readonly rows: (table: string) => Promise<Record<string, unknown>[]>;
}

export const USER = { username: 'admin', password: 'a password for joining' };
export const JOINING = { verify_tls: false, authorization: USER };

let addresses = 40;

/** `more` is laid over its configuration, section by section. */
export const startSecure = async (
  t: ExecutionContext,
  name: string,
  more: ConfigInput = {},
  options: Pick<StartNodeOptions, 'environment'> = {},
): Promise<SecureNode> => {
  const address = `127.0.0.${addresses++}`;
  const port = await freePort(address);
  const url = `wss://${address}:${port}`;
  const lines: string[] = [];
  const logger = pino(
    { level: 'debug', base: { node: name } },
    { write: (line) => void lines.push(line) },
  );
  const node = await startNode(
    {
      ...more,
      storage: { engine: 'memory', ...more.storage },
      authentication: { adminUsername: USER.username, adminPassword: USER.password },
      replication: {
        hostname: name,
        securePort: `${address}:${port}`,
        url,
        pingInterval: 400,
        ...more.replication,
      },
    },
    { logger, ...options },
  );
  t.teardown(() => node.close());
  return {
    node,
    name: node.name,
    url,
    address,
    port,
    log: () => lines.join(''),
    send: async (operation) =>
      ((await node.send(operation as never)) as { message: string }).message,
    rows: async (table) =>
      (await node.send({
        operation: 'search_by_value',
        database: 'system',
        table,
        attribute: 'name',
        value: '*',
      } as never)) as Record<string, unknown>[],
  };
};

interface Connections {
  readonly connections: readonly { name: string; connected: boolean; reason?: string }[];
}

export const connectionsOf = async ({ node }: SecureNode): Promise<Connections['connections']> =>
  ((await node.send({ operation: 'cluster_status' } as never)) as Connections).connections;

/** Resolves when each is connected with all others. */
export const meshed = (nodes: readonly SecureNode[]): Promise<unknown> =>
  waitUntil(
    'all nodes to be connected',
    async () => {
      const counts = await Promise.all(
        nodes.map(
          async (node) => (await connectionsOf(node)).filter((one) => one.connected).length,
        ),
      );
      return counts.every((count) => count === nodes.length - 1);
    },
    20_000,
  );

/** A stranger at the TLS port. */
export const knock = (
  { url }: { url: string },
  options: { shown?: KeyedCertificate; purpose?: string } = {},
): Promise<RawPeer> => {
  const { shown, purpose = 'skein.replication.v1' } = options;
  return openRawPeer(url, {
    subprotocols: [purpose],
    rejectUnauthorized: false,
    ...(shown && { cert: shown.certificate, key: shown.key }),
  });
};
