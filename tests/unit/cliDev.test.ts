/** `skein dev`: the plan, and its processes from start to kill -9 to Ctrl-C, with stand-ins for nodes. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { resolveConfig } from '../../config/resolve.js';
import { DEV_PORTS, planNodes, type DevPorts } from '../../server/cli/devPlan.js';
import { startCli, type CliRun } from '../support/runCli.js';
import { waitUntil } from '../support/waitUntil.js';

const support = (name: string): string =>
  fileURLToPath(new URL(`../support/${name}.js`, import.meta.url));

const PLAN = { count: 3, directory: '/data', memory: false, ports: DEV_PORTS };

test('the plan is one node per loopback address, each with a route to every other', (t) => {
  const nodes = planNodes(PLAN);
  t.deepEqual(
    nodes.map((node) => [node.name, node.configFile, node.operationsUrl, node.debugUrl]),
    [
      ['127.0.0.2', '/data/127.0.0.2/skein.yaml', 'http://127.0.0.2:9925', 'http://127.0.0.2:9927'],
      ['127.0.0.3', '/data/127.0.0.3/skein.yaml', 'http://127.0.0.3:9925', 'http://127.0.0.3:9927'],
      ['127.0.0.4', '/data/127.0.0.4/skein.yaml', 'http://127.0.0.4:9925', 'http://127.0.0.4:9927'],
    ],
  );
  t.deepEqual(nodes[1]?.config, {
    rootPath: '/data/127.0.0.3',
    replication: {
      hostname: '127.0.0.3',
      securePort: 9933,
      routes: ['wss://127.0.0.2:9933', 'wss://127.0.0.4:9933'],
    },
    tls: {
      certificate: '/data/certificates/127.0.0.3.pem',
      privateKey: '/data/certificates/127.0.0.3.key',
      certificateAuthority: '/data/certificates/authority.pem',
    },
    operationsApi: { network: { port: 9925 } },
    debug: { port: 9927, allowCrash: true },
    storage: { engine: 'level' },
  });
});

test('a planned configuration means what dev needs it to mean', (t) => {
  const node = planNodes({ ...PLAN, memory: true })[0];
  const { config, warnings } = resolveConfig(node?.config ?? {}, {
    homeDirectory: '/home',
    currentDirectory: '/',
    openDefaultPorts: true,
  });
  t.deepEqual(warnings, []);
  t.is(String(config.node.name), '127.0.0.2');
  t.like(config, {
    rootPath: '/data/127.0.0.2',
    replication: { secure: { host: '127.0.0.2', port: 9933 }, insecure: undefined },
    operationsApi: { listen: { host: '127.0.0.2', port: 9925 } },
    debug: { listen: { host: '127.0.0.2', port: 9927 }, allowCrash: true },
    storage: { engine: 'memory' },
  });
  t.deepEqual(
    config.replication.routes.map((route) => [String(route.name), route.url]),
    [
      ['127.0.0.3', 'wss://127.0.0.3:9933'],
      ['127.0.0.4', 'wss://127.0.0.4:9933'],
    ],
  );
});

for (const count of [0, -1, 254, 1.5, Number.NaN]) {
  test(`${count} nodes are refused`, (t) => {
    t.throws(() => planNodes({ ...PLAN, count }), { message: '--nodes must be from 1 to 253' });
  });
}

test('refused node counts leave no directory behind', async (t) => {
  const temporary = await mkdtemp(join(tmpdir(), 'skein-cli-dev-'));
  t.teardown(() => rm(temporary, { recursive: true, force: true }));
  const { ended } = startCli(['dev', '--nodes', '254'], { environment: { TMPDIR: temporary } });
  t.is((await ended).code, 2);
  t.deepEqual(await readdir(temporary), []);
});

/** A port that is free on the addresses used here; nothing else in a test run listens on them. */
const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.2', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });

const freePorts = async (): Promise<DevPorts> => ({
  replication: await freePort(),
  operationsApi: await freePort(),
  debug: await freePort(),
});

const startDev = async (
  t: ExecutionContext,
  command: Record<string, unknown>,
  environment: Record<string, string> = {},
): Promise<CliRun> => {
  const whole = { nodes: 3, ports: await freePorts(), script: support('fakeStart'), ...command };
  const temporary = await mkdtemp(join(tmpdir(), 'skein-cli-dev-'));
  const run = startCli([JSON.stringify(whole)], {
    file: support('fakeDev'),
    environment: { TMPDIR: temporary, ...environment },
  });
  t.teardown(async () => {
    run.child.kill('SIGKILL');
    await rm(temporary, { recursive: true, force: true });
  });
  return run;
};

const pidsIn = (output: string): Map<string, number> =>
  new Map(
    [...output.matchAll(/│ (127\.0\.0\.\d+) .*│ (\d+) +│/g)].map((match) => [
      String(match[1]),
      Number(match[2]),
    ]),
  );

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') {
      return false;
    }
    throw error;
  }
};

const says = (run: CliRun, pattern: RegExp): Promise<RegExpExecArray> =>
  waitUntil(`${pattern} in the output`, () => pattern.exec(run.stdout()), 30_000);

test.serial('a cluster gets ready, a killed node comes back, Ctrl-C ends everything', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-cli-dev-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const run = await startDev(t, {}, { TMPDIR: directory, ROOTPATH: '/must/not/reach/nodes' });
  await says(run, /^ready \(after [\d.]+ s\)$/m);
  t.regex(run.stdout(), /^user admin, password [0-9a-f]{24}$/m);
  t.regex(run.stdout(), /^\[127\.0\.0\.3\] ROOTPATH is absent$/m);
  const pids = pidsIn(run.stdout());
  t.deepEqual([...pids.keys()], ['127.0.0.2', '127.0.0.3', '127.0.0.4']);

  process.kill(pids.get('127.0.0.3') ?? 0, 'SIGKILL');
  await says(
    run,
    /^127\.0\.0\.3 \(pid \d+\) ended: SIGKILL; starting it again in 1 s\. By hand: node .*fakeStart\.js start --config .*127\.0\.0\.3\/skein\.yaml$/m,
  );
  const again = await says(run, /^127\.0\.0\.3 started again, pid (\d+)$/m);
  const secondPid = Number(again[1]);
  t.not(secondPid, pids.get('127.0.0.3'));
  await says(run, /^127\.0\.0\.3 is back, ready again \(after [\d.]+ s\)$/m);

  run.child.kill('SIGINT');
  const { code, stderr } = await run.ended;
  t.deepEqual([code, stderr], [0, '']);
  for (const pid of [...pids.values(), secondPid]) {
    t.false(isAlive(pid));
  }
  t.deepEqual(await readdir(directory), []);
  t.notRegex(run.stdout().split('stopping every node')[1] ?? 'absent', /ended|again, pid/);
});

test.serial('a named directory keeps its files, and a given password is used', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-cli-dev-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const environment = { HDB_ADMIN_PASSWORD: 'given' };
  const run = await startDev(t, { nodes: 1, path: directory, memory: true }, environment);
  await says(run, /^ready /m);
  t.regex(run.stdout(), /^user admin, password given$/m);
  run.child.kill('SIGTERM');
  t.is((await run.ended).code, 0);
  const written = await readFile(join(directory, '127.0.0.2', 'skein.yaml'), 'utf8');
  t.true(written.includes(stringify({ engine: 'memory' }).trim()));
  t.notRegex(written, /given/);
});

test.serial('nodes stop when dev itself is killed', async (t) => {
  const run = await startDev(t, { nodes: 2 });
  await says(run, /^ready /m);
  const pids = [...pidsIn(run.stdout()).values()];
  t.is(pids.length, 2);
  run.child.kill('SIGKILL');
  t.true(await waitUntil('the nodes to end', () => pids.every((pid) => !isAlive(pid))));
});

test.serial('a second Ctrl-C kills nodes that do not stop, and ends with 1', async (t) => {
  const run = await startDev(t, { nodes: 1, script: support('stubbornStart') });
  await says(run, /^\[127\.0\.0\.2\] stubborn$/m);
  const pids = [...pidsIn(run.stdout()).values()];
  run.child.kill('SIGINT');
  await says(run, /^\[127\.0\.0\.2\] SIGTERM ignored$/m);
  run.child.kill('SIGINT');
  t.is((await run.ended).code, 1);
  t.true(await waitUntil('the node to end', () => pids.every((pid) => !isAlive(pid))));
});

test.serial('a node that cannot start is tried less and less often', async (t) => {
  const run = await startDev(t, { nodes: 1, script: '/does/not/exist.js' });
  await says(run, /ended: exit code 1; starting it again in 1 s/);
  await says(run, /ended: exit code 1; starting it again in 2 s/);
  run.child.kill('SIGINT');
  t.is((await run.ended).code, 0);
});
