/** Failed logins make the next ones wait, longer each time, and bounded in time and memory. */
import test from 'ava';
import { LoginCache } from '../../actors/loginCache.js';
import { LoginPace } from '../../actors/loginPace.js';
import { SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import { LoginThrottle } from '../../protocol/loginThrottle.js';

const ADA = { username: 'ada', address: '192.0.2.1' };

const waitAfter = (failures: number, attempt = ADA, asked = attempt): number => {
  const throttle = new LoginThrottle();
  for (let count = 0; count < failures; count++) throttle.failed(attempt, 0);
  return throttle.begin(asked, 0).waitMs;
};

test('a few failures cost nothing, then each doubles the wait up to ten seconds', (t) => {
  t.deepEqual(
    [0, 4, 5, 6, 7, 8, 12, 50].map((failures) => waitAfter(failures)),
    [0, 0, 100, 200, 400, 800, 10_000, 10_000],
  );
});

test('a right password from another address waits a second at most, however many failures there were', (t) => {
  const elsewhere = { ...ADA, address: '192.0.2.2' };
  t.is(waitAfter(10, ADA, elsewhere), 0);
  t.is(waitAfter(1_000, ADA, elsewhere), 1_000);
});

test('an address that tries many names waits for every name', (t) => {
  const throttle = new LoginThrottle();
  for (let count = 0; count < 30; count++)
    throttle.failed({ username: `user ${count}`, address: ADA.address }, 0);
  t.is(throttle.begin({ username: 'new', address: ADA.address }, 0).waitMs, 10_000);
  t.is(throttle.begin({ username: 'new', address: '192.0.2.9' }, 0).waitMs, 0);
  t.is(
    throttle.begin({ username: 'new', address: ADA.address, isKnown: true }, 0).waitMs,
    0,
    'who logged in there a moment ago goes on',
  );
});

test('attempts that come together wait one behind the other, and the queue has an end', (t) => {
  const throttle = new LoginThrottle();
  for (let count = 0; count < 12; count++) throttle.failed(ADA, 0);
  t.deepEqual(throttle.begin(ADA, 0), { waitMs: 10_000, isRefused: false });
  t.deepEqual(throttle.begin(ADA, 0), { waitMs: 20_000, isRefused: true });
  t.deepEqual(throttle.begin(ADA, 5_000), { waitMs: 15_000, isRefused: false });
});

test('a success clears the failures of its user there, a known login does not', (t) => {
  const throttle = new LoginThrottle();
  for (let count = 0; count < 8; count++) throttle.failed(ADA, 0);
  throttle.succeeded({ ...ADA, isKnown: true });
  t.is(throttle.begin(ADA, 0).waitMs, 800);
  throttle.succeeded(ADA);
  t.is(throttle.begin(ADA, 0).waitMs, 0);
});

test('failures are forgotten after ten quiet minutes', (t) => {
  const throttle = new LoginThrottle();
  for (let count = 0; count < 8; count++) throttle.failed(ADA, 0);
  t.is(throttle.begin(ADA, limits.loginFailureMsMax).waitMs, 0, 'the wait itself is over');
  throttle.failed(ADA, limits.loginFailureMsMax);
  t.is(throttle.begin(ADA, limits.loginFailureMsMax).waitMs, 1_600, 'the ninth failure');
  throttle.failed(ADA, 3 * limits.loginFailureMsMax);
  t.is(throttle.begin(ADA, 3 * limits.loginFailureMsMax).waitMs, 0, 'the first again');
});

test('a flood of names and addresses is remembered up to the limit', (t) => {
  const throttle = new LoginThrottle();
  for (let count = 0; count < limits.loginFailuresKept; count++)
    throttle.failed({ username: `user ${count}`, address: `192.0.2.${count}` }, 0);
  t.is(throttle.size, limits.loginFailuresKept);
  const long = { username: 'x'.repeat(10_000_000), address: 'a' };
  throttle.failed(long, 0);
  t.is(throttle.size, limits.loginFailuresKept);
});

test('names of prototypes are names', (t) => {
  for (const username of ['__proto__', 'constructor', 'toString'])
    t.is(waitAfter(5, { username, address: username }), 100);
});

/** Timers that are run by hand. */
const heldTimers = () => {
  const held: { ms: number; run: () => void }[] = [];
  return {
    held,
    environment: {
      now: () => 0,
      setTimer: (ms: number, run: () => void): unknown => held.push({ ms, run }),
    },
  };
};

const wrong = (): Promise<never> =>
  Promise.reject(new SkeinError('UNAUTHENTICATED', 'Login failed'));

test('waiting logins are bounded, and the password is not looked at before the wait is over', async (t) => {
  const { held, environment } = heldTimers();
  const pace = new LoginPace(environment);
  const addressOf = (index: number) => ({ username: 'ada', address: `192.0.2.${index}` });
  for (let count = 0; count < 20; count++)
    await t.throwsAsync(pace.run(addressOf(1_000 + count), wrong), { message: 'Login failed' });
  let verified = 0;
  const verify = (): Promise<number> => Promise.resolve(++verified);
  const waiting = Array.from({ length: limits.loginsWaitingMax }, (_, index) =>
    pace.run(addressOf(index), verify),
  );
  t.is(held.length, limits.loginsWaitingMax);
  await t.throwsAsync(pace.run(addressOf(999), verify), { code: 'OVERLOADED' });
  t.is(verified, 0);
  for (const { run } of held) run();
  await Promise.all(waiting);
  t.is(verified, limits.loginsWaitingMax);
  const more = pace.run(addressOf(998), verify);
  held.at(-1)?.run();
  await t.notThrowsAsync(more);
});

test('who would have to wait too long is told when to come back', async (t) => {
  const { environment } = heldTimers();
  const pace = new LoginPace(environment);
  for (let count = 0; count < 5; count++) await t.throwsAsync(pace.run(ADA, wrong));
  const throttled = Array.from({ length: 200 }, () => pace.run(ADA, wrong));
  void Promise.allSettled(throttled);
  const error = await t.throwsAsync(pace.run(ADA, wrong), { code: 'TOO_MANY_LOGINS' });
  t.is(error instanceof SkeinError ? error.statusCode : 0, 429);
  t.regex(error?.message ?? '', /^Too many failed logins, try again in \d+ s$/);
});

test('only refused logins count, not a database that is down', async (t) => {
  const { held, environment } = heldTimers();
  const pace = new LoginPace(environment);
  const down = () => Promise.reject(new SkeinError('UNAVAILABLE', 'down'));
  for (let count = 0; count < 50; count++)
    await t.throwsAsync(pace.run(ADA, down), { code: 'UNAVAILABLE' });
  t.is(held.length, 0);
});

test('a password is checked once for requests that come together, and again when its time is over', async (t) => {
  let checks = 0;
  let nowMs = 0;
  const cache = new LoginCache({
    ttlMs: 100,
    now: () => nowMs,
    verify: async (password) => {
      checks++;
      return password === 'right';
    },
  });
  const twenty = (password: string) =>
    Promise.all(Array.from({ length: 20 }, () => cache.verify(password, 'hash')));
  t.true((await twenty('right')).every(Boolean));
  t.false((await twenty('wrong')).some(Boolean));
  t.is(checks, 2);
  t.true(await cache.verify('right', 'hash'));
  t.is(checks, 2);
  t.true(await cache.verify('right', 'hash of a later password'));
  t.is(checks, 3, 'what fitted one hash says nothing about another');
  nowMs = 100;
  t.true(await cache.verify('right', 'hash'));
  t.is(checks, 4);
  t.false(cache.knows('wrong', 'hash'));
});

test('no more passwords are checked at a time than the limit', async (t) => {
  const waiting: (() => void)[] = [];
  const cache = new LoginCache({
    ttlMs: 100,
    now: () => 0,
    verify: () => new Promise((resolve) => waiting.push(() => resolve(true))),
  });
  const running = Array.from({ length: limits.loginsVerifyingMax }, (_, index) =>
    cache.verify(`password ${index}`, 'hash'),
  );
  await t.throwsAsync(cache.verify('one more', 'hash'), { code: 'OVERLOADED' });
  for (const end of waiting) end();
  t.true((await Promise.all(running)).every(Boolean));
  const later = cache.verify('one more', 'hash');
  waiting.at(-1)?.();
  t.true(await later);
});
