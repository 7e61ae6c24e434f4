/**
 * Where settings come from: file, environment, arguments; which of them wins, and that every message says where to look.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import { mergeLayers, type Layer } from '../../config/layers.js';
import { loadConfig, type LoadedConfig, type LoadOptions } from '../../config/load.js';
import { SkeinError } from '../../protocol/errors.js';

interface Context {
  /** A fresh directory that is home and current directory. */
  home: string;
}
const test = anyTest as TestFn<Context>;

test.beforeEach((t) => {
  t.context.home = mkdtempSync(join(tmpdir(), 'skein-config-'));
});
test.afterEach.always((t) => rmSync(t.context.home, { recursive: true, force: true }));

type Options = Partial<LoadOptions> & { files?: Record<string, string> };

function load(t: ExecutionContext<Context>, { files = {}, ...options }: Options): LoadedConfig {
  const { home } = t.context;
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(home, name)), { recursive: true });
    writeFileSync(join(home, name), text);
  }
  return loadConfig({
    environment: {},
    currentDirectory: home,
    homeDirectory: home,
    ...options,
  });
}

function messageOf(t: ExecutionContext<Context>, options: Options): string {
  const error = t.throws(() => load(t, options), { instanceOf: SkeinError });
  t.is(error?.code, 'INVALID_CONFIGURATION');
  return error?.message ?? '';
}

test('without file, environment and arguments the defaults of a program hold', (t) => {
  const { config, warnings, origins, file } = load(t, {});
  t.is(config.rootPath, join(t.context.home, 'skein'));
  t.deepEqual(config.operationsApi.listen, { host: '127.0.0.1', port: 9925 });
  t.deepEqual(config.debug.listen, { host: '127.0.0.1', port: 9927 });
  t.deepEqual([warnings, origins, file], [[], {}, undefined]);
});

for (const name of ['skein.yaml', 'harper-config.yaml', 'harperdb-config.yaml']) {
  test(`${name} in the root path is read`, (t) => {
    const files = { [`skein/${name}`]: 'replication:\n  hostname: 127.0.0.9\n  port: 9933\n' };
    const { config, origins, file } = load(t, { files });
    t.is(String(config.node.name), '127.0.0.9');
    t.is(file, join(t.context.home, 'skein', name));
    t.deepEqual(origins, {
      'replication.hostname': `${name} line 2`,
      'replication.port': `${name} line 3`,
    });
  });
}

test('of several files in the root path the first counts, with a word about the others', (t) => {
  const files = {
    'skein/skein.yaml': 'node: { hostname: one }',
    'skein/harperdb-config.yaml': 'node: { hostname: two }',
  };
  const { config, warnings } = load(t, { files });
  t.is(String(config.node.name), 'one');
  t.deepEqual(warnings, [
    `${join(t.context.home, 'skein/harperdb-config.yaml')} is not read, because skein.yaml is beside it`,
  ]);
});

test('ROOTPATH moves the place where the file is looked for', (t) => {
  const files = { 'other/skein.yaml': 'node: { hostname: one }' };
  const { config } = load(t, { files, environment: { ROOTPATH: '~/other' } });
  t.is(String(config.node.name), 'one');
  t.is(config.rootPath, join(t.context.home, 'other'));
});

test('--config names the file, and the option file wins over it', (t) => {
  const files = { 'a.yaml': 'node: { hostname: a }', 'b.yaml': 'node: { hostname: b }' };
  const name = (options: Options): string =>
    String(load(t, { files, ...options }).config.node.name);
  t.is(name({ arguments: ['--config', 'a.yaml'] }), 'a');
  t.is(name({ arguments: ['--config=a.yaml'] }), 'a');
  t.is(name({ arguments: { config: 'a.yaml' } }), 'a');
  t.is(name({ arguments: ['--config', 'a.yaml'], file: 'b.yaml' }), 'b');
});

test('a file that was named and cannot be read is an error', (t) => {
  const message = messageOf(t, { file: 'missing.yaml' });
  const path = join(t.context.home, 'missing.yaml');
  t.true(message.startsWith(`Skein config file validation error: cannot read ${path}: ENOENT`));
});

test('the files of the documentation are read as they are', (t) => {
  const files = {
    'skein/harperdb-config.yaml': `
replication:
  hostname: server-one
  routes:
    - wss://server-two:9933 # URL based route
    - hostname: server-three # define a hostname and port
      port: 9933
    - server-four
  databases:
    - data
    - system
`,
  };
  const { replication } = load(t, { files }).config;
  t.deepEqual(
    replication.routes.map(({ url }) => url),
    ['wss://server-two:9933', 'wss://server-three:9933', 'wss://server-four:9933'],
  );
  t.deepEqual(replication.secure, { host: '::', port: 9933 });
  t.deepEqual(replication.databases as unknown, [{ name: 'data' }, { name: 'system' }]);
});

const LEVEL_FROM = {
  SKEIN_DEFAULT_CONFIG: '{"logging":{"level":"trace"}}',
  file: 'logging:\n  level: debug\n',
  SKEIN_CONFIG: '{"logging":{"level":"info"}}',
  LOGGING_LEVEL: 'warn',
  argument: ['--LOGGING_LEVEL', 'error'],
  SKEIN_SET_CONFIG: '{"logging":{"level":"fatal"}}',
} as const;
const BY_STRENGTH = Object.keys(LEVEL_FROM) as (keyof typeof LEVEL_FROM)[];
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

for (const [strength, strongest] of BY_STRENGTH.entries()) {
  test(`${strongest} wins over everything weaker`, (t) => {
    const { file, argument, ...variables } = LEVEL_FROM;
    const given = new Set(BY_STRENGTH.slice(0, strength + 1));
    const environment = Object.fromEntries(
      Object.entries(variables).filter(([name]) => given.has(name as keyof typeof variables)),
    );
    const { config } = load(t, {
      environment,
      arguments: given.has('argument') ? argument : [],
      files: given.has('file') ? { 'skein/skein.yaml': file } : {},
    });
    t.is(config.logging.level, LEVELS[strength] as never);
  });
}

test('the HARPER_ variables count, and the SKEIN_ variables win over them key by key', (t) => {
  const { config } = load(t, {
    environment: {
      HARPER_CONFIG: '{"logging":{"level":"info"},"node":{"hostname":"one"}}',
      SKEIN_CONFIG: '{"logging":{"level":"debug"}}',
      HARPER_SET_CONFIG: '{"storage":{"writeAsync":true}}',
      HARPER_DEFAULT_CONFIG: '{"debug":{"allowCrash":true},"storage":{"writeAsync":false}}',
    },
  });
  t.is(config.logging.level, 'debug');
  t.is(String(config.node.name), 'one');
  t.true(config.storage.writeAsync);
  t.true(config.debug.allowCrash);
});

test('lists replace each other, and $union adds what is missing', (t) => {
  const file = 'replication: { port: 9933, hostname: 127.0.0.1, routes: [127.0.0.2, 127.0.0.3] }';
  const urls = (routes: string): string[] =>
    load(t, {
      files: { 'skein/skein.yaml': file },
      environment: { SKEIN_CONFIG: `{"replication":{"routes":${routes}}}` },
    }).config.replication.routes.map(({ name }) => String(name));
  t.deepEqual(urls('["127.0.0.4"]'), ['127.0.0.4']);
  t.deepEqual(urls('{"$union":["127.0.0.4","127.0.0.3"]}'), [
    '127.0.0.2',
    '127.0.0.3',
    '127.0.0.4',
  ]);
});

test('$union adds nothing that is there already', (t) => {
  const layer = (value: Record<string, unknown>): Layer => ({
    value,
    directory: '/',
    describe: () => 'somewhere',
  });
  const below = layer({ list: ['a', { b: 1 }] });
  const above = layer({ list: { $union: [{ b: 1 }, 'c', 'a'] } });
  t.deepEqual(mergeLayers([below, above]).value, { list: ['a', { b: 1 }, 'c'] });
});

test('$union on top of no list is the list', (t) => {
  const environment = { SKEIN_CONFIG: '{"replication":{"databases":{"$union":["data"]}}}' };
  t.deepEqual(load(t, { environment }).config.replication.databases as unknown, [{ name: 'data' }]);
});

test('variables are read by the type of their key, in any case', (t) => {
  const { config } = load(t, {
    environment: {
      replication_Hostname: '127.0.0.2',
      REPLICATION_PORT: '127.0.0.3:9940',
      REPLICATION_ROUTES: '127.0.0.4, 127.0.0.5',
      REPLICATION_DATABASES: '["data", {"name": "other"}]',
      REPLICATION_PINGINTERVAL: '500',
      OPERATIONSAPI_NETWORK_PORT: '9925',
      DEBUG_PORT: 'null',
      DEBUG_ALLOWCRASH: 'TRUE',
      LOGGING_AUDITRETENTION: '3d',
      STORAGE_WRITEASYNC: '',
    },
  });
  t.is(String(config.node.name), '127.0.0.2');
  t.deepEqual(config.replication.insecure, { host: '127.0.0.3', port: 9940 });
  t.deepEqual(
    config.replication.routes.map(({ name }) => String(name)),
    ['127.0.0.4', '127.0.0.5'],
  );
  t.deepEqual(config.replication.databases as unknown, [{ name: 'data' }, { name: 'other' }]);
  t.is(config.replication.pingIntervalMs, 500);
  t.deepEqual(config.operationsApi.listen, { host: '127.0.0.2', port: 9925 });
  t.deepEqual(config.debug, { allowCrash: true });
  t.is(config.logging.auditRetentionMs, 259_200_000);
  t.false(config.storage.writeAsync);
});

test('the variable in capitals wins over other spellings of it', (t) => {
  const environment = { LOGGING_LEVEL: 'error', logging_level: 'debug', Logging_Level: 'info' };
  t.is(load(t, { environment }).config.logging.level, 'error');
});

test('a section given as JSON gives way to single variables within it', (t) => {
  const environment = {
    OPERATIONSAPI_NETWORK_PORT: '9001',
    OPERATIONSAPI_NETWORK: '{"port": 9002, "domainSocket": false}',
  };
  t.is(load(t, { environment }).config.operationsApi.listen?.port, 9001);
});

test('arguments are --KEY value, --KEY=value and, for flags, --KEY', (t) => {
  const { config, origins } = load(t, {
    arguments: [
      '--REPLICATION_PORT',
      '9940',
      '--logging.level=debug',
      '--DEBUG_ALLOWCRASH',
      '--STORAGE_WRITEASYNC',
      'true',
    ],
  });
  t.is(config.replication.insecure?.port, 9940);
  t.is(config.logging.level, 'debug');
  t.true(config.debug.allowCrash);
  t.true(config.storage.writeAsync);
  t.is(origins['replication.port'], 'argument --REPLICATION_PORT');
});

test('the first user comes from HDB_ADMIN_ or SKEIN_ADMIN_ variables', (t) => {
  const admin = (environment: Record<string, string>): unknown => {
    const { adminUsername, adminPassword } = load(t, { environment }).config.authentication;
    return [adminUsername, adminPassword];
  };
  const harper = { HDB_ADMIN_USERNAME: 'one', HDB_ADMIN_PASSWORD: ' 1' };
  t.deepEqual(admin(harper), ['one', ' 1']);
  const skein = { SKEIN_ADMIN_USERNAME: 'two', SKEIN_ADMIN_PASSWORD: 'null' };
  t.deepEqual(admin({ ...skein, ...harper }), ['two', 'null']);
});

test('variables of other programs are left alone', (t) => {
  const environment = {
    PATH: '/bin',
    NODE: '/bin/node',
    HTTP: 'x',
    SCHEMA: 'x',
    TLS: '1',
    THREADS: '4',
  };
  t.deepEqual(load(t, { environment }).warnings, []);
});

test('a variable that looks like ours and is none is warned about', (t) => {
  t.deepEqual(load(t, { environment: { REPLICATION_SECUREPROT: '1' } }).warnings, [
    'environment variable REPLICATION_SECUREPROT names no key, did you mean REPLICATION_SECUREPORT?',
  ]);
});

test('every message says where the value stands', (t) => {
  const start = 'Skein config file validation error: ';
  t.is(
    messageOf(t, {
      files: { 'skein/skein.yaml': '# first\nreplication:\n  # third\n  securPort: 1\n' },
    }),
    `${start}unknown key 'replication.securPort', did you mean 'replication.securePort'? (skein.yaml line 4)`,
  );
  t.is(
    messageOf(t, { files: { 'skein/skein.yaml': 'logging:\n  level:\n    loud\n' } }),
    `${start}'logging.level' must be one of trace, debug, info, notify, warn, error, fatal, not "loud" (skein.yaml line 2)`,
  );
});

test('a message about a variable or argument names it', (t) => {
  const tail = `must be one of trace, debug, info, notify, warn, error, fatal, not "loud"`;
  const start = `Skein config file validation error: 'logging.level' ${tail}`;
  t.is(
    messageOf(t, { environment: { LOGGING_LEVEL: 'loud' } }),
    `${start} (environment variable LOGGING_LEVEL)`,
  );
  t.is(
    messageOf(t, { arguments: ['--LOGGING_LEVEL', 'loud'] }),
    `${start} (argument --LOGGING_LEVEL)`,
  );
  t.is(
    messageOf(t, { environment: { HARPER_CONFIG: '{"logging":{"level":"loud"}}' } }),
    `${start} (environment variable HARPER_CONFIG)`,
  );
});

test('a mistake in an item of a list is found in its line', (t) => {
  const text = 'replication:\n  routes:\n    - host: a\n    - host: b\n      prot: 1\n';
  t.regex(messageOf(t, { files: { 'skein/skein.yaml': text } }), /\(skein\.yaml line 5\)$/);
});

test('warnings say where their keys stand', (t) => {
  const text =
    'threads: 4\nreplication:\n  hostname: 127.0.0.1\n  port: 1\n  routes:\n    - port: 1\n';
  t.deepEqual(load(t, { files: { 'skein/skein.yaml': text } }).warnings, [
    "'threads' has no effect in Skein (skein.yaml line 1)",
    'Invalid route, must specify a url or host (with port) (skein.yaml line 6)',
  ]);
});

const UNREADABLE: readonly (readonly [string, RegExp])[] = [
  ['a: 1\na: 2\n', /skein\.yaml line 2: Map keys must be unique/],
  ['node: {}\nrootPath: "x\n', /skein\.yaml line 3: Missing closing/],
  ['just text', /skein\.yaml line 1: expected keys with values/],
  ['- a\n- b\n', /skein\.yaml line 1: expected keys with values/],
];

for (const [text, message] of UNREADABLE) {
  test(`a file with ${JSON.stringify(text)} is refused with its line`, (t) => {
    t.regex(messageOf(t, { files: { 'skein/skein.yaml': text } }), message);
  });
}

for (const text of ['', '# nothing\n', '---\n', 'null\n', '\uFEFFlogging:\n']) {
  test(`a file with ${JSON.stringify(text)} sets nothing`, (t) => {
    t.is(load(t, { files: { 'skein/skein.yaml': text } }).config.logging.level, 'warn');
  });
}

test('a variable with JSON must hold an object', (t) => {
  const start = 'Skein config file validation error: environment variable SKEIN_SET_CONFIG';
  t.is(
    messageOf(t, { environment: { SKEIN_SET_CONFIG: '[1]' } }),
    `${start} must be a JSON object`,
  );
  const message = messageOf(t, { environment: { SKEIN_SET_CONFIG: '{"a"' } });
  t.true(message.startsWith(`${start} is not valid JSON: `));
});

const ARGUMENTS: readonly (readonly [readonly string[], string])[] = [
  [
    ['--REPLICATION_PROT', '1'],
    'unknown argument --REPLICATION_PROT, did you mean --REPLICATION_PORT?',
  ],
  [['--zzzzzz', '1'], 'unknown argument --zzzzzz'],
  [['stray'], "unexpected argument 'stray', expected --KEY value"],
  [['--LOGGING_LEVEL'], 'argument --LOGGING_LEVEL needs a value'],
  [['--LOGGING_LEVEL', '--DEBUG_ALLOWCRASH'], 'argument --LOGGING_LEVEL needs a value'],
];

for (const [given, problem] of ARGUMENTS) {
  test(`the arguments ${given.join(' ')} are refused`, (t) => {
    const message = messageOf(t, { arguments: given });
    t.is(message, `Skein config file validation error: ${problem}`);
  });
}

test('a password is in no message', (t) => {
  const text = 'authentication: { adminUsername: a, adminPassword: 31415926 }';
  t.notRegex(messageOf(t, { files: { 'skein/skein.yaml': text } }), /31415926/);
});

test('schema files are read relative to the file that names them', (t) => {
  const { config, warnings } = load(t, {
    files: {
      'skein/skein.yaml': 'schemas: [schemas/dogs.graphql, cats.graphql]',
      'skein/schemas/dogs.graphql': 'type Dog @table @export { id: ID }',
      'skein/cats.graphql': 'type Cat @table { id: ID }',
    },
  });
  t.deepEqual(
    config.tables.map(({ name }) => String(name)),
    ['Dog', 'Cat'],
  );
  const path = join(t.context.home, 'skein/schemas/dogs.graphql');
  t.deepEqual(warnings, [`${path} line 1: not supported by this version: @export`]);
});

test('schema files that a variable names are relative to the current directory', (t) => {
  const files = { 'cats.graphql': 'type Cat @table { id: ID }', 'skein/skein.yaml': 'node: {}' };
  const { tables } = load(t, { files, environment: { SCHEMAS: 'cats.graphql' } }).config;
  t.deepEqual(
    tables.map(({ name }) => String(name)),
    ['Cat'],
  );
});

test('a mistake in a schema file is reported with its file and line', (t) => {
  const files = {
    'skein/skein.yaml': 'schemas: [a.graphql]',
    'skein/a.graphql': '\ntype A @table',
  };
  t.true(messageOf(t, { files }).includes(`${join(t.context.home, 'skein/a.graphql')} line 2: `));
});

test('a schema file that is missing is an error', (t) => {
  const files = { 'skein/skein.yaml': 'schemas: [missing.graphql]' };
  t.regex(messageOf(t, { files }), /cannot read .*missing\.graphql: ENOENT/);
});

test('two nodes are loaded with different settings in one process', (t) => {
  const one = load(t, { environment: { REPLICATION_HOSTNAME: 'one' } }).config;
  const two = load(t, { environment: { REPLICATION_HOSTNAME: 'two' } }).config;
  t.deepEqual([one.node.name, two.node.name].map(String), ['one', 'two']);
});
