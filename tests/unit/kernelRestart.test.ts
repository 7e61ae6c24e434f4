/** Crashes: restarts, budgets, backoff, escalation. */
import test from 'ava';
import { afterLife, NO_RESTARTS } from '../../actors/kernel/restartPlan.js';
import type { RestartPolicy, StopReason } from '../../actors/kernel/index.js';
import {
  createGate,
  createScene,
  ESCALATES,
  NEVER,
  ON_CRASH,
  player,
  run,
  say,
  type Context,
  type Play,
} from '../support/kernelScenes.js';
import { settle } from '../support/manualEnvironment.js';

const boom = (): Play => ({ type: 'throw', error: new Error('boom') });

test('a restart stops the old life once, children first, and builds a new one under the same reference', async (t) => {
  const scene = createScene();
  const lives: number[] = [];
  const parent = scene.system.spawn(
    player(scene, 'p', {
      policy: ON_CRASH,
      onStart: (context) => {
        lives.push(context.life);
        context.spawn(player(scene, 'c1'));
        context.spawn(player(scene, 'c2'));
      },
    }),
  );
  await settle();
  scene.log.length = 0;
  parent.send(boom());
  parent.send(say('after'));
  await settle();
  t.deepEqual(scene.log, [
    'c2 stopped stopped',
    'c1 stopped stopped',
    'p stopped restarting',
    'p started',
    'c1 started',
    'c2 started',
    'p said after',
  ]);
  t.deepEqual(lives, [1, 2]);
  const [snapshot] = scene.system.tree();
  t.is(snapshot?.life, 2);
  t.is(snapshot?.restarts, 1);
  t.is(snapshot?.crashes, 1);
  t.is(snapshot?.lastCrash?.message, 'boom');
  t.is(snapshot?.lastCrash?.during, 'throw');
});

test('a rejected promise is a crash like a throw', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(player(scene, 'a', { policy: ON_CRASH }));
  actor.send(run(() => Promise.reject(new Error('later'))));
  await settle();
  t.deepEqual(scene.log, ['a started', 'a stopped restarting', 'a started']);
});

test('a start that throws is a crash; `stopped` is not called, for there is no actor', async (t) => {
  const scene = createScene();
  let attempts = 0;
  scene.system.spawn(
    player(scene, 'a', {
      policy: { ...ON_CRASH, backoff: { msMin: 10, msMax: 100 } },
      onStart: () => {
        attempts += 1;
        if (attempts === 1) throw new Error('at once');
        return attempts === 2 ? Promise.reject(new Error('later')) : undefined;
      },
    }),
  );
  await scene.environment.advance(1_000);
  t.is(attempts, 3);
  t.deepEqual(scene.log, ['a started']);
  t.is(scene.system.tree()[0]?.lastCrash?.during, 'start');
});

test('an actor that never restarts is left failed, and the tree shows why', async (t) => {
  const scene = createScene();
  const parent = scene.system.spawn(
    player(scene, 'p', {
      onStart: (context) => {
        context.spawn(player(scene, 'c')).send(boom());
        context.startTimer(
          'look',
          50,
          run(() => void scene.log.push(context.children().join())),
        );
      },
    }),
  );
  await scene.environment.advance(100);
  const child = scene.system.tree()[0]?.children[0];
  t.is(child?.state, 'failed');
  t.is(child?.lastCrash?.message, 'boom');
  t.deepEqual(scene.log.slice(1), ['c started', 'c stopped crashed', '']);
  t.is(parent.send(say('still here')), 'queued');
});

test('more restarts than the budget within its time spend it', async (t) => {
  const scene = createScene();
  const policy: RestartPolicy = { ...ON_CRASH, budget: { restarts: 2, withinMs: 1_000 } };
  const actor = scene.system.spawn(player(scene, 'a', { policy }));
  for (const waitMs of [0, 1_000, 400, 400]) {
    await scene.environment.advance(waitMs);
    actor.send(boom());
    await settle();
  }
  t.is(scene.system.tree()[0]?.state, 'failed');
  t.is(scene.system.tree()[0]?.restarts, 3);
  t.is(scene.log.at(-1), 'a stopped budgetSpent');
  t.is(actor.send(say('x')), 'dead');
});

test('a spent budget that escalates crashes the parent with an error naming the child', async (t) => {
  const scene = createScene();
  const policy: RestartPolicy = {
    restart: 'onCrash',
    budget: { restarts: 1, withinMs: 1_000 },
    whenSpent: 'escalate',
  };
  scene.system.spawn(
    player(scene, 'p', {
      policy: ON_CRASH,
      onStart: (context) => {
        const child = context.spawn(player(scene, 'c', { policy }));
        if (context.life > 1) return;
        child.send(boom());
        child.send(boom());
      },
    }),
  );
  await settle(30);
  t.deepEqual(scene.log, [
    'p started',
    'c started',
    'c stopped restarting',
    'c started',
    'c stopped budgetSpent',
    'p stopped restarting',
    'p started',
    'c started',
  ]);
  const [parent] = scene.system.tree();
  t.is(parent?.lastCrash?.message, 'child /p/c failed: boom');
  t.is(parent?.lastCrash?.during, 'child c');
});

test('escalation waits for the running handler of the parent', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const parent = scene.system.spawn(
    player(scene, 'p', {
      policy: ON_CRASH,
      onStart: (context) => {
        if (context.life === 1)
          context.spawn(player(scene, 'c', { policy: ESCALATES })).send(boom());
      },
    }),
  );
  parent.send(run(() => gate.passed));
  await settle();
  t.is(scene.log.at(-1), 'c stopped crashed');
  gate.open();
  await settle();
  t.deepEqual(scene.log.slice(-2), ['p stopped restarting', 'p started']);
});

test('escalation past the top tells the host once, after everything has stopped', async (t) => {
  const scene = createScene();
  const gate = createGate();
  scene.system.spawn(
    player(scene, 'top', {
      policy: ESCALATES,
      onStart: (context) => {
        context.spawn(player(scene, 'sibling', { onStopped: () => gate.passed }));
        context.spawn(player(scene, 'c', { policy: ESCALATES })).send(boom());
      },
    }),
  );
  await settle();
  t.deepEqual(scene.failures, []);
  gate.open();
  await settle();
  t.deepEqual(
    scene.failures.map(({ message }) => message),
    ['/top failed: child /top/c failed: boom'],
  );
  t.deepEqual(scene.log.slice(-2), ['sibling stopped stopped', 'top stopped crashed']);
  t.is(scene.system.tree()[0]?.state, 'failed');
  await scene.system.stop();
  t.is(scene.failures.length, 1);
});

test('the failure of one top actor stops the others before the host is told', async (t) => {
  const scene = createScene();
  scene.system.spawn(player(scene, 'other'));
  scene.system.spawn(player(scene, 'top', { policy: ESCALATES })).send(boom());
  await settle();
  t.is(scene.failures.length, 1);
  t.is(scene.log.at(-1), 'other stopped stopped');
});

test('the host is told once, even when several top actors fail', async (t) => {
  const scene = createScene();
  const gate = createGate();
  scene.system.spawn(player(scene, 'one', { policy: ESCALATES })).send(boom());
  const two = scene.system.spawn(player(scene, 'two', { policy: ESCALATES }));
  scene.system.spawn(player(scene, 'slow', { onStopped: () => gate.passed }));
  await settle();
  two.send(boom());
  await settle();
  gate.open();
  await settle();
  t.deepEqual(
    scene.failures.map(({ message }) => message),
    ['/one failed: boom'],
  );
});

test('a child that its parent stops while it ends for a crash does not take the parent down', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const contexts: Context[] = [];
  scene.system.spawn(player(scene, 'p', { onStart: (context) => void contexts.push(context) }));
  await settle();
  const child = contexts[0]?.spawn(
    player(scene, 'c', { policy: ESCALATES, onStopped: () => gate.passed }),
  );
  child?.send(boom());
  await settle();
  const stopped = child === undefined ? undefined : contexts[0]?.stop(child);
  gate.open();
  await stopped;
  await settle();
  t.is(scene.log.at(-1), 'c stopped crashed');
  t.is(scene.system.tree()[0]?.state, 'running');
  t.deepEqual(scene.system.tree()[0]?.children, []);
});

test('an actor that always runs comes back after it stopped itself', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  const onStart = (context: Context): void => void contexts.push(context);
  const always: RestartPolicy = { restart: 'always', whenSpent: 'stop' };
  const a = scene.system.spawn(player(scene, 'a', { policy: always, onStart }));
  await settle();
  a.send(run(() => contexts[0]?.stopSelf()));
  await settle();
  t.deepEqual(scene.log, ['a started', 'a stopped restarting', 'a started']);
  contexts[1]?.stopSelf();
  await settle();
  t.is(scene.system.tree()[0]?.life, 3);
});

test('an actor that restarts on crashes does not come back after it stopped itself', async (t) => {
  const scene = createScene();
  const contexts: Context[] = [];
  const onStart = (context: Context): void => void contexts.push(context);
  const a = scene.system.spawn(player(scene, 'a', { policy: ON_CRASH, onStart }));
  a.send(run(() => contexts[0]?.stopSelf()));
  a.send(say('never'));
  await settle();
  t.deepEqual(scene.log, ['a started', 'a stopped stopped']);
  t.deepEqual(scene.system.tree(), []);
});

test('while an actor backs off its messages wait, bounded, and the tree says when it comes back', async (t) => {
  const scene = createScene();
  const actor = scene.system.spawn(
    player(scene, 'a', {
      policy: { ...ON_CRASH, backoff: { msMin: 100, msMax: 1_000 } },
      spec: { mailbox: { dataMax: 1 } },
    }),
  );
  actor.send(boom());
  await settle();
  const [snapshot] = scene.system.tree();
  t.is(snapshot?.state, 'backingOff');
  t.is(snapshot?.phase, 'backingOff');
  t.is(snapshot?.nextStartAt, scene.environment.now() + 100);
  t.is(actor.send(say('waits')), 'queued');
  t.is(actor.send(say('too many')), 'full');
  await scene.environment.advance(99);
  t.is(scene.log.at(-1), 'a stopped restarting');
  await scene.environment.advance(1);
  t.deepEqual(scene.log.slice(-2), ['a started', 'a said waits']);
  t.is(scene.system.tree()[0]?.nextStartAt, undefined);
});

test('a crash from outside hits an idle actor at once and a busy one after its handler', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const actor = scene.system.spawn(player(scene, 'a:1', { policy: ON_CRASH }));
  await settle();
  t.true(scene.system.crash('/a:1', new Error('door')));
  await settle();
  t.is(scene.system.tree()[0]?.life, 2);
  actor.send(run(() => gate.passed));
  await settle();
  t.true(scene.system.crash('/a:1', new Error('door')));
  await settle();
  t.is(scene.system.tree()[0]?.life, 2);
  gate.open();
  await settle();
  t.is(scene.system.tree()[0]?.life, 3);
  t.is(scene.system.tree()[0]?.lastCrash?.message, 'door');
  t.false(scene.system.crash('/a:2', new Error('door')));
  t.false(scene.system.crash('a:1', new Error('door')));
  t.false(scene.system.crash('/a:1/b', new Error('door')));
});

test('a crash from outside reaches an actor deep in the tree, and one that is starting after its start', async (t) => {
  const scene = createScene();
  const gate = createGate();
  const reasons: StopReason[] = [];
  scene.system.spawn(
    player(scene, 'p', {
      onStart: (context) => {
        const onStopped = (reason: StopReason): void => void reasons.push(reason);
        context.spawn(player(scene, 'c', { onStart: () => gate.passed, onStopped }));
      },
    }),
  );
  await settle();
  t.true(scene.system.crash('/p/c', new Error('door')));
  gate.open();
  await settle();
  t.deepEqual(
    reasons.map(({ kind }) => kind),
    ['crashed'],
  );
});

// ---- the plan itself

const crash = { crashed: true, now: 0, livedMs: 0, random: 0 };

test('waits double from the smallest to the largest, with jitter, and never leave these bounds', (t) => {
  const policy: RestartPolicy = { ...ON_CRASH, backoff: { msMin: 100, msMax: 1_000 } };
  const waits = (random: number): number[] => {
    let history = NO_RESTARTS;
    return Array.from({ length: 6 }, () => {
      const verdict = afterLife(policy, history, { ...crash, random });
      if (verdict.kind !== 'restart') throw new Error('no restart');
      history = verdict.history;
      return verdict.inMs;
    });
  };
  t.deepEqual(waits(0), [100, 200, 400, 500, 500, 500]);
  t.deepEqual(waits(0.5), [150, 300, 600, 750, 750, 750]);
  t.deepEqual(waits(0.999), [200, 400, 800, 1_000, 1_000, 1_000]);
});

test('a life that outlived the longest wait starts the waits from the smallest again', (t) => {
  const policy: RestartPolicy = { ...ON_CRASH, backoff: { msMin: 100, msMax: 1_000 } };
  const history = { restartedAt: [], attempt: 5 };
  t.like(afterLife(policy, history, { ...crash, livedMs: 999 }), { inMs: 500 });
  t.like(afterLife(policy, history, { ...crash, livedMs: 1_000 }), { inMs: 100 });
});

test('a policy without a budget restarts for ever and remembers nothing that grows', (t) => {
  let history = NO_RESTARTS;
  for (let count = 0; count < 1_000; count += 1) {
    const verdict = afterLife(ON_CRASH, history, crash);
    if (verdict.kind !== 'restart') throw new Error('no restart');
    t.is(verdict.inMs, 0);
    history = verdict.history;
  }
  t.is(history.restartedAt.length, 0);
});

test('what follows a life depends on the policy and on how it ended', (t) => {
  const verdicts = (policy: RestartPolicy): string[] =>
    [true, false].map((crashed) => afterLife(policy, NO_RESTARTS, { ...crash, crashed }).kind);
  t.deepEqual(verdicts({ ...NEVER, restart: 'always' }), ['restart', 'restart']);
  t.deepEqual(verdicts(ON_CRASH), ['restart', 'end']);
  t.deepEqual(verdicts(NEVER), ['end', 'end']);
  t.deepEqual(verdicts({ ...ON_CRASH, budget: { restarts: 0, withinMs: 1 } }), [
    'budgetSpent',
    'end',
  ]);
});
