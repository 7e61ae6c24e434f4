/**
 * `node dist/scripts/copyCuts.js --rows 500000 [--cuts 10] [--seed 1]`: copies a table to a new node, once undisturbed and
 * once while the link is cut and either process is killed in turn. Every row must arrive, right, and what is sent again
 * must stay below a fifth of all. Run by hand. Exit code 1 otherwise.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { canonical, type Row } from '../tests/support/clusterDump.js';
import type { ClusterNode } from '../tests/support/cluster.js';
import { flat } from '../tests/support/clusterClient.js';
import { startProxiedCluster, type ProxiedCluster } from '../tests/support/proxiedCluster.js';
import { waitUntil } from '../tests/support/waitUntil.js';

const TABLE = 'rows';
/** More than an empty node would rather replay (limits.replayEntriesMax). */
const INSERTS = 1_500;
const ROWS_PER_READ = 20_000;
const COPY_MS_MAX = 600_000;
const SENT_AGAIN_MAX = 0.2;

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '500000' },
      cuts: { type: 'string', default: '10' },
    },
  });
  const [rows, cuts] = [Number(values.rows), Number(values.cuts)];
  const proxied = await startProxiedCluster({ nodes: 2, asleep: [1] });
  try {
    const [source, receiver] = [proxied.cluster.node(0), proxied.cluster.node(1)];
    await fill(source, rows);
    const undisturbed = await copied(proxied, rows, []);
    console.log(`undisturbed: ${undisturbed.bytes} bytes in ${undisturbed.ms} ms`);
    await receiver.stop();
    await receiver.wipe();
    const faults = Array.from({ length: cuts }, (_, at) => FAULTS[at % FAULTS.length] ?? cutLink);
    const disturbed = await copied(proxied, rows, faults);
    const again = disturbed.bytes / undisturbed.bytes - 1;
    console.log(
      `${cuts} interruptions: ${disturbed.bytes} bytes in ${disturbed.ms} ms, ${(again * 100).toFixed(1)} % sent again`,
    );
    process.exitCode = again < SENT_AGAIN_MAX ? 0 : 1;
  } finally {
    await proxied.close();
  }
};

const fill = async (node: ClusterNode, rows: number): Promise<void> => {
  await node.client.send({
    operation: 'create_table',
    table: TABLE,
    primary_key: 'id',
    attributes: [{ name: 'id', is_primary_key: true }, { name: 'text' }],
  });
  const perInsert = Math.ceil(rows / INSERTS);
  for (let from = 0; from < rows; from += perInsert) {
    const count = Math.min(perInsert, rows - from);
    const records = Array.from({ length: count }, (_, at) => rowOf(from + at));
    await node.client.send({ operation: 'insert', table: TABLE, records });
  }
};

const keyOf = (number: number): string => String(number).padStart(9, '0');
const rowOf = (number: number): Row => ({
  id: keyOf(number),
  text: `row ${number} `.repeat(8),
});

type Fault = (proxied: ProxiedCluster) => Promise<void>;

const cutLink: Fault = async ({ proxies }) => {
  for (const proxy of proxies) proxy.cut();
  await sleep(300);
  for (const proxy of proxies) proxy.restore();
};

const FAULTS: readonly Fault[] = [
  cutLink,
  ({ cluster }) => restart(cluster.node(1)),
  ({ cluster }) => restart(cluster.node(0)),
];

const restart = async (node: ClusterNode): Promise<void> => {
  await node.kill();
  await node.launch();
};

/** The sleeping node starts and copies; the faults come at equal distances. Rejects when a row is missing or wrong. */
const copied = async (
  proxied: ProxiedCluster,
  rows: number,
  faults: readonly Fault[],
): Promise<{ bytes: number; ms: number }> => {
  const { cluster } = proxied;
  const receiver = cluster.node(1);
  const [bytesBefore, startedAt] = [proxied.bytes(), performance.now()];
  await receiver.launch();
  for (const [at, fault] of faults.entries()) {
    const due = ((at + 0.5) / faults.length) * rows;
    const done = await waitUntil(
      `${Math.round(due)} rows to be copied`,
      () => rowsDone(receiver).then((count) => count >= due && count),
      COPY_MS_MAX,
    );
    console.log(`  at ${done} rows: ${['link cut', 'receiver killed', 'source killed'][at % 3]}`);
    await fault(proxied);
  }
  await waitUntil('the receiver to be ready', () => receiver.client.isReady(), COPY_MS_MAX);
  const ms = Math.round(performance.now() - startedAt);
  const bytes = proxied.bytes() - bytesBefore;
  await Promise.all(cluster.nodes.map((node) => node.ready()));
  await cluster.connected();
  await compare(receiver, rows);
  return { bytes, ms };
};

const rowsDone = async (node: ClusterNode): Promise<number> => {
  try {
    const { actors } = await node.client.tree();
    const router = flat(actors).find(({ name }) => name === 'router:data');
    return (router?.details['copy'] as { rowsDone: number } | null | undefined)?.rowsDone ?? 0;
  } catch {
    // It is starting.
    return 0;
  }
};

const compare = async (node: ClusterNode, rows: number): Promise<void> => {
  for (let from = 0; from < rows; from += ROWS_PER_READ) {
    const upTo = Math.min(rows, from + ROWS_PER_READ);
    const value = [keyOf(from), keyOf(upTo - 1)];
    const conditions = [{ attribute: 'id', comparator: 'between', value }];
    const question = { operation: 'search_by_conditions', table: TABLE, conditions };
    const found = (await node.client.send({
      ...question,
      get_attributes: ['id', 'text'],
    })) as Row[];
    const wanted = Array.from({ length: upTo - from }, (_, at) => rowOf(from + at));
    if (canonical(found) !== canonical(wanted))
      throw new Error(`rows ${from} to ${upTo} are not what was written: ${found.length} rows`);
  }
  const described = (await node.client.send({
    operation: 'describe_table',
    table: TABLE,
    exact_count: true,
  })) as Row;
  if (described['record_count'] !== rows)
    throw new Error(`${String(described['record_count'])} rows, not ${rows}`);
};

await main();
