/**
 * Who is at the other end of a TLS connection, as the transport tells: nobody is believed for what a certificate says, and
 * nothing weak is agreed on. Real sockets on loopback.
 */
import { connect as connectPlain } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import type { SecureContexts } from '../../actors/transport/secureContexts.js';
import type { Connection } from '../../actors/transport/types.js';
import { webSocketTransport } from '../../actors/transport/webSocket.js';
import { nodeName } from '../../protocol/ids.js';
import { issue, newAuthority, type KeyedCertificate } from '../support/certificates.js';
import { openRawPeer } from '../support/rawPeer.js';
import { record } from '../support/recorder.js';
import { contextsOf, showIn } from '../support/tlsIdentity.js';
import { waitUntil } from '../support/waitUntil.js';

const HOST = '127.0.0.2';
const NODE = nodeName('server-one');
const DAY_MS = 86_400_000;

interface Server {
  readonly port: number;
  readonly url: string;
  readonly contexts: SecureContexts;
  readonly accepted: Connection[];
}

/** A node named server-one that trusts that authority. */
const openServer = async (
  t: ExecutionContext,
  authority: KeyedCertificate,
  shown?: readonly KeyedCertificate[],
): Promise<Server> => {
  const own = shown ?? [await issue({ dns: ['server-one'] }, authority)];
  const contexts = contextsOf('server-one', own, [authority]);
  const accepted: Connection[] = [];
  const listening = await webSocketTransport({ contexts }).listen(
    { host: HOST, port: 0 },
    (connection) => {
      record(connection);
      accepted.push(connection);
    },
    { secure: true },
  );
  t.teardown(async () => {
    await listening.close();
    for (const connection of accepted) connection.terminate();
  });
  const { port } = listening.address;
  return { port, url: `wss://${HOST}:${port}`, contexts, accepted };
};

/** What the server makes of a client that shows this certificate; none: it shows none. */
const judged = async (
  t: ExecutionContext,
  server: Server,
  shown?: KeyedCertificate,
): Promise<Connection['proven']> => {
  const before = server.accepted.length;
  const options = shown ? { cert: shown.certificate, key: shown.key } : {};
  const peer = await openRawPeer(server.url, { rejectUnauthorized: false, ...options });
  t.teardown(() => peer.reset());
  await waitUntil('the connection to be accepted', async () => server.accepted.length > before);
  const connection = server.accepted[before];
  if (!connection) throw new Error('a connection was accepted');
  return connection.proven;
};

const dial = (
  shown: SecureContexts,
  url: string,
  more: { expected?: string; verifyTls?: boolean } = {},
): Promise<Connection> =>
  webSocketTransport({ contexts: shown }).dial(url, {
    signal: new AbortController().signal,
    timeoutMs: 5_000,
    expected: nodeName(more.expected ?? NODE),
    ...(more.verifyTls !== undefined && { verifyTls: more.verifyTls }),
  });

test('a trusted certificate proves the names in it', async (t) => {
  const authority = await newAuthority();
  const server = await openServer(t, authority);
  const client = await issue({ dns: ['Server-Two'], ips: ['127.0.0.3'] }, authority);
  const proven = await judged(t, server, client);
  t.like(proven, { kind: 'certificate', names: ['server-two', '127.0.0.3'] });
  if (proven.kind !== 'certificate') throw new Error('it was proven');
  t.regex(proven.certificate.serial, /^[0-9A-F]+$/);
  t.true(proven.certificate.validToMs > Date.now());
});

test('SE-01 without a certificate nothing is proven', async (t) => {
  const server = await openServer(t, await newAuthority());
  t.deepEqual(await judged(t, server), {
    kind: 'unproven',
    reason: 'no certificate was shown',
    claims: null,
  });
});

test('SE-02 a certificate of another authority proves nothing, and its issuer is named', async (t) => {
  const server = await openServer(t, await newAuthority());
  const foreign = await newAuthority('foreign');
  for (const client of [
    await issue({ dns: ['server-two'] }, foreign),
    await issue({ dns: ['server-two'] }),
  ]) {
    const proven = await judged(t, server, client);
    t.is(proven.kind, 'unproven');
    if (proven.kind !== 'unproven') continue;
    t.regex(
      proven.reason,
      /^the certificate is not trusted: (its authority is not known here|it is signed by itself)/,
    );
  }
  const proven = await judged(t, server, await issue({ dns: ['server-two'] }, foreign));
  t.regex(JSON.stringify(proven), /issuer CN=Skein-Certificate-Authority-foreign/);
});

test('SE-03 an expired certificate and one that is not valid yet prove nothing', async (t) => {
  const authority = await newAuthority();
  const server = await openServer(t, authority);
  const now = Date.now();
  const old = { dns: ['server-two'], fromMs: now - 2 * DAY_MS, toMs: now - DAY_MS };
  const early = { dns: ['server-two'], fromMs: now + DAY_MS, toMs: now + 2 * DAY_MS };
  t.like(await judged(t, server, await issue(old, authority)), {
    kind: 'unproven',
    reason: 'the certificate is not trusted: it has expired (CERT_HAS_EXPIRED)',
  });
  t.like(await judged(t, server, await issue(early, authority)), {
    kind: 'unproven',
    reason:
      'the certificate is not trusted: it is not valid yet, or the clocks differ (CERT_NOT_YET_VALID)',
  });
});

test('a certificate that signed another although it is no authority makes none trusted', async (t) => {
  const authority = await newAuthority();
  const server = await openServer(t, authority);
  const member = await issue({ commonName: 'member', dns: ['member'] }, authority);
  const forged = await issue({ dns: ['server-two'] }, member);
  const chain = { key: forged.key, certificate: forged.certificate + member.certificate };
  t.is((await judged(t, server, chain)).kind, 'unproven');
});

test('a dial checks the chain and the expected name, whatever the URL says', async (t) => {
  const authority = await newAuthority();
  const server = await openServer(t, authority);
  const own = await issue({ dns: ['server-two'] }, authority);
  const contexts = contextsOf('server-two', [own], [authority]);
  const connection = await dial(contexts, server.url);
  t.teardown(() => connection.terminate());
  t.like(connection.proven, { kind: 'certificate', names: ['server-one'] });
  await t.throwsAsync(dial(contexts, server.url, { expected: 'server-three' }), {
    message: 'Node name mismatch: expected server-three, the certificate names server-one',
  });
  const stranger = contextsOf('server-two', [own], [await newAuthority('other')]);
  await t.throwsAsync(dial(stranger, server.url), {
    message: /^the certificate of the other end is not trusted: its authority is not known here/,
  });
});

test('SE-05 a server is known by its alternative names, not by the common name beside them', async (t) => {
  const authority = await newAuthority();
  const shown = await issue({ commonName: 'server-one', dns: ['attacker.example'] }, authority);
  const server = await openServer(t, authority, [shown]);
  const own = await issue({ dns: ['server-two'] }, authority);
  const contexts = contextsOf('server-two', [own], [authority]);
  await t.throwsAsync(dial(contexts, server.url), {
    message: /the certificate names attacker.example/,
  });
  t.like(await judged(t, server, shown), { names: ['attacker.example'] });
});

test('without verification a dial goes through, and proves nothing', async (t) => {
  const server = await openServer(t, await newAuthority());
  const own = await issue({ dns: ['server-two'] });
  const contexts = contextsOf('server-two', [own], [await newAuthority('other')]);
  const connection = await dial(contexts, server.url, { verifyTls: false });
  t.teardown(() => connection.terminate());
  t.is(connection.proven.kind, 'unproven');
  await t.throwsAsync(dial(contexts, server.url), { message: /not trusted/ });
});

test('a node without a certificate for its own name does not dial with another', async (t) => {
  const authority = await newAuthority();
  const server = await openServer(t, authority);
  const contexts = contextsOf(
    'server-two',
    [await issue({ dns: ['api.example'] }, authority)],
    [authority],
  );
  await t.throwsAsync(dial(contexts, server.url), {
    message:
      /^Unable to find a valid certificate to use for replication to connect to wss:.* available: api.example$/,
  });
});

/** The outcome of a handshake alone. */
const handshake = (server: Server, options: ConnectionOptions): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({
      host: HOST,
      port: server.port,
      rejectUnauthorized: false,
      ...options,
    });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });

test('TLS 1.3 is agreed on, 1.2 with a strong cipher, and nothing below', async (t) => {
  const server = await openServer(t, await newAuthority());
  const best = await handshake(server, {});
  t.is(best.getProtocol(), 'TLSv1.3');
  best.destroy();
  const older = await handshake(server, { maxVersion: 'TLSv1.2' });
  t.regex(older.getCipher().name, /^ECDHE-ECDSA-.*(GCM|POLY1305)/);
  older.destroy();
  const low = { ciphers: 'ALL:@SECLEVEL=0' };
  for (const version of ['TLSv1', 'TLSv1.1'] as const)
    await t.throwsAsync(
      handshake(server, { ...low, minVersion: version, maxVersion: version }),
      undefined,
      version,
    );
  for (const ciphers of [
    'AES128-SHA',
    'ECDHE-ECDSA-AES128-SHA',
    'ECDHE-ECDSA-AES256-SHA384',
    'NULL',
  ])
    await t.throwsAsync(
      handshake(server, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` }),
      undefined,
      ciphers,
    );
});

test('an operator may choose ciphers, but not an older version', async (t) => {
  const shown = { ...(await issue({ dns: ['server-one'] })), ciphers: 'ALL:@SECLEVEL=0' };
  const server = await openServer(t, await newAuthority(), [shown]);
  const old = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0' } as const;
  (await handshake(server, old)).destroy();
  for (const version of ['TLSv1', 'TLSv1.1'] as const)
    await t.throwsAsync(
      handshake(server, { ...old, minVersion: version, maxVersion: version }),
      undefined,
      version,
    );
});

test('a session is never resumed: everybody is judged at each connection', async (t) => {
  const server = await openServer(t, await newAuthority());
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const first = await handshake(server, { maxVersion });
    let session = first.getSession();
    first.on('session', (ticket) => (session = ticket));
    first.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => first.once('data', resolve));
    first.destroy();
    const again = await handshake(server, { maxVersion, ...(session && { session }) });
    t.false(again.isSessionReused(), maxVersion);
    again.destroy();
  }
});

test('what is shown and trusted is replaced while connections stay', async (t) => {
  const authority = await newAuthority();
  const server = await openServer(t, authority);
  const client = await issue({ dns: ['server-two'] }, authority);
  await judged(t, server, client);
  const [open] = server.accepted;
  const next = await newAuthority('next');
  const shown = await issue({ dns: ['server-one'] }, next);
  showIn(server.contexts, 'server-one', [shown], [next]);
  t.is((await judged(t, server, client)).kind, 'unproven');
  t.is((await judged(t, server, await issue({ dns: ['server-two'] }, next))).kind, 'certificate');
  t.true(open?.isOpen());
  const named = await handshake(server, { servername: 'server-one' });
  t.is(named.getPeerX509Certificate()?.issuer, 'CN=Skein-Certificate-Authority-next');
  named.destroy();
});

test('material that OpenSSL refuses changes nothing', async (t) => {
  const authority = await newAuthority();
  const server = await openServer(t, authority);
  const [one, two] = [await issue({ dns: ['server-one'] }), await issue({ dns: ['server-one'] })];
  t.throws(() => showIn(server.contexts, 'server-one', [{ ...one, key: two.key }], [authority]));
  t.throws(() => showIn(server.contexts, 'server-one', [], [authority]), { code: 'UNAVAILABLE' });
  const client = await issue({ dns: ['server-two'] }, authority);
  t.is((await judged(t, server, client)).kind, 'certificate');
});

test('the certificate for the asked name is shown, in any spelling, else that of the node', async (t) => {
  const authority = await newAuthority();
  const own = await issue({ dns: ['server-one'] }, authority);
  const other = await issue({ dns: ['other.example', '*.wild.example'] }, authority);
  const server = await openServer(t, authority, [own, other]);
  const shownFor = async (servername: string): Promise<string | undefined> => {
    const socket = await handshake(server, { servername });
    const names = socket.getPeerX509Certificate()?.subjectAltName;
    socket.destroy();
    return names;
  };
  t.is(await shownFor('server-one'), 'DNS:server-one');
  t.regex(String(await shownFor('OTHER.example')), /other/);
  t.regex(String(await shownFor('a.wild.example')), /other/);
  t.is(await shownFor('unknown.example'), 'DNS:server-one');
});

test('garbage, half a handshake and plain HTTP are dropped, and the port goes on', async (t) => {
  const authority = await newAuthority();
  const server = await openServer(t, authority);
  for (const text of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x00\x05hello', '\0'.repeat(10_000)]) {
    const socket = connectPlain(server.port, HOST);
    socket.on('error', () => undefined);
    socket.write(text);
    await new Promise((resolve) => socket.once('close', resolve).resume());
  }
  const client = await issue({ dns: ['server-two'] }, authority);
  t.is((await judged(t, server, client)).kind, 'certificate');
  t.is(server.accepted.length, 1);
});
