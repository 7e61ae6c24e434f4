/**
 * Crashes of a database's writer and of its store, under writes: what was acknowledged stays, what was not says so,
 * the other database and the links go on, and a writer that cannot come back is shown as the problem it is.
 */
import test, { type ExecutionContext } from 'ava';
import {
  actorAt,
  actorsOf,
  sameRecords,
  startEmbedded,
  type Embedded,
} from '../support/embedded.js';
import { crashUnderWrites } from '../support/crashUnderWrites.js';
import { waitUntil } from '../support/waitUntil.js';

const SCHEMA = 'type Row @table { id: ID @primaryKey  number: Int @indexed }';
const ROUTER = '/cluster/router:data';

const open = async (t: ExecutionContext): Promise<Embedded> => {
  const cluster = await startEmbedded(3, { schema: SCHEMA });
  t.teardown(() => cluster.close());
  return cluster;
};

for (const path of [ROUTER, '/cluster/router:system'])
  test(`after a crash of ${path} every acknowledged write is on every node`, async (t) => {
    const cluster = await open(t);
    const { acknowledged, failed } = await crashUnderWrites(cluster, { path, isRestarted: true });
    const node = cluster.node(0);
    t.like(actorAt(node, path), {
      state: 'running',
      crashes: 1,
      restarts: 1,
      lastCrash: { message: 'crashed by a test' },
    });
    const rows = (await sameRecords(cluster.nodes, 'Row')) as { id: number }[];
    const held = new Set(rows.map(({ id }) => id));
    t.deepEqual(
      acknowledged.filter((key) => !held.has(key)),
      [],
    );
    t.true(failed.every(({ code }) => code === 'UNAVAILABLE' || code === 'OUTCOME_UNKNOWN'));
    t.true(held.size <= acknowledged.length + failed.length);
    await waitUntil('a healthy node', async () => (await node.health()).status === 'ok');
    const crashed = actorsOf(node).filter(({ crashes }) => crashes > 0);
    t.deepEqual(
      crashed.map((actor) => actor.path),
      [path],
    );
  });

test('writes of a node whose writer keeps crashing are refused, the node says why, the others go on', async (t) => {
  const cluster = await open(t);
  const node = cluster.node(0);
  await waitUntil(
    'the budget to be spent',
    () => {
      node.system.crash(ROUTER, new Error('a broken disk'));
      return actorAt(node, ROUTER).state === 'failed';
    },
    30_000,
  );
  await t.throwsAsync(node.table('Row').put({ id: 1 }), { code: 'UNAVAILABLE' });
  const health = await node.health();
  t.like(health, { status: 'degraded', live: true, ready: false });
  t.deepEqual(health.problems, [`${ROUTER} is down: a broken disk`]);
  await cluster.node(1).table('Row').put({ id: 2 });
  await sameRecords([cluster.node(1), cluster.node(2)], 'Row', 1);
  t.like(actorAt(node, '/cluster/router:system'), { state: 'running', crashes: 0 });
});
