/**
 * What is not taken yet because its stamps lie further ahead than `replication.maxClockSkew`, and the words in which both
 * sides say so. Kept by actors/clockRefusals.ts (what this node refuses) and actors/ownHistory.ts (what peers refuse of it);
 * shown by cluster_status. Pure: the caller brings the wall clock.
 */
import { isTooFarAhead, millisecondsOf } from './clock.js';
import { nodeOf, type NodeName, type OriginId, type Version } from './ids.js';

/** The first entry of an origin that is not taken; sequence 0: some entry, only its stamp is known. */
export interface Refusal {
  readonly origin: OriginId;
  readonly sequence: number;
  readonly version: Version;
}

/** What a peer has said it does not take. */
export interface ToldRefusal extends Refusal {
  readonly peer: NodeName;
}

/** The one reason there is; others are passed over, since a later version may know more. */
export const AHEAD = 'ahead';

/** Whether the time has not come yet at which it is taken. */
export const isRefusedStill = (
  { version }: Pick<Refusal, 'version'>,
  time: { readonly nowMs: number; readonly maxClockSkewMs: number },
): boolean => isTooFarAhead({ version, ...time });

/** When it is taken, ms since the epoch by the clock of the node that refuses it. */
export const takenFromMs = ({ version }: Refusal, maxClockSkewMs: number): number =>
  millisecondsOf(version) - maxClockSkewMs;

/** How far a stamp lies ahead of a wall clock, ms; never below 0. */
export const aheadMs = ({ version }: Pick<Refusal, 'version'>, nowMs: number): number =>
  Math.max(0, millisecondsOf(version) - nowMs);

/**
 * Whose clock is wrong, as far as this node can tell from all it refuses at once; null: it refuses nothing. Several nodes
 * that are ahead of this one agree with each other: then it is this one that is behind.
 */
export const wrongClock = (refusals: readonly Refusal[], nowMs: number): string | null => {
  const byNode = new Map<NodeName, number>();
  for (const refusal of refusals) {
    const node = nodeOf(refusal.origin);
    byNode.set(node, Math.max(byNode.get(node) ?? 0, aheadMs(refusal, nowMs)));
  }
  const [only, ...more] = [...byNode].map(([node, ms]) => ({ node, seconds: seconds(ms) }));
  if (!only) return null;
  if (more.length === 0) return `the clock of ${only.node} is ${only.seconds} ahead of this node's`;
  const ahead = [only, ...more].map(({ node, seconds: by }) => `${node} by ${by}`);
  return `this node's clock is behind: ahead of it are ${ahead.join(', ')}`;
};

/** Why a peer takes nothing more of an origin. `own`: this node. */
export const refusedBecause = (refusal: ToldRefusal, own: NodeName): string => {
  const node = nodeOf(refusal.origin);
  const whose = node === own ? "this node's clock" : `the clock of ${node}`;
  const from = refusal.sequence > 0 ? ` from ${refusal.sequence} on` : '';
  return `${refusal.peer} does not take ${refusal.origin}${from}: ${whose} was ahead of its own when that was written`;
};

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
