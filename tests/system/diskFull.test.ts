/**
 * DU-11: a disk that is really full. One node of two has its data on a small tmpfs; it is filled, more is written to it
 * and to its peer, and then the file system is enlarged. Needs the right to mount.
 */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { flat } from '../support/clusterClient.js';
import { settle } from '../support/clusterDump.js';
import { seededRandom } from '../support/clusterLoad.js';
import { waitUntil } from '../support/waitUntil.js';

const run = promisify(execFile);
const TABLE = 'blobs';
const RECORD_BYTES = 40_000;

/** Hard to compress. */
const textOf = (seed: number): string => {
  const random = seededRandom(seed);
  let text = '';
  while (text.length < RECORD_BYTES) text += random().toString(36).slice(2);
  return text;
};

/** Two nodes, the first on a file system of its own that is small. */
const open = async (t: ExecutionContext): Promise<Cluster> => {
  const cluster = await startCluster({ nodes: 2, asleep: [0] });
  const { rootPath } = cluster.node(0);
  await mkdir(rootPath, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'skein-test', rootPath]);
  t.teardown(async () => {
    await cluster.node(0).kill();
    await run('umount', [rootPath]);
    await cluster.close();
  });
  await cluster.node(0).start();
  await cluster.connected();
  return cluster;
};

interface Answer {
  readonly isDone: boolean;
  readonly status: number;
  readonly text: string;
}

const insert = async (node: ClusterNode, id: string, seed: number): Promise<Answer> => {
  const records = [{ id, text: textOf(seed) }];
  const body = JSON.stringify({ operation: 'insert', table: TABLE, records });
  const { status, text } = await node.client.post(body);
  return { isDone: status === 200, status, text };
};

const readOnlyOf = async (node: ClusterNode): Promise<string | undefined> => {
  const status = (await node.client.send({ operation: 'cluster_status' })) as {
    databases: { database: string; read_only?: string; ready: boolean }[];
  };
  return status.databases.find(({ database }) => database === 'data')?.read_only;
};

const idsOn = async (node: ClusterNode): Promise<Set<string>> => {
  const rows = (await node.client.send({
    operation: 'search_by_value',
    table: TABLE,
    attribute: 'id',
    value: '*',
    get_attributes: ['id'],
  })) as { id: string }[];
  return new Set(rows.map(({ id }) => id));
};

test('DU-11 a full disk refuses writes, goes on reading, and recovers without a restart', async (t) => {
  const cluster = await open(t);
  const [small, roomy] = [cluster.node(0), cluster.node(1)];
  await small.client.send({ operation: 'create_table', table: TABLE, primary_key: 'id' });
  await settle(cluster);

  const answered: string[] = [];
  const refused: Answer[] = [];
  for (let place = 0; refused.length === 0; place++) {
    const id = `small-${place}`;
    const answer = await insert(small, id, place);
    if (answer.isDone) answered.push(id);
    else refused.push(answer);
    if (place > 2_000) throw new Error('the disk does not become full');
  }
  t.log(`${answered.length} records before: ${refused[0]?.status} ${refused[0]?.text}`);
  t.regex(refused[0]?.text ?? '', /no space left on device/i);
  await waitUntil(
    'the status to say so',
    async () => (await readOnlyOf(small)) !== undefined,
    20_000,
  );
  t.regex((await readOnlyOf(small)) ?? '', /no space left on device/i);
  t.false(await small.client.isReady(), 'the probes say so too');

  // The peer goes on, and so do those who write here.
  const crashesBefore = (await routerOf(small)).crashes;
  for (let place = 0; place < 40; place++) {
    const answer = await insert(roomy, `roomy-${place}`, 10_000 + place);
    t.true(answer.isDone, answer.text);
    answered.push(`roomy-${place}`);
    const here = await insert(small, `late-${place}`, 20_000 + place);
    t.false(here.isDone);
    t.is(here.status, 507, here.text);
    const [first] = (await small.client.send({
      operation: 'search_by_id',
      table: TABLE,
      ids: ['small-0'],
    })) as { text: string }[];
    t.is(first?.text, textOf(0));
  }
  t.is((await routerOf(small)).crashes, crashesBefore, 'no restarts are spent on a full disk');
  t.false((await idsOn(small)).has('roomy-39'));

  await run('mount', ['-o', 'remount,size=400m', small.rootPath]);
  await waitUntil(
    'writes to be taken again',
    async () => (await readOnlyOf(small)) === undefined,
    60_000,
  );
  const after = await insert(small, 'after', 30_000);
  t.true(after.isDone, after.text);
  answered.push('after');
  await settle(cluster, { msMax: 60_000 });
  const ids = await idsOn(small);
  t.deepEqual(
    answered.filter((id) => !ids.has(id)),
    [],
  );
  t.is((await routerOf(small)).state, 'running');
});

const routerOf = async (node: ClusterNode) => {
  const { actors } = await node.client.tree();
  const router = flat(actors).find(({ path }) => path === '/cluster/router:data');
  if (!router) throw new Error('there is no router');
  return router;
};
