/**
 * Routes: every documented spelling, the URL that is made of it, and what is skipped with which words.
 */
import test from 'ava';
import { resolveConfig } from '../../config/resolve.js';
import { INVALID_ROUTE, readRoute } from '../../config/routes.js';
import type { ConfigInput, RouteInput } from '../../config/types.js';

const DEFAULTS = { scheme: 'ws', port: 9933 } as const;

const reading = (entry: unknown): unknown => readRoute(entry, DEFAULTS);

const SPELLINGS: readonly (readonly [unknown, string, string])[] = [
  ['server-two', 'server-two', 'ws://server-two:9933'],
  ['Server-Two.', 'server-two', 'ws://server-two:9933'],
  ['server-two:9940', 'server-two', 'ws://server-two:9940'],
  ['127.0.0.2', '127.0.0.2', 'ws://127.0.0.2:9933'],
  ['127.0.0.2:9940', '127.0.0.2', 'ws://127.0.0.2:9940'],
  ['::1', '::1', 'ws://[::1]:9933'],
  ['[::1]', '::1', 'ws://[::1]:9933'],
  ['[::1]:9940', '::1', 'ws://[::1]:9940'],
  ['2001:db8::9933', '2001:db8::9933', 'ws://[2001:db8::9933]:9933'],
  ['::ffff:127.0.0.2', '127.0.0.2', 'ws://127.0.0.2:9933'],
  ['wss://server-two:9933', 'server-two', 'wss://server-two:9933'],
  ['wss://Server-Two', 'server-two', 'wss://server-two'],
  ['ws://[::1]:9940/path', '::1', 'ws://[::1]:9940/path'],
  ['memory://Other', 'other', 'memory://other'],
  [{ hostname: 'server-three', port: 9930 }, 'server-three', 'ws://server-three:9930'],
  [{ host: 'server-three' }, 'server-three', 'ws://server-three:9933'],
  [{ host: 'loses', hostname: 'wins' }, 'wins', 'ws://wins:9933'],
  [{ host: 'name:9941', port: 9930 }, 'name', 'ws://name:9941'],
  [{ url: 'wss://server-two:9933' }, 'server-two', 'wss://server-two:9933'],
  [{ url: 'ws://server-two', port: 9930 }, 'server-two', 'ws://server-two:9930'],
  [{ url: 'ws://server-two:80', port: 9930 }, 'server-two', 'ws://server-two'],
  [{ hostname: 'name', url: 'ws://10.0.0.7:9933' }, 'name', 'ws://10.0.0.7:9933'],
  [{ hostname: 'ws://name:1' }, 'name', 'ws://name:1'],
  [{ hostname: '', host: 'name' }, 'name', 'ws://name:9933'],
];

for (const [entry, name, url] of SPELLINGS) {
  test(`the route ${JSON.stringify(entry)} dials ${url}`, (t) => {
    t.deepEqual(reading(entry), { route: { name, url } });
  });
}

const INVALID: readonly (readonly [unknown, string])[] = [
  [{}, ''],
  [{ port: 9933 }, ''],
  [{ hostname: ' ' }, ''],
  ['', ''],
  [null, ''],
  ['server two', ': "server two" is no node name: it contains " "'],
  ['server:99999', ': 99999 is no port'],
  ['server:0', ': 0 is no port'],
  ['http://server', ': a URL must begin with ws://, wss:// or memory://, not http://'],
  ['ws://u:p@server', ': a URL must not contain credentials'],
  ['ws://server?x=1', ': a URL must end with its path'],
  ['ws://', ": 'ws://' is no URL"],
  ['memory://', ': "" is no node name: it is empty'],
  ['1234', ": '1234' means 0.0.4.210 within a URL, give a url for it"],
  [{ host: 'a', startTime: 'soon' }, ": startTime 'soon' is no time"],
];

for (const [entry, reason] of INVALID) {
  test(`the route ${JSON.stringify(entry)} is invalid${reason}`, (t) => {
    const expected = `Invalid route, must specify a url or host (with port)${reason}`;
    t.deepEqual(reading(entry), { problem: expected });
  });
}

test('startTime is milliseconds or a date', (t) => {
  const at = (startTime: number | string): unknown =>
    reading({ host: 'a', url: 'ws://a:1', startTime });
  const route = { name: 'a', url: 'ws://a:1', startTimeMs: 86_400_000 };
  t.deepEqual(at(86_400_000), { route });
  t.deepEqual(at('1970-01-02'), { route });
  t.deepEqual(at('86400000'), { route });
});

const routesOf = (replication: ConfigInput['replication'], openDefaultPorts = false) =>
  resolveConfig(replication === undefined ? {} : { replication }, {
    homeDirectory: '/home/user',
    openDefaultPorts,
  });

const urlsOf = (replication: ConfigInput['replication'], openDefaultPorts = false): string[] =>
  routesOf(replication, openDefaultPorts).config.replication.routes.map(({ url }) => url);

test('a route without port takes the TLS port first, then the insecure one, then 9933', (t) => {
  const routes = ['other'];
  t.deepEqual(urlsOf({ routes, securePort: 9001, port: 9002 }), ['wss://other:9001']);
  t.deepEqual(urlsOf({ routes, port: '127.0.0.1:9002' }), ['ws://other:9002']);
  t.deepEqual(urlsOf({ routes }), ['ws://other:9933']);
});

test('a program with routes and no port dials over TLS, as the default port is the TLS port', (t) => {
  t.deepEqual(urlsOf({ routes: ['other'] }, true), ['wss://other:9933']);
});

test('an invalid route is skipped with a warning and the others stay', (t) => {
  const { config, warnings } = routesOf({
    hostname: '127.0.0.1',
    port: 9933,
    routes: [{ port: 1 }, '127.0.0.2'] as RouteInput[],
  });
  t.deepEqual(warnings, [INVALID_ROUTE]);
  t.deepEqual(
    config.replication.routes.map(({ url }) => url),
    ['ws://127.0.0.2:9933'],
  );
});

test('a route to oneself is skipped without a word, in every spelling', (t) => {
  const routes = ['server-one', 'SERVER-ONE.', 'ws://server-one:9933', { host: 'server-one' }, 'b'];
  const { config, warnings } = routesOf({ hostname: 'Server-One', securePort: 9933, routes });
  t.deepEqual(
    config.replication.routes.map(({ url }) => url),
    ['wss://b:9933'],
  );
  t.deepEqual(warnings, []);
});

test('a route with the own name and another port is skipped with a warning', (t) => {
  const { config, warnings } = routesOf({
    hostname: '127.0.0.1',
    port: 9933,
    routes: ['127.0.0.1:9934'],
  });
  t.deepEqual(config.replication.routes, []);
  t.deepEqual(warnings, [
    "route to ws://127.0.0.1:9934 is skipped: '127.0.0.1' is this node's own name, each node needs another",
  ]);
});

test('of two routes to one node the first counts, and a different second one is warned about', (t) => {
  const { config, warnings } = routesOf({
    hostname: '127.0.0.1',
    port: 9933,
    routes: ['127.0.0.2', '127.0.0.2:9933', '127.0.0.2:9934'],
  });
  t.deepEqual(
    config.replication.routes.map(({ url }) => url),
    ['ws://127.0.0.2:9933'],
  );
  t.deepEqual(warnings, [
    "route to ws://127.0.0.2:9934 is skipped: node '127.0.0.2' has a route to ws://127.0.0.2:9933 already",
  ]);
});

const ONLY_RECEIVES = { sends: true, receives: false };
const SINGLE = { database: 'data', table: 't', publish: true, subscribe: false };

/** What a route says, and what it means from this node's view. */
const FLOWS: readonly (readonly [RouteInput, unknown])[] = [
  [{ replicates: { sends: false, receives: true } }, { replicates: ONLY_RECEIVES }],
  [{ replicates: { receives: true } }, { replicates: { sends: true } }],
  [{ replicates: false }, { replicates: false }],
  [{ replicates: false, sendsTo: ['a'] }, { replicates: false }],
  [{ sendsTo: [] }, { replicates: { sendsTo: [] } }],
  [{ receivesFrom: ['A'] }, { replicates: { receivesFrom: [{ source: 'a' }] } }],
  [
    { replicates: { sendsTo: [{ target: 'a', database: 'data', excludeTables: ['t'] }] } },
    { replicates: { sendsTo: [{ target: 'a', database: 'data', excludeTables: ['t'] }] } },
  ],
  [
    { subscriptions: [{ table: 't', publish: true }] },
    { replicates: false, subscriptions: [SINGLE] },
  ],
  [
    { subscriptions: [{ schema: 'data', table: 't', publish: true, subscribe: false }] },
    { replicates: false, subscriptions: [SINGLE] },
  ],
  [
    { excludeTables: ['t'] },
    {
      replicates: {
        sends: true,
        receives: true,
        sendsTo: [{ excludeTables: ['t'] }],
        receivesFrom: [{ excludeTables: ['t'] }],
      },
    },
  ],
  [{ subscriptions: [] }, undefined],
  [{ replicates: true, excludeTables: [] }, undefined],
];

for (const [said, meant] of FLOWS)
  test(`a route with ${JSON.stringify(said)} is read from this node's view`, (t) => {
    const { config, warnings } = routesOf({ routes: [{ host: 'a', ...said }] });
    const [route] = config.replication.routes;
    t.deepEqual<unknown, unknown>(
      route?.flow,
      meant === undefined ? undefined : { subscriptions: null, ...(meant as object) },
    );
    t.deepEqual(warnings, []);
  });

test('with routeDirection local the flags are those of this node', (t) => {
  const routes = [{ host: 'a', replicates: { sends: false, receives: true } }];
  const { config } = routesOf({ routeDirection: 'local', routes });
  t.deepEqual(config.replication.routes[0]?.flow?.replicates, { sends: false, receives: true });
});

test('a rule about another node than that of the route is warned about', (t) => {
  const { warnings } = routesOf({ routes: [{ host: 'a', sendsTo: ['a', 'b'] }] });
  t.deepEqual(warnings, [
    "'replication.routes.0.sendsTo.1.target' has no effect: it must be 'a', the node it is said of",
  ]);
});

const MISSTATED: readonly (readonly [RouteInput, string])[] = [
  [
    { replicates: { sendz: true } as never },
    "unknown key 'replication.routes.0.replicates.sendz', did you mean 'replication.routes.0.replicates.sends'?",
  ],
  [
    { replicates: 'yes' as never },
    '\'replication.routes.0.replicates\' must be true, false, or an object with sends, receives, sendsTo, receivesFrom, not "yes"',
  ],
  [{ sendsTo: 'a' as never }, '\'replication.routes.0.sendsTo\' must be a list, not "a"'],
  [
    { sendsTo: ['two words'] },
    "'replication.routes.0.sendsTo.0.target' must be the name of a node",
  ],
  [
    { sendsTo: [], replicates: { sendsTo: [] } },
    "'replication.routes.0.sendsTo' must not be given twice, here and in 'replicates'",
  ],
  [
    { subscriptions: [{ publish: true } as never] },
    "'replication.routes.0.subscriptions.0.table' is required",
  ],
  [
    { subscriptions: [{ table: 't' }], replicates: true },
    "'replication.routes.0.subscriptions' must not be given together with directions",
  ],
];

for (const [said, problem] of MISSTATED)
  test(`a route with ${JSON.stringify(said)} is an error and not read without it`, (t) => {
    const error = t.throws(() => routesOf({ routes: [{ host: 'a', ...said }] }));
    t.is(error?.message, `Skein config file validation error: ${problem}`);
  });

test('values that mean full replication need no word', (t) => {
  const route = { host: 'a', replicates: true, excludeTables: [], revokedCertificates: [] };
  t.deepEqual(routesOf({ routes: [route] }).warnings, []);
});

test('serial numbers that are revoked for a route are kept as they were written', (t) => {
  const { config } = routesOf({
    routes: [{ host: 'a', revokedCertificates: ['1769F7D6A', 'QA69C7E2S'] }],
  });
  t.deepEqual(config.replication.routes[0]?.revokedCertificates, ['1769F7D6A', 'QA69C7E2S']);
});

test('the shard of a route is warned about', (t) => {
  const { warnings } = routesOf({ routes: [{ host: 'a', shard: 1 }] });
  t.deepEqual(warnings, ['not supported by this version: replication.routes.0.shard']);
});
