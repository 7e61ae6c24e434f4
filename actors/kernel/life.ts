/**
 * One life of one place: the actor, its children, its timers and watches, the questions it asked and those
 * it has yet to answer, and the context through which the actor sees all this. place.ts drives it:
 *
 *   open ──close()──> closing ──end()──> ended
 *
 * Closing: no new children, timers or watches, `signal` is aborted; a running handler and `stopped` may still
 * ask. Ended: every call on the context is ignored or rejected. A life never comes back.
 */
import { ask, askerEnded, endedWithoutAnswer, type Asked, type PendingAsk } from './ask.js';
import { Children } from './children.js';
import { createDeadReference, placeOf, watchReference } from './references.js';
import { toError, type Journal } from './journal.js';
import { Turn } from './turn.js';
import type {
  Actor,
  ActorContext,
  ActorRef,
  ActorSpec,
  AskOptions,
  KernelEnvironment,
  Message,
  Reply,
  StopReason,
  Terminated,
} from './types.js';

/** What a life needs of its place. */
export interface Home {
  readonly path: string;
  readonly reference: ActorRef<Message>;
  readonly environment: KernelEnvironment;
  readonly journal: Journal;
  readonly spawn: <C extends Message>(life: Life, spec: ActorSpec<C>) => ActorRef<C>;
  /** `stopSelf` was called; by now, or by the end of the running handler, the life is to end. */
  readonly wishedToStop: (life: Life) => void;
  readonly report: (error: Error, during: string) => void;
  readonly count: (name: string, by: number) => void;
}

export interface Fault {
  readonly error: Error;
  /** Type of the message handled, `start`, `stopped`, or whose failure it was. */
  readonly during: string;
}

export class Life {
  readonly number: number;
  readonly startedAt: number;
  readonly turn: Turn;
  readonly children = new Children();
  readonly context: ActorContext<Message>;
  /** Questions this life received and has not answered. */
  readonly holds = new Set<PendingAsk>();
  actor: Actor<Message> | undefined;
  hasBegun = false;
  /** `stopped` was called, or there was no actor to call it on. */
  isCleanedUp = false;
  /** To end after the running handler: crashed from outside, or by its own wish. */
  fault: Fault | undefined;
  wantsToStop = false;
  /** `describe` or `phase` threw: reported once, not at every look. */
  isIndescribable = false;

  readonly #home: Home;
  readonly #asked: Asked = new Set();
  readonly #timers = new Map<string, unknown>();
  readonly #unwatch = new Set<() => void>();
  #stage: 'open' | 'closing' | 'ended' = 'open';
  #abort: AbortController | undefined;

  constructor(home: Home, number: number) {
    this.#home = home;
    this.number = number;
    this.startedAt = home.environment.now();
    this.turn = new Turn(home.environment);
    this.context = createContext(this, home);
  }

  get isOpen(): boolean {
    return this.#stage === 'open';
  }

  get hasEnded(): boolean {
    return this.#stage === 'ended';
  }

  /** Made when first asked for: most lives never look at it. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (!this.isOpen) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  /**
   * Questions to those above are withdrawn: they may be waiting for this very life to end, and a handler
   * waiting for their answer would keep them until the deadline.
   */
  close(): void {
    this.#stage = 'closing';
    for (const timer of this.#timers.values()) this.#home.environment.clearTimer(timer);
    this.#timers.clear();
    for (const unwatch of this.#unwatch) unwatch();
    for (const question of this.#asked) {
      if (this.#home.path.startsWith(`${question.targetPath}/`)) {
        question.reject(askerEnded(this.#home.path));
      }
    }
    this.#abort?.abort();
  }

  end(reason: StopReason): void {
    this.#stage = 'ended';
    const { path } = this.#home;
    const cause = reason.kind === 'stopped' ? undefined : reason.error;
    for (const question of this.holds) question.reject(endedWithoutAnswer(path, cause));
    for (const question of this.#asked) question.reject(askerEnded(path));
  }

  ask<T, Q extends Message>(
    target: ActorRef<Q>,
    question: (replyTo: Reply<T>) => Q,
    options?: AskOptions,
  ): Promise<T> {
    const { environment, path } = this.#home;
    if (!this.hasEnded) return ask(environment, target, question, options, this.#asked);
    const refusal = Promise.reject<T>(askerEnded(path));
    // Nobody may be left to look at it, and it must not end the process.
    refusal.catch(() => undefined);
    return refusal;
  }

  watch(target: ActorRef<never>, message: (terminated: Terminated) => Message): void {
    const tell = (terminated: Terminated): void => {
      if (terminated.reason.kind !== 'restarting') this.#unwatch.delete(unwatch);
      if (!this.isOpen) return;
      try {
        this.#home.reference.send(message(terminated), 'control');
      } catch (thrown) {
        this.#home.report(toError(thrown), 'watch');
      }
    };
    const unwatch = watchReference(target, tell);
    this.#unwatch.add(unwatch);
  }

  startTimer(key: string, afterMs: number, message: Message): void {
    this.cancelTimer(key);
    const timer = this.#home.environment.setTimer(afterMs, () => {
      this.#timers.delete(key);
      this.#home.reference.send(message, 'control');
    });
    this.#timers.set(key, timer);
  }

  cancelTimer(key: string): void {
    if (!this.#timers.has(key)) return;
    this.#home.environment.clearTimer(this.#timers.get(key));
    this.#timers.delete(key);
  }
}

const createContext = (life: Life, home: Home): ActorContext<Message> => ({
  self: home.reference,
  path: home.path,
  life: life.number,
  get signal() {
    return life.signal;
  },
  spawn: (spec) =>
    life.isOpen
      ? home.spawn(life, spec)
      : createDeadReference(`${home.path}/${spec.name}`, home.journal),
  stop: (child) => stopChild(life, home, child),
  stopSelf: () => {
    if (life.isOpen) home.wishedToStop(life);
  },
  children: () => life.children.names,
  watch: (target, message) => {
    if (life.isOpen) life.watch(target, message);
  },
  startTimer: (key, afterMs, message) => {
    if (life.isOpen) life.startTimer(key, afterMs, message);
  },
  cancelTimer: (key) => life.cancelTimer(key),
  ask: (target, question, options) => life.ask(target, question, options),
  count: (name, by = 1) => {
    if (!life.hasEnded) home.count(name, by);
  },
});

/** Throws at once, so that the handler crashes, for an actor that is not this one's to stop. */
const stopChild = (life: Life, home: Home, child: ActorRef<never>): Promise<void> => {
  const place = placeOf(child);
  if (life.hasEnded || place === undefined) return Promise.resolve();
  if (place.ended === undefined && !life.children.has(place)) {
    throw new Error(`${child.path} is no child of ${home.path}`);
  }
  return place.stop();
};
