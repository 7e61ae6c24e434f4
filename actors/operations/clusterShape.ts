/**
 * The parts of cluster_status: one object per database and per connection, with the documented names where they are
 * documented and this product's additions beside them. Called by status.ts; only says what it was told.
 */
import { readCopyPace } from '../../protocol/copyPace.js';
import { nodeOf, type OriginId } from '../../protocol/ids.js';
import type { RecordObject } from '../../protocol/operations.js';
import { aheadMs, refusedBecause, takenFromMs, wrongClock } from '../../protocol/refusals.js';
import {
  entriesBehindAll,
  readStanding,
  STALL_MS,
  type StandingReading,
  type State,
} from '../../protocol/standing.js';
import { isNothing, type FlowRules, type LinkScope } from '../../protocol/flow.js';
import { mirrored, type StatedFlow } from '../../protocol/flowRules.js';
import { nodeName } from '../../protocol/ids.js';
import type {
  DamageStatus,
  DatabaseStatus,
  NodeFlow,
  PeerStatus,
  StreamStatus,
} from '../messages.js';

/** A member as its row has it, without secrets. */
export interface MemberShape {
  readonly name: string;
  readonly shown: Readonly<Record<string, unknown>>;
  readonly isLeader: boolean;
  readonly flow?: NodeFlow;
}

/** `maxClockSkewMs`: how far ahead of the clock a stamp may lie. */
export const databaseShape = (status: DatabaseStatus, maxClockSkewMs: number): RecordObject => ({
  database: status.database,
  ready: status.ready,
  ...(status.readOnly !== undefined && { read_only: status.readOnly }),
  ...(status.damage && { damage: damageShape(status.damage) }),
  ...(status.ownPast !== null && { ownPast: status.ownPast }),
  origin: status.origin,
  positions: Object.fromEntries(status.positions.map(({ origin, sequence }) => [origin, sequence])),
  entriesBehind: entriesBehindAll(
    [...status.peers, ...status.parted].map(({ receiving }) => receiving),
  ),
  ...refusalsShape(status, maxClockSkewMs),
  ...copyShape(status),
});

/** What is not taken because of a clock, on either side; absent where there is nothing of it. */
const refusalsShape = (
  { refuses, refusedBy, nowMs, origin: own }: DatabaseStatus,
  maxClockSkewMs: number,
): RecordObject => ({
  ...(refuses.length > 0 && {
    refuses: {
      reason: wrongClock(refuses, nowMs),
      entries: refuses.map((refusal) => ({
        node: nodeOf(refusal.origin),
        origin: refusal.origin,
        sequence: refusal.sequence,
        aheadMs: aheadMs(refusal, nowMs),
        resumes: utc(takenFromMs(refusal, maxClockSkewMs)),
      })),
    },
  }),
  ...(refusedBy.length > 0 && {
    refusedBy: refusedBy.map((refusal) => ({
      node: refusal.peer,
      origin: refusal.origin,
      sequence: refusal.sequence,
      aheadMs: aheadMs(refusal, nowMs),
      reason: refusedBecause(refusal, nodeOf(own)),
    })),
  }),
});

const damageShape = ({ rows, named, tables, entries }: DamageStatus): RecordObject => ({
  rows,
  named: named.map(({ table, key }) => ({ table, key })),
  tables: tables.map(({ table, reason }) => ({ table, reason })),
  log_entries: entries,
});

const copyShape = ({ copy, copyPace, nowMs }: DatabaseStatus): RecordObject => {
  if (!copy) return {};
  const pace = copyPace ? readCopyPace(copyPace, nowMs) : { percent: 0 };
  return {
    copy: {
      from: copy.from,
      rows_done: copy.rowsDone,
      rows_estimated: copy.rowsEstimated,
      percent: pace.percent,
      ...(pace.rowsPerSecond !== undefined && { rows_per_second: pace.rowsPerSecond }),
      ...(pace.remainingMs !== undefined && { remaining_ms: pace.remainingMs }),
    },
  };
};

/** `silentMsMax`: how long a link with a peer that is there may be silent. */
export const connectionShape = (
  peer: PeerStatus,
  seen: {
    readonly databases: readonly DatabaseStatus[];
    readonly member: MemberShape | undefined;
    readonly silentMsMax: number;
    /** This node, and its rules; absent: they are not known, and hide nothing. */
    readonly own?: { readonly name: string; readonly rules: FlowRules };
  },
): RecordObject => ({
  replicates: true,
  ...(seen.member && memberFields(seen.member, seen.own?.name)),
  name: peer.name,
  url: peer.url,
  connected: peer.connected,
  phase: peer.phase,
  ...(peer.reason !== undefined && { reason: peer.reason }),
  ...(!peer.connected && { attempt: peer.attempt }),
  ...(peer.nextTryMs !== undefined && { nextTry: peer.nextTryMs }),
  database_sockets: peer.databases.flatMap((stream) => {
    const scope = seen.own?.rules.link(peer.name, stream.database);
    // What passes neither way has no socket.
    if (scope && isNothing(scope.sends) && isNothing(scope.receives)) return [];
    return socketShape({
      peer,
      stream,
      database: seen.databases.find((status) => status.database === stream.database),
      silentMsMax: seen.silentMsMax,
      closed: closedIn(scope, seen.member?.flow),
    });
  }),
});

/** Why a direction is closed by this node's rules; undefined: it is not. */
interface ClosedDirections {
  readonly sends: ClosedReading | undefined;
  readonly receives: ClosedReading | undefined;
}

const closedIn = (scope: LinkScope | undefined, flow: NodeFlow | undefined): ClosedDirections => {
  const of = (direction: 'sends' | 'receives'): ClosedReading | undefined =>
    scope && isNothing(scope[direction])
      ? { state: 'CLOSED', reason: `${direction}: false (${flow?.source ?? 'default'})` }
      : undefined;
  return { sends: of('sends'), receives: of('receives') };
};

/** A member this node has no link with and tries none. */
export const memberShape = (member: MemberShape, own?: string): RecordObject => ({
  replicates: true,
  ...memberFields(member, own),
  name: member.name,
  connected: false,
  database_sockets: [],
});

const memberFields = (
  { name: peer, shown, isLeader, flow }: MemberShape,
  own: string | undefined,
): RecordObject => ({
  ...Object.fromEntries(
    Object.entries(shown).filter(([name, value]) => value != null && !HIDDEN.has(name)),
  ),
  ...(isLeader && { isLeader }),
  ...(flow && { replicateByDefault: flow.replicateByDefault }),
  ...(flow?.startTimeMs != null && { start_time: flow.startTimeMs }),
  ...(flow?.route && own !== undefined && routeFields(flow.route, { own, peer })),
});

/** In the words of a row: directions from the view of the other node, subscriptions from that of this one. */
const routeFields = (
  { replicates, subscriptions }: StatedFlow,
  { own, peer }: { own: string; peer: string },
): RecordObject => ({
  replicates:
    typeof replicates === 'boolean'
      ? replicates
      : mirrored(replicates, { view: nodeName(own), other: nodeName(peer) }),
  ...(subscriptions && { subscriptions }),
});

/** Secrets, and what the documented answer leaves out. */
const HIDDEN = new Set(['authorization', 'ca', 'node_name', '__createdtime__', '__updatedtime__']);

interface Place {
  readonly peer: PeerStatus;
  readonly stream: StreamStatus;
  readonly database: DatabaseStatus | undefined;
  readonly silentMsMax: number;
  readonly closed: ClosedDirections;
}

const socketShape = (place: Place): RecordObject => {
  const { peer, stream, database, closed } = place;
  const standing = database?.peers.find((known) => known.peer === peer.name);
  const receiving = closed.receives ?? readReceiving(place);
  const sending = closed.sends ?? readSending(place);
  const isReceived = closed.receives !== undefined || standing !== undefined;
  const isSent = closed.sends !== undefined || stream.isServed;
  return {
    database: stream.database,
    connected: peer.connected && isReceived && isSent,
    ...(peer.rttMs !== undefined && { latency: peer.rttMs, rttMs: peer.rttMs }),
    thread_id: `peer:${peer.name}`,
    nodes: standing?.sources ?? [],
    ...documentedTimes(stream),
    ...(stream.sending && { backPressurePercent: stream.sending.backPressurePercent }),
    ...(peer.lastHeardMs !== undefined && { lastLiveness: peer.lastHeardMs }),
    ...(peer.lastError && {
      lastConnectionError: {
        code: peer.lastError.code,
        time: peer.lastError.timeMs,
        reason: peer.lastError.reason,
      },
    }),
    ...stateShape(peer, [receiving, sending]),
    ...('entriesBehind' in receiving && {
      entriesBehind: receiving.entriesBehind,
      lagMs: receiving.lagMs,
    }),
    ...(stream.sending && { entriesUnsent: stream.sending.entriesUnsent }),
    receiving,
    sending,
  };
};

const documentedTimes = ({ sending, receiving }: StreamStatus): RecordObject => ({
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
});

/** Numbers are absent where nothing is known. */
type Reading = StandingReading | Pick<StandingReading, 'state' | 'reason'> | ClosedReading;

interface ClosedReading {
  readonly state: 'CLOSED';
  readonly reason: string;
}

const readReceiving = ({ peer, stream, database, silentMsMax }: Place): Reading => {
  const { receiving } = stream;
  const isPeer = ({ peer: name }: { peer: string }): boolean => name === peer.name;
  const known = database?.peers.find(isPeer) ?? database?.parted.find(isPeer);
  if (!known) return notYetReceiving(peer, receiving);
  return readStanding(known.receiving, {
    nowMs: known.nowMs,
    isLinked: peer.connected,
    silentMs: silence(peer, known.nowMs),
    silentMsMax,
    copyMovedMs: receiving?.copyMovedMs ?? null,
    partMovedMs: receiving?.partMovedMs ?? null,
    waits: refusedHere(database),
  });
};

const notYetReceiving = (peer: PeerStatus, receiving: StreamStatus['receiving']): Reading => {
  if (!peer.connected) return { state: 'DISCONNECTED' };
  if (!receiving) return { state: 'STALLED', reason: 'the peer does not give this database' };
  return isYoung(receiving)
    ? OPENING
    : { state: 'STALLED', reason: 'the peer does not answer the subscription' };
};

/** Both directions begin with the link. */
const isYoung = (receiving: StreamStatus['receiving']): boolean =>
  receiving !== null && receiving.nowMs - receiving.startedMs < STALL_MS;

const OPENING: Reading = { state: 'CATCHING_UP', reason: 'the stream is being opened' };
const UNSUBSCRIBED: Reading = { state: 'STALLED', reason: 'the peer has not subscribed' };

const readSending = ({ peer, stream, database, silentMsMax }: Place): Reading => {
  const { sending } = stream;
  if (!peer.connected && !sending) return { state: 'DISCONNECTED' };
  if (!stream.isServed) return isYoung(stream.receiving) ? OPENING : UNSUBSCRIBED;
  if (!sending) return { state: 'CATCHING_UP', reason: 'busy sending' };
  const isCopying = database?.peers.find((known) => known.peer === peer.name)?.whole === false;
  return readStanding(sending.sending, {
    nowMs: sending.nowMs,
    isLinked: peer.connected,
    silentMs: silence(peer, sending.nowMs),
    silentMsMax,
    // It may be copying from another, which does not show here.
    copyMovedMs: sending.copyMovedMs ?? (isCopying ? sending.nowMs : null),
    partMovedMs: null,
    waits: refusedThere(peer, database),
  });
};

const refusedHere = (database: DatabaseStatus | undefined): Map<OriginId, string> => {
  const { refuses = [], nowMs = 0 } = database ?? {};
  const reason = wrongClock(refuses, nowMs) ?? '';
  return new Map(refuses.map(({ origin }) => [origin, reason]));
};

const refusedThere = (
  { name }: PeerStatus,
  database: DatabaseStatus | undefined,
): Map<OriginId, string> => {
  const { refusedBy = [], origin: own } = database ?? {};
  return new Map(
    refusedBy
      .filter(({ peer }) => peer === name)
      .map((refusal) => [refusal.origin, refusedBecause(refusal, nodeOf(own ?? refusal.origin))]),
  );
};

const silence = ({ lastHeardMs }: PeerStatus, nowMs: number): number =>
  lastHeardMs === undefined ? 0 : Math.max(0, nowMs - lastHeardMs);

const WORST_FIRST: readonly (State | 'CLOSED')[] = [
  'DISCONNECTED',
  'STALLED',
  'FALLING_BEHIND',
  'CATCHING_UP',
  'HEALTHY',
  'CLOSED',
];

/** The worse of both directions, and why. */
const stateShape = (peer: PeerStatus, readings: readonly Reading[]): RecordObject => {
  const [worst] = [...readings].sort(
    (a, b) => WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state),
  );
  if (worst?.state !== 'DISCONNECTED')
    return { state: worst?.state, ...(worst?.reason !== undefined && { reason: worst.reason }) };
  return {
    state: worst.state,
    reason: peer.reason ?? 'not connected',
    ...(peer.nextTryMs !== undefined && { nextTry: peer.nextTryMs }),
    attempt: peer.attempt,
  };
};

const utc = (ms: number): string => new Date(ms).toUTCString();
