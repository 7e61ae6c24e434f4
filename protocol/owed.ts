/**
 * What finished and abandoned copies promised and the vector has not reached: it is waited for, and when nobody leads
 * to it any more it is written again (docs/ARCHITECTURE.md, A source that dies). Driven by actors/catchingUp.ts. Pure.
 *
 * Nobody leads to it when, for a while, at least one peer is linked, no linked peer is in the middle of a copy, and
 * none has told of more of that origin than is here. The while is short when every peer that was met is linked, and
 * long otherwise. Concluding it too early costs a write with a new stamp, never a difference between nodes.
 */
import type { CopiedPosition } from './copyCheckpoint.js';
import type { NodeName, OriginId, Version } from './ids.js';

export interface OwedCopy {
  readonly number: number;
  readonly reach: ReadonlyMap<OriginId, CopiedPosition>;
}

export interface Waits {
  readonly shortMs: number;
  readonly longMs: number;
}

const SHORT_MS_MAX = 60_000;
const LONG_MS_MAX = 600_000;

/** Never so long that deletes are forgotten meanwhile. */
export const waitsFor = (tombstoneRetentionMs: number): Waits => ({
  shortMs: Math.min(SHORT_MS_MAX, tombstoneRetentionMs / 20),
  longMs: Math.min(LONG_MS_MAX, tombstoneRetentionMs / 5),
});

/** Since when nobody leads to an origin that is owed, ms since the epoch. */
export type LostSince = ReadonlyMap<OriginId, number>;

export interface LeadingPeer {
  readonly positions: ReadonlyMap<OriginId, { readonly sequence: number }>;
  readonly whole: boolean;
}

interface Situation {
  readonly owed: readonly OwedCopy[];
  readonly vector: ReadonlyMap<OriginId, { readonly sequence: number }>;
  readonly peers: ReadonlyMap<NodeName, LeadingPeer>;
  readonly nowMs: number;
}

/** What is left of the promises at this vector. */
export const withoutReached = (
  owed: readonly OwedCopy[],
  vector: Situation['vector'],
): OwedCopy[] =>
  owed.flatMap(({ number, reach }) => {
    const left = new Map<OriginId, CopiedPosition>();
    for (const [origin, position] of reach)
      if ((vector.get(origin)?.sequence ?? 0) < position.sequence) left.set(origin, position);
    return left.size > 0 ? [{ number, reach: left }] : [];
  });

/** Without one origin of one copy: it was written again. */
export const withoutOrphan = (
  owed: readonly OwedCopy[],
  orphan: { copy: number; origin: OriginId },
): OwedCopy[] =>
  owed.flatMap((one) => {
    if (one.number !== orphan.copy) return [one];
    const reach = new Map(one.reach);
    reach.delete(orphan.origin);
    return reach.size > 0 ? [{ ...one, reach }] : [];
  });

/** The greatest promise of each origin. */
export const promised = (owed: readonly OwedCopy[]): Map<OriginId, CopiedPosition> => {
  const greatest = new Map<OriginId, CopiedPosition>();
  for (const { reach } of owed)
    for (const [origin, position] of reach)
      if ((greatest.get(origin)?.sequence ?? 0) < position.sequence) greatest.set(origin, position);
  return greatest;
};

/** Keeps the times of those that nobody leads to still, and begins those of the others. */
export const watchLost = (since: LostSince, situation: Situation): LostSince => {
  const { peers, vector, nowMs } = situation;
  const views = [...peers.values()];
  if (views.length === 0 || views.some(({ whole }) => !whole)) return new Map();
  const lost = new Map<OriginId, number>();
  for (const origin of promised(situation.owed).keys()) {
    const held = vector.get(origin)?.sequence ?? 0;
    const isLed = views.some(({ positions }) => (positions.get(origin)?.sequence ?? 0) > held);
    if (!isLed) lost.set(origin, since.get(origin) ?? nowMs);
  }
  return lost;
};

export interface Orphan {
  readonly copy: number;
  readonly origin: OriginId;
  readonly upTo: Version;
}

/** The next promise to be given up, if its time has come. */
export const nextOrphan = (
  since: LostSince,
  question: { owed: readonly OwedCopy[]; everybodyIsLinked: boolean; waits: Waits; nowMs: number },
): Orphan | null => {
  const { owed, everybodyIsLinked, waits, nowMs } = question;
  const waitMs = everybodyIsLinked ? waits.shortMs : waits.longMs;
  for (const { number, reach } of owed)
    for (const [origin, { version }] of reach)
      if (nowMs - (since.get(origin) ?? Infinity) >= waitMs)
        return { copy: number, origin, upTo: version };
  return null;
};
