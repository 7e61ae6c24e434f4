/**
 * Databases that are dropped and made again, or cannot be made at all: what the node answers, what its peers see of
 * it, and that no peer suffers from it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { actorAt, actorsOf, memoryConfig, SILENT, startEmbedded } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

const CREATE = { operation: 'create_table', database: 'x', table: 't', primary_key: 'id' } as const;

const insert = (node: Node, id: number): Promise<unknown> =>
  node.execute({ operation: 'insert', database: 'x', table: 't', records: [{ id }] });

const holds = (node: Node, count: number): Promise<unknown> =>
  waitUntil(`${count} records`, async () => {
    const found = await node
      .execute({
        operation: 'search_by_value',
        database: 'x',
        table: 't',
        attribute: 'id',
        value: '*',
      })
      .catch(() => []);
    return Array.isArray(found) && found.length === count;
  });

/** Two nodes whose databases take the time to close that they take in earnest. */
const startOnDisk = async (t: ExecutionContext): Promise<readonly [Node, Node]> => {
  const network = new MemoryNetwork();
  const rootPath = await mkdtemp(join(tmpdir(), 'skein-databases-'));
  const open = (name: string): Promise<Node> => {
    const config = { rootPath: join(rootPath, name), storage: { engine: 'level' } } as const;
    return startNode(memoryConfig(name, ['a', 'b'], config), { network, logger: SILENT });
  };
  const nodes = await Promise.all([open('a'), open('b')]);
  t.teardown(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    await rm(rootPath, { recursive: true, force: true });
  });
  await Promise.all(nodes.map((node) => node.synced({ signal: AbortSignal.timeout(10_000) })));
  return nodes;
};

test('a database dropped on a node and made again there replicates both ways', async (t) => {
  const [a, b] = await startOnDisk(t);
  // From now on the numbers of the streams are not the same on both sides.
  const path = '/cluster/peers/peer:b/resync:data';
  const before = actorAt(a, path).details['stream'];
  a.system.crash(path, new Error('crashed by a test'));
  await waitUntil('another stream', () =>
    actorsOf(a).some((actor) => actor.path === path && actor.details['stream'] !== before),
  );
  await a.execute(CREATE);
  await insert(a, 1);
  await holds(b, 1);
  await insert(b, 0);
  await holds(a, 2);
  for (const round of [1, 2]) {
    await a.execute({ operation: 'drop_database', database: 'x' });
    await a.execute({ operation: 'create_database', database: 'x' });
    await holds(a, 2 * round);
    await insert(a, 2 * round);
    await holds(b, 2 * round + 1);
    await insert(b, 2 * round + 1);
    await holds(a, 2 * round + 2);
  }
  t.pass();
});

test('a name that is too long for a directory is refused, and peers never hear of it', async (t) => {
  const cluster = await startEmbedded(2);
  t.teardown(() => cluster.close());
  const [a, b] = [cluster.node(0), cluster.node(1)];
  for (const database of ['A'.repeat(86), 'é'.repeat(60)])
    await t.throwsAsync(a.execute({ operation: 'create_database', database }), {
      code: 'INVALID_REQUEST',
      message: /'database' names may take 255 bytes/,
    });
  await a.execute({ operation: 'create_database', database: 'A'.repeat(85) });
  await a.execute(CREATE);
  await insert(a, 1);
  await holds(b, 1);
  for (const node of cluster.nodes) t.like(await node.health(), { status: 'ok', ready: true });
});

test('a database may be made again at any moment of its drop, and is whole then', async (t) => {
  const rootPath = await mkdtemp(join(tmpdir(), 'skein-databases-'));
  t.teardown(() => rm(rootPath, { recursive: true, force: true }));
  const first = await startNode({ rootPath }, { logger: SILENT });
  for (let turns = 0; turns < 60; turns += 2) {
    await first.execute(CREATE);
    await insert(first, 1);
    const dropped = first.execute({ operation: 'drop_database', database: 'x' });
    for (let turn = 0; turn < turns; turn++) await setImmediate();
    const made = first.execute({ operation: 'create_database', database: 'x' });
    await dropped;
    // Asked before the drop has begun, the database is still there.
    await made.catch((error: { code?: string }) => t.is(error.code, 'ALREADY_EXISTS'));
    await first
      .execute({ operation: 'drop_database', database: 'x' })
      .catch((error: { code?: string }) => t.is(error.code, 'NOT_FOUND'));
  }
  await first.execute(CREATE);
  await insert(first, 1);
  await first.close();
  const again = await startNode({ rootPath }, { logger: SILENT });
  t.teardown(() => again.close());
  await holds(again, 1);
});
