/**
 * Crashes of each actor between nodes (peers, peer, feed, resync, membership, listener) and beside it (health),
 * through the kernel's crash door, under writes: siblings go on, the actor comes back, nothing is lost.
 */
import test, { type ExecutionContext } from 'ava';
import {
  actorAt,
  actorsOf,
  sameRecords,
  startEmbedded,
  type Embedded,
} from '../support/embedded.js';
import type { SupervisionEvent } from '../../index.js';
import { crashUnderWrites } from '../support/crashUnderWrites.js';
import { waitUntil } from '../support/waitUntil.js';

const SCHEMA = 'type Row @table { id: ID @primaryKey  number: Int @indexed }';

const open = async (t: ExecutionContext): Promise<Embedded> => {
  const cluster = await startEmbedded(3, { schema: SCHEMA });
  t.teardown(() => cluster.close());
  return cluster;
};

/** Path below /cluster -> whether the same place restarts; the others are made anew by their peer. */
const ACTORS: readonly (readonly [string, boolean])[] = [
  ['/cluster/health', true],
  ['/cluster/membership', true],
  ['/cluster/listener', true],
  ['/cluster/peers', true],
  ['/cluster/peers/peer:b', true],
  ['/cluster/peers/peer:b/feed:data', false],
  ['/cluster/peers/peer:b/resync:data', false],
  ['/cluster/peers/peer:b/feed:system', false],
  ['/cluster/peers/peer:b/resync:system', false],
];

for (const [path, isRestarted] of ACTORS)
  test(`after a crash of ${path} it is back, the others went on and nothing is lost`, async (t) => {
    const cluster = await open(t);
    const node = cluster.node(0);
    const crashes: SupervisionEvent[] = [];
    node.system.subscribe((event) => {
      if (event.type === 'actor.crashed') crashes.push(event);
    });
    const { acknowledged, failed } = await crashUnderWrites(cluster, { path, isRestarted });
    t.deepEqual(failed, []);
    await sameRecords(cluster.nodes, 'Row', acknowledged.length);
    t.deepEqual(
      crashes.map((event) => event.path),
      [path],
    );
    if (isRestarted)
      t.like(actorAt(node, path), {
        state: 'running',
        crashes: 1,
        restarts: 1,
        lastCrash: { message: 'crashed by a test' },
      });
    t.is((await node.health()).status, 'ok');
  });

test('membership tells each new life of peers whom to open', async (t) => {
  const cluster = await open(t);
  const node = cluster.node(0);
  for (let life = 2; life <= 5; life++) {
    await waitUntil('a crash', () => node.system.crash('/cluster/peers', new Error('test')));
    await waitUntil('the next life', () => actorAt(node, '/cluster/peers').life === life);
    await waitUntil('open links', () =>
      ['b', 'c'].every((name) =>
        actorsOf(node).some(
          ({ path, phase }) => path === `/cluster/peers/peer:${name}` && phase === 'open',
        ),
      ),
    );
  }
  t.like(actorAt(node, '/cluster/membership'), { life: 1, crashes: 0 });
});
