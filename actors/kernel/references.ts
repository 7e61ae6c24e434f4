/**
 * Which place stands behind a reference. References are plain objects to everyone else; the kernel looks
 * behind them here, to watch, to stop and to know who holds a question.
 */
import type { PendingAsk } from './ask.js';
import type { Journal } from './journal.js';
import type { ActorRef, Lane, Message, SendResult, StopReason, Terminated } from './types.js';

/** Must not throw: whoever passes code of an actor or a user wraps it. */
export type Watcher = (terminated: Terminated) => void;

/** What other kernel files may do with a place through a reference. */
export interface Addressee {
  readonly path: string;
  /** Why the place ended; absent while it has not. */
  readonly ended: StopReason | undefined;
  readonly enqueue: (message: Message, lane: Lane, ask?: PendingAsk) => SendResult;
  readonly addWatcher: (watcher: Watcher) => () => void;
  /** Ends the place for good; resolves when it and everything below has ended. */
  readonly stop: () => Promise<void>;
}

const addressees = new WeakMap<object, Addressee>();

/** The one reference of a place, the same through all its lives. */
export const createReference = (place: Addressee): ActorRef<Message> => {
  const reference: ActorRef<Message> = {
    path: place.path,
    send: (message, lane = 'data') => place.enqueue(message, lane),
  };
  addressees.set(reference, place);
  return reference;
};

/** Undefined for objects that only look like a reference. */
export const placeOf = (reference: ActorRef<never>): Addressee | undefined =>
  addressees.get(reference);

/** A reference to nobody, for a child that was not born: its messages are dead letters. */
export const createDeadReference = (path: string, journal: Journal): ActorRef<Message> =>
  createReference({
    path,
    ended: { kind: 'stopped' },
    enqueue: (message) => {
      journal.deadLetter(path, message, 'dead');
      return 'dead';
    },
    addWatcher: (watcher) => tellAtOnce(watcher, { path, reason: { kind: 'stopped' } }),
    stop: () => Promise.resolve(),
  });

/** For targets that are dead already. Not before the caller has its way to unwatch; returns that way. */
export const tellAtOnce = (watcher: Watcher, terminated: Terminated): (() => void) => {
  let wanted = true;
  queueMicrotask(() => {
    if (wanted) watcher(terminated);
  });
  return () => {
    wanted = false;
  };
};

/** Objects that only look like references belong to nobody who could live. */
export const watchReference = (target: ActorRef<never>, watcher: Watcher): (() => void) =>
  placeOf(target)?.addWatcher(watcher) ??
  tellAtOnce(watcher, { path: target.path, reason: { kind: 'stopped' } });
