/**
 * clerk:<n>: one operation that takes its time and may deal with other nodes, beside everything else. Spawned by
 * clusterSupervisor; ends with the operation. What goes wrong in it reaches whoever asked and nobody else.
 */
import { SkeinError } from '../protocol/errors.js';
import type { Actor, ActorContext, ActorSpec, Reply } from './kernel/types.js';

type ClerkMessage = { readonly type: 'timer.deadline' } | { readonly type: 'work.ended' };

export interface ClerkParts<T> {
  readonly name: string;
  /** The operation, for status. */
  readonly operation: string;
  readonly deadlineMs: number;
  /** The signal is aborted when the clerk ends, at its deadline for instance. */
  readonly work: (signal: AbortSignal) => Promise<T>;
  readonly replyTo: Reply<T>;
}

export const clerkSpec = <T>(parts: ClerkParts<T>): ActorSpec<ClerkMessage> => ({
  name: parts.name,
  policy: { restart: 'never', whenSpent: 'stop' },
  start: (context) => new Clerk(context, parts),
});

class Clerk<T> implements Actor<ClerkMessage> {
  readonly #context: ActorContext<ClerkMessage>;
  readonly #parts: ClerkParts<T>;
  #isAnswered = false;

  constructor(context: ActorContext<ClerkMessage>, parts: ClerkParts<T>) {
    this.#context = context;
    this.#parts = parts;
    context.startTimer('deadline', parts.deadlineMs, { type: 'timer.deadline' });
    void parts.work(context.signal).then(
      (result) => this.#end(() => this.#answer(() => parts.replyTo.ok(result))),
      (error: unknown) => this.#end(() => this.#fail(asError(error))),
    );
  }

  readonly receive = (message: ClerkMessage): void => {
    switch (message.type) {
      case 'timer.deadline': {
        const { operation, deadlineMs } = this.#parts;
        this.#fail(new SkeinError('TIMEOUT', `'${operation}' was given up after ${deadlineMs} ms`));
        return this.#context.stopSelf();
      }
      case 'work.ended':
        return this.#context.stopSelf();
      default:
        return message satisfies never;
    }
  };

  /** Stopped, or crashed from outside, perhaps before the work was done. */
  stopped(): void {
    this.#fail(new SkeinError('OUTCOME_UNKNOWN', `'${this.#parts.operation}' was interrupted`));
  }

  describe(): Record<string, unknown> {
    return { operation: this.#parts.operation };
  }

  /** Whoever asked counts answers. */
  #answer(answer: () => void): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    answer();
  }

  #fail(error: Error): void {
    this.#answer(() => this.#parts.replyTo.fail(error));
  }

  #end(answer: () => void): void {
    answer();
    this.#context.self.send({ type: 'work.ended' }, 'control');
  }
}

const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(String(thrown));
