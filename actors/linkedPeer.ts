/**
 * What a database knows of a peer that is linked: what it said to have, to send and to hold, and what of that is taken.
 * Kept by CatchingUp; nothing is decided here.
 */
import {
  EVERYTHING,
  isEverything,
  isRefused,
  type OriginScope,
  type TableScope,
} from '../protocol/flow.js';
import type { OriginPosition } from '../protocol/frames.js';
import { isOriginId, type OriginId, type Version } from '../protocol/ids.js';
import { ALL_HELD, type PartHeld } from '../protocol/leftOut.js';
import { limits } from '../protocol/limits.js';
import type { ApplyProblem } from '../protocol/resync.js';
import type { PeerView } from '../protocol/sources.js';
import type { BegunSnapshot } from './copyLedger.js';
import type { ActorRef } from './kernel/types.js';
import type { ResyncMessage } from './messages.js';

export interface LinkedPeer {
  resync: ActorRef<ResyncMessage>;
  positions: Map<OriginId, OriginPosition>;
  tooOld: Set<OriginId>;
  refused: Map<OriginId, ApplyProblem>;
  toldRefused: Map<OriginId, Version>;
  origin: OriginId;
  whole: boolean;
  /** Tables that pass from it, and those of them it holds in part. */
  scope: TableScope;
  inPart: PartHeld;
  rttMs: number | null;
}

/** What a peer says when its stream begins. */
export interface PeerLinked {
  readonly resync: ActorRef<ResyncMessage>;
  readonly origin: OriginId;
  readonly positions: readonly OriginPosition[];
  readonly whole: boolean;
  /** Absent: all. */
  readonly scope?: TableScope;
  /** Absent: nothing. */
  readonly inPart?: PartHeld;
}

export const linkedPeer = (link: PeerLinked): LinkedPeer => ({
  resync: link.resync,
  origin: link.origin,
  positions: toldPositions(new Map(), link.positions),
  tooOld: new Set(),
  refused: new Map(),
  toldRefused: new Map(),
  whole: link.whole,
  scope: link.scope ?? EVERYTHING,
  inPart: link.inPart ?? ALL_HELD,
  rttMs: null,
});

/** What is no origin, or more than anybody needs, is left out. */
export const toldPositions = (
  told: Map<OriginId, OriginPosition>,
  positions: readonly OriginPosition[],
): Map<OriginId, OriginPosition> => {
  for (const position of positions)
    if (
      isOriginId(position.origin) &&
      (told.has(position.origin) || told.size < limits.originsPerPeerMax)
    )
      told.set(position.origin, position);
  return told;
};

/** Without those of nodes of which nothing is taken. */
export const takenOf = (
  origins: OriginScope,
  positions: Iterable<OriginPosition>,
): OriginPosition[] => [...positions].filter(({ origin }) => !isRefused(origins, origin));

/** `late` and `ahead`: origins whose next entry is late, or too far ahead of the clock, whoever sends it. */
export const peerView = (
  view: LinkedPeer,
  {
    late,
    ahead,
    origins,
  }: { late: ReadonlySet<OriginId>; ahead: Iterable<OriginId>; origins: OriginScope },
): PeerView => ({
  origin: view.origin,
  positions: takenPositions(view.positions, origins),
  tooOld: late.size > 0 ? new Set([...view.tooOld, ...late]) : view.tooOld,
  refused: new Set([...view.refused.keys(), ...ahead]),
  whole: view.whole,
  isNarrow: !isEverything(view.scope),
  inPart: new Set(view.inPart.keys()),
  rttMs: view.rttMs,
});

/** What a source says of its snapshot, without what is not taken. */
export const takenSnapshot = (told: BegunSnapshot, origins: OriginScope): BegunSnapshot => {
  const isTaken = ({ origin }: { readonly origin: OriginId }): boolean =>
    !isRefused(origins, origin);
  return {
    ...told,
    positions: told.positions.filter(isTaken),
    owed: told.owed.filter(isTaken),
    marks: told.marks.filter(isTaken),
  };
};

const takenPositions = (
  positions: LinkedPeer['positions'],
  origins: OriginScope,
): PeerView['positions'] =>
  origins.refused.length === 0
    ? positions
    : new Map(takenOf(origins, positions.values()).map((one) => [one.origin, one]));
