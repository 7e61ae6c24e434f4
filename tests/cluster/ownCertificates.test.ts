/**
 * Certificates of the operator's own: two nodes that an authority of theirs has certified are a cluster without any exchange,
 * files may be replaced while they run, operations add and remove. Real sockets in one process.
 */
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../config/types.js';
import { issue, type KeyedCertificate } from '../support/certificates.js';
import { freePort } from '../support/cluster.js';
import { shownAt } from '../support/httpsClient.js';
import { connectionsOf, meshed, startSecure, type SecureNode } from '../support/secureNodes.js';
import { waitUntil } from '../support/waitUntil.js';

const newDirectory = async (t: ExecutionContext): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-own-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
};

const companyAuthority = (commonName = 'Example Company CA'): Promise<KeyedCertificate> =>
  issue({ commonName, isAuthority: true });

const nodeCertificate = (name: string, authority: KeyedCertificate): Promise<KeyedCertificate> =>
  issue({ commonName: name, dns: [name] }, authority);

/** Files as an operator has them, and the section of the configuration that names them. */
const writeFiles = async (
  directory: string,
  name: string,
  { certificate, key }: KeyedCertificate,
  authority: KeyedCertificate,
): Promise<{ certificate: string; privateKey: string; certificateAuthority: string }> => {
  const file = (kind: string): string => join(directory, `${name}.${kind}`);
  await writeFile(file('pem'), certificate);
  await writeFile(file('key'), key);
  await writeFile(file('ca'), authority.certificate);
  return {
    certificate: file('pem'),
    privateKey: file('key'),
    certificateAuthority: file('ca'),
  };
};

/** How often a link has come or gone. */
const linkChanges = (node: SecureNode): number =>
  (node.log().match(/"msg":"(dis)?connected"/g) ?? []).length;

const serialShown = async (node: SecureNode, serverName = node.name): Promise<string> =>
  (await shownAt(node, serverName)).serialNumber;

/** The second dials the first. */
const pairWith = async (
  t: ExecutionContext,
  more: (name: string) => Promise<ConfigInput>,
): Promise<[SecureNode, SecureNode]> => {
  const one = await startSecure(t, 'server-one', await more('server-one'));
  const routes = [{ hostname: 'server-one', url: one.url }];
  const settings = await more('server-two');
  const two = await startSecure(t, 'server-two', {
    ...settings,
    replication: { ...settings.replication, routes },
  });
  return [one, two];
};

test('nodes with certificates of their own authority are a cluster without any exchange', async (t) => {
  const directory = await newDirectory(t);
  const authority = await companyAuthority();
  const port = await freePort('127.0.0.61');
  const url = `wss://127.0.0.61:${port}`;
  const settings = async (name: string): Promise<ConfigInput> => ({
    tls: await writeFiles(directory, name, await nodeCertificate(name, authority), authority),
  });
  const two = await startSecure(t, 'server-two', {
    ...(await settings('server-two')),
    replication: { routes: [{ hostname: 'server-one', url }] },
  });
  const one = await startSecure(t, 'server-one', {
    ...(await settings('server-one')),
    replication: {
      securePort: `127.0.0.61:${port}`,
      url,
      routes: [{ hostname: 'server-two', url: two.url }],
    },
  });
  await meshed([one, two]);
  const rows = await one.rows('hdb_certificate');
  t.like(
    rows.find(({ name }) => name === 'Example Company CA'),
    { is_authority: true, private_key_name: null, is_provided: true },
  );
  const own = rows.find(({ name }) => name === 'server-one-provided');
  const { mtimeMs } = await stat(join(directory, 'server-one.pem'));
  t.like(own, { is_self_signed: false, fileTimestamp: Math.floor(mtimeMs), hostnames: [] });
  t.notRegex(JSON.stringify(rows), /PRIVATE KEY/);
});

test('a stranger with a certificate of another authority is let in by nobody', async (t) => {
  const directory = await newDirectory(t);
  const [authority, foreign] = [await companyAuthority(), await companyAuthority('Other CA')];
  const [, two] = await pairWith(t, async (name) => {
    const by = name === 'server-one' ? authority : foreign;
    return { tls: await writeFiles(directory, name, await nodeCertificate(name, by), by) };
  });
  await waitUntil('the refusal to be told', async () =>
    (await connectionsOf(two)).some(({ reason }) =>
      reason?.includes('authority is not known here'),
    ),
  );
  t.false((await connectionsOf(two)).some(({ connected }) => connected));
});

test('a replaced file is shown to new connections, and the link that is there stays', async (t) => {
  const directory = await newDirectory(t);
  const authority = await companyAuthority();
  const [one, two] = await pairWith(t, async (name) => ({
    tls: await writeFiles(directory, name, await nodeCertificate(name, authority), authority),
    replication: { routes: [{ hostname: 'server-two', url: 'wss://127.0.0.1:1' }] },
  }));
  await meshed([one, two]);
  const links = [one, two].map(linkChanges);
  const before = await serialShown(one);
  const next = await nodeCertificate('server-one', authority);
  // Half written: the end of the text is missing.
  await writeFile(join(directory, 'server-one.pem'), next.certificate.slice(0, 200));
  await waitUntil('the bad file to be told', () =>
    Promise.resolve(one.log().includes('cannot be used, those of before go on')),
  );
  const told = one
    .log()
    .split('\n')
    .filter((line) => line.includes('those of before go on'));
  t.is(told.length, 1);
  t.regex(told[0] ?? '', /server-one\.pem/);
  t.regex(told[0] ?? '', /certificate cannot be read/);
  t.is(await serialShown(one), before);

  await writeFile(join(directory, 'server-one.key'), next.key);
  await writeFile(join(directory, 'server-one.new'), next.certificate);
  await rename(join(directory, 'server-one.new'), join(directory, 'server-one.pem'));
  await waitUntil(
    'the new certificate to be shown',
    async () => (await serialShown(one)) !== before,
  );
  t.true((await connectionsOf(two)).every(({ connected }) => connected));
  t.deepEqual([one, two].map(linkChanges), links);
});

test('each name is shown the certificate that was made for it', async (t) => {
  const directory = await newDirectory(t);
  const authority = await companyAuthority();
  const [own, other, wild] = [
    await nodeCertificate('server-one', authority),
    await issue({ commonName: 'alias.example' }, authority),
    await issue({ commonName: 'wild', dns: ['*.wild.example'] }, authority),
  ];
  const tls = await Promise.all(
    [own, other, wild].map((one, index) => writeFiles(directory, `file${index}`, one, authority)),
  );
  const one = await startSecure(t, 'server-one', {
    tls: tls.map((entry, index) => (index === 1 ? { ...entry, hosts: ['second.example'] } : entry)),
  });
  const subjectFor = async (name: string): Promise<string> => (await shownAt(one, name)).subject;
  t.is(await subjectFor('server-one'), 'CN=server-one');
  t.is(await subjectFor('second.example'), 'CN=alias.example');
  t.is(await subjectFor('a.wild.example'), 'CN=wild');
  t.is(await subjectFor('unknown.example'), 'CN=server-one');
});

test('certificates are added, listed and removed by operations, and keys are seen by nobody', async (t) => {
  const rootPath = await newDirectory(t);
  const authority = await companyAuthority();
  const one = await startSecure(t, 'server-one', { rootPath, storage: { engine: 'level' } });
  const { certificate, key } = await nodeCertificate('server-one', authority);
  const added = await one.send({
    operation: 'add_certificate',
    certificate,
    private_key: key,
    is_authority: false,
    name: '../x',
    hosts: ['server-one'],
    uses: ['replication'],
  });
  t.is(added, 'Successfully added certificate: ..-x');
  t.is(
    await one.send({
      operation: 'add_certificate',
      certificate: authority.certificate,
      is_authority: true,
    }),
    'Successfully added certificate: Example-Company-CA',
  );
  t.is((await shownAt(one, 'server-one')).issuer, 'CN=Example Company CA');
  const file = join(rootPath, 'keys', '..-x.pem');
  t.is(await readFile(file, 'utf8'), key);
  t.is((await stat(file)).mode & 0o777, 0o600);
  const listed = (await one.node.send({ operation: 'list_certificates' })) as Record<
    string,
    unknown
  >[];
  t.like(
    listed.find(({ name }) => name === '..-x'),
    { private_key_name: '..-x.pem', hostnames: ['server-one'], uses: ['replication'] },
  );
  const secret = key.split('\n')[1] ?? '';
  t.true(secret.length > 30);
  t.false(JSON.stringify(listed).includes(secret));
  t.false(JSON.stringify(one.node.tree()).includes(secret));
  t.false(one.log().includes(secret));

  t.is(
    await one.send({ operation: 'remove_certificate', name: '../x' }),
    'Successfully removed ../x',
  );
  t.false((await readdir(join(rootPath, 'keys'))).includes('..-x.pem'));
  t.false((await readdir(rootPath)).includes('x.pem'));
  await t.throwsAsync(one.send({ operation: 'remove_certificate', name: '../x' }), {
    message: '../x not found',
  });
  // What it made for itself is shown again.
  t.regex((await shownAt(one, 'server-one')).issuer, /Skein-Certificate-Authority/);
});

test('an authority of the operator reaches the other members before its certificates do', async (t) => {
  const authority = await companyAuthority();
  const one = await startSecure(t, 'server-one');
  const two = await startSecure(t, 'server-two');
  const joining = {
    verify_tls: false,
    authorization: { username: 'admin', password: 'a password for joining' },
  };
  await two.send({ operation: 'add_node', hostname: 'server-one', url: one.url, ...joining });
  await meshed([one, two]);
  const { certificate, key } = await nodeCertificate('server-two', authority);
  await two.send({
    operation: 'add_certificate',
    certificate: authority.certificate,
    is_authority: true,
  });
  await two.send({
    operation: 'add_certificate',
    certificate,
    private_key: key,
    is_authority: false,
  });
  await waitUntil('the authority to be known at the other member', async () =>
    (await one.rows('hdb_nodes')).some(
      ({ name, ca }) => name === 'server-two' && ca === authority.certificate,
    ),
  );
  t.is((await shownAt(two, 'server-two')).issuer, 'CN=Example Company CA');
  t.true((await connectionsOf(one)).every(({ connected }) => connected));
});
