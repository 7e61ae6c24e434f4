/** The debug endpoint and the probes over real HTTP, and what keeps strangers' pages out. */
import { request } from 'node:http';
import test, { type ExecutionContext } from 'ava';
import { startDebugEndpoint } from '../../server/debugEndpoint.js';
import { openDoors } from '../../server/doors.js';
import { startOperationsApi } from '../../server/operationsApi.js';
import {
  fakeNode,
  fakeSnapshot,
  type FakeNode,
  type FakeNodeOptions,
} from '../support/fakeNode.js';

const TREE = [
  fakeSnapshot('/skein', {
    children: [
      fakeSnapshot('/skein/peer:127.0.0.3', {
        children: [fakeSnapshot('/skein/peer:127.0.0.3/x y')],
      }),
      fakeSnapshot('/skein/router:data', { details: { big: 2n ** 60n } }),
    ],
  }),
];
const DEAD = [{ at: 5, path: '/skein/x', message: 'm', why: 'dead' as const }];

const open = async (
  t: ExecutionContext,
  options: FakeNodeOptions = {},
): Promise<{ node: FakeNode; url: string }> => {
  const node = fakeNode({ tree: TREE, deadLetters: DEAD, allowCrash: true, ...options });
  const logger = { warn: () => undefined, error: () => undefined };
  const door = await startDebugEndpoint(node, { logger, now: () => 1000 });
  t.teardown(() => door.close());
  return { node, url: door.address };
};

const seen = async (response: Response): Promise<[number, string]> => [
  response.status,
  await response.text(),
];

/** With headers that fetch does not let us set. */
const raw = (
  url: string,
  options: { method?: string; headers: Record<string, string> },
): Promise<{ status: number | undefined; text: string }> =>
  new Promise((resolve, reject) => {
    const sent = request(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    sent.once('error', reject).end();
  });

test('the tree and the dead letters come as JSON', async (t) => {
  const { url } = await open(t);
  const response = await fetch(`${url}/debug/actors`);
  t.is(response.headers.get('content-type'), 'application/json; charset=utf-8');
  const body = (await response.json()) as { name: string; actors: { children: unknown[] }[] };
  t.is(body.name, 'node-a');
  t.like(body.actors[0]?.children[1], {
    path: '/skein/router:data',
    details: { big: '1152921504606846976' },
  });
  t.like(body, { deadLetters: [{ at: 5, path: '/skein/x', message: 'm', why: 'dead' }] });
});

for (const [format, type, pattern] of [
  ['json', 'application/json; charset=utf-8', /^\{"name":"node-a"/],
  ['text', 'text/plain; charset=utf-8', /^actor +state +phase +mailbox/],
  ['dot', 'text/vnd.graphviz; charset=utf-8', /^digraph actors \{/],
] as const) {
  test(`format=${format} is answered as ${type}`, async (t) => {
    const { url } = await open(t);
    const response = await fetch(`${url}/debug/actors?format=${format}`);
    t.is(response.headers.get('content-type'), type);
    t.is(response.headers.get('x-content-type-options'), 'nosniff');
    t.regex(await response.text(), pattern);
  });
}

for (const query of ['format=xml', 'format=text&format=json']) {
  test(`${query} is refused`, async (t) => {
    const { url } = await open(t);
    t.deepEqual(await seen(await fetch(`${url}/debug/actors?${query}`)), [
      400,
      `{"error":"'format' must be json, text or dot"}`,
    ]);
  });
}

for (const [written, path] of [
  ['/skein/router:data', '/skein/router:data'],
  ['skein/router:data', '/skein/router:data'],
  ['skein/router%3Adata', '/skein/router:data'],
  ['%2Fskein%2Frouter%3Adata', '/skein/router:data'],
  ['/skein/peer:127.0.0.3', '/skein/peer:127.0.0.3'],
  ['%2Fskein%2Fpeer%3A127.0.0.3%2Fx%20y', '/skein/peer:127.0.0.3/x y'],
] as const) {
  test(`POST ${written}/crash crashes ${path}`, async (t) => {
    const { node, url } = await open(t);
    const response = await fetch(`${url}/debug/actors/${written}/crash`, { method: 'POST' });
    t.deepEqual(await seen(response), [202, `{"message":"Actor '${path}' was made to crash"}`]);
    t.deepEqual(node.crashed, [path]);
  });
}

for (const [name, path, options, status, error] of [
  [
    'without debug.allowCrash',
    'skein/router:data/crash',
    { allowCrash: false },
    403,
    'Crashing actors is not allowed on this node: set debug.allowCrash to true in its configuration',
  ],
  ['an unknown actor', 'skein/nobody/crash', {}, 404, "Actor 'skein/nobody' does not exist"],
  [
    'no crash at the end',
    'skein/router:data',
    {},
    404,
    'POST /debug/actors/<path>/crash is the only thing to post here',
  ],
  ['no actor', '/crash', {}, 404, 'POST /debug/actors/<path>/crash is the only thing to post here'],
] as const) {
  test(`crash: ${name} is ${status}`, async (t) => {
    const { node, url } = await open(t, options);
    const response = await fetch(`${url}/debug/actors/${path}`, { method: 'POST' });
    t.deepEqual(await seen(response), [status, JSON.stringify({ error })]);
    t.deepEqual(node.crashed, []);
  });
}

test('a broken percent sign in a path is refused', async (t) => {
  const { url } = await open(t);
  const { status } = await raw(`${url}/debug/actors/skein%zz/crash`, {
    method: 'POST',
    headers: {},
  });
  t.is(status, 400);
});

test('GET does not crash an actor', async (t) => {
  const { node, url } = await open(t);
  t.is((await fetch(`${url}/debug/actors/skein/router:data/crash`)).status, 404);
  t.deepEqual(node.crashed, []);
});

test('a page of another origin may not crash an actor, one of ours may', async (t) => {
  const { node, url } = await open(t);
  const path = `${url}/debug/actors/skein/router:data/crash`;
  const foreign = await raw(path, { method: 'POST', headers: { origin: 'http://evil.example' } });
  t.deepEqual(foreign, {
    status: 403,
    text: '{"error":"Pages of other origins may not crash actors"}',
  });
  const opaque = await raw(path, { method: 'POST', headers: { origin: 'null' } });
  t.is(opaque.status, 403);
  t.deepEqual(node.crashed, []);
  const own = await raw(path, { method: 'POST', headers: { origin: url } });
  t.is(own.status, 202);
  t.deepEqual(node.crashed, ['/skein/router:data']);
});

for (const [host, status] of [
  ['localhost:9927', 200],
  ['localhost', 200],
  ['LOCALHOST.', 200],
  ['skein.localhost:1', 200],
  ['127.0.0.1', 200],
  ['127.9.9.9:80', 200],
  ['[::1]:9927', 200],
  ['evil.example', 421],
  ['localhost.evil.example', 421],
  ['127.0.0.1.evil.example:9927', 421],
  ['10.0.0.1', 421],
  ['127.0.0.1@evil.example', 421],
] as const) {
  test(`Host: ${host} is answered with ${status}`, async (t) => {
    const { url } = await open(t);
    t.is((await raw(`${url}/debug/actors`, { headers: { host } })).status, status);
    t.is((await raw(`${url}/livez`, { headers: { host } })).status, status);
  });
}

test('the page lists what is here and allows only its own script', async (t) => {
  const { url } = await open(t, { name: '<b>"node"' });
  const response = await fetch(url);
  const html = await response.text();
  const nonce = /<script nonce="([^"]+)">/.exec(html)?.[1];
  t.truthy(nonce);
  const policy = response.headers.get('content-security-policy') ?? '';
  t.true(policy.includes(`script-src 'nonce-${nonce}'`));
  t.true(html.includes('/debug/actors?format=dot'));
  t.true(html.includes('&lt;b&gt;&quot;node&quot;'));
  t.false(html.includes('<b>"node"'));
});

test('an unknown path is named as such', async (t) => {
  const { url } = await open(t);
  t.deepEqual(await seen(await fetch(`${url}/metricz`)), [
    404,
    '{"error":"Not found, see / for what is here"}',
  ]);
});

interface ProbeCase {
  readonly name: string;
  readonly health: FakeNodeOptions['health'];
  readonly path: string;
  readonly status: number;
  readonly text: string;
}

const STARTING = { status: 'starting', live: true, ready: false, started: false } as const;
const DEGRADED = { status: 'degraded', problems: ['peer:b is backing off'] } as const;
const FAILED = {
  status: 'failed',
  live: false,
  ready: false,
  problems: ['tree\nis down'],
} as const;

const PROBES: readonly ProbeCase[] = [
  {
    name: 'a well node',
    health: {},
    path: '/livez',
    status: 200,
    text: '[+]node ok\nlivez passed: node is ok\n',
  },
  {
    name: 'a well node',
    health: {},
    path: '/readyz',
    status: 200,
    text: '[+]node ok\n[+]startup ok\n[+]store ok\nreadyz passed: node is ok\n',
  },
  {
    name: 'a well node',
    health: {},
    path: '/startupz',
    status: 200,
    text: '[+]startup ok\nstartupz passed: node is ok\n',
  },
  {
    name: 'a starting node',
    health: STARTING,
    path: '/livez',
    status: 200,
    text: '[+]node ok\nlivez passed: node is starting\n',
  },
  {
    name: 'a starting node',
    health: STARTING,
    path: '/readyz',
    status: 503,
    text: '[+]node ok\n[-]startup failed\n[-]store failed\nreadyz failed: node is starting\n',
  },
  {
    name: 'a starting node',
    health: STARTING,
    path: '/startupz',
    status: 503,
    text: '[-]startup failed\nstartupz failed: node is starting\n',
  },
  {
    name: 'a degraded node',
    health: DEGRADED,
    path: '/readyz',
    status: 200,
    text: '[+]node ok\n[+]startup ok\n[+]store ok\n[!]peer:b is backing off\nreadyz passed: node is degraded\n',
  },
  {
    name: 'a failed node',
    health: FAILED,
    path: '/livez',
    status: 503,
    text: '[-]node failed\n[!]tree\\u000ais down\nlivez failed: node is failed\n',
  },
];

for (const { name, health, path, status, text } of PROBES) {
  test(`${path} of ${name} is ${status} on both doors, without credentials`, async (t) => {
    const node = fakeNode(health === undefined ? {} : { health });
    const doors = await openDoors(node);
    t.teardown(() => doors.close());
    for (const url of [doors.operationsApi, doors.debug]) {
      t.deepEqual(await seen(await fetch(`${url}${path}`)), [status, text]);
    }
  });
}

test('/health answers with a fixed text on both doors', async (t) => {
  const doors = await openDoors(fakeNode({ health: FAILED }));
  t.teardown(() => doors.close());
  for (const url of [doors.operationsApi, doors.debug]) {
    t.deepEqual(await seen(await fetch(`${url}/health`)), [200, 'Skein is running.']);
  }
});

test('a node that cannot tell its health fails the probe and says why', async (t) => {
  const { url } = await open(t, { healthFails: new Error('no answer') });
  t.deepEqual(await seen(await fetch(`${url}/livez`)), [
    503,
    '[-]node failed\n[!]health is unknown: no answer\nlivez failed: node is failed\n',
  ]);
});

test('a door that is not configured is not opened', async (t) => {
  const doors = await openDoors(fakeNode({ listen: { operationsApi: {} } }));
  t.teardown(() => doors.close());
  t.is(doors.operationsApi, undefined);
  t.truthy(doors.debug);
});

test('when one door cannot be opened, the other is closed again', async (t) => {
  const taken = await startOperationsApi(fakeNode());
  t.teardown(() => taken.close());
  const port = Number(new URL(taken.address).port);
  const free = await startOperationsApi(fakeNode());
  const freePort = Number(new URL(free.address).port);
  await free.close();
  const listen = {
    operationsApi: { listen: { host: '127.0.0.1', port: freePort } },
    debug: { listen: { host: '127.0.0.1', port }, allowCrash: false },
  };
  await t.throwsAsync(() => openDoors(fakeNode({ listen })), {
    message: `debug.port: cannot listen on ${taken.address}: another program listens there`,
  });
  await t.throwsAsync(() => fetch(`http://127.0.0.1:${freePort}/health`));
});

for (const host of ['0.0.0.0', '::', '10.1.2.3', 'example.org', '127.0.0.1.example.org'])
  test(`neither door opens on ${host}: nobody there is asked who they are`, async (t) => {
    const listen = { host, port: 0 };
    for (const doors of [
      { operationsApi: { listen } },
      { operationsApi: {}, debug: { listen, allowCrash: true } },
    ])
      await t.throwsAsync(() => openDoors(fakeNode({ listen: doors })), {
        code: 'INSECURE_ADDRESS',
        message: /refuses to listen on .* without TLS; use .*a loopback address/,
      });
  });
