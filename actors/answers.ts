/**
 * How actors answer questions: refusals are answers, everything else is a crash. Used by the shardRouter.
 */
import { messageOf, SkeinError } from '../protocol/errors.js';
import type { Reply } from './kernel/types.js';

/** Runs it at once: refusals are answers, everything else crashes the actor. */
export const answer = <T>(
  replyTo: Reply<T>,
  run: () => T,
  then: (value: T, ok: (value: T) => void) => void = (value, ok) => ok(value),
): void => {
  try {
    then(run(), replyTo.ok);
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    replyTo.fail(error);
  }
};

/** Runs it beside the mailbox: a long read keeps no writer waiting. */
export const answerLater = <T>(replyTo: Reply<T>, run: () => Promise<T>): void => {
  run().then(replyTo.ok, (error: unknown) =>
    replyTo.fail(error instanceof Error ? error : new Error(messageOf(error))),
  );
};
