/**
 * One place in the tree: a mailbox, a reference, and one actor life after another. Made by system.ts (top)
 * and by the context of a life (children). Runs handlers strictly one at a time; catches all they throw and
 * carries out what restartPlan.ts decides. nact only ever hears that there is something to do.
 *
 *   starting ─> running ─> stopping ─┬─> backingOff ─> starting ...     (restart)
 *       └───────────────────^        └─> stopped | failed               (the place ends)
 *
 * Ending a life: close it, wait for the running handler, stop its children (the last started first), call
 * `stopped`, end it. Each wait is bounded by `stopMsMax`; what takes longer is abandoned and reported.
 * Invariants: at most one handler runs; `stopped` is called once per life that was built; a message is
 * handled by one life at most; messages outlive a restart, but not their place.
 */
import { limits } from '../../protocol/limits.js';
import { askIn, isStopped, type PendingAsk } from './ask.js';
import type { Child, Children } from './children.js';
import type { Worker } from './executor.js';
import { toError, type Journal } from './journal.js';
import { Life, type Fault, type Home } from './life.js';
import { Mailbox } from './mailbox.js';
import { createReference, tellAtOnce, type Watcher } from './references.js';
import { afterLife, NO_RESTARTS, type Verdict } from './restartPlan.js';
import { Runner, type Stage } from './runner.js';
import { takeSnapshot } from './snapshot.js';
import { Statistics } from './statistics.js';
import type { Parent, Surroundings } from './surroundings.js';
import { settledWithin } from './turn.js';
import type {
  ActorRef,
  ActorSnapshot,
  ActorSpec,
  ActorState,
  KernelEnvironment,
  Lane,
  Message,
  SendResult,
  StopReason,
} from './types.js';

/** Makes a place under `parent` and starts its first life. Throws for a name that cannot be used. */
export const spawnPlace = <M extends Message>(
  surroundings: Surroundings,
  parent: Parent,
  spec: ActorSpec<M>,
): ActorRef<M> => {
  parent.children.checkName(spec.name);
  // The kernel carries messages without looking at them: references alone guard their types.
  const place = new Place(surroundings, parent, spec as unknown as ActorSpec<Message>);
  parent.children.add(place);
  return place.reference;
};

class Place implements Child, Home, Stage {
  readonly name: string;
  readonly path: string;
  readonly reference: ActorRef<Message>;
  readonly environment: KernelEnvironment;
  readonly journal: Journal;
  readonly spec: ActorSpec<Message>;
  readonly mailbox: Mailbox;
  readonly statistics = new Statistics();
  ended: StopReason | undefined;

  readonly #surroundings: Surroundings;
  readonly #parent: Parent;
  readonly #runner = new Runner(this);
  readonly #worker: Worker;
  readonly #watchers = new Set<Watcher>();
  readonly #whenEnded: Promise<void>;
  #reachEnd: () => void = () => undefined;

  #state: ActorState = 'starting';
  #life: Life | undefined;
  #lives = 0;
  #lastStartedAt = 0;
  #history = NO_RESTARTS;
  #backoff: { readonly timer: unknown; readonly until: number } | undefined;
  #isStopAsked = false;
  #takesMail = true;

  constructor(surroundings: Surroundings, parent: Parent, spec: ActorSpec<Message>) {
    this.#surroundings = surroundings;
    this.environment = surroundings.environment;
    this.journal = surroundings.journal;
    this.#parent = parent;
    this.spec = spec;
    this.name = spec.name;
    this.path = `${parent.path}/${spec.name}`;
    this.mailbox = new Mailbox({
      controlMax: spec.mailbox?.controlMax ?? limits.mailboxControlMax,
      dataMax: spec.mailbox?.dataMax ?? limits.mailboxMessagesMax,
    });
    this.#whenEnded = new Promise((resolve) => {
      this.#reachEnd = resolve;
    });
    this.reference = createReference(this);
    this.#worker = surroundings.executor.worker(this.path, () =>
      this.#life?.isOpen === true ? this.#runner.turn(this.#life) : undefined,
    );
    this.#beginLife();
  }

  get children(): Children | undefined {
    return this.#life?.children;
  }

  // ---- seen through the reference

  enqueue(message: Message, lane: Lane, ask: PendingAsk | undefined = askIn(message)): SendResult {
    const refused = this.#takesMail ? !this.mailbox.push({ message, ask }, lane) && 'full' : 'dead';
    if (refused !== false) {
      this.journal.deadLetter(this.path, message, refused);
      return refused;
    }
    ask?.hold(undefined);
    if (this.#state === 'running') this.#worker.wake();
    return 'queued';
  }

  addWatcher(watcher: Watcher): () => void {
    if (this.ended !== undefined) {
      return tellAtOnce(watcher, { path: this.path, reason: this.ended });
    }
    const own: Watcher = (terminated) => watcher(terminated);
    this.#watchers.add(own);
    return () => {
      this.#watchers.delete(own);
    };
  }

  /** Never rejects. A restart that is under way ends as a stop. */
  stop(): Promise<void> {
    if (this.ended !== undefined) this.#parent.children.forget(this);
    if (this.ended === undefined && !this.#isStopAsked) {
      this.#isStopAsked = true;
      if (this.#life?.isOpen === true) void this.#endWithLife(this.#life, { kind: 'stopped' });
      else this.#refuseMail();
      if (this.#life === undefined) this.#endPlace({ kind: 'stopped' });
    }
    return this.#whenEnded;
  }

  crash(error: Error, during: string): boolean {
    const life = this.#life;
    return life !== undefined && this.#crashLife(life, { error, during });
  }

  snapshot(): ActorSnapshot {
    return takeSnapshot({
      path: this.path,
      name: this.name,
      state: this.#state,
      lives: this.#lives,
      life: this.#life,
      mailbox: this.mailbox.waiting,
      statistics: this.statistics,
      lastStartedAt: this.#lastStartedAt,
      nextStartAt: this.#backoff?.until,
      report: (error, during) => this.report(error, during),
    });
  }

  // ---- seen by a life

  spawn<C extends Message>(life: Life, spec: ActorSpec<C>): ActorRef<C> {
    const parent: Parent = {
      path: this.path,
      children: life.children,
      failed: (child, error) => {
        const fault = new Error(`child ${child.path} failed: ${error.message}`, { cause: error });
        this.#crashLife(life, { error: fault, during: `child ${child.name}` });
      },
    };
    return spawnPlace(this.#surroundings, parent, spec);
  }

  wishedToStop(life: Life): void {
    life.wantsToStop = true;
    if (life.hasBegun && life.turn.during === undefined) this.#concludeLife(life, undefined);
  }

  report(error: Error, during: string): void {
    const at = this.environment.now();
    this.statistics.crashed(at, error, during);
    const { path } = this;
    this.journal.emit({ type: 'actor.crashed', path, life: this.#lives, at, error, during });
  }

  count(name: string, by: number): void {
    this.statistics.count(name, by);
  }

  // ---- seen by the runner

  /** An actor built after its life was cleaned up, for its start was abandoned, is cleaned up all the same. */
  built(life: Life): void {
    if (life.isCleanedUp) void this.#cleanUp(life, { kind: 'stopped' });
    if (!life.isOpen) return;
    this.#state = 'running';
    const { path } = this;
    const at = this.environment.now();
    this.journal.emit({ type: 'actor.started', path, life: life.number, at });
  }

  turnOver(life: Life, fault: Fault | undefined): void {
    if (!life.isOpen) {
      if (fault !== undefined) this.report(fault.error, fault.during);
      return;
    }
    const ending = fault ?? life.fault;
    if (ending !== undefined || life.wantsToStop) this.#concludeLife(life, ending);
  }

  wakeForMail(): void {
    if (this.#state === 'running' && !this.mailbox.isEmpty) this.#worker.wake();
  }

  // ---- beginning a life

  #beginLife(): void {
    this.#backoff = undefined;
    this.#state = 'starting';
    this.#lives += 1;
    this.#life = new Life(this, this.#lives);
    this.#lastStartedAt = this.#life.startedAt;
    this.#worker.wake();
  }

  // ---- ending a life

  /** Now, or after the running handler. False when that life is ending already. */
  #crashLife(life: Life, fault: Fault): boolean {
    if (!life.isOpen) return false;
    if (life.hasBegun && life.turn.during === undefined) this.#concludeLife(life, fault);
    else life.fault ??= fault;
    return true;
  }

  /** `fault` absent: by its own wish. */
  #concludeLife(life: Life, fault: Fault | undefined): void {
    if (fault !== undefined) this.report(fault.error, fault.during);
    // Whoever listens to reports may have stopped this place meanwhile.
    if (!life.isOpen) return;
    const now = this.environment.now();
    const verdict = afterLife(this.spec.policy, this.#history, {
      crashed: fault !== undefined,
      now,
      livedMs: now - life.startedAt,
      random: this.environment.random(),
    });
    const error = fault?.error ?? new Error(`${this.path} stopped by itself`);
    if (verdict.kind === 'restart') void this.#restart(life, error, verdict);
    else if (verdict.kind === 'budgetSpent') {
      void this.#endWithLife(life, { kind: 'budgetSpent', error });
    } else {
      const reason: StopReason =
        fault === undefined ? { kind: 'stopped' } : { kind: 'crashed', error };
      void this.#endWithLife(life, reason);
    }
  }

  async #restart(
    life: Life,
    error: Error,
    { inMs, history }: Extract<Verdict, { kind: 'restart' }>,
  ): Promise<void> {
    const reason: StopReason = { kind: 'restarting', error };
    await this.#endLife(life, reason);
    this.#life = undefined;
    if (this.#isStopAsked) return this.#endPlace({ kind: 'stopped' });
    this.#history = history;
    this.statistics.restarts += 1;
    const at = this.environment.now();
    if (inMs > 0) this.#backOff(at, inMs);
    else this.#beginLife();
    this.journal.emit({ type: 'actor.restarting', path: this.path, at, inMs });
    this.#tellWatchers(reason);
  }

  #backOff(at: number, inMs: number): void {
    this.#state = 'backingOff';
    const timer = this.environment.setTimer(inMs, () => this.#beginLife());
    this.#backoff = { timer, until: at + inMs };
  }

  async #endWithLife(life: Life, reason: StopReason): Promise<void> {
    const ended = this.#endLife(life, reason);
    // After the life is closed: dead letters have listeners, who must find the end under way.
    this.#refuseMail(reason.kind === 'stopped' ? undefined : reason.error);
    await ended;
    this.#endPlace(reason);
  }

  async #endLife(life: Life, reason: StopReason): Promise<void> {
    this.#state = 'stopping';
    life.close();
    const during = life.turn.during ?? '';
    if (!(await this.#inTime(life.turn.whenIdle()))) {
      life.turn.stopWatching();
      this.#reportAbandoned(`handling ${during}`, during);
    }
    await life.children.stopAll();
    if (!(await this.#inTime(this.#cleanUp(life, reason)))) {
      this.#reportAbandoned('cleaning up', 'stopped');
    }
    life.end(reason);
  }

  async #cleanUp(life: Life, reason: StopReason): Promise<void> {
    life.isCleanedUp = true;
    try {
      await life.actor?.stopped?.(reason);
    } catch (thrown) {
      this.report(toError(thrown), 'stopped');
    }
  }

  #inTime(work: Promise<void>): Promise<boolean> {
    return settledWithin(this.environment, work, this.#stopMsMax);
  }

  #reportAbandoned(doing: string, during: string): void {
    const text = `${this.path} was abandoned: still ${doing} after ${this.#stopMsMax} ms`;
    this.report(new Error(text), during);
  }

  get #stopMsMax(): number {
    return this.spec.stopMsMax ?? limits.stopMsMax;
  }

  // ---- ending the place

  #endPlace(reason: StopReason): void {
    if (this.#backoff !== undefined) this.environment.clearTimer(this.#backoff.timer);
    this.#backoff = undefined;
    this.#life = undefined;
    this.ended = reason;
    this.#state = reason.kind === 'stopped' ? 'stopped' : 'failed';
    this.#worker.stop();
    const failure = reason.kind === 'stopped' || this.#isStopAsked ? undefined : reason.error;
    this.#parent.children.ended(this, failure !== undefined);
    const at = this.environment.now();
    this.journal.emit({ type: 'actor.stopped', path: this.path, at, reason });
    this.#tellWatchers(reason);
    this.#watchers.clear();
    this.#reachEnd();
    if (failure !== undefined && this.spec.policy.whenSpent === 'escalate') {
      this.#parent.failed(this, failure);
    }
  }

  #tellWatchers(reason: StopReason): void {
    for (const watcher of Array.from(this.#watchers)) watcher({ path: this.path, reason });
  }

  /** What waits will never be handled. */
  #refuseMail(cause?: Error): void {
    this.#takesMail = false;
    for (let left = this.mailbox.shift(); left !== undefined; left = this.mailbox.shift()) {
      left.ask?.reject(isStopped(this.path, cause));
      this.journal.deadLetter(this.path, left.message, 'dead');
    }
  }
}
