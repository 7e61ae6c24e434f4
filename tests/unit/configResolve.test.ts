/**
 * What a settled configuration is: defaults, names, addresses, and what is refused or warned about, word for word.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { durationMs } from '../../config/durations.js';
import { editDistance, nearest } from '../../config/nearest.js';
import { resolveConfig, type ResolveExtras } from '../../config/resolve.js';
import type { Config, ConfigInput } from '../../config/types.js';
import { refuseUnavailable } from '../../config/unavailable.js';
import { SkeinError } from '../../protocol/errors.js';

const HOME = { homeDirectory: '/home/user' };
const PROGRAM = { ...HOME, openDefaultPorts: true };

const settle = (input: ConfigInput, extras: ResolveExtras = HOME): Config =>
  resolveConfig(input, extras).config;
const warningsOf = (input: ConfigInput, extras: ResolveExtras = HOME): readonly string[] =>
  resolveConfig(input, extras).warnings;
const listeners = (input: ConfigInput, extras: ResolveExtras): Record<string, unknown> => {
  const { replication, operationsApi, debug } = settle(input, extras);
  const { insecure, secure } = replication;
  return { insecure, secure, operationsApi: operationsApi.listen, debug: debug.listen };
};

test('an empty input gives the documented defaults', (t) => {
  const config: unknown = settle({});
  t.deepEqual(config, {
    rootPath: '/home/user/skein',
    node: { name: '127.0.0.1', url: 'wss://127.0.0.1:9933' },
    replication: {
      routes: [],
      routeDirection: 'peer',
      databases: '*',
      allowInsecure: false,
      enableRootCAs: false,
      certificateVerification: true,
      maxClockSkewMs: 60_000,
      tombstoneRetentionMs: 10 * 86_400_000,
      maxTransactionBytes: 64 * 1024 * 1024,
      maxPayloadBytes: 4 * 1024 * 1024,
      pingIntervalMs: 30_000,
      pingTimeoutMs: 60_000,
      readyWaitMs: 10_000,
    },
    operationsApi: {},
    debug: { allowCrash: false },
    storage: {
      engine: 'level',
      path: '/home/user/skein/database',
      writeAsync: false,
      maxTransactionQueueMs: 45_000,
    },
    authentication: {
      authorizeLocal: false,
      cacheTtlMs: 30_000,
      operationTokenMs: 86_400_000,
      refreshTokenMs: 2_592_000_000,
    },
    logging: { level: 'warn', auditRetentionMs: 3 * 86_400_000 },
    tls: [],
    tables: [],
  });
});

test('the configuration is frozen through and through', (t) => {
  const config = settle({
    replication: { port: 1, routes: ['b'], databases: ['data'] },
    schema: 'type T @table { id: ID }',
  });
  const notFrozen = everyObject(config).filter((value) => !Object.isFrozen(value));
  t.deepEqual(notFrozen, []);
  t.true(everyObject(config).length > 15);
});

test('settling does not change the input', (t) => {
  const input = { replication: { hostname: 'A', routes: [{ host: 'B', port: 1 }] } };
  const before = structuredClone(input);
  settle(input);
  t.deepEqual(input, before);
  t.false(Object.isFrozen(input.replication.routes));
});

test('an embedded node opens only what it is told to', (t) => {
  t.deepEqual(listeners({ replication: { hostname: 'a', routes: ['b'] } }, HOME), {
    insecure: undefined,
    secure: undefined,
    operationsApi: undefined,
    debug: undefined,
  });
  t.deepEqual(listeners({ debug: { port: 0 } }, HOME)['debug'], { host: '127.0.0.1', port: 0 });
});

test('a program that is told nothing opens its operations API and debug endpoint on loopback', (t) => {
  t.deepEqual(listeners({}, PROGRAM), {
    insecure: undefined,
    secure: undefined,
    operationsApi: { host: '127.0.0.1', port: 9925 },
    debug: { host: '127.0.0.1', port: 9927 },
  });
});

test('a program that is told about a cluster takes part in it over TLS', (t) => {
  t.deepEqual(listeners({ replication: { hostname: 'server-one' } }, PROGRAM), {
    insecure: undefined,
    secure: { host: '::', port: 9933 },
    operationsApi: { host: '::', port: 9925 },
    debug: { host: '127.0.0.1', port: 9927 },
  });
});

test('null switches a port off', (t) => {
  const input = {
    replication: { hostname: 'a', securePort: null },
    operationsApi: { network: { port: null } },
    debug: { port: null },
  };
  const off = {
    insecure: undefined,
    secure: undefined,
    operationsApi: undefined,
    debug: undefined,
  };
  t.deepEqual(listeners(input, PROGRAM), off);
});

for (const hostname of ['127.0.0.2', '::1', '::ffff:127.0.0.2']) {
  test(`a node named ${hostname} has all its ports on that address`, (t) => {
    const host = hostname === '::1' ? '::1' : '127.0.0.2';
    t.deepEqual(listeners({ replication: { hostname, port: 9933 } }, PROGRAM), {
      insecure: { host, port: 9933 },
      secure: undefined,
      operationsApi: { host, port: 9925 },
      debug: { host, port: 9927 },
    });
  });
}

test('replication.hostname decides about the addresses even if node.hostname is the name', (t) => {
  const input = {
    node: { hostname: 'one' },
    replication: { hostname: '127.0.0.2', port: 1, url: 'ws://127.0.0.2:1' },
  };
  t.deepEqual(listeners(input, HOME)['insecure'], { host: '127.0.0.2', port: 1 });
});

test('a port may say its address', (t) => {
  const input = {
    replication: { hostname: '127.0.0.2', port: '127.0.0.3:9933' },
    debug: { port: '[::1]:9927' },
    operationsApi: { network: { port: '9925' } },
  };
  t.deepEqual(listeners(input, HOME), {
    insecure: { host: '127.0.0.3', port: 9933 },
    secure: undefined,
    operationsApi: { host: '127.0.0.2', port: 9925 },
    debug: { host: '::1', port: 9927 },
  });
});

const NAMES: readonly (readonly [ConfigInput, string])[] = [
  [{ node: { hostname: 'One' }, replication: { hostname: 'two' } }, 'one'],
  [{ replication: { hostname: 'Two.' } }, 'two'],
  [{ replication: { hostname: 1234 } }, '1234'],
  [{ replication: { url: 'memory://three' } }, 'three'],
  [{ replication: { url: 'ws://three:1' } }, '127.0.0.1'],
  [{ operationsApi: { network: { port: '127.0.0.4:9925' } } }, '127.0.0.4'],
  [{ operationsApi: { network: { port: '0.0.0.0:9925' } } }, '127.0.0.1'],
  [{ replication: { port: '127.0.0.5:9933' } }, '127.0.0.5'],
  [{ replication: { securePort: '127.0.0.6:9933', port: '127.0.0.5:9932' } }, '127.0.0.6'],
];

for (const [input, name] of NAMES) {
  test(`with ${JSON.stringify(input)} the node is called ${name}`, (t) => {
    t.is(String(settle(input).node.name), name);
  });
}

const URLS: readonly (readonly [ConfigInput, string])[] = [
  [{ replication: { hostname: '127.0.0.2', port: 9940 } }, 'ws://127.0.0.2:9940'],
  [{ replication: { hostname: '::1', port: 9940 } }, 'ws://[::1]:9940'],
  [{ replication: { hostname: 'a', port: 9940, securePort: 9941 } }, 'wss://a:9941'],
  [{ replication: { hostname: 'a', port: 9940, url: 'ws://b:1' } }, 'ws://b:1'],
  [{ node: { url: 'ws://c:1' }, replication: { url: 'ws://b:1' } }, 'ws://c:1'],
  [{ replication: { url: 'memory://A' } }, 'memory://a'],
];

for (const [input, url] of URLS) {
  test(`with ${JSON.stringify(input)} other nodes dial ${url}`, (t) => {
    t.is(settle(input).node.url, url);
  });
}

const PROBLEMS: readonly (readonly [unknown, string])[] = [
  [[], 'the configuration must be an object with keys'],
  [{ replicaton: {} }, "unknown key 'replicaton', did you mean 'replication'?"],
  [
    { replication: { securPort: 1 } },
    "unknown key 'replication.securPort', did you mean 'replication.securePort'?",
  ],
  [{ thred: 4 }, "unknown key 'thred', did you mean 'threads'?"],
  [{ hostname: 'a' }, "unknown key 'hostname', did you mean 'replication.hostname'?"],
  [
    { replication: { routes: [{ hostnme: 'a' }] } },
    "unknown key 'replication.routes.0.hostnme', did you mean 'replication.routes.0.hostname'?",
  ],
  [
    { replication: { port: 70000 } },
    `'replication.port' must be a port number up to 65535, "host:port", or null for off, not 70000`,
  ],
  [{ replication: { port: 'host:70000' } }, "'replication.port' must be a port number up to 65535"],
  [
    { replication: { databases: null } },
    `'replication.databases' must be "*" or a list of databases`,
  ],
  [
    { replication: { databases: 'data' } },
    `'replication.databases' must be "*" or a list of databases, not "data"`,
  ],
  [
    { replication: { databases: ['../x'] } },
    "'replication.databases.0' must be the name of a database: names cannot include backticks or forward slashes",
  ],
  [
    { replication: { databases: ['..'] } },
    "'replication.databases.0' must be the name of a database: names cannot consist of dots",
  ],
  [
    { replication: { databases: [{}] } },
    "'replication.databases.0' must be the name of a database: names have 1 to 250 characters",
  ],
  [
    { replication: { hostname: 'a/b' } },
    `'replication.hostname': "a/b" is no node name: it contains "/"`,
  ],
  [
    { replication: { url: 'http://a' } },
    "'replication.url': a URL must begin with ws://, wss:// or memory://, not http://",
  ],
  [
    { replication: { pingInterval: '30s' } },
    `'replication.pingInterval' must be a whole number of milliseconds, at least 10, not "30s"`,
  ],
  [
    { logging: { auditRetention: '3 weeks' } },
    `'logging.auditRetention' must be a duration such as 45s, 10m, 2h, 3d or 1M; a bare number is seconds, not "3 weeks"`,
  ],
  [
    { logging: { level: 'loud' } },
    `'logging.level' must be one of trace, debug, info, notify, warn, error, fatal, not "loud"`,
  ],
  [{ debug: { allowCrash: 'yes' } }, `'debug.allowCrash' must be true or false, not "yes"`],
  [{ authentication: { adminPassword: 123 } }, "'authentication.adminPassword' must be text"],
  [
    { authentication: { adminUsername: 'a' } },
    "'authentication.adminUsername' and 'authentication.adminPassword' must be given together",
  ],
  [
    { debug: { port: 9925 }, operationsApi: { network: { port: 9925 } } },
    "'operationsApi.network.port' and 'debug.port' are both 9925, each needs its own",
  ],
  [
    { schemas: ['a.graphql'] },
    "'schemas' names files, which only a node that runs as a program reads; give their text as 'schema'",
  ],
  [
    { operationsApi: { network: { securePort: 9925 } }, http: { mtls: true } },
    "'http.mtls.certificateAuthority' must name the authority of the clients",
  ],
  [
    { operationsApi: { network: { port: 9925, securePort: 9925 } } },
    "'operationsApi.network.securePort' and 'operationsApi.network.port' are both 9925, each needs its own",
  ],
  [
    { http: { mtls: { certificateVerification: true } } },
    "'http.mtls.certificateVerification' is not supported: the revocation of client certificates is not checked by this version",
  ],
  [
    { replication: { shard: 1 } },
    "'replication.shard' is not supported: this version keeps every record on every node; remove the key to replicate to all nodes",
  ],
  [
    { replication: { mtls: { certificateVerification: { crl: { timeout: 1 } } } } },
    "'replication.mtls.certificateVerification.crl.timeout' must be a whole number of milliseconds, at least 1000, not 1",
  ],
];

for (const [input, problem] of PROBLEMS) {
  test(`${JSON.stringify(input)} is refused: ${problem.slice(0, 60)}`, (t) => {
    const error = t.throws(() => resolveConfig(input as ConfigInput, HOME), {
      instanceOf: SkeinError,
    });
    t.is(error?.code, 'INVALID_CONFIGURATION');
    t.is(error?.message, `Skein config file validation error: ${problem}`);
  });
}

test('all problems are reported together', (t) => {
  const input = { rootPth: 'x', debug: { port: -1 }, storage: { engine: 'sqlite' } };
  const error = t.throws(() => resolveConfig(input as never, HOME));
  t.regex(
    error?.message ?? '',
    /error: .*rootPth.*rootPath'\? .*debug\.port.*not -1\. .*storage\.engine.*, not "sqlite"$/,
  );
});

test('a key that would reach the prototype of an object is an unknown key', (t) => {
  const input = JSON.parse('{"replication":{"__proto__":{"port":1}}}') as ConfigInput;
  t.throws(() => settle(input), { message: /unknown key 'replication.__proto__'/ });
});

test('keys of the compatible product that mean nothing here are warned about once, and only the topmost', (t) => {
  const input = {
    mqtt: { network: { port: 1883 } },
    threads: 4,
    replication: { blobTimeout: 1, copyTimeCheckpointInterval: 2, recordConcurrency: 3 },
    storage: { compression: true, reclamation: { threshold: 0.4 } },
    operationsApi: { network: { cors: true } },
  };
  t.deepEqual(warningsOf(input), [
    "'mqtt' has no effect in Skein",
    "'threads' has no effect in Skein",
    "'replication.blobTimeout' has no effect in Skein",
    "'replication.copyTimeCheckpointInterval' has no effect in Skein",
    "'replication.recordConcurrency' has no effect in Skein",
    "'storage.compression' has no effect in Skein",
    "'storage.reclamation' has no effect in Skein",
    "'operationsApi.network.cors' has no effect in Skein",
  ]);
});

test('the operations API is served over TLS beside or in place of HTTP', (t) => {
  const api = (network: { port?: number; securePort?: number }): object =>
    settle({ replication: { hostname: '127.0.0.3' }, operationsApi: { network } }, PROGRAM)
      .operationsApi;
  t.deepEqual(api({}), { listen: { host: '127.0.0.3', port: 9925 } });
  t.deepEqual(api({ securePort: 9925 }), { secure: { host: '127.0.0.3', port: 9925 } });
  t.deepEqual(api({ port: 9925, securePort: 9926 }), {
    listen: { host: '127.0.0.3', port: 9925 },
    secure: { host: '127.0.0.3', port: 9926 },
  });
});

test('client certificates count when their authority is named for them', (t) => {
  const network = { securePort: 9925 };
  const mtls = (more: ConfigInput): unknown => settle(more).operationsApi.mtls;
  const given = { required: true, user: 'robot', certificateAuthority: '/etc/clients.pem' };
  t.deepEqual(mtls({ operationsApi: { network }, http: { mtls: given } }), {
    required: true,
    user: 'robot',
    authority: { file: '/etc/clients.pem' },
  });
  const tls = { certificateAuthority: '/etc/api.pem' };
  t.deepEqual(mtls({ operationsApi: { network, tls }, http: { mtls: true } }), {
    required: false,
    authority: { file: '/etc/api.pem' },
  });
  // Who may be a node may not therefore be a user.
  t.throws(() => mtls({ operationsApi: { network }, tls, http: { mtls: true } }), {
    message: /must name the authority of the clients/,
  });
  t.is(mtls({ operationsApi: { network }, http: { mtls: false } }), undefined);
});

test('documented keys of features that are not built are warned about', (t) => {
  const input = {
    http: { port: 9926, mtls: true },
    replication: { failOver: false },
    logging: { auditLog: false },
  };
  t.deepEqual(warningsOf(input), [
    'not supported by this version: http.port',
    'not supported by this version: replication.failOver',
    'not supported by this version: logging.auditLog',
    'http.mtls has no effect without operationsApi.network.securePort',
  ]);
});

test('what a file of the compatible product says about the usual needs no word', (t) => {
  const input = {
    replication: { enableRootCAs: false, failOver: true, mtls: true, hostname: null, url: null },
    logging: { auditLog: true, file: false, stdStreams: true, root: null },
    node: { hostname: null },
    tls: { certificate: null },
    http: null,
  };
  t.deepEqual(warningsOf(input as unknown as ConfigInput), []);
});

test('the storage engines of the compatible product are read as level', (t) => {
  const input = { storage: { engine: 'rocksdb' } } as unknown as ConfigInput;
  t.is(settle(input).storage.engine, 'level');
  t.deepEqual(warningsOf(input), ["storage.engine 'rocksdb' is read as level"]);
});

test('a name that is no IP address is warned about on the insecure port', (t) => {
  t.deepEqual(warningsOf({ replication: { hostname: 'server-one', port: 9933 } }), [
    "replication.port knows nodes by their IP address, and 'server-one' is none: set replication.hostname to it",
  ]);
});

test('databases are names or objects with names, each once', (t) => {
  const databases = ['data', { name: 'other' }, 'data', { name: 'system', sharded: false }];
  const settled: unknown = settle({ replication: { databases } }).replication.databases;
  t.deepEqual(settled, [{ name: 'data' }, { name: 'other' }, { name: 'system' }]);
  t.is(settle({ replication: { databases: ['data', '*'] } }).replication.databases, '*');
  t.deepEqual(settle({ replication: { databases: [] } }).replication.databases, []);
});

test('pingTimeout follows pingInterval', (t) => {
  t.is(settle({ replication: { pingInterval: 100 } }).replication.pingTimeoutMs, 200);
  t.is(
    settle({ replication: { pingInterval: 100, pingTimeout: 50 } }).replication.pingTimeoutMs,
    50,
  );
});

test('paths: ~ is the home directory, storage.path is within the root path', (t) => {
  const paths = (input: ConfigInput, extras: ResolveExtras): string[] => {
    const { rootPath, storage } = settle(input, extras);
    return [rootPath, storage.path];
  };
  t.deepEqual(paths({ rootPath: '~/a' }, HOME), ['/home/user/a', '/home/user/a/database']);
  t.deepEqual(paths({ rootPath: '/a', storage: { path: 'b' } }, {}), ['/a', '/a/b']);
  t.deepEqual(paths({ rootPath: '/a', storage: { path: '/b' } }, {}), ['/a', '/b']);
  t.deepEqual(paths({ rootPath: 'a' }, { currentDirectory: '/c' }), ['/c/a', '/c/a/database']);
});

test('without a home directory the root path must be given, except to a memory node', (t) => {
  t.throws(() => settle({}, {}), {
    message: /'rootPath' must be given, the home directory is not known/,
  });
  t.is(settle({ storage: { engine: 'memory' } }, {}).rootPath, '');
});

test('tables come from the caller and from schema, and none twice', (t) => {
  const schema = 'type Dog @table { id: ID }';
  const { tables } = settle({ schema });
  t.deepEqual(
    tables.map(({ name }) => String(name)),
    ['Dog'],
  );
  t.throws(() => settle({ schema }, { ...HOME, tables }), {
    message: 'Skein config file validation error: table data.Dog is defined twice',
  });
});

test('a port without TLS beyond loopback has to be allowed in so many words', (t) => {
  const beyond = { hostname: 'a', port: 9933 };
  t.throws(() => refuseUnavailable(settle({ replication: beyond })), {
    code: 'INSECURE_ADDRESS',
    message: /^replication\.port: refuses to listen on :: without TLS; use replication\.securePort/,
  });
  t.throws(() => refuseUnavailable(settle({ replication: { port: '10.0.0.1:9933' } })), {
    code: 'INSECURE_ADDRESS',
  });
  t.notThrows(() => refuseUnavailable(settle({ replication: { ...beyond, allowInsecure: true } })));
  t.notThrows(() => refuseUnavailable(settle({ replication: { port: '127.0.0.9:9933' } })));
  t.notThrows(() => refuseUnavailable(settle({ replication: { hostname: 'a' } }, PROGRAM)));
});

test('certificates are settled with absolute paths, or taken as they stand', (t) => {
  const pem = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----';
  const { tls, operationsApi } = settle({
    tls: [
      { certificate: 'a.pem', host: 'a', hosts: ['b'], uses: 'replication', ciphers: 'X' },
      { certificate: '/b.pem', privateKey: 'b.key' },
      { certificateAuthority: pem },
    ],
    operationsApi: { tls: { certificate: 'api.pem' } },
  });
  const root = '/home/user/skein';
  t.deepEqual<unknown, unknown>(tls, [
    {
      certificate: { file: `${root}/a.pem` },
      privateKey: { file: `${root}/keys/privateKey.pem` },
      hostnames: ['a', 'b'],
      uses: ['replication'],
      ciphers: 'X',
    },
    {
      certificate: { file: '/b.pem' },
      privateKey: { file: `${root}/b.key` },
      hostnames: [],
      uses: [],
    },
    { authority: { text: pem }, hostnames: [], uses: [] },
  ]);
  t.deepEqual(operationsApi.tls?.[0]?.certificate, { file: `${root}/api.pem` });
  t.deepEqual(settle({ tls: { certificate: 'a.pem' } }).tls.length, 1);
  t.throws(() => settle({ tls: [{ privateKey: 'a.key' }] }), {
    message: /'tls\.0' must name a certificate or a certificateAuthority/,
  });
});

test('certificates of clients cannot be turned off on the TLS port', (t) => {
  t.throws(() => settle({ replication: { mtls: false } }), {
    message: /'replication\.mtls' cannot be turned off; use replication\.port instead/,
  });
  const { replication } = settle({ replication: { mtls: { certificateVerification: false } } });
  t.false(replication.certificateVerification);
});

const DURATIONS: readonly (readonly [number | string, number | undefined])[] = [
  [45, 45_000],
  [0.5, 500],
  [1.0005, 1001],
  ['45', 45_000],
  ['45s', 45_000],
  ['10m', 600_000],
  ['1.5h', 5_400_000],
  ['2H', 7_200_000],
  ['3d', 259_200_000],
  ['3D', 259_200_000],
  ['1M', 2_592_000_000],
  [' 3 d ', 259_200_000],
  ['', undefined],
  ['d', undefined],
  ['3w', undefined],
  ['-3d', undefined],
  [-1, undefined],
  [Number.NaN, undefined],
  [1e300, undefined],
];

for (const [text, ms] of DURATIONS) {
  test(`the duration ${JSON.stringify(text)} (${typeof text}) is ${ms} ms`, (t) => {
    t.is(durationMs(text), ms);
  });
}

test('the nearest name needs the fewest edits', (t) => {
  t.is(nearest('prot', ['path', 'port', 'pots']), 'port');
  t.is(nearest('SECUREPORT', ['port', 'securePort']), 'securePort');
  t.is(nearest('x', []), undefined);
  t.is(editDistance('prot', 'port'), 1);
});

test('the edit distance is a distance', (t) => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(word, word, (one, other) => {
      const edits = editDistance(one, other);
      t.is(edits, editDistance(other, one));
      t.is(edits === 0, one === other);
      t.true(edits >= Math.abs(one.length - other.length));
      t.true(edits <= Math.max(one.length, other.length));
    }),
  );
});

test('an address for all interfaces collides with every other, and port 0 with none', (t) => {
  const ports = (debug: string, operationsApi: string): ConfigInput => ({
    debug: { port: debug },
    operationsApi: { network: { port: operationsApi } },
  });
  const taken = [
    ports('127.0.0.1:9000', '0.0.0.0:9000'),
    ports('[::]:9000', '127.0.0.1:9000'),
    ports('127.0.0.1:9000', '127.0.0.1:9000'),
  ];
  for (const input of taken) t.throws(() => settle(input), { message: /each needs its own$/ });
  t.notThrows(() => settle(ports('127.0.0.1:0', '127.0.0.1:0')));
  t.notThrows(() => settle(ports('127.0.0.1:9000', '127.0.0.2:9000')));
});

test('any input is settled or refused as INVALID_CONFIGURATION, and never breaks', (t) => {
  const keys = fc.constantFrom('replication', 'storage', 'debug', 'port', 'routes', 'schema', 'x');
  const input = fc.letrec((tie) => ({
    value: fc.oneof(fc.jsonValue(), fc.dictionary(keys, tie('value'), { maxKeys: 3 })),
  })).value;
  fc.assert(
    fc.property(input, (value) => {
      try {
        t.true(Object.isFrozen(settle(value as ConfigInput)));
      } catch (error) {
        t.is((error as SkeinError).code, 'INVALID_CONFIGURATION', String(error));
      }
    }),
    { numRuns: 300 },
  );
});

function everyObject(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(everyObject)];
}
