/**
 * A node whose directory was put back to an earlier state and that wrote on before it met anybody (CX-11): it finds out
 * from the first peer, goes on under a new incarnation, and nothing that anybody has is lost.
 */
import test, { type ExecutionContext } from 'ava';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { actorAt, memoryConfig, sameRecords, SILENT } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

const SCHEMA = 'type Row @table { id: ID @primaryKey  number: Int @indexed }';
const ROUTER = '/cluster/router:data';

interface Stage {
  readonly directory: string;
  start(name: 'a' | 'b', isLinked: boolean): Promise<Node>;
  backup(): Promise<void>;
  restore(): Promise<void>;
}

const stageOf = async (t: ExecutionContext): Promise<Stage> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-restored-'));
  const network = new MemoryNetwork();
  const running = new Set<Node>();
  t.teardown(async () => {
    for (const node of running) await node.close();
    await rm(directory, { recursive: true });
  });
  const kept = join(directory, 'backup');
  const used = join(directory, 'a');
  return {
    directory,
    start: async (name, isLinked) => {
      const more = { schema: SCHEMA, rootPath: join(directory, name) };
      const config = memoryConfig(name, isLinked ? ['a', 'b'] : [name], more);
      const node = await startNode(
        { ...config, storage: { engine: 'level' } },
        { network: isLinked ? network : new MemoryNetwork(), logger: SILENT },
      );
      running.add(node);
      return node;
    },
    backup: () => cp(used, kept, { recursive: true }),
    restore: async () => {
      await rm(used, { recursive: true });
      await cp(kept, used, { recursive: true });
    },
  };
};

const originOf = (node: Node): string => String(actorAt(node, ROUTER).details.origin);

test('CX-11: what was written after a restore, and what was written before it, are on all nodes', async (t) => {
  const stage = await stageOf(t);
  let a = await stage.start('a', true);
  const b = await stage.start('b', true);
  await a.table('Row').put({ id: 'k', number: 1 });
  await sameRecords([a, b], 'Row', 1);
  await a.close();
  await stage.backup();
  a = await stage.start('a', true);
  await a.table('Row').put({ id: 'before', number: 2 });
  await a.table('Row').put({ id: 'k', number: 2 });
  await sameRecords([a, b], 'Row', 2);
  await a.close();
  await stage.restore();
  a = await stage.start('a', false);
  const present = originOf(a);
  await a.table('Row').put({ id: 'k', number: 3 });
  await a.table('Row').put({ id: 'after', number: 3 });
  await a.close();
  a = await stage.start('a', true);
  await waitUntil('a new incarnation', () => originOf(a) !== present);
  const records = await sameRecords([a, b], 'Row', 3);
  t.deepEqual(
    records.map((record) => {
      const { id, number } = record as { id: string; number: number };
      return [id, number];
    }),
    [
      ['after', 3],
      ['before', 2],
      ['k', 3],
    ],
  );
  const router = actorAt(a, ROUTER);
  t.is(router.counters.rollbacks, 1);
  t.regex(String(router.details.ownPast), /^others know another past of a#/);
  const status = (await a.send({ operation: 'cluster_status' })) as {
    databases: { database: string; ownPast?: string }[];
  };
  const told = status.databases.find(({ database }) => database === 'data')?.ownPast;
  t.is(told, String(router.details.ownPast));
  await a.table('Row').put({ id: 'k', number: 4 });
  await sameRecords([a, b], 'Row', 3);
  t.is(actorAt(a, ROUTER).counters.rollbacks, 1);
});

test('CX-11: a directory that was restored and not written to gets back what it lost', async (t) => {
  const stage = await stageOf(t);
  let a = await stage.start('a', true);
  const b = await stage.start('b', true);
  await a.table('Row').put({ id: 'k', number: 1 });
  await sameRecords([a, b], 'Row', 1);
  await a.close();
  await stage.backup();
  a = await stage.start('a', true);
  await a.table('Row').put({ id: 'p', number: 2 });
  await sameRecords([a, b], 'Row', 2);
  await a.close();
  await stage.restore();
  a = await stage.start('a', true);
  await sameRecords([a, b], 'Row', 2);
  await a.table('Row').put({ id: 'q', number: 3 });
  await sameRecords([a, b], 'Row', 3);
  t.is(actorAt(a, ROUTER).counters.rollbacks, 1);
});

test('a node that stops and starts again has one past', async (t) => {
  const stage = await stageOf(t);
  let a = await stage.start('a', true);
  const b = await stage.start('b', true);
  await a.table('Row').put({ id: 'k', number: 1 });
  await sameRecords([a, b], 'Row', 1);
  const present = originOf(a);
  await a.close();
  a = await stage.start('a', true);
  await a.table('Row').put({ id: 'p', number: 1 });
  await sameRecords([a, b], 'Row', 2);
  t.is(originOf(a), present);
  t.is(actorAt(a, ROUTER).counters.rollbacks, undefined);
});
