/** Users, roles and tokens of one node, through the operations, with the documented answers. */
import test, { type ExecutionContext } from 'ava';
import { systemEnvironment } from '../../actors/environment.js';
import { TokenKeys } from '../../actors/tokenKeys.js';
import { UserDirectory } from '../../actors/users.js';
import { resolveConfig } from '../../config/resolve.js';
import type { ConfigInput } from '../../config/types.js';
import { startNode, type Node, type User } from '../../index.js';
import { SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import type { Operation } from '../../protocol/operations.js';
import { memoryConfig, SILENT } from '../support/embedded.js';

const ADMIN = { username: 'admin', password: 'a password for tests' };

const open = async (t: ExecutionContext, config: ConfigInput = {}): Promise<Node> => {
  const authentication = {
    adminUsername: ADMIN.username,
    adminPassword: ADMIN.password,
    ...config.authentication,
  };
  const node = await startNode(memoryConfig('a', [], { ...config, authentication }), {
    logger: SILENT,
  });
  t.teardown(() => node.close());
  return node;
};

const READER = { data: { tables: { dog: { read: true } } } };

const withReader = async (t: ExecutionContext): Promise<Node> => {
  const node = await open(t);
  await node.send({ operation: 'add_role', role: 'reader', permission: READER });
  await node.send({ operation: 'add_user', username: 'bob', password: 'pw', role: 'reader' });
  return node;
};

const login = (node: Node, username: string, password: string): Promise<User> =>
  node.authenticate({ username, password, address: '192.0.2.1' });

const refusedAs = async (
  t: ExecutionContext,
  node: Node,
  operation: Operation,
  expected: { message: string | RegExp; status: number },
): Promise<void> => {
  const error = await t.throwsAsync(node.send(operation), {
    instanceOf: SkeinError,
    message: expected.message,
  });
  t.is(error?.statusCode, expected.status, String(expected.message));
};

const tokensOf = (node: Node, username: string, password: string) =>
  node.send({
    operation: 'create_authentication_tokens',
    username,
    password,
  }) as Promise<{ operation_token: string; refresh_token: string }>;

test('a user is added, logs in with the rights of the role, and is listed without secrets', async (t) => {
  const node = await open(t);
  const role = (await node.send({
    operation: 'add_role',
    role: 'reader',
    permission: READER,
  })) as Record<string, unknown>;
  t.like(role, { id: 'reader', role: 'reader', permission: READER });
  t.is(typeof role['__createdtime__'], 'number');
  t.deepEqual(
    await node.send({ operation: 'add_user', username: 'bob', password: 'pw', role: 'reader' }),
    { message: 'bob successfully added' },
  );
  t.like(await login(node, 'bob', 'pw'), { username: 'bob', role: 'reader', superUser: false });
  const users = (await node.send({ operation: 'list_users' })) as Record<string, unknown>[];
  t.deepEqual(
    users.map(({ username, active, role: shown }) => ({ username, active, role: shown })),
    [
      {
        username: 'admin',
        active: true,
        role: { id: 'super_user', role: 'super_user', permission: { super_user: true } },
      },
      { username: 'bob', active: true, role },
    ],
  );
  t.notRegex(JSON.stringify(users), /scrypt|password|token/);
  t.deepEqual(
    ((await node.send({ operation: 'list_roles' })) as { id: string }[]).map(({ id }) => id),
    ['super_user', 'reader'],
  );
});

test('the first user is a user like others: listed, altered, followed by others, with tokens that last', async (t) => {
  const node = await open(t);
  const listed = (await node.send({ operation: 'list_users' })) as Record<string, unknown>[];
  t.like(listed, [{ username: 'admin', active: true, role: { id: 'super_user' } }]);
  t.is(listed.length, 1);
  const tokens = await tokensOf(node, ADMIN.username, ADMIN.password);
  await node.send({ operation: 'add_user', username: 'eva', password: 'pw', role: 'super_user' });
  t.true((await login(node, ADMIN.username, ADMIN.password)).superUser);
  t.true((await node.authenticateToken(tokens.operation_token)).user.superUser);
  t.is((await node.authenticateToken(tokens.refresh_token)).kind, 'refresh');
  const other = await open(t);
  await other.send({ operation: 'alter_user', username: 'admin', password: 'new' });
  await t.throwsAsync(login(other, ADMIN.username, ADMIN.password), { message: 'Login failed' });
  t.true((await login(other, 'admin', 'new')).superUser);
});

test('what is refused changes nothing and says why', async (t) => {
  const node = await withReader(t);
  const before = await Promise.all([
    node.send({ operation: 'list_users' }),
    node.send({ operation: 'list_roles' }),
  ]);
  const user = { username: 'new', password: 'pw', role: 'reader' } as const;
  const cases: readonly (readonly [Operation, string | RegExp, number])[] = [
    [{ operation: 'add_user', ...user, username: 'bob' }, 'User bob already exists', 409],
    [{ operation: 'add_user', ...user, role: 'none' }, 'none role not found', 404],
    [{ operation: 'add_user', ...user, role: '__proto__' }, /'role' names cannot be/, 400],
    [{ operation: 'add_user', ...user, username: '__proto__' }, /'username' names cannot be/, 400],
    [{ operation: 'add_user', ...user, username: 'a:b' }, /'username' fails to match/, 400],
    [
      { operation: 'add_user', ...user, password: '' },
      /'password' is not allowed to be empty/,
      400,
    ],
    [
      { operation: 'add_user', ...user, password: 'x'.repeat(1_001) },
      /'password' length must be less than or equal to 1000/,
      400,
    ],
    [
      { operation: 'alter_user', username: 'bob' },
      'nothing to update, must supply active, role or password to update',
      400,
    ],
    [{ operation: 'alter_user', username: 'eve', active: true }, 'User eve does not exist', 404],
    [{ operation: 'drop_user', username: 'eve' }, 'User eve does not exist', 404],
    [{ operation: 'drop_user', username: 'constructor' }, 'User constructor does not exist', 404],
    [{ operation: 'drop_user', username: '\ud800' }, 'User \ud800 does not exist', 404],
    [
      { operation: 'add_role', role: 'reader', permission: {} },
      "A role with name 'reader' already exists",
      409,
    ],
    [
      { operation: 'add_role', role: 'super_user', permission: {} },
      "A role with name 'super_user' already exists",
      409,
    ],
    [{ operation: 'alter_role', id: 'none', permission: {} }, 'none role not found', 404],
    [{ operation: 'alter_role', id: 'super_user', permission: {} }, /is built in/, 400],
    [{ operation: 'alter_role', id: 'reader', role: 'super_user' }, /already exists/, 409],
    [{ operation: 'drop_role', id: 'super_user' }, /is built in/, 400],
    [{ operation: 'drop_role', id: 'none' }, 'none role not found', 404],
    [
      { operation: 'drop_role', id: 'reader' },
      'Cannot drop role reader as it has users tied to it: bob',
      409,
    ],
  ];
  for (const [operation, message, status] of cases)
    await refusedAs(t, node, operation, { message, status });
  t.deepEqual(
    await Promise.all([
      node.send({ operation: 'list_users' }),
      node.send({ operation: 'list_roles' }),
    ]),
    before,
  );
});

test('permission objects are checked, and the field that is wrong is named', async (t) => {
  const node = await open(t);
  const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ super_user: 'yes' }, /'permission.super_user' must be a boolean/],
    [{ super_user: true, data: { tables: {} } }, /cannot have other permissions set/],
    [{ system: { tables: {} } }, /'permission.system' is not allowed/],
    [{ data: true }, /'permission.data' must be of type object/],
    [{ data: { tables: { dog: { read: 1 } } } }, /'permission.data.tables.dog.read' must be/],
    [{ data: { tables: { dog: { write: true } } } }, /dog.write' is not allowed/],
    [
      { data: { tables: { dog: { attribute_permissions: [{ read: true }] } } } },
      /attribute_permissions\[0\].attribute_name' is required/,
    ],
    [{ structure_user: 'data' }, /'permission.structure_user' must be/],
    [
      { operations: ['read_only', 'inserted'] },
      /'permission.operations\[1\]' must be an operation/,
    ],
    [{ constructor: { tables: {} } }, /'permission' names cannot be 'constructor'/],
    [JSON.parse('{"__proto__":{"super_user":true}}') as Record<string, unknown>, /__proto__/],
  ];
  for (const [permission, message] of cases)
    await refusedAs(
      t,
      node,
      { operation: 'add_role', role: 'r', permission },
      {
        message,
        status: 400,
      },
    );
});

test('a password changes, and the old one is wrong at once although it was used a moment ago', async (t) => {
  const node = await withReader(t);
  await login(node, 'bob', 'pw');
  const answer = await node.send({ operation: 'alter_user', username: 'bob', password: 'new' });
  t.like(answer, {
    message: 'updated 1 of 1 records',
    update_hashes: ['bob'],
    skipped_hashes: [],
    new_attributes: [],
  });
  await t.throwsAsync(login(node, 'bob', 'pw'), { message: 'Login failed' });
  t.is((await login(node, 'bob', 'new')).username, 'bob');
});

test('an inactive user is told so with the right password only, and nothing else works', async (t) => {
  const node = await withReader(t);
  const { operation_token: token } = await tokensOf(node, 'bob', 'pw');
  await node.send({ operation: 'alter_user', username: 'bob', active: false });
  const inactive = { message: 'Cannot complete request: User is inactive' };
  await t.throwsAsync(login(node, 'bob', 'pw'), inactive);
  await t.throwsAsync(login(node, 'bob', 'wrong'), { message: 'Login failed' });
  await t.throwsAsync(node.authenticateToken(token), { message: 'invalid token' });
  await node.send({ operation: 'alter_user', username: 'bob', active: true });
  await t.notThrowsAsync(login(node, 'bob', 'pw'));
  await t.throwsAsync(node.authenticateToken(token), { message: 'invalid token' });
});

test('what a role may do changes with the next login, and a role that is gone gives nothing', async (t) => {
  const node = await withReader(t);
  t.is((await login(node, 'bob', 'pw')).rights?.tables.size, 1);
  await node.send({ operation: 'alter_role', id: 'reader', permission: { super_user: true } });
  t.true((await login(node, 'bob', 'pw')).superUser);
  await node.send({ operation: 'alter_role', id: 'reader', role: 'renamed', permission: {} });
  const bob = await login(node, 'bob', 'pw');
  t.is(bob.rights?.tables.size, 0);
  t.false(bob.superUser);
  await node.send({ operation: 'add_user', username: 'eva', password: 'pw', role: 'renamed' });
  await node.send({ operation: 'drop_user', username: 'bob' });
  await node.send({ operation: 'drop_user', username: 'eva' });
  t.deepEqual(await node.send({ operation: 'drop_role', id: 'reader' }), {
    message: 'renamed successfully deleted',
  });
});

test('the last active super user stays, whichever way it would go', async (t) => {
  const node = await withReader(t);
  const last = { message: /'admin' is the last active super user/, status: 400 };
  const ways: readonly Operation[] = [
    { operation: 'drop_user', username: 'admin' },
    { operation: 'alter_user', username: 'admin', active: false },
    { operation: 'alter_user', username: 'admin', role: 'reader' },
  ];
  for (const way of ways) await refusedAs(t, node, way, last);
  await node.send({ operation: 'add_role', role: 'owner', permission: { super_user: true } });
  await node.send({ operation: 'add_user', username: 'owner', password: 'pw', role: 'owner' });
  await node.send({ operation: 'alter_user', username: 'owner', active: false });
  await refusedAs(t, node, { operation: 'drop_user', username: 'admin' }, last);
  await node.send({ operation: 'alter_user', username: 'owner', active: true });
  const both = await Promise.allSettled([
    node.send({ operation: 'drop_user', username: 'admin' }),
    node.send({ operation: 'alter_role', id: 'owner', permission: {} }),
  ]);
  t.deepEqual(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected'],
    'two at once see each other',
  );
  await refusedAs(
    t,
    node,
    { operation: 'alter_role', id: 'owner', permission: { super_user: false } },
    { message: /'owner' is the last active super user/, status: 400 },
  );
});

test('rows of users and roles are written by their operations only', async (t) => {
  const node = await withReader(t);
  for (const [table, record] of [
    ['hdb_user', { username: 'bob', role: 'super_user' }],
    ['hdb_role', { id: 'reader', permission: { super_user: true } }],
  ] as const) {
    for (const operation of ['insert', 'update', 'upsert'] as const)
      await t.throwsAsync(node.send({ operation, database: 'system', table, records: [record] }), {
        message: /cannot be written by .*; use /,
      });
    await t.throwsAsync(
      node.send({ operation: 'delete', database: 'system', table, ids: ['admin', 'reader'] }),
      { message: /cannot be written by delete; use / },
    );
  }
});

test('tokens stand for their user: an operation token for a day, the refresh token for new ones', async (t) => {
  const node = await withReader(t);
  const tokens = await tokensOf(node, 'bob', 'pw');
  t.deepEqual(Object.keys(tokens), ['operation_token', 'refresh_token']);
  t.like(await node.authenticateToken(tokens.operation_token), {
    kind: 'operation',
    user: { username: 'bob', role: 'reader', superUser: false, active: true },
  });
  t.is((await node.authenticateToken(tokens.refresh_token)).kind, 'refresh');
  const { operation_token: fresh } = (await node.send({
    operation: 'refresh_operation_token',
    refresh_token: tokens.refresh_token,
  })) as { operation_token: string };
  t.is((await node.authenticateToken(fresh)).user.username, 'bob');
  await t.throwsAsync(
    node.send({ operation: 'refresh_operation_token', refresh_token: tokens.operation_token }),
    { message: 'invalid token' },
  );
  const later = await tokensOf(node, 'bob', 'pw');
  await t.throwsAsync(node.authenticateToken(tokens.refresh_token), { message: 'invalid token' });
  t.is((await node.authenticateToken(later.refresh_token)).kind, 'refresh');
  t.is((await node.authenticateToken(tokens.operation_token)).user.username, 'bob');
});

test('who asks gets tokens of their own, and others only with their password', async (t) => {
  const node = await withReader(t);
  const bob = await login(node, 'bob', 'pw');
  const own = (await node.send({ operation: 'create_authentication_tokens' }, { user: bob })) as {
    operation_token: string;
  };
  t.is((await node.authenticateToken(own.operation_token)).user.username, 'bob');
  await t.throwsAsync(
    node.send(
      { operation: 'create_authentication_tokens', username: 'admin', password: 'pw' },
      { user: bob },
    ),
    { message: 'Login failed' },
  );
  await refusedAs(
    t,
    node,
    { operation: 'create_authentication_tokens' },
    { message: "'username' is required. 'password' is required", status: 400 },
  );
  await refusedAs(
    t,
    node,
    { operation: 'create_authentication_tokens', username: 'bob' },
    { message: "'username' and 'password' must be given together", status: 400 },
  );
});

const ENDINGS: readonly (readonly [string, readonly Operation[]])[] = [
  ['a new password', [{ operation: 'alter_user', username: 'bob', password: 'new' }]],
  ['another role', [{ operation: 'alter_user', username: 'bob', role: 'super_user' }]],
  ['the end of the user', [{ operation: 'drop_user', username: 'bob' }]],
  [
    'another user of that name',
    [
      { operation: 'drop_user', username: 'bob' },
      { operation: 'add_user', username: 'bob', password: 'pw', role: 'reader' },
    ],
  ],
];
for (const [what, operations] of ENDINGS)
  test(`SE-32: ${what} ends the tokens that were issued before`, async (t) => {
    const node = await withReader(t);
    const tokens = await tokensOf(node, 'bob', 'pw');
    for (const operation of operations) await node.send(operation);
    for (const token of Object.values(tokens))
      await t.throwsAsync(node.authenticateToken(token), { message: 'invalid token' });
    await t.throwsAsync(
      node.send({ operation: 'refresh_operation_token', refresh_token: tokens.refresh_token }),
      { message: 'invalid token' },
    );
  });

test('SE-32: rights are those of the user now, not those in the token', async (t) => {
  const node = await withReader(t);
  await node.send({ operation: 'add_role', role: 'owner', permission: { super_user: true } });
  await node.send({ operation: 'add_user', username: 'eva', password: 'pw', role: 'owner' });
  const { operation_token: token } = await tokensOf(node, 'eva', 'pw');
  t.true((await node.authenticateToken(token)).user.superUser);
  await node.send({ operation: 'alter_role', id: 'owner', permission: {} });
  const { user } = await node.authenticateToken(token);
  t.false(user.superUser);
  await t.throwsAsync(node.send({ operation: 'list_users' }, { user }), { code: 'FORBIDDEN' });
});

test('tokens live as long as configured', async (t) => {
  const node = await open(t, {
    authentication: { operationTokenTimeout: '10s', refreshTokenTimeout: '2h' },
  });
  const tokens = await tokensOf(node, ADMIN.username, ADMIN.password);
  const life = (token: string): number => {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
      iat: number;
      exp: number;
    };
    return claims.exp - claims.iat;
  };
  t.is(life(tokens.operation_token), 10);
  t.is(life(tokens.refresh_token), 7_200);
});

test('changes of users that wait for their turn are bounded', async (t) => {
  const directory = new UserDirectory({
    ask: () => Promise.reject(new Error('nobody is asked')),
    config: resolveConfig({ storage: { engine: 'memory' } }).config,
    environment: systemEnvironment(),
    tokenKeys: new TokenKeys({ directory: null, log: SILENT, isMadeAtFirstUse: true }),
  });
  let release: () => void = () => t.fail();
  const held = new Promise<void>((resolve) => (release = resolve));
  const waiting = Array.from({ length: limits.userChangesWaitingMax }, () =>
    directory.change(() => held),
  );
  await t.throwsAsync(
    directory.change(() => held),
    { code: 'OVERLOADED' },
  );
  release();
  await Promise.all(waiting);
  t.is(await directory.change(() => Promise.resolve(1)), 1);
});

test('SE-22 names of prototypes are users like others, or none', async (t) => {
  const node = await open(t);
  for (const username of ['toString', 'hasOwnProperty', 'valueOf']) {
    await t.throwsAsync(login(node, username, 'pw'), { message: 'Login failed' });
    await node.send({ operation: 'add_user', username, password: 'pw', role: 'super_user' });
    t.is((await login(node, username, 'pw')).username, username);
  }
  await t.throwsAsync(login(node, '__proto__', 'pw'), { message: 'Login failed' });
});

test('guesses are slowed down, and the right password from elsewhere is not', async (t) => {
  const node = await withReader(t);
  for (let count = 0; count < 6; count++)
    await t.throwsAsync(login(node, 'bob', `guess ${count}`), { message: 'Login failed' });
  const startedMs = performance.now();
  await t.throwsAsync(login(node, 'bob', 'guess'), { message: 'Login failed' });
  const slowMs = performance.now() - startedMs;
  t.true(slowMs > 190, `${slowMs}`);
  const guesses = Array.from({ length: 40 }, (_, count) => login(node, 'bob', `more ${count}`));
  const settled = Promise.allSettled(guesses);
  await t.notThrowsAsync(
    node.authenticate({ username: 'bob', password: 'pw', address: '192.0.2.77' }),
  );
  void settled;
});
