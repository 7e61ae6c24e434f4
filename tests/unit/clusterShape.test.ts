/** The shapes of cluster_status: documented names at their places, our own beside them, and nothing that is not known. */
import test from 'ava';
import {
  connectionShape,
  databaseShape,
  memberShape,
  type MemberShape,
} from '../../actors/operations/clusterShape.js';
import type {
  DatabaseStatus,
  FeedStatus,
  PeerStanding,
  PeerStatus,
  ResyncStatus,
  StreamStatus,
} from '../../actors/messages.js';
import { stepCopyPace } from '../../protocol/copyPace.js';
import { databaseName, nodeName, sequence, version } from '../../protocol/ids.js';
import { startStanding, stepStanding, type StreamStanding } from '../../protocol/standing.js';
import { originNamed } from '../support/scenario.js';

const NOW = 1_700_000_000_000;
const NOW_TEXT = 'Tue, 14 Nov 2023 22:13:20 GMT';
const [PEER, DATA] = [nodeName('b'), databaseName('data')];

/** Opened `ms` ago with so many entries missing since. */
const missing = (count: number, ms = 0): StreamStanding => {
  const told = { sequence: sequence(count), version: version((NOW - ms) * 2048) };
  const places = count === 0 ? [] : [{ origin: originNamed('b'), told, held: undefined }];
  return stepStanding(startStanding(NOW - ms), { type: 'opened', places }, NOW - ms);
};

const standing = (more: Partial<PeerStanding> = {}): PeerStanding => ({
  peer: PEER,
  sources: [PEER],
  entriesBehind: 0,
  receiving: missing(0),
  whole: true,
  nowMs: NOW,
  ...more,
});

const database = (more: Partial<DatabaseStatus> = {}): DatabaseStatus => ({
  database: DATA,
  origin: originNamed('a'),
  positions: [],
  clock: version(1),
  ready: true,
  ownPast: null,
  refuses: [],
  refusedBy: [],
  copy: null,
  copyPace: null,
  peers: [standing()],
  parted: [],
  nowMs: NOW,
  ...more,
});

const feed = (more: Partial<FeedStatus> = {}): FeedStatus => ({
  sendingMs: null,
  confirmedMs: null,
  entriesUnsent: 0,
  copying: false,
  sending: missing(0),
  copyMovedMs: null,
  backPressurePercent: 7,
  nowMs: NOW,
  ...more,
});

const resync = (more: Partial<ResyncStatus> = {}): ResyncStatus => ({
  phase: 'live',
  lastReceivedRemoteMs: null,
  lastReceivedLocalMs: null,
  receiving: false,
  copyMovedMs: null,
  partMovedMs: null,
  startedMs: NOW,
  nowMs: NOW,
  ...more,
});

const stream = (more: Partial<StreamStatus> = {}): StreamStatus => ({
  database: DATA,
  isServed: true,
  sending: feed(),
  receiving: resync(),
  ...more,
});

const peer = (more: Partial<PeerStatus> = {}): PeerStatus => ({
  name: PEER,
  url: 'ws://b:9933',
  connected: true,
  phase: 'open',
  attempt: 0,
  rttMs: 1.5,
  lastHeardMs: NOW - 10,
  databases: [stream()],
  ...more,
});

const shape = (
  of: PeerStatus,
  databases: readonly DatabaseStatus[] = [database()],
  member?: MemberShape,
): Record<string, unknown> =>
  connectionShape(of, { databases, member, silentMsMax: 30_000 }) as Record<string, unknown>;

const socket = (...of: Parameters<typeof shape>): Record<string, unknown> => {
  const [first] = shape(...of)['database_sockets'] as Record<string, unknown>[];
  return first ?? {};
};

test('every documented field has its name, place and form', (t) => {
  const full = stream({
    sending: feed({ sendingMs: NOW, confirmedMs: NOW, entriesUnsent: 3 }),
    receiving: resync({ lastReceivedRemoteMs: NOW + 0.5, lastReceivedLocalMs: NOW }),
  });
  const lastError = { code: 1006, timeMs: NOW, reason: 'lost' };
  t.deepEqual(socket(peer({ databases: [full], lastError })), {
    database: 'data',
    connected: true,
    latency: 1.5,
    rttMs: 1.5,
    thread_id: 'peer:b',
    nodes: ['b'],
    sendingMessage: NOW_TEXT,
    lastCommitConfirmed: NOW_TEXT,
    lastReceivedRemoteTime: NOW_TEXT,
    lastReceivedVersion: NOW + 0.5,
    lastReceivedLocalTime: NOW_TEXT,
    lastReceivedStatus: 'Waiting',
    backPressurePercent: 7,
    lastLiveness: NOW - 10,
    lastConnectionError: { code: 1006, time: NOW, reason: 'lost' },
    state: 'HEALTHY',
    entriesBehind: 0,
    lagMs: 0,
    entriesUnsent: 3,
    receiving: { state: 'HEALTHY', entriesBehind: 0, lagMs: 0 },
    sending: { state: 'HEALTHY', entriesBehind: 0, lagMs: 0 },
  });
});

test('times that are not known are left out', (t) => {
  const { rttMs: _rtt, lastHeardMs: _heard, ...unheard } = peer();
  const shown = socket(unheard);
  for (const name of [
    'latency',
    'sendingMessage',
    'lastCommitConfirmed',
    'lastReceivedRemoteTime',
    'lastReceivedLocalTime',
    'lastReceivedVersion',
    'lastLiveness',
    'lastConnectionError',
  ])
    t.false(name in shown, name);
});

test('the state of a socket is the worse of both directions', (t) => {
  const stuck = stream({ sending: feed({ sending: missing(4, 12_000) }) });
  const shown = socket(peer({ databases: [stuck] }));
  t.like(shown, { state: 'STALLED', connected: true, entriesBehind: 0 });
  t.like(shown['sending'], { state: 'STALLED', entriesBehind: 4, lagMs: 12_000 });
  t.like(shown['receiving'], { state: 'HEALTHY' });
});

for (const [name, of, databases, expected] of [
  [
    'a link that is closed',
    peer({ connected: false, reason: 'refused' }),
    undefined,
    'DISCONNECTED',
  ],
  ['no stream in', peer(), [database({ peers: [] })], 'CATCHING_UP'],
  [
    'no stream in for long',
    peer({ databases: [stream({ receiving: resync({ startedMs: NOW - 10_000 }) })] }),
    [database({ peers: [] })],
    'STALLED',
  ],
  [
    'a database the peer refuses',
    peer({ databases: [stream({ receiving: null })] }),
    [database({ peers: [] })],
    'STALLED',
  ],
  [
    'no stream out',
    peer({ databases: [stream({ isServed: false, sending: null })] }),
    undefined,
    'CATCHING_UP',
  ],
  [
    'no stream out for long',
    peer({
      databases: [
        stream({ isServed: false, sending: null, receiving: resync({ startedMs: NOW - 10_000 }) }),
      ],
    }),
    undefined,
    'STALLED',
  ],
] as const)
  test(`${name} is never connected: ${expected}`, (t) => {
    const shown = socket(of, databases);
    t.is(shown['connected'], false);
    t.is(shown['state'], expected);
    t.true(String(shown['reason'] ?? '').length > 0);
  });

test('a feed that is busy sending is connected', (t) => {
  const shown = socket(peer({ databases: [stream({ sending: null })] }));
  t.like(shown, { connected: true, state: 'CATCHING_UP', reason: 'busy sending' });
  t.false('entriesBehind' in (shown['sending'] as object));
});

test('a link that has been silent for too long is not HEALTHY, and its lag is the silence', (t) => {
  const shown = socket(peer({ lastHeardMs: NOW - 40_000 }));
  t.like(shown, { state: 'STALLED', lagMs: 40_000 });
  t.like(shown['sending'], { state: 'STALLED', lagMs: 40_000 });
});

test('a peer that is gone is shown with what was missing then', (t) => {
  const gone = database({ peers: [], parted: [standing({ receiving: missing(4, 5_000) })] });
  const shown = socket(peer({ connected: false, reason: 'refused' }), [gone]);
  t.like(shown, { state: 'DISCONNECTED', reason: 'refused', entriesBehind: 4, lagMs: 5_000 });
  t.is((databaseShape(gone, 60_000) as { entriesBehind: number }).entriesBehind, 4);
});

test('a peer that was never linked has no numbers', (t) => {
  const shown = socket(peer({ connected: false }), [database({ peers: [] })]);
  t.false('entriesBehind' in shown || 'lagMs' in shown);
});

test('a peer that copies is being caught up, whoever it copies from', (t) => {
  const shown = socket(peer(), [database({ peers: [standing({ whole: false })] })]);
  t.like(shown['sending'], { state: 'CATCHING_UP', reason: 'initial copy' });
});

test('a member has its row, without secrets, and no more than is set', (t) => {
  const shown = {
    name: 'b',
    replicates: false,
    subscriptions: [{ database: 'data' }],
    shard: 2,
    start_time: null,
    authorization: 'secret',
    ca: 'certificate',
    __createdtime__: 1,
  };
  const member: MemberShape = { name: 'b', shown, isLeader: true };
  const row = { replicates: false, subscriptions: shown.subscriptions, shard: 2, isLeader: true };
  const { database_sockets: _sockets, ...connection } = shape(peer(), undefined, member);
  t.deepEqual(connection, {
    ...row,
    name: 'b',
    url: 'ws://b:9933',
    connected: true,
    phase: 'open',
  });
  t.deepEqual(memberShape(member), { ...row, name: 'b', connected: false, database_sockets: [] });
  t.deepEqual(memberShape({ name: 'c', shown: {}, isLeader: false }), {
    replicates: true,
    name: 'c',
    connected: false,
    database_sockets: [],
  });
});

test('a copy tells percent, speed and what is left; 100 only when it is complete', (t) => {
  const copy = { from: PEER, rowsDone: 500, rowsEstimated: 500 };
  const begun = stepCopyPace(null, { rowsDone: 100, rowsEstimated: 600 }, NOW - 4_000);
  const half = stepCopyPace(begun, { rowsDone: 300, rowsEstimated: 600 }, NOW);
  const shown = (more: Partial<DatabaseStatus>): unknown =>
    (databaseShape(database({ copy, ...more }), 60_000) as { copy?: unknown }).copy;
  const base = { from: 'b', rows_done: 500, rows_estimated: 500 };
  t.deepEqual(shown({ copyPace: half }), {
    ...base,
    percent: 50,
    rows_per_second: 50,
    remaining_ms: 6_000,
  });
  t.deepEqual(shown({ copyPace: null }), { ...base, percent: 0 });
  const all = stepCopyPace(half, { rowsDone: 600, rowsEstimated: 600 }, NOW);
  t.like(shown({ copyPace: all }), { percent: 99.9 });
  t.deepEqual(shown({ copyPace: stepCopyPace(all, 'complete', NOW) }), { ...base, percent: 100 });
  t.false('copy' in databaseShape(database(), 60_000));
});
