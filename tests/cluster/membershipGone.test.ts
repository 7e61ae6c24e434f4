/**
 * One member is gone for good, and nobody removes it: the others go on, and dial it less and less. Real processes; the
 * dials are counted in its place.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { startCluster, type ClusterNode } from '../support/cluster.js';
import { countDials } from '../support/memberListener.js';
import { createNotes, haveNotes, note } from '../support/memberRecords.js';
import { addNode, connectedExactly, fullMesh } from '../support/memberViews.js';

const WATCHED_MS = 40_000;
const QUIET_MS = 10_000;
/** Waits that double from half a second, each between half and all of it, come to 9 dials in that time at most. */
const DIALS_MAX = 9;
const DATABASES = 5;

test.serial('MB-14 a member that is gone for good costs nothing', async (t) => {
  const cluster = await startCluster({ nodes: 3, apart: true });
  t.teardown(() => cluster.close());
  const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  await createNotes(a);
  await addNode(a, b);
  await addNode(a, c);
  await fullMesh(cluster.nodes);
  const survivors = [a, b];
  await c.kill();
  const counter = await countDials({ host: c.name, port: c.ports.replication });
  t.teardown(() => counter.close());
  const startedAt = performance.now();
  let changes = 0;
  for (; performance.now() - startedAt < WATCHED_MS - QUIET_MS; changes++) await change(a, changes);
  await connectedExactly(a, [b.name]);
  const before = await Promise.all(survivors.map(usage));
  await sleep(QUIET_MS);
  const after = await Promise.all(survivors.map(usage));
  t.log(`${changes} changes of databases and tables, ${counter.dials.length} dials`);
  t.true(counter.dials.length >= 2 * survivors.length);
  t.true(counter.dials.length <= DIALS_MAX * survivors.length, `${counter.dials.length} dials`);
  const late = counter.dials.filter((at) => at - startedAt > WATCHED_MS / 2);
  t.true(late.length <= 2 * survivors.length, `${late.length} dials in the second half`);
  for (const [index, now] of after.entries()) {
    const then = before[index];
    if (!then) throw new Error('each survivor was looked at');
    t.true(now.cpuMs - then.cpuMs < QUIET_MS / 4, `${now.cpuMs - then.cpuMs} ms of processor time`);
    t.true(now.logBytes - then.logBytes < 4_096, `${now.logBytes - then.logBytes} bytes of log`);
    t.true(now.logBytes < 64 * 1_024, `${now.logBytes} bytes of log`);
  }
  await note(b, 'afterwards');
  await haveNotes(survivors, ['afterwards']);
});

/** Databases and tables come and go. */
const change = async ({ client }: ClusterNode, turn: number): Promise<void> => {
  const database = `churn${turn % DATABASES}`;
  const table = `t${turn}`;
  if (turn < DATABASES) await client.send({ operation: 'create_database', database });
  await client.send({ operation: 'create_table', database, table, primary_key: 'id' });
  await client.send({
    operation: 'insert',
    database,
    table,
    records: [{ id: turn, [`a${turn}`]: 1 }],
  });
  await client.send({ operation: 'drop_table', database, table });
  await sleep(100);
};

const usage = async (node: ClusterNode): Promise<{ cpuMs: number; logBytes: number }> => {
  const { process } = (await node.client.send({
    operation: 'system_information',
    attributes: ['process'],
  })) as { process: { user: number; system: number } };
  return {
    cpuMs: Math.round((process.user + process.system) / 1_000),
    logBytes: (await node.log()).length,
  };
};
