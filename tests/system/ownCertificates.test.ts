/** The commands of the page on own certificates, as somebody who follows it types them, and the clusters that come of it. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { startNode } from '../../index.js';
import { shownAt } from '../support/httpsClient.js';
import { JOINING, meshed, startSecure } from '../support/secureNodes.js';

const run = promisify(execFile);

const openssl = (cwd: string, line: string) => run('openssl', line.split(' '), { cwd });

const KEY = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';

const openDirectory = async (t: ExecutionContext): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-openssl-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  await openssl(
    directory,
    `req -x509 ${KEY} -keyout ca.key -out ca.pem -days 3650 -subj /CN=Example-CA`,
  );
  return directory;
};

const certify = async (directory: string, name: string): Promise<void> => {
  await openssl(
    directory,
    `req ${KEY} -keyout ${name}.key -out ${name}.csr -subj /CN=${name} -addext subjectAltName=DNS:${name}`,
  );
  await openssl(
    directory,
    `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -copy_extensions copyall -out ${name}.pem`,
  );
};

test('nodes with certificates from openssl are a cluster, on both ports under TLS 1.2 and 1.3 only', async (t) => {
  const directory = await openDirectory(t);
  await certify(directory, 'server-one');
  await certify(directory, 'server-two');
  const filesOf = (name: string) => ({
    certificate: join(directory, `${name}.pem`),
    privateKey: join(directory, `${name}.key`),
    certificateAuthority: join(directory, 'ca.pem'),
  });
  const one = await startSecure(t, 'server-one', {
    tls: filesOf('server-one'),
    operationsApi: { network: { securePort: '127.0.0.1:0' } },
  });
  const two = await startSecure(t, 'server-two', { tls: filesOf('server-two') });
  // Both trust the authority already, so that nothing has to be taken on trust.
  const { authorization } = JOINING;
  await two.send({ operation: 'add_node', hostname: 'server-one', url: one.url, authorization });
  await meshed([one, two]);
  t.is((await shownAt(two, 'server-two')).issuer, 'CN=Example-CA');

  const { doors } = one.node as Awaited<ReturnType<typeof startNode>>;
  const https = new URL(doors.secureOperationsApi ?? '').host;
  for (const place of [`${one.address}:${one.port}`, https]) {
    for (const version of ['-tls1', '-tls1_1'])
      await t.throwsAsync(
        openssl(directory, `s_client -connect ${place} ${version} -cipher DEFAULT@SECLEVEL=0`),
        { message: /alert protocol version|no protocols available/ },
      );
    const verify = '-CAfile ca.pem -verify_return_error -verify_hostname server-one';
    for (const version of ['-tls1_2', '-tls1_3']) {
      const asked = openssl(directory, `s_client -connect ${place} ${version} ${verify}`);
      asked.child.stdin?.end();
      await t.notThrowsAsync(asked, `${place} ${version}`);
    }
  }
});

test('a node that has the key of an authority signs with it for those that join', async (t) => {
  const directory = await openDirectory(t);
  const one = await startSecure(t, 'server-one');
  const two = await startSecure(t, 'server-two');
  await one.send({
    operation: 'add_certificate',
    name: 'Example-CA',
    is_authority: true,
    certificate: await readFile(join(directory, 'ca.pem'), 'utf8'),
    private_key: await readFile(join(directory, 'ca.key'), 'utf8'),
  });
  await two.send({ operation: 'add_node', hostname: 'server-one', url: one.url, ...JOINING });
  await meshed([one, two]);
  t.is((await shownAt(two, 'server-two')).issuer, 'CN=Example-CA');
});
