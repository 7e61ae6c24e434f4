/**
 * nact, and the only file that knows it: one nact actor per place, all directly under one nact system,
 * used as a serial executor. A worker takes tokens ("there is something to do"), never messages: mailboxes,
 * supervision and the tree are the kernel's, so nothing a handler does is ever a fault to nact.
 */
import { dispatch, spawn, start, stop, type Ref } from 'nact';

export interface Worker {
  /** Runs the drain soon, after the present one has settled. Waking twice before that is waking once. */
  readonly wake: () => void;
  /** No further drain starts; one that is running is not disturbed. */
  readonly stop: () => void;
}

export interface Executor {
  /** `drain` must never throw or reject: place.ts catches whatever an actor throws. */
  readonly worker: (path: string, drain: () => void | Promise<void>) => Worker;
  readonly stop: () => void;
}

export const createExecutor = (): Executor => {
  const system = start();
  return {
    worker: (path, drain) => createWorker(system, path, drain),
    stop: () => stop(system),
  };
};

type Token = 'drain';

const createWorker = (
  system: Ref<never>,
  path: string,
  drain: () => void | Promise<void>,
): Worker => {
  let waiting = false;
  const run = (_state: null, _token: Token): null | Promise<null> => {
    waiting = false;
    const pending = drain();
    return pending === undefined ? null : pending.then(() => null);
  };
  const reference: Ref<Token> = spawn(system, run, nactName(path), { initialState: null });
  return {
    wake: () => {
      if (waiting) return;
      waiting = true;
      dispatch(reference, 'drain');
    },
    stop: () => stop(reference),
  };
};

/**
 * nact takes `[a-z0-9-$_.+!*'(),]` only. Everything else, and the escape sign itself, becomes `$` and four
 * hexadecimal digits per UTF-16 unit, so that different paths stay different.
 */
export const nactName = (path: string): string =>
  path.replace(
    /[^A-Za-z0-9\-_.+!*'(),]/g,
    (unit) => `$${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
