/**
 * Questions with exactly one answer. A question is rejected as soon as it is known that nobody will answer:
 * the target refused or dropped it, crashed on it, or ended without answering. place.ts and life.ts tell
 * a question whose hands it is in; answering is the actor's business, through `Reply`.
 */
import { messageOf, SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import { placeOf } from './references.js';
import type { ActorRef, AskOptions, KernelEnvironment, Message, Reply } from './types.js';

/** One unanswered question. */
export interface PendingAsk {
  /** Path of the actor asked first; a forwarded question keeps it. */
  readonly targetPath: string;
  readonly isSettled: boolean;
  readonly reject: (error: Error) => void;
  /** In the hands of at most one life: holding it again moves it, `undefined` puts it on its way. */
  readonly hold: (holder: Set<PendingAsk> | undefined) => void;
}

/** Keeps the open questions of one asker, so that they are rejected when the asker ends. */
export type Asked = Set<PendingAsk>;

/**
 * Resolves with the answer. Rejects with the error the actor answered, or with a SkeinError: OVERLOADED
 * (mailbox full), UNAVAILABLE (stopped, crashed on it, ended without answering), TIMEOUT; or with the
 * signal's reason.
 */
export const ask = <T, Q extends Message>(
  environment: KernelEnvironment,
  target: ActorRef<Q>,
  question: (replyTo: Reply<T>) => Q,
  options: AskOptions = {},
  asked?: Asked,
): Promise<T> => {
  const answer = new Promise<T>((resolve, reject) => {
    if (options.signal?.aborted === true) return reject(reasonOf(options.signal));
    const pending = new Question<T>(environment, target.path, { resolve, reject }, asked);
    const message = question(pending.reply);
    pending.giveUpLater(message, options);
    deliver(target, message, options, pending);
  });
  // Whoever awaits the answer sees the rejection; one who does not care must not end the process.
  answer.catch(() => undefined);
  return answer;
};

/** The question a message carries on: how a forwarded question stays known to the kernel. */
export const askIn = (message: Message): PendingAsk | undefined => {
  const { replyTo } = message as { replyTo?: unknown };
  return typeof replyTo === 'object' && replyTo !== null ? questions.get(replyTo) : undefined;
};

/** Rejects a question the actor crashed on. */
export const crashedOn = (path: string, during: string, error: Error): SkeinError =>
  new SkeinError('UNAVAILABLE', `${path} crashed while handling ${during}: ${messageOf(error)}`, {
    cause: error,
  });

/** Rejects a question that was refused, or dropped unhandled; `cause` is what ended the actor, if it is known. */
export const isStopped = (path: string, cause?: Error): SkeinError =>
  new SkeinError('UNAVAILABLE', `${path} is stopped`, { cause });

/** Rejects a question an actor took and did not answer in its life. */
export const endedWithoutAnswer = (path: string, cause: Error | undefined): SkeinError =>
  new SkeinError('UNAVAILABLE', `${path} ended without answering`, { cause });

/** Rejects a question whose asker has ended. */
export const askerEnded = (path: string): SkeinError =>
  new SkeinError('UNAVAILABLE', `${path} ended before it had an answer`);

const questions = new WeakMap<object, PendingAsk>();

class Question<T> implements PendingAsk {
  readonly reply: Reply<T>;
  readonly targetPath: string;
  isSettled = false;
  readonly #environment: KernelEnvironment;
  readonly #reject: (error: Error) => void;
  readonly #asked: Asked | undefined;
  #holder: Set<PendingAsk> | undefined;
  #timer: unknown;
  #unlisten: (() => void) | undefined;

  constructor(
    environment: KernelEnvironment,
    targetPath: string,
    caller: { resolve: (value: T) => void; reject: (error: Error) => void },
    asked: Asked | undefined,
  ) {
    this.#environment = environment;
    this.targetPath = targetPath;
    this.#reject = caller.reject;
    this.#asked = asked;
    this.reply = {
      ok: (value) => {
        if (this.#settle()) caller.resolve(value);
      },
      fail: (error) => this.reject(error),
    };
    questions.set(this.reply, this);
  }

  readonly reject = (error: Error): void => {
    if (this.#settle()) this.#reject(error);
  };

  readonly hold = (holder: Set<PendingAsk> | undefined): void => {
    this.#holder?.delete(this);
    this.#holder = this.isSettled ? undefined : holder;
    this.#holder?.add(this);
  };

  /** The three ways out besides an answer: time, the caller's signal, the end of the asker. */
  giveUpLater(message: Message, { timeoutMs = limits.askMsDefault, signal }: AskOptions): void {
    if (this.isSettled) return;
    this.#asked?.add(this);
    this.#timer = this.#environment.setTimer(timeoutMs, () =>
      this.reject(
        new SkeinError(
          'TIMEOUT',
          `${this.targetPath} did not answer ${message.type} within ${timeoutMs} ms`,
        ),
      ),
    );
    if (signal === undefined) return;
    const abandon = (): void => this.reject(reasonOf(signal));
    signal.addEventListener('abort', abandon, { once: true });
    this.#unlisten = () => signal.removeEventListener('abort', abandon);
  }

  #settle(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.#environment.clearTimer(this.#timer);
    this.#unlisten?.();
    this.#asked?.delete(this);
    this.hold(undefined);
    return true;
  }
}

const deliver = <Q extends Message>(
  target: ActorRef<Q>,
  message: Q,
  { lane = 'data' }: AskOptions,
  pending: PendingAsk,
): void => {
  const place = placeOf(target);
  const result =
    place === undefined ? target.send(message, lane) : place.enqueue(message, lane, pending);
  if (result === 'full') {
    pending.reject(new SkeinError('OVERLOADED', `the mailbox of ${target.path} is full`));
  } else if (result === 'dead') {
    pending.reject(isStopped(target.path));
  }
};

const reasonOf = (signal: AbortSignal): Error =>
  signal.reason instanceof Error
    ? signal.reason
    : new SkeinError('UNAVAILABLE', 'the question was withdrawn', { cause: signal.reason });
