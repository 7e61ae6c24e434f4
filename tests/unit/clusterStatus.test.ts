/** cluster_status of nodes in one process, against what the nodes really hold. */
import test, { type ExecutionContext } from 'ava';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { memoryConfig, SILENT, startEmbedded, type Embedded } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

interface Direction {
  readonly state: string;
  readonly reason?: string;
  readonly entriesBehind?: number;
  readonly lagMs?: number;
}

interface Socket extends Direction {
  readonly database: string;
  readonly connected: boolean;
  readonly backPressurePercent?: number;
  readonly receiving: Direction;
  readonly sending: Direction;
}

interface Status {
  readonly databases: readonly {
    readonly database: string;
    readonly entriesBehind: number;
    readonly copy?: { readonly percent: number; readonly rows_done: number };
  }[];
  readonly connections: readonly {
    readonly name: string;
    readonly connected: boolean;
    readonly database_sockets: readonly Socket[];
  }[];
}

const statusOf = async (node: Node): Promise<Status> =>
  (await node.execute({ operation: 'cluster_status' })) as Status;

const socketOf = (status: Status, peer: string): Socket => {
  const connection = status.connections.find(({ name }) => name === peer);
  const socket = connection?.database_sockets.find(({ database }) => database === 'data');
  if (!socket) throw new Error(`no socket to ${peer}: ${JSON.stringify(status)}`);
  return socket;
};

const keysOf = async (node: Node): Promise<Set<string>> =>
  new Set((await node.table<{ id: string }>('dogs').query({})).map(({ id }) => id));

const startDogs = async (t: ExecutionContext, count: number): Promise<Embedded> => {
  const cluster = await startEmbedded(count);
  t.teardown(() => cluster.close());
  const definition = { operation: 'create_table', table: 'dogs', primary_key: 'id' };
  await cluster.node(0).execute(definition);
  for (const node of cluster.nodes)
    await waitUntil('the table is everywhere', () =>
      node
        .execute({ operation: 'describe_table', table: 'dogs' })
        .then(() => true)
        .catch(() => false),
    );
  await level(cluster);
  return cluster;
};

/** Every socket of every node says that nothing is missing, in both directions. */
const level = (cluster: Pick<Embedded, 'nodes'>): Promise<unknown> =>
  waitUntil('all are level', async () => {
    const all = await Promise.all(cluster.nodes.map(statusOf));
    return all.every((status) =>
      status.connections.every(({ database_sockets: sockets }) =>
        sockets.every(
          ({ connected, receiving, sending }) =>
            connected && receiving.entriesBehind === 0 && sending.entriesBehind === 0,
        ),
      ),
    );
  });

/** Each write has a key of its own, and is one entry. */
const write = (node: Node, key: string): Promise<unknown> =>
  node.table('dogs').put({ id: key, from: node.name });

const missingOf = (from: Set<string>, to: Set<string>): number =>
  [...from].filter((key) => !to.has(key)).length;

/** Small and repeatable. */
const randomOf = (seed: number): ((below: number) => number) => {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};

/**
 * What is said between two readings of the truth lies between them: keys only become more. So no more can have been missing
 * than what one has after and the other lacked before, and no less than what was durable at one before and the other
 * lacks after. (The receiving end is told of what is new within 100 ms: of it only the former can be asked.)
 */
test('what is said of three nodes is true after each of many writes', async (t) => {
  const cluster = await startDogs(t, 3);
  const seed = Date.now() % 100_000;
  t.log(`seed ${seed}`);
  const random = randomOf(seed);
  const reached = new Set<number>();
  const durable = new Map(cluster.nodes.map(({ name }) => [name, new Set<string>()]));
  const writeOne = async (node: Node, key: string): Promise<void> => {
    await write(node, key);
    durable.get(node.name)?.add(key);
  };
  for (let round = 0; round < 60; round++) {
    const writer = cluster.node(random(3));
    for (let count = random(5); count >= 0; count--) void writeOne(writer, `${round}-${count}`);
    if (random(2) === 0) await writeOne(writer, `${round}-last`);
    const [reader, peer] = [cluster.node(random(3)), cluster.node(random(3))];
    if (reader === peer) continue;
    const own = new Set(durable.get(reader.name));
    const [hereBefore, thereBefore] = [await keysOf(reader), await keysOf(peer)];
    const socket = socketOf(await statusOf(reader), peer.name);
    const [hereAfter, thereAfter] = [await keysOf(reader), await keysOf(peer)];
    const { receiving, sending } = socket;
    const text = `round ${round}: ${JSON.stringify({ receiving, sending })}`;
    // Keys that are accepted and not yet durable are read, and not counted.
    t.true((receiving.entriesBehind ?? NaN) <= missingOf(thereAfter, hereBefore), text);
    t.true(
      (sending.entriesBehind ?? NaN) <= missingOf(hereAfter, thereBefore) + MAY_LACK_ACK,
      text,
    );
    t.true((sending.entriesBehind ?? NaN) >= missingOf(own, thereAfter), text);
    t.is((receiving.lagMs ?? NaN) > 0, (receiving.entriesBehind ?? NaN) > 0, text);
    t.is(socket.connected, true, text);
    reached.add(receiving.entriesBehind ?? 0).add(sending.entriesBehind ?? 0);
  }
  await level(cluster);
  const sets = await Promise.all(cluster.nodes.map(keysOf));
  for (const one of sets) for (const other of sets) t.is(missingOf(one, other), 0);
  t.true(reached.size > 1, 'something was under way at some time');
});

/** Rows are there before their acknowledgement has come back. */
const MAY_LACK_ACK = 20;

test('HEALTHY in both directions means that the key sets are equal, and it stays so at rest', async (t) => {
  const cluster = await startDogs(t, 3);
  for (let key = 0; key < 20; key++) await write(cluster.node(key % 3), String(key));
  await level(cluster);
  const sets = await Promise.all(cluster.nodes.map(keysOf));
  for (const set of sets) t.is(set.size, 20);
  for (let round = 0; round < 10; round++)
    for (const node of cluster.nodes)
      for (const { database_sockets: sockets } of (await statusOf(node)).connections)
        for (const socket of sockets) {
          t.like(socket, { state: 'HEALTHY', entriesBehind: 0, lagMs: 0, backPressurePercent: 0 });
          t.like(socket.receiving, { state: 'HEALTHY', entriesBehind: 0, lagMs: 0 });
          t.like(socket.sending, { state: 'HEALTHY', entriesBehind: 0, lagMs: 0 });
        }
});

test('a link that carries nothing in one direction: both ends say how much, and the lag grows', async (t) => {
  const cluster = await startDogs(t, 2);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  cluster.network.block('b', 'a');
  for (let key = 0; key < 5; key++) await write(a, String(key));
  await waitUntil('b has them', async () => (await keysOf(b)).size === 5);
  const sent = socketOf(await statusOf(a), 'b').sending;
  t.is(sent.entriesBehind, 5);
  await write(b, 'unheard');
  const later = await waitUntil('the lag grows', async () => {
    const { sending } = socketOf(await statusOf(a), 'b');
    return (sending.lagMs ?? 0) > (sent.lagMs ?? 0) + 1_100 && sending;
  });
  t.like(later, { state: 'DISCONNECTED', entriesBehind: 5 });
  t.is(socketOf(await statusOf(b), 'a').sending.entriesBehind, 1);
  cluster.network.heal('a', 'b');
  await level(cluster);
  t.pass();
});

test('a peer that is cut off: DISCONNECTED with a reason, and a lag that grows from then on', async (t) => {
  const cluster = await startDogs(t, 2);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  cluster.network.cut('a', 'b');
  const cut = await waitUntil('a notices', async () => {
    const socket = socketOf(await statusOf(a), 'b');
    return !socket.connected && socket.state === 'DISCONNECTED' && socket;
  });
  t.true((cut.reason ?? '').length > 0);
  await write(b, 'later');
  const grown = await waitUntil('the lag grows', async () => {
    const socket = socketOf(await statusOf(a), 'b');
    return (socket.lagMs ?? 0) > 300 && socket;
  });
  t.is(grown.receiving.state, 'DISCONNECTED');
  cluster.network.heal('a', 'b');
  await level(cluster);
  t.deepEqual(await keysOf(a), new Set(['later']));
});

test('a copy: its percentage never falls, and is 100 when every row is here, not before', async (t) => {
  const network = new MemoryNetwork();
  const start = (name: string): Promise<Node> =>
    startNode(memoryConfig(name, ['a', 'b']), { network, logger: SILENT });
  const a = await start('a');
  t.teardown(() => a.close());
  await a.execute({ operation: 'create_table', table: 'dogs', primary_key: 'id' });
  const body = 'x'.repeat(2_000);
  for (let first = 0; first < ROWS; first += 500)
    await Promise.all(
      Array.from({ length: 500 }, (_, place) =>
        a.table('dogs').put({ id: String(first + place), body }),
      ),
    );
  const b = await start('b');
  t.teardown(() => b.close());
  const percents: number[] = [];
  const states = new Set<string>();
  const copied = await waitUntil('the copy is complete', async () => {
    const status = await statusOf(b);
    const data = status.databases.find(({ database }) => database === 'data');
    for (const { database_sockets: sockets } of status.connections)
      for (const socket of sockets) if (socket.database === 'data') states.add(socket.state);
    if (data?.copy) percents.push(data.copy.percent);
    return data?.copy?.percent === 100 && status;
  });
  t.is((await keysOf(b)).size, ROWS);
  t.deepEqual(
    percents,
    [...percents].sort((one, other) => one - other),
  );
  t.true(percents.filter((percent) => percent < 100).length > 0, percents.join(' '));
  t.true(states.has('CATCHING_UP'));
  t.is(copied.databases.find(({ database }) => database === 'data')?.copy?.rows_done !== 0, true);
  await level({ nodes: [a, b] });
  t.is(socketOf(await statusOf(b), 'a').state, 'HEALTHY');
});

const ROWS = 5_000;
