/**
 * The receiving end of a stream: subscribes, checks that entries follow one another, hands them to the writer, and
 * grants credit when they are committed. Driven by the resync actor. What to want from whom is decided by
 * sources.ts for all peers together; the writer's vector has the last word on what is applied.
 *
 *   subscribing ──Subscribed──> live <──copy.begin / CopyEnd──> copying (asked for; begun)
 *
 * Invariants: an entry is handed on only when it follows the last one handed on of its origin; a position is
 * acknowledged only after its commit; each byte received is credited exactly once.
 */
import type { CopyPlaceOnWire, OriginPosition, Want } from './frames.js';
import type { TableScope } from './flow.js';
import type { OriginId, Sequence } from './ids.js';
import { limits } from './limits.js';

export interface ResyncState {
  readonly phase: 'subscribing' | 'live' | 'copying';
  readonly stream: number;
  /** Wanted origins: highest sequence handed to the writer. */
  readonly received: ReadonlyMap<OriginId, number>;
  /** Bytes handed to the writer and not committed. */
  readonly uncommittedBytes: number;
  /** A copy was asked for and has not begun: rows that arrive are those of an earlier one, and of no use. */
  readonly awaitsCopy: boolean;
}

export interface ReceivedEntry {
  readonly origin: OriginId;
  readonly sequence: Sequence;
}

/** Why the writer did not take an entry. */
export type ApplyProblem = 'gap' | 'held' | 'late' | 'damaged' | 'ahead' | 'unwanted';

export type ResyncEvent =
  | { readonly type: 'started'; readonly wants: readonly Want[] }
  | { readonly type: 'subscribed' }
  /** All that is wanted of this peer from now on. */
  | { readonly type: 'wantsChanged'; readonly wants: readonly Want[] }
  | {
      readonly type: 'entriesReceived';
      readonly entries: readonly ReceivedEntry[];
      readonly bytes: number;
    }
  | {
      readonly type: 'committed';
      readonly positions: readonly OriginPosition[];
      readonly bytes: number;
      readonly problems: readonly { readonly origin: OriginId; readonly problem: ApplyProblem }[];
    }
  | {
      readonly type: 'copyWanted';
      readonly after: CopyPlaceOnWire | null;
      /** Only these; absent: all. */
      readonly tables?: TableScope;
    }
  | { readonly type: 'copyBegun' }
  | { readonly type: 'rowsReceived'; readonly bytes: number }
  /** All its rows have come. */
  | { readonly type: 'copyEnded' }
  | { readonly type: 'copyRefused' };

export type ResyncEffect =
  | {
      readonly type: 'sendSubscribe';
      readonly wants: readonly Want[];
      readonly windowBytes: number;
    }
  | { readonly type: 'sendWant'; readonly add: readonly Want[]; readonly drop: readonly OriginId[] }
  | {
      readonly type: 'sendAck';
      readonly positions: readonly OriginPosition[];
      readonly creditBytes: number;
    }
  /** Hand these places of the frame just reported to the writer. */
  | { readonly type: 'apply'; readonly places: readonly number[]; readonly bytes: number }
  | {
      readonly type: 'sendCopyRequest';
      readonly after: CopyPlaceOnWire | null;
      readonly tables?: TableScope;
    }
  /** Hand the rows just reported to the writer. */
  | { readonly type: 'applyRows' }
  /** Those origins are no longer received here: sources.ts has to decide anew. */
  | {
      readonly type: 'lost';
      readonly origins: readonly { readonly origin: OriginId; readonly problem: ApplyProblem }[];
    };

export const startResync = (stream: number): ResyncState => ({
  phase: 'subscribing',
  stream,
  received: new Map(),
  uncommittedBytes: 0,
  awaitsCopy: false,
});

export const stepResync = (
  state: ResyncState,
  event: ResyncEvent,
): [ResyncState, ResyncEffect[]] => {
  switch (event.type) {
    case 'started':
      return [
        { ...state, received: positionsOf(event.wants) },
        [{ type: 'sendSubscribe', wants: event.wants, windowBytes: limits.streamWindowBytes }],
      ];
    case 'subscribed':
      return [state.phase === 'subscribing' ? { ...state, phase: 'live' } : state, []];
    case 'wantsChanged':
      return onWants(state, event.wants);
    case 'entriesReceived':
      return onEntries(state, event);
    case 'committed':
      return onCommitted(state, event);
    case 'copyWanted':
      return [
        { ...state, phase: 'copying', awaitsCopy: true },
        [{ ...event, type: 'sendCopyRequest' }],
      ];
    case 'copyBegun':
      return [{ ...state, awaitsCopy: false }, []];
    case 'rowsReceived':
      return onRows(state, event.bytes);
    case 'copyEnded':
      return [state.awaitsCopy ? state : { ...state, phase: 'live' }, []];
    case 'copyRefused':
      return [{ ...state, phase: 'live', awaitsCopy: false }, []];
    default:
      return event satisfies never;
  }
};

const positionsOf = (wants: readonly Want[]): Map<OriginId, number> =>
  new Map(wants.map(({ origin, after }) => [origin, after]));

/** Origins that stay keep the position they have reached; new ones begin at the writer's. */
const onWants = (state: ResyncState, wants: readonly Want[]): [ResyncState, ResyncEffect[]] => {
  const received = new Map<OriginId, number>();
  const add: Want[] = [];
  for (const want of wants) {
    const held = state.received.get(want.origin);
    received.set(want.origin, held ?? want.after);
    if (held === undefined) add.push(want);
  }
  const drop = [...state.received.keys()].filter((origin) => !received.has(origin));
  const changed = add.length > 0 || drop.length > 0;
  return [{ ...state, received }, changed ? [{ type: 'sendWant', add, drop }] : []];
};

/** What is not handed on is credited at once. */
const onRows = (state: ResyncState, bytes: number): [ResyncState, ResyncEffect[]] => {
  if (state.awaitsCopy) return [state, [{ type: 'sendAck', positions: [], creditBytes: bytes }]];
  const uncommittedBytes = state.uncommittedBytes + bytes;
  return [{ ...state, uncommittedBytes }, [{ type: 'applyRows' }]];
};

const onEntries = (
  state: ResyncState,
  event: { entries: readonly ReceivedEntry[]; bytes: number },
): [ResyncState, ResyncEffect[]] => {
  const received = new Map(state.received);
  const places: number[] = [];
  const lost = new Map<OriginId, ApplyProblem>();
  for (const [place, { origin, sequence }] of event.entries.entries()) {
    const reached = received.get(origin);
    if (reached === undefined || sequence <= reached) continue;
    if (sequence > reached + 1) {
      received.delete(origin);
      lost.set(origin, 'gap');
      continue;
    }
    received.set(origin, sequence);
    places.push(place);
  }
  const next = { ...state, received, uncommittedBytes: state.uncommittedBytes + event.bytes };
  return [next, [{ type: 'apply', places, bytes: event.bytes }, ...lostEffects(lost)]];
};

const onCommitted = (
  state: ResyncState,
  event: Extract<ResyncEvent, { type: 'committed' }>,
): [ResyncState, ResyncEffect[]] => {
  const received = new Map(state.received);
  const lost = new Map<OriginId, ApplyProblem>();
  for (const { origin, problem } of event.problems)
    if (received.delete(origin)) lost.set(origin, problem);
  const { positions, bytes } = event;
  return [
    { ...state, received, uncommittedBytes: state.uncommittedBytes - bytes },
    [{ type: 'sendAck', positions, creditBytes: bytes }, ...lostEffects(lost)],
  ];
};

/** An origin that was lost is dropped at the sender too, so that wanting it again begins anew. */
const lostEffects = (lost: ReadonlyMap<OriginId, ApplyProblem>): ResyncEffect[] => {
  if (lost.size === 0) return [];
  const origins = [...lost].map(([origin, problem]) => ({ origin, problem }));
  return [
    { type: 'sendWant', add: [], drop: [...lost.keys()] },
    { type: 'lost', origins },
  ];
};
