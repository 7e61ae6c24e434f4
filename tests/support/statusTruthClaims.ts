/**
 * What cluster_status claims of one peer and one database, each claim beside what is true. Pure: the answer and the facts
 * are given. Called by statusTruth.ts. A lie is a claim that no tolerance written down here covers.
 *
 * Tolerances: a break is known of after Break.unnoticedMs; HEALTHY allows what has been under way for less than a second;
 * what the peer holds is known within 100 ms (READ_BEFORE_MS is read before the question for that); everything is late
 * by SLACK_MS on a busy machine, and what is told on a slow link by what goes before it.
 */
import { SLACK_MS, type Break, type Row, type Rows } from './statusTruthBench.js';

/** The peer's rows are read this long before its observer is asked. */
export const READ_BEFORE_MS = 250;
const UNDER_WAY_MS = 1_000;
const NEXT_TRY_MS_MAX = 30_000;
/** What was under way when a link fell silent, and read late. */
const SILENT_SLACK_MS = 500;

export interface Reading {
  readonly state: string;
  readonly reason?: string;
  readonly entriesBehind?: number;
  readonly lagMs?: number;
}

export interface SocketShown extends Reading {
  readonly database: string;
  readonly connected: boolean;
  readonly attempt?: number;
  readonly nextTry?: number;
  readonly receiving: Reading;
  readonly sending: Reading;
}

export interface ConnectionShown {
  readonly name: string;
  readonly connected: boolean;
  readonly phase: string;
  readonly reason?: string;
  readonly attempt?: number;
  readonly nextTry?: number;
  readonly database_sockets: readonly SocketShown[];
}

export interface DatabaseShown {
  readonly database: string;
  readonly ready: boolean;
  readonly entriesBehind: number;
  readonly copy?: {
    readonly from: string | null;
    readonly rows_done: number;
    readonly rows_estimated: number;
    readonly percent: number;
  };
}

export interface StatusShown {
  readonly databases: readonly DatabaseShown[];
  readonly connections: readonly ConnectionShown[];
}

export const CLAIMS = [
  'connected',
  'not connected',
  'reason, attempt, nextTry',
  'receiving healthy',
  'receiving 0 behind',
  'sending healthy',
  'sending 0 behind',
  'worse of both',
  'lag grows',
  'copy progress',
  'copy complete',
  'ready',
  'readyz',
] as const;
export type Claim = (typeof CLAIMS)[number];

/** `lie`: why it is none of the truth; undefined: it is true. */
export interface Judged {
  readonly claim: Claim;
  readonly lie?: string;
}

export interface Asked {
  /** When the question went out and when its answer came. */
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** What keeps bytes away, for so long that it has to be known. */
export const isKnown = (breaks: readonly Break[], { askedMs }: Asked): boolean => {
  const since = Math.min(...breaks.map(({ sinceMs }) => sinceMs));
  const unnoticedMs = Math.max(...breaks.map((one) => one.unnoticedMs));
  return breaks.length > 0 && askedMs - since > unnoticedMs;
};

export const judgeTries = (shown: ConnectionShown, { askedMs, answeredMs }: Asked): Judged => {
  const { connected, phase, reason, attempt, nextTry } = shown;
  const claim = 'reason, attempt, nextTry';
  if (connected)
    return reason === undefined && attempt === undefined && nextTry === undefined
      ? { claim }
      : { claim, lie: 'connected, and a reason, attempt or nextTry' };
  if (!reason || attempt === undefined) return { claim, lie: 'not connected without a reason' };
  if (phase === 'waiting' && nextTry === undefined)
    return { claim, lie: 'it waits, and does not say until when' };
  if (nextTry === undefined) return { claim };
  if (nextTry < askedMs - SLACK_MS) return { claim, lie: 'nextTry has passed' };
  if (nextTry > answeredMs + NEXT_TRY_MS_MAX) return { claim, lie: 'nextTry is too far away' };
  return { claim };
};

const WORST_FIRST = ['DISCONNECTED', 'STALLED', 'FALLING_BEHIND', 'CATCHING_UP', 'HEALTHY'];

export const judgeSocket = (
  connection: ConnectionShown,
  socket: SocketShown,
  database: DatabaseShown | undefined,
): Judged => {
  const claim = 'worse of both';
  const places = [socket.receiving, socket.sending].map(({ state }) => WORST_FIRST.indexOf(state));
  if (socket.state !== WORST_FIRST[Math.min(...places)])
    return { claim, lie: 'state is not the worse of both directions' };
  if ((socket.state === 'DISCONNECTED') === connection.connected)
    return { claim, lie: 'DISCONNECTED and connected disagree' };
  if (socket.connected && !connection.connected)
    return { claim, lie: 'a socket is connected without its link' };
  for (const { entriesBehind, lagMs } of [socket.receiving, socket.sending])
    if ((entriesBehind ?? 0) > 0 && lagMs === 0)
      return { claim, lie: 'something is missing, and the lag is 0' };
  if (database && database.entriesBehind < (socket.receiving.entriesBehind ?? 0))
    return { claim, lie: 'the database misses less than what it misses of one peer' };
  return { claim };
};

export interface Direction {
  readonly which: 'receiving' | 'sending';
  readonly reading: Reading;
  readonly breaks: readonly Break[];
  /** So long what the other end tells may be under way. */
  readonly toldLateMs: number;
  /** What the other end held before the question, and this end after it. Undefined: it could not be read. */
  readonly wanted: Rows | undefined;
  readonly held: Rows | undefined;
}

export const judgeDirection = (direction: Direction, asked: Asked): Judged[] => {
  const { which, reading, breaks, toldLateMs, wanted, held } = direction;
  const cannotFlow = breaks.filter(({ isHeard }) => which === 'sending' || !isHeard);
  const claims: Judged[] = [];
  if (reading.state === 'HEALTHY' && which === 'receiving' && isKnown(cannotFlow, asked))
    claims.push({ claim: 'receiving healthy', lie: 'nothing can arrive' });
  const isFresh = cannotFlow.length > 0;
  if (!wanted || !held || (isFresh && which === 'receiving')) return claims;
  const toldMs = toldLateMs > 0 ? asked.askedMs - toldLateMs - SLACK_MS : Infinity;
  const missing = [...wanted.values()].filter(({ id, at }) => !held.has(id) && at < toldMs);
  if (reading.state === 'HEALTHY')
    claims.push({
      claim: `${which} healthy`,
      ...liesOf(
        missing.filter(({ at }) => at < asked.askedMs - UNDER_WAY_MS - SLACK_MS),
        asked,
      ),
    });
  if (reading.entriesBehind === 0 && isLive(reading))
    claims.push({ claim: `${which} 0 behind`, ...liesOf(missing, asked) });
  return claims;
};

/** What is not heard of is not known: then the numbers are those of before, and the state says so. */
const isLive = ({ state, reason }: Reading): boolean =>
  state === 'HEALTHY' || state === 'FALLING_BEHIND' || (state === 'CATCHING_UP' && !reason);

const liesOf = (missing: readonly Row[], { askedMs }: Asked): { lie?: string } => {
  const [oldest] = [...missing].sort((a, b) => a.at - b.at);
  if (!oldest) return {};
  const ageMs = Math.round(askedMs - oldest.at);
  return {
    lie: `${missing.length} rows are missing, the oldest ${oldest.id} of ${oldest.by}, written ${ageMs} ms before the question`,
  };
};

/** Two looks at a direction in which nothing can arrive. */
export const judgeLag = (
  looks: { readonly first: Reading; readonly second: Reading },
  times: { readonly first: Asked; readonly second: Asked; readonly silentMsMax: number },
  breaks: readonly Break[],
): Judged[] => {
  const { first, second } = looks;
  if (first.lagMs === undefined || second.lagMs === undefined) return [];
  const claim = 'lag grows';
  const silentMs = times.second.askedMs - Math.min(...breaks.map(({ sinceMs }) => sinceMs));
  const isTold = breaks.every(({ kind }) => kind === 'cut' || kind === 'killed');
  // Between two signs of life silence is no lag.
  if (!isTold && silentMs - apartOf(times) < times.silentMsMax + SILENT_SLACK_MS) return [];
  const grownMs = second.lagMs - first.lagMs;
  const apartMs = apartOf(times);
  // What was missing may come from a third node; then the silence itself remains.
  const hasGrown = grownMs >= apartMs - SLACK_MS || second.lagMs >= silentMs - SLACK_MS;
  if (hasGrown && second.lagMs >= silentMs - SILENT_SLACK_MS) return [{ claim }];
  return [
    {
      claim,
      lie: `from ${first.lagMs} to ${second.lagMs} ms in ${apartMs} ms, when nothing had arrived for ${silentMs} ms`,
    },
  ];
};

const apartOf = ({ first, second }: { readonly first: Asked; readonly second: Asked }): number =>
  second.askedMs - first.answeredMs;

/** `largest`: the largest percentage of this copy so far. */
export const judgeCopy = (
  { copy, ready }: DatabaseShown,
  facts: { readonly largest: number; readonly lacking: number | undefined },
): Judged[] => {
  if (!copy) return [];
  const { rows_done: done, rows_estimated: estimated, percent } = copy;
  const claims: Judged[] = [{ claim: 'copy progress', ...copyLie(copy, ready, facts.largest) }];
  if (percent < 100 || facts.lacking === undefined) return claims;
  const lie =
    facts.lacking > 0
      ? `100 %, and ${facts.lacking} rows of every source are missing`
      : done === estimated
        ? undefined
        : `100 %, and ${done} of ${estimated} rows`;
  return [...claims, { claim: 'copy complete', ...(lie !== undefined && { lie }) }];
};

const copyLie = (
  { rows_done: done, rows_estimated: estimated, percent }: NonNullable<DatabaseShown['copy']>,
  ready: boolean,
  largest: number,
): { lie?: string } => {
  if (percent < largest) return { lie: `${percent} % after ${largest} %` };
  if (percent < 0 || percent > 100) return { lie: `${percent} %` };
  if (ready && percent < 100) return { lie: `ready, and ${percent} % of the copy` };
  return done > estimated ? { lie: `${done} of ${estimated} rows` } : {};
};
