/** The certificates and requests of Skein before the `openssl` command, and those of `openssl` before Skein. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { Connection } from '../../actors/transport/types.js';
import { webSocketTransport } from '../../actors/transport/webSocket.js';
import { nodeName } from '../../protocol/ids.js';
import { certificateSerial, issueCertificate } from '../../security/authority.js';
import { checkRequest, createRequest } from '../../security/certificateRequest.js';
import { readCertificate } from '../../security/certificates.js';
import { identityNames } from '../../security/identity.js';
import { generateKey, isKeyOf, publicKeyOf } from '../../security/keys.js';
import { newAuthority } from '../support/certificates.js';
import { contextsOf } from '../support/tlsIdentity.js';

const run = promisify(execFile);

/** A directory with an authority (`ca.pem`) and a node's certificate (`node.pem`, `node.key`). */
const openDirectory = async (t: ExecutionContext): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-openssl-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const authority = await newAuthority('server-one');
  const key = await generateKey();
  const certificate = await issueCertificate({
    authority,
    publicKey: publicKeyOf(key),
    names: ['server-one'],
    serial: certificateSerial(randomBytes(16).toString('hex')),
    nowMs: Date.now(),
  });
  await Promise.all(
    Object.entries({
      'ca.pem': authority.certificate,
      'node.pem': certificate,
      'node.key': key,
    }).map(([name, text]) => writeFile(join(directory, name), text)),
  );
  return directory;
};

test('openssl verifies a certificate of a node, strictly, for both ends of a connection', async (t) => {
  const cwd = await openDirectory(t);
  for (const purpose of ['sslserver', 'sslclient']) {
    const options = [
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-verify_hostname',
      'server-one',
    ];
    const { stdout } = await run('openssl', [...options, '-CAfile', 'ca.pem', 'node.pem'], { cwd });
    t.is(stdout, 'node.pem: OK\n');
  }
  const { stdout } = await run('openssl', ['x509', '-in', 'node.pem', '-noout', '-text'], { cwd });
  for (const text of [
    'CA:FALSE',
    'Digital Signature, Key Encipherment',
    'TLS Web Server Authentication, TLS Web Client Authentication',
    'SSL Client, SSL Server',
    'DNS:server-one',
    'ecdsa-with-SHA256',
  ])
    t.true(stdout.includes(text), text);
  t.true(
    (await run('openssl', ['x509', '-in', 'ca.pem', '-noout', '-text'], { cwd })).stdout.includes(
      'CA:TRUE, pathlen:0',
    ),
  );
});

test('openssl does not verify it for another name', async (t) => {
  const cwd = await openDirectory(t);
  const options = ['verify', '-verify_hostname', 'server-two', '-CAfile', 'ca.pem', 'node.pem'];
  await t.throwsAsync(run('openssl', options, { cwd }), { message: /hostname mismatch/i });
});

test('openssl verifies a request of a node, and Skein one of openssl', async (t) => {
  const cwd = await openDirectory(t);
  const name = nodeName('server-one');
  const key = await readFile(join(cwd, 'node.key'), 'utf8');
  await writeFile(join(cwd, 'own.csr'), await createRequest({ key, name }));
  const { stderr } = await run('openssl', ['req', '-in', 'own.csr', '-noout', '-verify'], { cwd });
  t.regex(stderr, /verify OK/);
  const subject = ['-subj', '/CN=server-one', '-addext', 'subjectAltName=DNS:server-one'];
  const usage = ['-addext', 'keyUsage=digitalSignature', '-out', 'other.csr'];
  await run('openssl', ['req', '-new', '-key', 'node.key', ...subject, ...usage], { cwd });
  const request = await readFile(join(cwd, 'other.csr'), 'utf8');
  t.true((await checkRequest(request, name)).equals(publicKeyOf(key)));
  for (const asked of [
    'keyUsage=keyCertSign',
    'extendedKeyUsage=codeSigning',
    'basicConstraints=CA:TRUE',
  ]) {
    const more = [...subject, '-addext', asked, '-out', 'bad.csr'];
    await run('openssl', ['req', '-new', '-key', 'node.key', ...more], { cwd });
    const bad = await readFile(join(cwd, 'bad.csr'), 'utf8');
    await t.throwsAsync(() => checkRequest(bad, name), {
      message: /^Error verifying CSR: it asks/,
    });
  }
});

test('a certificate that openssl made is read as it says', async (t) => {
  const cwd = await openDirectory(t);
  const names =
    'subjectAltName=DNS:Server-One,IP:2001:db8::1,email:a@example.org,URI:https://x/,dirName:d';
  await writeFile(join(cwd, 'names.cnf'), '[d]\nCN=a, DNS:server-two\n');
  const config = ['-config', 'names.cnf', '-subj', '/CN=server-two', '-addext', names];
  await writeFile(
    join(cwd, 'names.cnf'),
    '[req]\ndistinguished_name=d\n[d]\nCN=a\\, DNS:server-two\n',
  );
  const made = ['-new', '-x509', '-key', 'node.key', '-days', '1', '-out', 'made.pem'];
  await run('openssl', ['req', ...config, ...made], { cwd });
  const pem = await readFile(join(cwd, 'made.pem'), 'utf8');
  t.deepEqual(identityNames(readCertificate(pem)), ['server-one', '2001:db8::1'].map(nodeName));
  t.true(isKeyOf(await readFile(join(cwd, 'node.key'), 'utf8'), pem));
});

test('openssl s_client agrees with a node on TLS 1.3 or 1.2, and on nothing below', async (t) => {
  const cwd = await openDirectory(t);
  const [certificate = '', key = '', authority = ''] = await Promise.all(
    ['node.pem', 'node.key', 'ca.pem'].map((name) => readFile(join(cwd, name), 'utf8')),
  );
  const contexts = contextsOf(
    'server-one',
    [{ certificate, key }],
    [{ certificate: authority, key: '' }],
  );
  const accepted: Connection[] = [];
  const listening = await webSocketTransport({ contexts }).listen(
    { host: '127.0.0.2', port: 0 },
    (connection) => accepted.push(connection),
    { secure: true },
  );
  t.teardown(() => listening.close());
  const client = async (...options: string[]): Promise<string> => {
    const to = ['-connect', `127.0.0.2:${listening.address.port}`, '-CAfile', 'ca.pem'];
    const child = run('openssl', ['s_client', ...to, ...options], { cwd });
    child.child.stdin?.end();
    return child.then(
      ({ stdout }) => stdout,
      (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
    );
  };
  for (const version of ['tls1_3', 'tls1_2']) {
    const text = await client(`-${version}`, '-verify_hostname', 'server-one');
    t.regex(text, /Verify return code: 0 \(ok\)/, version);
    t.regex(text, /Compression: NONE/, version);
    t.regex(text, /Secure Renegotiation IS|TLSv1\.3/, version);
  }
  for (const version of ['tls1_1', 'tls1']) {
    const text = await client(`-${version}`, '-cipher', 'ALL:@SECLEVEL=0');
    t.regex(text, /Cipher is \(NONE\)/, version);
  }
  t.regex(
    await client('-tls1_2', '-cipher', 'AES128-SHA:AES256-SHA256:@SECLEVEL=0'),
    /Cipher is \(NONE\)/,
  );
  t.is(accepted.length, 0);
});
