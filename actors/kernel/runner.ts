/**
 * Runs the handlers of one place, strictly one at a time, and catches whatever they throw. place.ts calls
 * `turn` from its worker and is told how each handler ended; what follows from that is not decided here.
 */
import { limits } from '../../protocol/limits.js';
import { crashedOn, type PendingAsk } from './ask.js';
import { toError, type Journal } from './journal.js';
import type { Fault, Life } from './life.js';
import type { Envelope, Mailbox } from './mailbox.js';
import type { Statistics } from './statistics.js';
import type { Actor, ActorSpec, KernelEnvironment, Message } from './types.js';

/** Messages handled before other actors and the event loop have their turn. */
const MESSAGES_PER_TURN = 32;

/** The place, as its runner sees it. */
export interface Stage {
  readonly path: string;
  readonly environment: KernelEnvironment;
  readonly journal: Journal;
  readonly mailbox: Mailbox;
  readonly statistics: Statistics;
  readonly spec: ActorSpec<Message>;
  /** `start` gave the life its actor. */
  readonly built: (life: Life) => void;
  /** No handler runs any more; with the error the last one threw. Must not throw. */
  readonly turnOver: (life: Life, fault: Fault | undefined) => void;
  readonly wakeForMail: () => void;
}

export class Runner {
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /**
   * Starts the life, or handles some of the waiting messages. The promise, if any, settles when the handler
   * has: no other turn of the place may begin before.
   */
  turn(life: Life): void | Promise<void> {
    if (!life.hasBegun) return this.#start(life);
    const { actor } = life;
    if (actor === undefined) return undefined;
    for (let handled = 0; handled < MESSAGES_PER_TURN; handled += 1) {
      const envelope = this.#stage.mailbox.shift();
      if (envelope === undefined) return undefined;
      const later = this.#handle(life, actor, envelope);
      if (later !== undefined) return later;
      if (!life.isOpen) return undefined;
    }
    return this.#stage.wakeForMail();
  }

  #start(life: Life): void | Promise<void> {
    life.hasBegun = true;
    life.turn.begin('start');
    try {
      const actor = this.#stage.spec.start(life.context);
      if (isPromise(actor)) return this.#continueLater(life, actor, undefined, this.#take);
      this.#take(life, actor);
    } catch (thrown) {
      return this.#over(life, undefined, toError(thrown));
    }
    this.#over(life, undefined, undefined);
    return this.#stage.wakeForMail();
  }

  readonly #take = (life: Life, actor: Actor<Message>): void => {
    life.actor = actor;
    this.#stage.built(life);
  };

  #handle(life: Life, actor: Actor<Message>, envelope: Envelope): Promise<void> | undefined {
    const { message, ask } = envelope;
    life.turn.begin(message.type);
    ask?.hold(life.holds);
    this.#stage.statistics.processed += 1;
    let outcome: void | Promise<void>;
    try {
      outcome = actor.receive(message);
    } catch (thrown) {
      this.#over(life, ask, toError(thrown));
      return undefined;
    }
    if (isPromise(outcome)) return this.#continueLater(life, outcome, ask);
    this.#over(life, ask, undefined);
    return undefined;
  }

  async #continueLater<T>(
    life: Life,
    work: Promise<T>,
    ask: PendingAsk | undefined,
    take?: (life: Life, value: T) => void,
  ): Promise<void> {
    const { path, environment, journal, spec } = this.#stage;
    const during = life.turn.during ?? '';
    life.turn.continueLater(spec.hungMs ?? limits.hungHandlerMs, (forMs) =>
      journal.emit({ type: 'actor.hung', path, at: environment.now(), during, forMs }),
    );
    let error: Error | undefined;
    try {
      const value = await work;
      take?.(life, value);
    } catch (thrown) {
      error = toError(thrown);
    }
    this.#over(life, ask, error);
    this.#stage.wakeForMail();
  }

  #over(life: Life, ask: PendingAsk | undefined, error: Error | undefined): void {
    const during = life.turn.during ?? '';
    life.turn.over();
    // A question handed on to another actor is that actor's to answer, whatever happened here since.
    if (error !== undefined && ask !== undefined && life.holds.has(ask)) {
      ask.reject(crashedOn(this.#stage.path, during, error));
    }
    this.#stage.turnOver(life, error === undefined ? undefined : { error, during });
  }
}

const isPromise = <T>(value: T | Promise<T>): value is Promise<T> =>
  typeof value === 'object' && value !== null && 'then' in value;
