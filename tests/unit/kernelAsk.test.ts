/** Questions: answered once, and rejected as soon as nobody will answer. */
import { getEventListeners } from 'node:events';
import test from 'ava';
import { SkeinError, type ErrorCode } from '../../protocol/errors.js';
import type { ActorRef, Reply } from '../../actors/kernel/index.js';
import {
  createGate,
  createScene,
  NEVER,
  ON_CRASH,
  player,
  question,
  run,
  type Context,
  type Play,
  type PlayerOptions,
  type Scene,
} from '../support/kernelScenes.js';
import { settle } from '../support/manualEnvironment.js';

const keeper = (scene: Scene, name: string, replies: Reply<string>[], options?: PlayerOptions) =>
  player(scene, name, {
    ...options,
    actor: {
      receive: (message: Play) => {
        if (message.type === 'question') replies.push(message.replyTo);
        else if (message.type === 'throw') throw message.error ?? new Error('boom');
        return message.type === 'run' ? message.act() : undefined;
      },
    },
  });

const refusal = async (asked: Promise<unknown>): Promise<[ErrorCode, string]> => {
  const error: unknown = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SkeinError)) throw new Error(`no refusal but ${String(error)}`);
  return [error.code, error.message];
};

test('the first answer counts, later ones are ignored', async (t) => {
  const scene = createScene();
  const replies: Reply<string>[] = [];
  const actor = scene.system.spawn(keeper(scene, 'a', replies));
  const asked = scene.system.ask(actor, question);
  await settle();
  replies[0]?.ok('first');
  replies[0]?.fail(new Error('second'));
  replies[0]?.ok('third');
  t.is(await asked, 'first');
  t.is(scene.environment.waiting(), 0);
});

test('an actor refuses with the error it likes', async (t) => {
  const scene = createScene();
  const replies: Reply<string>[] = [];
  const asked = scene.system.ask(scene.system.spawn(keeper(scene, 'a', replies)), question);
  await settle();
  const error = new Error('no');
  replies[0]?.fail(error);
  t.is(await t.throwsAsync(asked), error);
});

test('a crash on the question rejects it at once and names the actor', async (t) => {
  const cause = new Error('boom');
  for (const act of [
    () => {
      throw cause;
    },
    () => Promise.reject(cause),
  ]) {
    const scene = createScene();
    const actor = scene.system.spawn(player(scene, 'a', { actor: { receive: act } }));
    const asked = scene.system.ask(actor, question);
    t.deepEqual(await refusal(asked), ['UNAVAILABLE', '/a crashed while handling question: boom']);
    t.is((await t.throwsAsync(asked)).cause, cause);
  }
});

test('a crash on another message rejects what the life still owes, not what waits in the mailbox', async (t) => {
  const scene = createScene();
  const replies: Reply<string>[] = [];
  const actor = scene.system.spawn(keeper(scene, 'a', replies, { policy: ON_CRASH }));
  const owed = scene.system.ask(actor, question);
  actor.send({ type: 'throw' });
  const waiting = scene.system.ask(actor, question);
  t.deepEqual(await refusal(owed), ['UNAVAILABLE', '/a ended without answering']);
  await settle();
  t.is(replies.length, 2);
  replies[1]?.ok('from the next life');
  t.is(await waiting, 'from the next life');
});

test('a stop rejects what waits at once and what is owed when the life has ended', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const replies: Reply<string>[] = [];
  const actor = scene.system.spawn(keeper(scene, 'a', replies, { onStopped: () => gate.passed }));
  const owed = scene.system.ask(actor, question);
  const lucky = scene.system.ask(actor, question);
  await settle();
  actor.send(run(() => gate.passed));
  await settle();
  const waiting = scene.system.ask(actor, question);
  const stopped = scene.system.stop();
  t.deepEqual(await refusal(waiting), ['UNAVAILABLE', '/a is stopped']);
  replies[1]?.ok('answered while stopping');
  t.is(await lucky, 'answered while stopping');
  gate.open();
  t.deepEqual(await refusal(owed), ['UNAVAILABLE', '/a ended without answering']);
  await stopped;
  t.deepEqual(await refusal(scene.system.ask(actor, question)), ['UNAVAILABLE', '/a is stopped']);
  t.is(scene.environment.waiting(), 0);
});

test('a full mailbox rejects a question as overloaded', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a', { spec: { mailbox: { dataMax: 0 } } }));
  t.deepEqual(await refusal(scene.system.ask(actor, question)), [
    'OVERLOADED',
    'the mailbox of /a is full',
  ]);
  t.is(await scene.system.ask(actor, question, { lane: 'control' }), 'a answers');
});

test('a question nobody answers in time is rejected', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(keeper(scene, 'a', []));
  const asked = refusal(scene.system.ask(actor, question, { timeoutMs: 50 }));
  const byDefault = refusal(scene.system.ask(actor, question));
  await scene.environment.advance(50);
  t.deepEqual(await asked, ['TIMEOUT', '/a did not answer question within 50 ms']);
  await scene.environment.advance(29_950);
  t.deepEqual(await byDefault, ['TIMEOUT', '/a did not answer question within 30000 ms']);
});

test('a question is withdrawn by its signal', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(keeper(scene, 'a', []));
  const abort = new AbortController();
  const asked = scene.system.ask(actor, question, { signal: abort.signal });
  await settle();
  const reason = new Error('changed my mind');
  abort.abort(reason);
  t.is(await t.throwsAsync(asked), reason);
  const late = scene.system.ask(actor, question, { signal: abort.signal });
  t.is(await t.throwsAsync(late), reason);
  t.is(scene.environment.waiting(), 0);
});

test('the questions of an actor are rejected when its life ends', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  const target = scene.system.spawn(keeper(scene, 'target', []));
  const onStart = (context: Context): void => void contexts.push(context);
  scene.system.spawn(player(scene, 'asker', { policy: NEVER, onStart }));
  await settle();
  const asked = contexts[0]?.ask(target, question);
  scene.system.crash('/asker', new Error('boom'));
  t.deepEqual(await refusal(asked ?? Promise.resolve()), [
    'UNAVAILABLE',
    '/asker ended before it had an answer',
  ]);
});

test('a forwarded question is the business of the actor it was forwarded to', async (t) => {
  const scene = createScene();
  const replies: Reply<string>[] = [];
  const back = scene.system.spawn(keeper(scene, 'back', replies));
  const forward = (to: ActorRef<Play>) => (message: Play) => void to.send(message);
  const front = scene.system.spawn(
    player(scene, 'front', { policy: ON_CRASH, actor: { receive: forward(back) } }),
  );
  const answered = scene.system.ask(front, question);
  const owed = scene.system.ask(front, question);
  await settle();
  scene.system.crash('/front', new Error('boom'));
  await settle();
  replies[0]?.ok('from the back');
  t.is(await answered, 'from the back');
  scene.system.crash('/back', new Error('boom'));
  t.deepEqual(await refusal(owed), ['UNAVAILABLE', '/back ended without answering']);
});

test('a question forwarded to a busy actor survives the crash of the one that forwarded it', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const back = scene.system.spawn(player(scene, 'back'));
  back.send(run(() => gate.passed));
  const front = scene.system.spawn(
    player(scene, 'front', {
      actor: {
        receive: (message: Play) => {
          back.send(message);
          throw new Error('boom');
        },
      },
    }),
  );
  const asked = scene.system.ask(front, question);
  await settle();
  gate.open();
  t.is(await asked, 'back answers');
});

test('an answered question leaves no listener on its signal', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a'));
  const { signal } = new AbortController();
  const asked = scene.system.ask(actor, question, { signal });
  t.is(getEventListeners(signal, 'abort').length, 1);
  await asked;
  t.is(getEventListeners(signal, 'abort').length, 0);
});

test('a question that cannot be put, or is put to no actor, is rejected', async (t) => {
  const scene = createScene();
  const fault = new Error('cannot ask');
  const actor = scene.system.spawn(player(scene, 'a'));
  const unasked = scene.system.ask<string, Play>(actor, () => {
    throw fault;
  });
  t.is(await t.throwsAsync(unasked), fault);
  const nobody: ActorRef<Play> = { path: '/nobody', send: () => 'dead' };
  t.deepEqual(await refusal(scene.system.ask(nobody, question)), [
    'UNAVAILABLE',
    '/nobody is stopped',
  ]);
});

test('a rejected question nobody waits for ends nothing', async (t) => {
  const scene = createScene();
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  const actor = scene.system.spawn(player(scene, 'a'));
  await scene.system.stop();
  void scene.system.ask(actor, question);
  await settle();
  t.deepEqual(unhandled, []);
});
