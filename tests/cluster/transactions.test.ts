/**
 * A transaction over two tables, written by a node embedded in this process, is never seen in part on the nodes it is
 * replicated to: real processes, one of which is killed and started again while it reads along.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { startNode } from '../../index.js';
import { startCluster, type ClusterNode } from '../support/cluster.js';
import { settle, type Row } from '../support/clusterDump.js';
import { SILENT } from '../support/embedded.js';
import { isConnectionFailure } from '../support/clusterClient.js';
import { SCHEMA, watchTransactions, type Sight } from '../support/wholeTransactions.js';

const WRITER = 2;
const PHASE_MS = 1_500;

test('a transaction is seen whole or not at all, also by a node that is killed in between', async (t) => {
  const cluster = await startCluster({ nodes: 3, asleep: [WRITER] });
  t.teardown(() => cluster.close());
  const [steady, killed, absent] = [cluster.node(0), cluster.node(1), cluster.node(WRITER)];
  const routes = [steady, killed].map(({ replicationUrl }) => replicationUrl);
  const writer = await startNode(
    {
      rootPath: absent.rootPath,
      replication: { hostname: absent.name, port: absent.ports.replication, routes },
      schema: SCHEMA,
    },
    { logger: SILENT },
  );
  t.teardown(() => writer.close());
  await writer.synced({ signal: AbortSignal.timeout(10_000) });
  let number = 0;
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  const write = async (): Promise<void> => {
    while (!isOver()) {
      number++;
      await writer.transaction((transaction) => {
        transaction.put('Single', { id: 'a', number });
        transaction.put('Pair', { id: 'a', number });
        transaction.put('Pair', { id: 'b', number });
      });
    }
  };
  const writing = write();
  await settleTables(steady, killed);
  const watching = [steady, killed].map((node) => watchTransactions(sightOf(node), isOver));
  await sleep(PHASE_MS);
  await killed.kill();
  await sleep(PHASE_MS);
  await killed.start();
  await sleep(PHASE_MS);
  over.abort();
  await writing;
  for (const { seen, partial } of await Promise.all(watching)) {
    t.deepEqual(partial, []);
    t.true(seen > 10, `only ${seen} different transactions were seen`);
    t.log(`${seen} of ${number} transactions were seen`);
  }
  await settle(cluster);
  for (const node of [steady, killed]) t.deepEqual(await sightOf(node).pair(), [number, number]);
});

/** The tables and the first transaction are there. */
const settleTables = async (...nodes: readonly ClusterNode[]): Promise<void> => {
  for (const node of nodes)
    while (
      (
        await sightOf(node)
          .pair()
          .catch(() => [])
      ).length < 2
    )
      await sleep(20);
};

const sightOf = (node: ClusterNode): Sight => ({
  pair: async () =>
    numbers(node, { operation: 'search_by_value', table: 'Pair', attribute: 'id', value: '*' }),
  single: async () => {
    const [found = 0] = await numbers(node, {
      operation: 'search_by_id',
      table: 'Single',
      ids: ['a'],
    });
    return found;
  },
});

/** Asked again while the node is being started again. */
const numbers = async (
  node: ClusterNode,
  operation: Record<string, unknown>,
): Promise<number[]> => {
  for (;;) {
    try {
      const rows = (await node.client.send(operation)) as Row[];
      return rows.map(({ number }) => Number(number));
    } catch (error) {
      if (!isConnectionFailure(error)) throw error;
      await sleep(20);
    }
  }
};
