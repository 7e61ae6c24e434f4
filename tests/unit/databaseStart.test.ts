/** What a node makes of its storage directory when it starts: every database for itself. */
import test, { type ExecutionContext } from 'ava';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { limits } from '../../protocol/limits.js';
import { startNode, type ConfigInput, type Node } from '../../index.js';

const folder = async (t: ExecutionContext): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'skein-start-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
};

const start = (rootPath: string, more: ConfigInput = {}): Promise<Node> =>
  startNode({ rootPath, logging: { level: 'fatal' }, ...more });

const databasesOf = async (node: Node): Promise<string[]> =>
  Object.keys((await node.send({ operation: 'describe_all' })) as object);

test('a database that was dropped stays dropped when the node starts again, the default one too', async (t) => {
  const rootPath = await folder(t);
  const first = await start(rootPath);
  await first.send({ operation: 'create_database', database: 'kept' });
  await first.send({ operation: 'drop_database', database: 'data' });
  await first.close();
  // As if the process had been killed between the note and the erasing.
  await mkdir(join(rootPath, 'database', 'data'), { recursive: true });
  const again = await start(rootPath);
  t.teardown(() => again.close());
  t.deepEqual(await databasesOf(again), ['kept']);
  await again.send({ operation: 'create_table', table: 'dog', primary_key: 'id' });
  t.deepEqual(await databasesOf(again), ['data', 'kept']);
});

test('a directory that is no database is left alone', async (t) => {
  const rootPath = await folder(t);
  for (const name of ['lost+found', '%zz', 'Upper'])
    await mkdir(join(rootPath, 'database', name), { recursive: true });
  const node = await start(rootPath);
  t.teardown(() => node.close());
  t.deepEqual(await databasesOf(node), ['data']);
});

test('a database that cannot be opened says why, and the others go on', async (t) => {
  const rootPath = await folder(t);
  await mkdir(join(rootPath, 'database', 'broken', 'CURRENT'), { recursive: true });
  const node = await start(rootPath);
  t.teardown(() => node.close());
  await node.send({ operation: 'create_table', table: 'dog', primary_key: 'id' });
  await node.table<{ id: number }>('dog').put({ id: 1 });
  t.deepEqual(
    await node
      .table<{ id: number }>('dog')
      .query()
      .then((all) => all.length),
    1,
  );
  await t.throwsAsync(() => node.send({ operation: 'describe_database', database: 'broken' }), {
    code: 'STORAGE_FAILED',
    message: /takes no writes: Cannot open the data directory .*broken/,
  });
  const health = await node.health();
  t.like(health, { status: 'degraded', ready: false });
  t.regex(health.problems.join(), /router:broken is read only: Cannot open the data directory/);
});

test('a definition cannot give a table another primary key', async (t) => {
  const rootPath = await folder(t);
  const first = await start(rootPath, {
    schema: 'type Dog @table(table: "dog") { id: ID @primaryKey }',
  });
  await first.close();
  await t.throwsAsync(
    () => start(rootPath, { schema: 'type Dog @table(table: "dog") { name: ID @primaryKey }' }),
    { code: 'INVALID_REQUEST', message: /has the primary key 'id'; it cannot become 'name'/ },
  );
});

test('a node takes no more databases than it may have, and goes on with those', async (t) => {
  const node = await startNode({ storage: { engine: 'memory' }, logging: { level: 'fatal' } });
  t.teardown(() => node.close());
  // `system` and `data` are there.
  for (let place = 2; place < limits.databasesMax; place++)
    await node.send({ operation: 'create_database', database: `d${place}` });
  await t.throwsAsync(() => node.send({ operation: 'create_database', database: 'more' }), {
    code: 'INVALID_REQUEST',
    message: `this node has ${limits.databasesMax} databases and takes no more`,
  });
  t.is((await databasesOf(node)).length, limits.databasesMax - 1);
});
