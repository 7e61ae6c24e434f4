/** Tables and transactions of the embed API, on three nodes linked in memory. */
import test from 'ava';
import { sameRecords, startEmbedded, type Embedded } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

interface Dog {
  id: number | string;
  name?: string;
  age?: number;
  toys?: string[];
}

const SCHEMA = `
  type Dog @table { id: ID @primaryKey  name: String @indexed  age: Int @indexed }
  type Owner @table { id: ID @primaryKey  dog: ID }
`;

let cluster: Embedded;
test.before(async () => {
  cluster = await startEmbedded(3, { schema: SCHEMA });
});
test.after.always(() => cluster.close());

/** Every test has keys of its own in the shared table. */
const dogsOn = (index: number) => cluster.node(index).table<Dog>('Dog');

const onEveryNode = (id: Dog['id'], wanted: Dog | undefined) =>
  waitUntil(`${id} on every node`, async () => {
    const found = await Promise.all(cluster.nodes.map((node) => node.table<Dog>('Dog').get(id)));
    return found.every((dog) => JSON.stringify(dog) === JSON.stringify(wanted));
  });

test('put stores a record on every node and replaces it whole', async (t) => {
  const before = Date.now();
  const time = await dogsOn(0).put({ id: 'put', name: 'Penny', toys: ['ball'] });
  t.true(time >= before && time <= Date.now() + 1);
  await onEveryNode('put', { id: 'put', name: 'Penny', toys: ['ball'] });
  t.true((await dogsOn(1).put({ id: 'put', age: 7 })) > time);
  await onEveryNode('put', { id: 'put', age: 7 });
  t.deepEqual(await dogsOn(2).get('put'), { id: 'put', age: 7 });
});

test('update sets attributes of a record that is there, and only of such', async (t) => {
  t.false(await dogsOn(0).update({ id: 'update', age: 1 }));
  t.is(await dogsOn(0).get('update'), undefined);
  await dogsOn(0).put({ id: 'update', name: 'Kato' });
  await onEveryNode('update', { id: 'update', name: 'Kato' });
  t.true(await dogsOn(2).update({ id: 'update', age: 3 }));
  t.deepEqual(await dogsOn(2).get('update'), { age: 3, id: 'update', name: 'Kato' });
});

test('updates of different attributes on different nodes are both kept', async (t) => {
  await dogsOn(0).put({ id: 'both', name: 'Rex' });
  await onEveryNode('both', { id: 'both', name: 'Rex' });
  await Promise.all([
    dogsOn(0).update({ id: 'both', age: 4 }),
    dogsOn(1).update({ id: 'both', name: 'Rexy' }),
  ]);
  await onEveryNode('both', { age: 4, id: 'both', name: 'Rexy' });
  t.pass();
});

test('upsert brings a record into being and later adds to it', async (t) => {
  await dogsOn(1).upsert({ id: 'upsert', name: 'Lassie' });
  t.deepEqual(await dogsOn(1).get('upsert'), { id: 'upsert', name: 'Lassie' });
  await dogsOn(1).upsert({ id: 'upsert', age: 9 });
  t.deepEqual(await dogsOn(1).get('upsert'), { age: 9, id: 'upsert', name: 'Lassie' });
});

test('delete says whether there was something, and it goes everywhere', async (t) => {
  await dogsOn(0).put({ id: 'delete' });
  await onEveryNode('delete', { id: 'delete' });
  t.true(await dogsOn(2).delete('delete'));
  t.false(await dogsOn(2).delete('delete'));
  await onEveryNode('delete', undefined);
});

test('a record without a key gets one', async (t) => {
  await dogsOn(0).put({ name: 'keyless' } as Dog);
  const [dog] = await dogsOn(0).query({ conditions: [{ attribute: 'name', value: 'keyless' }] });
  t.regex(String(dog?.id), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('the keys 1 and "1" are two records', async (t) => {
  await dogsOn(0).putMany([
    { id: 1, name: 'number' },
    { id: '1', name: 'text' },
  ]);
  t.is((await dogsOn(0).get(1))?.name, 'number');
  t.is((await dogsOn(0).get('1'))?.name, 'text');
});

test('query finds by index, combines conditions, sorts and pages, the same on another node', async (t) => {
  const dogs = Array.from({ length: 30 }, (_, at) => ({
    id: `query${at}`,
    name: `Q${at % 3}`,
    age: at + 1_000,
  }));
  await dogsOn(0).putMany(dogs);
  await onEveryNode('query29', { id: 'query29', name: 'Q2', age: 1_029 });
  for (const table of [dogsOn(0), dogsOn(2)]) {
    const page = await table.query({
      conditions: [
        { attribute: 'age', comparator: 'between', value: [1_000, 1_019] },
        {
          operator: 'or',
          conditions: [
            { attribute: 'name', value: 'Q1' },
            { attribute: 'name', comparator: 'starts_with', value: 'Q2' },
          ],
        },
      ],
      sort: { attribute: 'age', descending: true },
      offset: 1,
      limit: 3,
    });
    t.deepEqual(
      page.map(({ age }) => age),
      [1_017, 1_016, 1_014],
    );
  }
});

test('what cannot be stored or asked is refused with a code, and the node goes on', async (t) => {
  const dogs = dogsOn(0);
  const table = (name: string, database = 'data') => cluster.node(0).table<Dog>(name, { database });
  const deep = JSON.parse('['.repeat(70) + ']'.repeat(70)) as unknown;
  const cases: [string, () => Promise<unknown>, string, RegExp][] = [
    ['no table', () => table('Cat').get(1), 'NOT_FOUND', /Table 'data\.Cat' does not exist/],
    ['no database', () => table('Dog', 'zoo').get(1), 'NOT_FOUND', /database 'zoo' does not exist/],
    ['object as key', () => dogs.put({ id: {} } as Dog), 'INVALID_REQUEST', /records\[0\]\.id/],
    ['no key to get', () => dogs.get(undefined as never), 'INVALID_REQUEST', /primary key/],
    ['no record', () => dogs.put(null as never), 'INVALID_REQUEST', /records\[0\]/],
    ['long key', () => dogs.put({ id: 'x'.repeat(1_100) }), 'KEY_TOO_LONG', /1024/],
    ['a function', () => dogs.put({ id: 'f', f: () => 1 } as never), 'INVALID_REQUEST', /function/],
    ['too deep', () => dogs.put({ id: 'deep', deep } as never), 'INVALID_REQUEST', /64 levels/],
    [
      '__proto__',
      () => dogs.put(JSON.parse('{"id":1,"__proto__":{}}') as Dog),
      'INVALID_REQUEST',
      /__proto__/,
    ],
    ['bad limit', () => dogs.query({ limit: -1 }), 'INVALID_REQUEST', /'limit'/],
    [
      'bad comparator',
      () =>
        dogs.query({ conditions: [{ attribute: 'age', comparator: 'like' as never, value: 1 }] }),
      'INVALID_REQUEST',
      /comparator/,
    ],
    [
      'unknown attribute',
      () => dogs.query({ conditions: [{ attribute: 'nose', value: 1 }] }),
      'INVALID_REQUEST',
      /unknown attribute 'nose'/,
    ],
  ];
  for (const [what, run, code, message] of cases)
    await t.throwsAsync(run, { name: 'SkeinError', code, message }, what);
  t.is(await dogs.get('deep'), undefined);
  t.is((await cluster.node(0).health()).status, 'ok');
});

test('a transaction over two tables is stored whole, refused whole, and empty when nothing was collected', async (t) => {
  const node = cluster.node(0);
  const owners = node.table<{ id: string; dog: string }>('Owner');
  const time = await node.transaction(async (transaction) => {
    transaction.insert('Dog', { id: 'tx', name: 'Toto' });
    await Promise.resolve();
    transaction.put('Owner', { id: 'tx', dog: 'tx' });
    transaction.update('Dog', { id: 'tx', age: 2 });
  });
  t.true(typeof time === 'number');
  t.deepEqual(await dogsOn(0).get('tx'), { age: 2, id: 'tx', name: 'Toto' });
  await t.throwsAsync(
    node.transaction((transaction) => {
      transaction.delete('Dog', 'tx');
      transaction.put('Owner', { id: 'x'.repeat(2_000) });
    }),
    { code: 'KEY_TOO_LONG' },
  );
  await t.throwsAsync(
    node.transaction((transaction) => {
      transaction.delete('Dog', 'tx');
      throw new Error('changed my mind');
    }),
    { message: 'changed my mind' },
  );
  t.is((await dogsOn(0).get('tx'))?.name, 'Toto');
  t.is((await owners.get('tx'))?.dog, 'tx');
  t.is(await node.transaction(() => undefined), null);
});

test('all nodes end with the same records', async (t) => {
  const records = await sameRecords(cluster.nodes, 'Dog');
  t.true(records.length > 0);
});
