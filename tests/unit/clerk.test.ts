/** One operation in an actor of its own: one answer, whatever happens to the actor. */
import test from 'ava';
import { clerkSpec } from '../../actors/clerk.js';
import { systemEnvironment } from '../../actors/environment.js';
import { createSystem } from '../../actors/kernel/index.js';
import type { ActorSystem, Message } from '../../actors/kernel/types.js';
import { waitUntil } from '../support/waitUntil.js';

interface Asked {
  readonly system: ActorSystem;
  readonly answers: unknown[];
}

const ask = (work: (signal: AbortSignal) => Promise<string>, deadlineMs = 5_000): Asked => {
  const answers: unknown[] = [];
  const system = createSystem({
    name: 'clerks',
    environment: systemEnvironment(),
    onFailed: () => undefined,
  });
  const replyTo = {
    ok: (value: string) => void answers.push(value),
    fail: (error: Error) => void answers.push(error.message),
  };
  system.spawn<Message>({
    name: 'above',
    policy: { restart: 'never', whenSpent: 'stop' },
    start: (context) => {
      context.spawn(
        clerkSpec({ name: 'clerk:1', operation: 'add_node', deadlineMs, work, replyTo }),
      );
      return { receive: () => undefined };
    },
  });
  return { system, answers };
};

const clerks = (system: ActorSystem): number => system.tree()[0]?.children.length ?? NaN;

test('the answer comes once, and the clerk is gone', async (t) => {
  const { system, answers } = ask(async () => 'done');
  await waitUntil('the clerk to be gone', () => answers.length > 0 && clerks(system) === 0);
  await system.stop();
  t.deepEqual(answers, ['done']);
});

test('a failure comes once', async (t) => {
  const { system, answers } = ask(() => Promise.reject(new Error('refused')));
  await waitUntil('the clerk to be gone', () => answers.length > 0 && clerks(system) === 0);
  await system.stop();
  t.deepEqual(answers, ['refused']);
});

test('work that takes too long is given up, and told to stop', async (t) => {
  let isStopped = false;
  const { system, answers } = ask(
    (signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          isStopped = true;
          resolve('too late');
        });
      }),
    20,
  );
  await waitUntil('the clerk to be gone', () => isStopped && clerks(system) === 0);
  await system.stop();
  t.deepEqual(answers, ["'add_node' was given up after 20 ms"]);
});

test('who asked hears of an interruption', async (t) => {
  const { system, answers } = ask(() => new Promise(() => undefined));
  await waitUntil('the clerk to be there', () => clerks(system) === 1);
  t.true(system.crash('/above/clerk:1', new Error('a bug')));
  await waitUntil('an answer', () => answers.length > 0);
  await system.stop();
  t.deepEqual(answers, ["'add_node' was interrupted"]);
});
