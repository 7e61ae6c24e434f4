/** Records that expire, on whole nodes linked in memory whose clocks are moved by hand. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { systemEnvironment, type Environment } from '../../actors/environment.js';
import type { ConfigInput } from '../../config/types.js';
import { MemoryNetwork, startNode, type Change, type Node } from '../../index.js';
import { actorAt, memoryConfig, SILENT } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

interface Session {
  id: string;
  user?: string;
  page?: string;
  gone?: number | Date | null;
}

const SCHEMA = `
  type Session @table(expiration: 3) { id: ID @primaryKey  user: String @indexed  page: String }
  type Ticket @table { id: ID @primaryKey  user: String @indexed  gone: Date @expiresAt }
`;

/** One more second of time passes on all nodes when `passMs` says so; between two of them it stands still. */
class Clocks {
  #ms = Date.now();

  passMs(ms: number): void {
    this.#ms += ms;
  }

  /** Of a node whose clock is so far ahead of the others. */
  environment(aheadMs: number): Environment {
    return { ...systemEnvironment(), now: () => this.#ms + aheadMs };
  }
}

interface Cluster {
  readonly nodes: readonly [Node, Node];
  readonly network: MemoryNetwork;
  readonly clocks: Clocks;
}

const start = async (
  t: ExecutionContext,
  { aheadMs = 0, config = {} }: { aheadMs?: number; config?: ConfigInput } = {},
): Promise<Cluster> => {
  const network = new MemoryNetwork();
  const clocks = new Clocks();
  const startOne = (name: string, ahead: number): Promise<Node> =>
    startNode(memoryConfig(name, ['a', 'b'], { schema: SCHEMA, ...config }), {
      network,
      logger: SILENT,
      environment: clocks.environment(ahead),
    });
  const nodes = await Promise.all([startOne('a', aheadMs), startOne('b', 0)]);
  t.teardown(() => Promise.all(nodes.map((node) => node.close())));
  await Promise.all(nodes.map((node) => node.synced({ signal: AbortSignal.timeout(10_000) })));
  return { nodes, network, clocks };
};

const sessions = (node: Node) => node.table<Session>('Session');

const arrives = (node: Node, table: string, wanted: Session): Promise<unknown> =>
  waitUntil(`${wanted.id} as wanted`, async () => {
    const found = await node.table<Session>(table).get(wanted.id);
    return isDeepStrictEqual(found, wanted);
  });

test('a record lives for its time after its newest write on each node, by the clock of that node', async (t) => {
  const { nodes, clocks } = await start(t, { aheadMs: 2_000 });
  const [a, b] = nodes;
  await sessions(a).put({ id: 's', user: 'x', page: '1' });
  await arrives(b, 'Session', { id: 's', user: 'x', page: '1' });
  clocks.passMs(2_900);
  const rewritten = await sessions(b).upsert({ id: 's', page: '2' });
  const wanted = { id: 's', page: '2', user: 'x' };
  await arrives(a, 'Session', wanted);
  const endMs = Math.ceil(rewritten + 3_000);
  for (const [node, ahead] of [
    [a, 2_000],
    [b, 0],
  ] as const) {
    const own = new ClockOf(clocks, ahead);
    await own.at(endMs - 1, async () => {
      t.deepEqual(await sessions(node).get('s'), wanted);
    });
    await own.at(endMs, async () => {
      t.is(await sessions(node).get('s'), undefined);
    });
  }
});

/** Moves the clocks to where one node's shows a time, and back. */
class ClockOf {
  readonly #clocks: Clocks;
  readonly #aheadMs: number;

  constructor(clocks: Clocks, aheadMs: number) {
    this.#clocks = clocks;
    this.#aheadMs = aheadMs;
  }

  async at(ms: number, look: () => Promise<void>): Promise<void> {
    const moved = ms - this.#aheadMs - this.#clocks.environment(0).now();
    this.#clocks.passMs(moved);
    await look();
    this.#clocks.passMs(-moved);
  }
}

test('CV-20: a rewrite at the last moment on a node that is cut off brings the record back whole', async (t) => {
  const { nodes, network, clocks } = await start(t);
  const [a, b] = nodes;
  await sessions(a).put({ id: 's', user: 'x', page: '1' });
  await arrives(b, 'Session', { id: 's', user: 'x', page: '1' });
  network.cut('a', 'b');
  clocks.passMs(2_900);
  t.true(await sessions(b).update({ id: 's', page: '2' }));
  clocks.passMs(200);
  t.is(await sessions(a).get('s'), undefined);
  t.deepEqual(await sessions(b).get('s'), { id: 's', page: '2', user: 'x' });
  network.heal('a', 'b');
  await arrives(a, 'Session', { id: 's', page: '2', user: 'x' });
  clocks.passMs(3_000);
  for (const node of nodes) t.is(await sessions(node).get('s'), undefined);
});

test('a write after the end begins a new record on all nodes, whichever of them had seen the end', async (t) => {
  const { nodes, network, clocks } = await start(t);
  const [a, b] = nodes;
  await sessions(a).put({ id: 's', user: 'x', page: '1' });
  await arrives(b, 'Session', { id: 's', user: 'x', page: '1' });
  network.cut('a', 'b');
  clocks.passMs(3_100);
  t.false(await sessions(a).update({ id: 's', page: '2' }));
  t.false(await sessions(a).delete('s'));
  await sessions(b).upsert({ id: 's', page: '3' });
  network.heal('a', 'b');
  for (const node of nodes) await arrives(node, 'Session', { id: 's', page: '3' });
  const conditions = [{ attribute: 'user', comparator: 'equals', value: 'x' }] as const;
  for (const node of nodes) t.deepEqual(await sessions(node).query({ conditions }), []);
});

test('an attribute says when its record expires, null that it does not', async (t) => {
  const { nodes, clocks } = await start(t);
  const [a, b] = nodes;
  const tickets = a.table<Session>('Ticket');
  const gone = clocks.environment(0).now() + 1_000;
  await tickets.putMany([
    { id: 'number', gone },
    { id: 'date', gone: new Date(gone) },
    { id: 'never', gone },
    { id: 'later', gone },
  ]);
  await tickets.update({ id: 'never', gone: null });
  await tickets.put({ id: 'later' }, { expiresAt: gone + 1_000 });
  await arrives(b, 'Ticket', { id: 'later' });
  const seen = async (): Promise<string[]> => {
    const found = await b.table<Session>('Ticket').query({ sort: { attribute: 'id' } });
    return found.map(({ id }) => id);
  };
  t.deepEqual(await seen(), ['date', 'later', 'never', 'number']);
  clocks.passMs(1_000);
  t.deepEqual(await seen(), ['later', 'never']);
  clocks.passMs(1_000);
  t.deepEqual(await seen(), ['never']);
  await t.throwsAsync(tickets.put({ id: 'bad', gone: -1 }), {
    message: /^'records\[0\]\.gone' must be when the record expires/,
  });
});

test('operations make tables and records that expire, and show nothing of how that is kept', async (t) => {
  const { nodes, clocks } = await start(t);
  const [a] = nodes;
  await a.execute({ operation: 'create_table', table: 'c', primary_key: 'id', expiration: 60 });
  const expiresAt = new Date(clocks.environment(0).now() + 1_000);
  await a.execute({ operation: 'insert', table: 'c', records: [{ id: 1 }, { id: 2 }] });
  await a.execute({ operation: 'upsert', table: 'c', records: [{ id: 2, x: 1 }], expiresAt });
  const described = (): Promise<unknown> =>
    a.execute({ operation: 'describe_table', table: 'c' }) as Promise<unknown>;
  t.like(await described(), { expiration: 60, record_count: 2 });
  clocks.passMs(1_000);
  t.like(await described(), { record_count: 1 });
  const all = await a.execute({
    operation: 'search_by_value',
    table: 'c',
    attribute: 'id',
    value: '*',
  });
  t.deepEqual(
    (all as object[]).map((record) => Object.keys(record).sort()),
    [['__createdtime__', '__updatedtime__', 'id']],
  );
  const insert = { operation: 'insert', table: 'c', records: [{ id: 1 }, { id: 2 }] } as const;
  t.like(await a.execute(insert), { inserted_hashes: [2], skipped_hashes: [1] });
});

test('records of the system database are given no end', async (t) => {
  const { nodes } = await start(t);
  const records = [{ name: 'b', replicates: true }];
  const update = { operation: 'update', database: 'system', table: 'hdb_nodes', records } as const;
  await t.throwsAsync(nodes[0].execute({ ...update, expiresAt: 5 }), {
    code: 'INVALID_REQUEST',
    message: "'expiresAt' is not allowed in database 'system'",
  });
});

test('a change feed tells of writes and of no ends', async (t) => {
  const { nodes, clocks } = await start(t);
  const [a, b] = nodes;
  const seen: Change<Session>[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    const options = { since: 'start', signal: stop.signal } as const;
    for await (const change of sessions(b).changes(options)) seen.push(change);
  })();
  await sessions(a).put({ id: 's', user: 'x' });
  await sessions(a).update({ id: 's', page: '1' });
  clocks.passMs(10_000);
  await sessions(a).put({ id: 'p' });
  await waitUntil('all three', () => seen.length >= 3);
  stop.abort();
  await reading;
  t.deepEqual(
    seen.map(({ type, key, value }) => [type, key, value]),
    [
      ['put', 's', { id: 's', user: 'x' }],
      ['patch', 's', { id: 's', page: '1' }],
      ['put', 'p', { id: 'p' }],
    ],
  );
});

test('what ended long ago is removed on each node by itself', async (t) => {
  const config = { replication: { tombstoneRetention: '1h' }, logging: { auditRetention: '1h' } };
  const { nodes, clocks } = await start(t, { config });
  const [a, b] = nodes;
  await sessions(a).putMany([{ id: 's' }, { id: 'p' }]);
  await arrives(b, 'Session', { id: 's' });
  clocks.passMs(3_600_000 + 4_000);
  await sessions(b).put({ id: 'q' });
  await arrives(a, 'Session', { id: 'q' });
  for (const node of nodes)
    await waitUntil(
      'both removed',
      () => actorAt(node, '/cluster/router:data').details['expired'] === 2,
    );
  t.deepEqual(await sessions(a).query(), [{ id: 'q' }]);
  clocks.passMs(3_000);
  for (const node of nodes) t.deepEqual(await sessions(node).query(), []);
});

test('another expiration in the configuration counts from the next start', async (t) => {
  const rootPath = await mkdtemp(join(tmpdir(), 'skein-expiry-'));
  t.teardown(() => rm(rootPath, { recursive: true, force: true }));
  const clocks = new Clocks();
  const run = async (rule: string, work: (node: Node) => Promise<void>): Promise<void> => {
    const schema = `type Session @table${rule} { id: ID @primaryKey }`;
    const options = { logger: SILENT, environment: clocks.environment(0) };
    await using node = await startNode({ rootPath, schema }, options);
    await work(node);
  };
  await run('', async (node) => void (await sessions(node).put({ id: 's' })));
  clocks.passMs(5_000);
  await run('(expiration: 3)', async (node) => {
    t.is(await sessions(node).get('s'), undefined);
  });
  await run('(expiration: 30)', async (node) => {
    t.deepEqual(await sessions(node).get('s'), { id: 's' });
  });
});
