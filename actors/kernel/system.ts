/**
 * One actor system: the top of the tree and what can be done from outside it. `createSystem` is the kernel's
 * only door; nodes make one each, and any number live in one process. Restarts, mailboxes and ends are the
 * business of place.ts.
 */
import { SkeinError } from '../../protocol/errors.js';
import { ask } from './ask.js';
import { Children, type Child } from './children.js';
import { createExecutor } from './executor.js';
import { Journal, OUTSIDE } from './journal.js';
import { spawnPlace } from './place.js';
import { watchReference } from './references.js';
import type { Parent, Surroundings } from './surroundings.js';
import type { ActorSystem, SystemOptions } from './types.js';

export const createSystem = (options: SystemOptions): ActorSystem => {
  const { environment } = options;
  const journal = new Journal(environment);
  const surroundings: Surroundings = { environment, journal, executor: createExecutor() };
  const top = createTop(options, journal);
  let stopped: Promise<void> | undefined;

  return {
    spawn: (spec) => {
      if (stopped !== undefined) {
        throw new SkeinError('UNAVAILABLE', `the actors of ${options.name} are stopped`);
      }
      return spawnPlace(surroundings, top, spec);
    },
    stop: () => {
      stopped ??= top.children.stopAll().then(() => surroundings.executor.stop());
      return stopped;
    },
    tree: () => top.children.snapshots(),
    deadLetters: () => journal.deadLetters,
    subscribe: (listener) => journal.subscribe(listener),
    ask: (target, question, options) => ask(environment, target, question, options),
    watch: (target, listener) =>
      watchReference(target, (terminated) =>
        journal.guard(target.path, 'watch', () => listener(terminated)),
      ),
    crash: (path, error) => find(top.children, path)?.crash(error, 'crash') ?? false,
  };
};

/** A top actor that fails takes the other top actors down before the host is told, once. */
const createTop = (options: SystemOptions, journal: Journal): Parent => {
  const children = new Children();
  let hasFailed = false;
  const tell = (error: Error): void =>
    journal.guard(OUTSIDE, 'onFailed', () => options.onFailed(error));
  return {
    path: '',
    children,
    failed: (child, error) => {
      if (hasFailed) return;
      hasFailed = true;
      const failure = new Error(`${child.path} failed: ${error.message}`, { cause: error });
      void children.stopAll().then(() => tell(failure));
    },
  };
};

const find = (top: Children, path: string): Child | undefined => {
  const [first, ...names] = path.split('/');
  if (first !== '') return undefined;
  let children: Children | undefined = top;
  let found: Child | undefined;
  for (const name of names) {
    found = children?.get(name);
    children = found?.children;
  }
  return found;
};
