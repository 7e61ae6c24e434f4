/**
 * Compares what cluster_status says with what is so, on real nodes under faults and writes: a round-trip write, the
 * difference of two key sets, and what the bench itself did to the link. Called by tests/cluster/statusHonesty.test.ts and
 * scripts/statusHonesty.ts. Nothing is done to nodes or links while a comparison goes on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from './clusterLoad.js';
import { DATABASES, SLACK_MS, TruthBench, type Rows } from './statusTruthBench.js';
import { ask, firstAnswer, type Answer } from './statusTruthQuestions.js';
import { SLOW_MS, type FaultKind, type TruthNode } from './statusTruthParts.js';
import { TruthRecord, type Lie, type Truths } from './statusTruthRecord.js';
import {
  isKnown,
  judgeCopy,
  judgeDirection,
  judgeLag,
  judgeSocket,
  judgeTries,
  READ_BEFORE_MS,
  type ConnectionShown,
  type DatabaseShown,
  type Judged,
  type SocketShown,
  type StatusShown,
} from './statusTruthClaims.js';
import { Nemesis, TruthLoad } from './statusTruthNemesis.js';

export interface TruthRun {
  readonly seed: number;
  readonly comparisons: number;
  readonly firstAddress?: number;
  readonly told?: (lie: Lie) => void;
}

/** A whole link carries a write in this time; what is behind or slow goes first. */
const ROUND_TRIP_MS = { level: 3_000, behind: 10_000 };
/** A dial that was announced has led to a link this long after. */
const DIALLED_MS = 1_500;
/** How far ahead an announced dial may be to be waited for. */
const AWAITED_MS_MAX = 2_000;
/** Longest wait between dials, a dial that began while nothing could pass, and the greeting. */
const NEVER_MS = 45_000;
/** A link that is open and whole for so long has its streams. */
const SUBSCRIBED_MS = 10_000;
const LOOKS_APART_MS = 500;
const BETWEEN_MS_MAX = 500;
const RECENT_MS = 3_000;
/** The other end finds out by its ping timeout what was done before, and dials anew. */
const SETTLED_MS = 1_500;
/** Where signs of life are far apart, only the question itself finds out; where they are close, links end soon. */
const PINGS_MS = [4_000, 1_000] as const;
/** How often a node that comes up is asked as soon as it answers at all. */
const FIRST_ANSWERS = 0.7;
/** A cluster holds no more rows than can be read for each comparison. */
const PER_CLUSTER = 125;

/** Runs so many comparisons on fresh clusters, one after the other. Rejects only when the bench itself fails. */
export const compareWithTruth = async (run: TruthRun): Promise<Truths> => {
  const record = new TruthRecord(run.told ?? (() => undefined));
  for (let done = 0, turn = 0; done < run.comparisons; turn++) {
    const count = Math.min(PER_CLUSTER, run.comparisons - done);
    const bench = await TruthBench.start({
      firstAddress: run.firstAddress ?? 2,
      pingMs: PINGS_MS[turn % PINGS_MS.length] ?? 1_000,
    });
    try {
      await new Comparing(bench, record, seededRandom(run.seed * 1_000 + turn)).run(count);
    } catch (error) {
      throw new Error(`The bench failed\n${(await bench.logTails()).join('\n')}`, { cause: error });
    } finally {
      await bench.close();
    }
    done += count;
  }
  return record;
};

/** One question and all that is asked about its answer. */
interface Scene {
  readonly observer: TruthNode;
  readonly peer: TruthNode;
  readonly database: string;
  readonly fault: FaultKind;
  readonly judged: (judged: Judged) => void;
}

class Comparing {
  readonly #bench: TruthBench;
  readonly #record: TruthRecord;
  readonly #random: () => number;
  readonly #nemesis: Nemesis;
  /** Largest percentage shown, per node, life and database. */
  readonly #percents = new Map<string, number>();
  /** When an observer last called a peer connected. */
  readonly #seenMs = new Map<string, number>();
  #probes = 0;

  constructor(bench: TruthBench, record: TruthRecord, random: () => number) {
    this.#bench = bench;
    this.#record = record;
    this.#random = random;
    this.#nemesis = new Nemesis(bench, random);
  }

  async run(count: number): Promise<void> {
    const load = new TruthLoad(this.#bench);
    try {
      for (let done = 0; done < count;) {
        await this.#nemesis.act();
        await sleep(this.#random() * BETWEEN_MS_MAX);
        if (await this.#compare()) done++;
        if (this.#bench.failure !== undefined) throw this.#bench.failure;
      }
    } finally {
      this.#record.writes += load.stop();
    }
  }

  /** False: nobody could be asked. */
  async #compare(): Promise<boolean> {
    const awake = this.#bench.nodes.filter(({ isAwake }) => isAwake);
    const observer = this.#pick(this.#likely(awake));
    const peer = this.#pick(this.#bench.nodes.filter((node) => node !== observer));
    const database = this.#pick(DATABASES);
    if (!observer || !peer || database === undefined) return false;
    if (!observer.isThere && this.#random() < FIRST_ANSWERS) await firstAnswer(observer);
    const before = await this.#rowsOf({ observer, peer, database }, READ_BEFORE_MS);
    const fault = this.#faultOf(observer, peer);
    const answer = await ask(observer);
    if (!answer) return false;
    const after = await this.#rowsOf({ observer, peer, database }, 0);
    this.#record.comparisons++;
    this.#record.faults.set(fault, (this.#record.faults.get(fault) ?? 0) + 1);
    const judged = (one: Judged): void =>
      this.#note({ observer, peer, database, fault, answer, judged: one });
    await this.#judge({ observer, peer, database, fault, judged }, answer, { before, after });
    return true;
  }

  /** Whoever came back or copies is asked more often: that is over soon. */
  #likely(awake: readonly TruthNode[]): readonly TruthNode[] {
    const back = awake.filter(
      ({ launchedMs, lives, readyMs, continuedMs }) =>
        (lives > 1 && (readyMs < launchedMs || Date.now() - readyMs < RECENT_MS)) ||
        Date.now() - continuedMs < RECENT_MS,
    );
    return back.length > 0 && this.#random() < 0.7 ? back : awake;
  }

  async #judge(
    scene: Scene,
    answer: Answer,
    rows: { readonly before: Both; readonly after: Both },
  ): Promise<void> {
    const { observer, peer, database, judged } = scene;
    const { status } = answer;
    const shown = status.databases.find((one) => one.database === database);
    if (shown) this.#judgeDatabase(scene, { shown, answer, held: rows.after.observer });
    const connection = status.connections.find(({ name }) => name === peer.name);
    if (!connection) return;
    judged(judgeTries(connection, answer));
    const socket = connection.database_sockets.find((one) => one.database === database);
    const breaks = this.#bench.breaksOf(observer, peer);
    if (socket) {
      judged(judgeSocket(connection, socket, shown));
      const isSlow = this.#bench.linkOf(observer, peer).fault?.kind === 'slow';
      const facts = { breaks, isSlow, before: rows.before, after: rows.after };
      for (const one of directions(observer, socket, facts))
        judgeDirection(one, answer).map(judged);
    }
    await this.#judgeConnected(scene, { connection, socket, answer });
    if (
      socket &&
      isKnown(
        breaks.filter(({ isHeard }) => !isHeard),
        answer,
      )
    )
      await this.#judgeLag(scene, socket, answer);
  }

  #judgeDatabase(
    { observer, database, judged }: Scene,
    { shown, answer, held }: { shown: DatabaseShown; answer: Answer; held: Rows | undefined },
  ): void {
    const key = `${observer.name} ${observer.lives} ${database}`;
    const owed = observer.owed?.get(database);
    const lacking =
      owed && held ? [...owed].filter((id) => !held.has(id)).length : held ? 0 : undefined;
    judgeCopy(shown, { largest: this.#percents.get(key) ?? 0, lacking }).map(judged);
    this.#percents.set(key, Math.max(this.#percents.get(key) ?? 0, shown.copy?.percent ?? 0));
    // Ready says that a copy has reached what it promised; of a log that is replayed it says nothing.
    if (!owed || lacking === undefined || !shown.copy) return;
    const lie =
      lacking > 0 ? { lie: `ready, and ${lacking} rows of every source are missing` } : {};
    if (shown.ready) judged({ claim: 'ready', ...lie });
    if (answer.readyz) judged({ claim: 'readyz', ...lie });
  }

  async #judgeConnected(
    scene: Scene,
    shown: { connection: ConnectionShown; socket: SocketShown | undefined; answer: Answer },
  ): Promise<void> {
    const { observer, peer, judged } = scene;
    const { connection, socket, answer } = shown;
    const claim = connection.connected ? 'connected' : 'not connected';
    const key = `${observer.name} ${observer.lives} ${peer.name}`;
    const breaks = this.#bench.breaksOf(observer, peer);
    const seenMs = this.#seenMs.get(key) ?? 0;
    if (connection.connected) this.#seenMs.set(key, answer.askedMs);
    if (breaks.length > 0) {
      if (!connection.connected) judged({ claim });
      else if (isKnown(breaks, answer)) judged({ claim, lie: 'nothing can pass' });
      return;
    }
    if (!connection.connected) return this.#judgeParted(scene, { connection, answer, seenMs });
    if (this.#bench.linkOf(observer, peer).count === 0)
      return judged({ claim, lie: 'there is no link between them' });
    const wholeMs = this.#bench.wholeSince(observer, peer);
    if (socket?.connected === false && wholeMs !== null && answer.askedMs - wholeMs > SUBSCRIBED_MS)
      return judged({ claim: 'not connected', lie: 'a link, and for long no streams' });
    if (!socket?.connected || !observer.isThere || !peer.isThere) return;
    judged({ claim, ...(await this.#roundTrip(scene, socket)) });
  }

  /** A write on each end, seen on the other. */
  async #roundTrip(scene: Scene, socket: SocketShown): Promise<{ lie?: string }> {
    const { observer, peer, fault } = scene;
    const isLevel = fault !== 'slow' && socket.state === 'HEALTHY';
    const msMax = isLevel ? ROUND_TRIP_MS.level : ROUND_TRIP_MS.behind;
    const late = await Promise.all([
      this.#carried(scene, { from: peer, to: observer, msMax }),
      this.#carried(scene, { from: observer, to: peer, msMax }),
    ]);
    const lies = late.filter((one) => one !== undefined);
    return lies.length > 0 ? { lie: lies.join('; ') } : {};
  }

  async #carried(
    { database }: Scene,
    way: { from: TruthNode; to: TruthNode; msMax: number },
  ): Promise<string | undefined> {
    const { from, to, msMax } = way;
    const id = `probe-${from.name}-${this.#probes++}`;
    const beganMs = Date.now();
    if (!(await this.#bench.write(from, database, { id, at: beganMs }))) return undefined;
    const writtenMs = Date.now();
    while (Date.now() < writtenMs + msMax) {
      if (await this.#bench.has(to, database, id)) {
        this.#record.roundTrip(Date.now() - writtenMs);
        return undefined;
      }
      await sleep(15);
    }
    return `${id} was not seen on ${to.name} within ${msMax} ms`;
  }

  /** Nothing keeps them apart, and they are not connected: true only until the next dial. */
  async #judgeParted(
    { observer, peer, judged }: Scene,
    shown: { connection: ConnectionShown; answer: Answer; seenMs: number },
  ): Promise<void> {
    const { connection, answer, seenMs } = shown;
    const claim = 'not connected';
    const wholeMs = this.#bench.wholeSince(observer, peer);
    // One of them is only coming up.
    if (wholeMs === null) return judged({ claim });
    // What broke may still be found out; what was seen after that stays.
    if (seenMs > wholeMs + this.#bench.deafMs + SETTLED_MS)
      return judged({
        claim,
        lie: `connected ${answer.askedMs - seenMs} ms ago, and nothing was done`,
      });
    if (answer.askedMs - wholeMs > NEVER_MS)
      return judged({ claim, lie: `nothing keeps them apart for ${answer.askedMs - wholeMs} ms` });
    const { nextTry } = connection;
    if (nextTry === undefined || nextTry > answer.answeredMs + AWAITED_MS_MAX || nextTry < wholeMs)
      return judged({ claim });
    const deadline = nextTry + DIALLED_MS + SLACK_MS;
    let last: StatusShown | undefined;
    while (Date.now() < deadline) {
      await sleep(50);
      last = (await ask(observer))?.status ?? last;
      if (last?.connections.find(({ name }) => name === peer.name)?.connected)
        return judged({ claim });
    }
    judged({
      claim,
      lie: `not connected ${DIALLED_MS + SLACK_MS} ms after nextTry: ${JSON.stringify(last?.connections)}`,
    });
  }

  async #judgeLag(
    { observer, peer, database, judged }: Scene,
    { receiving: first }: SocketShown,
    answer: Answer,
  ): Promise<void> {
    await sleep(LOOKS_APART_MS);
    const again = await ask(observer);
    const second = again?.status.connections
      .find(({ name }) => name === peer.name)
      ?.database_sockets.find((one) => one.database === database)?.receiving;
    if (!again || !second) return;
    // What a proxy had held comes out when the link is touched, also what a node had said before it was killed.
    const { touchedMs } = this.#bench.linkOf(observer, peer);
    const breaks = this.#bench
      .breaksOf(observer, peer)
      .filter(({ isHeard }) => !isHeard)
      .map((one) => ({ ...one, sinceMs: Math.max(one.sinceMs, touchedMs) }));
    const silentMsMax = this.#bench.pingMs;
    judgeLag({ first, second }, { first: answer, second: again, silentMsMax }, breaks).map(judged);
  }

  /** Resolves `msMin` after it began. */
  async #rowsOf(of: Pick<Scene, 'observer' | 'peer' | 'database'>, msMin: number): Promise<Both> {
    const [observer, peer] = await Promise.all([
      this.#bench.rows(of.observer, of.database),
      this.#bench.rows(of.peer, of.database),
    ]);
    await sleep(msMin);
    return { observer, peer };
  }

  #faultOf(observer: TruthNode, peer: TruthNode): FaultKind {
    const link = this.#bench.linkOf(observer, peer);
    const now = Date.now();
    if (link.fault) return link.fault.kind;
    if (peer.stoppedMs !== null) return 'stopped';
    if (peer.killedMs !== null) return 'killed';
    if (now - link.resetMs < RECENT_MS) return 'rst';
    for (const node of [observer, peer]) {
      const isNew =
        node.lives > 1 && (node.readyMs < node.launchedMs || now - node.readyMs < RECENT_MS);
      if (isNew) return node.owed ? 'wiped' : 'restarted';
      if (now - node.continuedMs < RECENT_MS) return 'continued';
    }
    return 'none';
  }

  #note(of: Omit<Scene, 'judged'> & { answer: Answer; judged: Judged }): void {
    const { observer, peer, database, fault, answer, judged } = of;
    const truth = {
      askedMs: answer.askedMs,
      tookMs: answer.answeredMs - answer.askedMs,
      breaks: this.#bench.breaksOf(observer, peer),
      wholeSinceMs: this.#bench.wholeSince(observer, peer),
      nodes: this.#bench.nodes.map(({ node: _node, owed: _owed, ...facts }) => facts),
      links: this.#bench.links.map(({ ends, fault: on, touchedMs, resetMs, count }) => ({
        ends,
        fault: on,
        touchedMs,
        resetMs,
        count,
      })),
    };
    this.#record.note({
      comparison: this.#record.comparisons,
      fault,
      observer: observer.name,
      peer: peer.name,
      database,
      truth,
      status: answer.status,
      judged,
    });
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }
}

interface Both {
  readonly observer: Rows | undefined;
  readonly peer: Rows | undefined;
}

const directions = (
  observer: TruthNode,
  socket: SocketShown,
  facts: { breaks: ReturnType<TruthBench['breaksOf']>; isSlow: boolean; before: Both; after: Both },
): Parameters<typeof judgeDirection>[0][] => {
  const { breaks, isSlow, before, after } = facts;
  const own = before.observer && [...before.observer].filter(([, { by }]) => by === observer.disk);
  return [
    {
      which: 'receiving',
      reading: socket.receiving,
      breaks,
      toldLateMs: isSlow ? SLOW_MS : 0,
      wanted: before.peer,
      held: after.observer,
    },
    {
      which: 'sending',
      reading: socket.sending,
      breaks,
      toldLateMs: 0,
      wanted: own && new Map(own),
      held: after.peer,
    },
  ];
};
