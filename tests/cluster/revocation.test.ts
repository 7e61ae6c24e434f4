/** Revocation lists and serial numbers at links and operations between real nodes; the list is served over real HTTP. */
import { X509Certificate } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { decodeControl, encodeControl } from '../../protocol/frames.js';
import {
  linked,
  NOWHERE,
  parted,
  serveAnswers,
  startCertified,
  type AnswerServer,
  type Identity,
} from '../support/certifiedNodes.js';
import { connectionsOf, knock, startSecure, type SecureNode } from '../support/secureNodes.js';
import {
  issue,
  makeAuthority,
  writeList,
  type TestAuthority,
  type TestList,
} from '../support/testAuthority.js';
import { waitUntil } from '../support/waitUntil.js';

interface Scene {
  readonly authority: TestAuthority;
  readonly server: AnswerServer;
  /** A certificate for that name; with a list unless told. */
  readonly identity: (name: string, serial: string, lists?: readonly string[]) => Identity;
  /** What the list says from now on. */
  readonly publish: (list: TestList) => void;
}

const openScene = async (t: ExecutionContext): Promise<Scene> => {
  const authority = makeAuthority();
  const server = await serveAnswers(t);
  return {
    authority,
    server,
    identity: (name, serial, lists = [`${server.url}/list`]) => {
      const named = lists.length > 0 ? { lists } : {};
      const { certificate, key } = issue(authority, { subject: name, serial, ...named });
      return {
        authority: authority.certificate.toString(),
        certificate: certificate.toString(),
        key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
      };
    },
    publish: (list) => {
      const bytes = writeList(authority, list);
      server.paths.set('/list', async () => bytes);
    },
  };
};

interface Pair {
  /** Accepts; its own certificate names no list unless told. */
  readonly door: SecureNode;
  /** Dials. */
  readonly guest: SecureNode;
}

interface PairOptions {
  readonly door?: Identity;
  readonly guest?: Identity;
  readonly verification?: Parameters<typeof startCertified>[2]['verification'];
  readonly revokedByRoute?: string[];
}

const GUEST_SERIAL = '2A';

const startPair = async (
  t: ExecutionContext,
  scene: Scene,
  options: PairOptions = {},
): Promise<Pair> => {
  const { verification = true, revokedByRoute: revokedCertificates = [] } = options;
  const door = await startCertified(t, 'server-one', {
    identity: options.door ?? scene.identity('server-one', '11', []),
    verification,
    routes: [{ hostname: 'server-two', url: NOWHERE, revokedCertificates }],
  });
  const guest = await startCertified(t, 'server-two', {
    identity: options.guest ?? scene.identity('server-two', GUEST_SERIAL),
    verification,
    routes: [{ hostname: 'server-one', url: door.url }],
  });
  return { door, guest };
};

/** How many checks had no answer that counts. */
const unknownOf = ({ node }: SecureNode): number =>
  Number(/"unknown":(\d+)/.exec(JSON.stringify(node.tree()))?.[1]);

const REVOKED = /the certificate with the serial number 2A was revoked/;

test('SE-15 a node whose certificate is in the list of its authority is refused by who accepts, the first time already', async (t) => {
  const scene = await openScene(t);
  scene.publish({ entries: [{ serial: GUEST_SERIAL, reason: 1 }] });
  const { door, guest } = await startPair(t, scene);
  await parted(guest, 'server-one', REVOKED);
  await parted(door, 'server-two', REVOKED);
  const line = door
    .log()
    .split('\n')
    .find((one) => one.includes('refused a certificate'));
  t.like(JSON.parse(line ?? ''), {
    peer: 'server-two',
    serial: GUEST_SERIAL,
    issuer: 'CN=Test Authority',
    method: 'crl',
    code: 'CERTIFICATE_REVOKED',
  });
});

test('SE-15 who dials refuses too', async (t) => {
  const scene = await openScene(t);
  scene.publish({ entries: [{ serial: '11' }] });
  const { door, guest } = await startPair(t, scene, {
    door: scene.identity('server-one', '11'),
    guest: scene.identity('server-two', GUEST_SERIAL, []),
  });
  await parted(guest, 'server-one', /the certificate with the serial number 11 was revoked/);
  await parted(door, 'server-two', /the certificate with the serial number 11 was revoked/);
  t.regex(guest.log(), /refused a certificate/);
});

test('a certificate that comes onto the list while its link is open: the link is closed within seconds', async (t) => {
  const scene = await openScene(t);
  scene.publish({});
  const { door, guest } = await startPair(t, scene, {
    verification: { crl: { cacheTtl: 1_000 } },
  });
  await linked(door, guest);
  const begunMs = performance.now();
  scene.publish({ entries: [{ serial: GUEST_SERIAL }], thisUpdateMs: Date.now() });
  await parted(guest, 'server-one', REVOKED);
  t.true(performance.now() - begunMs < 10_000);
  await parted(door, 'server-two', REVOKED);
});

test('SE-15 a live link stays when the list cannot be had any more, and a new one is refused', async (t) => {
  const scene = await openScene(t);
  const second = 1_000;
  const { door, guest } = await startPair(t, scene, {
    verification: { crl: { cacheTtl: second, gracePeriod: 0 }, ocsp: { errorCacheTtl: second } },
  });
  await parted(guest, 'server-one', /it is not known whether/);
  scene.publish({ nextUpdateMs: Date.now() + 6 * second });
  await linked(door, guest);
  scene.server.paths.set('/list', async () => 500);
  const before = unknownOf(door);
  await waitUntil('the list to be asked for in vain', () => unknownOf(door) > before + 1);
  t.true((await connectionsOf(door))[0]?.connected);
  await guest.node.close();
  const again = await startCertified(t, 'server-two', {
    identity: scene.identity('server-two', GUEST_SERIAL),
    routes: [{ hostname: 'server-one', url: door.url }],
  });
  await parted(again, 'server-one', /it is not known whether the certificate .* 2A was revoked/);
});

test('SE-15 without a list to be had fail-open lets in and says so, and fail-closed refuses until there is one', async (t) => {
  const scene = await openScene(t);
  scene.server.paths.set('/list', async () => 500);
  const open = await startPair(t, scene, { verification: { failureMode: 'fail-open' } });
  await linked(open.door, open.guest);
  t.regex(open.door.log(), /a certificate was let in that could not be checked/);
  const closed = await startPair(t, scene, { verification: { ocsp: { errorCacheTtl: 1_000 } } });
  await parted(closed.guest, 'server-one', /it is not known whether/);
  scene.publish({});
  await linked(closed.door, closed.guest);
});

test('SE-15 a list with a wrong signature refuses even with fail-open', async (t) => {
  const scene = await openScene(t);
  const forged = writeList(makeAuthority(), {});
  scene.server.paths.set('/list', async () => forged);
  const { guest } = await startPair(t, scene, { verification: { failureMode: 'fail-open' } });
  await parted(guest, 'server-one', /invalid answer on whether .* 2A was revoked/);
  t.pass();
});

test('checks that are turned off ask nobody', async (t) => {
  const scene = await openScene(t);
  scene.publish({ entries: [{ serial: GUEST_SERIAL }] });
  const { door, guest } = await startPair(t, scene, { verification: false });
  await linked(door, guest);
  t.is(scene.server.asked.size, 0);
});

test('a slow list delays only the handshake that needs it', async (t) => {
  const scene = await openScene(t);
  scene.server.paths.set('/list', async () => undefined);
  const { door, guest } = await startPair(t, scene);
  await waitUntil('the list to be asked for', () => scene.server.asked.has('/list'));
  const third = await startCertified(t, 'server-three', {
    identity: scene.identity('server-three', '33', []),
    routes: [{ hostname: 'server-one', url: door.url }],
  });
  await door.node.send({
    operation: 'add_node',
    hostname: 'server-three',
    url: third.url,
  } as never);
  await linked(door, third);
  t.false((await connectionsOf(door)).find(({ name }) => name === 'server-two')?.connected);
  await parted(guest, 'server-one', /it is not known whether/);
});

test('SE-12 a serial number in the node row closes a live link, in any spelling', async (t) => {
  const scene = await openScene(t);
  scene.publish({});
  const { door, guest } = await startPair(t, scene);
  await linked(door, guest);
  await door.send({
    operation: 'update_node',
    hostname: 'server-two',
    revoked_certificates: ['QA69C7E2S', '0x00:2a'],
  });
  await parted(guest, 'server-one', REVOKED);
  t.is(door.log().split("'QA69C7E2S' is no hexadecimal number").length, 2);
});

test('SE-12 a serial number in a route refuses, in any spelling', async (t) => {
  const scene = await openScene(t);
  scene.publish({});
  const { guest } = await startPair(t, scene, { revokedByRoute: ['00:2a', 'no number'] });
  await parted(guest, 'server-one', REVOKED);
  t.pass();
});

test('an operation of a revoked member is not run, and none is sent to one', async (t) => {
  const scene = await openScene(t);
  scene.publish({ entries: [{ serial: GUEST_SERIAL }, { serial: '11' }] });
  const { door, guest } = await startPair(t, scene, { door: scene.identity('server-one', '11') });
  const { certificate, key } = scene.identity('server-two', GUEST_SERIAL);
  const peer = await knock(door, { shown: { certificate, key }, purpose: 'skein.operation.v1' });
  peer.send(
    encodeControl({ kind: 'Operation', id: 1, operation: { operation: 'sign_certificate' } }),
  );
  const answer = decodeControl(await peer.next());
  t.like(answer, { kind: 'OperationResult', error: { code: 'UNAUTHENTICATED' } });
  t.regex(JSON.stringify(answer), REVOKED);
  await t.throwsAsync(
    guest.send({
      operation: 'add_node',
      hostname: 'server-one',
      url: door.url,
      force_signing: true,
    }),
    { message: /the certificate with the serial number 11 was revoked/ },
  );
});

test('what authorities said stays on the node that asked', async (t) => {
  const scene = await openScene(t);
  scene.publish({ entries: [{ serial: '77', reason: 1 }] });
  const { door, guest } = await startPair(t, scene);
  await linked(door, guest);
  const rows = async (node: SecureNode, table: string, key: string) =>
    (await node.node.send({
      operation: 'search_by_value',
      database: 'system',
      table,
      attribute: key,
      value: '*',
    } as never)) as Record<string, unknown>[];
  const tables = [
    ['hdb_certificate_cache', 'certificate_id'],
    ['hdb_crl_cache', 'distribution_point'],
    ['hdb_revoked_certificates', 'composite_id'],
  ] as const;
  for (const [table, key] of tables) {
    await waitUntil(`${table} to be filled`, async () => (await rows(door, table, key)).length > 0);
    t.is((await rows(door, table, key)).length, 1);
  }
  t.like((await rows(door, 'hdb_revoked_certificates', 'composite_id'))[0], {
    serial_number: '77',
    crl_source: `${scene.server.url}/list`,
  });
  t.is(
    (await rows(door, 'hdb_crl_cache', 'distribution_point'))[0]?.['distribution_point'],
    encodeURIComponent(`${scene.server.url}/list`),
  );
  t.notRegex(door.log(), /cannot be (stored|read|used)/);
  t.like((await rows(door, 'hdb_certificate_cache', 'certificate_id'))[0], {
    status: 'good',
    method: 'crl',
  });
  // Whatever of the system database travels has come when this has.
  await door.send({ operation: 'update_node', hostname: 'server-two', shard: 3 });
  await waitUntil('news of the door', async () =>
    (await guest.rows('hdb_nodes')).some(({ shard }) => shard === 3),
  );
  for (const [table, key] of tables) t.deepEqual(await rows(guest, table, key), []);
  await t.throwsAsync(
    door.node.send({
      operation: 'upsert',
      database: 'system',
      table: 'hdb_certificate_cache',
      records: [{ certificate_id: 'a', status: 'good' }],
    } as never),
  );
});

test('settings that make no sense are an error at start', async (t) => {
  await t.throwsAsync(
    startSecure(t, 'server-one', {
      replication: { mtls: { certificateVerification: { crl: { timeout: 5 } } } },
    }),
    { code: 'INVALID_CONFIGURATION', message: /certificateVerification.crl.timeout/ },
  );
});

test('the checks are shown in the tree of actors', async (t) => {
  const scene = await openScene(t);
  scene.publish({});
  const { door, guest } = await startPair(t, scene);
  await linked(door, guest);
  const text = JSON.stringify(door.node.tree());
  t.regex(text, /"checks":1,"cached":0,"fetches":1,"refused":0,"unknown":0,"held":1/);
  t.regex(text, /"nextDue":"20/);
  t.is(new X509Certificate(scene.authority.certificate.raw).subject, 'CN=Test Authority');
});
