/** The revocation actor and the gate before it, on a clock that stands still, with a network and tables of the test's. */
import test, { type ExecutionContext } from 'ava';
import type { Logger } from 'pino';
import { createSystem } from '../../actors/kernel/index.js';
import type { ActorSystem } from '../../actors/kernel/types.js';
import type { RevocationMessage } from '../../actors/messages.js';
import type { NodeResources } from '../../actors/resources.js';
import { revocationSpec } from '../../actors/revocation.js';
import { RevocationGate } from '../../actors/revocationGate.js';
import { Trust } from '../../actors/trust.js';
import type { ProvenCertificate } from '../../actors/transport/types.js';
import { nodeName } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import type { RevocationResult } from '../../security/revocation.js';
import { readRevocationSettings } from '../../security/revocationSettings.js';
import {
  createManualEnvironment,
  until,
  type ManualEnvironment,
} from '../support/manualEnvironment.js';
import { MemoryTables } from '../support/revocationScene.js';
import { issue, makeAuthority, writeList, type TestAuthority } from '../support/testAuthority.js';

const SERIAL = '2A';
const LIST = 'http://list.test/list';
const SECOND = 1_000;

interface Scene {
  readonly environment: ManualEnvironment;
  readonly trust: Trust;
  readonly log: Logger;
  readonly logged: string[];
  readonly authority: TestAuthority;
  readonly certificate: ProvenCertificate;
  /** What the list's address answers; undefined: nothing, ever. */
  list: Uint8Array<ArrayBuffer> | Error | undefined;
  fetches: number;
  /** Set: the wall clock cannot be read by the checks, so that the actor crashes at its next look. */
  isBroken: boolean;
  readonly state: () => Record<string, unknown>;
  readonly life: () => number;
}

const startScene = async (t: ExecutionContext, settings: unknown = true): Promise<Scene> => {
  const environment = createManualEnvironment(Date.now());
  const authority = makeAuthority();
  const issued = issue(authority, { subject: 'server-two', serial: SERIAL, lists: [LIST] });
  const logged: string[] = [];
  const say = (fields: unknown, text?: string): void =>
    void logged.push(`${text ?? ''} ${JSON.stringify(fields)}`);
  const log = { warn: say, error: say, info: say } as unknown as Logger;
  const trust = new Trust(readRevocationSettings(settings));
  const system = createSystem({ name: 'revoking', environment, onFailed: () => undefined });
  t.teardown(() => system.stop());
  const scene: Scene = {
    environment,
    trust,
    log,
    logged,
    authority,
    certificate: {
      pem: issued.certificate.toString(),
      issuerPem: authority.certificate.toString(),
      serial: SERIAL,
      validToMs: Number.MAX_SAFE_INTEGER,
    },
    list: writeList(authority),
    fetches: 0,
    isBroken: false,
    state: () => stateOf(system),
    life: () => system.tree()[0]?.restarts ?? 0,
  };
  const now = (): number => {
    if (scene.isBroken) {
      scene.isBroken = false;
      throw new Error('broken on purpose');
    }
    return environment.now();
  };
  const actor = system.spawn<RevocationMessage>(
    revocationSpec({
      resources: { environment: { ...environment, now }, log, trust } as unknown as NodeResources,
      cache: new MemoryTables(),
      fetch: () => {
        scene.fetches++;
        if (scene.list === undefined) return new Promise(() => undefined);
        if (scene.list instanceof Error) return Promise.reject(scene.list);
        return Promise.resolve({ status: 200, bytes: scene.list });
      },
      version: '1',
    }),
  );
  trust.revocation.open({
    check: (pair) =>
      system.ask<RevocationResult, RevocationMessage>(
        actor,
        (replyTo) => ({ type: 'certificate.check', pair, replyTo }),
        { timeoutMs: limits.revocationWaitMsMax },
      ),
    released: (pem) => void actor.send({ type: 'certificate.released', pem }, 'control'),
  });
  await until(() => system.tree()[0]?.state === 'running', 'it is there');
  return scene;
};

const stateOf = (system: ActorSystem): Record<string, unknown> => system.tree()[0]?.details ?? {};

const check = ({ trust, certificate, log }: Scene): Promise<string | undefined> =>
  trust.revocation.check(certificate, log);

const revokedList = ({ authority, environment }: Scene) =>
  writeList(authority, {
    entries: [{ serial: SERIAL }],
    thisUpdateMs: environment.now(),
    nextUpdateMs: environment.now() + 86_400_000,
  });

const REVOKED = 'the certificate with the serial number 2A was revoked';
const UNKNOWN = 'it is not known whether the certificate with the serial number 2A was revoked';

test('good passes without a word, and is remembered', async (t) => {
  const scene = await startScene(t);
  scene.trust.revocation.hold(scene.certificate);
  t.is(await check(scene), undefined);
  t.is(await check(scene), undefined);
  t.like(scene.state(), { checks: 2, cached: 1, fetches: 1, refused: 0, unknown: 0, held: 1 });
  t.is(scene.logged.length, 0);
});

test('revoked is refused, and the log names serial, issuer and method', async (t) => {
  const scene = await startScene(t);
  scene.list = revokedList(scene);
  t.is(await check(scene), REVOKED);
  const [line] = scene.logged;
  t.regex(
    line ?? '',
    /^refused a certificate .*"serial":"2A","issuer":"CN=Test Authority","method":"crl","code":"CERTIFICATE_REVOKED"/,
  );
  await until(() => scene.state()['refused'] === 1, 'it is counted');
});

test('a certificate that names nobody to ask is not checked', async (t) => {
  const scene = await startScene(t);
  const { certificate } = issue(scene.authority, { subject: 'server-two', serial: SERIAL });
  const pem = certificate.toString();
  t.is(await scene.trust.revocation.check({ ...scene.certificate, pem }, scene.log), undefined);
  t.like(scene.state(), { checks: 0 });
});

test('without its issuer, the authorities that are trusted are looked through; else nothing is known', async (t) => {
  const scene = await startScene(t);
  const alone = { ...scene.certificate, issuerPem: null };
  t.is(await scene.trust.revocation.check(alone, scene.log), UNKNOWN);
  const asked: string[] = [];
  const authorities = [makeAuthority('Other').certificate, scene.authority.certificate].map(String);
  const gate = new RevocationGate(readRevocationSettings(true), () => authorities);
  gate.open({
    check: async ({ issuerPem }) => {
      asked.push(issuerPem);
      return { outcome: 'good', method: 'crl', reason: '' };
    },
    released: () => undefined,
  });
  t.is(await gate.check(alone, scene.log), undefined);
  t.deepEqual(asked, [scene.authority.certificate.toString()]);
});

for (const [failureMode, expected] of [
  ['fail-closed', UNKNOWN],
  ['fail-open', undefined],
] as const) {
  test(`nobody can be asked: ${failureMode}`, async (t) => {
    const scene = await startScene(t, { failureMode });
    scene.list = new Error('connection refused');
    t.is(await check(scene), expected);
    t.regex(scene.logged[0] ?? '', /REVOCATION_UNKNOWN/);
  });

  test(`an answer that does not come is waited for no longer than its bound: ${failureMode}`, async (t) => {
    const scene = await startScene(t, { failureMode });
    scene.list = undefined;
    let answer: { reason: string | undefined } | null = null;
    void check(scene).then((reason) => (answer = { reason }));
    await until(() => scene.fetches === 1, 'it is asked for');
    await scene.environment.advance(limits.revocationWaitMsMax - 1);
    t.is(answer, null);
    await scene.environment.advance(1);
    await until(() => answer !== null, 'it is given up');
    t.deepEqual(answer, { reason: expected });
  });

  test(`before the actor is there: ${failureMode}`, async (t) => {
    const { certificate, log } = await startScene(t);
    const trust = new Trust(readRevocationSettings({ failureMode }));
    t.is(await trust.revocation.check(certificate, log), expected);
  });
}

test('a certificate that is revoked while a link has it is found out when its list is due', async (t) => {
  const scene = await startScene(t, { crl: { cacheTtl: 10 * SECOND } });
  const release = scene.trust.revocation.hold(scene.certificate);
  t.is(await check(scene), undefined);
  await until(() => scene.state()['nextDue'] !== null, 'it is watched');
  scene.list = revokedList(scene);
  await scene.environment.advance(9 * SECOND);
  t.is(scene.fetches, 1);
  t.is(scene.trust.revocation.refusalOf(scene.certificate), undefined);
  await scene.environment.advance(2 * SECOND);
  await until(
    () => scene.trust.revocation.refusalOf(scene.certificate) === REVOKED,
    'the link is to be closed',
  );
  t.is(scene.logged.filter((line) => line.startsWith('a certificate of a link is bad')).length, 1);
  release();
  await until(() => scene.state()['nextDue'] === null, 'it is forgotten');
  t.like(scene.state(), { held: 0 });
});

test('a link stays when nothing more is known of its certificate, and is looked after', async (t) => {
  const scene = await startScene(t, {
    crl: { cacheTtl: 10 * SECOND, gracePeriod: 0 },
    ocsp: { errorCacheTtl: 5 * SECOND },
  });
  const nowMs = scene.environment.now();
  scene.list = writeList(scene.authority, { nextUpdateMs: nowMs + 5 * SECOND });
  scene.trust.revocation.hold(scene.certificate);
  t.is(await check(scene), undefined);
  await until(() => scene.state()['nextDue'] !== null, 'it is watched');
  scene.list = new Error('connection refused');
  await scene.environment.advance(6 * SECOND);
  await until(() => scene.state()['unknown'] === 1, 'it is asked in vain');
  t.is(scene.trust.revocation.refusalOf(scene.certificate), undefined);
  scene.list = revokedList(scene);
  await scene.environment.advance(6 * SECOND);
  await until(() => scene.trust.revocation.refusalOf(scene.certificate) === REVOKED, 'it is known');
});

test('a link that was let in before an answer came is closed when the answer is bad', async (t) => {
  const scene = await startScene(t, { failureMode: 'fail-open', ocsp: { errorCacheTtl: SECOND } });
  scene.list = new Error('connection refused');
  scene.trust.revocation.hold(scene.certificate);
  t.is(await check(scene), undefined);
  scene.list = revokedList(scene);
  await until(() => scene.state()['nextDue'] !== null, 'it is watched');
  await scene.environment.advance(2 * SECOND);
  await until(() => scene.trust.revocation.refusalOf(scene.certificate) === REVOKED, 'it is known');
  t.pass();
});

test('certificates that no link has are not asked for again', async (t) => {
  const scene = await startScene(t, { crl: { cacheTtl: 10 * SECOND } });
  t.is(await check(scene), undefined);
  await scene.environment.advance(60 * SECOND);
  t.is(scene.fetches, 1);
  t.is(scene.state()['nextDue'], null);
});

test('two links with one certificate: it is held until both have ended, and each release counts once', async (t) => {
  const { trust, certificate } = await startScene(t);
  const [one, two] = [trust.revocation.hold(certificate), trust.revocation.hold(certificate)];
  one();
  one();
  t.true(trust.revocation.isHeld(certificate.pem));
  two();
  t.false(trust.revocation.isHeld(certificate.pem));
});

test('after a crash the actor checks what links have, and no link is told anything', async (t) => {
  const scene = await startScene(t, { crl: { cacheTtl: 10 * SECOND } });
  scene.trust.revocation.hold(scene.certificate);
  t.is(await check(scene), undefined);
  await until(() => scene.state()['nextDue'] !== null, 'it is watched');
  scene.isBroken = true;
  await scene.environment.advance(11 * SECOND);
  await until(() => scene.life() === 1, 'it is there again');
  scene.list = revokedList(scene);
  t.is(scene.trust.revocation.refusalOf(scene.certificate), undefined);
  await scene.environment.advance(12 * SECOND);
  await until(() => scene.trust.revocation.refusalOf(scene.certificate) === REVOKED, 'it is known');
});

test('serial numbers of rows and of routes count together, and each entry that is no number is named once', (t) => {
  const trust = new Trust();
  const warnings: string[] = [];
  const warn = (text: string): void => void warnings.push(text);
  const name = nodeName('server-two');
  trust.revoke('routes', [{ name, serials: ['1769F7D6A', 'QA69C7E2S'] }], warn);
  trust.revoke('rows', [{ name, serials: ['0x00:ab', 'QA69C7E2S'] }], warn);
  for (const serial of ['1769F7D6A', '01:76:9f:7d:6a', 'AB', 'QA69C7E2S'])
    t.true(trust.isRevoked(name, serial), serial);
  t.false(trust.isRevoked(nodeName('server-three'), 'AB'));
  t.is(warnings.length, 1);
  trust.revoke('rows', [], warn);
  t.false(trust.isRevoked(name, 'AB'));
  t.true(trust.isRevoked(name, '1769F7D6A'));
});
