/** Directions, subscriptions and start times between nodes of one process: what both ends keep, show, and refuse. */
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../config/types.js';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { memoryConfig, SILENT } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

const ADMIN = { adminUsername: 'admin', adminPassword: 'not a secret' };
const authorization = { username: ADMIN.adminUsername, password: ADMIN.adminPassword };
const SCHEMA = 'type Dog @table { id: ID @primaryKey }';
const DATA_ONLY = { databases: ['data'] };

const apart = async (
  t: ExecutionContext,
  names: readonly string[],
  replication: ConfigInput['replication'] = DATA_ONLY,
): Promise<Node[]> => {
  const network = new MemoryNetwork();
  const nodes = await Promise.all(
    names.map((name) =>
      startNode(
        memoryConfig(name, [], {
          authentication: ADMIN,
          schema: SCHEMA,
          replication: { hostname: name, url: `memory://${name}`, ...replication },
        }),
        { network, logger: SILENT },
      ),
    ),
  );
  t.teardown(() => Promise.all(nodes.map((node) => node.close())));
  return nodes;
};

const at = (nodes: readonly Node[], index: number): Node => {
  const node = nodes[index];
  if (!node) throw new Error(`No node ${index}`);
  return node;
};

const add = (node: Node, hostname: string, more: object = {}): Promise<unknown> =>
  node.send({ operation: 'add_node', hostname, authorization, ...more });
const update = (node: Node, hostname: string, more: object): Promise<unknown> =>
  node.send({ operation: 'update_node', hostname, authorization, ...more });

type Row = Record<string, unknown>;

const rowAt = async (node: Node, name: string): Promise<Row | undefined> => {
  const found = (await node.send({
    operation: 'search_by_value',
    database: 'system',
    table: 'hdb_nodes',
    attribute: 'name',
    value: name,
  })) as Row[];
  return found[0];
};

const subscriptionsAt = async (node: Node, name: string): Promise<Row[]> =>
  ((await rowAt(node, name))?.['subscriptions'] ?? []) as Row[];

interface Socket extends Row {
  readonly database: string;
  readonly connected: boolean;
  readonly sending: { readonly state: string; readonly reason?: string };
  readonly receiving: { readonly state: string; readonly reason?: string };
}

interface Connection extends Row {
  readonly name: string;
  readonly database_sockets: readonly Socket[];
}

const connectionAt = async (node: Node, name: string): Promise<Connection | undefined> => {
  const { connections } = (await node.send({ operation: 'cluster_status' })) as {
    connections: Connection[];
  };
  return connections.find((connection) => connection.name === name);
};

/** Resolves with the connection once its sockets are these, as `database:sending:receiving`, CLOSED or open. */
const shows = async (node: Node, name: string, wanted: string): Promise<Connection> => {
  let seen = '';
  return waitUntil(`${node.name} to show ${wanted || 'no sockets'} with ${name}`, async () => {
    const connection = await connectionAt(node, name);
    if (!connection) return false;
    const word = (state: string): string => (state === 'CLOSED' ? 'closed' : 'open');
    seen = connection.database_sockets
      .map((one) => `${one.database}:${word(one.sending.state)}:${word(one.receiving.state)}`)
      .sort()
      .join(' ');
    return seen === wanted && connection;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it shows '${seen}'`, { cause: error });
  });
};

test('a direction is kept by both ends in the words of the row, and shown with its source', async (t) => {
  const nodes = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  t.deepEqual(await add(a, 'b', { replicates: { sends: false, receives: true } }), {
    message: "Successfully added 'b' to cluster",
  });
  t.like(await rowAt(a, 'b'), { replicates: { sends: false, receives: true } });
  t.like(await rowAt(b, 'a'), { replicates: { sends: true, receives: false } });
  t.is((await rowAt(a, 'a'))?.['replicates'], true);
  t.is((await rowAt(b, 'b'))?.['replicates'], true);
  const atA = await shows(a, 'b', 'data:open:closed');
  t.like(atA, { replicates: { sends: false, receives: true }, replicateByDefault: true });
  t.deepEqual(atA.database_sockets[0]?.receiving, {
    state: 'CLOSED',
    reason: 'receives: false (hdb_nodes)',
  });
  const atB = await shows(b, 'a', 'data:closed:open');
  t.deepEqual(atB.database_sockets[0]?.sending, {
    state: 'CLOSED',
    reason: 'sends: false (hdb_nodes)',
  });
  await update(a, 'b', { replicates: { sends: true, receives: false } });
  await shows(a, 'b', 'data:closed:open');
  await shows(b, 'a', 'data:open:closed');
  await update(a, 'b', { shard: 1 });
  await shows(b, 'a', 'data:open:closed');
  await update(a, 'b', { replicates: true });
  t.like(await rowAt(a, 'b'), { replicates: true, shard: 1 });
  t.like(await rowAt(b, 'a'), { replicates: true });
  await shows(a, 'b', 'data:open:open');
  await shows(b, 'a', 'data:open:open');
});

test('explicit subscriptions are kept swapped, replaced, shown, and lifted', async (t) => {
  const nodes = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  const single = { database: 'data', table: 'Dog', publish: true, subscribe: false };
  await add(a, 'b', { subscriptions: [single, { table: 'none yet', subscribe: false }] });
  t.like(await rowAt(a, 'b'), { replicates: false });
  t.deepEqual((await rowAt(a, 'b'))?.['subscriptions'], [
    single,
    { database: 'data', table: 'none yet', publish: false, subscribe: false },
  ]);
  t.deepEqual((await subscriptionsAt(b, 'a'))[0], {
    ...single,
    publish: false,
    subscribe: true,
  });
  t.like(await shows(a, 'b', 'data:open:closed'), { replicateByDefault: false });
  t.like(await shows(b, 'a', 'data:closed:open'), { replicateByDefault: false });
  await update(a, 'b', { subscriptions: [{ ...single, publish: false, subscribe: true }] });
  t.is((await subscriptionsAt(b, 'a')).length, 1);
  await shows(a, 'b', 'data:closed:open');
  await shows(b, 'a', 'data:open:closed');
  await update(a, 'b', { subscriptions: [] });
  t.like(await rowAt(a, 'b'), { replicates: true, subscriptions: null });
  t.like(await rowAt(b, 'a'), { replicates: true, subscriptions: null });
  t.like(await shows(a, 'b', 'data:open:open'), { replicateByDefault: true });
  t.true(((await a.send({ operation: 'cluster_status' })) as { is_enabled: boolean }).is_enabled);
});

test('a start time is kept as a number, at the end that asked', async (t) => {
  const nodes = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  await add(a, 'b', { start_time: '2024-01-01T01:00:00+01:00' });
  t.is((await rowAt(a, 'b'))?.['start_time'], Date.UTC(2024, 0, 1));
  t.is((await rowAt(b, 'a'))?.['start_time'], undefined);
  t.is((await connectionAt(a, 'b'))?.['start_time'], Date.UTC(2024, 0, 1));
});

const REFUSED: readonly (readonly [object, RegExp])[] = [
  [{ replicates: { sends: 'no' } }, /'replicates\.sends' must be a boolean/],
  [{ replicates: { sendz: true } }, /'replicates\.sendz' is not allowed/],
  [{ sendsTo: ['c'] }, /'sendsTo\[0\]\.target' must be 'b'/],
  [{ receivesFrom: [{ source: 'no node' }] }, /'receivesFrom\[0\]\.source' must be the name/],
  [{ subscriptions: [{ database: 'data' }] }, /'subscriptions\[0\]\.table' is required/],
  [{ subscriptions: [{ table: 'Dog' }], replicates: true }, /'subscriptions' must not be given/],
  [{ start_time: 'yesterday' }, /start_time must be an ISO 8601 UTC timestamp/],
];

test('rules that cannot be read are refused by name and change nothing at either end', async (t) => {
  const nodes = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  const state = async (): Promise<unknown[]> =>
    Promise.all([rowAt(a, 'a'), rowAt(a, 'b'), rowAt(b, 'a'), rowAt(b, 'b')]);
  const before = await state();
  for (const [more, message] of REFUSED) {
    await t.throwsAsync(add(a, 'b', more), { message, code: 'INVALID_REQUEST' } as never);
    const connections = [{ hostname: 'b', authorization, ...more }];
    await t.throwsAsync(a.send({ operation: 'configure_cluster', connections }), { message: /./ });
  }
  t.deepEqual(await state(), before);
  await add(a, 'b');
  const added = await state();
  for (const [more, message] of REFUSED) await t.throwsAsync(update(a, 'b', more), { message });
  t.deepEqual(await state(), added);
});

test('a database that does not exist yet may be named', async (t) => {
  const nodes = await apart(t, ['a', 'b']);
  const a = at(nodes, 0);
  t.deepEqual(await add(a, 'b', { sendsTo: [{ database: 'later' }], receivesFrom: [] }), {
    message: "Successfully added 'b' to cluster",
  });
});

test('directions in a row take effect when the row is changed', async (t) => {
  const nodes = await apart(t, ['a', 'b']);
  const a = at(nodes, 0);
  await add(a, 'b');
  await shows(a, 'b', 'data:open:open');
  const change = (replicates: unknown): Promise<unknown> =>
    a.send({
      operation: 'update',
      database: 'system',
      table: 'hdb_nodes',
      records: [{ name: 'b', replicates }],
    });
  await change({ sends: false, receives: true });
  await shows(a, 'b', 'data:open:closed');
  for (const [replicates, message] of [
    ['everything', /^record 'b': 'replicates' is neither true nor false, nor an object/],
    [{ sendz: true }, /^record 'b': 'replicates\.sendz' is not allowed/],
    [{ sendsTo: [{ target: 'no node' }] }, /^record 'b': 'replicates' names 'no node'/],
  ] as const)
    await t.throwsAsync(change(replicates), { message });
  await shows(a, 'b', 'data:open:closed');
  await change(true);
  await shows(a, 'b', 'data:open:open');
});

test('an add that says nothing of directions leaves those that either end has stated', async (t) => {
  const network = new MemoryNetwork();
  const start = (name: string): Promise<Node> =>
    startNode(
      memoryConfig(name, [], {
        authentication: ADMIN,
        schema: SCHEMA,
        replication: { hostname: name, url: `memory://${name}`, ...DATA_ONLY },
      }),
      { network, logger: SILENT },
    );
  const a = await start('a');
  t.teardown(() => a.close());
  // The other end is not there to hear of it.
  const answer = await add(a, 'b', { replicates: { sends: false, receives: true } });
  t.regex((answer as { message: string }).message, /but there was an error updating target node/);
  const b = await start('b');
  t.teardown(() => b.close());
  await add(b, 'a');
  t.like(await rowAt(a, 'b'), { replicates: { sends: false, receives: true } });
  await shows(a, 'b', 'data:open:closed');
  await add(b, 'a', { replicates: true });
  t.like(await rowAt(a, 'b'), { replicates: true });
  await add(a, 'b', { replicates: { sends: false, receives: true } });
  await add(b, 'a');
  await add(a, 'b');
  await shows(a, 'b', 'data:open:closed');
  await shows(b, 'a', 'data:closed:open');
});

test('a node waits for nothing of a database that a peer does not give', async (t) => {
  const nodes = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  await add(a, 'b', { replicates: { sends: false, receives: true } });
  await shows(a, 'b', 'data:open:closed');
  const signal = AbortSignal.timeout(10_000);
  await t.notThrowsAsync(Promise.all([a.synced({ signal }), b.synced({ signal })]));
});

test('a database of which nothing is received is not made here', async (t) => {
  const nodes = await apart(t, ['a', 'b'], {});
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  const lists = [{ database: 'data' }, { database: 'system' }, { database: 'wanted' }];
  await add(a, 'b', { sendsTo: lists, receivesFrom: lists });
  await shows(a, 'b', 'data:open:open system:open:open');
  for (const database of ['unwanted', 'wanted'])
    await b.send({ operation: 'create_database', database });
  const databasesOf = async (node: Node): Promise<string[]> =>
    Object.keys((await node.send({ operation: 'describe_all' })) as object);
  await waitUntil('the other one to be made', async () =>
    (await databasesOf(a)).includes('wanted'),
  );
  t.false((await databasesOf(a)).includes('unwanted'));
});

test('a node that two have added keeps to what was agreed with each', async (t) => {
  const nodes = await apart(t, ['a', 'b', 'c']);
  const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  await add(a, 'b', { replicates: { sends: false, receives: true } });
  await add(c, 'b', { replicates: { sends: true, receives: false } });
  await shows(b, 'a', 'data:closed:open');
  await shows(b, 'c', 'data:open:closed');
  await shows(a, 'b', 'data:open:closed');
  await shows(c, 'b', 'data:closed:open');
  t.is(await connectionAt(a, 'c'), undefined);
});

test('nothing is left of a link when its rules let nothing pass, and it comes back with them', async (t) => {
  const nodes = await apart(t, ['a', 'b']);
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  await add(a, 'b');
  await shows(a, 'b', 'data:open:open');
  await update(a, 'b', { sendsTo: [], receivesFrom: [] });
  await shows(a, 'b', '');
  await shows(b, 'a', '');
  await update(a, 'b', { replicates: true });
  await shows(b, 'a', 'data:open:open');
  t.pass();
});

test('a table that replicates although its database does not takes part from when it is defined', async (t) => {
  const nodes = await apart(t, ['a', 'b'], { databases: ['other'] });
  const [a, b] = [at(nodes, 0), at(nodes, 1)];
  await add(a, 'b');
  await waitUntil('the link', async () => (await connectionAt(a, 'b'))?.['connected'] === true);
  await shows(a, 'b', '');
  for (const node of [a, b])
    await node.send({
      operation: 'create_table',
      table: 'Cat',
      primary_key: 'id',
      replicate: true,
    });
  const described = await a.send({ operation: 'describe_table', table: 'Cat' });
  t.like(described, { replicate: true });
  await shows(a, 'b', 'data:open:open');
  await shows(b, 'a', 'data:open:open');
  await a.send({ operation: 'drop_table', table: 'Cat' });
  await shows(a, 'b', '');
});
