/**
 * DU-09: bits that flip in the files of LevelDB. Whatever a node reads of them is right or an error; files that LevelDB
 * calls damaged are repaired, and what may be missing comes from a peer. Nodes of this process, with real files.
 */
import test, { type ExecutionContext } from 'ava';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SkeinError } from '../../protocol/errors.js';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { seededRandom } from '../support/clusterLoad.js';
import { compact, spoilStoredRow, spoilTableFile } from '../support/damagedFiles.js';
import { actorsOf, SILENT } from '../support/embedded.js';
import { useLimits } from '../support/simulatedOptions.js';
import { waitUntil } from '../support/waitUntil.js';

const SCHEMA = 'type Row @table { id: ID @primaryKey  text: String  number: Int @indexed }';
const ROWS = 400;

interface Stage {
  readonly network: MemoryNetwork;
  folder(name: string): string;
  start(name: string, others: readonly string[]): Promise<Node>;
}

const stageOf = async (t: ExecutionContext): Promise<Stage> => {
  const root = await mkdtemp(join(tmpdir(), 'skein-damaged-'));
  const network = new MemoryNetwork();
  const running: Node[] = [];
  t.teardown(async () => {
    await Promise.all(running.map((node) => node.close()));
    await rm(root, { recursive: true, force: true });
  });
  return {
    network,
    folder: (name) => join(root, name, 'database', 'data'),
    start: async (name, others) => {
      const node = await startNode(
        {
          rootPath: join(root, name),
          schema: SCHEMA,
          replication: {
            hostname: name,
            url: `memory://${name}`,
            routes: others.map((other) => `memory://${other}`),
          },
        },
        { network, logger: SILENT },
      );
      running.push(node);
      return node;
    },
  };
};

/** Hard to compress: flipped bits stay within their record. */
const textOf = (id: number): string => {
  const random = seededRandom(id + 1);
  return Array.from({ length: 20 }, () => random().toString(36).slice(2)).join('');
};

const write = async (node: Node): Promise<void> => {
  const records = Array.from({ length: ROWS }, (_, id) => ({ id, text: textOf(id), number: id }));
  await node.send({ operation: 'upsert', table: 'Row', records });
};

/** The number of rows that are answered with an error. Throws for one that is wrong. */
const readAll = async (node: Node): Promise<number> => {
  let errors = 0;
  for (let id = 0; id < ROWS; id++) {
    const found = await node
      .table('Row')
      .get(id)
      .catch((error: unknown) => {
        if (!(error instanceof SkeinError)) throw error;
        errors++;
        return null;
      });
    if (found && (found as { text?: string }).text !== textOf(id))
      throw new Error(`row ${id} is ${JSON.stringify(found)}`);
  }
  return errors;
};

const scan = async (node: Node): Promise<number | 'refused'> => {
  try {
    const rows = (await node.table('Row').query()) as { id: number; text: string }[];
    for (const { id, text } of rows)
      if (text !== textOf(id)) throw new Error(`a scan shows ${id} as ${text}`);
    return rows.length;
  } catch (error) {
    if (error instanceof SkeinError) return 'refused';
    throw error;
  }
};

for (const share of [0.02, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.999])
  test(`after bits flipped at ${share} of a table file nothing wrong is read, before and after it is repaired`, async (t) => {
    const stage = await stageOf(t);
    const first = await stage.start('a', []);
    await write(first);
    await first.close();
    await compact(stage.folder('a'));
    await spoilTableFile(stage.folder('a'), { share, count: 40 });
    const node = await stage.start('a', []);
    const health = async (): Promise<string> => (await node.health()).problems.join('; ');
    for (let time = 0; time < 3; time++) {
      await waitUntil('the database to answer', async () => {
        const errors = await readAll(node);
        const rows = await scan(node);
        t.log(`${errors} errors by key, ${rows} rows by scan; ${await health()}`);
        return rows !== 'refused';
      });
    }
    // It takes writes, and what is written now is read.
    await node.table('Row').put({ id: 1, text: textOf(1), number: 1 });
    t.like(await node.table('Row').get(1), { number: 1 });
  });

test('a database whose files were repaired gets everything back from a peer that has it, and says so until then', async (t) => {
  const stage = await stageOf(t);
  const a = await stage.start('a', ['b']);
  const b = await stage.start('b', ['a']);
  await write(a);
  await waitUntil('b to have all', async () => (await scan(b)) === ROWS, 10_000);
  await a.close();
  await compact(stage.folder('a'));
  await spoilTableFile(stage.folder('a'), { share: 0.3, count: 400 });
  await writeFile(join(stage.folder('a'), 'CURRENT'), 'nonsense');
  const again = await stage.start('a', []);
  t.like(await again.health(), { status: 'degraded', ready: false });
  t.regex((await again.health()).problems.join(), /database data is damaged: .*all tables/);
  await again.table('Row').put({ id: ROWS, text: textOf(ROWS), number: ROWS });
  await again.close();
  const linked = await stage.start('a', ['b']);
  await waitUntil(
    'a to be whole again',
    async () => (await linked.health()).status === 'ok' && (await scan(linked)) === ROWS + 1,
    30_000,
  );
  t.is(await readAll(linked), 0);
  await waitUntil('b to have what was written', async () => (await scan(b)) === ROWS + 1, 10_000);
});

test.serial(
  'DU-16: whoever copies from a node with a row that cannot be read gets all others, once, and the row when it is written again',
  async (t) => {
    t.teardown(useLimits({ replayEntriesMax: 0 }));
    const stage = await stageOf(t);
    const first = await stage.start('a', []);
    await write(first);
    await first.close();
    await spoilStoredRow(stage.folder('a'), { table: 'Row', key: 7 });
    const a = await stage.start('a', ['b']);
    const b = await stage.start('b', ['a']);
    await waitUntil('b to have the others', async () => (await scan(b)) === ROWS - 1, 10_000);
    t.is(await b.table('Row').get(7), undefined);
    await t.throwsAsync(a.table('Row').get(7), { code: 'DAMAGED' });
    await waitUntil('b to be ready', async () => (await b.health()).status === 'ok', 10_000);
    t.like(await a.health(), { status: 'degraded', ready: true });
    t.regex((await a.health()).problems.join(), /1 rows .* cannot be read; held in part: Row/);
    const status = (await a.send({ operation: 'cluster_status' })) as { databases: object[] };
    t.like(
      status.databases.find((one) => (one as { database: string }).database === 'data'),
      { ready: true, damage: { rows: 1, named: [{ table: 'Row', key: 7 }], log_entries: 0 } },
    );
    const crashes = [...actorsOf(a), ...actorsOf(b)].reduce((sum, actor) => sum + actor.crashes, 0);
    t.true(crashes <= 1, `${crashes} crashes: the copy that met the row`);
    // A change of it by a peer is taken, and the whole row makes it whole.
    await b.send({ operation: 'upsert', table: 'Row', records: [{ id: 7, number: 70 }] });
    await waitUntil('a to have taken it', async () => (await a.synced(), true), 10_000);
    await t.throwsAsync(a.table('Row').get(7), { code: 'DAMAGED' });
    await b.table('Row').put({ id: 7, text: textOf(7), number: 7 });
    await waitUntil('a to be whole', async () => (await a.health()).status === 'ok', 10_000);
    t.is(await readAll(a), 0);
  },
);
