/**
 * One link from its first byte to its last: greeting, identity, keep-alive. Driven by the peerConnection actor,
 * which owns the socket. Pure: time comes with each event.
 *
 *   greeting ──Hello/Welcome accepted──> open ──silence, Bye, close──> closed
 *       └────────refused, too slow──────────────────────────────────────^
 *
 * Invariants: identity is what the transport proved (certificate, or IP address on the insecure port), never what a
 * frame says; nothing but Hello, Welcome and Bye is accepted before `open`; after `closed` nothing has an effect.
 * One name is one process: before a link of another process opens beside an open one, `admission` is asked.
 */
import { PROTOCOL_VERSION, type ControlFrame, type Greeting } from './frames.js';
import type { NodeName } from './ids.js';

export interface SessionOptions {
  readonly greeting: Omit<Greeting, 'nowMs' | 'clock'>;
  readonly dialled: boolean;
  /** The name the transport proved for the other end. */
  readonly proven: NodeName;
  /** The node that was meant to be reached; the same as `proven` on the accepting side. */
  readonly expected: NodeName;
  readonly greetingMsMax: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
}

export interface SessionState {
  readonly phase: 'greeting' | 'open' | 'closed';
  readonly options: SessionOptions;
  readonly startedMs: number;
  readonly lastHeardMs: number;
  readonly peer: Greeting | null;
  readonly ping: { readonly id: number; readonly sentMs: number } | null;
  readonly nextPingId: number;
  readonly rttMs: number | null;
}

export type SessionEvent =
  | { readonly type: 'started'; readonly clock: Greeting['clock'] }
  | { readonly type: 'frame'; readonly frame: ControlFrame; readonly clock: Greeting['clock'] }
  /** Bytes of any kind arrived. */
  | { readonly type: 'heard' }
  /** Somebody has to know now whether the peer is there. */
  | { readonly type: 'probed' }
  /** At least every quarter of the ping interval. */
  | { readonly type: 'ticked' }
  | { readonly type: 'malformed'; readonly reason: string }
  | { readonly type: 'socketClosed' };

export type SessionEffect =
  | { readonly type: 'sendFrame'; readonly frame: ControlFrame }
  | { readonly type: 'opened'; readonly peer: Greeting }
  | { readonly type: 'measured'; readonly rttMs: number }
  | { readonly type: 'close'; readonly code: number; readonly reason: string };

/** WebSocket close codes: 1008 the other side must change something; 1011 transient trouble. */
const POLICY = 1008;
const TRANSIENT = 1011;
const NORMAL = 1000;

export const startSession = (options: SessionOptions, nowMs: number): SessionState => ({
  phase: 'greeting',
  options,
  startedMs: nowMs,
  lastHeardMs: nowMs,
  peer: null,
  ping: null,
  nextPingId: 1,
  rttMs: null,
});

export const stepSession = (
  state: SessionState,
  event: SessionEvent,
  nowMs: number,
): [SessionState, SessionEffect[]] => {
  if (state.phase === 'closed') return [state, []];
  switch (event.type) {
    case 'started':
      return [state, state.options.dialled ? [hello(state, event.clock, nowMs)] : []];
    case 'frame':
      return onFrame({ ...state, lastHeardMs: nowMs }, event, nowMs);
    case 'heard':
      return [{ ...state, lastHeardMs: nowMs }, []];
    case 'probed':
      return onProbe(state, nowMs);
    case 'ticked':
      return onTick(state, nowMs);
    case 'malformed':
      return close(state, POLICY, event.reason);
    case 'socketClosed':
      return [{ ...state, phase: 'closed' }, []];
    default:
      return event satisfies never;
  }
};

const hello = (
  { options }: SessionState,
  clock: Greeting['clock'],
  nowMs: number,
): SessionEffect => ({
  type: 'sendFrame',
  frame: { kind: options.dialled ? 'Hello' : 'Welcome', ...options.greeting, clock, nowMs },
});

const onFrame = (
  state: SessionState,
  { frame, clock }: { frame: ControlFrame; clock: Greeting['clock'] },
  nowMs: number,
): [SessionState, SessionEffect[]] => {
  if (frame.kind === 'Bye') return close(state, NORMAL, `the peer left: ${frame.reason}`);
  if (state.phase === 'greeting') return onGreeting(state, frame, clock, nowMs);
  switch (frame.kind) {
    case 'Ping':
      return [state, [{ type: 'sendFrame', frame: { kind: 'Pong', id: frame.id } }]];
    case 'Pong':
      return onPong(state, frame.id, nowMs);
    case 'Hello':
    case 'Welcome':
      return close(state, POLICY, `${frame.kind} on a link that is already open`);
    case 'Operation':
    case 'OperationResult':
      return close(state, POLICY, `${frame.kind} needs a connection of its own`);
    default:
      return [state, []];
  }
};

const onGreeting = (
  state: SessionState,
  frame: ControlFrame,
  clock: Greeting['clock'],
  nowMs: number,
): [SessionState, SessionEffect[]] => {
  const wanted = state.options.dialled ? 'Welcome' : 'Hello';
  if (frame.kind !== wanted)
    return close(state, POLICY, `expected ${wanted} first, received ${frame.kind}`);
  const { kind: _kind, ...peer } = frame;
  const refusal = refusalOf(state.options, peer);
  if (refusal) return close(state, POLICY, refusal);
  const answer = state.options.dialled ? [] : [hello(state, clock, nowMs)];
  return [{ ...state, phase: 'open', peer }, [...answer, { type: 'opened', peer }]];
};

const refusalOf = (options: SessionOptions, peer: Greeting): string | null => {
  const { min, max } = peer.versions;
  const own = options.greeting.node;
  if (min > PROTOCOL_VERSION || max < PROTOCOL_VERSION)
    return `protocol version ${PROTOCOL_VERSION} needed, the peer speaks ${min} to ${max}`;
  if (options.proven === own || peer.node === own) return `Should not connect to self: ${own}`;
  if (options.proven !== options.expected)
    return `Node name mismatch: expected ${options.expected}, the connection proves ${options.proven}`;
  if (peer.node !== options.proven)
    return `Node name mismatch: the peer says ${peer.node}, the connection proves ${options.proven}`;
  return null;
};

const onPong = (
  state: SessionState,
  id: number,
  nowMs: number,
): [SessionState, SessionEffect[]] => {
  if (state.ping?.id !== id) return [state, []];
  const rttMs = nowMs - state.ping.sentMs;
  return [{ ...state, ping: null, rttMs }, [{ type: 'measured', rttMs }]];
};

const onTick = (state: SessionState, nowMs: number): [SessionState, SessionEffect[]] => {
  const { options } = state;
  if (state.phase === 'greeting')
    return nowMs - state.startedMs > options.greetingMsMax
      ? close(state, TRANSIENT, `no greeting within ${options.greetingMsMax} ms`)
      : [state, []];
  const silentMs = nowMs - state.lastHeardMs;
  if (silentMs > options.pingTimeoutMs)
    return close(state, TRANSIENT, `nothing heard for ${Math.round(silentMs)} ms`);
  const lastPingMs = state.ping?.sentMs ?? -Infinity;
  const due = state.rttMs === null || silentMs >= options.pingIntervalMs / 2;
  if (!due || nowMs - lastPingMs < options.pingIntervalMs / 2) return [state, []];
  return ping(state, nowMs);
};

/** Questions that come in quick succession share a ping. */
const PROBES_APART_MS = 500;

const onProbe = (state: SessionState, nowMs: number): [SessionState, SessionEffect[]] => {
  const lastPingMs = state.ping?.sentMs ?? -Infinity;
  if (state.phase !== 'open' || nowMs - lastPingMs < PROBES_APART_MS) return [state, []];
  return ping(state, nowMs);
};

const ping = (state: SessionState, nowMs: number): [SessionState, SessionEffect[]] => {
  const id = state.nextPingId;
  return [
    { ...state, ping: { id, sentMs: nowMs }, nextPingId: id + 1 },
    [{ type: 'sendFrame', frame: { kind: 'Ping', id } }],
  ];
};

const close = (
  state: SessionState,
  code: number,
  reason: string,
): [SessionState, SessionEffect[]] => [
  { ...state, phase: 'closed' },
  [{ type: 'close', code, reason }],
];

/** What is compared of two open links to one peer. */
export interface OpenLink {
  readonly dialled: boolean;
  /** Order in which this node's links finished their greeting. */
  readonly opened: number;
  /** The peer's, as it greeted. */
  readonly process: string;
}

/**
 * Whether a link whose greeting has arrived may open beside the one that is open. Two processes never take part under
 * one name by turns: who is heard on the open link stays, and only a peer that is not heard any more is replaced by
 * its next process. `heard`: on the open link since it was probed for this; null when it has not been.
 */
export const admission = (question: {
  /** Of the open link. */
  openProcess: string;
  newProcess: string;
  heard: boolean | null;
}): 'admit' | 'probe' | 'refuse' => {
  const { openProcess, newProcess, heard } = question;
  if (openProcess === newProcess) return 'admit';
  if (heard === null) return 'probe';
  return heard ? 'refuse' : 'admit';
};

/**
 * Which of two open links to one peer goes on; both ends decide alike. Of two processes the later admitted one.
 * Dialled by the same side: the later. Otherwise the one dialled by the smaller name.
 */
export const keepsNewer = (question: {
  own: NodeName;
  peer: NodeName;
  older: OpenLink;
  newer: OpenLink;
}): boolean => {
  const { own, peer, older, newer } = question;
  if (older.process !== newer.process || older.dialled === newer.dialled) return true;
  return newer.dialled === own < peer;
};

/** Wait before attempt `attempt` (from 1): doubling, capped, between half and all of it. `random` in [0, 1). */
export const reconnectDelayMs = (question: {
  attempt: number;
  msMin: number;
  msMax: number;
  random: number;
}): number => {
  const { attempt, msMin, msMax, random } = question;
  const full = Math.min(msMax, msMin * 2 ** Math.min(attempt - 1, 20));
  return full * (0.5 + random / 2);
};
