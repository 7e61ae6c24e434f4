/**
 * The operations API over TLS: what it shows, whom it believes, and that who is known there is not therefore a node, nor a node
 * a user. Real sockets in one process.
 */
import { X509Certificate } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../config/types.js';
import { startNode } from '../../index.js';
import { issue, type KeyedCertificate } from '../support/certificates.js';
import { placeOf, postOver, shownAt, type HttpsClient } from '../support/httpsClient.js';
import {
  JOINING,
  knock,
  meshed,
  startSecure,
  USER,
  type SecureNode,
} from '../support/secureNodes.js';
import { waitUntil } from '../support/waitUntil.js';

const BASIC = `${USER.username}:${USER.password}`;
const WHO = { operation: 'user_info' };

interface Served {
  readonly one: SecureNode;
  readonly url: string;
  readonly authority: KeyedCertificate;
  readonly client: HttpsClient;
}

const serve = async (t: ExecutionContext, http: ConfigInput['http'] = {}): Promise<Served> => {
  const authority = await issue({ commonName: 'Example Company CA', isAuthority: true });
  const api = await issue({ commonName: 'api.example', dns: ['api.example'] }, authority);
  const one = await startSecure(t, 'server-one', {
    operationsApi: {
      network: { securePort: '127.0.0.1:0' },
      tls: { certificate: api.certificate, privateKey: api.key },
    },
    http,
  });
  const { doors } = one.node as Awaited<ReturnType<typeof startNode>>;
  t.is(doors.operationsApi, undefined);
  const url = doors.secureOperationsApi ?? '';
  t.regex(url, /^https:\/\/127\.0\.0\.1:\d+$/);
  return { one, url, authority, client: { ca: authority.certificate, serverName: 'api.example' } };
};

const clientsAuthority = (): Promise<KeyedCertificate> =>
  issue({ commonName: 'Clients CA', isAuthority: true });

test('operations are taken over TLS with a password, and by nobody without', async (t) => {
  const { url, client } = await serve(t);
  t.like(await postOver(url, WHO, { ...client, basic: BASIC }), {
    status: 200,
    body: { username: USER.username },
  });
  t.deepEqual(await postOver(url, WHO, client), { status: 401, body: { error: 'Must login' } });
  await t.throwsAsync(postOver(url, WHO, { ...client, serverName: 'other.example' }), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  });
  await t.throwsAsync(fetch(url.replace('https', 'http'), { method: 'POST', body: '{}' }));
});

test('nothing below TLS 1.2 is spoken on the port of the operations API', async (t) => {
  const { url } = await serve(t);
  const place = placeOf(url);
  const old = { ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  for (const version of ['TLSv1', 'TLSv1.1'] as const)
    await t.throwsAsync(
      shownAt(place, 'api.example', { ...old, minVersion: version, maxVersion: version }),
      { message: /alert protocol version/ },
    );
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    await t.notThrowsAsync(
      shownAt(place, 'api.example', { minVersion: version, maxVersion: version }),
    );
});

test('a certificate that is added is shown by the operations API at once, the other port keeps its own', async (t) => {
  const { one, url, authority } = await serve(t);
  const next = await issue({ commonName: 'api.example', dns: ['new.example'] }, authority);
  t.is((await shownAt(placeOf(url), '')).subjectAltName, 'DNS:api.example');
  const links = (await shownAt(one, 'server-one')).serialNumber;
  await one.send({
    operation: 'add_certificate',
    certificate: next.certificate,
    private_key: next.key,
    is_authority: false,
    name: 'new',
    hosts: ['new.example', 'server-one'],
    uses: ['operations'],
  });
  // It is the best of all now, also for who asks for no name.
  t.is((await shownAt(placeOf(url), '')).subjectAltName, 'DNS:new.example');
  t.is((await shownAt(placeOf(url), 'new.example')).subjectAltName, 'DNS:new.example');
  t.is((await shownAt(placeOf(url), 'api.example')).subjectAltName, 'DNS:api.example');
  t.is((await shownAt(one, 'server-one')).serialNumber, links);
});

test('a client certificate stands for the user that is its common name', async (t) => {
  const clients = await clientsAuthority();
  const mtls = { certificateAuthority: clients.certificate };
  const { url, client } = await serve(t, { mtls });
  const shown = await issue({ commonName: USER.username }, clients);
  t.like(await postOver(url, WHO, { ...client, shown }), {
    status: 200,
    body: { username: USER.username },
  });
  const refused = { status: 401, body: { error: 'Login failed' } };
  const stranger = await issue({ commonName: 'nobody' }, clients);
  t.deepEqual(await postOver(url, WHO, { ...client, shown: stranger }), refused);
  // Alternative names are names of machines.
  const machine = await issue({ dns: [USER.username] }, clients);
  t.deepEqual(await postOver(url, WHO, { ...client, shown: machine }), refused);
  // A header says whom the request is to run as.
  t.like(await postOver(url, WHO, { ...client, shown: stranger, basic: BASIC }), { status: 200 });
  // It is not required here.
  t.like(await postOver(url, WHO, { ...client, basic: BASIC }), { status: 200 });
});

test('certificates of another authority, or that are over, stand for nobody', async (t) => {
  const clients = await clientsAuthority();
  const { one, url, authority, client } = await serve(t, {
    mtls: { certificateAuthority: clients.certificate },
  });
  const commonName = USER.username;
  const foreign = await issue({ commonName, isAuthority: true });
  const must = { status: 401, body: { error: 'Must login' } };
  for (const [what, shown] of Object.entries({
    self: foreign,
    foreign: await issue({ commonName }, foreign),
    company: await issue({ commonName }, authority),
    expired: await issue({ commonName, toMs: Date.now() - 1000 }, clients),
  }))
    t.deepEqual(await postOver(url, WHO, { ...client, shown }), must, what);
  // Nor is an authority that nodes are trusted by.
  await one.send({
    operation: 'add_certificate',
    certificate: authority.certificate,
    is_authority: true,
  });
  const node = await issue({ commonName }, authority);
  t.deepEqual(await postOver(url, WHO, { ...client, shown: node }), must);
});

test('where client certificates are required, connections without one are refused', async (t) => {
  const clients = await clientsAuthority();
  const mtls = { required: true, user: USER.username, certificateAuthority: clients.certificate };
  const { url, client } = await serve(t, { mtls });
  await t.throwsAsync(postOver(url, WHO, { ...client, basic: BASIC }));
  const shown = await issue({ commonName: 'any robot' }, clients);
  t.like(await postOver(url, WHO, { ...client, shown }), {
    status: 200,
    body: { username: USER.username },
  });
});

test('who is a user by certificate is no node, whatever name it has', async (t) => {
  const clients = await clientsAuthority();
  const one = await startSecure(t, 'server-one', {
    operationsApi: { network: { securePort: '127.0.0.1:0' } },
    http: { mtls: { certificateAuthority: clients.certificate } },
    replication: { routes: [{ hostname: 'server-two', url: 'wss://127.0.0.1:1' }] },
  });
  const shown = await issue({ commonName: 'server-two', dns: ['server-two'] }, clients);
  const { closed } = await knock(one, { shown });
  t.like(await closed, { code: 1008 });
  await waitUntil('the refusal to be told', () =>
    Promise.resolve(one.log().includes('its authority is not known here')),
  );
});

test('nodes that join over TLS share the keys of tokens', async (t) => {
  const https = { operationsApi: { network: { securePort: '127.0.0.1:0' } } };
  const one = await startSecure(t, 'server-one', https);
  const two = await startSecure(t, 'server-two', https);
  const tokenOf = async ({ node }: SecureNode): Promise<string> => {
    const answer = await node.send({ operation: 'create_authentication_tokens', ...USER } as never);
    return (answer as { operation_token: string }).operation_token;
  };
  const [ofOne, ofTwo] = [await tokenOf(one), await tokenOf(two)];
  await t.throwsAsync(two.node.authenticateToken(ofOne), { message: 'invalid token' });
  await two.send({ operation: 'add_node', hostname: 'server-one', url: one.url, ...JOINING });
  await meshed([one, two]);
  await waitUntil('a token of one node to count at the other', async () =>
    two.node.authenticateToken(await tokenOf(one)).then(
      ({ user }) => user.username === USER.username,
      () => false,
    ),
  );
  // A member that adds another node keeps its keys.
  const three = await startSecure(t, 'server-three', https);
  await one.send({ operation: 'add_node', hostname: 'server-three', url: three.url, ...JOINING });
  await meshed([one, two, three]);
  await waitUntil('tokens of both to count still', async () => {
    const { user } = await one.node.authenticateToken(await tokenOf(two));
    return user.username === USER.username;
  });
  await t.throwsAsync(two.node.authenticateToken(ofTwo), { message: 'invalid token' });
  for (const { log } of [one, two, three]) t.notRegex(log(), /PRIVATE KEY|passphrase/);
});

test('a certificate that has expired since the handshake stands for nobody', async (t) => {
  const { one } = await serve(t);
  const commonName = USER.username;
  const read = async (toMs: number): Promise<X509Certificate> =>
    new X509Certificate((await issue({ commonName, toMs })).certificate);
  const { node } = one;
  t.is((await node.authenticateCertificate(await read(Date.now() + 60_000))).username, commonName);
  await t.throwsAsync(node.authenticateCertificate(await read(Date.now() - 1_000)), {
    message: 'Login failed',
  });
});
