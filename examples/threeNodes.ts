/**
 * Three nodes in one process, linked in memory: written on one, read on another, watched on the third.
 * Run it with `node dist/examples/threeNodes.js`.
 */
import { MemoryNetwork, startNode, type Node } from '../index.js';

interface Dog {
  id: number;
  name: string;
  age?: number;
}

const NAMES = ['amber', 'birch', 'cedar'] as const;

const start = (name: string, network: MemoryNetwork): Promise<Node> =>
  startNode(
    {
      storage: { engine: 'memory' },
      replication: {
        hostname: name,
        url: `memory://${name}`,
        routes: NAMES.map((other) => `memory://${other}`),
      },
      logging: { level: 'error' },
      schema: 'type Dog @table { id: ID @primaryKey  name: String @indexed  age: Int }',
    },
    { network },
  );

/** Prints changes as they become durable on this node, until `signal` ends it. */
const watch = async (node: Node, signal: AbortSignal): Promise<void> => {
  for await (const change of node.table<Dog>('Dog').changes({ since: 'start', signal }))
    console.log(`${node.name} sees ${change.type} of ${change.key}, written on ${change.node}`);
};

const network = new MemoryNetwork();
await using amber = await start('amber', network);
await using birch = await start('birch', network);
await using cedar = await start('cedar', network);
const ended = new AbortController();
const watching = watch(cedar, ended.signal);

await amber.table<Dog>('Dog').put({ id: 1, name: 'Penny', age: 7 });
await amber.transaction((transaction) => {
  transaction.put('Dog', { id: 2, name: 'Kato' });
  transaction.update('Dog', { id: 1, age: 8 });
});

await birch.synced();
const dogs = await birch.table<Dog>('Dog').query({
  conditions: [{ attribute: 'name', comparator: 'starts_with', value: 'P' }],
});
console.log('birch has', dogs, (await birch.health()).status);

await cedar.synced();
ended.abort();
await watching;
