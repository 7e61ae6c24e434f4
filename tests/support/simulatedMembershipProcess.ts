/**
 * One process of a node in the membership simulation: an actor system on the real kernel, with virtual time in place of
 * nact's scheduling. After `end` nothing of it happens any more. Made by simulatedMembershipNode.ts.
 */
import { ask } from '../../actors/kernel/ask.js';
import { Children, type Child } from '../../actors/kernel/children.js';
import type { Executor, Worker } from '../../actors/kernel/executor.js';
import { Journal } from '../../actors/kernel/journal.js';
import { spawnPlace } from '../../actors/kernel/place.js';
import { watchReference } from '../../actors/kernel/references.js';
import type { Parent, Surroundings } from '../../actors/kernel/surroundings.js';
import type { ActorSystem, SupervisionEvent } from '../../actors/kernel/types.js';
import type { Environment } from '../../actors/environment.js';
import type { SimulatedProcess } from './simulatedLevel.js';
import type { Scheduled, SimulatedTime } from './simulatedTime.js';

export class MembershipProcess implements SimulatedProcess {
  readonly time: SimulatedTime;
  readonly id: string;
  readonly environment: Environment;
  readonly system: ActorSystem;
  readonly startedAt: number;
  /** When an actor of it last crashed. */
  crashedAt = Number.NEGATIVE_INFINITY;
  isAlive = true;
  readonly #children = new Children();

  constructor(parts: {
    time: SimulatedTime;
    nowMs: () => number;
    bootId: string;
    turnMsMax: number;
    observed: (event: SupervisionEvent) => void;
  }) {
    const { time } = parts;
    this.time = time;
    this.startedAt = time.now;
    this.id = time.random.hex(8);
    this.environment = this.#environment(parts);
    this.system = this.#system(parts);
  }

  /** Kill -9. */
  end(): void {
    this.isAlive = false;
  }

  after(delayMs: number, run: () => void): Scheduled {
    return this.time.after(delayMs, () => {
      if (this.isAlive) run();
    });
  }

  #environment({ nowMs, bootId }: { nowMs: () => number; bootId: string }): Environment {
    const { random } = this.time;
    return {
      now: nowMs,
      random: () => random.next(),
      setTimer: (afterMs, run) => this.after(afterMs, run),
      clearTimer: (timer) => {
        if (timer) (timer as Scheduled).isCancelled = true;
      },
      randomId: (bytes) => random.hex(bytes),
      bootId,
      processStartId: this.id,
    };
  }

  #system(parts: { turnMsMax: number; observed: (event: SupervisionEvent) => void }): ActorSystem {
    const { environment } = this;
    const children = this.#children;
    const journal = new Journal(environment);
    journal.subscribe((event) => {
      if (event.type === 'actor.crashed') this.crashedAt = this.time.now;
      parts.observed(event);
    });
    const executor = this.#executor(parts.turnMsMax);
    const surroundings: Surroundings = { environment, journal, executor };
    const top: Parent = {
      path: '',
      children,
      failed: (child, error) =>
        this.time.fail(new Error(`${child.path} failed for good`, { cause: error })),
    };
    return {
      spawn: (spec) => spawnPlace(surroundings, top, spec),
      stop: () => children.stopAll(),
      tree: () => children.snapshots(),
      deadLetters: () => journal.deadLetters,
      subscribe: (listener) => journal.subscribe(listener),
      ask: (target, question, options) => ask(environment, target, question, options),
      watch: watchReference,
      crash: (path, error) => childAt(children, path)?.crash(error, 'crash') ?? false,
    };
  }

  /** Turns of different actors come in the order of their waking, or shuffled a little. */
  #executor(turnMsMax: number): Executor {
    const { random } = this.time;
    const delay = (): number => (turnMsMax > 0 ? random.next() * turnMsMax : 0);
    return {
      worker: (_path, drain) => createWorker(drain, (run) => this.after(delay(), run)),
      stop: () => undefined,
    };
  }
}

const childAt = (top: Children, path: string): Child | undefined => {
  let found: Child | undefined;
  let children: Children | undefined = top;
  for (const name of path.split('/').slice(1)) {
    found = children?.get(name);
    children = found?.children;
  }
  return found;
};

/** One turn at a time; waking twice before a turn is waking once. */
const createWorker = (
  drain: () => void | Promise<void>,
  later: (run: () => void) => unknown,
): Worker => {
  let isStopped = false;
  let isWoken = false;
  let isRunning = false;
  const run = (): void => {
    if (isStopped || isRunning) return;
    isWoken = false;
    const pending = drain();
    if (pending === undefined) return;
    isRunning = true;
    void pending.then(() => {
      isRunning = false;
      if (isWoken) later(run);
    });
  };
  return {
    wake: () => {
      if (isWoken) return;
      isWoken = true;
      if (!isRunning) later(run);
    },
    stop: () => {
      isStopped = true;
    },
  };
};
