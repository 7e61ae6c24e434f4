/** Transactions over two tables, as readers on other nodes see them. */
import test from 'ava';
import type { Node } from '../../index.js';
import { startEmbedded } from '../support/embedded.js';
import { SCHEMA, watchTransactions, type Sight } from '../support/wholeTransactions.js';

const TRANSACTIONS = 400;

test('a transaction over two tables is never seen in part, here or on other nodes', async (t) => {
  const cluster = await startEmbedded(3, { schema: SCHEMA });
  t.teardown(() => cluster.close());
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  const watched = cluster.nodes.map((node) => watchTransactions(sightOf(node), isOver));
  for (let number = 1; number <= TRANSACTIONS; number++)
    await cluster.node(0).transaction((transaction) => {
      transaction.put('Pair', { id: 'a', number });
      transaction.put('Single', { id: 'a', number });
      transaction.put('Pair', { id: 'b', number });
    });
  await Promise.all(cluster.nodes.map((node) => node.synced()));
  over.abort();
  for (const { seen, partial } of await Promise.all(watched)) {
    t.deepEqual(partial, []);
    t.true(seen > 10, `only ${seen} different transactions were seen`);
  }
  for (const node of cluster.nodes)
    t.deepEqual(await sightOf(node).pair(), [TRANSACTIONS, TRANSACTIONS]);
});

const sightOf = (node: Node): Sight => ({
  pair: async () =>
    (await node.table<{ number: number }>('Pair').query()).map(({ number }) => number),
  single: async () => (await node.table<{ number: number }>('Single').get('a'))?.number ?? 0,
});
