/**
 * Real data: the tables of Debian's iso-codes, loaded through the operations API of one node and asked of another,
 * by key, by value and by conditions. What must come back is worked out from the files alone.
 */
import test from 'ava';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { settle, type Row } from '../support/clusterDump.js';
import { isoTables, loadIsoTable, type IsoRecord, type IsoTable } from '../support/isoCodes.js';

let cluster: Cluster;
let tables: readonly IsoTable[];

const INDEXED = {
  'data.country': ['flag', 'numeric'],
  'data.subdivision': ['type', 'parent'],
  'data.language': ['scope', 'type'],
  'data.currency': ['numeric'],
};

test.before(async () => {
  tables = await isoTables();
  cluster = await startCluster({ nodes: 3 });
  const { client } = cluster.node(0);
  for (const table of tables) await loadIsoTable(table, (operation) => client.send(operation));
});

test.after.always(() => cluster.close());

const reader = (): ClusterNode => cluster.node(2);

const tableOf = (name: string): IsoTable => {
  const table = tables.find((one) => one.name === name);
  if (!table) throw new Error(`There is no table ${name}`);
  return table;
};

/** Without the times that the node adds. */
const plain = (row: Row): Row =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith('__')));

const inOrder = (rows: readonly Row[], key: string): Row[] =>
  rows.map(plain).sort((a, b) => (String(a[key]) < String(b[key]) ? -1 : 1));

const ask = async (node: ClusterNode, operation: Record<string, unknown>): Promise<Row[]> =>
  (await node.client.send(operation)) as Row[];

test.serial('all nodes hold all tables, by scan, by id and by index', async (t) => {
  const dump = await settle(cluster, { msMax: 60_000, indexed: INDEXED });
  for (const { name, records } of tables) {
    t.is(dump.get(`data.${name}`)?.length, records.length, name);
    t.log(`${name}: ${records.length} records`);
  }
});

test.serial('every record comes back by its key as it stands in the file', async (t) => {
  for (const { name, primaryKey, records } of tables) {
    const ids = records.map((record) => record[primaryKey]);
    const found = await ask(reader(), { operation: 'search_by_id', table: name, ids });
    t.deepEqual(inOrder(found, primaryKey), inOrder(records, primaryKey), name);
  }
});

const BY_VALUE: readonly (readonly [string, string, string, (record: IsoRecord) => boolean])[] = [
  ['country', 'name', 'Germany', ({ name }) => name === 'Germany'],
  ['country', 'name', 'S*', ({ name = '' }) => name.startsWith('S')],
  ['subdivision', 'type', 'Land', ({ type }) => type === 'Land'],
  ['subdivision', 'code', 'DE-*', ({ code = '' }) => code.startsWith('DE-')],
  ['language', 'name', '*ish', ({ name = '' }) => name.endsWith('ish')],
  ['language', 'scope', 'M', ({ scope }) => scope === 'M'],
  ['currency', 'name', '*Dollar*', ({ name = '' }) => name.includes('Dollar')],
  ['country', 'flag', '🇫🇷', ({ flag }) => flag === '🇫🇷'],
];

for (const [name, attribute, value, wanted] of BY_VALUE)
  test.serial(`${name} by ${attribute} ${value} is what the file says`, async (t) => {
    const { primaryKey, records } = tableOf(name);
    const operation = { operation: 'search_by_value', table: name, attribute, value };
    const found = await ask(reader(), operation);
    t.true(found.length > 0);
    t.deepEqual(inOrder(found, primaryKey), inOrder(records.filter(wanted), primaryKey));
    t.deepEqual(await ask(cluster.node(0), operation), found);
  });

test.serial('conditions, order, offset and limit are what the file says', async (t) => {
  const { records } = tableOf('subdivision');
  const found = await ask(reader(), {
    operation: 'search_by_conditions',
    table: 'subdivision',
    operator: 'and',
    conditions: [
      { attribute: 'code', comparator: 'between', value: ['FR', 'IU'] },
      {
        operator: 'or',
        conditions: [
          { attribute: 'type', comparator: 'equals', value: 'Region' },
          { attribute: 'name', comparator: 'contains', value: 'shire' },
        ],
      },
    ],
    sort: { attribute: 'code', descending: true },
    offset: 3,
    limit: 40,
    get_attributes: ['code', 'name'],
  });
  const wanted = records
    .filter(({ code = '' }) => code >= 'FR' && code <= 'IU')
    .filter(({ type, name = '' }) => type === 'Region' || name.includes('shire'))
    .sort((a, b) => ((a['code'] ?? '') < (b['code'] ?? '') ? 1 : -1))
    .slice(3, 43)
    .map(({ code, name }) => ({ code, name }));
  t.is(found.length, 40);
  t.deepEqual(found, wanted);
});

test.serial('a node that was away gets the currencies that were changed meanwhile', async (t) => {
  const node = reader();
  await node.kill();
  const records = tableOf('currency').records.map(({ alpha_3 }) => ({ alpha_3, seen: true }));
  await cluster.node(1).client.send({ operation: 'update', table: 'currency', records });
  await cluster.node(1).client.send({ operation: 'delete', table: 'country', ids: ['AQ'] });
  await node.start();
  await settle(cluster, { indexed: { ...INDEXED, 'data.currency': ['seen'] } });
  const seen = await ask(node, {
    operation: 'search_by_value',
    table: 'currency',
    attribute: 'seen',
    value: true,
  });
  t.is(seen.length, records.length);
  t.deepEqual(await ask(node, { operation: 'search_by_id', table: 'country', ids: ['AQ'] }), []);
});
