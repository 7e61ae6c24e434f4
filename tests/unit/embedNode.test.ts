/** The embed API around tables: starting, asking and watching the cluster supervisor, health, sync and closing. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ClusterOverview } from '../../actors/messages.js';
import {
  MemoryNetwork,
  startNode,
  type ActorRef,
  type ClusterMessage,
  type Node,
  type Terminated,
} from '../../index.js';
import { actorsOf, memoryConfig, sameRecords, SILENT, startEmbedded } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

const SCHEMA = 'type Dog @table { id: ID @primaryKey  name: String @indexed }';

const single = async (t: ExecutionContext): Promise<Node> => {
  const node = await startNode(
    { storage: { engine: 'memory' }, schema: SCHEMA },
    { logger: SILENT },
  );
  t.teardown(() => node.close());
  return node;
};

test('a node without any setting but its engine opens no door and stores records', async (t) => {
  const node = await single(t);
  t.is(node.config.replication.insecure, undefined);
  t.is(node.config.operationsApi.listen, undefined);
  t.is(node.config.debug.listen, undefined);
  await node.table('Dog').put({ id: 1, name: 'Penny' });
  t.deepEqual(await node.table('Dog').query(), [{ id: 1, name: 'Penny' }]);
});

test('a node opens the doors that its configuration names, and closing it closes them', async (t) => {
  const config = {
    operationsApi: { network: { port: '127.0.0.1:0' } },
    debug: { port: '127.0.0.1:0' },
    storage: { engine: 'memory' as const },
  };
  const node = await startNode(config, { logger: SILENT });
  t.teardown(() => node.close());
  const { operationsApi = '', debug = '' } = node.doors;
  for (const url of [operationsApi, debug])
    t.is(await (await fetch(`${url}/health`)).text(), 'Skein is running.');
  await node.close();
  await t.throwsAsync(fetch(`${operationsApi}/health`), { message: /fetch failed/ });
});

test('a door that cannot be opened leaves no node running', async (t) => {
  const holder = await startNode(
    { operationsApi: { network: { port: '127.0.0.1:0' } }, storage: { engine: 'memory' } },
    { logger: SILENT },
  );
  t.teardown(() => holder.close());
  const port = (holder.doors.operationsApi ?? '').slice('http://'.length);
  const rootPath = await mkdtemp(join(tmpdir(), 'skein-embed-'));
  t.teardown(() => rm(rootPath, { recursive: true, force: true }));
  const config = { rootPath, operationsApi: { network: { port } } };
  await t.throwsAsync(startNode(config, { logger: SILENT }), { code: 'INVALID_CONFIGURATION' });
  await using free = await startNode({ rootPath }, { logger: SILENT });
  t.is((await free.health()).status, 'ok');
});

test('send runs an operation as the operations API would, for nobody or for a user', async (t) => {
  const node = await single(t);
  const upserted = await node.send({
    operation: 'upsert',
    table: 'Dog',
    records: [{ id: 1, name: 'P' }],
  });
  t.like(upserted, { message: 'upserted 1 of 1 records', upserted_hashes: [1] });
  const guest = { username: 'guest', superUser: false, active: true };
  await t.throwsAsync(node.send({ operation: 'describe_all' }, { user: guest }), {
    code: 'FORBIDDEN',
  });
  await t.throwsAsync(node.execute({ operation: 'sql' }), { code: 'INVALID_REQUEST' });
  const reason = new Error('too slow for me');
  await t.throwsAsync(
    node.send({ operation: 'describe_all' }, { signal: AbortSignal.abort(reason) }),
    { is: reason },
  );
});

test('the cluster supervisor answers typed questions and tells its watchers when it ends', async (t) => {
  const node = await single(t);
  t.is(node.cluster.path, '/cluster');
  const overview = await node.system.ask<ClusterOverview, ClusterMessage>(
    node.cluster,
    (replyTo) => ({ type: 'cluster.overview', replyTo }),
  );
  t.deepEqual(overview.databases.map(({ database }) => database).sort(), ['data', 'system']);
  const told: Terminated[] = [];
  node.system.watch(node.cluster as ActorRef<never>, (terminated) => told.push(terminated));
  await node.close();
  t.deepEqual(
    told.map(({ path, reason }) => [path, reason.kind]),
    [['/cluster', 'stopped']],
  );
});

test('three nodes in one process over memory hold the same and say that they are well', async (t) => {
  const cluster = await startEmbedded(3, { schema: SCHEMA });
  t.teardown(() => cluster.close());
  await Promise.all(
    cluster.nodes.map((node, at) => node.table('Dog').put({ id: `dog${at}`, name: node.name })),
  );
  const dogs = await sameRecords(cluster.nodes, 'Dog', 3);
  t.is(dogs.length, 3);
  for (const node of cluster.nodes) {
    t.deepEqual(await node.health(), {
      status: 'ok',
      problems: [],
      live: true,
      ready: true,
      started: true,
    });
    t.true(actorsOf(node).every(({ crashes }) => crashes === 0));
  }
});

test('synced waits until what peers have is here, also for a node that comes late', async (t) => {
  const network = new MemoryNetwork();
  const names = ['a', 'b'];
  const a = await startNode(memoryConfig('a', names, { schema: SCHEMA }), {
    network,
    logger: SILENT,
  });
  t.teardown(() => a.close());
  await a.table('Dog').putMany(Array.from({ length: 3_000 }, (_, id) => ({ id, name: `n${id}` })));
  for (let id = 0; id < 1_200; id++) void a.table('Dog').put({ id, name: 'again' });
  await a.table('Dog').put({ id: 'last', name: 'last' });
  const b = await startNode(memoryConfig('b', names), { network, logger: SILENT });
  t.teardown(() => b.close());
  await b.synced({ signal: AbortSignal.timeout(20_000) });
  t.is((await b.table('Dog').query()).length, 3_001);
  t.is(
    (await b.table('Dog').query({ conditions: [{ attribute: 'name', value: 'again' }] })).length,
    1_200,
  );
  t.true((await b.health()).ready);
});

test('synced is ended by its signal while no peer can be reached', async (t) => {
  const node = await startNode(memoryConfig('a', ['a', 'nobody']), {
    network: new MemoryNetwork(),
    logger: SILENT,
  });
  t.teardown(() => node.close());
  const stop = new AbortController();
  const waiting = node.synced({ signal: stop.signal });
  const reason = new Error('waited long enough');
  stop.abort(reason);
  await t.throwsAsync(waiting, { is: reason });
});

test('a node that was cut off works on and catches up when the link is healed', async (t) => {
  const cluster = await startEmbedded(2, { schema: SCHEMA });
  t.teardown(() => cluster.close());
  const [a, b] = [cluster.node(0), cluster.node(1)];
  cluster.network.cut('a', 'b');
  await a.table('Dog').put({ id: 'a' });
  await b.table('Dog').put({ id: 'b' });
  t.is(await a.table('Dog').get('b'), undefined);
  cluster.network.heal('a', 'b');
  t.is((await sameRecords([a, b], 'Dog', 2)).length, 2);
});

test('a closed node refuses everything and closing it again is no mistake', async (t) => {
  const node = await single(t);
  await node.close();
  await node.close();
  await t.throwsAsync(node.table('Dog').get(1), { code: 'UNAVAILABLE' });
  await t.throwsAsync(node.send({ operation: 'describe_all' }), { code: 'UNAVAILABLE' });
  t.like(await node.health(), { status: 'stopped', live: false, ready: false });
});

test('await using closes the node at the end of its block', async (t) => {
  let kept: Node;
  {
    await using node = await startNode({ storage: { engine: 'memory' } }, { logger: SILENT });
    kept = node;
    t.is((await node.health()).status, 'ok');
  }
  t.is((await kept.health()).status, 'stopped');
});

test('data on disk is there at the next start, and a second node on it is refused', async (t) => {
  const rootPath = await mkdtemp(join(tmpdir(), 'skein-embed-'));
  t.teardown(() => rm(rootPath, { recursive: true, force: true }));
  const first = await startNode({ rootPath, schema: SCHEMA }, { logger: SILENT });
  t.teardown(() => first.close());
  await first.table('Dog').put({ id: 1, name: 'Penny' });
  await t.throwsAsync(startNode({ rootPath }, { logger: SILENT }), { code: 'STORAGE_LOCKED' });
  t.is((await first.health()).status, 'ok');
  await first.close();
  await using second = await startNode({ rootPath }, { logger: SILENT });
  t.deepEqual(await second.table('Dog').get(1), { id: 1, name: 'Penny' });
});

test('a configuration that makes no sense is refused before anything runs', async (t) => {
  await t.throwsAsync(startNode({ storage: { engine: 'paper' as never } }), {
    code: 'INVALID_CONFIGURATION',
    message: /storage\.engine/,
  });
  await t.throwsAsync(startNode({ storage: { engine: 'memory' }, schema: 'type Dog @table {' }), {
    code: 'INVALID_CONFIGURATION',
  });
});

test('the supervisor of a whole node that crashes leaves it failed, and whoever asked to be told is told', async (t) => {
  const failures: Error[] = [];
  const node = await startNode(
    { storage: { engine: 'memory' } },
    { logger: SILENT, failed: (error) => failures.push(error) },
  );
  t.teardown(() => node.close());
  t.true(node.system.crash('/cluster', new Error('the end')));
  await waitUntil('the failure', () => failures.length === 1);
  const health = await node.health();
  t.like(health, { status: 'failed', live: false, ready: false });
  t.regex(health.problems.join(), /the end/);
  await t.throwsAsync(node.send({ operation: 'describe_all' }), { code: 'UNAVAILABLE' });
});

const STARTS = 20;
/** Promised is 100; ten times that is a fault and not a busy machine. */
const START_MS_MAX = 1_000;

test('three nodes over memory are up soon after they are asked for', async (t) => {
  const times: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    const network = new MemoryNetwork();
    const names = ['a', 'b', 'c'];
    const startedAt = performance.now();
    const nodes = await Promise.all(
      names.map((name) => startNode(memoryConfig(name, names), { network, logger: SILENT })),
    );
    times.push(performance.now() - startedAt);
    await Promise.all(nodes.map((node) => node.close()));
  }
  const median = times.sort((a, b) => a - b)[STARTS / 2] ?? Infinity;
  t.log(`three nodes: median of ${STARTS} starts ${median.toFixed(1)} ms`);
  t.true(median < START_MS_MAX);
});
