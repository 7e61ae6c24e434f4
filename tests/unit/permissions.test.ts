/** What roles allow, by examples: one node, users of single roles, operations as they come through a door. */
import test, { type ExecutionContext } from 'ava';
import { startNode, type Node, type RecordObject, type User } from '../../index.js';
import { SkeinError } from '../../protocol/errors.js';
import { readRights } from '../../protocol/permissions.js';
import { memoryConfig, SILENT } from '../support/embedded.js';

const ERROR =
  'This operation is not authorized due to role restrictions and/or invalid database items';

const open = async (t: ExecutionContext): Promise<Node> => {
  const node = await startNode(memoryConfig('a', []), { logger: SILENT });
  t.teardown(() => node.close());
  for (const table of ['dog', 'cat'])
    await node.send({ operation: 'create_table', table, primary_key: 'id' });
  await node.send({ operation: 'create_database', database: 'shop' });
  await node.send({
    operation: 'insert',
    table: 'dog',
    records: [{ id: 1, name: 'Penny', age: 7, secret: 'x' }],
  });
  return node;
};

const userWith = (permission: unknown): User => ({
  username: 'bob',
  superUser: false,
  active: true,
  role: 'r',
  rights: readRights(permission),
});

const onDog = (table: object): User => userWith({ data: { tables: { dog: table } } });

const run = (node: Node, user: User, operation: object): Promise<unknown> =>
  node.execute(operation, { user });

/** The lists of a refusal. */
const refusal = async (
  t: ExecutionContext,
  node: Node,
  user: User,
  operation: object,
): Promise<Readonly<Record<string, unknown>>> => {
  const error = await t.throwsAsync(run(node, user, operation), {
    instanceOf: SkeinError,
    message: ERROR,
  });
  t.is(error?.statusCode, 403);
  t.is(error?.code, 'FORBIDDEN');
  return error?.details ?? {};
};

const search = { operation: 'search_by_value', table: 'dog', attribute: 'id', value: '*' };
const insert = { operation: 'insert', table: 'dog', records: [{ id: 2, name: 'Kato' }] };

test('a table that a role does not name is said not to exist, whether or not it does', async (t) => {
  const node = await open(t);
  const user = onDog({ read: true });
  for (const table of ['cat', 'none', '__proto__x', 'toString'])
    t.deepEqual(await refusal(t, node, user, { ...search, table }), {
      unauthorized_access: [],
      invalid_schema_items: [`Table 'data.${table}' does not exist`],
    });
  t.deepEqual(await refusal(t, node, user, { ...search, database: 'shop' }), {
    unauthorized_access: [],
    invalid_schema_items: ["Table 'shop.dog' does not exist"],
  });
  t.is(((await run(node, user, search)) as unknown[]).length, 1);
});

test('what is missing on a table is listed', async (t) => {
  const node = await open(t);
  const user = onDog({ read: true, update: true });
  const missing = async (operation: object): Promise<unknown> =>
    ((await refusal(t, node, user, operation))['unauthorized_access'] as unknown[])[0];
  const lacks = (...required: string[]) => ({
    schema: 'data',
    table: 'dog',
    required_table_permissions: required,
    required_attribute_permissions: [],
  });
  t.deepEqual(await missing(insert), lacks('insert'));
  t.deepEqual(await missing({ ...insert, operation: 'upsert' }), lacks('insert'));
  t.deepEqual(await missing({ operation: 'delete', table: 'dog', ids: [1] }), lacks('delete'));
  await t.notThrowsAsync(
    run(node, user, { operation: 'update', table: 'dog', records: [{ id: 1, age: 8 }] }),
  );
});

test('of a table with attribute rules only what they open is read, shown, searched and written', async (t) => {
  const node = await open(t);
  const user = onDog({
    read: true,
    insert: true,
    update: true,
    attribute_permissions: [
      { attribute_name: 'id', read: true },
      { attribute_name: 'name', read: true, insert: true },
      { attribute_name: 'age', update: true },
    ],
  });
  t.deepEqual(await run(node, user, search), [{ id: 1, name: 'Penny' }]);
  t.deepEqual(await run(node, user, { operation: 'search_by_id', table: 'dog', ids: [1] }), [
    { id: 1, name: 'Penny' },
  ]);
  const closed = async (operation: object): Promise<unknown> => {
    const lists = await refusal(t, node, user, operation);
    const [first] = lists['unauthorized_access'] as RecordObject[];
    t.deepEqual(first?.['required_table_permissions'], []);
    return first?.['required_attribute_permissions'];
  };
  const lacks = (attribute_name: string, ...required_permissions: string[]) => ({
    attribute_name,
    required_permissions,
  });
  const byCondition = {
    operation: 'search_by_conditions',
    table: 'dog',
    conditions: [
      { attribute: 'name', value: 'Penny' },
      { operator: 'or', conditions: [{ attribute: 'secret', value: 'x' }] },
    ],
  };
  t.deepEqual(await closed(byCondition), [lacks('secret', 'read')]);
  t.deepEqual(
    await closed({
      ...byCondition,
      conditions: [{ search_attribute: 'name', search_value: 'P', search_type: 'starts_with' }],
      sort: { attribute: 'name', next: { attribute: 'age' } },
    }),
    [lacks('age', 'read')],
  );
  t.deepEqual(await closed({ ...search, attribute: 'age', value: 7 }), [lacks('age', 'read')]);
  t.deepEqual(await closed({ ...search, get_attributes: ['name', 'secret'] }), [
    lacks('secret', 'read'),
  ]);
  t.deepEqual(
    await closed({ ...insert, records: [{ id: 3, name: 'x', age: 1, constructor_: 2 }] }),
    [lacks('age', 'insert'), lacks('constructor_', 'insert')],
  );
  t.deepEqual(
    await closed({ operation: 'upsert', table: 'dog', records: [{ id: 1, name: 'x', age: 2 }] }),
    [lacks('name', 'update'), lacks('age', 'insert')],
  );
  await t.notThrowsAsync(run(node, user, insert));
  await t.notThrowsAsync(
    run(node, user, { operation: 'update', table: 'dog', records: [{ id: 1, age: 9 }] }),
  );
  t.deepEqual(await node.table('dog').get(1), {
    ...((await node.table('dog').get(1)) as object),
    id: 1,
    name: 'Penny',
    age: 9,
    secret: 'x',
  });
});

test('descriptions show what a role has rights on', async (t) => {
  const node = await open(t);
  const user = onDog({
    insert: true,
    attribute_permissions: [{ attribute_name: 'name', insert: true }],
  });
  const all = (await run(node, user, { operation: 'describe_all' })) as Record<
    string,
    RecordObject
  >;
  t.deepEqual(Object.keys(all), ['data']);
  t.deepEqual(Object.keys(all['data'] ?? {}), ['dog']);
  const dog = (await run(node, user, { operation: 'describe_table', table: 'dog' })) as {
    attributes: { attribute: string }[];
  };
  t.deepEqual(
    dog.attributes.map(({ attribute }) => attribute),
    ['id', 'name'],
  );
  const database = (await run(node, user, { operation: 'describe_database' })) as RecordObject;
  t.deepEqual(Object.keys(database), ['dog']);
  t.deepEqual(await refusal(t, node, user, { operation: 'describe_database', database: 'shop' }), {
    unauthorized_access: [],
    invalid_schema_items: ["database 'shop' does not exist"],
  });
  for (const table of ['cat', 'none'])
    t.deepEqual(
      (await refusal(t, node, user, { operation: 'describe_table', table }))[
        'invalid_schema_items'
      ],
      [`Table 'data.${table}' does not exist`],
    );
});

test('structure_user makes and drops tables, everywhere or in the databases it lists', async (t) => {
  const node = await open(t);
  const create = { operation: 'create_table', database: 'shop', table: 'order', primary_key: 'id' };
  const listed = userWith({ structure_user: ['shop'] });
  t.is(
    ((await run(node, listed, create)) as RecordObject)['message'],
    "table 'shop.order' successfully created.",
  );
  const attribute = {
    operation: 'create_attribute',
    database: 'shop',
    table: 'order',
    attribute: 'a',
  };
  await t.notThrowsAsync(run(node, listed, attribute));
  const restricted = (operation: string) => ({
    unauthorized_access: [`Operation '${operation}' is restricted to 'super_user' roles`],
    invalid_schema_items: [],
  });
  for (const operation of [
    { ...create, database: 'data' },
    { operation: 'drop_table', database: 'data', table: 'dog' },
    { operation: 'create_database', database: 'new' },
    { operation: 'drop_database', database: 'shop' },
  ])
    t.deepEqual(await refusal(t, node, listed, operation), restricted(operation.operation));
  await refusal(t, node, listed, {
    operation: 'search_by_id',
    database: 'shop',
    table: 'order',
    ids: [1],
  });
  const everywhere = userWith({ structure_user: true });
  await t.notThrowsAsync(run(node, everywhere, { operation: 'create_database', database: 'new' }));
  await t.notThrowsAsync(run(node, everywhere, { ...create, database: 'new' }));
  await refusal(t, node, everywhere, { ...create, database: 'system' });
});

test('a list of operations takes away all others, and adds none', async (t) => {
  const node = await open(t);
  const dog = { tables: { dog: { read: true, insert: true, update: true, delete: true } } };
  const reader = userWith({ operations: ['read_only'], data: dog });
  await t.notThrowsAsync(run(node, reader, search));
  t.deepEqual(await refusal(t, node, reader, insert), {
    unauthorized_access: ["Operation 'insert' is not among the operations of your role"],
    invalid_schema_items: [],
  });
  await t.notThrowsAsync(run(node, userWith({ operations: ['standard_user'], data: dog }), insert));
  const byOldName = userWith({ operations: ['search_by_hash'], data: dog });
  await t.notThrowsAsync(
    run(node, byOldName, { operation: 'search_by_id', table: 'dog', ids: [1] }),
  );
  await t.notThrowsAsync(run(node, byOldName, { operation: 'user_info' }));
  const wishful = userWith({ operations: ['cluster_status', 'add_user'], data: dog });
  t.deepEqual(await refusal(t, node, wishful, { operation: 'cluster_status' }), {
    unauthorized_access: ["Operation 'cluster_status' is restricted to 'super_user' roles"],
    invalid_schema_items: [],
  });
});

const SUPER_USERS_ONLY = [
  { operation: 'cluster_status' },
  { operation: 'system_information' },
  { operation: 'add_node', hostname: 'b' },
  { operation: 'remove_node', hostname: 'b' },
  { operation: 'configure_cluster', connections: [] },
  { operation: 'cluster_get_routes' },
  { operation: 'list_users' },
  { operation: 'list_roles' },
  { operation: 'add_user', username: 'x', password: 'x', role: 'super_user' },
  { operation: 'alter_user', username: 'bob', role: 'super_user' },
  { operation: 'drop_user', username: 'admin' },
  { operation: 'add_role', role: 'x', permission: { super_user: true } },
  { operation: 'alter_role', id: 'r', permission: { super_user: true } },
  { operation: 'drop_role', id: 'r' },
];

test('what concerns the cluster, users and roles is for super users', async (t) => {
  const node = await open(t);
  const user = userWith({
    structure_user: true,
    data: { tables: { dog: { read: true, insert: true, update: true, delete: true } } },
  });
  for (const operation of SUPER_USERS_ONLY)
    t.deepEqual(await refusal(t, node, user, operation), {
      unauthorized_access: [
        `Operation '${operation.operation}' is restricted to 'super_user' roles`,
      ],
      invalid_schema_items: [],
    });
});

test('nobody but super users reaches the system database, whatever a role says', async (t) => {
  const node = await open(t);
  const all = { read: true, insert: true, update: true, delete: true };
  const user = userWith({
    structure_user: true,
    system: { tables: { hdb_user: all, hdb_role: all, hdb_nodes: all } },
  });
  const place = { database: 'system', table: 'hdb_nodes' };
  for (const operation of [
    { operation: 'search_by_value', ...place, attribute: 'name', value: '*' },
    { operation: 'update', ...place, records: [{ name: 'a' }] },
    { operation: 'delete', ...place, ids: ['a'] },
    { operation: 'describe_table', ...place },
    { operation: 'describe_database', database: 'system' },
    { operation: 'drop_table', ...place },
    {
      operation: 'search_by_value',
      schema: 'system',
      table: 'hdb_user',
      attribute: 'username',
      value: '*',
    },
  ])
    await refusal(t, node, user, operation);
});

test('only super users say how many nodes have to have a write', async (t) => {
  const node = await open(t);
  const user = onDog({ read: true, insert: true });
  for (const [field, message] of [
    ['replicateTo', 'Can not specify replication parameters without super user permissions'],
    [
      'replicatedConfirmation',
      'Can not specify replication confirmation without super user permissions',
    ],
  ] as const) {
    const error = await t.throwsAsync(run(node, user, { ...insert, [field]: 1 }), {
      instanceOf: SkeinError,
      message,
    });
    t.is(error?.statusCode, 403);
  }
  t.is(await node.table('dog').get(2), undefined);
});

test('a user without rights, as a program may make one, may ask who it is and no more', async (t) => {
  const node = await open(t);
  const user: User = { username: 'x', superUser: false, active: true };
  t.deepEqual(await run(node, user, { operation: 'user_info' }), {
    username: 'x',
    active: true,
    role: { role: null, permission: { super_user: false } },
  });
  await refusal(t, node, user, search);
  await refusal(t, node, user, { operation: 'describe_all' });
});

const MALFORMED: readonly unknown[] = [
  undefined,
  null,
  'super_user',
  true,
  [],
  { super_user: 1 },
  { super_user: true, data: 'x' },
  { super_user: true, system: { tables: { a: { read: 'yes' } } } },
  JSON.parse('{"__proto__":{"super_user":true}}'),
  Object.create({ super_user: true, structure_user: true }),
];
for (const [index, permission] of MALFORMED.entries())
  test(`SE-22: permission object ${index} that does not fit gives no rights, nor does a prototype`, (t) => {
    const rights = readRights(permission);
    t.false(rights.superUser);
    t.deepEqual(rights.structure, new Set());
    t.is(rights.tables.size, 0);
  });

test('SE-22: tables and attributes with names of prototypes are named by a role or closed', async (t) => {
  const node = await open(t);
  const user = onDog({
    read: true,
    attribute_permissions: [{ attribute_name: 'name', read: true }],
  });
  for (const name of ['toString', 'hasOwnProperty', 'valueOf', '__defineGetter__']) {
    await refusal(t, node, user, { ...search, table: name });
    await refusal(t, node, user, { ...search, database: name });
    await refusal(t, node, user, { ...search, attribute: name });
    await refusal(t, node, user, { ...search, get_attributes: [name] });
  }
});

test('SE-29: what is authorised is what runs, whichever spelling comes twice', async (t) => {
  const node = await open(t);
  await node.table('cat').put({ id: 1 });
  const user = onDog({ read: true });
  const twice = { ...search, database: 'data', schema: 'system', search_attribute: 'secret' };
  t.is(((await run(node, user, twice)) as unknown[]).length, 1);
  await refusal(t, node, user, { ...search, database: 'system', schema: 'data' });
  const reader = onDog({
    read: true,
    attribute_permissions: [{ attribute_name: 'name', read: true }],
  });
  await refusal(t, node, reader, { ...search, attribute: 'secret', search_attribute: 'name' });
  t.deepEqual(
    await run(node, reader, { ...search, attribute: 'name', search_attribute: 'secret' }),
    [{ name: 'Penny' }],
  );
});
