/** OCSP answers of openssl at links between real nodes: what lets a node in, what keeps it out, and what ends its link. */
import test, { type ExecutionContext } from 'ava';
import {
  linked,
  NOWHERE,
  parted,
  serveAnswers,
  startCertified,
  type AnswerServer,
} from '../support/certifiedNodes.js';
import { OpensslAuthority } from '../support/opensslAuthority.js';
import type { SecureNode } from '../support/secureNodes.js';

interface Scene {
  readonly authority: OpensslAuthority;
  readonly server: AnswerServer;
  readonly guest: Awaited<ReturnType<OpensslAuthority['issue']>>;
  /** The first accepts, the second dials with the certificate of `guest`, which names the path `/ocsp`. */
  readonly start: (
    verification?: Parameters<typeof startCertified>[2]['verification'],
    laterMs?: number,
  ) => Promise<{ door: SecureNode; visitor: SecureNode }>;
}

const openScene = async (t: ExecutionContext): Promise<Scene> => {
  const authority = await OpensslAuthority.create();
  t.teardown(() => authority.close());
  const server = await serveAnswers(t);
  const own = await authority.issue('server-one', ['keyUsage = digitalSignature']);
  const responder = `authorityInfoAccess = OCSP;URI:${server.url}/ocsp`;
  const guest = await authority.issue('server-two', [responder]);
  const identityOf = async (issued: typeof guest) => ({
    authority: authority.certificate.toString(),
    certificate: issued.certificate.toString(),
    key: await authority.keyOf(issued),
  });
  return {
    authority,
    server,
    guest,
    start: async (verification = true, laterMs = 0) => {
      const door = await startCertified(t, 'server-one', {
        identity: await identityOf(own),
        verification,
        laterMs,
        routes: [{ hostname: 'server-two', url: NOWHERE }],
      });
      const visitor = await startCertified(t, 'server-two', {
        identity: await identityOf(guest),
        verification,
        laterMs,
        routes: [{ hostname: 'server-one', url: door.url }],
      });
      return { door, visitor };
    },
  };
};

const REVOKED = /the certificate with the serial number A2 was revoked/;
const INVALID = /invalid answer on whether the certificate with the serial number A2 was revoked/;
const UNKNOWN = /it is not known whether the certificate with the serial number A2 was revoked/;
const HOUR_MS = 3_600_000;

test('SE-16 good lets in; revoked while connected closes the link within seconds', async (t) => {
  const { authority, server, guest, start } = await openScene(t);
  server.paths.set('/ocsp', (body) => authority.answer(body));
  const { door, visitor } = await start({ ocsp: { cacheTtl: 1_000 } });
  await linked(door, visitor);
  await authority.revoke(guest, 'keyCompromise');
  const begunMs = performance.now();
  await parted(visitor, 'server-one', REVOKED);
  t.true(performance.now() - begunMs < 10_000);
  t.regex(door.log(), /"serial":"A2","issuer":"CN=Openssl Authority","method":"ocsp"/);
});

test('SE-16 revoked keeps out, the first time already', async (t) => {
  const { authority, server, guest, start } = await openScene(t);
  server.paths.set('/ocsp', (body) => authority.answer(body));
  await authority.revoke(guest, 'superseded');
  const { door, visitor } = await start({ failureMode: 'fail-open' });
  await parted(visitor, 'server-one', REVOKED);
  await parted(door, 'server-two', REVOKED);
  t.pass();
});

test('SE-16 an answer of another signer keeps out in every mode', async (t) => {
  const { server, start } = await openScene(t);
  const stranger = await OpensslAuthority.create();
  t.teardown(() => stranger.close());
  server.paths.set('/ocsp', (body) => stranger.answer(body));
  for (const failureMode of ['fail-open', 'fail-closed'] as const) {
    const { visitor } = await start({ failureMode });
    await parted(visitor, 'server-one', INVALID);
  }
  t.pass();
});

type Prepare = (scene: Scene) => void | Promise<void>;

/** Nothing that counts: with a clock so much ahead. */
const silences: readonly (readonly [string, Prepare, number])[] = [
  [
    'a serial number that the responder does not know',
    async ({ authority, server }) => {
      await authority.forgetAll();
      server.paths.set('/ocsp', (body) => authority.answer(body));
    },
    0,
  ],
  [
    'an answer that has run out',
    ({ authority, server }) =>
      void server.paths.set('/ocsp', (body) =>
        authority.answer(body, 'authority', ['-nmin', '30']),
      ),
    HOUR_MS,
  ],
  ['a responder that is down', ({ server }) => void server.paths.set('/ocsp', async () => 503), 0],
];

for (const [what, prepare, laterMs] of silences)
  test(`SE-16 ${what}: fail-closed keeps out, fail-open lets in and says so`, async (t) => {
    const scene = await openScene(t);
    await prepare(scene);
    const closed = await scene.start({ failureMode: 'fail-closed' }, laterMs);
    await parted(closed.visitor, 'server-one', UNKNOWN);
    const open = await scene.start({ failureMode: 'fail-open' }, laterMs);
    await linked(open.door, open.visitor);
    t.regex(open.door.log(), /a certificate was let in that could not be checked/);
  });
