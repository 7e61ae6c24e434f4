/**
 * The sending end of a stream: reads the log from each wanted origin's position, within the receiver's credit, and
 * tells of positions the receiver did not ask for. Driven by the tableSubscription actor. Live replication and
 * catching up are the same code at different distances from the end.
 *
 * Invariants: at most one read under way; nothing is sent beyond credit, except the rest of one transaction
 * larger than the window; a position moves only by what was sent; nothing is skipped: a log that begins
 * later is answered with `tooOld`.
 */
import type { CopyPlaceOnWire, OriginPosition, Want } from './frames.js';
import type { TableScope } from './flow.js';
import type { NodeName, OriginId, Sequence } from './ids.js';
import { limits } from './limits.js';

export interface FeedState {
  readonly subscriber: NodeName;
  readonly wants: ReadonlyMap<OriginId, number>;
  /** Durable positions of the own log. */
  readonly log: ReadonlyMap<OriginId, OriginPosition>;
  /** Highest position told of each origin. */
  readonly told: ReadonlyMap<OriginId, number>;
  /** What the receiver lets be under way, and what of it is left. */
  readonly windowBytes: number;
  readonly creditBytes: number;
  readonly congested: boolean;
  readonly reading: boolean;
  readonly copying: 'no' | 'opening' | 'open';
  readonly noticeDue: boolean;
  /** Origin read last, so that none starves. */
  readonly lastOrigin: OriginId | null;
}

export type FeedEvent =
  | { readonly type: 'wanted'; readonly add: readonly Want[]; readonly drop: readonly OriginId[] }
  | { readonly type: 'credited'; readonly bytes: number }
  | { readonly type: 'logAdvanced'; readonly positions: readonly OriginPosition[] }
  | {
      readonly type: 'entriesRead';
      readonly origin: OriginId;
      readonly after: number;
      /** Number of entries and their bytes; `tooOld` when the log begins later. */
      readonly result: { readonly count: number; readonly bytes: number } | 'end' | 'tooOld';
      readonly logStart: Sequence;
    }
  | {
      readonly type: 'copyRequested';
      readonly after: CopyPlaceOnWire | null;
      /** Only these; absent: all. */
      readonly tables?: TableScope;
    }
  | { readonly type: 'copyOpened' }
  | { readonly type: 'copyRead'; readonly bytes: number; readonly ended: boolean }
  | { readonly type: 'copyEnded' }
  | { readonly type: 'congestionChanged'; readonly congested: boolean }
  | { readonly type: 'noticeTimer' };

export type FeedEffect =
  | {
      readonly type: 'readEntries';
      readonly origin: OriginId;
      readonly after: number;
      readonly bytesMax: number;
    }
  /** Send the entries of the read that was just reported. */
  | { readonly type: 'sendEntries' }
  | { readonly type: 'sendTooOld'; readonly origin: OriginId; readonly logStart: Sequence }
  | { readonly type: 'sendNotice'; readonly positions: readonly OriginPosition[] }
  | { readonly type: 'startNoticeTimer' }
  | {
      readonly type: 'openCopy';
      readonly after: CopyPlaceOnWire | null;
      readonly tables?: TableScope;
    }
  | { readonly type: 'readCopy'; readonly bytesMax: number }
  /** Send the rows of the read that was just reported; `ended` follows with CopyEnd. */
  | { readonly type: 'sendCopyRows'; readonly ended: boolean };

export const startFeed = (options: {
  subscriber: NodeName;
  windowBytes: number;
  log: readonly OriginPosition[];
}): FeedState => ({
  subscriber: options.subscriber,
  wants: new Map(),
  log: new Map(options.log.map((position) => [position.origin, position])),
  told: new Map(options.log.map(({ origin, sequence }) => [origin, sequence])),
  windowBytes: Math.min(options.windowBytes, limits.streamWindowBytes),
  creditBytes: Math.min(options.windowBytes, limits.streamWindowBytes),
  congested: false,
  reading: false,
  copying: 'no',
  noticeDue: false,
  lastOrigin: null,
});

export const stepFeed = (state: FeedState, event: FeedEvent): [FeedState, FeedEffect[]] => {
  switch (event.type) {
    case 'wanted':
      return pump({ ...state, wants: changedWants(state.wants, event) });
    case 'credited':
      return pump({ ...state, creditBytes: state.creditBytes + event.bytes });
    case 'logAdvanced':
      return onAdvanced(state, event.positions);
    case 'entriesRead':
      return onRead(state, event);
    case 'copyRequested':
      // A copy that is open ends: the subscriber begins again, from a new snapshot.
      if (state.copying === 'opening') return [state, []];
      return [{ ...state, copying: 'opening' }, [{ ...event, type: 'openCopy' }]];
    case 'copyOpened':
      return pump({ ...state, copying: 'open' });
    case 'copyRead':
      return onCopyRead(state, event);
    case 'copyEnded':
      return pump({ ...state, copying: 'no' });
    case 'congestionChanged':
      return pump({ ...state, congested: event.congested });
    case 'noticeTimer':
      return onNoticeTimer(state);
    default:
      return event satisfies never;
  }
};

/** Whether the receiver takes more now. */
export const hasRoom = ({ copying, windowBytes, creditBytes }: FeedState): boolean =>
  creditBytes > 0 && (copying !== 'open' || windowBytes - creditBytes < limits.copyWindowBytes);

/** Entries and origins that the subscriber wants and has not been sent. */
export const backlogOf = (state: FeedState): number => {
  let entries = 0;
  for (const [origin, after] of state.wants)
    entries += Math.max(0, (state.log.get(origin)?.sequence ?? 0) - after);
  return entries;
};

const changedWants = (
  wants: ReadonlyMap<OriginId, number>,
  change: { add: readonly Want[]; drop: readonly OriginId[] },
): Map<OriginId, number> => {
  const changed = new Map(wants);
  for (const origin of change.drop) changed.delete(origin);
  for (const { origin, after } of change.add) changed.set(origin, after);
  return changed;
};

/** Starts the next read when there is something to send and room for it. A copy goes before the log. */
const pump = (state: FeedState): [FeedState, FeedEffect[]] => {
  if (state.reading || state.congested || !hasRoom(state)) return [state, []];
  const bytesMax = Math.min(limits.frameBytesTarget, state.creditBytes);
  if (state.copying === 'opening') return [state, []];
  if (state.copying === 'open')
    return [{ ...state, reading: true }, [{ type: 'readCopy', bytesMax }]];
  const origin = nextOrigin(state);
  if (origin === null) return [state, []];
  const after = state.wants.get(origin) ?? 0;
  return [
    { ...state, reading: true, lastOrigin: origin },
    [{ type: 'readEntries', origin, after, bytesMax }],
  ];
};

/** Round robin over the wanted origins that have more. */
const nextOrigin = (state: FeedState): OriginId | null => {
  let first: OriginId | null = null;
  let passedLast = false;
  for (const [origin, after] of state.wants) {
    if ((state.log.get(origin)?.sequence ?? 0) > after) {
      first ??= origin;
      if (passedLast) return origin;
    }
    if (origin === state.lastOrigin) passedLast = true;
  }
  return first;
};

const onAdvanced = (
  state: FeedState,
  positions: readonly OriginPosition[],
): [FeedState, FeedEffect[]] => {
  const log = new Map(state.log);
  for (const position of positions) log.set(position.origin, position);
  const [next, effects] = pump({ ...state, log });
  if (next.noticeDue) return [next, effects];
  return [{ ...next, noticeDue: true }, [...effects, { type: 'startNoticeTimer' }]];
};

const onRead = (
  state: FeedState,
  event: Extract<FeedEvent, { type: 'entriesRead' }>,
): [FeedState, FeedEffect[]] => {
  const { origin, after, result } = event;
  const idle = { ...state, reading: false };
  // The subscriber changed its mind while the read was under way.
  if (state.wants.get(origin) !== after) return pump(idle);
  if (result === 'tooOld') {
    const [next, effects] = pump({ ...idle, wants: without(state.wants, origin) });
    return [next, [{ type: 'sendTooOld', origin, logStart: event.logStart }, ...effects]];
  }
  // The log was said to be longer than it is: what it really holds will be announced.
  if (result === 'end') return pump({ ...idle, log: endingAt(state.log, origin, after) });
  const sent = {
    ...idle,
    wants: new Map(state.wants).set(origin, after + result.count),
    creditBytes: state.creditBytes - result.bytes,
  };
  const [next, effects] = pump(sent);
  return [next, [{ type: 'sendEntries' }, ...effects]];
};

const onCopyRead = (
  state: FeedState,
  event: { bytes: number; ended: boolean },
): [FeedState, FeedEffect[]] => {
  if (state.copying !== 'open') return pump({ ...state, reading: false });
  const [next, effects] = pump({
    ...state,
    reading: false,
    copying: event.ended ? 'no' : 'open',
    creditBytes: state.creditBytes - event.bytes,
  });
  return [next, [{ type: 'sendCopyRows', ended: event.ended }, ...effects]];
};

/**
 * What the subscriber was neither sent nor told. Its own logs too: those of an earlier life may have gone from its disk,
 * and nobody else may know them.
 */
const onNoticeTimer = (state: FeedState): [FeedState, FeedEffect[]] => {
  const told = new Map(state.told);
  const positions: OriginPosition[] = [];
  for (const position of state.log.values()) {
    const { origin, sequence } = position;
    const known = Math.max(told.get(origin) ?? 0, state.wants.get(origin) ?? 0);
    if (sequence <= known) continue;
    told.set(origin, sequence);
    positions.push(position);
  }
  const next = { ...state, told, noticeDue: false };
  return [next, positions.length > 0 ? [{ type: 'sendNotice', positions }] : []];
};

const endingAt = (log: FeedState['log'], origin: OriginId, after: number): FeedState['log'] => {
  const position = log.get(origin);
  return position ? new Map(log).set(origin, { ...position, sequence: after as Sequence }) : log;
};

const without = (
  wants: ReadonlyMap<OriginId, number>,
  origin: OriginId,
): ReadonlyMap<OriginId, number> => {
  const rest = new Map(wants);
  rest.delete(origin);
  return rest;
};
