/** `skein start`: the greeting, and an orderly end, with a stand-in for the node. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { runCli, startCli, type CliRun } from '../support/runCli.js';
import { waitUntil } from '../support/waitUntil.js';

const SCRIPT = fileURLToPath(new URL('../support/fakeServe.js', import.meta.url));

const start = async (
  t: ExecutionContext,
  options: { settings?: readonly string[]; environment?: Record<string, string> } = {},
): Promise<CliRun> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-cli-start-'));
  const file = join(directory, 'skein.yaml');
  await writeFile(
    file,
    [
      'replication: { hostname: 127.0.0.9, port: 0, securePort: null }',
      'operationsApi: { network: { port: 0 } }',
      'debug: { port: 0 }',
      'storage: { engine: memory }',
      '',
    ].join('\n'),
  );
  const settings = ['--config', file, '--ROOTPATH', directory, ...(options.settings ?? [])];
  const run = startCli(settings, { file: SCRIPT, environment: options.environment ?? {} });
  t.teardown(async () => {
    run.child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  });
  return run;
};

const running = (run: CliRun): Promise<string> =>
  waitUntil('the greeting', () => run.stdout().includes('in memory only') && run.stdout());

test('the greeting names every open door with its real port', async (t) => {
  const run = await start(t);
  const text = await running(run);
  t.regex(text, /^127\.0\.0\.9 is running$/m);
  const operations = /^ {2}operations API {2}(http:\/\/127\.0\.0\.9:\d+)$/m.exec(text)?.[1];
  const debug = /^ {2}debug {11}(http:\/\/127\.0\.0\.9:\d+)$/m.exec(text)?.[1];
  for (const url of [operations, debug]) {
    t.is(await (await fetch(`${url}/health`)).text(), 'Skein is running.');
  }
});

test('arguments in capitals reach the configuration', async (t) => {
  const run = await start(t, { settings: ['--DEBUG_PORT', 'null'] });
  t.notRegex(await running(run), /debug/);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} closes the doors and the node and ends with 0`, async (t) => {
    const run = await start(t);
    await running(run);
    run.child.kill(signal);
    const { code, stdout, stderr } = await run.ended;
    t.deepEqual([code, stderr], [0, '']);
    t.true(stdout.endsWith(`stopping (${signal})\nclosing the node\nnode closed\n`));
  });
}

test('a second signal ends at once with 1', async (t) => {
  const run = await start(t, { environment: { CLOSING: 'never' } });
  await running(run);
  run.child.kill('SIGTERM');
  await waitUntil('the close', () => run.stdout().includes('closing the node'));
  run.child.kill('SIGTERM');
  const { code, stdout, stderr } = await run.ended;
  // Nothing on standard error: the deadline of an orderly end would have said something.
  t.deepEqual([code, stderr], [1, '']);
  t.false(stdout.includes('node closed'));
});

test('a node that does not close in 10 s is given up with 1', async (t) => {
  const run = await start(t, { environment: { CLOSING: 'never' } });
  await running(run);
  run.child.kill('SIGTERM');
  const { code, stderr } = await run.ended;
  t.deepEqual([code, stderr], [1, 'skein: did not stop within 10 s\n']);
});

test('a configuration that cannot be used ends with 1 and says why', async (t) => {
  const { code, stderr } = await runCli(['start', '--config', '/does/not/exist.yaml']);
  t.is(code, 1);
  t.regex(
    stderr,
    /^skein: Skein config file validation error: cannot read \/does\/not\/exist\.yaml/,
  );
});
