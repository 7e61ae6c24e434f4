/**
 * Which origins a database takes from which peer, and whether it needs a copy and from whom. One decision for all
 * peers together, made anew whenever something changes. Driven by the shardRouter. Pure and total.
 *
 * An origin comes from its own node when that is linked and its log reaches back; else, or when that has no more of it,
 * from the linked peer that has and whose log reaches back (the one it comes from now, else lowest round trip, then name).
 * One that sends and holds all tables is preferred to one that does not, be it the author.
 * A copy is wanted when nothing of other nodes is here and replaying would be long, or when every log that has more begins
 * too late.
 */
import type { OriginPosition, Want } from './frames.js';
import { nodeOf, type NodeName, type OriginId, type Sequence } from './ids.js';

export interface PeerView {
  /** The peer's present origin: its entries reach it first, whatever others say. */
  readonly origin: OriginId;
  /** What the peer says it has. */
  readonly positions: ReadonlyMap<OriginId, OriginPosition>;
  /** Origins whose log there begins after our position. */
  readonly tooOld: ReadonlySet<OriginId>;
  /** Origins whose entries from there could not be applied, until the reason is gone. */
  readonly refused: ReadonlySet<OriginId>;
  /** False: in the middle of a copy itself. */
  readonly whole: boolean;
  /** It does not send all tables: what it has is taken from another if that can be. */
  readonly isNarrow?: boolean;
  /** Origins of which it holds some tables in part: the same. */
  readonly inPart?: ReadonlySet<OriginId>;
  readonly rttMs: number | null;
}

export interface SourcesInput {
  readonly own: NodeName;
  readonly ownOrigin: OriginId;
  /** Applied or accepted for applying. */
  readonly vector: ReadonlyMap<OriginId, { readonly sequence: number; readonly checksum: number }>;
  /** Linked peers whose Subscribed has arrived, in the order they were linked. */
  readonly peers: ReadonlyMap<NodeName, PeerView>;
  /** Where each origin comes from now. */
  readonly current: ReadonlyMap<OriginId, NodeName>;
  /** An unfinished copy (from here or before a restart) waits to be completed. */
  readonly copyUnfinished: boolean;
  /** A copy from this very peer was asked for, whatever is here; null: none was. */
  readonly copyWantedFrom: NodeName | null;
  /** A peer whose logs hold at most this many entries is replayed rather than copied. */
  readonly replayEntriesMax: number;
  /** Peers that refused or failed to be the source of a copy, until they are linked again. */
  readonly noCopyFrom: ReadonlySet<NodeName>;
}

export interface SourcesPlan {
  /** For every linked peer, all that is wanted of it. */
  readonly wants: ReadonlyMap<NodeName, readonly Want[]>;
  readonly from: ReadonlyMap<OriginId, NodeName>;
  /** Copy from this peer; null: no copy is needed or none can be had. */
  readonly copyFrom: NodeName | null;
  /** A copy is needed, whether or not somebody can give it. */
  readonly copyNeeded: boolean;
}

export const planSources = (input: SourcesInput): SourcesPlan => {
  const wantedFrom = wantedSource(input);
  const copyNeeded = input.copyUnfinished || wantedFrom !== null || needsCopy(input);
  const copyFrom = copyNeeded ? (wantedFrom ?? copySource(input)) : null;
  const wants = new Map<NodeName, Want[]>();
  for (const peer of input.peers.keys()) wants.set(peer, []);
  const from = new Map<OriginId, NodeName>();
  // The log goes on where nobody can give a copy.
  if (input.copyUnfinished || copyFrom !== null) return { wants, from, copyFrom, copyNeeded };
  for (const origin of wantedOrigins(input)) {
    const peer = sourceOf(input, origin);
    if (peer === null) continue;
    from.set(origin, peer);
    const held = input.vector.get(origin);
    const after = (held?.sequence ?? 0) as Sequence;
    wants.get(peer)?.push({ origin, after, checksum: held?.checksum ?? 0 });
  }
  return { wants, from, copyFrom, copyNeeded };
};

/** Waited for while it is not linked, without holding anything up. An unfinished copy goes on as it is. */
const wantedSource = ({ copyWantedFrom, peers, noCopyFrom }: SourcesInput): NodeName | null => {
  if (copyWantedFrom === null || noCopyFrom.has(copyWantedFrom)) return null;
  const peer = peers.get(copyWantedFrom);
  return peer?.whole && peer.positions.size > 0 ? copyWantedFrom : null;
};

/** Every origin some peer knows, but for this node's present one: nobody else writes that. */
const wantedOrigins = (input: SourcesInput): Set<OriginId> => {
  const origins = new Set<OriginId>();
  for (const peer of input.peers.values())
    for (const origin of peer.positions.keys()) if (origin !== input.ownOrigin) origins.add(origin);
  return origins;
};

/**
 * Its own node, else where it comes from now: unless that has no more and somebody else has. A node back from a lost
 * disk lacks the end of its own log.
 */
const sourceOf = (input: SourcesInput, origin: OriginId): NodeName | null => {
  const usable = [...input.peers].filter(
    ([, peer]) =>
      peer.positions.has(origin) && !peer.tooOld.has(origin) && !peer.refused.has(origin),
  );
  const author = usable.find(([, peer]) => peer.origin === origin);
  const isUseful = ([, peer]: Named): boolean => isAhead(input, peer, origin);
  const wide = usable.filter(([, peer]) => isWide(peer, origin));
  const narrow = usable.filter((one) => !wide.includes(one));
  if (author && (wide.includes(author) || wide.length === 0)) return author[0];
  const ahead = firstOf(wide.filter(isUseful), narrow.filter(isUseful));
  const able = new Set((ahead.length > 0 ? ahead : firstOf(wide, narrow)).map(([name]) => name));
  for (const preferred of [nodeOf(origin), input.current.get(origin)])
    if (preferred !== undefined && able.has(preferred)) return preferred;
  // Where the author sends less, a relay that sends all is to have it first.
  const first = ahead.length === 0 && author ? wide : ahead;
  return first.sort(byNearness)[0]?.[0] ?? null;
};

type Named = readonly [NodeName, PeerView];

/** It sends all tables, and holds all that this origin wrote in them. */
const isWide = (peer: PeerView, origin: OriginId): boolean =>
  peer.isNarrow !== true && peer.inPart?.has(origin) !== true;

const firstOf = (preferred: Named[], others: Named[]): Named[] =>
  preferred.length > 0 ? preferred : others;

const byNearness = (a: Named, b: Named): number =>
  (a[1].rttMs ?? Infinity) - (b[1].rttMs ?? Infinity) || (a[0] < b[0] ? -1 : 1);

const needsCopy = (input: SourcesInput): boolean => {
  if (holdsNothing(input) && [...input.peers.values()].some((peer) => isLong(input, peer)))
    return true;
  return [...wantedOrigins(input)].some((origin) => isOutOfReach(input, origin));
};

/** Nothing that another node wrote: a new disk, perhaps with first writes of its own. */
const holdsNothing = (input: SourcesInput): boolean => {
  for (const [origin, position] of input.vector)
    if (nodeOf(origin) !== input.own && position.sequence > 0) return false;
  return true;
};

const isLong = (input: SourcesInput, peer: PeerView): boolean => {
  let entries = 0;
  for (const [origin, { sequence }] of peer.positions)
    entries += Math.max(0, sequence - (input.vector.get(origin)?.sequence ?? 0));
  return entries > input.replayEntriesMax;
};

/** Somebody has more of it, and every log that has more begins too late. */
const isOutOfReach = (input: SourcesInput, origin: OriginId): boolean => {
  const ahead = [...input.peers.values()].filter((peer) => isAhead(input, peer, origin));
  return ahead.length > 0 && ahead.every((peer) => peer.tooOld.has(origin));
};

const isAhead = (input: SourcesInput, peer: PeerView, origin: OriginId): boolean =>
  (peer.positions.get(origin)?.sequence ?? 0) > (input.vector.get(origin)?.sequence ?? 0);

/**
 * The first linked peer that is itself whole and has what the copy is for, best one that sends and holds all tables: one
 * that lacks it would be copied from again and again. An unfinished copy goes on with any.
 */
const copySource = (input: SourcesInput): NodeName | null => {
  const outOfReach = [...wantedOrigins(input)].filter((origin) => isOutOfReach(input, origin));
  const isNew = holdsNothing(input);
  const helps = (peer: PeerView): boolean =>
    outOfReach.some((origin) => isAhead(input, peer, origin)) || (isNew && isLong(input, peer));
  const possible = [...input.peers].filter(
    ([name, peer]) => peer.whole && !input.noCopyFrom.has(name) && peer.positions.size > 0,
  );
  const best = possible.filter(([, peer]) => peer.isNarrow !== true && !peer.inPart?.size);
  for (const candidates of [best, possible]) {
    const chosen = candidates.find(([, peer]) => helps(peer));
    if (chosen) return chosen[0];
  }
  return (input.copyUnfinished ? firstOf(best, possible)[0]?.[0] : undefined) ?? null;
};
