/** What the cluster operations accept, how they are spelled afterwards, and the words they are refused with. */
import test, { type ExecutionContext } from 'ava';

import { SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import { validateOperation } from '../../protocol/validate.js';

const refused = (t: ExecutionContext, body: unknown, message: string): void => {
  const error = t.throws(() => validateOperation(body), { instanceOf: SkeinError });
  t.is(error.message, message);
  t.is(error.code, 'INVALID_REQUEST');
  t.is(error.statusCode, 400);
};

/** base64 of `ann:se:cret` and of `jörg:` in UTF-8. */
const ANN = 'Basic YW5uOnNlOmNyZXQ=';
const JOERG = 'Basic asO2cmc6';

const accepted: [title: string, body: object, normalised: object][] = [
  [
    'add_node takes a hostname alone',
    { operation: 'add_node', hostname: 'server-two' },
    { operation: 'add_node', hostname: 'server-two' },
  ],
  [
    'set_node is add_node, node_name is hostname, rejectUnauthorized is verify_tls',
    { operation: 'set_node', node_name: 'server-two', rejectUnauthorized: false },
    { operation: 'add_node', hostname: 'server-two', verify_tls: false },
  ],
  [
    'hostname wins over node_name, and node_name over name',
    { operation: 'remove_node', name: 'c', node_name: 'b', hostname: 'a' },
    { operation: 'remove_node', hostname: 'a' },
  ],
  [
    'node_name wins over name',
    { operation: 'remove_node', name: 'c', node_name: 'b' },
    { operation: 'remove_node', hostname: 'b' },
  ],
  [
    'remove_node takes a URL alone, as it is given',
    { operation: 'remove_node', url: 'WSS://B:9933/' },
    { operation: 'remove_node', url: 'WSS://B:9933/' },
  ],
  [
    'verify_tls wins over rejectUnauthorized',
    { operation: 'add_node', name: 'b', verify_tls: true, rejectUnauthorized: false },
    { operation: 'add_node', hostname: 'b', verify_tls: true },
  ],
  [
    'every field of add_node is kept, unknown ones are left out',
    {
      operation: 'add_node',
      hostname: 'b:9934',
      url: 'wss://b:9933',
      verify_tls: false,
      authorization: { username: 'ann', password: 'se:cret', extra: 1 },
      retain_authorization: true,
      revoked_certificates: ['1769F7D6A', 'nonsense'],
      shard: 65_535,
      start_time: 1_704_067_200_000,
      subscriptions: [
        { schema: 'dev', table: 'dog', publish: true, subscribe: true, colour: 'red' },
        { table: 'cat' },
      ],
      replicates: {
        sends: true,
        receives: false,
        sendsTo: ['c'],
        receivesFrom: [{ source: 'd', database: 'data', excludeTables: ['dog'] }],
      },
      sendsTo: ['c', { target: 'd' }, { database: 'dev' }, {}],
      receivesFrom: ['c', { source: 'd', excludeTables: [] }],
      isLeader: true,
      force_signing: false,
      colour: 'red',
    },
    {
      operation: 'add_node',
      hostname: 'b:9934',
      url: 'wss://b:9933',
      verify_tls: false,
      authorization: ANN,
      retain_authorization: true,
      revoked_certificates: ['1769F7D6A', 'nonsense'],
      shard: 65_535,
      start_time: 1_704_067_200_000,
      subscriptions: [
        { database: 'dev', table: 'dog', publish: true, subscribe: true },
        { database: 'data', table: 'cat', publish: false, subscribe: false },
      ],
      replicates: {
        sends: true,
        receives: false,
        sendsTo: [{ target: 'c' }],
        receivesFrom: [{ source: 'd', database: 'data', excludeTables: ['dog'] }],
      },
      sendsTo: [{ target: 'c' }, { target: 'd' }, { database: 'dev' }, {}],
      receivesFrom: [{ source: 'c' }, { source: 'd', excludeTables: [] }],
      isLeader: true,
      force_signing: false,
    },
  ],
  [
    'a password may be empty, and credentials are in UTF-8',
    { operation: 'add_node', url: 'wss://b', authorization: { username: 'jörg', password: '' } },
    { operation: 'add_node', url: 'wss://b', authorization: JOERG },
  ],
  [
    'a header stays as it is',
    { operation: 'add_node', url: 'wss://b', authorization: 'Bearer abc.def-_~+/=' },
    { operation: 'add_node', url: 'wss://b', authorization: 'Bearer abc.def-_~+/=' },
  ],
  [
    'update_node takes what add_node takes',
    { operation: 'update_node', node_name: 'b', replicates: false, subscriptions: [], shard: 0 },
    { operation: 'update_node', hostname: 'b', replicates: false, subscriptions: [], shard: 0 },
  ],
  [
    'connections are folded one by one',
    {
      operation: 'configure_cluster',
      connections: [
        { name: 'b', rejectUnauthorized: false, operation: 'add_node', extra: 1 },
        { url: 'wss://c', start_time: '2024-01-01T00:00:00Z', sendsTo: ['b'] },
      ],
    },
    {
      operation: 'configure_cluster',
      connections: [
        { hostname: 'b', verify_tls: false },
        { url: 'wss://c', start_time: 1_704_067_200_000, sendsTo: [{ target: 'b' }] },
      ],
    },
  ],
  [
    'a cluster may be configured to have no other node',
    { operation: 'configure_cluster', connections: [] },
    { operation: 'configure_cluster', connections: [] },
  ],
  [
    'routes stay as they are given',
    {
      operation: 'cluster_set_routes',
      routes: [
        'b',
        'wss://c:9933',
        { host: 'd', port: 9934, startTime: '2024-01-01' },
        { hostname: 'e', url: 'wss://e:1', revokedCertificates: [], shard: 3 },
      ],
    },
    {
      operation: 'cluster_set_routes',
      routes: [
        'b',
        'wss://c:9933',
        { host: 'd', port: 9934, startTime: '2024-01-01' },
        { hostname: 'e', url: 'wss://e:1', revokedCertificates: [], shard: 3 },
      ],
    },
  ],
  [
    'routes to delete are written the same way',
    { operation: 'cluster_delete_routes', routes: [{ host: 'd' }] },
    { operation: 'cluster_delete_routes', routes: [{ host: 'd' }] },
  ],
  [
    'cluster_get_routes has no fields',
    { operation: 'cluster_get_routes', routes: 5 },
    { operation: 'cluster_get_routes' },
  ],
];

for (const [title, body, normalised] of accepted) {
  test(title, (t) => {
    t.deepEqual<unknown, unknown>(validateOperation(body), normalised);
  });
}

const times: [start_time: unknown, milliseconds: number][] = [
  [0, 0],
  [8.64e15, 8.64e15],
  ['2024-01-01T00:00:00Z', 1_704_067_200_000],
  ['2024-01-01T00:00Z', 1_704_067_200_000],
  ['2024-01-01T01:00:00.250+01:00', 1_704_067_200_250],
  ['2024-01-01T00:00:00.123456789Z', 1_704_067_200_123],
  ['2023-12-31T19:00:00-05:00', 1_704_067_200_000],
  ['2024-02-29T00:00:00Z', 1_709_164_800_000],
];

test('a start time is read into milliseconds', (t) => {
  for (const [start_time, milliseconds] of times) {
    const operation = validateOperation({ operation: 'add_node', hostname: 'b', start_time });
    t.deepEqual(operation, { operation: 'add_node', hostname: 'b', start_time: milliseconds });
  }
});

const badTimes: [start_time: unknown, received: string][] = [
  ['2024-01-01T00:00:00', '2024-01-01T00:00:00'],
  ['2024-01-01', '2024-01-01'],
  ['2023-02-29T00:00:00Z', '2023-02-29T00:00:00Z'],
  ['2024-13-01T00:00:00Z', '2024-13-01T00:00:00Z'],
  ['2024-01-01T25:00:00Z', '2024-01-01T25:00:00Z'],
  ['1704067200000', '1704067200000'],
  ['-1969-01-01T00:00:00Z', '-1969-01-01T00:00:00Z'],
  ['1969-12-31T23:59:59Z', '1969-12-31T23:59:59Z'],
  ['', ''],
  ['x'.repeat(500), 'x'.repeat(100)],
  [-1, '-1'],
  [1.5, '1.5'],
  [NaN, 'NaN'],
  [8.64e15 + 1, '8640000000000001'],
  [true, 'true'],
  [null, 'null'],
  [{ toString: 1 }, 'object'],
  [[1], 'object'],
];

test('a start time without a zone, or that is no time, is refused in the documented words', (t) => {
  for (const [start_time, received] of badTimes) {
    const words = `start_time must be an ISO 8601 UTC timestamp (e.g. 2024-01-01T00:00:00Z) or epoch milliseconds, received "${received}"`;
    refused(t, { operation: 'add_node', hostname: 'b', start_time }, words);
    const connections = [{ hostname: 'a' }, { hostname: 'b', start_time }];
    refused(t, { operation: 'configure_cluster', connections }, `connections[1].${words}`);
  }
});

const AUTHORIZATION =
  "'authorization' must be an object with username and password, or a text that begins with 'Basic ' or 'Bearer '";

const badAuthorizations: [authorization: unknown, message: string][] = [
  ['secret', AUTHORIZATION],
  ['basic abc', AUTHORIZATION],
  ['Basic ', AUTHORIZATION],
  ['Bearer a b', AUTHORIZATION],
  ['Bearer a\r\nHost: evil', AUTHORIZATION],
  ['Bearer é', AUTHORIZATION],
  [5, AUTHORIZATION],
  [null, AUTHORIZATION],
  [['Basic', 'abc'], AUTHORIZATION],
  [{}, "'authorization.username' is required. 'authorization.password' is required"],
  [
    { username: 5, password: null },
    "'authorization.username' must be a string. 'authorization.password' must be a string",
  ],
  [{ username: '', password: 'x' }, "'authorization.username' is not allowed to be empty"],
  [{ username: 'a:b', password: 'x' }, "'authorization.username' must not contain a colon"],
  [
    `Bearer ${'x'.repeat(9_994)}`,
    "'authorization' length must be less than or equal to 10000 characters long",
  ],
  [
    { username: 'ann', password: 'x'.repeat(9_000) },
    "'authorization' length must be less than or equal to 10000 characters long",
  ],
  [
    JSON.parse('{"username":"a","password":"b","__proto__":{}}'),
    "'authorization' names cannot be '__proto__'",
  ],
];

test('authorization that is neither credentials nor a header is refused without repeating it', (t) => {
  for (const [authorization, message] of badAuthorizations)
    refused(t, { operation: 'add_node', hostname: 'b', authorization }, message);
});

test('the longest header is accepted', (t) => {
  const authorization = `Bearer ${'x'.repeat(9_993)}`;
  t.like(validateOperation({ operation: 'add_node', hostname: 'b', authorization }), {
    authorization,
  });
});

const node = { operation: 'add_node', hostname: 'b' };

const refusals: [title: string, body: unknown, message: string][] = [
  [
    'add_node needs a hostname or a URL',
    { operation: 'add_node' },
    'url required for this operation',
  ],
  [
    'set_node speaks as add_node does, with the other problems',
    { operation: 'set_node', shard: 1.5 },
    "'shard' must be an integer. url required for this operation",
  ],
  [
    'update_node needs a hostname, a URL is not enough',
    { operation: 'update_node', url: 'wss://b' },
    "'hostname' is required",
  ],
  [
    'remove_node needs a hostname or a URL',
    { operation: 'remove_node', target: 'b' },
    'url or hostname is required for remove_node operation',
  ],
  [
    'a hostname and a URL are texts',
    { operation: 'add_node', hostname: 5, url: ['wss://b'] },
    "'hostname' must be a string. 'url' must be a string",
  ],
  [
    'null is no hostname',
    { operation: 'remove_node', hostname: null },
    "'hostname' must be a string",
  ],
  [
    'a problem names the hostname as the user spelled it',
    { operation: 'update_node', node_name: '', url: ' \t' },
    "'node_name' is not allowed to be empty. 'url' is not allowed to be empty",
  ],
  [
    'a hostname and a URL are bounded',
    { operation: 'remove_node', name: 'x'.repeat(251), url: 'x'.repeat(2_001) },
    "'name' length must be less than or equal to 250 characters long. 'url' length must be less than or equal to 2000 characters long",
  ],
  [
    'half a surrogate pair is no hostname',
    { operation: 'add_node', hostname: '\ud800' },
    "'hostname' must not contain half a surrogate pair",
  ],
  [
    'flags are booleans',
    {
      ...node,
      rejectUnauthorized: 'no',
      retain_authorization: 1,
      isLeader: null,
      force_signing: {},
    },
    "'rejectUnauthorized' must be a boolean. 'retain_authorization' must be a boolean. 'isLeader' must be a boolean. 'force_signing' must be a boolean",
  ],
  ['a shard is not negative', { ...node, shard: -1 }, "'shard' must be greater than or equal to 0"],
  [
    'a shard is at most 65535',
    { ...node, shard: 65_536 },
    "'shard' must be less than or equal to 65535",
  ],
  [
    'revoked certificates are texts',
    { ...node, revoked_certificates: ['1A', 5, '', 'x'.repeat(251), null] },
    "'revoked_certificates[1]' must be a string. 'revoked_certificates[2]' is not allowed to be empty. 'revoked_certificates[3]' length must be less than or equal to 250 characters long. 'revoked_certificates[4]' must be a string",
  ],
  [
    'revoked certificates are a list',
    { ...node, revoked_certificates: '1A' },
    "'revoked_certificates' must be an array",
  ],
  [
    'revoked certificates are bounded',
    { ...node, revoked_certificates: Array.from({ length: 10_001 }, () => '1A') },
    "'revoked_certificates' must contain less than or equal to 10000 items",
  ],
  [
    'a subscription names a table',
    { ...node, subscriptions: [5, {}, { table: 'a/b', database: '', publish: 'yes' }, null, []] },
    "'subscriptions[0]' must be of type object. 'subscriptions[1].table' is required. 'subscriptions[2].database' is not allowed to be empty. 'subscriptions[2].table' names cannot include backticks or forward slashes. 'subscriptions[2].publish' must be a boolean. 'subscriptions[3]' must be of type object. 'subscriptions[4]' must be of type object",
  ],
  [
    'subscriptions are a list',
    { ...node, subscriptions: { table: 'dog' } },
    "'subscriptions' must be an array",
  ],
  [
    'replicates is a flag or directions',
    { ...node, replicates: 'yes' },
    "'replicates' must be of type boolean, object",
  ],
  [
    'an unknown direction is refused by name',
    { ...node, replicates: { recieves: false, sends: 'no', sendsTo: [5] } },
    "'replicates.recieves' is not allowed. 'replicates.sends' must be a boolean. 'replicates.sendsTo[0]' must be of type object",
  ],
  [
    'an unknown key of a rule is refused by name',
    { ...node, sendsTo: [{ source: 'c' }, { target: 'c', excludedTables: [] }] },
    "'sendsTo[0].source' is not allowed. 'sendsTo[1].excludedTables' is not allowed",
  ],
  [
    'rules are a list',
    { ...node, sendsTo: 'c', receivesFrom: { source: 'c' } },
    "'sendsTo' must be an array. 'receivesFrom' must be an array",
  ],
  [
    'rules name nodes, databases and tables',
    {
      ...node,
      sendsTo: ['', { target: 5 }, null],
      receivesFrom: [{ source: ' ', database: 'a/b', excludeTables: ['dog', ''] }],
      replicates: { receivesFrom: [{ source: 'x'.repeat(251) }] },
    },
    "'sendsTo[2]' must be of type object. 'receivesFrom[0].database' names cannot include backticks or forward slashes. 'receivesFrom[0].excludeTables[1]' is not allowed to be empty. " +
      "'sendsTo[0].target' is not allowed to be empty. 'sendsTo[1].target' must be a string. 'receivesFrom[0].source' is not allowed to be empty. " +
      "'replicates.receivesFrom[0].source' length must be less than or equal to 250 characters long",
  ],
  [
    'connections are a list of objects',
    { operation: 'configure_cluster', connections: ['b', null, [], { hostname: 'b' }] },
    "'connections[0]' must be of type object. 'connections[1]' must be of type object. 'connections[2]' must be of type object",
  ],
  [
    'connections are given',
    { operation: 'configure_cluster', connection: [] },
    "'connections' is required",
  ],
  [
    'problems of a connection name it',
    {
      operation: 'configure_cluster',
      connections: [
        { hostname: 'b' },
        { shard: 'x' },
        { name: 5, authorization: 'secret', sendsTo: [{ target: 5 }] },
      ],
    },
    "'connections[1].shard' must be an integer. connections[1]: url required for this operation. " +
      "'connections[2].hostname' must be a string. 'connections[2].authorization' must be an object with username and password, or a text that begins with 'Basic ' or 'Bearer '. " +
      "'connections[2].sendsTo[0].target' must be a string",
  ],
  [
    'connections are bounded',
    {
      operation: 'configure_cluster',
      connections: Array.from({ length: limits.membersMax + 1 }, () => ({ hostname: 'b' })),
    },
    `'connections' must contain less than or equal to ${limits.membersMax} items`,
  ],
  ['routes are given', { operation: 'cluster_set_routes' }, "'routes' is required"],
  [
    'routes are a list',
    { operation: 'cluster_delete_routes', routes: 'b' },
    "'routes' must be an array",
  ],
  [
    'at least one route is given',
    { operation: 'cluster_set_routes', routes: [] },
    "'routes' must contain at least 1 items",
  ],
  [
    'routes are bounded',
    {
      operation: 'cluster_set_routes',
      routes: Array.from({ length: limits.membersMax + 1 }, () => 'b'),
    },
    `'routes' must contain less than or equal to ${limits.membersMax} items`,
  ],
  [
    'a route is a text or an object with a host or a URL',
    { operation: 'cluster_set_routes', routes: [5, null, [], '', {}, { port: 5 }] },
    "'routes[0]' must be of type string, object. 'routes[1]' must be of type string, object. 'routes[2]' must be of type string, object. " +
      "'routes[3]' is not allowed to be empty. routes[4]: Invalid route, must specify a url or host (with port). " +
      'routes[5]: Invalid route, must specify a url or host (with port)',
  ],
  [
    'the keys of a route are known and of their types',
    {
      operation: 'cluster_set_routes',
      routes: [
        { hostname: 5, prot: 1 },
        { host: 'x'.repeat(251), port: 0 },
        { url: '', port: 65_536, startTime: [] },
      ],
    },
    "'routes[0].prot' is not allowed. 'routes[1].port' must be greater than or equal to 1. 'routes[2].port' must be less than or equal to 65535. " +
      "'routes[2].startTime' must be of type number, string. 'routes[0].hostname' must be a string. " +
      "'routes[1].host' length must be less than or equal to 250 characters long. 'routes[2].url' is not allowed to be empty",
  ],
];

for (const [title, body, message] of refusals) test(title, (t) => refused(t, body, message));

test('a __proto__ from a parser is refused wherever it stands in a field', (t) => {
  for (const field of ['sendsTo', 'subscriptions', 'replicates', 'hostname']) {
    const body = `{"operation":"add_node","url":"ws://b","${field}":{"a":[{"__proto__":{}}]}}`;
    refused(t, JSON.parse(body), `'${field}' names cannot be '__proto__'`);
  }
  const connections = '{"operation":"configure_cluster","connections":[{"__proto__":{}}]}';
  refused(t, JSON.parse(connections), "'connections' names cannot be '__proto__'");
  const routes = '{"operation":"cluster_set_routes","routes":[{"host":"b","__proto__":{}}]}';
  refused(t, JSON.parse(routes), "'routes' names cannot be '__proto__'");
});

test('what only a prototype has is no field', (t) => {
  const inherited: unknown = Object.create({ hostname: 'b', url: 'ws://b' });
  refused(
    t,
    { operation: 'configure_cluster', connections: [inherited] },
    'connections[0]: url required for this operation',
  );
  refused(
    t,
    { operation: 'cluster_set_routes', routes: [inherited] },
    'routes[0]: Invalid route, must specify a url or host (with port)',
  );
  const authorization: unknown = Object.create({ username: 'a', password: 'b' });
  refused(
    t,
    { ...node, authorization },
    "'authorization.username' is required. 'authorization.password' is required",
  );
});

test('a cluster operation does not change its input', (t) => {
  const connection = Object.freeze({
    hostname: 'b',
    authorization: Object.freeze({ username: 'a', password: 'b' }),
    start_time: '2024-01-01T00:00:00Z',
    sendsTo: Object.freeze(['c']),
    subscriptions: Object.freeze([Object.freeze({ table: 'dog' })]),
    replicates: Object.freeze({ receivesFrom: Object.freeze(['c']) }),
  });
  t.notThrows(() => validateOperation(Object.freeze({ operation: 'add_node', ...connection })));
  const connections = Object.freeze([connection]);
  t.notThrows(() =>
    validateOperation(Object.freeze({ operation: 'configure_cluster', connections })),
  );
});

test('the longest names are accepted', (t) => {
  const hostname = 'x'.repeat(limits.nameCharactersMax);
  const url = `wss://${'x'.repeat(1_994)}`;
  t.deepEqual(validateOperation({ operation: 'remove_node', hostname, url }), {
    operation: 'remove_node',
    hostname,
    url,
  });
});
