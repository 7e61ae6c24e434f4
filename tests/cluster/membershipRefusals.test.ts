/**
 * Requests to the membership operations that cannot be right: each is refused in the documented words and changes
 * nothing on either end; credentials leave no trace. Real processes.
 */
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ADMIN, startCluster, type ClusterNode } from '../support/cluster.js';
import { Refused } from '../support/clusterClient.js';
import type { Row } from '../support/clusterDump.js';
import {
  addNode,
  connectedExactly,
  fullMesh,
  knownNames,
  memberNames,
  membershipOf,
  messageOf,
  removeNode,
  statusOf,
} from '../support/memberViews.js';

const WRONG = 'never-to-be-written-down';
const basic = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

const pair = async (t: ExecutionContext): Promise<[ClusterNode, ClusterNode]> => {
  const cluster = await startCluster({
    nodes: 2,
    apart: true,
    config: { logging: { level: 'trace' } },
  });
  t.teardown(() => cluster.close());
  return [cluster.node(0), cluster.node(1)];
};

interface Wrong {
  readonly what: string;
  readonly request: Row;
  readonly status: number;
  readonly says: RegExp;
}

/** What the other end says no to. */
const refusedThere = (url: string): Wrong[] => [
  { what: 'no credentials', request: { url }, status: 500, says: /Must login/ },
  ...[
    { username: ADMIN.username, password: WRONG },
    { username: 'nobody', password: WRONG },
    basic(ADMIN.username, WRONG),
    basic(WRONG, ADMIN.password),
  ].map((authorization) => ({
    what: `credentials ${JSON.stringify(authorization)}`,
    request: { url, authorization },
    status: 500,
    says: /Login failed/,
  })),
  ...['Basic !!!', `Bearer ${WRONG}`, `Basic ${WRONG}`].map((authorization) => ({
    what: `header ${authorization}`,
    request: { url, authorization },
    status: 500,
    says: /invalid token|Login failed/,
  })),
  {
    what: 'another name than it has',
    request: { hostname: '127.0.0.77', url, authorization: ADMIN },
    status: 500,
    says: /Node name mismatch: expected 127\.0\.0\.77, this is/,
  },
];

/** What is no request at all. */
const refusedHere = (url: string, own: ClusterNode): Wrong[] =>
  [
    { request: {}, says: /url required for this operation/ },
    { request: { url: own.replicationUrl }, says: /Should not connect to self/ },
    { request: { hostname: own.name }, says: /Should not connect to self/ },
    { request: { node_name: `${own.name}:1` }, says: /Should not connect to self/ },
    { request: { url: url.replace('ws:', 'wss:') }, says: /TLS|wss/ },
    { request: { url: url.replace('ws:', 'http:') }, says: /must begin with ws:/ },
    {
      request: { url: url.replace('ws://', `ws://admin:${WRONG}@`) },
      says: /must not contain credentials/,
    },
    { request: { url: 'not a url' }, says: /url/i },
    { request: { url: '' }, says: /empty/ },
    { request: { url: 7 }, says: /must be a string/ },
    { request: { url: null }, says: /must be a string|url required/ },
    { request: { url: ['ws://127.0.0.3:1'] }, says: /must be a string/ },
    { request: { hostname: 'two words' }, says: /'two words'|Invalid route/ },
    { request: { hostname: '127.0.0.3:0' }, says: /0 is no port/ },
    { request: { hostname: 'x'.repeat(300) }, says: /length/ },
    { request: { url, authorization: WRONG }, says: /'authorization' must be/ },
    {
      request: { url, authorization: { username: 'admin' } },
      says: /'authorization.password' is required/,
    },
    { request: { url, authorization: { username: 'a:b', password: WRONG } }, says: /colon/ },
    {
      request: { url, authorization: `Basic x\r\nx-injected: ${WRONG}` },
      says: /'authorization' must be/,
    },
    {
      request: { url, subscriptions: [{ database: 'data' }] },
      says: /'subscriptions\[0\]\.table' is required/,
    },
    {
      request: { url, subscriptions: [{ table: 'notes' }], replicates: true },
      says: /'subscriptions' must not be given together with directions/,
    },
    { request: { url, sendsTo: ['127.0.0.9'] }, says: /'sendsTo\[0\]\.target' must be/ },
    { request: { url, receivesFrom: 'all' }, says: /'receivesFrom' must be an array/ },
    { request: { url, start_time: '2024-01-01T00:00:00' }, says: /start_time must be an ISO 8601/ },
    {
      request: { url, start_time: 'yesterday' },
      says: /start_time must be an ISO 8601 UTC timestamp/,
    },
    {
      request: { url, replicates: { sends: true, recieves: false } },
      says: /'replicates\.recieves' is not allowed/,
    },
    { request: { url, replicates: 'yes' }, says: /'replicates'/ },
    { request: { url, shard: 70_000 }, says: /'shard'/ },
    { request: { url, shard: -1 }, says: /'shard'/ },
    { request: { url, verify_tls: 'no' }, says: /'verify_tls'/ },
    { request: { url, revoked_certificates: 'ab' }, says: /'revoked_certificates'/ },
  ].map(({ request, says }) => ({
    what: JSON.stringify(request).slice(0, 120),
    request: { authorization: ADMIN, ...request },
    status: 400,
    says,
  }));

const refusal = async (node: ClusterNode, request: Row): Promise<Refused> => {
  try {
    await node.client.send(request);
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
  throw new Error(`was not refused: ${JSON.stringify(request)}`);
};

const refusesAll = async (
  t: ExecutionContext,
  asked: {
    readonly node: ClusterNode;
    readonly others: readonly ClusterNode[];
    readonly wrongs: readonly Wrong[];
  },
): Promise<void> => {
  const all = [asked.node, ...asked.others];
  const before = await Promise.all(all.map(membershipOf));
  for (const operation of ['add_node', 'set_node', 'update_node'])
    for (const { what, request, status, says } of asked.wrongs) {
      // update_node names its node by hostname.
      const named = operation === 'update_node' && request['hostname'] === undefined;
      if (named && says.source.includes('url required')) continue;
      const error = await refusal(asked.node, {
        operation,
        ...(named && status === 500 && { hostname: asked.others[0]?.name }),
        ...request,
      });
      t.is(
        error.status,
        named && status !== 500 ? 400 : status,
        `${operation}: ${what}: ${error.message}`,
      );
      if (!named || status === 500) t.regex(error.message, says, `${operation}: ${what}`);
    }
  t.deepEqual(await Promise.all(all.map(membershipOf)), before);
};

/** Neither the text nor its form in a header stands in a file of the node or in its log. */
const leavesNoTrace = async (t: ExecutionContext, node: ClusterNode): Promise<void> => {
  const secrets = [
    WRONG,
    ADMIN.password,
    basic(ADMIN.username, ADMIN.password),
    basic(ADMIN.username, WRONG),
  ].flatMap((text) => [text, text.replace('Basic ', '')]);
  const entries = await readdir(node.rootPath, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  t.true(files.length > 3);
  const texts = await Promise.all(
    files.map(async (file) => ({ file, text: (await readFile(file)).toString('latin1') })),
  );
  for (const { file, text } of [...texts, { file: 'its log', text: await node.log() }])
    for (const secret of secrets) t.false(text.includes(secret), `${secret} stands in ${file}`);
};

test.serial(
  'what the other end refuses, or is no request, changes nothing on either end',
  async (t) => {
    const [a, b] = await pair(t);
    const wrongs = [...refusedThere(b.replicationUrl), ...refusedHere(b.replicationUrl, a)];
    await refusesAll(t, { node: a, others: [b], wrongs });
    for (const node of [a, b]) {
      t.deepEqual(await knownNames(node), []);
      t.true((await statusOf(node)).is_enabled);
      await leavesNoTrace(t, node);
    }
    // With the right credentials, both are members of one cluster; they leave no trace either.
    await addNode(a, b);
    await fullMesh([a, b]);
    for (const node of [a, b]) {
      await leavesNoTrace(t, node);
      await node.stop();
      await leavesNoTrace(t, node);
    }
  },
);

test.serial('members refuse the same, and stay members', async (t) => {
  const cluster = await startCluster({ nodes: 3, apart: true });
  t.teardown(() => cluster.close());
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await addNode(a, c);
  await fullMesh([a, c]);
  await refusesAll(t, { node: a, others: [b, c], wrongs: refusedThere(b.replicationUrl) });
  await refusesAll(t, { node: b, others: [a, c], wrongs: refusedThere(a.replicationUrl) });
  // A member needs no credentials for another; wrong ones are refused all the same.
  const [none, ...others] = refusedThere(c.replicationUrl);
  t.is(none?.what, 'no credentials');
  await refusesAll(t, { node: a, others: [c], wrongs: others });
  await fullMesh([a, c]);
  await connectedExactly(b, []);
});

test.serial('a target that is not reached is registered, and the answer says so', async (t) => {
  const [a, b] = await pair(t);
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.98', resolve));
  t.teardown(() => silent.close());
  const address = silent.address();
  if (typeof address !== 'object' || !address) throw new Error('the listener has no address');
  const suffix = / but there was an error updating target node: \S/;
  const nowhere = await messageOf(a, {
    operation: 'add_node',
    hostname: '127.0.0.99',
    authorization: ADMIN,
  });
  t.regex(nowhere, /^Successfully added '127\.0\.0\.99' to cluster/);
  t.regex(nowhere, suffix);
  const mute = await messageOf(a, {
    operation: 'add_node',
    url: `ws://127.0.0.98:${address.port}`,
    authorization: ADMIN,
  });
  t.regex(mute, suffix);
  await b.kill();
  t.regex(await addNode(a, b), suffix);
  t.deepEqual(await memberNames(a), [a.name, b.name, '127.0.0.98', '127.0.0.99'].sort());
  t.deepEqual(await knownNames(a), [b.name, '127.0.0.98', '127.0.0.99'].sort());
  await b.start();
  await connectedExactly(a, []);
  t.deepEqual(await memberNames(b), []);
  t.is(await addNode(a, b), `Successfully added '${b.name}' to cluster`);
  await fullMesh([a, b]);
  t.is(
    await messageOf(a, { operation: 'remove_node', hostname: '127.0.0.98' }),
    "Successfully removed '127.0.0.98' from cluster",
  );
  t.is(
    await messageOf(a, { operation: 'remove_node', url: 'ws://127.0.0.99:9933' }),
    "Successfully removed '127.0.0.99' from cluster",
  );
  t.deepEqual(await knownNames(a), [b.name]);
  await leavesNoTrace(t, a);
});

test.serial('a removed node that reaches nobody stays removed', async (t) => {
  const [a, b] = await pair(t);
  await addNode(a, b);
  await fullMesh([a, b]);
  await removeNode(a, b);
  await connectedExactly(b, []);
  await a.kill();
  const before = await membershipOf(b);
  const error = await refusal(b, {
    operation: 'add_node',
    url: a.replicationUrl,
    authorization: ADMIN,
  });
  t.is(error.status, 500);
  t.regex(error.message, /connection was required to rejoin/);
  t.is(await membershipOf(b), before);
  await a.start();
  await addNode(b, a);
  await fullMesh([a, b]);
});

test.serial('remove_node and configure_cluster refuse what they cannot do', async (t) => {
  const [a, b] = await pair(t);
  await addNode(a, b);
  await fullMesh([a, b]);
  const before = await Promise.all([a, b].map(membershipOf));
  const wrongs: [Row, RegExp][] = [
    [{ operation: 'remove_node' }, /url or hostname is required for remove_node operation/],
    [{ operation: 'remove_node', hostname: '127.0.0.50' }, /127\.0\.0\.50 does not exist/],
    [{ operation: 'remove_node', name: '127.0.0.50' }, /127\.0\.0\.50 does not exist/],
    [{ operation: 'remove_node', url: 'ws://127.0.0.50:9933' }, /does not exist/],
    [{ operation: 'remove_node', hostname: ['127.0.0.3'] }, /must be a string/],
    [{ operation: 'remove_node', hostname: '' }, /empty/],
    [{ operation: 'remove_node', hostname: '../x' }, /./],
    [{ operation: 'configure_cluster' }, /'connections' is required/],
    [{ operation: 'configure_cluster', connections: 'all' }, /'connections'/],
    [{ operation: 'configure_cluster', connections: [{}] }, /url required for this operation/],
    [{ operation: 'configure_cluster', connections: ['127.0.0.3'] }, /'connections/],
    [
      { operation: 'configure_cluster', connections: [{ hostname: b.name, start_time: -5 }] },
      /start_time must be an ISO 8601/,
    ],
    [
      {
        operation: 'configure_cluster',
        connections: [{ hostname: b.name }, { hostname: 'two words' }],
      },
      /./,
    ],
    [{ operation: 'configure_cluster', connections: [{ hostname: a.name }] }, /self/],
    [{ operation: 'add_node_back', hostname: b.name }, /Operation 'add_node_back' not found/],
    [{ operation: 'remove_node_back', name: b.name }, /Operation 'remove_node_back' not found/],
  ];
  for (const [request, says] of wrongs) {
    const error = await refusal(a, request);
    t.is(error.status, 400, `${JSON.stringify(request)}: ${error.message}`);
    t.regex(error.message, says);
  }
  t.deepEqual(await Promise.all([a, b].map(membershipOf)), before);
  await fullMesh([a, b]);
});

test.serial('who is no user may not ask for any of it', async (t) => {
  const [a, b] = await pair(t);
  const before = await membershipOf(a);
  for (const operation of [
    'add_node',
    'update_node',
    'remove_node',
    'configure_cluster',
    'cluster_set_routes',
    'cluster_get_routes',
  ])
    for (const authorization of ['', basic('admin', WRONG)]) {
      const body = JSON.stringify({ operation, hostname: b.name, connections: [], routes: [] });
      t.is((await a.client.post(body, { authorization })).status, 401, operation);
    }
  t.is(await membershipOf(a), before);
});

test.serial('credentials that are kept are shown by no search and no status', async (t) => {
  const [a, b] = await pair(t);
  await addNode(a, b, { retain_authorization: true });
  await fullMesh([a, b]);
  const header = basic(ADMIN.username, ADMIN.password).slice('Basic '.length);
  for (const node of [a, b]) {
    const shown = [
      JSON.stringify(await statusOf(node)),
      await membershipOf(node),
      JSON.stringify(await node.client.tree()),
      await node.log(),
    ];
    for (const text of shown) t.false(text.includes(header));
    for (const request of [
      { operation: 'search_by_value', attribute: 'authorization', value: 'Basic*' },
      {
        operation: 'search_by_value',
        attribute: 'name',
        value: '*',
        get_attributes: ['name', 'authorization'],
      },
      {
        operation: 'search_by_conditions',
        conditions: [{ attribute: 'authorization', comparator: 'starts_with', value: 'B' }],
      },
    ]) {
      const answer = await node.client.post(
        JSON.stringify({ ...request, database: 'system', table: 'hdb_nodes' }),
      );
      t.false(answer.text.includes(header), answer.text);
      if (request.attribute !== 'name') t.not(answer.status, 200);
    }
  }
});
