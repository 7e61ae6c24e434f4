/** What the kernel shows: snapshots, events, counters, the watchdog; and that showing harms nobody. */
import test from 'ava';
import { createSystem, type SupervisionEvent } from '../../actors/kernel/index.js';
import {
  createGate,
  createScene,
  ESCALATES,
  ON_CRASH,
  player,
  run,
  say,
  type Context,
} from '../support/kernelScenes.js';
import { createManualEnvironment, settle } from '../support/manualEnvironment.js';

test('a snapshot tells all about an actor and those below it', async (t) => {
  const scene = createScene();
  const startedAt = scene.environment.now();
  const actor = scene.system.spawn(
    player(scene, 'p', {
      onStart: (context) => {
        context.count('frames');
        context.count('bytes', 40);
        context.count('bytes', 2);
        context.spawn(player(scene, 'peer:127.0.0.3'));
      },
      actor: { describe: () => ({ open: 3 }), phase: () => 'live' },
    }),
  );
  actor.send(say('x'));
  await scene.environment.advance(5);
  actor.send(run(() => new Promise(() => undefined)));
  await settle();
  actor.send(say('waits'));
  const [snapshot] = scene.system.tree();
  t.deepEqual(
    { ...snapshot, children: snapshot?.children.map(({ path }) => path) },
    {
      path: '/p',
      name: 'p',
      state: 'running',
      phase: 'live',
      life: 1,
      mailbox: { control: 0, data: 1 },
      processed: 2,
      crashes: 0,
      restarts: 0,
      busySince: startedAt + 5,
      hung: false,
      startedAt,
      counters: { frames: 1, bytes: 42 },
      details: { open: 3 },
      children: ['/p/peer:127.0.0.3'],
    },
  );
});

test('a handler that runs too long is reported once per message and shown as hung until it ends', async (t) => {
  const scene = createScene();
  const hung = (): SupervisionEvent[] => scene.events.filter(({ type }) => type === 'actor.hung');
  const gates = [createGate(), createGate()];
  const actor = scene.system.spawn(player(scene, 'a', { spec: { hungMs: 100 } }));
  for (const gate of gates) actor.send(run(() => gate.passed));
  await scene.environment.advance(99);
  t.false(scene.system.tree()[0]?.hung);
  await scene.environment.advance(500);
  t.true(scene.system.tree()[0]?.hung);
  t.is(hung().length, 1);
  t.like(hung()[0], { path: '/a', during: 'run', forMs: 100 });
  gates[0]?.open();
  await settle();
  t.false(scene.system.tree()[0]?.hung);
  await scene.environment.advance(100);
  t.is(hung().length, 2);
  gates[1]?.open();
  await settle();
  t.is(scene.system.tree()[0]?.busySince, undefined);
  t.is(scene.environment.waiting(), 0);
});

test('a start that runs too long is reported by default after the time in limits.ts', async (t) => {
  const scene = createScene();
  scene.system.spawn(player(scene, 'a', { onStart: () => new Promise(() => undefined) }));
  await scene.environment.advance(29_999);
  t.deepEqual(scene.events, []);
  await scene.environment.advance(1);
  t.like(scene.events[0], { type: 'actor.hung', during: 'start' });
});

test('events tell the life of an actor in order', async (t) => {
  const scene = createScene();
  const policy = { ...ON_CRASH, backoff: { msMin: 10, msMax: 20 } };
  const actor = scene.system.spawn(player(scene, 'a', { policy }));
  actor.send({ type: 'throw' });
  await scene.environment.advance(10);
  await scene.system.stop();
  const at = scene.environment.now() - 10;
  t.deepEqual(
    scene.events.map(({ type }) => type),
    ['actor.started', 'actor.crashed', 'actor.restarting', 'actor.started', 'actor.stopped'],
  );
  t.like(scene.events[1], { path: '/a', life: 1, at, during: 'throw' });
  t.deepEqual(scene.events[2], { type: 'actor.restarting', path: '/a', at, inMs: 10 });
  t.deepEqual(scene.events[3], { type: 'actor.started', path: '/a', life: 2, at: at + 10 });
});

test('a crash is told before the dead letters it leaves', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a'));
  actor.send({ type: 'throw' });
  actor.send(say('left over'));
  await settle();
  t.deepEqual(
    scene.events.map(({ type }) => type),
    ['actor.started', 'actor.crashed', 'message.dead', 'actor.stopped'],
  );
});

test('an actor that cannot describe itself is shown all the same and reported once per life', async (t) => {
  const scene = createScene();
  const fail = (): never => {
    throw new Error('no words');
  };
  scene.system.spawn(player(scene, 'a', { actor: { describe: fail, phase: fail } }));
  await settle();
  for (let look = 0; look < 3; look += 1) {
    const [snapshot] = scene.system.tree();
    t.deepEqual(snapshot?.details, { error: 'no words' });
    t.is(snapshot?.phase, 'running');
  }
  t.is(scene.events.filter(({ type }) => type === 'actor.crashed').length, 1);
  t.is(scene.system.tree()[0]?.state, 'running');
});

test('a `stopped` that throws is reported and stops nothing else', async (t) => {
  const scene = createScene();
  const fail = (): never => {
    throw new Error('no clean-up');
  };
  const later = (): Promise<never> => Promise.reject(new Error('no clean-up later'));
  scene.system.spawn(
    player(scene, 'p', {
      onStopped: later,
      onStart: (context) => void context.spawn(player(scene, 'c', { onStopped: fail })),
    }),
  );
  await settle();
  await scene.system.stop();
  t.deepEqual(scene.log.slice(2), ['c stopped stopped', 'p stopped stopped']);
  t.deepEqual(
    scene.events
      .filter((event) => event.type === 'actor.crashed')
      .map((event) => `${event.path} ${event.during} ${event.error.message}`),
    ['/p/c stopped no clean-up', '/p stopped no clean-up later'],
  );
});

test('a listener that throws is reported to the others and stays subscribed', async (t) => {
  const scene = createScene();
  let calls = 0;
  const unsubscribe = scene.system.subscribe(() => {
    calls += 1;
    throw new Error('deaf');
  });
  scene.system.spawn(player(scene, 'a'));
  await settle();
  t.deepEqual(
    scene.events.map(({ type, path }) => `${type} ${path}`),
    ['actor.started /a', 'actor.crashed /'],
  );
  unsubscribe();
  await scene.system.stop();
  t.is(calls, 1);
});

test('listeners that all throw end nothing', async (t) => {
  const scene = createScene();
  let calls = 0;
  for (let count = 0; count < 3; count += 1) {
    scene.system.subscribe(() => {
      calls += 1;
      throw new Error('deaf');
    });
  }
  scene.system.spawn(player(scene, 'a')).send(say('x'));
  await settle();
  t.deepEqual(scene.log, ['a started', 'a said x']);
  t.is(calls, 3);
});

test('a listener may stop the system at any event', async (t) => {
  const types = ['actor.started', 'actor.crashed', 'message.dead', 'actor.restarting'] as const;
  for (const type of types) {
    const scene = createScene();
    scene.system.subscribe((event) => {
      if (event.type === type) void scene.system.stop();
    });
    const policy = { ...ON_CRASH, budget: { restarts: 1, withinMs: 1_000 } };
    const actor = scene.system.spawn(player(scene, 'a', { policy }));
    actor.send({ type: 'throw' });
    actor.send({ type: 'throw' });
    actor.send(say('left over'));
    await settle();
    t.is(scene.events.filter((event) => event.type === 'actor.stopped').length, 1, type);
    t.is(actor.send(say('x')), 'dead', type);
  }
});

test('an onFailed that throws is reported', async (t) => {
  const environment = createManualEnvironment();
  const onFailed = (): never => {
    throw new Error('host is deaf');
  };
  const system = createSystem({ name: 'n', environment, onFailed });
  const events: SupervisionEvent[] = [];
  system.subscribe((event) => events.push(event));
  system.spawn(player({ log: [] }, 'a', { policy: ESCALATES })).send({ type: 'throw' });
  await settle();
  t.like(events.at(-1), { type: 'actor.crashed', path: '/', during: 'onFailed' });
});

test('names of live children leave out those that ended', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  scene.system.spawn(player(scene, 'p', { onStart: (context) => void contexts.push(context) }));
  await settle();
  contexts[0]?.spawn(player(scene, 'a'));
  contexts[0]?.spawn(player(scene, 'b')).send({ type: 'throw' });
  contexts[0]?.spawn(player(scene, 'c', { onStart: (context) => context.stopSelf() }));
  await settle();
  t.deepEqual(contexts[0]?.children(), ['a']);
});

test('two systems of one name live side by side', async (t) => {
  const [one, two] = [createScene(), createScene()];
  one.system.spawn(player(one, 'a'));
  const a2 = two.system.spawn(player(two, 'a'));
  await settle();
  await one.system.stop();
  a2.send(say('alive'));
  await settle();
  t.deepEqual(two.log, ['a started', 'a said alive']);
});
