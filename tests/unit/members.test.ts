/** add_node and its relatives between nodes of one process: what both ends hold afterwards, and after refusals. */
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../config/types.js';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { memoryConfig, sameRecords, SILENT } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

const ADMIN = { adminUsername: 'admin', adminPassword: 'not a secret' };
const authorization = { username: ADMIN.adminUsername, password: ADMIN.adminPassword };
const SCHEMA = 'type Dog @table { id: ID @primaryKey  name: String }';

const apart = async (
  t: ExecutionContext,
  names: readonly string[],
  more: ConfigInput = {},
): Promise<{ nodes: Node[]; network: MemoryNetwork }> => {
  const network = new MemoryNetwork();
  const nodes = await Promise.all(
    names.map((name) =>
      startNode(memoryConfig(name, [], { authentication: ADMIN, schema: SCHEMA, ...more }), {
        network,
        logger: SILENT,
      }),
    ),
  );
  t.teardown(() => Promise.all(nodes.map((node) => node.close())));
  return { nodes, network };
};

const at = (nodes: readonly Node[], index: number): Node => {
  const node = nodes[index];
  if (!node) throw new Error(`No node ${index}`);
  return node;
};

interface Status {
  is_enabled: boolean;
  connections: { name: string; database_sockets: { connected: boolean }[] }[];
}

const connectedTo = async (node: Node): Promise<string[]> => {
  const { connections } = (await node.send({ operation: 'cluster_status' })) as Status;
  return connections
    .filter(
      ({ database_sockets: sockets }) =>
        sockets.length > 0 && sockets.every(({ connected }) => connected),
    )
    .map(({ name }) => name)
    .sort();
};

const connected = (node: Node, names: readonly string[]): Promise<unknown> =>
  waitUntil(`${node.name} to be connected with ${names.join(', ') || 'nobody'}`, async () => {
    const found = await connectedTo(node);
    return found.join(' ') === names.join(' ');
  });

const nodeTable = async (node: Node): Promise<Record<string, unknown>[]> =>
  (await node.send({
    operation: 'search_by_value',
    database: 'system',
    table: 'hdb_nodes',
    attribute: 'name',
    value: '*',
  })) as Record<string, unknown>[];

const lives = async (node: Node): Promise<string[]> => {
  const found = (await node.send({
    operation: 'search_by_value',
    database: 'system',
    table: 'hdb_node_generations',
    attribute: 'id',
    value: '*',
  })) as { id: string; ended?: boolean }[];
  return found.map(({ id, ended }) => `${id}${ended ? ' ended' : ''}`).sort();
};

const namesIn = async (node: Node): Promise<string[]> =>
  (await nodeTable(node)).map(({ name }) => String(name)).sort();

test('a node that is added to one member is connected with all of them', async (t) => {
  const { nodes } = await apart(t, ['a', 'b', 'c']);
  const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  t.deepEqual(await a.send({ operation: 'add_node', hostname: 'b', authorization }), {
    message: "Successfully added 'b' to cluster",
  });
  t.deepEqual(await c.send({ operation: 'set_node', node_name: 'b', authorization }), {
    message: "Successfully added 'b' to cluster",
  });
  await connected(a, ['b', 'c']);
  await connected(b, ['a', 'c']);
  await connected(c, ['a', 'b']);
  for (const node of nodes) await node.table('Dog').put({ id: node.name });
  await sameRecords(nodes, 'Dog', 3);
  for (const node of nodes) {
    t.deepEqual(await namesIn(node), ['a', 'b', 'c']);
    t.deepEqual(await lives(node), ['a#1', 'b#1', 'c#1']);
  }
});

test('a removed node is left alone by all, and comes back with what it wrote meanwhile', async (t) => {
  const { nodes } = await apart(t, ['a', 'b', 'c']);
  const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  await a.send({ operation: 'add_node', hostname: 'b', authorization });
  await a.send({ operation: 'add_node', hostname: 'c', authorization });
  await connected(c, ['a', 'b']);
  t.deepEqual(await a.send({ operation: 'remove_node', hostname: 'b' }), {
    message: "Successfully removed 'b' from cluster",
  });
  await connected(a, ['c']);
  await connected(c, ['a']);
  await connected(b, []);
  t.deepEqual(await namesIn(c), ['a', 'c']);
  t.false(((await b.send({ operation: 'cluster_status' })) as Status).is_enabled);
  await b.table('Dog').put({ id: 'alone' });
  await a.table('Dog').put({ id: 'without b' });
  await b.send({ operation: 'add_node', hostname: 'c', authorization });
  await connected(b, ['a', 'c']);
  await sameRecords(nodes, 'Dog', 2);
  t.deepEqual(await lives(a), ['a#1', 'b#1 ended', 'b#2', 'c#1']);
});

test('everything is copied once from a node that is added as the leader', async (t) => {
  const { nodes } = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  await a.table('Dog').put({ id: 1 });
  await b.table('Dog').put({ id: 2 });
  await b.send({ operation: 'add_node', hostname: 'a', authorization, isLeader: true });
  interface Copied {
    databases: { database: string; copy?: { from: string; percent: number } }[];
    connections: { name: string; isLeader?: boolean }[];
  }
  const status = async (node: Node): Promise<Copied> =>
    (await node.send({ operation: 'cluster_status' })) as Copied;
  await waitUntil('both databases to be copied from a', async () => {
    const { databases } = await status(b);
    return databases.every(({ copy }) => copy?.from === 'a' && copy.percent === 100);
  });
  t.true((await status(b)).connections.find(({ name }) => name === 'a')?.isLeader);
  const own = await status(a);
  t.deepEqual(
    own.databases.map(({ copy }) => copy),
    [undefined, undefined],
  );
  t.false('isLeader' in (own.connections[0] ?? {}));
  await sameRecords(nodes, 'Dog', 2);
});

test('two removed nodes do not bring each other back', async (t) => {
  const { nodes } = await apart(t, ['a', 'b', 'c']);
  const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  for (const hostname of ['b', 'c'])
    await a.send({ operation: 'add_node', hostname, authorization });
  await connected(c, ['a', 'b']);
  for (const hostname of ['b', 'c']) await a.send({ operation: 'remove_node', hostname });
  await connected(b, []);
  await connected(c, []);
  await t.throwsAsync(b.send({ operation: 'add_node', hostname: 'c', authorization }), {
    message: /neither b nor c takes part in a cluster/,
  });
  t.deepEqual(await lives(a), ['a#1', 'b#1 ended', 'c#1 ended']);
  await b.send({ operation: 'add_node', hostname: 'a', authorization });
  await connected(b, ['a']);
});

test('a node removes itself, and the others hear of it', async (t) => {
  const { nodes } = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  await a.send({ operation: 'add_node', hostname: 'b', authorization });
  await connected(a, ['b']);
  await a.send({ operation: 'remove_node', hostname: 'a' });
  await connected(b, []);
  t.deepEqual(await lives(b), ['a#1 ended', 'b#1']);
  t.deepEqual(await namesIn(b), ['b']);
});

const refusals: readonly [string, Record<string, unknown>, RegExp][] = [
  [
    'with a wrong password',
    { authorization: { username: 'admin', password: 'x' } },
    /Login failed/,
  ],
  ['without credentials', {}, /Must login/],
  ['with a token', { authorization: 'Bearer abc' }, /invalid token/],
  ['with garbage for credentials', { authorization: 'Basic ????' }, /invalid token/],
];
for (const [how, fields, expected] of refusals)
  test(`a node that is asked ${how} changes nothing, and neither does the one that asks`, async (t) => {
    const { nodes } = await apart(t, ['a', 'b']);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    await t.throwsAsync(a.send({ operation: 'add_node', hostname: 'b', ...fields } as never), {
      message: expected,
    });
    for (const node of [a, b]) {
      t.deepEqual(await nodeTable(node), []);
      t.deepEqual(await lives(node), []);
    }
  });

test('a node that cannot be reached is registered, and the answer says so', async (t) => {
  const { nodes } = await apart(t, ['a']);
  const a = at(nodes, 0);
  const { message } = (await a.send({ operation: 'add_node', hostname: 'b' })) as {
    message: string;
  };
  t.regex(
    message,
    /^Successfully added 'b' to cluster but there was an error updating target node: /,
  );
  t.deepEqual(await namesIn(a), ['a', 'b']);
});

const bad: readonly [string, Record<string, unknown>, RegExp][] = [
  ['itself', { operation: 'add_node', hostname: 'a' }, /^Should not connect to self: a$/],
  ['nothing', { operation: 'add_node' }, /url required for this operation/],
  ['a name that is none', { operation: 'add_node', hostname: 'a b' }, /^Invalid route/],
  ['an unknown node to remove', { operation: 'remove_node', hostname: 'x' }, /^x does not exist$/],
  [
    'TLS',
    { operation: 'add_node', url: 'wss://b:9933' },
    /this node has no TLS: set replication\.securePort/,
  ],
];
for (const [what, operation, message] of bad)
  test(`an operation that names ${what} is refused`, async (t) => {
    const { nodes } = await apart(t, ['a']);
    await t.throwsAsync(at(nodes, 0).send(operation as never), {
      message,
      code: 'INVALID_REQUEST',
    });
    t.deepEqual(await nodeTable(at(nodes, 0)), []);
  });

test('members cannot be written or dropped as records', async (t) => {
  const { nodes } = await apart(t, ['a', 'b']);
  const a = at(nodes, 0);
  await a.send({ operation: 'add_node', hostname: 'b', authorization });
  const place = { database: 'system', table: 'hdb_nodes' };
  const record = { name: 'z', url: 'memory://z' };
  for (const operation of [
    { operation: 'insert', ...place, records: [record] },
    { operation: 'upsert', ...place, records: [record] },
    { operation: 'delete', ...place, ids: ['b'] },
  ])
    await t.throwsAsync(a.send(operation as never), { message: /add_node.*remove_node/ });
  for (const table of ['hdb_node_generations', 'hdb_info'])
    await t.throwsAsync(
      a.send({
        operation: 'upsert',
        database: 'system',
        table,
        records: [{ id: 'z', info_id: 'z' }],
      }),
      { message: /used internally by Skein/ },
    );
  for (const operation of ['drop_table', 'create_attribute'] as const)
    await t.throwsAsync(a.send({ operation, ...place, attribute: 'more' } as never), {
      message: /used internally by Skein/,
    });
  t.deepEqual(await namesIn(a), ['a', 'b']);
});

test('passwords are not written as records, nor are credentials of members', async (t) => {
  const { nodes } = await apart(t, ['a', 'b']);
  const a = at(nodes, 0);
  await a.send({ operation: 'add_node', hostname: 'b', authorization });
  for (const [table, record] of [
    ['hdb_user', { username: 'admin', password: 'new' }],
    ['hdb_user', { username: 'admin', refresh_token: 'new' }],
    ['hdb_nodes', { name: 'b', authorization: 'Basic new' }],
  ] as const)
    await t.throwsAsync(
      a.send({ operation: 'update', database: 'system', table, records: [record] }),
      { message: /cannot be written/ },
    );
});

test('a url that no peer would be told keeps no link from being', async (t) => {
  const { nodes } = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  await a.send({ operation: 'add_node', hostname: 'b', authorization });
  await connected(a, ['b']);
  const url = `ws://${'x'.repeat(1_996)}`;
  await a.send({
    operation: 'update',
    database: 'system',
    table: 'hdb_nodes',
    records: [{ name: 'b', url }],
  });
  await waitUntil('the row to be on b', async () =>
    (await nodeTable(b)).some((row) => row['url'] === url),
  );
  await a.table('Dog').put({ id: 1 });
  await sameRecords(nodes, 'Dog', 1);
  await connected(a, ['b']);
  await connected(b, ['a']);
  t.pass();
});

test('a node is kept out and taken in by what is said of the other one, not of the one that asks', async (t) => {
  const { nodes } = await apart(t, ['a', 'b', 'c']);
  const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  for (const hostname of ['b', 'c'])
    await a.send({ operation: 'add_node', hostname, authorization });
  await connected(c, ['a', 'b']);
  await a.send({ operation: 'update_node', hostname: 'b', replicates: false });
  await connected(a, ['c']);
  await connected(c, ['a']);
  await connected(b, []);
  await a.send({ operation: 'update_node', hostname: 'b', replicates: true, authorization });
  await connected(a, ['b', 'c']);
  await connected(b, ['a', 'c']);
  await a.send({ operation: 'update_node', hostname: 'b', replicates: false });
  await connected(b, []);
  await b.send({ operation: 'add_node', hostname: 'c', authorization });
  await connected(b, ['a', 'c']);
  t.pass();
});

test('credentials that are to be kept are used again and shown to nobody', async (t) => {
  const { nodes } = await apart(t, ['a', 'b']);
  const a = at(nodes, 0);
  await a.send({ operation: 'add_node', hostname: 'b', authorization, retain_authorization: true });
  await connected(a, ['b']);
  for (const row of await nodeTable(a)) t.false('authorization' in row);
  await t.throwsAsync(
    a.send({
      operation: 'search_by_value',
      database: 'system',
      table: 'hdb_nodes',
      attribute: 'authorization',
      value: 'Basic*',
    }),
    { message: /cannot be searched/ },
  );
  t.notRegex(JSON.stringify(await a.send({ operation: 'cluster_status' })), /authorization|Basic/);
});

test('an update changes the row on both ends and adds revoked serials to the older ones', async (t) => {
  const { nodes } = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  await a.send({
    operation: 'add_node',
    hostname: 'b',
    authorization,
    revoked_certificates: ['1'],
  });
  const answer = await a.send({
    operation: 'update_node',
    hostname: 'b',
    shard: 3,
    revoked_certificates: ['2', '1'],
  });
  t.deepEqual(answer, { message: "Successfully updated 'b'" });
  await waitUntil('the row of b on b', async () => {
    const row = (await nodeTable(b)).find(({ name }) => name === 'b');
    return row?.['shard'] === 3 && JSON.stringify(row['revoked_certificates']) === '["1","2"]';
  });
});

test('a cluster is configured anew from a list of connections', async (t) => {
  const { nodes } = await apart(t, ['a', 'b', 'c']);
  const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  await a.send({ operation: 'add_node', hostname: 'b', authorization });
  await connected(a, ['b']);
  t.deepEqual(
    await a.send({
      operation: 'configure_cluster',
      connections: [{ hostname: 'c', authorization }],
    }),
    { message: 'Cluster successfully configured.' },
  );
  await connected(a, ['c']);
  await connected(c, ['a']);
  await connected(b, []);
  await t.throwsAsync(
    a.send({
      operation: 'configure_cluster',
      connections: [{ hostname: 'b' }, { hostname: 'c d' }],
    }),
    { message: /Invalid route/ },
  );
  t.deepEqual(await connectedTo(a), ['c']);
});
