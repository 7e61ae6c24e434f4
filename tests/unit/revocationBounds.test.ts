/** Everything that revocation checks hold or have under way has a bound, and each bound is reached here. */
import test from 'ava';
import { limits } from '../../protocol/limits.js';
import type { RevocationList } from '../../security/crl.js';
import { CrlLists } from '../../security/crlLists.js';
import { HeldLists } from '../../security/heldLists.js';
import { InFlight } from '../../security/inFlight.js';
import { RevocationChecker } from '../../security/revocationChecker.js';
import { readRevocationSettings } from '../../security/revocationSettings.js';
import { extension, issue, makeAuthority, octets, writeList } from '../support/testAuthority.js';
import { MemoryTables, revocationScene } from '../support/revocationScene.js';

const authority = makeAuthority();
const { certificate: ca } = authority;
const CRL = 'http://127.0.0.1/list.crl';
const OCSP = 'http://127.0.0.1/ocsp';
const settings = readRevocationSettings(true);
const listed = issue(authority, { subject: 'node', serial: '05', lists: [CRL] }).certificate;

/** Work that ends when it is told to. */
function gates(): { work: () => Promise<number>; open: () => void; begun: () => number } {
  const waiting: (() => void)[] = [];
  let begun = 0;
  const work = (): Promise<number> => {
    begun += 1;
    const mine = begun;
    return new Promise((resolve) => waiting.push(() => resolve(mine)));
  };
  return { work, open: () => waiting.shift()?.(), begun: () => begun };
}

test('only so many run and only so many wait; the others are turned away', async (t) => {
  const inFlight = new InFlight<number>({ runningMax: 2, waitingMax: 1 });
  const { work, open, begun } = gates();
  const [first, second, third] = ['a', 'b', 'c'].map((key) => inFlight.run(key, work));
  await t.throwsAsync(inFlight.run('d', work), { code: 'OVERLOADED' });
  t.is(begun(), 2);
  t.true(inFlight.run('c', work) === third, 'who asks for the same is not one more');
  open();
  t.is(await first, 1);
  await Promise.resolve();
  t.is(begun(), 3);
  open();
  open();
  t.deepEqual(await Promise.all([second, third]), [2, 3]);
  const again = inFlight.run('a', work);
  t.is(begun(), 4, 'nothing is kept of what has ended');
  open();
  await again;
});

test('work that fails gives its place to the next', async (t) => {
  const inFlight = new InFlight<number>({ runningMax: 1, waitingMax: 1 });
  const failing = inFlight.run('a', () => Promise.reject(new Error('no')));
  const next = inFlight.run('b', () => Promise.resolve(5));
  await t.throwsAsync(failing, { message: 'no' });
  t.is(await next, 5);
});

const listOfBytes = (length: number): RevocationList => ({
  bytes: new Uint8Array(length),
  index: new Uint32Array(0),
  entries: { count: 0, from: 0, to: 0 },
  thisUpdateMs: 0,
  nextUpdateMs: 0,
  scope: { addresses: [] },
});

test('lists beyond the bound push out those that were not used for longest', (t) => {
  const lists = new HeldLists(100);
  for (const key of ['a', 'b', 'c']) lists.put(key, { list: listOfBytes(30), dueMs: 0 });
  t.truthy(lists.get('a'));
  lists.put('d', { list: listOfBytes(30), dueMs: 0 });
  t.deepEqual(
    ['a', 'b', 'c', 'd'].filter((key) => lists.get(key)),
    ['a', 'c', 'd'],
  );
  lists.put('a', { list: listOfBytes(10), dueMs: 0 });
  lists.put('e', { list: listOfBytes(30), dueMs: 0 });
  t.deepEqual(
    ['a', 'c', 'd', 'e'].filter((key) => lists.get(key)),
    ['a', 'c', 'd', 'e'],
    'a list that takes the place of another counts once',
  );
  lists.put('f', { list: listOfBytes(1000), dueMs: 0 });
  t.deepEqual(
    ['a', 'c', 'd', 'e', 'f'].filter((key) => lists.get(key)),
    ['f'],
  );
});

test('only so many failures are remembered', async (t) => {
  const asked: string[] = [];
  const lists = new CrlLists(settings.crl, {
    fetch: (url) => {
      asked.push(url);
      return Promise.reject(new Error('down'));
    },
    cache: new MemoryTables(),
    now: () => 0,
    warn: () => {},
    version: '1',
  });
  const ask = (at: number) => t.throwsAsync(lists.current(`http://127.0.0.1/${at}`, ca));
  for (let at = 0; at <= limits.crlFailuresMax; at += 1) await ask(at);
  await ask(1);
  t.is(asked.length, limits.crlFailuresMax + 1);
  await ask(0);
  t.is(asked.length, limits.crlFailuresMax + 2);
});

test('SE-15 a list or an answer above its bound is no word about the certificate', async (t) => {
  const scene = revocationScene();
  const { certificate } = issue(authority, { subject: 'node', serial: '05', responders: [OCSP] });
  scene.answers.set(CRL, () => new Uint8Array(limits.crlBytesMax + 1));
  scene.answers.set(OCSP, () => new Uint8Array(limits.ocspBytesMax + 1));
  for (const one of [listed, certificate]) {
    const result = await scene.checker.check(one, ca);
    t.like(result, { outcome: 'refused', code: 'REVOCATION_UNKNOWN' });
    t.regex(result.reason, /is too large/);
  }
});

test('a list that is too long for a row is held in memory only', async (t) => {
  const filler = extension('1.2.3.4', octets(Buffer.alloc(limits.crlStoredBytesMax)));
  const scene = revocationScene();
  scene.answers.set(CRL, () => writeList(authority, { extensions: [filler] }));
  t.is((await scene.checker.check(listed, ca)).outcome, 'good');
  t.is(scene.tables.listRows.size, 0);
  scene.answers.set(CRL, () => writeList(authority));
  await scene.restart().check(issue(authority, request).certificate, ca);
  t.is(scene.tables.listRows.size, 1);
});

const request = { subject: 'node', serial: '06', lists: [CRL] };

test('more checks than may wait at a time are refused, and not remembered as refused', async (t) => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const ports = {
    fetch: async () => {
      await released;
      throw new Error('down');
    },
    cache: new MemoryTables(),
    now: () => 0,
    warn: () => {},
    version: '1',
  };
  const lists = new CrlLists(settings.crl, ports);
  const underWay = limits.crlFetchesMax + limits.revocationWaitingMax;
  const asked = Array.from({ length: underWay }, (_, at) =>
    t.throwsAsync(lists.current(`http://127.0.0.1/${at}`, ca), { message: /down/ }),
  );
  await t.throwsAsync(lists.current(CRL, ca), { code: 'OVERLOADED' });
  release();
  await Promise.all(asked);
  await t.throwsAsync(lists.current(CRL, ca), { message: /down/ });
});

test('only so many certificates are checked again, the newest ones', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, () => writeList(authority));
  const warnings: string[] = [];
  const checker = new RevocationChecker(
    settings,
    {
      fetch: () => Promise.resolve({ status: 200, bytes: writeList(authority) }),
      cache: new MemoryTables(),
      now: () => scene.nowMs,
      warn: (text) => void warnings.push(text),
      version: '1',
    },
    { watchedMax: 2 },
  );
  const certificates = ['07', '08', '09'].map(
    (serial) => issue(authority, { ...request, serial }).certificate,
  );
  for (const certificate of certificates) await checker.check(certificate, ca);
  const due = await checker.refreshDue(scene.nowMs + 2 * 86_400_000);
  t.deepEqual(
    due.map(({ certificate }) => certificate.serialNumber),
    ['08', '09'],
  );
  t.deepEqual(warnings, ['More than 2 certificates to check again']);
});
