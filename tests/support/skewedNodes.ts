/**
 * Nodes inside the test's process, each with a wall clock of its own that can be put forward and back while it runs. Used
 * by the tests of clocks; closes what it started when the test ends.
 */
import type { ExecutionContext } from 'ava';
import { systemEnvironment } from '../../actors/environment.js';
import type { ConfigInput } from '../../config/types.js';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { actorAt, memoryConfig, SILENT } from './embedded.js';

export const HOUR_MS = 3_600_000;
export const ROUTER = '/cluster/router:data';

export interface SkewedNode {
  readonly node: Node;
  /** Milliseconds its clock is ahead of the true time. */
  skewMs: number;
}

export interface Skewed {
  /** `linked`: the nodes it has routes to, whether or not they run. */
  start(name: string, linked: string, skewMs?: number, more?: ConfigInput): Promise<SkewedNode>;
}

const SCHEMA = `
  type Row @table { id: ID @primaryKey  x: Int @indexed  y: Int }
  type Private @table(replicate: false) { id: ID @primaryKey  x: Int @indexed }`;

export const skewedNodes = (t: ExecutionContext): Skewed => {
  const network = new MemoryNetwork();
  const running: Node[] = [];
  t.teardown(() => Promise.all(running.map((node) => node.close())));
  return {
    start: async (name, linked, skewMs = 0, more = {}) => {
      const clock = { skewMs };
      const environment = { ...systemEnvironment(), now: () => Date.now() + clock.skewMs };
      const config = memoryConfig(name, [...linked], { schema: SCHEMA, ...more });
      const node = await startNode(config, { network, logger: SILENT, environment });
      running.push(node);
      return Object.assign(clock, { node });
    },
  };
};

export const originOf = (node: Node): string => String(actorAt(node, ROUTER).details.origin);

export const counterOf = (node: Node, name: string): number =>
  actorAt(node, ROUTER).counters[name] ?? 0;

export interface ClockStatus {
  readonly database: string;
  readonly ownPast?: string;
  readonly refuses?: {
    readonly reason: string;
    readonly entries: readonly {
      readonly node: string;
      readonly sequence: number;
      readonly aheadMs: number;
      readonly resumes: string;
    }[];
  };
  readonly refusedBy?: readonly { readonly node: string; readonly reason: string }[];
}

/** What cluster_status says of the database `data`. */
export const clockStatus = async (node: Node): Promise<ClockStatus | undefined> => {
  const { databases } = (await node.send({ operation: 'cluster_status' })) as {
    databases: ClockStatus[];
  };
  return databases.find(({ database }) => database === 'data');
};

/** What the connection to that peer says of the database `data`, in one direction. */
export const direction = async (
  node: Node,
  peer: string,
  which: 'receiving' | 'sending',
): Promise<{ state?: string; reason?: string }> => {
  const { connections } = (await node.send({ operation: 'cluster_status' })) as {
    connections: { name: string; database_sockets: Record<string, unknown>[] }[];
  };
  const sockets = connections.find(({ name }) => name === peer)?.database_sockets ?? [];
  return (sockets.find(({ database }) => database === 'data')?.[which] ?? {}) as object;
};
