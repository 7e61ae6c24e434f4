/** Watching: who is told of the end of a life or place, and what a watcher cannot break. */
import test from 'ava';
import type { ActorRef, Terminated } from '../../actors/kernel/index.js';
import {
  createScene,
  ON_CRASH,
  player,
  run,
  type Context,
  type Play,
} from '../support/kernelScenes.js';
import { settle } from '../support/manualEnvironment.js';

const toMessage = (terminated: Terminated): Play => ({ type: 'terminated', terminated });

test('a watcher is told of each restart and of the end', async (t) => {
  const scene = createScene();
  const policy = { ...ON_CRASH, budget: { restarts: 1, withinMs: 1_000 } };
  const target = scene.system.spawn(player(scene, 'target', { policy }));
  scene.system.spawn(
    player(scene, 'w', { onStart: (context) => context.watch(target, toMessage) }),
  );
  await settle();
  for (let count = 0; count < 2; count += 1) {
    target.send({ type: 'throw' });
    await settle();
  }
  t.deepEqual(
    scene.log.filter((line) => line.startsWith('w heard')),
    ['w heard /target restarting', 'w heard /target budgetSpent'],
  );
});

test('a watcher of a dead actor is told at once', async (t) => {
  const scene = createScene();
  const target = scene.system.spawn(player(scene, 'target'));
  target.send({ type: 'throw' });
  await settle();
  const nobody: ActorRef<Play> = { path: '/nobody', send: () => 'dead' };
  scene.system.spawn(
    player(scene, 'w', {
      onStart: (context) => {
        context.watch(target, toMessage);
        context.watch(nobody, toMessage);
      },
    }),
  );
  await settle();
  t.deepEqual(scene.log.slice(-2), ['w heard /target crashed', 'w heard /nobody stopped']);
});

test('a life watches only as long as it lasts', async (t) => {
  const scene = createScene();
  const target = scene.system.spawn(player(scene, 'target'));
  const w = scene.system.spawn(
    player(scene, 'w', {
      policy: ON_CRASH,
      onStart: (context) => {
        if (context.life === 1) context.watch(target, toMessage);
      },
    }),
  );
  await settle();
  w.send({ type: 'throw' });
  await settle();
  target.send({ type: 'throw' });
  await settle();
  t.false(scene.log.some((line) => line.startsWith('w heard')));
});

test('a watcher outside is told until it unwatches', async (t) => {
  const scene = createScene();
  const heard: Terminated[] = [];
  const target = scene.system.spawn(player(scene, 'target', { policy: ON_CRASH }));
  const unwatch = scene.system.watch(target, (terminated) => heard.push(terminated));
  await settle();
  target.send({ type: 'throw' });
  await settle();
  t.is(heard.length, 1);
  t.like(heard[0], { path: '/target', reason: { kind: 'restarting' } });
  unwatch();
  target.send({ type: 'throw' });
  await settle();
  t.is(heard.length, 1);
  await scene.system.stop();
  scene.system.watch(target, (terminated) => heard.push(terminated))();
  await settle();
  t.is(heard.length, 1);
  scene.system.watch(target, (terminated) => heard.push(terminated));
  await settle();
  t.is(heard.length, 2);
});

test('a watcher that throws is reported and the others are told', async (t) => {
  const scene = createScene();
  const heard: Terminated[] = [];
  const target = scene.system.spawn(player(scene, 'target'));
  scene.system.watch(target, () => {
    throw new Error('deaf');
  });
  scene.system.spawn(
    player(scene, 'w', {
      onStart: (context: Context) =>
        context.watch(target, () => {
          throw new Error('dumb');
        }),
    }),
  );
  scene.system.watch(target, (terminated) => heard.push(terminated));
  await settle();
  target.send({ type: 'throw' });
  await settle();
  t.is(heard.length, 1);
  t.deepEqual(
    scene.events
      .filter((event) => event.type === 'actor.crashed')
      .map((event) => `${event.path} ${event.during} ${event.error.message}`),
    ['/target throw boom', '/target watch deaf', '/w watch dumb'],
  );
  t.is(scene.system.tree().find(({ name }) => name === 'w')?.state, 'running');
});

test('a watcher that watches again at every end is told once per end', async (t) => {
  const scene = createScene();
  let told = 0;
  const target = scene.system.spawn(player(scene, 'target', { policy: ON_CRASH }));
  const again = (): void => {
    scene.system.watch(target, () => {
      told += 1;
      again();
    });
  };
  again();
  target.send({ type: 'throw' });
  await settle();
  t.is(told, 1);
});

test('a watcher may stop the system', async (t) => {
  const scene = createScene();
  const target = scene.system.spawn(player(scene, 'target', { policy: ON_CRASH }));
  scene.system.watch(target, () => void scene.system.stop());
  target.send({ type: 'throw' });
  target.send(run(() => void scene.log.push('too late')));
  await settle();
  t.deepEqual(scene.log, ['target started', 'target stopped restarting']);
  t.deepEqual(scene.system.tree(), []);
});
