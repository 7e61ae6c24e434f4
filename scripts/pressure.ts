/**
 * `node dist/scripts/pressure.js [--records 1000000] [--transactions 200000]`: what a peer that does not read costs its
 * sender. A node takes records while its peer is stopped (its link stays), and the same again while there is no peer; then
 * small transactions pile up, and the peer catches up. Prints what the sender holds. Run by hand. Exit code 1 when the
 * stopped peer costs 64 MiB or more, or the nodes do not end equal.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  COLLECTING,
  startCluster,
  type Cluster,
  type ClusterNode,
} from '../tests/support/cluster.js';
import { settle } from '../tests/support/clusterDump.js';
import { MIB } from '../protocol/limits.js';

const TABLE = 'records';
const RECORDS_EACH = 500;
const IN_FLIGHT = 8;
const KEYS = 20_000;
const COST_MAX = 64 * MIB;
const SETTLE_MS = 600_000;

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      records: { type: 'string', default: '1000000' },
      transactions: { type: 'string', default: '200000' },
    },
  });
  const [records, transactions] = [Number(values.records), Number(values.transactions)];
  const cluster = await startCluster({
    nodes: 2,
    nodeArguments: COLLECTING,
    // The link to a stopped peer stays, so that it is the window that holds the sender back.
    config: { replication: { pingInterval: 300_000, pingTimeout: 600_000 } },
  });
  try {
    const [sender, peer] = [cluster.node(0), cluster.node(1)];
    await sender.client.send({ operation: 'create_table', table: TABLE, primary_key: 'id' });
    await write(sender, { operations: records / RECORDS_EACH / 2, recordsEach: RECORDS_EACH });
    await settle(cluster, { msMax: SETTLE_MS });
    const stopped = await costOfStopped(cluster, records);
    await peer.kill();
    const alone = await growth('no peer', sender, records);
    await peer.start();
    await cluster.connected();
    await settle(cluster, { msMax: SETTLE_MS });
    const cost = stopped - alone;
    console.log(`a peer that reads nothing costs ${mib(cost)} more than none`);
    await manyTransactions(cluster, transactions);
    process.exitCode = stopped < COST_MAX ? 0 : 1;
  } finally {
    await cluster.close();
  }
};

const costOfStopped = async (cluster: Cluster, records: number): Promise<number> => {
  const [sender, peer] = [cluster.node(0), cluster.node(1)];
  process.kill(peer.pid, 'SIGSTOP');
  try {
    return await growth('peer stopped', sender, records);
  } finally {
    process.kill(peer.pid, 'SIGCONT');
    const startedAt = performance.now();
    await settle(cluster, { msMax: SETTLE_MS });
    const held = await peer.resources();
    console.log(
      `the peer reads again: equal after ${Math.round(performance.now() - startedAt)} ms, it holds ${mib(held.rssBytes)}`,
    );
  }
};

/** Bytes of RSS that the node holds more than before, both after a collection. */
const growth = async (what: string, node: ClusterNode, records: number): Promise<number> => {
  const before = await node.resources();
  const startedAt = performance.now();
  await write(node, { operations: records / RECORDS_EACH, recordsEach: RECORDS_EACH });
  const seconds = (performance.now() - startedAt) / 1_000;
  await sleep(1_000);
  const after = await node.resources();
  const grown = after.rssBytes - before.rssBytes;
  console.log(
    `${what}: ${records} records in ${seconds.toFixed(1)} s, RSS ${mib(before.rssBytes)} to ${mib(after.rssBytes)} (${mib(grown)}), of it anonymous ${mib(before.anonymousBytes)} to ${mib(after.anonymousBytes)}, heap ${mib(before.heapBytes)} to ${mib(after.heapBytes)}`,
  );
  return grown;
};

const manyTransactions = async (cluster: Cluster, transactions: number): Promise<void> => {
  const [sender, peer] = [cluster.node(0), cluster.node(1)];
  await peer.stop();
  const before = await sender.resources();
  await write(sender, { operations: transactions, recordsEach: 1 });
  const after = await sender.resources();
  await peer.launch();
  await peer.ready(SETTLE_MS);
  const startedAt = performance.now();
  await settle(cluster, { msMax: SETTLE_MS });
  const [held, receiver] = [await sender.resources(), await peer.resources()];
  console.log(
    `${transactions} transactions behind: sender ${mib(before.rssBytes)}, ${mib(after.rssBytes)} with them waiting, ${mib(held.rssBytes)} when they are sent; receiver ${mib(receiver.rssBytes)}; equal ${Math.round(performance.now() - startedAt)} ms after it was ready`,
  );
};

/** The same keys again and again, so that what is stored does not grow, and the log does. */
const write = async (
  node: ClusterNode,
  { operations, recordsEach }: { operations: number; recordsEach: number },
): Promise<void> => {
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next < operations) {
      const at = next++;
      const records = Array.from({ length: recordsEach }, (_, row) => ({
        id: `k${(at * recordsEach + row) % KEYS}`,
        number: at,
        text: 'some text of a usual length, about a hundred bytes with the rest of the record',
      }));
      await node.client.send({ operation: 'upsert', table: TABLE, records });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, writer));
};

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

await main();
