/**
 * The configuration file is rewritten whole or not at all, and only where that takes effect.
 */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { loadConfig, type LoadOptions } from '../../config/load.js';
import { resolveConfig } from '../../config/resolve.js';
import { routeDefaultsOf, routesOf } from '../../config/routes.js';
import { setRoutes } from '../../config/routesDocument.js';
import { rewriteRoutes, routesFileOf } from '../../config/routesFile.js';
import type { ConfigInput, ConfigSource } from '../../config/types.js';
import { SkeinError } from '../../protocol/errors.js';

interface Context {
  directory: string;
  file: string;
}
const test = anyTest as TestFn<Context>;

test.beforeEach((t) => {
  const directory = mkdtempSync(join(tmpdir(), 'skein-routes-'));
  t.context = { directory, file: join(directory, 'skein.yaml') };
});
test.afterEach.always((t) => rmSync(t.context.directory, { recursive: true, force: true }));

const DEFAULTS = { scheme: 'ws', port: 9933 } as const;
const TEXT = 'replication:\n  port: 9933\n  routes: [a] # r\n';

const addB = (text: string) => setRoutes(text, ['b'], DEFAULTS);

const thrown = (t: ExecutionContext<Context>, run: () => unknown): SkeinError | undefined =>
  t.throws(run, { instanceOf: SkeinError });

test('a rewritten file has the new text and its old mode, and nothing stays beside it', (t) => {
  const { directory, file } = t.context;
  writeFileSync(file, TEXT);
  for (const mode of [0o640, 0o606, 0o600]) {
    writeFileSync(file, TEXT);
    chmodSync(file, mode);
    const { set, skipped } = rewriteRoutes(file, addB);
    t.deepEqual([set, skipped], [['b'], []]);
    t.is(readFileSync(file, 'utf8'), 'replication:\n  port: 9933\n  routes: [a, b] # r\n');
    t.is(statSync(file).mode & 0o7777, mode);
  }
  t.deepEqual(readdirSync(directory), ['skein.yaml']);
});

test('a file is replaced, not written over: who has it open reads the old one to its end', (t) => {
  const { file } = t.context;
  writeFileSync(file, TEXT);
  const before = statSync(file).ino;
  rewriteRoutes(file, addB);
  t.not(statSync(file).ino, before);
});

test('a file whose text does not change is not touched', (t) => {
  const { file } = t.context;
  writeFileSync(file, TEXT);
  const before = statSync(file, { bigint: true });
  const { set } = rewriteRoutes(file, (text) => setRoutes(text, ['a'], DEFAULTS));
  t.deepEqual(set, []);
  const after = statSync(file, { bigint: true });
  t.deepEqual([after.ino, after.mtimeNs], [before.ino, before.mtimeNs]);
});

test('a link stays a link, what it points to is rewritten', (t) => {
  const { directory, file } = t.context;
  mkdirSync(join(directory, 'real'));
  const real = join(directory, 'real', 'config.yaml');
  writeFileSync(real, TEXT);
  symlinkSync(real, file);
  rewriteRoutes(file, addB);
  t.true(lstatSync(file).isSymbolicLink());
  t.regex(readFileSync(real, 'utf8'), /\[a, b\]/);
  t.deepEqual(readdirSync(join(directory, 'real')), ['config.yaml']);
});

test('what a process that died has left behind does not get in the way', (t) => {
  const { directory, file } = t.context;
  writeFileSync(file, TEXT);
  writeFileSync(join(directory, '.skein.yaml.new'), 'half a fi', { mode: 0o444 });
  rewriteRoutes(file, addB);
  t.regex(readFileSync(file, 'utf8'), /\[a, b\]/);
  t.deepEqual(readdirSync(directory), ['skein.yaml']);
});

test('a byte order mark and CRLF stay in the file', (t) => {
  const { file } = t.context;
  writeFileSync(file, '\ufeff# é\r\nreplication: {routes: [a]}\r\n');
  rewriteRoutes(file, addB);
  t.is(readFileSync(file, 'utf8'), '\ufeff# é\r\nreplication: {routes: [a, b]}\r\n');
});

test('a file that is not there cannot be rewritten', (t) => {
  const error = thrown(t, () => rewriteRoutes(t.context.file, addB));
  t.is(error?.code, 'INVALID_CONFIGURATION');
  t.regex(error?.message ?? '', /cannot read .*skein\.yaml: ENOENT/);
});

test('a file that does not parse stays as it is, and the line is named', (t) => {
  const { file } = t.context;
  const text = 'replication:\n  routes: [a\n';
  writeFileSync(file, text);
  const error = thrown(t, () => rewriteRoutes(file, addB));
  t.is(error?.code, 'INVALID_CONFIGURATION');
  t.regex(error?.message ?? '', /skein\.yaml line \d/);
  t.is(readFileSync(file, 'utf8'), text);
});

test('bytes that are no text stay as they are', (t) => {
  const { file } = t.context;
  const bytes = Buffer.concat([Buffer.from('# '), Buffer.from([0xff, 0x0a]), Buffer.from(TEXT)]);
  writeFileSync(file, bytes);
  const error = thrown(t, () => rewriteRoutes(file, addB));
  t.is(error?.code, 'INVALID_CONFIGURATION');
  t.deepEqual(readFileSync(file), bytes);
});

test('a refused change leaves the file as it is', (t) => {
  const { directory, file } = t.context;
  writeFileSync(file, TEXT);
  t.throws(() => rewriteRoutes(file, (text) => setRoutes(text, ['b', 'b/c'], DEFAULTS)), {
    message: /^routes\[1\]/,
  });
  t.is(readFileSync(file, 'utf8'), TEXT);
  t.deepEqual(readdirSync(directory), ['skein.yaml']);
});

test('a file that cannot be written stays as it is', (t) => {
  const { directory, file } = t.context;
  writeFileSync(file, TEXT);
  // A directory in the place of the new file stands for a directory that may not be written: root may write any.
  mkdirSync(join(directory, '.skein.yaml.new'));
  const error = thrown(t, () => rewriteRoutes(file, addB));
  t.is(error?.code, 'STORAGE_FAILED');
  t.is(error?.statusCode, 500);
  t.regex(error?.message ?? '', /^cannot write .*skein\.yaml: /);
  t.is(readFileSync(file, 'utf8'), TEXT);
});

test('a node without a configuration file has none to rewrite', (t) => {
  const error = thrown(t, () => routesFileOf({}, 'cluster_set_routes'));
  t.is(error?.code, 'INVALID_REQUEST');
  t.is(
    error?.message,
    'cluster_set_routes needs a configuration file, and this node was started without one',
  );
});

const sourceOf = (t: ExecutionContext<Context>, options: Partial<LoadOptions>): ConfigSource =>
  loadConfig({
    environment: {},
    currentDirectory: t.context.directory,
    homeDirectory: t.context.directory,
    file: t.context.file,
    ...options,
  }).source;

test('routes of the file, or of nobody, are rewritten in the file', (t) => {
  const { file } = t.context;
  for (const text of [TEXT, 'replication: {port: 9933}\n', '']) {
    writeFileSync(file, text);
    const source = sourceOf(t, { environment: { REPLICATION_PORT: '9934' } });
    t.deepEqual(source, { file });
    t.is(routesFileOf(source, 'cluster_set_routes'), file);
  }
  const relative = sourceOf(t, { file: 'skein.yaml' });
  t.deepEqual(relative, { file });
});

const elsewhere: readonly (readonly [from: string, options: Partial<LoadOptions>])[] = [
  ['environment variable REPLICATION_ROUTES', { environment: { REPLICATION_ROUTES: '["c"]' } }],
  ['argument --REPLICATION_ROUTES', { arguments: ['--REPLICATION_ROUTES', '["c"]'] }],
  ...['SKEIN_SET_CONFIG', 'SKEIN_CONFIG', 'HARPER_SET_CONFIG'].map(
    (variable): readonly [string, Partial<LoadOptions>] => [
      `environment variable ${variable}`,
      { environment: { [variable]: '{"replication": {"routes": {"$union": ["c"]}}}' } },
    ],
  ),
];

for (const [from, options] of elsewhere) {
  test(`routes set by ${from} are not rewritten in the file`, (t) => {
    writeFileSync(t.context.file, TEXT);
    const source = sourceOf(t, options);
    t.deepEqual(source, { file: t.context.file, routesFrom: from });
    const error = thrown(t, () => routesFileOf(source, 'cluster_delete_routes'));
    t.is(error?.code, 'INVALID_REQUEST');
    t.is(
      error?.message,
      `cluster_delete_routes rewrites skein.yaml, but the routes of this node are set by ${from}: change them there`,
    );
  });
}

test('routes of a source below the file count only while the file has none', (t) => {
  const environment = { SKEIN_DEFAULT_CONFIG: '{"replication": {"routes": ["c"]}}' };
  writeFileSync(t.context.file, TEXT);
  t.deepEqual(sourceOf(t, { environment }), { file: t.context.file });
  writeFileSync(t.context.file, 'replication: {port: 9933}\n');
  t.is(sourceOf(t, { environment }).routesFrom, 'environment variable SKEIN_DEFAULT_CONFIG');
});

test('a node started without a file has no source to rewrite, wherever its routes are from', (t) => {
  const source = loadConfig({
    environment: { REPLICATION_ROUTES: '["c"]', REPLICATION_PORT: '9933' },
    currentDirectory: t.context.directory,
    homeDirectory: t.context.directory,
  }).source;
  t.deepEqual(source, { routesFrom: 'environment variable REPLICATION_ROUTES' });
});

test('routes read again for a settled configuration are those it was settled with', (t) => {
  const routes = ['b', 'c:1', { host: 'd', port: 2 }, 'b:3', '127.0.0.9', { port: 1 }];
  const inputs: readonly ConfigInput['replication'][] = [
    { hostname: '127.0.0.9', port: 9940, routes },
    { hostname: 'a', securePort: 9941, routes },
    { hostname: 'a', securePort: 9941, port: 9940, routes },
  ];
  for (const replication of inputs) {
    const input = replication === undefined ? {} : { replication };
    const { config } = resolveConfig({ rootPath: '/tmp/skein', ...input });
    t.is(config.replication.routes.length, replication?.hostname === 'a' ? 4 : 3);
    t.deepEqual(routesOf(routes, config), config.replication.routes);
    t.is(routeDefaultsOf(config.replication).port, replication?.securePort === 9941 ? 9941 : 9940);
  }
});
