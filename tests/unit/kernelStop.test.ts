/** Ends: order, exactly once, deadlines, and contexts of lives that are over. */
import test from 'ava';
import { limits } from '../../protocol/limits.js';
import type { ActorRef } from '../../actors/kernel/index.js';
import {
  createGate,
  createScene,
  ON_CRASH,
  player,
  question,
  run,
  say,
  type Context,
  type Play,
} from '../support/kernelScenes.js';
import { settle } from '../support/manualEnvironment.js';

test('a stop ends leaves first, in reverse order of their start', async (t) => {
  const scene = createScene();
  const branch = (name: string, children: readonly string[]): Parameters<Context['spawn']>[0] =>
    player(scene, name, {
      onStart: (context) => children.forEach((child) => context.spawn(player(scene, child))),
    }) as Parameters<Context['spawn']>[0];
  scene.system.spawn(
    player(scene, 'top', {
      onStart: (context) => {
        context.spawn(branch('a', ['a1', 'a2']));
        context.spawn(branch('b', ['b1', 'b2']));
      },
    }),
  );
  await settle();
  scene.log.length = 0;
  await scene.system.stop();
  t.deepEqual(
    scene.log,
    ['b2', 'b1', 'b', 'a2', 'a1', 'a', 'top'].map((name) => `${name} stopped stopped`),
  );
  t.deepEqual(scene.system.tree(), []);
});

test('each child is waited for before the next is stopped', async (t) => {
  const scene = createScene();
  const gate = createGate();
  scene.system.spawn(
    player(scene, 'top', {
      onStart: (context) => {
        context.spawn(player(scene, 'first'));
        context.spawn(player(scene, 'second', { onStopped: () => gate.passed }));
      },
    }),
  );
  await settle();
  const stopped = scene.system.stop();
  await settle();
  t.is(scene.log.at(-1), 'second stopped stopped');
  gate.open();
  await stopped;
  t.deepEqual(scene.log.slice(-2), ['first stopped stopped', 'top stopped stopped']);
});

test('a stop waits for the running handler and `stopped` is called once, however often one asks', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const actor = scene.system.spawn(player(scene, 'a'));
  actor.send(
    run(async () => {
      await gate.passed;
      scene.log.push('handler ends');
    }),
  );
  await settle();
  const stops = [scene.system.stop(), scene.system.stop()];
  await settle();
  t.deepEqual(scene.log, ['a started']);
  gate.open();
  await Promise.all(stops);
  t.deepEqual(scene.log, ['a started', 'handler ends', 'a stopped stopped']);
});

test('a handler that never ends is abandoned at the deadline, reported, cleaned up, and the stop goes on', async (t) => {
  const scene = createScene();
  scene.system.spawn(
    player(scene, 'top', {
      onStart: (context) => {
        const spec = { stopMsMax: 500 };
        context.spawn(player(scene, 'c', { spec })).send(run(() => new Promise(() => undefined)));
      },
    }),
  );
  await settle();
  const stopped = scene.system.stop();
  await scene.environment.advance(499);
  t.deepEqual(scene.log, ['top started', 'c started']);
  await scene.environment.advance(1);
  await stopped;
  t.deepEqual(scene.log.slice(2), ['c stopped stopped', 'top stopped stopped']);
  const [report] = scene.events.filter((event) => event.type === 'actor.crashed');
  t.like(report, { path: '/top/c', during: 'run' });
  t.is(report?.error.message, '/top/c was abandoned: still handling run after 500 ms');
  t.is(scene.environment.waiting(), 0);
});

test('a `stopped` that never ends is abandoned at the default deadline and reported', async (t) => {
  const scene = createScene();
  scene.system.spawn(player(scene, 'a', { onStopped: () => new Promise(() => undefined) }));
  await settle();
  let isDone = false;
  const stopped = scene.system.stop().then(() => {
    isDone = true;
  });
  await scene.environment.advance(limits.stopMsMax - 1);
  t.false(isDone);
  await scene.environment.advance(1);
  await stopped;
  t.true(
    scene.events.some((event) => event.type === 'actor.crashed' && event.during === 'stopped'),
  );
});

test('a handler that fails after it was abandoned is reported and harms nobody', async (t) => {
  const scene = createScene();
  const gate = createGate();
  scene.system.spawn(player(scene, 'a', { spec: { stopMsMax: 10 } })).send(run(() => gate.passed));
  await settle();
  const stopped = scene.system.stop();
  await scene.environment.advance(10);
  await stopped;
  gate.breakDown(new Error('too late'));
  await settle();
  const reports = scene.events.filter((event) => event.type === 'actor.crashed');
  t.is(reports.at(-1)?.error.message, 'too late');
  t.is(reports.length, 2);
});

test('a handler that fails while its actor is stopping is reported, and the stop goes on', async (t) => {
  const scene = createScene();
  const gate = createGate();
  scene.system.spawn(player(scene, 'a', { policy: ON_CRASH })).send(run(() => gate.passed));
  await settle();
  const stopped = scene.system.stop();
  gate.breakDown(new Error('last words'));
  await stopped;
  t.deepEqual(scene.log, ['a started', 'a stopped stopped']);
  t.true(scene.events.some((event) => event.type === 'actor.crashed'));
});

test('a stop during an asynchronous start waits for it and cleans up what it built', async (t) => {
  const scene = createScene();
  const gate = createGate();
  scene.system.spawn(player(scene, 'a', { onStart: () => gate.passed }));
  await settle();
  const stopped = scene.system.stop();
  await settle();
  t.deepEqual(scene.log, []);
  gate.open();
  await stopped;
  t.deepEqual(scene.log, ['a started', 'a stopped stopped']);
  t.false(scene.events.some((event) => event.type === 'actor.started'));
});

test('an actor built after its start was abandoned is still cleaned up, once', async (t) => {
  const scene = createScene();
  const gate = createGate();
  scene.system.spawn(player(scene, 'a', { onStart: () => gate.passed, spec: { stopMsMax: 10 } }));
  await settle();
  const stopped = scene.system.stop();
  await scene.environment.advance(10);
  await stopped;
  t.deepEqual(scene.log, []);
  gate.open();
  await settle();
  t.deepEqual(scene.log, ['a started', 'a stopped stopped']);
});

test('a stop before the first start never starts the actor', async (t) => {
  const scene = createScene();
  scene.system.spawn(player(scene, 'a'));
  await scene.system.stop();
  await settle();
  t.deepEqual(scene.log, []);
});

test('a stop while an actor backs off cancels the restart', async (t) => {
  const scene = createScene();
  const policy = { ...ON_CRASH, backoff: { msMin: 100, msMax: 100 } };
  scene.system.spawn(player(scene, 'a', { policy })).send({ type: 'throw' });
  await settle();
  t.is(scene.system.tree()[0]?.state, 'backingOff');
  await scene.system.stop();
  t.is(scene.environment.waiting(), 0);
  await scene.environment.advance(1_000);
  t.deepEqual(scene.log, ['a started', 'a stopped restarting']);
});

test('a stop while the old life is ending for a restart ends the place', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const actor = scene.system.spawn(
    player(scene, 'a', { policy: ON_CRASH, onStopped: () => gate.passed }),
  );
  actor.send({ type: 'throw' });
  await settle();
  const stopped = scene.system.stop();
  t.is(actor.send(say('x')), 'dead');
  gate.open();
  await stopped;
  await settle();
  t.deepEqual(scene.log, ['a started', 'a stopped restarting']);
  t.like(scene.events.at(-1), { type: 'actor.stopped', reason: { kind: 'stopped' } });
  t.is(scene.events.filter((event) => event.type === 'actor.stopped').length, 1);
});

test('a stop at any moment of an ending life ends the place once', async (t) => {
  for (let microtasks = 0; microtasks < 40; microtasks += 1) {
    const scene = createScene();
    const actor = scene.system.spawn(player(scene, 'a', { policy: ON_CRASH }));
    await settle(2);
    scene.system.crash('/a', new Error('boom'));
    for (let count = 0; count < microtasks; count += 1) await Promise.resolve();
    await scene.system.stop();
    await settle(3);
    t.is(scene.events.filter((event) => event.type === 'actor.stopped').length, 1);
    t.is(actor.send(say('x')), 'dead');
  }
});

test('a parent stops one child and all below it, and the name is free again', async (t) => {
  const scene = createScene();
  const children: ActorRef<Play>[] = [];
  const contexts: Context[] = [];
  const parent = scene.system.spawn(
    player(scene, 'p', {
      onStart: (context) => {
        contexts.push(context);
        const onStart = (child: Context): void => void child.spawn(player(scene, 'leaf'));
        children.push(context.spawn(player(scene, 'c', { onStart })));
      },
    }),
  );
  await settle();
  scene.log.length = 0;
  parent.send(
    run(async () => {
      const [child] = children;
      if (child !== undefined) await contexts[0]?.stop(child);
      scene.log.push(`left: ${contexts[0]?.children().join()}`);
      contexts[0]?.spawn(player(scene, 'c'));
    }),
  );
  await settle();
  t.deepEqual(scene.log, ['leaf stopped stopped', 'c stopped stopped', 'left: ', 'c started']);
  t.is(children[0]?.send(say('to the old one')), 'dead');
});

test('stopping a failed child removes it from the tree', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  scene.system.spawn(player(scene, 'p', { onStart: (context) => void contexts.push(context) }));
  await settle();
  const child = contexts[0]?.spawn(player(scene, 'c'));
  child?.send({ type: 'throw' });
  await settle();
  t.is(scene.system.tree()[0]?.children.length, 1);
  if (child !== undefined) await contexts[0]?.stop(child);
  t.is(scene.system.tree()[0]?.children.length, 0);
});

test('failed children are kept to be looked at, but not without bound', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  scene.system.spawn(player(scene, 'p', { onStart: (context) => void contexts.push(context) }));
  await settle();
  for (let count = 0; count <= limits.deadLettersKept; count += 1) {
    contexts[0]?.spawn(player(scene, `c${count}`)).send({ type: 'throw' });
  }
  await settle();
  const children = scene.system.tree()[0]?.children ?? [];
  t.is(children.length, limits.deadLettersKept);
  t.is(children.at(-1)?.name, `c${limits.deadLettersKept}`);
});

test('an actor that stops another one than its child crashes', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  const other = scene.system.spawn(player(scene, 'other'));
  const actor = scene.system.spawn(
    player(scene, 'a', { onStart: (context) => void contexts.push(context) }),
  );
  actor.send(run(() => void contexts[0]?.stop(other)));
  await settle();
  t.is(scene.system.tree().find(({ name }) => name === 'a')?.state, 'failed');
  t.is(other.send(say('alive')), 'queued');
});

test('an actor that gives a child a name in use, or an impossible one, crashes', async (t) => {
  const faults = {
    c: 'an actor named c is running already',
    'a/b': '"a/b" is no name for an actor: it is empty or contains "/"',
    '': '"" is no name for an actor: it is empty or contains "/"',
  };
  for (const [name, fault] of Object.entries(faults)) {
    const scene = createScene();
    scene.system.spawn(
      player(scene, 'p', {
        onStart: (context) => {
          context.spawn(player(scene, 'c'));
          context.spawn(player(scene, name));
        },
      }),
    );
    await settle();
    t.is(scene.system.tree()[0]?.lastCrash?.message, fault);
  }
});

test('names may hold any characters but a slash, and near-alike names stay apart', async (t) => {
  const scene = createScene();
  const names = ['peer:127.0.0.3', 'a b', 'a$0020b', 'ä', 'ö', '😀', 'A', 'a', '..'];
  scene.system.spawn(
    player(scene, 'p', {
      onStart: (context) => names.forEach((name) => context.spawn(player(scene, name))),
    }),
  );
  await settle();
  t.deepEqual(
    scene.system.tree()[0]?.children.map(({ path, state }) => `${path} ${state}`),
    names.map((name) => `/p/${name} running`),
  );
});

test('after the end of its life a context does nothing and never throws', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  const actor = scene.system.spawn(
    player(scene, 'a', { policy: ON_CRASH, onStart: (context) => void contexts.push(context) }),
  );
  const other = scene.system.spawn(player(scene, 'other'));
  await settle();
  const [old] = contexts;
  t.false(old?.signal.aborted);
  old?.startTimer('set in time', 100, say('from the old life'));
  actor.send({ type: 'throw' });
  await settle();
  if (old === undefined) return t.fail();
  old.startTimer('t', 100, say('from the old life'));
  old.cancelTimer('t');
  old.stopSelf();
  old.count('x');
  old.watch(other, (terminated) => ({ type: 'terminated', terminated }));
  await old.stop(other);
  const stillborn = old.spawn(player(scene, 'stillborn'));
  t.is(stillborn.path, '/a/stillborn');
  t.is(stillborn.send(say('x')), 'dead');
  await t.throwsAsync(old.ask(other, question), { message: '/a ended before it had an answer' });
  await scene.environment.advance(1_000);
  t.true(old.signal.aborted);
  t.deepEqual(scene.log.slice(2), ['a stopped restarting', 'a started']);
  t.deepEqual(scene.system.tree()[0]?.counters, {});
  t.is(other.send(say('alive')), 'queued');
});

test('a closing life gets no more children or timers, but may still ask while it cleans up', async (t) => {
  const scene = createScene();
  const other = scene.system.spawn(player(scene, 'other'));
  const contexts: Context[] = [];
  scene.system.spawn(
    player(scene, 'a', {
      onStart: (context) => void contexts.push(context),
      onStopped: async () => {
        const [context] = contexts;
        t.true(context?.signal.aborted);
        t.is(context?.spawn(player(scene, 'late')).send(say('x')), 'dead');
        context?.startTimer('t', 1, say('x'));
        scene.log.push(String(await context?.ask(other, question)));
      },
    }),
  );
  await settle();
  await scene.system.stop();
  t.deepEqual(scene.log.slice(2), ['a stopped stopped', 'other answers', 'other stopped stopped']);
  t.is(scene.environment.waiting(), 0);
});

test('a timer arrives once in the control lane; setting it again replaces it', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  scene.system.spawn(player(scene, 'a', { onStart: (context) => void contexts.push(context) }));
  await settle();
  contexts[0]?.startTimer('t', 100, say('first'));
  contexts[0]?.startTimer('t', 200, say('second'));
  contexts[0]?.startTimer('u', 150, say('cancelled'));
  contexts[0]?.cancelTimer('u');
  await scene.environment.advance(199);
  t.deepEqual(scene.log, ['a started']);
  await scene.environment.advance(500);
  t.deepEqual(scene.log, ['a started', 'a said second']);
});

test('a stopped system starts no more actors', async (t) => {
  const scene = createScene();
  await scene.system.stop();
  t.throws(() => scene.system.spawn(player(scene, 'a')), { message: /scene are stopped/ });
});

test('a child and its parent that wait for each other do not hold up the stop', async (t) => {
  const scene = createScene();
  scene.system.spawn(
    player(scene, 'p', {
      actor: { receive: () => undefined },
      onStart: (parent) => {
        const contexts: Context[] = [];
        const onStart = (context: Context): void => void contexts.push(context);
        const giveUp = (): void => void scene.log.push('gave up');
        parent.spawn(player(scene, 'c', { onStart })).send(
          run(async () => {
            await contexts[0]?.ask(parent.self, question).catch(giveUp);
          }),
        );
      },
    }),
  );
  await settle();
  await scene.system.stop();
  t.deepEqual(scene.log.slice(2), ['gave up', 'c stopped stopped', 'p stopped stopped']);
});
