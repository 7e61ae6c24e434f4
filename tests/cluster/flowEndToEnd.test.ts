/**
 * What rules of flow let pass between real nodes, and what they do not: by log, by copy, through a third node, after
 * restarts and after the rules have changed.
 */
import test, { type ExecutionContext } from 'ava';
import type { Cluster, ClusterNode } from '../support/cluster.js';
import { Refused } from '../support/clusterClient.js';
import { flows, startFlow, type FlowRoute } from '../support/flowCluster.js';
import { createNotes, haveNotes, note, notesOf } from '../support/memberRecords.js';
import { addNode, messageOf, reach, statusOf } from '../support/memberViews.js';
import { waitUntil } from '../support/waitUntil.js';

const DATA = { replication: { databases: ['data'] } };

const send = (node: ClusterNode, operation: Record<string, unknown>): Promise<unknown> =>
  node.client.send(operation);

/** On every node that has not heard of it yet. */
const haveTable = async (
  nodes: readonly ClusterNode[],
  { database, table }: { database: string; table: string },
): Promise<void> => {
  for (const node of nodes)
    await send(node, {
      operation: 'create_table',
      database,
      table,
      primary_key: 'id',
    }).catch(alreadyThere);
};

const alreadyThere = (error: unknown): void => {
  if (!(error instanceof Refused) || error.code !== 'ALREADY_EXISTS') throw error;
};

const put = (node: ClusterNode, place: { database: string; table: string }, id: string) =>
  send(node, { operation: 'upsert', ...place, records: [{ id, by: node.name }] });

const idsIn = async (
  node: ClusterNode,
  place: { database: string; table: string },
): Promise<string[]> => {
  const rows = (await send(node, {
    operation: 'search_by_value',
    ...place,
    attribute: 'id',
    value: '*',
  })) as { id: string }[];
  return rows.map(({ id }) => id).sort();
};

const has = (
  node: ClusterNode,
  place: { database: string; table: string },
  id: string,
): Promise<unknown> =>
  waitUntil(
    `${node.name} to have ${id} in ${place.database}.${place.table}`,
    async () => (await idsIn(node, place)).includes(id),
    30_000,
  );

interface OneWay {
  readonly what: string;
  /** What A says of B, and B of A; null: B is added by A, with what A says. */
  readonly a: object;
  readonly b: object | null;
  readonly direction?: 'peer' | 'local';
}

/** B only receives, A only sends. */
const ONE_WAY: readonly OneWay[] = [
  {
    what: 'routes',
    a: { replicates: { sends: false, receives: true } },
    b: { replicates: { sends: true, receives: false } },
  },
  {
    what: 'routes in the words of this node',
    a: { replicates: { sends: true, receives: false } },
    b: { replicates: { sends: false, receives: true } },
    direction: 'local',
  },
  {
    what: 'lists',
    a: { sendsTo: [{ database: 'data' }], receivesFrom: [] },
    b: { sendsTo: [], receivesFrom: [{ database: 'data' }] },
  },
  { what: 'add_node', a: { replicates: { sends: false, receives: true } }, b: null },
];

/** A, B and C; A sends to B only, C replicates with both. */
const oneWay = async (t: ExecutionContext, rules: OneWay): Promise<Cluster> => {
  const { a, b, direction = 'peer' } = rules;
  const toA = b === null ? [] : [{ to: 0, ...b }];
  const toB = b === null ? [] : [{ to: 1, ...a }];
  const routes: FlowRoute[][] = [
    [...toB, { to: 2 }],
    [...toA, { to: 2 }],
    [{ to: 0 }, { to: 1 }],
  ];
  const cluster = await startFlow(t, routes, {
    replication: { databases: ['data'], routeDirection: direction },
  });
  if (b === null) await addNode(cluster.node(0), cluster.node(1), a as Record<string, unknown>);
  return cluster;
};

for (const rules of ONE_WAY)
  test.serial(`FL-01 one way by ${rules.what}: nothing of B reaches A, by no path`, async (t) => {
    const cluster = await oneWay(t, rules);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    await flows(a, b, 'data:open:closed');
    await createNotes(a);
    await note(a, 'a1');
    await haveNotes([b, c], ['a1']);
    await note(b, 'b1');
    await note(b, 'b2');
    await haveNotes([c], ['b1', 'b2']);
    // C has what B wrote, and what C writes after that reaches A.
    await note(c, 'c1');
    await haveNotes([a, b], ['c1']);
    t.deepEqual(await notesOf(a), ['a1', 'c1']);
    // B's delete and update of what A wrote stay away as well.
    await send(b, { operation: 'delete', table: 'notes', ids: ['a1'] });
    await send(b, { operation: 'upsert', table: 'notes', records: [{ id: 'c1', by: 'b' }] });
    await waitUntil('C to follow B', async () => !(await notesOf(c)).includes('a1'));
    await note(c, 'c2');
    await haveNotes([a], ['c2']);
    t.deepEqual((await notesOf(a)).sort(), ['a1', 'c1', 'c2']);
    const [row] = (await send(a, {
      operation: 'search_by_id',
      table: 'notes',
      ids: ['c1'],
    })) as { by: string }[];
    t.is(row?.by, c.name);
    for (const node of [a, b]) {
      await node.kill();
      await node.start();
    }
    await note(b, 'b3');
    await haveNotes([c], ['b3']);
    await note(c, 'c3');
    await note(a, 'a2');
    await haveNotes([a], ['c3']);
    await haveNotes([b], ['a2']);
    t.deepEqual((await notesOf(a)).sort(), ['a1', 'a2', 'c1', 'c2', 'c3']);
    // A's directory is lost: what it copies of C brings nothing of B either. What add_node stated is lost with it.
    if (rules.b === null) return;
    await a.stop();
    await a.wipe();
    await a.start();
    await haveNotes([a], ['c3']);
    await note(c, 'c4');
    await haveNotes([a], ['c4']);
    t.deepEqual(
      (await notesOf(a)).filter((id) => id.startsWith('b')),
      [],
    );
  });

test.serial('FL-01 what B wrote reaches A when the rule is lifted', async (t) => {
  const cluster = await startFlow(t, [[], []], DATA);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  await createNotes(a);
  await addNode(a, b, { replicates: { sends: false, receives: true } });
  await note(a, 'a1');
  await haveNotes([b], ['a1']);
  await note(b, 'b1');
  await note(a, 'a2');
  await haveNotes([b], ['a2']);
  t.deepEqual((await notesOf(a)).sort(), ['a1', 'a2']);
  await messageOf(a, {
    operation: 'update_node',
    hostname: b.name,
    ...reach(b),
    replicates: true,
  });
  await haveNotes([a], ['b1']);
  t.deepEqual((await notesOf(b)).sort(), ['a1', 'a2', 'b1']);
});

test.serial('FL-01 a writer that crashes goes on refusing what it refused', async (t) => {
  const cluster = await oneWay(t, ONE_WAY[0] as OneWay);
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await createNotes(a);
  await note(a, 'a1');
  await haveNotes([b, c], ['a1']);
  t.is((await a.client.crash('/cluster/router:data')).status, 202);
  await note(b, 'b1');
  await haveNotes([c], ['b1']);
  await note(c, 'c1');
  await haveNotes([a], ['c1']);
  t.deepEqual((await notesOf(a)).sort(), ['a1', 'c1']);
});

test.serial(
  'FL-02 who asks for more than it may have is told why, and does not ask in a storm',
  async (t) => {
    const cluster = await startFlow(
      t,
      [[{ to: 1, sendsTo: [], receivesFrom: [{ database: 'data' }] }], [{ to: 0 }]],
      DATA,
    );
    const [a, b] = [cluster.node(0), cluster.node(1)];
    await createNotes(a);
    await note(a, 'a1');
    await createNotes(b);
    await note(b, 'b1');
    await haveNotes([a], ['b1']);
    t.deepEqual(await notesOf(b), ['b1']);
    const log = await b.log();
    const refusals = log.split('Unauthorized database subscription to data').length - 1;
    t.true(refusals <= 20, `${refusals} refusals`);
    t.is((await statusOf(b)).connections[0]?.connected, true);
  },
);

test.serial('FL-05 two databases flow in opposite directions over one link', async (t) => {
  const cluster = await startFlow(
    t,
    [
      [{ to: 1, sendsTo: [{ database: 'data' }], receivesFrom: [{ database: 'config' }] }],
      [{ to: 0, sendsTo: [{ database: 'config' }], receivesFrom: [{ database: 'data' }] }],
    ],
    { replication: { databases: ['data', 'config'] } },
  );
  const [a, b] = [cluster.node(0), cluster.node(1)];
  const data = { database: 'data', table: 't' };
  const config = { database: 'config', table: 't' };
  for (const node of [a, b])
    await send(node, { operation: 'create_database', database: 'config' }).catch(alreadyThere);
  for (const place of [data, config]) await haveTable([a, b], place);
  const round = async (id: string): Promise<void> => {
    await put(b, data, `b ${id}`);
    await put(a, config, `a ${id}`);
    await put(a, data, `a ${id}`);
    await put(b, config, `b ${id}`);
    await has(b, data, `a ${id}`);
    await has(a, config, `b ${id}`);
    t.false((await idsIn(a, data)).some((one) => one.startsWith('b')));
    t.false((await idsIn(b, config)).some((one) => one.startsWith('a')));
  };
  await flows(a, b, 'config:closed:open data:open:closed');
  await round('at first');
  await b.kill();
  await b.start();
  await round('after the link was cut');
  await a.stop();
  await a.start();
  await round('after a restart');
});

const COMBINATIONS = [false, true].flatMap((publish) =>
  [false, true].map((subscribe) => ({ publish, subscribe })),
);

test.serial('FL-08 single tables flow exactly as they are subscribed', async (t) => {
  const cluster = await startFlow(t, [[], []], DATA);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  const tables = ['t', 'u'];
  for (const table of [...tables, 'other']) await haveTable([a, b], { database: 'data', table });
  let at = 0;
  for (const one of COMBINATIONS)
    for (const other of COMBINATIONS) {
      const wanted = [one, other].map((flags, index) => ({
        database: 'data',
        table: tables[index] ?? '',
        ...flags,
      }));
      await messageOf(a, {
        operation: at === 0 ? 'add_node' : 'update_node',
        hostname: b.name,
        ...reach(b),
        subscriptions: wanted,
      });
      const id = `${at++}`;
      for (const table of [...tables, 'other'])
        for (const node of [a, b])
          await put(node, { database: 'data', table }, `${node.name} ${id}`);
      for (const { table, publish, subscribe } of wanted) {
        const place = { database: 'data', table };
        if (publish) await has(b, place, `${a.name} ${id}`);
        if (subscribe) await has(a, place, `${b.name} ${id}`);
      }
      for (const { table, publish, subscribe } of wanted) {
        const place = { database: 'data', table };
        if (!publish)
          t.false((await idsIn(b, place)).includes(`${a.name} ${id}`), `${table} ${id}`);
        if (!subscribe)
          t.false((await idsIn(a, place)).includes(`${b.name} ${id}`), `${table} ${id}`);
      }
    }
  const other = { database: 'data', table: 'other' };
  t.false((await idsIn(b, other)).some((one) => one.startsWith(a.name)));
  await messageOf(a, {
    operation: 'update_node',
    hostname: b.name,
    ...reach(b),
    subscriptions: [],
  });
  await flows(a, b, 'data:open:open');
  // What was left out comes after all.
  for (const table of [...tables, 'other']) {
    const place = { database: 'data', table };
    await has(b, place, `${a.name} 0`);
    await has(a, place, `${b.name} 0`);
    await waitUntil(`both to hold the same of ${table}`, async () => {
      const [ofA, ofB] = await Promise.all([idsIn(a, place), idsIn(b, place)]);
      return ofA.join() === ofB.join();
    });
  }
});

test.serial('an excluded table stays here, and the rest of its transactions passes', async (t) => {
  const rule = [{ database: 'data', excludeTables: ['secrets'] }];
  const cluster = await startFlow(
    t,
    [
      [{ to: 1, sendsTo: rule, receivesFrom: rule }],
      [{ to: 0, sendsTo: rule, receivesFrom: rule }],
    ],
    DATA,
  );
  const [a, b] = [cluster.node(0), cluster.node(1)];
  for (const table of ['secrets', 't']) await haveTable([a, b], { database: 'data', table });
  const secrets = { database: 'data', table: 'secrets' };
  const open = { database: 'data', table: 't' };
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    await put(from, secrets, `secret of ${from.name}`);
    await put(from, open, `of ${from.name}`);
    await has(to, open, `of ${from.name}`);
  }
  t.deepEqual(await idsIn(a, secrets), [`secret of ${a.name}`]);
  t.deepEqual(await idsIn(b, secrets), [`secret of ${b.name}`]);
});

test.serial(
  'a table that replicates although its database does not is all that passes of it',
  async (t) => {
    const cluster = await startFlow(t, [[{ to: 1 }], [{ to: 0 }]], {
      replication: { databases: ['other'] },
    });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    for (const node of [a, b]) {
      await send(node, {
        operation: 'create_table',
        table: 'shared',
        primary_key: 'id',
        replicate: true,
      });
    }
    await haveTable([a, b], { database: 'data', table: 'local' });
    const shared = { database: 'data', table: 'shared' };
    await put(a, { database: 'data', table: 'local' }, 'of a');
    await put(a, shared, 'of a');
    await has(b, shared, 'of a');
    await put(b, shared, 'of b');
    await has(a, shared, 'of b');
    t.deepEqual(await idsIn(b, { database: 'data', table: 'local' }), []);
  },
);

test.serial('SY-10 a start time leaves out what is older, but nothing of system', async (t) => {
  const cluster = await startFlow(t, [[], []]);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  await createNotes(a);
  const written = async (id: string): Promise<number> => {
    const { txn_time: ms } = (await note(a, id)) as { txn_time: number };
    return ms;
  };
  await written('long before');
  const lastMs = Math.ceil(await written('at'));
  await waitUntil('the clock to have moved on', () => Promise.resolve(Date.now() > lastMs + 1));
  await written('after');
  for (const wrong of ['yesterday', '2024-01-01T00:00:00', '2024-01-01', -1])
    await t.throwsAsync(
      send(b, { operation: 'add_node', ...reach(a), hostname: a.name, start_time: wrong }),
      { message: /start_time must be an ISO 8601 UTC timestamp/ },
    );
  await addNode(b, a, { hostname: a.name, start_time: new Date(lastMs).toISOString() });
  await haveNotes([b], ['after']);
  t.deepEqual(await notesOf(b), ['after']);
  const users = async (node: ClusterNode): Promise<unknown> =>
    send(node, {
      operation: 'search_by_value',
      database: 'system',
      table: 'hdb_nodes',
      attribute: 'name',
      value: '*',
      get_attributes: ['name'],
    });
  await waitUntil('the same system', async () => {
    const [ofA, ofB] = await Promise.all([users(a), users(b)]);
    return JSON.stringify(ofA) === JSON.stringify(ofB);
  });
  await b.stop();
  await b.start();
  await note(a, 'after a restart');
  await haveNotes([b], ['after a restart']);
  t.deepEqual((await notesOf(b)).sort(), ['after', 'after a restart']);
});

test.serial('FL-07 what R writes reaches C through M', async (t) => {
  const receives = { replicates: { sends: false, receives: true } };
  const sends = { replicates: { sends: true, receives: false } };
  const cluster = await startFlow(t, [
    [{ to: 1, ...receives }],
    [
      { to: 0, ...sends },
      { to: 2, ...receives },
    ],
    [{ to: 1, ...sends }],
  ]);
  const [r, m, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await createNotes(r);
  await note(r, 'of r');
  await haveNotes([m, c], ['of r']);
  await note(c, 'of c');
  await note(m, 'of m');
  await haveNotes([c], ['of m']);
  t.deepEqual(await notesOf(r), ['of r']);
  t.deepEqual((await notesOf(m)).sort(), ['of m', 'of r']);
});
