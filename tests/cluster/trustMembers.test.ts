/** Members with certificates: how they get them, keep them, and lose what they were let in with. Real nodes over TLS. */
import { readFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemEnvironment } from '../../actors/environment.js';
import type { ConfigInput } from '../../config/types.js';
import { detailsOf, readCertificate } from '../../security/certificates.js';
import { issue, newAuthority, type KeyedCertificate } from '../support/certificates.js';
import {
  connectionsOf,
  JOINING,
  meshed,
  startSecure,
  USER,
  type SecureNode,
} from '../support/secureNodes.js';
import { waitUntil } from '../support/waitUntil.js';

const add = (node: SecureNode, target: SecureNode, more: object = JOINING): Promise<string> =>
  node.send({ operation: 'add_node', hostname: target.name, url: target.url, ...more });

const certificateNames = async (node: SecureNode): Promise<unknown[]> =>
  (await node.rows('hdb_certificate')).map(({ name }) => name).sort();

const rowOf = async (node: SecureNode, table: string, name: string) => {
  const row = (await node.rows(table)).find((one) => one['name'] === name);
  if (!row) throw new Error(`${node.name} has no row '${name}' in ${table}`);
  return row;
};

const disconnected = (node: SecureNode, reason: RegExp): Promise<unknown> =>
  waitUntil(`${node.name} to say ${String(reason)}`, async () =>
    (await connectionsOf(node)).some((one) => !one.connected && reason.test(one.reason ?? '')),
  );

test('a node that joins is signed by the one it asks, and both rows say whom to trust', async (t) => {
  const [one, two] = [await startSecure(t, 'server-one'), await startSecure(t, 'server-two')];
  t.is(await add(two, one), "Successfully added 'server-one' to cluster");
  await meshed([one, two]);
  const authority = 'Skein-Certificate-Authority-';
  t.deepEqual(await certificateNames(two), [
    `${authority}server-one`,
    `${authority}server-two`,
    'server-two',
    'server-two-replication',
  ]);
  t.like(await rowOf(two, 'hdb_certificate', 'server-two-replication'), {
    is_authority: false,
    is_self_signed: false,
    uses: ['replication'],
    private_key_name: 'privateKey.pem',
  });
  const { certificate } = await rowOf(one, 'hdb_certificate', `${authority}server-one`);
  for (const node of [one, two])
    for (const name of ['server-one', 'server-two'])
      await waitUntil(`${node.name} to have the authority of ${name}`, async () => {
        const rows = await node.node.send({
          operation: 'search_by_id',
          database: 'system',
          table: 'hdb_nodes',
          ids: [name],
          get_attributes: ['ca', 'ca_info'],
        } as never);
        const [row] = rows as { ca?: string; ca_info?: { subject: string } }[];
        return row?.ca === certificate && row?.ca_info?.subject === `CN=${authority}server-one`;
      });
  // Again: the certificate is good, so that no other is asked for.
  const { certificate: first } = await rowOf(two, 'hdb_certificate', 'server-two-replication');
  t.is(await add(two, one, {}), "Successfully added 'server-one' to cluster");
  t.is((await rowOf(two, 'hdb_certificate', 'server-two-replication'))['certificate'], first);
  await add(two, one, { force_signing: true });
  t.not((await rowOf(two, 'hdb_certificate', 'server-two-replication'))['certificate'], first);
  await meshed([one, two]);
});

test('a third node is trusted by those that never signed for it, by word of the node table', async (t) => {
  const [one, two] = [await startSecure(t, 'server-one'), await startSecure(t, 'server-two')];
  const three = await startSecure(t, 'server-three');
  await add(two, one);
  await meshed([one, two]);
  await add(three, two);
  await meshed([one, two, three]);
  t.false((await certificateNames(one)).includes('Skein-Certificate-Authority-server-two'));
});

test('SE-19 only a super user adds a node, and no answer repeats what was given', async (t) => {
  const [one, two] = [await startSecure(t, 'server-one'), await startSecure(t, 'server-two')];
  for (const authorization of [
    undefined,
    { username: USER.username, password: 'a wrong secret' },
    { username: 'nobody', password: USER.password },
    'Bearer a-wrong-secret',
  ]) {
    const error = await t.throwsAsync(
      add(two, one, { verify_tls: false, ...(authorization && { authorization }) }),
      { message: /Must login|Login failed|invalid token/ },
    );
    t.notRegex(String(error?.message), /secret|password for/);
  }
  t.deepEqual(await one.rows('hdb_nodes'), []);
  t.deepEqual(await two.rows('hdb_nodes'), []);
  t.false((await certificateNames(two)).includes('server-two-replication'));
  for (const node of [one, two]) t.notRegex(node.log(), /wrong secret|a-wrong-secret|password for/);
});

test('without verify_tls false a fresh node is not believed, and nothing is sent to it', async (t) => {
  const [one, two] = [await startSecure(t, 'server-one'), await startSecure(t, 'server-two')];
  await t.throwsAsync(add(two, one, { authorization: USER }), {
    message: /its authority is not known here .*connection was required to sign certificate$/,
  });
  t.deepEqual(await two.rows('hdb_nodes'), []);
});

test('SE-08 names are compared in one spelling: in configuration, operations, certificates and rows', async (t) => {
  const [one, two] = [await startSecure(t, 'Server-One.'), await startSecure(t, 'BÜCHER.example')];
  await two.send({ operation: 'add_node', hostname: 'SERVER-ONE', url: one.url, ...JOINING });
  await meshed([one, two]);
  t.deepEqual(
    (await connectionsOf(one)).map(({ name }) => name),
    ['xn--bcher-kva.example'],
  );
  t.deepEqual(
    (await connectionsOf(two)).map(({ name }) => name),
    ['server-one'],
  );
});

test('a node that is dialled under the name of another is not taken for it', async (t) => {
  const [one, two] = [await startSecure(t, 'server-one'), await startSecure(t, 'server-two')];
  await t.throwsAsync(
    two.send({ operation: 'add_node', hostname: 'server-nine', url: one.url, ...JOINING }),
    {
      message: /Node name mismatch: expected server-nine, this is server-one/,
    },
  );
  t.deepEqual(await one.rows('hdb_nodes'), []);
});

test('a revoked serial closes the link within seconds, and keeps it closed', async (t) => {
  const [one, two] = [await startSecure(t, 'server-one'), await startSecure(t, 'server-two')];
  await add(two, one);
  await meshed([one, two]);
  const { certificate } = await rowOf(two, 'hdb_certificate', 'server-two-replication');
  const serial = readCertificate(String(certificate)).serialNumber;
  const spelled = (serial.toLowerCase().match(/../g) ?? []).join(':');
  await one.send({
    operation: 'update_node',
    hostname: 'server-two',
    url: two.url,
    revoked_certificates: [`00:${spelled}`, 'QA69C7E2S'],
  });
  await disconnected(one, new RegExp(`serial number ${serial} was revoked`));
  await waitUntil('a refusal at the door', async () =>
    new RegExp(`serial number ${serial} was revoked","claims":"server-two","msg":"refused`).test(
      one.log(),
    ),
  );
  t.false((await connectionsOf(two)).some(({ connected }) => connected));
});

/** A node with a certificate of the test's authority, and that authority. */
const provided = async (name: string, authority: KeyedCertificate): Promise<ConfigInput> => {
  const { certificate, key } = await issue({ dns: [name] }, authority);
  return {
    tls: { certificate, privateKey: key, certificateAuthority: authority.certificate },
  };
};

test('nodes with certificates of one authority link by their routes, without any operation', async (t) => {
  const authority = await newAuthority('corporate');
  const one = await startSecure(t, 'server-one', await provided('server-one', authority));
  const two = await startSecure(t, 'server-two', {
    ...(await provided('server-two', authority)),
    replication: { routes: [{ hostname: 'server-one', url: one.url }] },
  });
  t.is((await connectionsOf(two))[0]?.name, 'server-one');
  // Known to one of them only.
  await disconnected(two, /no hdb_nodes entry for server-two/);
  t.is(await add(two, one, { authorization: USER }), "Successfully added 'server-one' to cluster");
  await meshed([one, two]);
  t.false((await certificateNames(two)).includes('server-two-replication'));
});

test('a node with a certificate of its own is added with its authority, and the other trusts it', async (t) => {
  const corporate = await newAuthority('corporate');
  const two = await startSecure(t, 'server-two', await provided('server-two', corporate));
  const one = await startSecure(t, 'server-one');
  t.is(await add(two, one), "Successfully added 'server-one' to cluster");
  await meshed([one, two]);
  t.false((await certificateNames(two)).includes('server-two-replication'));
});

test('SE-03 a certificate that expires closes the link that it let in, and lets in none', async (t) => {
  const authority = await newAuthority('corporate');
  let aheadMs = 0;
  const environment = { ...systemEnvironment(), now: () => Date.now() + aheadMs };
  const one = await startSecure(t, 'server-one', await provided('server-one', authority), {
    environment,
  });
  const two = await startSecure(t, 'server-two', await provided('server-two', authority));
  await add(two, one, { authorization: USER });
  await meshed([one, two]);
  // A certificate of the test lives for a day.
  aheadMs = 2 * 86_400_000;
  await waitUntil('the link to be closed', async () =>
    /"reason":"the certificate has expired","msg":"closing a link"/.test(one.log()),
  );
  await waitUntil('a refusal at the door', async () =>
    /"reason":"the certificate has expired","claims":"server-two","msg":"refused/.test(one.log()),
  );
  t.false((await connectionsOf(one)).some(({ connected }) => connected));
});

test('the keys of a node are files that only its user can read, and are used again', async (t) => {
  const rootPath = await mkdtemp(join(tmpdir(), 'skein-keys-'));
  t.teardown(() => rm(rootPath, { recursive: true, force: true }));
  const onDisk = { rootPath, storage: { engine: 'level' } } as const;
  const first = await startSecure(t, 'server-one', onDisk);
  const keyFile = join(rootPath, 'keys', 'privateKey.pem');
  const before = [await readFile(keyFile, 'utf8'), await first.rows('hdb_certificate')];
  for (const file of [keyFile, join(rootPath, 'keys', 'authorityKey.pem')])
    t.is((await stat(file)).mode & 0o777, 0o600);
  t.is((await stat(join(rootPath, 'keys'))).mode & 0o777, 0o700);
  await first.node.close();
  const again = await startSecure(t, 'server-one', onDisk);
  t.deepEqual([await readFile(keyFile, 'utf8'), await again.rows('hdb_certificate')], before);
  t.notRegex(JSON.stringify(before[1]), /PRIVATE KEY/);
});

test('a certificate that cannot be used ends the start with what is wrong', async (t) => {
  const authority = await newAuthority();
  const { certificate } = await issue({ dns: ['server-one'] }, authority);
  const { key } = await issue({ dns: ['server-one'] }, authority);
  const start = (tls: ConfigInput['tls'] & object) => startSecure(t, 'server-one', { tls });
  await t.throwsAsync(start({ certificate, privateKey: key }), {
    code: 'INVALID_CONFIGURATION',
    message: /tls.0: the private key does not belong to the certificate/,
  });
  await t.throwsAsync(start({ certificate: '/nowhere.pem', privateKey: key }), {
    code: 'INVALID_CONFIGURATION',
    message: /tls.0: ENOENT.*nowhere.pem/,
  });
  const file = join(await temporary(t), 'bad.pem');
  await writeFile(file, 'no certificate');
  await t.throwsAsync(start({ certificateAuthority: file }), {
    code: 'INVALID_CONFIGURATION',
    message: /tls.0: expected 1 to 100 PEM certificates, found 0/,
  });
});

const temporary = async (t: ExecutionContext): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-trust-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
};

test('the first certificate of a node lives at most 397 days and names it alone', async (t) => {
  const one = await startSecure(t, 'server-one');
  const { certificate, details } = await rowOf(one, 'hdb_certificate', 'server-one');
  const { validFromMs, validToMs } = detailsOf(readCertificate(String(certificate)));
  t.true(validToMs - validFromMs <= 397 * 86_400_000);
  t.like(details, { subject_alt_name: 'DNS:server-one', subject: 'CN=server-one' });
});
