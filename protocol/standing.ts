/**
 * How far one end of a stream is behind the other, and whether that gets better. One machine for both directions: the
 * receiving end is fed from notices and commits (actors/peerStandings.ts), the sending end from its log and the
 * acknowledgements (actors/tableSubscription.ts). Pure, without timers: it is read at any time, with that time.
 *
 * HEALTHY <--> CATCHING_UP <--> FALLING_BEHIND, each of them --> STALLED --> back with the first progress; DISCONNECTED
 * while there is no link.
 *
 * Invariants: an entry that was told of and is not held counts, until it is held; its age grows until then; HEALTHY
 * means that nothing has been missing for longer than what is under way takes, and nothing of unknown age; a lag of 0 means
 * that nothing is missing and nobody is silent; STALLED comes no sooner than STALL_MS after the last progress.
 */
import { millisecondsOf } from './clock.js';
import type { OriginId, Sequence, Version } from './ids.js';

/** Missing for less than this is under way, not behind. */
export const UNDER_WAY_MS = 1_000;
/** Without progress for this long, what is behind is stuck. */
export const STALL_MS = 10_000;
/** Whether a distance grows is seen at the ends of windows of this length. */
export const WINDOW_MS = 5_000;
/** Ages kept per origin; beyond that neighbours are joined under the older age. */
export const AGES_MAX = 32;

const WINDOWS_KEPT = 3;

interface Place {
  readonly sequence: Sequence;
  readonly version: Version;
}

/** What is said to be there of one origin, and what is here. */
export interface Compared {
  readonly origin: OriginId;
  readonly told: Place;
  readonly held: Place | undefined;
  /** The other end has it from others, perhaps long after it was written. */
  readonly isRelayed?: boolean;
}

export interface StreamStanding {
  /** The stream is open, and since when it is or is not. */
  readonly isOpen: boolean;
  readonly turnedMs: number;
  /** When nothing was missing for the last time; null: never since this machine began. */
  readonly levelMs: number | null;
  readonly missing: ReadonlyMap<OriginId, Missing>;
  /** Distances at the ends of the last windows, oldest first. */
  readonly windows: readonly Window[];
}

export interface Missing {
  readonly held: number;
  /** When the last entry came that was missing, or the first began to be missing. */
  readonly progressMs: number;
  /** Entries up to `upTo`, and above those of the age before, are missing since `sinceMs`. Both ascend. */
  readonly ages: readonly Age[];
}

interface Age {
  readonly upTo: number;
  readonly sinceMs: number;
  /** `sinceMs` is that of the newest of them, and nothing is known of the first: it is older. */
  readonly isOlder?: boolean;
}

interface Window {
  readonly endMs: number;
  readonly entries: number;
}

export type StandingEvent =
  /** A stream begins: all that the other end has. What was missing of other origins before is forgotten. */
  | { readonly type: 'opened'; readonly places: readonly Compared[] }
  | { readonly type: 'closed' }
  /** The first entry that is missing of an origin turned out to be that old. */
  | { readonly type: 'dated'; readonly origin: OriginId; readonly version: Version }
  /** One end moved. Origins that are not named are as they were. */
  | { readonly type: 'compared'; readonly places: readonly Compared[] };

export const startStanding = (nowMs: number): StreamStanding => ({
  isOpen: false,
  turnedMs: nowMs,
  levelMs: null,
  missing: new Map(),
  windows: [{ endMs: nowMs, entries: 0 }],
});

export const stepStanding = (
  standing: StreamStanding,
  event: StandingEvent,
  nowMs: number,
): StreamStanding => {
  switch (event.type) {
    case 'opened':
      return opened(standing, event.places, nowMs);
    case 'closed':
      return standing.isOpen
        ? { ...level(standing, nowMs), isOpen: false, turnedMs: nowMs }
        : standing;
    case 'dated':
      return dated(standing, event.origin, millisecondsOf(event.version));
    case 'compared':
      return compared(standing, event.places, nowMs);
    default:
      return event satisfies never;
  }
};

export type State = 'HEALTHY' | 'CATCHING_UP' | 'FALLING_BEHIND' | 'STALLED' | 'DISCONNECTED';

/** What only the reader knows of the link and of what comes beside entries. */
export interface Surroundings {
  readonly nowMs: number;
  readonly isLinked: boolean;
  /** Nothing was heard on the link for so long; and so long an idle one may be silent. */
  readonly silentMs: number;
  readonly silentMsMax: number;
  /** A copy runs over the stream and moved last then; null: none does. */
  readonly copyMovedMs: number | null;
  /** A part of a transaction too large for one frame came or went then; null: none is under way. */
  readonly partMovedMs: number | null;
  /** Origins of which nothing more is taken for the time, and why in words. */
  readonly waits?: ReadonlyMap<OriginId, string>;
}

export interface StandingReading {
  readonly state: State;
  /** Why it is not simply HEALTHY, in words; absent where the numbers say it. */
  readonly reason?: string;
  readonly entriesBehind: number;
  /** Age of the oldest entry known to be missing, ms; at least the silence, where there should be none. */
  readonly lagMs: number;
}

export const readStanding = (standing: StreamStanding, around: Surroundings): StandingReading => ({
  ...stateOf(standing, around),
  entriesBehind: entriesBehind(standing),
  lagMs: lagOf(standing, around),
});

/** Entries that are missing, of all origins. */
export const entriesBehind = ({ missing }: StreamStanding): number => {
  let entries = 0;
  for (const one of missing.values()) entries += entriesOf(one);
  return entries;
};

/** What is missing by any of these, each entry counted once. */
export const entriesBehindAll = (standings: Iterable<StreamStanding>): number => {
  const most = new Map<OriginId, number>();
  for (const { missing } of standings)
    for (const [origin, one] of missing)
      most.set(origin, Math.max(most.get(origin) ?? 0, entriesOf(one)));
  let entries = 0;
  for (const count of most.values()) entries += count;
  return entries;
};

// ---- events

const opened = (
  standing: StreamStanding,
  places: readonly Compared[],
  nowMs: number,
): StreamStanding => {
  const missing = new Map<OriginId, Missing>();
  for (const place of places) {
    const before = standing.missing.get(place.origin);
    const one = moved(before, place, { nowMs, ...firstMissed(standing, place) });
    if (one) missing.set(place.origin, { ...one, progressMs: nowMs });
  }
  return level(
    { ...standing, isOpen: true, turnedMs: nowMs, missing, windows: [windowAt(missing, nowMs)] },
    nowMs,
  );
};

const compared = (
  standing: StreamStanding,
  places: readonly Compared[],
  nowMs: number,
): StreamStanding => {
  const missing = new Map(standing.missing);
  for (const place of places) {
    const one = moved(missing.get(place.origin), place, { nowMs, ...firstTold(place) });
    if (one) missing.set(place.origin, one);
    else missing.delete(place.origin);
  }
  return level({ ...standing, missing, windows: windowsUntil(standing, nowMs) }, nowMs);
};

const level = (standing: StreamStanding, nowMs: number): StreamStanding =>
  standing.missing.size === 0 ? { ...standing, levelMs: nowMs } : standing;

/**
 * A stream that begins tells of much at once: the first of it was written after what is held, and, if the other end wrote
 * it, after both ends were level for the last time. Where neither is known, the newest of it is the only time there is.
 */
const firstMissed = ({ levelMs }: StreamStanding, place: Compared): First =>
  firstAfter(Math.max(place.isRelayed ? 0 : (levelMs ?? 0), heldMsOf(place)), place);

/**
 * What the other end writes it tells of at once. What it relays may come in one piece and be old: of that only the newest
 * is told, and the first was written after what is held.
 */
const firstTold = (place: Compared): First =>
  place.isRelayed
    ? firstAfter(heldMsOf(place), place)
    : { firstMs: millisecondsOf(place.told.version), isOlder: false };

interface First {
  readonly firstMs: number;
  readonly isOlder: boolean;
}

/** `afterMs`: the first that is missing was written later than that; 0: nothing is known. */
const firstAfter = (afterMs: number, { told, held }: Compared): First => {
  const newestMs = millisecondsOf(told.version);
  if ((held?.sequence ?? 0) + 1 >= told.sequence) return { firstMs: newestMs, isOlder: false };
  return afterMs > 0
    ? { firstMs: Math.min(newestMs, afterMs), isOlder: false }
    : { firstMs: newestMs, isOlder: true };
};

const heldMsOf = ({ held }: Compared): number => (held ? millisecondsOf(held.version) : 0);

const dated = (standing: StreamStanding, origin: OriginId, sinceMs: number): StreamStanding => {
  const one = standing.missing.get(origin);
  const [first, ...rest] = one?.ages ?? [];
  if (!one || !first || (first.sinceMs <= sinceMs && !first.isOlder)) return standing;
  const ages = [{ upTo: first.upTo, sinceMs: Math.min(first.sinceMs, sinceMs) }, ...rest];
  return { ...standing, missing: new Map(standing.missing).set(origin, { ...one, ages }) };
};

/** Undefined: nothing is missing of that origin. `firstMs`: since when, of what was not known before. */
const moved = (
  before: Missing | undefined,
  { told, held }: Compared,
  time: First & { readonly nowMs: number },
): Missing | undefined => {
  const heldTo = held?.sequence ?? 0;
  if (told.sequence <= heldTo) return undefined;
  const sinceMs = Math.min(time.nowMs, time.firstMs);
  const kept = keptAges(before?.ages ?? [], heldTo, told.sequence);
  const isNew = (kept.at(-1)?.upTo ?? heldTo) < told.sequence;
  const ages = isNew
    ? withAge(kept, { upTo: told.sequence, sinceMs, isOlder: time.isOlder })
    : kept;
  return {
    held: heldTo,
    progressMs: before && heldTo <= before.held ? before.progressMs : time.nowMs,
    ages: notBefore(ages, held ? Math.min(time.nowMs, millisecondsOf(held.version)) : 0),
  };
};

const keptAges = (ages: readonly Age[], heldTo: number, toldTo: number): Age[] =>
  ages
    .filter(({ upTo }, place) => upTo > heldTo && (ages[place - 1]?.upTo ?? 0) < toldTo)
    .map((age) => (age.upTo > toldTo ? { ...age, upTo: toldTo } : age));

const withAge = (ages: readonly Age[], added: Age): Age[] => {
  const last = ages.at(-1);
  const sinceMs = Math.max(last?.sinceMs ?? 0, added.sinceMs);
  if (last && last.sinceMs === sinceMs)
    return [...ages.slice(0, -1), { ...last, upTo: added.upTo }];
  const all = [...ages, { ...added, sinceMs }];
  return all.length > AGES_MAX ? joinedNeighbours(all) : all;
};

/** Half as many: each pair has the older of its ages, so that nothing becomes younger. */
const joinedNeighbours = (ages: readonly Age[]): Age[] =>
  ages.flatMap((age, place) =>
    place % 2 === 1 ? [] : [{ ...age, upTo: ages[place + 1]?.upTo ?? age.upTo }],
  );

/** What is missing was written after what is held. */
const notBefore = ([first, ...rest]: readonly Age[], heldMs: number): readonly Age[] => {
  if (!first) return [];
  if (first.isOlder && heldMs > 0)
    return [{ upTo: first.upTo, sinceMs: Math.min(first.sinceMs, heldMs) }, ...rest];
  const sinceMs = Math.min(Math.max(first.sinceMs, heldMs), rest[0]?.sinceMs ?? Infinity);
  return [sinceMs === first.sinceMs ? first : { ...first, sinceMs }, ...rest];
};

// ---- windows

const windowAt = (missing: StreamStanding['missing'], endMs: number): Window => {
  let entries = 0;
  for (const one of missing.values()) entries += entriesOf(one);
  return { endMs, entries };
};

/** Between events a distance stays what it is, so that the windows that have ended since are known. */
const windowsUntil = (standing: StreamStanding, nowMs: number): readonly Window[] => {
  const { windows, missing } = standing;
  const lastMs = windows.at(-1)?.endMs ?? nowMs;
  const ended = Math.floor((nowMs - lastMs) / WINDOW_MS);
  if (ended <= 0) return windows;
  const added = Array.from({ length: Math.min(ended, WINDOWS_KEPT) }, (_, place) =>
    windowAt(missing, lastMs + (ended - place) * WINDOW_MS),
  ).reverse();
  return [...windows, ...added].slice(-WINDOWS_KEPT);
};

/** Over two windows and until now. */
const grew = (standing: StreamStanding, nowMs: number): boolean => {
  const [first, second, third] = windowsUntil(standing, nowMs);
  if (!first || !second || !third) return false;
  return (
    first.entries < second.entries &&
    second.entries < third.entries &&
    third.entries <= entriesBehind(standing)
  );
};

// ---- reading

const stateOf = (
  standing: StreamStanding,
  around: Surroundings,
): Pick<StandingReading, 'state' | 'reason'> => {
  const { nowMs, copyMovedMs, silentMs } = around;
  const { isOpen, turnedMs, missing } = standing;
  if (!around.isLinked) return { state: 'DISCONNECTED' };
  if (isTooSilent(around) && silentMs >= STALL_MS)
    return { state: 'STALLED', reason: `nothing was heard for ${seconds(silentMs)}` };
  if (copyMovedMs !== null)
    return nowMs - copyMovedMs >= STALL_MS
      ? { state: 'STALLED', reason: `the copy has not moved for ${seconds(nowMs - copyMovedMs)}` }
      : { state: 'CATCHING_UP', reason: 'initial copy' };
  if (!isOpen)
    return nowMs - turnedMs >= STALL_MS
      ? { state: 'STALLED', reason: `no stream for ${seconds(nowMs - turnedMs)}` }
      : { state: 'CATCHING_UP', reason: 'the stream is being opened' };
  if (missing.size === 0) return { state: 'HEALTHY' };
  const stuck = stuckOrigin(missing, around);
  if (stuck)
    return {
      state: 'STALLED',
      reason:
        around.waits?.get(stuck.origin) ??
        `nothing of ${stuck.origin} has moved for ${seconds(stuck.forMs)}`,
    };
  const isUnderWay = ageOf(standing, nowMs) < UNDER_WAY_MS && !hasOlder(missing);
  if (isUnderWay) return { state: 'HEALTHY' };
  const state = grew(standing, nowMs) ? 'FALLING_BEHIND' : 'CATCHING_UP';
  const reason = waitReason(missing, around.waits);
  return reason === undefined ? { state } : { state, reason };
};

/** Known before it has lasted. */
const waitReason = (
  missing: StreamStanding['missing'],
  waits: Surroundings['waits'],
): string | undefined => {
  for (const origin of missing.keys()) {
    const reason = waits?.get(origin);
    if (reason !== undefined) return reason;
  }
  return undefined;
};

/** One is enough, whatever flows beside it. A large transaction moves in parts. */
const stuckOrigin = (
  missing: StreamStanding['missing'],
  { nowMs, partMovedMs }: Surroundings,
): { origin: OriginId; forMs: number } | undefined => {
  for (const [origin, { progressMs }] of missing) {
    const forMs = nowMs - Math.max(progressMs, partMovedMs ?? 0);
    if (forMs >= STALL_MS) return { origin, forMs };
  }
  return undefined;
};

const lagOf = (standing: StreamStanding, around: Surroundings): number => {
  const { nowMs, silentMs } = around;
  const age = standing.missing.size === 0 ? 0 : Math.max(1, ageOf(standing, nowMs));
  const silence = isTooSilent(around) ? silentMs : 0;
  const closed = standing.isOpen ? 0 : Math.max(1, nowMs - standing.turnedMs);
  return Math.max(age, silence, closed);
};

const ageOf = ({ missing }: StreamStanding, nowMs: number): number => {
  let oldestMs = nowMs;
  for (const { ages } of missing.values()) oldestMs = Math.min(oldestMs, ages[0]?.sinceMs ?? nowMs);
  return nowMs - oldestMs;
};

const hasOlder = (missing: StreamStanding['missing']): boolean =>
  [...missing.values()].some(({ ages }) => ages[0]?.isOlder);

const isTooSilent = ({ silentMs, silentMsMax }: Surroundings): boolean => silentMs > silentMsMax;

const entriesOf = ({ held, ages }: Missing): number => (ages.at(-1)?.upTo ?? held) - held;

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
