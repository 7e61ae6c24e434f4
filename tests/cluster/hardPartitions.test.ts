/**
 * Hard cases of partitions and relays among real processes: cut sets that rotate under load, and rings and lines that fall
 * silent when nobody writes. Ids are those of docs/HARD-CASES.md; longer runs are in scripts/hardCases.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { seededRandom } from '../support/clusterLoad.js';
import { canonical } from '../support/clusterDump.js';
import { createCases, insert, shown, times } from '../support/hardCases.js';
import { runRotatingPartitions } from '../support/hardPartitions.js';
import { startProxiedCluster } from '../support/proxiedCluster.js';
import { waitUntil } from '../support/waitUntil.js';
import { KIB } from '../../protocol/limits.js';

const SECONDS = 9;

test.serial('CV-12 under cut sets that rotate, all nodes end as the fold says', async (t) => {
  const config = { replication: { pingInterval: 400 } };
  const proxied = await startProxiedCluster({ nodes: 3, config });
  t.teardown(() => proxied.close());
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  const figures = await runRotatingPartitions({
    proxied,
    seconds: SECONDS,
    random: seededRandom(seed),
  });
  t.is(Object.keys(figures.cuts).length, 4);
  t.true(figures.acknowledged > SECONDS * 20, `${figures.acknowledged} writes`);
  t.true(figures.rows > 10);
  t.log(`${figures.acknowledged} writes, whole again after ${figures.healMs} ms`);
});

const WRITES = 300;
const RECORD_BYTES = KIB;
/** What passes on all links in so long is no more than keep-alive. */
const QUIET_MS = 2_000;
const QUIET_BYTES_MAX = 4 * KIB;

for (const [what, neighbours] of [
  ['a line of three', [[1], [0, 2], [1]]],
  [
    'a ring of four',
    [
      [1, 3],
      [0, 2],
      [1, 3],
      [2, 0],
    ],
  ],
] as const)
  test.serial(
    `CV-13 ${what} falls silent when nobody writes, and nothing goes round`,
    async (t) => {
      const config = { replication: { databases: ['data'], pingInterval: 1_000 } };
      const proxied = await startProxiedCluster({ nodes: neighbours.length, neighbours, config });
      t.teardown(() => proxied.close());
      const { nodes } = proxied.cluster;
      for (const node of nodes) await createCases(node);
      await waitUntil('links to be quiet', () => isQuiet(proxied.bytes));
      const before = proxied.bytes();
      await times(WRITES, (at) => {
        const node = proxied.cluster.node(at % nodes.length);
        return insert(node, { id: `k${at}`, text: `${at} `.repeat(RECORD_BYTES).slice(0, KIB) });
      });
      await waitUntil('all records everywhere', async () => {
        const dumps = await Promise.all(nodes.map(shown));
        const isWhole = dumps.every((rows) => Object.keys(rows).length === WRITES);
        return isWhole && new Set(dumps.map(canonical)).size === 1;
      });
      await waitUntil('links to be quiet', () => isQuiet(proxied.bytes));
      const links = neighbours.flat().length / 2;
      const each = (proxied.bytes() - before) / (WRITES * RECORD_BYTES);
      // Each record has to cross as many links as there are other nodes, and may cross each link once each way.
      t.true(each >= nodes.length - 1, `${each} times each record`);
      t.true(each < 2 * links + 1, `${each} times each record`);
      t.log(`each record crossed ${each.toFixed(1)} times, over ${links} links`);
    },
  );

const isQuiet = async (bytes: () => number): Promise<boolean> => {
  const before = bytes();
  await sleep(QUIET_MS);
  return bytes() - before < QUIET_BYTES_MAX;
};
