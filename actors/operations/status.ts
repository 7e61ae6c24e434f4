/** cluster_status and system_information, with the documented names and this product's additions. */
import { cpus, freemem, hostname, loadavg, release, totalmem, uptime } from 'node:os';
import type { RecordObject } from '../../protocol/operations.js';
import { takesPart } from './joining.js';
import type { MembershipView } from '../messages.js';
import { connectionShape, databaseShape, memberShape, type MemberShape } from './clusterShape.js';
import type { OperationContext } from './context.js';

/** On no link are two signs of life further apart by design; below this, a busy machine is heard late. */
const SILENT_MS_MIN = 1_000;

export const clusterStatus = async (context: OperationContext): Promise<RecordObject> => {
  const { databases, peers, membership } = await context.overview();
  const { node, replication } = context.config;
  const members: readonly MemberShape[] = membership?.nodes ?? [];
  const silentMsMax = Math.max(SILENT_MS_MIN, replication.pingIntervalMs);
  const own = membership && { own: { name: node.name, rules: membership.rules } };
  const shard = membership?.own?.['shard'];
  return {
    type: 'cluster-status',
    node_name: node.name,
    url: node.url,
    ...(shard != null && { shard }),
    is_enabled: membership === null || membership.standing === 'unknown' || takesPart(membership),
    ...(membership !== null && membershipShape(membership)),
    databases: databases.map((status) => databaseShape(status, replication.maxClockSkewMs)),
    connections: [
      ...peers.map((peer) => {
        const member = members.find(({ name }) => name === peer.name);
        return connectionShape(peer, { databases, member, silentMsMax, ...own });
      }),
      ...members
        .filter(({ name }) => name !== node.name && !peers.some((peer) => peer.name === name))
        .map((member) => memberShape(member, node.name)),
    ],
  };
};

const membershipShape = ({ standing, problems }: MembershipView): RecordObject => ({
  membership: standing,
  ...(problems.length > 0 && { problems }),
});

export const systemInformation = (attributes: readonly string[] | undefined): RecordObject => {
  const all: Record<string, () => unknown> = {
    system: () => ({
      platform: process.platform,
      release: release(),
      hostname: hostname(),
      node_version: process.version,
    }),
    time: () => ({ current: Date.now(), uptime: uptime() }),
    cpu: () => ({ cores: cpus().length, model: cpus()[0]?.model, current_load: loadavg() }),
    memory: () => ({ total: totalmem(), free: freemem(), ...process.memoryUsage() }),
    process: () => ({ pid: process.pid, uptime: process.uptime(), ...process.cpuUsage() }),
  };
  const wanted = attributes ?? Object.keys(all);
  return Object.fromEntries(
    wanted.filter((name) => Object.hasOwn(all, name)).map((name) => [name, all[name]?.()]),
  );
};
