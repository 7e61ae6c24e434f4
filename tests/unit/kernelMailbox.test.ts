/** Messages: order, lanes, bounds, dead letters, and one handler at a time. */
import test from 'ava';
import { createExecutor } from '../../actors/kernel/executor.js';
import { limits } from '../../protocol/limits.js';
import { createGate, createScene, ON_CRASH, player, run, say } from '../support/kernelScenes.js';
import { settle, until } from '../support/manualEnvironment.js';

test('messages of one lane are handled in the order they were sent', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a'));
  for (let word = 0; word < 3_000; word += 1) actor.send(say(String(word)));
  await until(() => scene.log.length === 3_001, 'all are handled');
  t.deepEqual(
    scene.log.slice(1),
    Array.from({ length: 3_000 }, (_, word) => `a said ${word}`),
  );
});

test('control messages overtake data messages', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a'));
  actor.send(say('data 1'));
  actor.send(say('data 2'), 'data');
  actor.send(say('control 1'), 'control');
  actor.send(say('control 2'), 'control');
  await settle();
  t.deepEqual(scene.log, [
    'a started',
    'a said control 1',
    'a said control 2',
    'a said data 1',
    'a said data 2',
  ]);
});

test('the next message waits until the promise of the handler has settled', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const actor = scene.system.spawn(player(scene, 'a'));
  actor.send(
    run(async () => {
      scene.log.push('enters');
      await gate.passed;
      scene.log.push('leaves');
    }),
  );
  actor.send(say('next'), 'control');
  await settle();
  t.deepEqual(scene.log, ['a started', 'a said next', 'enters']);
  actor.send(say('last'));
  await settle();
  gate.open();
  await settle();
  t.deepEqual(scene.log.slice(2), ['enters', 'leaves', 'a said last']);
});

test('a full lane refuses, the other lane still takes, and the refused message is a dead letter', async (t) => {
  const scene = createScene();
  const spec = { mailbox: { dataMax: 2, controlMax: 1 } };
  const actor = scene.system.spawn(player(scene, 'a', { spec }));
  t.deepEqual(
    ['1', '2', '3'].map((word) => actor.send(say(word))),
    ['queued', 'queued', 'full'],
  );
  t.is(actor.send(say('c1'), 'control'), 'queued');
  t.is(actor.send(say('c2'), 'control'), 'full');
  await settle();
  t.deepEqual(scene.log, ['a started', 'a said c1', 'a said 1', 'a said 2']);
  t.deepEqual(
    scene.system.deadLetters().map(({ path, message, why }) => ({ path, message, why })),
    [
      { path: '/a', message: 'say', why: 'full' },
      { path: '/a', message: 'say', why: 'full' },
    ],
  );
  t.is(actor.send(say('4')), 'queued');
});

test('a mailbox holds as many messages as limits.ts says, per lane', (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a'));
  for (let count = 0; count < limits.mailboxMessagesMax; count += 1) actor.send(say('x'));
  t.is(actor.send(say('x')), 'full');
  for (let count = 0; count < limits.mailboxControlMax; count += 1) actor.send(say('x'), 'control');
  t.is(actor.send(say('x'), 'control'), 'full');
  t.deepEqual(scene.system.tree()[0]?.mailbox, {
    control: limits.mailboxControlMax,
    data: limits.mailboxMessagesMax,
  });
});

test('a message to a stopped actor is answered dead and kept as a dead letter', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a'));
  await settle();
  await scene.system.stop();
  t.is(actor.send(say('x')), 'dead');
  t.deepEqual(scene.system.deadLetters(), [
    { at: scene.environment.now(), path: '/a', message: 'say', why: 'dead' },
  ]);
  t.true(scene.events.some((event) => event.type === 'message.dead' && event.why === 'dead'));
});

test('messages left in the mailbox of a stopping actor become dead letters', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const actor = scene.system.spawn(player(scene, 'a'));
  actor.send(run(() => gate.passed));
  actor.send(say('1'));
  actor.send(say('2'));
  await settle();
  const stopped = scene.system.stop();
  t.is(actor.send(say('3')), 'dead');
  gate.open();
  await stopped;
  t.is(scene.system.deadLetters().length, 3);
  t.deepEqual(scene.log, ['a started', 'a stopped stopped']);
});

test('only the last dead letters are kept', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a', { spec: { mailbox: { dataMax: 0 } } }));
  for (let count = 0; count < limits.deadLettersKept; count += 1) actor.send(say('x'));
  actor.send(run(() => undefined));
  const letters = scene.system.deadLetters();
  t.is(letters.length, limits.deadLettersKept);
  t.is(letters.at(-1)?.message, 'run');
  await scene.system.stop();
});

test('waiting messages outlive a restart, the one that crashed is not tried again', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a', { policy: ON_CRASH }));
  actor.send(say('1'));
  actor.send({ type: 'throw' });
  actor.send(say('2'));
  await settle();
  t.deepEqual(scene.log, [
    'a started',
    'a said 1',
    'a stopped restarting',
    'a started',
    'a said 2',
  ]);
});

test('messages wait for an actor that starts slowly', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const actor = scene.system.spawn(player(scene, 'a', { onStart: () => gate.passed }));
  actor.send(say('early'));
  await settle();
  t.deepEqual(scene.log, []);
  t.is(scene.system.tree()[0]?.state, 'starting');
  gate.open();
  await settle();
  t.deepEqual(scene.log, ['a started', 'a said early']);
});

test('a long queue of synchronous messages lets other work through', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a'));
  for (let count = 0; count < 10_000; count += 1) actor.send(say('x'));
  await settle(3);
  t.true(scene.log.length > 1);
  t.true(scene.log.length < 1_000, `${scene.log.length} were handled in three turns`);
});

test('a worker that is woken often before its turn has one turn', async (t) => {
  const executor = createExecutor();
  let turns = 0;
  const gate = createGate();
  const worker = executor.worker('/a', () => {
    turns += 1;
    return gate.passed;
  });
  for (let count = 0; count < 10; count += 1) worker.wake();
  await settle();
  t.is(turns, 1);
  for (let count = 0; count < 10; count += 1) worker.wake();
  gate.open();
  await settle();
  t.is(turns, 2);
  worker.wake();
  worker.stop();
  await settle();
  t.is(turns, 2);
  executor.stop();
});
