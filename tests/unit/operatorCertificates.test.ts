/** Certificates that an operator adds and removes: what is refused, whose keys are written and removed, what is trusted. */
import { connect, createServer } from 'node:tls';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { CertificateFields } from '../../protocol/schemas/certificateSchemas.js';
import { issue, type KeyedCertificate } from '../support/certificates.js';
import { waitUntil } from '../support/waitUntil.js';
import { startSigner, type SignerScene } from '../support/signerScene.js';

const NOW_MS = Date.now();
const start = (t: ExecutionContext): Promise<SignerScene> => startSigner(t, { startedMs: NOW_MS });

const add = (scene: SignerScene, fields: Partial<CertificateFields>): Promise<string> => {
  const certificate = { certificate: '', is_authority: false, ...fields };
  return scene.ask<string>((replyTo) => ({ type: 'certificate.add', certificate, replyTo }));
};
const remove = (scene: SignerScene, name: string): Promise<void> =>
  scene.ask<void>((replyTo) => ({ type: 'certificate.remove', name, replyTo }));

const own = (): Promise<KeyedCertificate> =>
  issue({ commonName: 'server-one', dns: ['server-one'] });
const AUTHORITY = 'Skein-Certificate-Authority-server-one';

const rowOf = (scene: SignerScene, name: string): Record<string, unknown> | undefined =>
  scene.table('hdb_certificate').get(name);

test('what cannot be used is refused with the documented texts, and changes nothing', async (t) => {
  const scene = await start(t);
  const { certificate, key } = await own();
  const other = await own();
  const nameless = await issue({});
  const over = await issue({ commonName: 'over', toMs: NOW_MS - 1 });
  const before = JSON.stringify([...scene.table('hdb_certificate'), ...scene.keys]);
  const refusals: [Partial<CertificateFields>, string | RegExp][] = [
    [{ certificate }, 'A suitable private key was not found for this certificate'],
    [
      { certificate: nameless.certificate, private_key: nameless.key },
      'Error extracting certificate host name, please provide a name parameter',
    ],
    [{ certificate, is_authority: true }, "'certificate' is no certificate of an authority"],
    [
      { certificate, private_key: other.key },
      /'private_key' is no unencrypted key in PEM that fits/,
    ],
    [
      { certificate, private_key: 'no key' },
      /'private_key' is no unencrypted key in PEM that fits/,
    ],
    [{ certificate: over.certificate, private_key: over.key }, /^'certificate' has expired on /],
    [{ certificate, private_key: key, ciphers: 'no such' }, /cannot be shown on connections/],
    ...['privateKey', 'privatekey', 'authorityKey', 'privateKey-0a'].map(
      (name): [Partial<CertificateFields>, RegExp] => [
        { certificate, private_key: key, name },
        /^'name': the key file '.*\.pem' belongs to another certificate$/,
      ],
    ),
    // The only authority with a key would be gone.
    [{ certificate, private_key: key, name: AUTHORITY }, /is the only authority/],
    // The only certificate for this node would be gone.
    [
      { certificate: other.certificate, private_key: other.key, is_authority: true },
      /no certificate of an authority/,
    ],
  ];
  for (const [fields, message] of refusals) {
    const error = await t.throwsAsync(add(scene, fields), { message });
    t.is((error as { statusCode?: number }).statusCode, 400, String(message));
  }
  await t.throwsAsync(add(scene, { certificate: 'garbage' }), {
    code: 'INVALID_CERTIFICATE_FORMAT',
  });
  t.is(JSON.stringify([...scene.table('hdb_certificate'), ...scene.keys]), before);
});

test('a certificate for another name does not take the place of the only one of this node', async (t) => {
  const scene = await start(t);
  const { certificate, key } = await issue({ commonName: 'elsewhere' });
  await t.throwsAsync(add(scene, { certificate, private_key: key, name: 'server-one' }), {
    message: /is the only certificate for server-one: add another one first/,
  });
  await t.throwsAsync(remove(scene, 'server-one'), {
    message: /is the only certificate for server-one: add another one first/,
  });
  await t.throwsAsync(remove(scene, AUTHORITY), { message: /is the only authority/ });
  await t.throwsAsync(remove(scene, 'nobody'), { message: 'nobody not found' });
});

test('a key that is here already need not be sent, and is not copied', async (t) => {
  const scene = await start(t);
  const { certificate, key } = await own();
  scene.keys.set('privateKey.pem', key);
  t.is(await add(scene, { certificate, name: 'mine' }), 'mine');
  t.like(rowOf(scene, 'mine'), { private_key_name: 'privateKey.pem', is_provided: true });
  t.false(scene.keys.has('mine.pem'));
  // The node's own key stays, whoever used it.
  scene.keys.set('spare.pem', key);
  await add(scene, { certificate, private_key: key, name: 'spare' });
  await remove(scene, 'mine');
  t.true(scene.keys.has('privateKey.pem'));
});

test('a key goes with the last certificate that needs it', async (t) => {
  const scene = await start(t);
  const { certificate, key } = await own();
  await add(scene, { certificate, private_key: key, name: 'first' });
  t.is(scene.keys.get('first.pem'), key);
  await add(scene, { certificate, name: 'second' });
  t.like(rowOf(scene, 'second'), { private_key_name: 'first.pem' });
  await remove(scene, 'first');
  t.is(scene.keys.get('first.pem'), key);
  await remove(scene, 'second');
  t.false(scene.keys.has('first.pem'));
});

test('what the operator provides is not renewed by the node', async (t) => {
  const scene = await start(t);
  const { certificate, key } = await own();
  await add(scene, { certificate, private_key: key });
  t.is(rowOf(scene, 'server-one')?.['certificate'], certificate);
  // One that the node renews is due at the same time.
  const managed = await own();
  scene.keys.set('managed.pem', managed.key);
  scene.change('hdb_certificate', {
    name: 'server-one-replication',
    certificate: managed.certificate,
    is_self_signed: true,
    private_key_name: 'managed.pem',
  });
  await scene.environment.advance(100);
  await add(scene, { certificate, private_key: key });
  await scene.environment.advance(16 * 3_600_000);
  await waitUntil('the other one to be renewed', () =>
    Promise.resolve(scene.logged.some((line) => line.includes('were renewed'))),
  );
  t.is(rowOf(scene, 'server-one')?.['certificate'], certificate);
});

/** Whether a server trusts a client, as Node judges it. */
const isTrusted = async (scene: SignerScene, client: KeyedCertificate): Promise<boolean> => {
  const server = createServer({
    ...scene.trust.contexts.defaultOptions(),
    requestCert: true,
    rejectUnauthorized: false,
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const shown = { cert: client.certificate, key: client.key };
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...shown });
  const [accepted] = (await once(server, 'secureConnection')) as [{ authorized: boolean }];
  socket.destroy();
  server.close();
  return accepted.authorized;
};

test('public authorities are trusted for nodes when that is configured, and for clients never', async (t) => {
  const root = await issue({ commonName: 'Public Root', isAuthority: true });
  const node = await issue({ dns: ['server-two'] }, root);
  for (const enableRootCAs of [true, false]) {
    const scene = await startSigner(t, {
      startedMs: NOW_MS,
      config: { replication: { enableRootCAs } },
      publicAuthorities: [root.certificate],
    });
    t.is(await isTrusted(scene, node), enableRootCAs);
    t.deepEqual(scene.trust.operations.defaultOptions().ca, []);
  }
});
