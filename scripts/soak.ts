/**
 * `node dist/scripts/soak.js --minutes 30 [--nodes 4] [--rate 200] [--seed 1]`: nodes under steady load while nodes are
 * killed and links are cut in turn. At the end all must be equal and hold what was acknowledged, what processes hold
 * after a collection must not have grown, and no log may tell of an unhandled error. Run by hand. Exit code 1 otherwise.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { COLLECTING, type Cluster, type HeldResources } from '../tests/support/cluster.js';
import { settle } from '../tests/support/clusterDump.js';
import { Load, seededRandom } from '../tests/support/clusterLoad.js';
import { Oracle } from '../tests/support/clusterOracle.js';
import { checkSettled } from '../tests/support/killRounds.js';
import type { LinkProxy } from '../tests/support/linkProxy.js';
import { startProxiedCluster } from '../tests/support/proxiedCluster.js';

const TABLE = 'rounds';
const ROUND_MS = 30_000;
const FAULT_MS = 3_000;
const GROWTH_MAX = 1.1;
const BAD_WORDS = /unhandled|uncaught|MaxListeners/i;

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      nodes: { type: 'string', default: '4' },
      rate: { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
    },
  });
  const [minutes, nodes, rate] = [
    Number(values.minutes),
    Number(values.nodes),
    Number(values.rate),
  ];
  const random = seededRandom(Number(values.seed));
  console.log(`${minutes} minutes, ${nodes} nodes, ${rate} writes/s, seed ${values.seed}`);
  const proxied = await startProxiedCluster({ nodes, nodeArguments: COLLECTING });
  const { cluster, proxies } = proxied;
  try {
    const definition = { operation: 'create_table', table: TABLE, primary_key: 'id' };
    await cluster.node(0).client.send(definition);
    await settle(cluster);
    const samples = await soak({ cluster, proxies, rate, random, untilMs: minutes * 60_000 });
    process.exitCode = (await judge(cluster, samples)) ? 0 : 1;
  } finally {
    await proxied.close();
  }
};

interface Sample extends HeldResources {
  readonly node: string;
  readonly atMs: number;
}

const soak = async (options: {
  cluster: Cluster;
  proxies: readonly LinkProxy[];
  rate: number;
  random: () => number;
  untilMs: number;
}): Promise<Sample[]> => {
  const { cluster, proxies, rate, random, untilMs } = options;
  const samples: Sample[] = [];
  const startedAt = performance.now();
  const oracle = new Oracle();
  for (let round = 1; performance.now() - startedAt < untilMs; round++) {
    const load = new Load({ cluster, oracle, table: TABLE, rate, random });
    const at = Math.floor(random() * cluster.nodes.length);
    const victim = cluster.node(at);
    await sleep(ROUND_MS / 2);
    if (round % 2 === 0) {
      await victim.kill();
      await sleep(FAULT_MS);
      await victim.start();
    } else {
      proxies[at]?.cut();
      await sleep(FAULT_MS);
      proxies[at]?.restore();
    }
    await sleep(ROUND_MS / 2 - FAULT_MS);
    const { acknowledged, unanswered, refused } = await load.stop();
    await cluster.connected();
    const rows = await checkSettled(cluster, oracle);
    for (const node of cluster.nodes) {
      const held = await node.resources();
      samples.push({ ...held, node: node.name, atMs: performance.now() - startedAt });
    }
    const fault = round % 2 === 0 ? 'killed' : 'cut';
    console.log(
      `round ${round}: ${acknowledged} acknowledged, ${unanswered} unanswered, ${refused} refused, ${fault} ${victim.name}, ${rows} rows, RSS ${samples
        .slice(-cluster.nodes.length)
        .map(({ rssBytes, fileDescriptors }) => `${mib(rssBytes)} (${fileDescriptors} fds)`)
        .join(', ')}`,
    );
  }
  return samples;
};

const judge = async (cluster: Cluster, samples: readonly Sample[]): Promise<boolean> => {
  const lastMs = samples.at(-1)?.atMs ?? 0;
  const first = samples.filter(({ atMs }) => atMs <= lastMs / 3);
  const last = samples.filter(({ atMs }) => atMs > (lastMs * 2) / 3);
  const growth = {
    rss: mean(last, 'rssBytes') / mean(first, 'rssBytes'),
    heap: mean(last, 'heapBytes') / mean(first, 'heapBytes'),
    fileDescriptors: mean(last, 'fileDescriptors') / mean(first, 'fileDescriptors'),
  };
  console.log(
    `last third against first third: RSS ${growth.rss.toFixed(3)} (${mib(mean(first, 'rssBytes'))} to ${mib(mean(last, 'rssBytes'))}), heap ${growth.heap.toFixed(3)}, file descriptors ${growth.fileDescriptors.toFixed(3)}`,
  );
  const logs = await Promise.all(cluster.nodes.map((node) => node.log()));
  const bad = logs.flatMap((log) => log.split('\n').filter((line) => BAD_WORDS.test(line)));
  for (const line of bad.slice(0, 5)) console.log(line);
  console.log(`${bad.length} lines of unhandled errors`);
  return growth.rss <= GROWTH_MAX && growth.fileDescriptors <= GROWTH_MAX && bad.length === 0;
};

const mean = (samples: readonly Sample[], what: keyof HeldResources): number =>
  samples.reduce((sum, sample) => sum + sample[what], 0) / Math.max(1, samples.length);

const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

await main();
