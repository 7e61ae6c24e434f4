/** Who does not get in: strangers, pretenders and the ill-named at the TLS port of a real node, and at the port without. */
import { createServer } from 'node:https';
import test, { type ExecutionContext } from 'ava';
import { encodeControl, decodeControl } from '../../protocol/frames.js';
import { nodeName } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { createRequest } from '../../security/certificateRequest.js';
import { readCertificate } from '../../security/certificates.js';
import { identityNames } from '../../security/identity.js';
import { generateKey } from '../../security/keys.js';
import { issue, newAuthority } from '../support/certificates.js';
import { freePort } from '../support/cluster.js';
import { openRawPeer } from '../support/rawPeer.js';
import {
  connectionsOf,
  JOINING,
  knock,
  meshed,
  startSecure,
  USER,
  type SecureNode,
} from '../support/secureNodes.js';
import { waitUntil } from '../support/waitUntil.js';

/** A node that trusts a test's authority, and nobody else. */
const openDoor = async (t: ExecutionContext) => {
  const authority = await newAuthority('of the test');
  const door = await startSecure(t, 'server-one', {
    tls: { certificateAuthority: authority.certificate },
  });
  return { authority, door };
};

const names = async (node: SecureNode): Promise<unknown[]> =>
  (await node.rows('hdb_nodes')).map(({ name }) => name);

const CLOSED_MS_MAX = 5_000;

const closing = async (peer: Awaited<ReturnType<typeof knock>>): Promise<string> => {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('not closed in time')), CLOSED_MS_MAX).unref();
  });
  const { code, reason } = await Promise.race([peer.closed, late]);
  return `${code} ${reason}`;
};

test('SE-01 without a client certificate no frame is processed, and the connection is closed', async (t) => {
  const { door } = await openDoor(t);
  const peer = await knock(door);
  peer.send(Buffer.alloc(100, 7));
  t.is(await closing(peer), '1008 no certificate was shown');
  t.is(peer.received.length, 0);
  await t.throwsAsync(knock(door, { purpose: 'something.else' }), { message: /400/ });
});

test('SE-01 without a client certificate one operation gets an answer, and only with credentials a good one', async (t) => {
  const { door } = await openDoor(t);
  const ask = async (authorization?: string): Promise<unknown> => {
    const peer = await knock(door, { purpose: 'skein.operation.v1' });
    const operation = { operation: 'remove_node_back', name: 'nobody', generation: 1 };
    peer.send(
      encodeControl({
        kind: 'Operation',
        id: 1,
        operation,
        ...(authorization && { authorization }),
      }),
    );
    const answer = decodeControl(await peer.next());
    t.is(await closing(peer), '1000 answered');
    return answer.kind === 'OperationResult' ? answer.error?.message : answer.kind;
  };
  const basic = (password: string): string =>
    `Basic ${Buffer.from(`${USER.username}:${password}`).toString('base64')}`;
  t.is(await ask(), 'Must login');
  t.is(await ask(basic('wrong')), 'Login failed');
  t.is(await ask('Basic nonsense'), 'invalid token');
  t.regex(String(await ask(basic(USER.password))), /^remove_node_back may only remove/);
});

test('SE-24 an operation of a stranger is small, or the connection is closed', async (t) => {
  const { door } = await openDoor(t);
  const peer = await knock(door, { purpose: 'skein.operation.v1' });
  peer.send(Buffer.alloc(70_000));
  t.regex(await closing(peer), /^1009/);
});

test('strangers that say nothing take no more than their share of the operations', async (t) => {
  const { door } = await openDoor(t);
  const purpose = 'skein.operation.v1';
  const silent = await Promise.all(
    Array.from({ length: limits.strangerOperationsMax }, () => knock(door, { purpose })),
  );
  t.is(await closing(await knock(door, { purpose })), '1013 too many strangers, try again later');
  const member = await startSecure(t, 'server-two', {
    replication: { routes: [{ hostname: 'server-one', url: door.url }] },
  });
  await t.throwsAsync(
    member.send({ operation: 'add_node', url: door.url, hostname: 'server-one', ...JOINING }),
    { message: /too many strangers/ },
  );
  for (const peer of silent) peer.reset();
  await waitUntil('room again', () =>
    member.send({ operation: 'add_node', url: door.url, hostname: 'server-one', ...JOINING }).then(
      () => true,
      () => false,
    ),
  );
  const crowd = await Promise.all(
    Array.from({ length: limits.strangerOperationsMax }, () => knock(door, { purpose })),
  );
  await member.send({ operation: 'add_node', url: door.url, hostname: 'server-one' });
  for (const peer of crowd) peer.reset();
});

test('SE-02 a certificate of an unknown authority is refused, and the log names its issuer', async (t) => {
  const { door } = await openDoor(t);
  const foreign = await newAuthority('foreign');
  const namesake = await newAuthority('of the test');
  for (const shown of [
    await issue({ dns: ['server-one'] }, foreign),
    await issue({ dns: ['server-one'] }, namesake),
    await issue({ dns: ['server-one'] }),
  ]) {
    const peer = await knock(door, { shown });
    t.regex(await closing(peer), /^1008 the certificate is not trusted: /);
    t.is(peer.received.length, 0);
  }
  t.regex(door.log(), /issuer CN=Skein-Certificate-Authority-foreign/);
});

test('SE-03 expired and not yet valid certificates are refused, and the log says which', async (t) => {
  const { door, authority } = await openDoor(t);
  const now = Date.now();
  const old = await issue({ dns: ['server-old'], fromMs: now - 9e6, toMs: now - 5e6 }, authority);
  const early = await issue(
    { dns: ['server-early'], fromMs: now + 5e6, toMs: now + 9e6 },
    authority,
  );
  t.regex(await closing(await knock(door, { shown: old })), /it has expired/);
  t.regex(await closing(await knock(door, { shown: early })), /it is not valid yet/);
  t.regex(door.log(), /CERT_NOT_YET_VALID/);
});

test('SE-04 the right authority and an unknown name: refused with what to do, and nothing is created', async (t) => {
  const { door, authority } = await openDoor(t);
  const before = await names(door);
  const shown = await issue({ dns: ['server-nine'] }, authority);
  t.is(
    await closing(await knock(door, { shown })),
    '1008 no hdb_nodes entry for server-nine; run add_node from this node specifying the peer URL to register it',
  );
  t.deepEqual(await names(door), before);
});

test('SE-05 a member named only by the common name beside other names is a stranger', async (t) => {
  const { door, authority } = await openDoor(t);
  const member = await startSecure(t, 'server-two');
  await member.send({ operation: 'add_node', url: door.url, hostname: 'server-one', ...JOINING });
  await meshed([door, member]);
  const shown = await issue({ commonName: 'server-two', dns: ['attacker.example'] }, authority);
  t.regex(
    await closing(await knock(door, { shown })),
    /^1008 no hdb_nodes entry for attacker.example/,
  );
  // The same name where it counts is the member.
  const peer = await knock(door, { shown: await issue({ dns: ['server-two'] }, authority) });
  peer.send(Buffer.alloc(10, 7));
  t.regex(await closing(peer), /^1008 (?!no hdb_nodes)/);
});

test('a member is signed under the name that it proves, and under no other; strangers are not signed', async (t) => {
  const { door, authority } = await openDoor(t);
  const member = await startSecure(t, 'server-two');
  await member.send({ operation: 'add_node', url: door.url, hostname: 'server-one', ...JOINING });
  const shown = await issue({ dns: ['server-two'] }, authority);
  const ask = async (
    operation: Record<string, unknown>,
    how: { shown?: typeof shown; authorization?: string },
  ) => {
    const { authorization, ...knocking } = how;
    const peer = await knock(door, { ...knocking, purpose: 'skein.operation.v1' });
    peer.send(
      encodeControl({
        kind: 'Operation',
        id: 1,
        operation,
        ...(authorization && { authorization }),
      }),
    );
    const answer = decodeControl(await peer.next());
    if (answer.kind !== 'OperationResult')
      throw new Error(`expected an answer, got ${answer.kind}`);
    return answer;
  };
  const requested = async (name: string) => ({
    operation: 'sign_certificate',
    csr: await createRequest({ key: await generateKey(), name: nodeName(name) }),
  });
  const own = await ask(await requested('server-two'), { shown });
  t.deepEqual(identityNames(readCertificate(String(own.answer?.['certificate']))), [
    nodeName('server-two'),
  ]);
  t.deepEqual((await ask({ operation: 'sign_certificate' }, { shown })).answer, {});
  const other = await ask(await requested('server-one'), { shown });
  t.regex(
    String(other.error?.message),
    /^Error verifying CSR: it names "server-one", not server-two/,
  );
  t.is((await ask(await requested('server-two'), {})).error?.message, 'Must login');
  const nobody = await issue({ dns: ['server-nine'] }, authority);
  t.is((await ask(await requested('server-nine'), { shown: nobody })).error?.message, 'Must login');
  const authorization = `Basic ${Buffer.from(`${USER.username}:${USER.password}`).toString('base64')}`;
  t.is((await ask(await requested('server-two'), { authorization })).error?.code, 'FORBIDDEN');
  const created = await ask({ operation: 'create_csr' }, { shown });
  t.regex(String(created.answer?.['pem']), /^-----BEGIN CERTIFICATE REQUEST-----/);
  t.is(created.answer?.['privateKeyName'], 'privateKey.pem');
});

test('SE-34 hostile names are escaped in the log and cut at a character in the reason', async (t) => {
  const { door, authority } = await openDoor(t);
  const evil = 'a\u001b[31m\nfatal: "x"';
  for (const wish of [
    { commonName: evil },
    { dns: [evil] },
    { commonName: 'ü'.repeat(60) },
    { commonName: 'x'.repeat(60) },
  ]) {
    const long = await closing(await knock(door, { shown: await issue(wish, authority) }));
    t.true(Buffer.byteLength(long) <= 5 + 123);
    t.false(/\p{C}/u.test(long), long);
    await closing(await knock(door, { shown: await issue(wish) }));
  }
  for (const line of door.log().trim().split('\n')) {
    t.false(/\p{Cc}/u.test(line));
    t.notThrows(() => JSON.parse(line));
  }
});

test('SE-20 verify_tls false is for one call: later a man in the middle is not believed', async (t) => {
  const [one, two] = [await startSecure(t, 'server-one'), await startSecure(t, 'server-two')];
  await two.send({ operation: 'add_node', url: one.url, hostname: 'server-one', ...JOINING });
  await meshed([one, two]);
  for (const node of [one, two])
    t.notRegex(JSON.stringify(await node.rows('hdb_nodes')), /verify|rejectUnauthorized|Basic /i);
  await one.node.close();
  const { certificate, key } = await issue({ dns: ['server-one'] });
  let upgrades = 0;
  const middle = createServer({ cert: certificate, key }).on('upgrade', (_request, socket) => {
    upgrades++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => middle.listen(one.port, one.address, resolve));
  t.teardown(() => new Promise<void>((resolve) => middle.close(() => resolve())));
  await waitUntil('the middle to be refused', async () =>
    /not trusted: it is signed by itself/.test(JSON.stringify(await connectionsOf(two))),
  );
  await t.throwsAsync(
    two.send({ operation: 'add_node', url: one.url, hostname: 'server-one', force_signing: true }),
    {
      message: /not trusted: it is signed by itself .*connection was required to sign certificate/,
    },
  );
  t.is(upgrades, 0);
});

test('SE-11 without TLS the address of the socket is the name, whatever a request says', async (t) => {
  const port = await freePort('127.0.0.90');
  const door = await startSecure(t, '127.0.0.90', {
    replication: {
      port: `127.0.0.90:${port}`,
      securePort: null,
      url: `ws://127.0.0.90:${port}`,
      routes: [`ws://127.0.0.91:${port}`, `ws://127.2:${port}`],
    },
  });
  t.regex(door.log(), /"level":40.*replication.port is open without TLS/);
  const stranger = await openRawPeer(`ws://127.0.0.90:${port}`, {
    localAddress: '127.0.0.92',
    headers: { 'X-Forwarded-For': '127.0.0.91', Forwarded: 'for=127.0.0.91' },
  });
  t.regex(await closing(stranger), /^1008 no hdb_nodes entry for 127.0.0.92/);
  const routed = await openRawPeer(`ws://127.0.0.90:${port}`, { localAddress: '127.0.0.91' });
  routed.send(Buffer.alloc(10, 7));
  t.regex(await closing(routed), /^1008 (?!no hdb_nodes)/);
  t.true(
    (await connectionsOf(door)).some(({ name }) => name === '127.0.0.2'),
    '127.2 is 127.0.0.2',
  );
});
