/**
 * What happened in one actor system: supervision events to whoever subscribed, and the last dead letters.
 * Every kernel file reports here. A listener that throws is itself reported and harms nobody.
 */
import { limits } from '../../protocol/limits.js';
import type { DeadLetter, KernelEnvironment, Message, SupervisionEvent } from './types.js';

type Listener = (event: SupervisionEvent) => void;

/** The path shown for faults outside any actor. */
export const OUTSIDE = '/';

export class Journal {
  readonly #environment: KernelEnvironment;
  readonly #listeners = new Set<Listener>();
  #deadLetters: DeadLetter[] = [];

  constructor(environment: KernelEnvironment) {
    this.#environment = environment;
  }

  subscribe(listener: Listener): () => void {
    // Wrapped, so that subscribing one function twice gives two independent subscriptions.
    const own: Listener = (event) => listener(event);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  emit(event: SupervisionEvent): void {
    if (this.#listeners.size > 0) this.#deliver(event, new Set());
  }

  /** Oldest first, at most `limits.deadLettersKept`. */
  get deadLetters(): readonly DeadLetter[] {
    return [...this.#deadLetters];
  }

  deadLetter(path: string, message: Message, why: DeadLetter['why']): void {
    const letter = { at: this.#environment.now(), path, message: String(message.type), why };
    this.#deadLetters.push(letter);
    if (this.#deadLetters.length > limits.deadLettersKept) this.#deadLetters.shift();
    this.emit({ type: 'message.dead', ...letter });
  }

  /** Runs code that belongs to nobody in the tree (a watcher, `onFailed`); a throw becomes an event. */
  guard(path: string, during: string, run: () => void): void {
    try {
      run();
    } catch (thrown) {
      this.emit(this.#fault(path, during, thrown));
    }
  }

  /** Listeners that failed on this event are not told of their own failure: that could go on for ever. */
  #deliver(event: SupervisionEvent, failed: Set<Listener>): void {
    const faults: SupervisionEvent[] = [];
    for (const listener of Array.from(this.#listeners)) {
      if (failed.has(listener)) continue;
      try {
        listener(event);
      } catch (thrown) {
        failed.add(listener);
        faults.push(this.#fault(OUTSIDE, 'listener', thrown));
      }
    }
    for (const fault of faults) this.#deliver(fault, failed);
  }

  #fault(path: string, during: string, thrown: unknown): SupervisionEvent {
    const at = this.#environment.now();
    return { type: 'actor.crashed', path, life: 0, at, error: toError(thrown), during };
  }
}

/** Anything thrown, as an Error. */
export const toError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(String(thrown));
