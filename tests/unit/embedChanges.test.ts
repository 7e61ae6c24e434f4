/** The change feed of the embed API: what is delivered, from where on, and how it ends. */
import test, { type ExecutionContext } from 'ava';
import type { Change, ChangesOptions, Node } from '../../index.js';
import { startEmbedded, type Embedded } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

interface Dog {
  id: string;
  name?: string;
  age?: number;
}

const SCHEMA = `
  type Dog @table { id: ID @primaryKey  name: String }
  type Cat @table { id: ID @primaryKey }
`;

const open = async (t: ExecutionContext): Promise<Embedded> => {
  const cluster = await startEmbedded(2, { schema: SCHEMA });
  t.teardown(() => cluster.close());
  return cluster;
};

interface Reading {
  readonly seen: readonly Change<Dog>[];
  /** How the iteration ended: `done`, or the code of its error. */
  readonly end: Promise<string>;
}

/** Reads in the background. `now` is the moment of this call. */
const read = (node: Node, options: ChangesOptions = {}): Reading => {
  const seen: Change<Dog>[] = [];
  const readOn = async (): Promise<string> => {
    for await (const change of node.table<Dog>('Dog').changes(options)) seen.push(change);
    return 'done';
  };
  const end = readOn().catch((error: { code?: string }) => error.code ?? String(error));
  return { seen, end };
};

/** Writes marks until one is delivered: then the reading has begun. */
const begun = async (node: Node, reading: Reading): Promise<void> => {
  await waitUntil('the reading to begin', async () => {
    await node.table<Dog>('Dog').put({ id: 'mark' });
    return reading.seen.length > 0;
  });
};

const shape = ({ type, key, value, node }: Change<Dog>) => ({ type, key, value, node });

const withoutMarks = (reading: Reading) => reading.seen.filter(({ key }) => key !== 'mark');

test('local and replicated changes arrive with their kind, key, value, node and time', async (t) => {
  const cluster = await open(t);
  const dogs = cluster.node(0).table<Dog>('Dog');
  const reading = read(cluster.node(1));
  await begun(cluster.node(1), reading);
  const time = await dogs.put({ id: 'rex', name: 'Rex' });
  await dogs.update({ id: 'rex', age: 2 });
  await dogs.delete('rex');
  await cluster.node(0).table('Cat').put({ id: 'another table' });
  await waitUntil('three changes', () => withoutMarks(reading).length === 3);
  t.deepEqual(withoutMarks(reading).map(shape), [
    { type: 'put', key: 'rex', value: { id: 'rex', name: 'Rex' }, node: 'a' },
    { type: 'patch', key: 'rex', value: { age: 2, id: 'rex' }, node: 'a' },
    { type: 'delete', key: 'rex', value: undefined, node: 'a' },
  ]);
  t.is(withoutMarks(reading)[0]?.time, time);
  t.true(reading.seen.some(({ key, node }) => key === 'mark' && node === 'b'));
});

test("since 'start' delivers what the log holds, a cursor what came after it, now nothing old", async (t) => {
  const cluster = await open(t);
  const node = cluster.node(0);
  const dogs = node.table<Dog>('Dog');
  for (const id of ['one', 'two', 'three']) await dogs.put({ id });
  const all = read(node, { since: 'start' });
  await waitUntil('all three', () => all.seen.length === 3);
  const cursor = all.seen[1]?.cursor ?? '';
  const later = read(node, { since: cursor });
  const news = read(node);
  await begun(node, news);
  t.deepEqual(
    withoutMarks(all).map(({ key }) => key),
    ['one', 'two', 'three'],
  );
  t.deepEqual(
    withoutMarks(later).map(({ key }) => key),
    ['three'],
  );
  t.deepEqual(withoutMarks(news), []);
});

test('a signal ends the iteration, before it begins or while it waits', async (t) => {
  const node = (await open(t)).node(0);
  t.is(await read(node, { signal: AbortSignal.abort() }).end, 'done');
  const stop = new AbortController();
  const reading = read(node, { signal: stop.signal });
  await begun(node, reading);
  stop.abort();
  t.is(await reading.end, 'done');
});

test('breaking out of the loop leaves nothing behind that hears the log', async (t) => {
  const node = (await open(t)).node(0);
  await node.table<Dog>('Dog').put({ id: 'one' });
  for await (const change of node.table<Dog>('Dog').changes({ since: 'start' })) {
    t.is(change.key, 'one');
    break;
  }
  await node.table<Dog>('Dog').put({ id: 'two' });
  t.is((await node.health()).status, 'ok');
});

test('a text that is no cursor is refused', async (t) => {
  const node = (await open(t)).node(0);
  for (const since of ['yesterday', 'W10x', Buffer.from('[[1,2]]').toString('base64url')])
    t.is(await read(node, { since }).end, 'INVALID_REQUEST', since);
});

test('a table or database that does not exist ends the iteration with an error', async (t) => {
  const node = (await open(t)).node(0);
  const changes = node.table('Dog', { database: 'zoo' }).changes();
  await t.throwsAsync(async () => changes[Symbol.asyncIterator]().next(), { code: 'NOT_FOUND' });
});

test("the iteration goes on after the database's writer has crashed, without a gap", async (t) => {
  const cluster = await open(t);
  const [writer, reader] = [cluster.node(0), cluster.node(1)];
  const reading = read(reader);
  await begun(reader, reading);
  for (let number = 0; number < 30; number++) {
    await writer.table<Dog>('Dog').put({ id: `dog${number}` });
    if (number % 10 === 5)
      await waitUntil('a life that can crash', () =>
        reader.system.crash('/cluster/router:data', new Error('test')),
      );
  }
  await waitUntil(
    'all of them',
    () => new Set(withoutMarks(reading).map(({ key }) => key)).size === 30,
  );
  t.deepEqual(
    withoutMarks(reading).map(({ key }) => key),
    Array.from({ length: 30 }, (_, number) => `dog${number}`),
  );
});

test('closing the node ends the iteration with UNAVAILABLE', async (t) => {
  const cluster = await open(t);
  const reading = read(cluster.node(0));
  await begun(cluster.node(0), reading);
  await cluster.node(0).close();
  t.is(await reading.end, 'UNAVAILABLE');
});
