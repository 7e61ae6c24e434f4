/** Users, roles and tokens of a cluster: what changes on one node counts on the others, and what is dropped stays so. */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import pino from 'pino';
import { MemoryNetwork, startNode, type Node, type User } from '../../index.js';
import type { Operation } from '../../protocol/operations.js';
import { memoryConfig, SILENT } from '../support/embedded.js';
import { waitUntil } from '../support/waitUntil.js';

const ADMIN = { username: 'admin', password: 'a password for tests' };
/** What is told to one node has to count on the others within so long. */
const SETTLE_MS = 30_000;

interface Place {
  readonly network: MemoryNetwork;
  readonly directory: string;
  /** Lines that the nodes have logged, at every level. */
  readonly log: string[];
}

const place = async (t: ExecutionContext): Promise<Place> => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-users-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return { network: new MemoryNetwork(), directory, log: [] };
};

const start = async (t: ExecutionContext, at: Place, name: string): Promise<Node> => {
  const config = memoryConfig(name, ['a', 'b'], {
    rootPath: join(at.directory, name),
    authentication: { adminUsername: ADMIN.username, adminPassword: ADMIN.password },
    storage: { engine: 'level' },
  });
  const lines = { write: (line: string) => void at.log.push(line) };
  const node = await startNode(config, {
    network: at.network,
    logger: pino({ level: 'trace' }, lines),
  });
  t.teardown(() => node.close());
  return node;
};

const both = async (t: ExecutionContext, at: Place): Promise<[Node, Node]> => {
  const nodes = await Promise.all([start(t, at, 'a'), start(t, at, 'b')]);
  await Promise.all(nodes.map(synced));
  return nodes as [Node, Node];
};

const synced = (node: Node): Promise<void> => node.synced({ signal: AbortSignal.timeout(60_000) });

/** As an operator would; neither node runs. */
const shareKeys = async (at: Place, from: string, to: string): Promise<void> =>
  cp(join(at.directory, from, 'keys'), join(at.directory, to, 'keys'), { recursive: true });

let logins = 0;
/** From another address each time: these tests ask again and again. */
const login = (node: Node, username: string, password = 'pw'): Promise<User> =>
  node.authenticate({ username, password, address: `192.0.2.${++logins}` });

const outcome = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'fine',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

const becomes = async (
  t: ExecutionContext,
  expected: string,
  ask: () => Promise<unknown>,
): Promise<void> => {
  await waitUntil(expected, async () => (await outcome(ask())) === expected, SETTLE_MS);
  t.pass();
};

const bob: Operation = { operation: 'add_user', username: 'bob', password: 'pw', role: 'owner' };
const owner: Operation = {
  operation: 'add_role',
  role: 'owner',
  permission: { super_user: true },
};

test('a new password, an end and a smaller role count on the other node within seconds', async (t) => {
  const [a, b] = await both(t, await place(t));
  await a.send(owner);
  await a.send(bob);
  await becomes(t, 'fine', () => login(b, 'bob'));
  t.true((await login(b, 'bob')).superUser);
  await a.send({ operation: 'alter_role', id: 'owner', permission: {} });
  await waitUntil('less', async () => !(await login(b, 'bob')).superUser, SETTLE_MS);
  await a.send({ operation: 'alter_user', username: 'bob', password: 'new' });
  await becomes(t, 'Login failed', () => login(b, 'bob'));
  t.is((await login(b, 'bob', 'new')).username, 'bob');
  await a.send({ operation: 'alter_user', username: 'bob', active: false });
  await becomes(t, 'Cannot complete request: User is inactive', () => login(b, 'bob', 'new'));
  await a.send({ operation: 'drop_user', username: 'bob' });
  await becomes(t, 'Login failed', () => login(b, 'bob', 'new'));
});

test('SE-30: a user that was dropped while a node was away is dropped there when it comes back, with role and tokens', async (t) => {
  const at = await place(t);
  const [a, b] = await both(t, at);
  await a.send(owner);
  for (const operation of [bob, { ...bob, username: 'eva' } as Operation]) await a.send(operation);
  await becomes(t, 'fine', () => login(b, 'eva'));
  const tokens = (await b.send({
    operation: 'create_authentication_tokens',
    username: 'bob',
    password: 'pw',
  })) as Record<string, string>;
  await synced(a);
  await Promise.all([a.close(), b.close()]);
  await shareKeys(at, 'b', 'a');
  const here = await start(t, at, 'a');
  await here.send({ operation: 'drop_user', username: 'bob' });
  await here.send({ operation: 'alter_role', id: 'owner', permission: {} });
  const again = await start(t, at, 'b');
  await becomes(t, 'Login failed', () => login(again, 'bob'));
  await becomes(t, 'Login failed', () => login(here, 'bob'));
  for (const node of [here, again])
    for (const token of Object.values(tokens))
      t.is(await outcome(node.authenticateToken(token)), 'invalid token');
  await waitUntil('less', async () => !(await login(again, 'eva')).superUser, SETTLE_MS);
  await synced(again);
  for (const node of [here, again]) {
    const users = (await node.send({ operation: 'list_users' })) as { username: string }[];
    t.deepEqual(
      users.map(({ username }) => username),
      ['admin', 'eva'],
    );
  }
});

test('SE-30: what is changed about a user after the drop, on a node that has not heard of it, brings nobody back', async (t) => {
  const at = await place(t);
  const [a, b] = await both(t, at);
  await a.send(owner);
  await a.send(bob);
  await becomes(t, 'fine', () => login(b, 'bob'));
  await a.send({ operation: 'create_authentication_tokens', ...ADMIN });
  await Promise.all([a.close(), b.close()]);
  await shareKeys(at, 'a', 'b');
  const alone = await start(t, at, 'a');
  await alone.send({ operation: 'drop_user', username: 'bob' });
  await alone.close();
  const other = await start(t, at, 'b');
  await other.send({
    operation: 'alter_user',
    username: 'bob',
    password: 'newer',
    role: 'super_user',
    active: true,
  });
  const tokens = (await other.send({
    operation: 'create_authentication_tokens',
    username: 'bob',
    password: 'newer',
  })) as Record<string, string>;
  await other.send({ operation: 'alter_role', id: 'owner', permission: { super_user: true } });
  const back = await start(t, at, 'a');
  await Promise.all([synced(back), synced(other)]);
  for (const node of [back, other]) {
    await becomes(t, 'Login failed', () => login(node, 'bob', 'newer'));
    t.is(await outcome(login(node, 'bob')), 'Login failed');
    for (const token of Object.values(tokens))
      t.is(await outcome(node.authenticateToken(token)), 'invalid token');
    t.is(
      await outcome(node.send({ operation: 'drop_user', username: 'bob' })),
      'User bob does not exist',
    );
  }
  await back.send({ ...bob, password: 'third' } as Operation);
  await becomes(t, 'fine', () => login(other, 'bob', 'third'));
});

test('SE-30: a node that is started anew with its first settings takes nothing back: neither a password nor a drop', async (t) => {
  const at = await place(t);
  const [a, b] = await both(t, at);
  await a.send({ operation: 'alter_user', username: 'admin', password: 'changed' });
  await a.send(owner);
  await a.send(bob);
  await becomes(t, 'fine', () => login(b, 'bob'));
  const wipe = async (): Promise<void> => {
    await rm(join(at.directory, 'b'), { recursive: true });
  };
  await b.close();
  await wipe();
  const anew = await start(t, at, 'b');
  await outcome(anew.send({ operation: 'create_authentication_tokens', ...ADMIN }));
  await synced(anew);
  await synced(a);
  for (const node of [a, anew]) {
    await becomes(t, 'Login failed', () => login(node, 'admin', ADMIN.password));
    await becomes(t, 'fine', () => login(node, 'admin', 'changed'));
  }
  await a.send({ operation: 'drop_user', username: 'admin' });
  await synced(anew);
  await anew.close();
  await wipe();
  const again = await start(t, at, 'b');
  await synced(again);
  await synced(a);
  for (const node of [a, again]) {
    await becomes(t, 'fine', () => login(node, 'bob'));
    for (const password of [ADMIN.password, 'changed'])
      await becomes(t, 'Login failed', () => login(node, 'admin', password));
    const users = (await node.send({ operation: 'list_users' })) as { username: string }[];
    t.deepEqual(
      users.map(({ username }) => username),
      ['bob'],
    );
  }
});

test('tokens of one node count on another that has its keys, and on no other', async (t) => {
  const at = await place(t);
  const [a, b] = await both(t, at);
  const { operation_token: token = '' } = (await a.send({
    operation: 'create_authentication_tokens',
    ...ADMIN,
  })) as Record<string, string>;
  t.is((await a.authenticateToken(token)).user.username, 'admin');
  t.is(
    await outcome(b.authenticateToken(token)),
    'unable to generate JWT as there are no encryption keys.  please contact your administrator',
  );
  await b.send({
    operation: 'create_authentication_tokens',
    username: 'admin',
    password: ADMIN.password,
  });
  t.is(await outcome(b.authenticateToken(token)), 'invalid token');
  await synced(a);
  await Promise.all([a.close(), b.close()]);
  await shareKeys(at, 'a', 'b');
  const shared = await start(t, at, 'b');
  t.is((await shared.authenticateToken(token)).user.username, 'admin');
});

test('SE-33: no secret is shown by a search, a description, an answer or a log line', async (t) => {
  const at = await place(t);
  const [a, b] = await both(t, at);
  await a.send(owner);
  await a.send(bob);
  const tokens = (await a.send({
    operation: 'create_authentication_tokens',
    username: 'bob',
    password: 'pw',
  })) as Record<string, string>;
  await synced(b);
  await outcome(login(a, 'bob', 'a wrong password 4711'));
  const shown: unknown[] = [];
  for (const node of [a, b])
    for (const [table, key] of [
      ['hdb_user', 'username'],
      ['hdb_nodes', 'name'],
      ['hdb_certificate', 'name'],
      ['hdb_role', 'id'],
    ] as const) {
      const where = { database: 'system', table };
      const get_attributes = [key, 'password', 'refresh_token', 'token_series', 'authorization'];
      for (const projected of [{}, { get_attributes }])
        shown.push(
          await node.send({
            operation: 'search_by_value',
            ...where,
            attribute: key,
            value: '*',
            ...projected,
          }),
          await node.send({
            operation: 'search_by_id',
            ...where,
            ids: ['admin', 'bob', 'a', 'b'],
            ...projected,
          }),
        );
      if (table !== 'hdb_user') continue;
      for (const attribute of ['password', 'refresh_token', 'token_series']) {
        await t.throwsAsync(
          node.send({
            operation: 'search_by_conditions',
            ...where,
            conditions: [{ attribute, comparator: 'starts_with', value: 'scrypt' }],
          }),
          { message: /cannot be searched/ },
        );
        await t.throwsAsync(
          node.send({
            operation: 'search_by_conditions',
            ...where,
            conditions: [{ attribute: key, comparator: 'not_equal', value: '' }],
            sort: { attribute: key, next: { attribute } },
          }),
          { message: /cannot be searched/ },
        );
      }
    }
  for (const node of [a, b])
    shown.push(
      await node.send({ operation: 'list_users' }),
      await node.send({ operation: 'cluster_status' }),
      await node.send({ operation: 'user_info' }, { user: await login(node, 'bob') }),
      node.tree(),
      node.deadLetters(),
    );
  const text = JSON.stringify(shown);
  t.regex(text, /bob/);
  const logged = at.log.join('\n');
  for (const secret of ['scrypt$', ADMIN.password, '4711', ...Object.values(tokens)]) {
    t.false(text.includes(secret), secret.slice(0, 10));
    t.false(logged.includes(secret), secret.slice(0, 10));
  }
  t.notRegex(text, /"password":"|"token_series":"|"refresh_token":"/);
});

test('neither passwords nor tokens are on a disk as they are', async (t) => {
  const at = await place(t);
  const a = await start(t, at, 'a');
  const tokens = (await a.send({
    operation: 'create_authentication_tokens',
    ...ADMIN,
  })) as Record<string, string>;
  await a.close();
  const files = await readdir(at.directory, { recursive: true, withFileTypes: true });
  let bytes = 0;
  for (const file of files.filter((one) => one.isFile())) {
    const content = await readFile(join(file.parentPath, file.name));
    bytes += content.length;
    for (const secret of [ADMIN.password, ...Object.values(tokens)])
      t.false(content.includes(secret), file.name);
  }
  t.true(bytes > 1_000);
});

test('another node takes a token in place of name and password, and only an operation token', async (t) => {
  const at = await place(t);
  const apart = (name: string) =>
    startNode(
      memoryConfig(name, [], {
        authentication: { adminUsername: ADMIN.username, adminPassword: ADMIN.password },
      }),
      { network: at.network, logger: SILENT },
    );
  const [a, b] = await Promise.all([apart('a'), apart('b')]);
  t.teardown(() => Promise.all([a.close(), b.close()]));
  const tokens = (await b.send({
    operation: 'create_authentication_tokens',
    ...ADMIN,
  })) as { operation_token: string; refresh_token: string };
  const add = (authorization: string) =>
    outcome(a.send({ operation: 'add_node', hostname: 'b', url: 'memory://b', authorization }));
  t.regex(await add('Bearer x'), /invalid token/);
  t.regex(await add(`Bearer ${tokens.refresh_token}`), /invalid token/);
  t.is(await add(`Bearer ${tokens.operation_token}`), 'fine');
  await Promise.all([a, b].map(synced));
});
