/** cluster_status, system_information and user_info, with the documented names and this product's additions. */
import { cpus, freemem, hostname, loadavg, release, totalmem, uptime } from 'node:os';
import type { RecordObject } from '../../protocol/operations.js';
import type { DatabaseStatus, PeerStatus, StreamStatus } from '../messages.js';
import type { OperationContext } from './context.js';

export const clusterStatus = async (context: OperationContext): Promise<RecordObject> => {
  const { databases, peers } = await context.overview();
  return {
    type: 'cluster-status',
    node_name: context.config.node.name,
    url: context.config.node.url,
    is_enabled: true,
    databases: databases.map(databaseShape),
    connections: peers.map((peer) => connectionShape(peer, databases)),
  };
};

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

export const userInfo = (context: OperationContext): RecordObject => {
  const user = context.user;
  if (!user) return { username: null, active: true, role: { permission: { super_user: true } } };
  return {
    username: user.username,
    active: user.active,
    role: { role: user.role ?? null, permission: { super_user: user.superUser } },
  };
};

const databaseShape = (status: DatabaseStatus): RecordObject => ({
  database: status.database,
  ready: status.ready,
  origin: status.origin,
  positions: Object.fromEntries(status.positions.map(({ origin, sequence }) => [origin, sequence])),
  ...(status.copy && { copy: copyShape(status) }),
});

const copyShape = ({ copy }: DatabaseStatus): RecordObject => ({
  from: copy?.from ?? null,
  rows_done: copy?.rowsDone ?? 0,
  rows_estimated: copy?.rowsEstimated ?? 0,
});

const connectionShape = (peer: PeerStatus, databases: readonly DatabaseStatus[]): RecordObject => ({
  name: peer.name,
  url: peer.url,
  replicates: true,
  connected: peer.connected,
  phase: peer.phase,
  ...(peer.reason !== undefined && { reason: peer.reason }),
  ...(!peer.connected && { attempt: peer.attempt }),
  ...(peer.nextTryMs !== undefined && { nextTry: peer.nextTryMs }),
  database_sockets: peer.databases.map((stream) => socketShape(peer, stream, databases)),
});

const socketShape = (
  peer: PeerStatus,
  stream: StreamStatus,
  databases: readonly DatabaseStatus[],
): RecordObject => {
  const { sending, receiving } = stream;
  const database = databases.find((status) => status.database === stream.database);
  const standing = database?.peers.find((known) => known.peer === peer.name);
  const connected = peer.connected && standing !== undefined;
  const rate = {
    ...(sending?.sendingMs != null && { sendingMessage: utc(sending.sendingMs) }),
    ...(sending?.copying && { sendingMessage: 'Copying' }),
    ...(sending?.confirmedMs != null && { lastCommitConfirmed: utc(sending.confirmedMs) }),
    ...(receiving?.lastReceivedRemoteMs != null && {
      lastReceivedRemoteTime: utc(receiving.lastReceivedRemoteMs),
      lastReceivedVersion: receiving.lastReceivedRemoteMs,
    }),
    ...(receiving?.lastReceivedLocalMs != null && {
      lastReceivedLocalTime: utc(receiving.lastReceivedLocalMs),
    }),
    ...(receiving && { lastReceivedStatus: receiving.receiving ? 'Receiving' : 'Waiting' }),
  };
  return {
    database: stream.database,
    connected,
    ...(peer.rttMs !== undefined && { latency: peer.rttMs, rttMs: peer.rttMs }),
    thread_id: `peer:${peer.name}`,
    nodes: standing?.sources ?? [],
    ...rate,
    ...(peer.lastHeardMs !== undefined && { lastLiveness: peer.lastHeardMs }),
    ...(peer.lastError && {
      lastConnectionError: {
        code: peer.lastError.code,
        time: peer.lastError.timeMs,
        reason: peer.lastError.reason,
      },
    }),
    ...stateShape({ peer, connected, stream, database }),
    ...(standing && { entriesBehind: standing.entriesBehind, lagMs: standing.lagMs }),
    ...(sending && { entriesUnsent: sending.entriesBehind }),
  };
};

/** Our own additions: what the stream is doing, and why it is not connected. */
const stateShape = (place: {
  peer: PeerStatus;
  connected: boolean;
  stream: StreamStatus;
  database: DatabaseStatus | undefined;
}): RecordObject => {
  const { peer, connected, stream, database } = place;
  if (!connected)
    return {
      state: 'DISCONNECTED',
      reason: peer.reason ?? (peer.connected ? 'the stream is being opened' : 'not connected'),
      ...(peer.nextTryMs !== undefined && { nextTry: peer.nextTryMs }),
      attempt: peer.attempt,
    };
  if (stream.receiving?.phase === 'copying')
    return { state: 'CATCHING_UP', reason: 'initial copy' };
  const behind = database?.peers.find(({ peer: name }) => name === peer.name)?.entriesBehind ?? 0;
  return { state: behind > 0 ? 'CATCHING_UP' : 'HEALTHY' };
};

const utc = (ms: number): string => new Date(ms).toUTCString();
