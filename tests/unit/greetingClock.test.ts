/** CX-09 through whole nodes: a greeting raises a clock that is behind, unless the peer's is too far ahead; no copy does. */
import test, { type ExecutionContext } from 'ava';
import { systemEnvironment } from '../../actors/environment.js';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { limits } from '../../protocol/limits.js';
import { actorsOf, memoryConfig, SILENT } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

const SCHEMA = 'type Row @table { id: ID @primaryKey  at: Float @updatedTime }';
const AHEAD_MS = 30_000;
/** Below this the slower node's own wall clock stays during the test, above it the other's is. */
const BETWEEN_MS = 20_000;

/** Node `a`, whose clock is ahead, has written to `system` and nothing to `data`; `b` has its tables only. */
const linked = async (
  t: ExecutionContext,
  maxClockSkew: number,
  writes: (node: Node) => Promise<unknown> = async () => undefined,
): Promise<Node> => {
  const network = new MemoryNetwork();
  const start = async (name: string, aheadMs: number): Promise<Node> => {
    const environment = { ...systemEnvironment(), now: () => Date.now() + aheadMs };
    const more =
      name === 'b'
        ? { schema: SCHEMA }
        : { authentication: { adminUsername: 'admin', adminPassword: 'a password' } };
    const config = memoryConfig(name, ['a', 'b'], { ...more, replication: { maxClockSkew } });
    const node = await startNode(config, { network, logger: SILENT, environment });
    t.teardown(() => node.close());
    return node;
  };
  await writes(await start('a', AHEAD_MS));
  return start('b', 0);
};

const isOpen = (node: Node): boolean =>
  actorsOf(node).some(({ path }) => path === '/cluster/peers/peer:a/resync:data');

const writtenAheadMs = async (node: Node): Promise<number> => {
  const row = node.table<{ id: number; at?: number }>('Row');
  await row.put({ id: 1 });
  return ((await row.get(1))?.at ?? 0) - Date.now();
};

test('CX-09: what a node with a slow clock writes after a greeting is ordered after what its peer had seen', async (t) => {
  const node = await linked(t, 60_000);
  await waitUntil('a link', () => isOpen(node));
  t.true((await writtenAheadMs(node)) > BETWEEN_MS);
});

test('CX-09: a peer further ahead than is accepted raises no clock', async (t) => {
  const node = await linked(t, 10_000);
  await waitUntil('a link', () => isOpen(node));
  t.true((await writtenAheadMs(node)) < BETWEEN_MS);
});

test('CX-08: a copy from a node further ahead than is accepted is not taken, and raises no clock', async (t) => {
  const node = await linked(t, 10_000, async (ahead) => {
    await ahead.execute({ operation: 'create_table', table: 'Other', primary_key: 'id' });
    const other = ahead.table<{ id: number }>('Other');
    const ids = Array.from({ length: limits.replayEntriesMax }, (_, id) => id);
    await Promise.all(ids.map((id) => other.put({ id })));
  });
  await waitUntil('a copy to be begun', () => {
    const found = actorsOf(node);
    const router = found.find(({ path }) => path === '/cluster/router:data');
    const resync = found.find(({ path }) => path.endsWith('/peer:a/resync:data'));
    return !!router?.details['copy'] && (resync?.processed ?? 0) > 3;
  });
  t.true((await writtenAheadMs(node)) < BETWEEN_MS);
  t.false((await node.health()).ready);
});
