/** `skein dev` with real nodes: a cluster over TLS, ready by itself, also after a node was killed. */
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from 'node:tls';
import test from 'ava';
import { freePort } from '../support/cluster.js';
import { startCli, type CliRun } from '../support/runCli.js';
import { waitUntil } from '../support/waitUntil.js';

const DEV_FILE = fileURLToPath(new URL('../support/fakeDev.js', import.meta.url));

const says = (run: CliRun, pattern: RegExp): Promise<RegExpExecArray> =>
  waitUntil(`${String(pattern)} in the output`, () => pattern.exec(run.stdout()), 40_000);

test.serial('skein dev forms a cluster over TLS, and a killed node of it comes back', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-dev-tls-'));
  const ports = {
    replication: await freePort('127.0.0.2'),
    operationsApi: await freePort('127.0.0.2'),
    debug: await freePort('127.0.0.2'),
  };
  const command = { nodes: 2, ports, path: directory, memory: true };
  const run = startCli([JSON.stringify(command)], { file: DEV_FILE });
  t.teardown(async () => {
    run.child.kill('SIGINT');
    await run.ended;
    await rm(directory, { recursive: true, force: true });
  });
  await says(run, /^ready /m);
  const socket = connect({ host: '127.0.0.3', port: ports.replication, rejectUnauthorized: false });
  await new Promise((resolve, reject) =>
    socket.once('secureConnect', resolve).once('error', reject),
  );
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  t.is(certificate?.subjectAltName, 'IP Address:127.0.0.3');
  t.is(certificate?.issuer, 'CN=Skein-Certificate-Authority-dev');
  const certificates = join(directory, 'certificates');
  for (const name of await readdir(certificates))
    if (name.endsWith('.key')) t.is((await stat(join(certificates, name))).mode & 0o777, 0o600);
  const authority = await readFile(join(certificates, 'authority.pem'), 'utf8');
  t.regex(authority, /BEGIN CERTIFICATE/);
  const pid = Number(/│ 127\.0\.0\.3 .*│ (\d+) +│/.exec(run.stdout())?.[1]);
  process.kill(pid, 'SIGKILL');
  await says(run, /^127\.0\.0\.3 is back, ready again /m);
});
