/** What validate.ts accepts, how it spells it afterwards, and the words it refuses with. */
import { Ajv } from 'ajv';
import test, { type ExecutionContext } from 'ava';

import { SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import type { OperationName } from '../../protocol/operations.js';
import { operationShapes } from '../../protocol/operationSchemas.js';
import { NAME_KEYWORD } from '../../protocol/schemas/wording.js';
import { compileSchema, operationNames, validateOperation } from '../../protocol/validate.js';

const refused = (t: ExecutionContext, body: unknown, message: string): void => {
  const error = t.throws(() => validateOperation(body), { instanceOf: SkeinError });
  t.is(error.message, message);
  t.is(error.code, 'INVALID_REQUEST');
  t.is(error.statusCode, 400);
};

const accepted: [title: string, body: object, normalised: object][] = [
  [
    'the database defaults to data',
    { operation: 'drop_table', table: 'dog' },
    { operation: 'drop_table', database: 'data', table: 'dog' },
  ],
  [
    'schema is database',
    { operation: 'describe_table', schema: 'dev', table: 'dog', exact_count: true },
    { operation: 'describe_table', database: 'dev', table: 'dog', exact_count: true },
  ],
  [
    'the plain spelling wins over the older one',
    { operation: 'create_database', schema: 'old', database: 'new' },
    { operation: 'create_database', database: 'new' },
  ],
  [
    'create_schema is create_database',
    { operation: 'create_schema', schema: 'dev' },
    { operation: 'create_database', database: 'dev' },
  ],
  [
    'drop_schema is drop_database',
    { operation: 'drop_schema', schema: 'dev', replicated: true },
    { operation: 'drop_database', database: 'dev', replicated: true },
  ],
  [
    'describe_schema is describe_database',
    { operation: 'describe_schema' },
    { operation: 'describe_database', database: 'data' },
  ],
  [
    'search_by_hash with hash_values is search_by_id with ids',
    { operation: 'search_by_hash', table: 'dog', hash_values: [1, 'a/b'], get_attributes: ['*'] },
    { operation: 'search_by_id', database: 'data', table: 'dog', ids: [1, 'a/b'] },
  ],
  [
    'delete takes hash_values',
    { operation: 'delete', table: 'dog', hash_values: [] },
    { operation: 'delete', database: 'data', table: 'dog', ids: [] },
  ],
  [
    'hash_attribute is primary_key',
    { operation: 'create_table', table: 'dog', hash_attribute: 'id', residence: ['x'] },
    { operation: 'create_table', database: 'data', table: 'dog', primary_key: 'id' },
  ],
  [
    'a declared primary key is the primary key',
    {
      operation: 'create_table',
      table: 'dog',
      expiration: 1.5,
      audit: false,
      replicate: false,
      attributes: [
        { name: 'id', type: 'ID', is_primary_key: true, colour: 'red' },
        { name: 'age', indexed: true },
      ],
    },
    {
      operation: 'create_table',
      database: 'data',
      table: 'dog',
      expiration: 1.5,
      audit: false,
      replicate: false,
      primary_key: 'id',
      attributes: [
        { name: 'id', type: 'ID', is_primary_key: true },
        { name: 'age', indexed: true },
      ],
    },
  ],
  [
    'search_attribute and search_value are attribute and value',
    {
      operation: 'search_by_value',
      table: 'dog',
      search_attribute: 'name',
      search_value: null,
      get_attributes: ['name'],
      desc: true,
      limit: 0,
      offset: 3,
    },
    {
      operation: 'search_by_value',
      database: 'data',
      table: 'dog',
      attribute: 'name',
      value: null,
      get_attributes: ['name'],
      desc: true,
      limit: 0,
      offset: 3,
    },
  ],
  [
    'conditions are folded at every depth',
    {
      operation: 'search_by_conditions',
      table: 'dog',
      get_attributes: '*',
      sort: { attribute: 'age', descending: true, next: { attribute: 'name', rest: 1 } },
      conditions: [
        { search_attribute: 'age', search_type: 'between', search_value: [1, 2] },
        { operator: 'or', conditions: [{ attribute: 'name', value: 'Rex' }] },
        { conditions: [{ attribute: 'name', comparator: 'contains', value: 'e' }], attribute: 'x' },
      ],
    },
    {
      operation: 'search_by_conditions',
      database: 'data',
      table: 'dog',
      operator: 'and',
      sort: { attribute: 'age', descending: true, next: { attribute: 'name' } },
      conditions: [
        { attribute: 'age', comparator: 'between', value: [1, 2] },
        { operator: 'or', conditions: [{ attribute: 'name', comparator: 'equals', value: 'Rex' }] },
        {
          operator: 'and',
          conditions: [{ attribute: 'name', comparator: 'contains', value: 'e' }],
        },
      ],
    },
  ],
  [
    'an expiry may be a Date',
    { operation: 'update', table: 'dog', records: [{ id: 1 }], expiresAt: new Date(5) },
    { operation: 'update', database: 'data', table: 'dog', records: [{ id: 1 }], expiresAt: 5 },
  ],
  [
    'a field that is undefined is absent',
    { operation: 'insert', table: 'dog', records: [{ id: 1 }], expiresAt: undefined },
    { operation: 'insert', database: 'data', table: 'dog', records: [{ id: 1 }] },
  ],
  [
    'operations without fields are left with their name',
    { operation: 'cluster_status', hdb_user: 'x' },
    { operation: 'cluster_status' },
  ],
  [
    'system_information takes a list of parts',
    { operation: 'system_information', attributes: ['cpu'] },
    { operation: 'system_information', attributes: ['cpu'] },
  ],
];

for (const [title, body, normalised] of accepted) {
  test(title, (t) => {
    t.deepEqual<unknown, unknown>(validateOperation(body), normalised);
  });
}

const expiryProblem = (expiresAt: unknown): string => {
  if (!Number.isInteger(expiresAt)) return "'expiresAt' must be an integer";
  return Number(expiresAt) < 1
    ? "'expiresAt' must be greater than or equal to 1"
    : `'expiresAt' must be less than or equal to ${Number.MAX_SAFE_INTEGER}`;
};

const refusals: [title: string, body: unknown, message: string][] = [
  ['text is no operation', 'insert', 'Invalid JSON.'],
  ['a list is no operation', [], 'Invalid JSON.'],
  ['nothing is no operation', undefined, 'Invalid JSON.'],
  ['an operation is named', {}, "Request body must include an 'operation' property."],
  ['an operation has a text name', { operation: 5 }, "'operation' must be a string"],
  ['an unknown operation is repeated', { operation: 'sql' }, "Operation 'sql' not found"],
  [
    'what every object has is no operation',
    { operation: 'constructor' },
    "Operation 'constructor' not found",
  ],
  [
    'all problems are reported together, in the order of the fields',
    { operation: 'insert', database: 5 },
    "'table' is required. 'records' is required. 'database' must be a string",
  ],
  [
    'null is no database',
    { operation: 'drop_table', database: null, table: 'dog' },
    "'database' must be a string",
  ],
  ['a dropped database is named', { operation: 'drop_database' }, "'database' is required"],
  [
    'records are a list',
    { operation: 'upsert', table: 'dog', records: { id: 1 } },
    "'records' must be an array",
  ],
  [
    'a record is an object',
    { operation: 'upsert', table: 'dog', records: [{ id: 1 }, null, new Date(0)] },
    "'records[1]' must be of type object. 'records[2]' must be of type object",
  ],
  [
    'a table has a primary key',
    { operation: 'create_table', table: 'dog' },
    "'primary_key' is required",
  ],
  [
    'only the primary key is marked as one',
    {
      operation: 'create_table',
      table: 'dog',
      primary_key: 'id',
      attributes: [{ name: 'id' }, { name: 'name', is_primary_key: true }, { name: 'id' }],
    },
    "'attributes' contains a duplicate value. 'attributes' may mark only the primary key with is_primary_key",
  ],
  [
    'an attribute type is one of the known',
    { operation: 'create_attribute', table: 'dog', attribute: 'age', type: 'Number' },
    "'type' must be one of [ID, String, Int, Long, Float, BigInt, Boolean, Date, Bytes, Any, Blob]",
  ],
  [
    'a limit is a whole number',
    {
      operation: 'search_by_value',
      table: 'dog',
      attribute: 'a',
      value: 1,
      limit: 1.5,
      offset: -1,
    },
    "'limit' must be an integer. 'offset' must be greater than or equal to 0",
  ],
  [
    'a problem names the field as the user spelled it',
    { operation: 'delete', schema: 'a/b', table: 'dog', hash_values: 5 },
    "'schema' names cannot include backticks or forward slashes. 'hash_values' must be an array",
  ],
  [
    'ids are keys',
    { operation: 'delete', table: 'dog', ids: [true, NaN, '', 'é'.repeat(512), 'ok'] },
    "'ids[0]' must be a string or a number. 'ids[1]' must be a finite number. 'ids[2]' is not allowed to be empty. 'ids[3]' must not exceed 1024 bytes",
  ],
  [
    'problems of conditions name their place',
    {
      operation: 'search_by_conditions',
      table: 'dog',
      operator: 'xor',
      conditions: [
        5,
        { attribute: 'a' },
        { conditions: [{ attribute: 'a', value: 1, comparator: 'like' }] },
        { conditions: [] },
      ],
    },
    "'operator' must be one of [and, or]. 'conditions[0]' must be of type object. 'conditions[1].value' is required. " +
      "'conditions[2].conditions[0].comparator' must be one of [equals, contains, starts_with, ends_with, greater_than, greater_than_equal, less_than, less_than_equal, between, not_equal]. " +
      "'conditions[3].conditions' must contain at least 1 items",
  ],
  [
    'between takes two values and contains takes a text',
    {
      operation: 'search_by_conditions',
      table: 'dog',
      conditions: [
        { attribute: 'a', comparator: 'between', value: [1] },
        { attribute: 'a', comparator: 'contains', value: 1 },
      ],
    },
    "'conditions[0].value' must contain at least 2 items. 'conditions[1].value' must be a string",
  ],
  [
    'a sort and the next one name attributes',
    {
      operation: 'search_by_conditions',
      table: 'dog',
      conditions: [{ attribute: 'a', value: 1 }],
      sort: { attribute: 'a', next: { descending: 1 } },
    },
    "'sort.next.attribute' is required. 'sort.next.descending' must be a boolean",
  ],
  [
    'replication parameters are refused, not left out',
    {
      operation: 'insert',
      table: 'dog',
      records: [],
      replicateTo: ['b'],
      replicatedConfirmation: 1,
    },
    "'replicateTo' is not supported by this version. 'replicatedConfirmation' is not supported by this version",
  ],
  ...[0, -1, 1.5, Number.MAX_SAFE_INTEGER + 1, '5', null].map(
    (expiresAt): [string, object, string] => [
      `an expiry of ${JSON.stringify(expiresAt)} is refused`,
      { operation: 'upsert', table: 'dog', records: [], expiresAt },
      expiryProblem(expiresAt),
    ],
  ),
  [
    'an expiration of no seconds is refused',
    { operation: 'create_table', table: 'dog', primary_key: 'id', expiration: 0 },
    "'expiration' must be greater than 0",
  ],
];

for (const [title, body, message] of refusals) test(title, (t) => refused(t, body, message));

const badNames: [name: string, message: string][] = [
  ['', 'is not allowed to be empty'],
  ['a`b', 'names cannot include backticks or forward slashes'],
  ['a/b', 'names cannot include backticks or forward slashes'],
  ['a\nb', 'names cannot include control characters'],
  ['a\u0000', 'names cannot include control characters'],
  ['.', "names cannot be '.' or '..'"],
  ['..', "names cannot be '.' or '..'"],
  ['__proto__', "names cannot be '__proto__'"],
  ['constructor', "names cannot be 'constructor'"],
  ['prototype', "names cannot be 'prototype'"],
  ['\ud800', 'names cannot include half a surrogate pair'],
  ['é'.repeat(251), 'length must be less than or equal to 250 characters long'],
];

test('bad names are refused for databases, tables, attributes and in records', (t) => {
  for (const [name, message] of badNames) {
    refused(t, { operation: 'create_database', database: name }, `'database' ${message}`);
    refused(t, { operation: 'drop_table', table: name }, `'table' ${message}`);
    refused(
      t,
      { operation: 'drop_attribute', table: 'dog', attribute: name },
      `'attribute' ${message}`,
    );
    refused(
      t,
      { operation: 'search_by_id', table: 'dog', ids: [], get_attributes: [name] },
      `'get_attributes[0]' ${message}`,
    );
    if (name === '__proto__') continue;
    refused(
      t,
      { operation: 'insert', table: 'dog', records: [{ [name]: 1 }] },
      `'records[0]' attribute ${message}`,
    );
  }
});

test('a name of 250 characters beyond the basic plane is accepted', (t) => {
  const table = '🐕'.repeat(limits.nameCharactersMax);
  t.like(validateOperation({ operation: 'drop_table', table }), { table });
});

test('a __proto__ from a parser reaches neither the operation nor a record', (t) => {
  const text = '{"operation":"drop_table","table":"dog","__proto__":{"database":"other"}}';
  t.deepEqual(validateOperation(JSON.parse(text)), {
    operation: 'drop_table',
    database: 'data',
    table: 'dog',
  });
  const inherited: unknown = Object.create({ operation: 'user_info' });
  refused(t, inherited, "Request body must include an 'operation' property.");
  for (const record of ['{"id":1,"__proto__":{}}', '{"id":1,"in":[{"__proto__":1}]}']) {
    const body = `{"operation":"insert","table":"dog","records":[${record}]}`;
    refused(t, JSON.parse(body), "'records' names cannot be '__proto__'");
  }
});

test('the input is not changed, and records are not copied', (t) => {
  const records = Object.freeze([Object.freeze({ id: 1, in: Object.freeze([1]) })]);
  const insert = validateOperation(Object.freeze({ operation: 'insert', table: 'dog', records }));
  t.is(insert.operation === 'insert' && insert.records, records);

  const condition = Object.freeze({ search_attribute: 'a', search_value: 1 });
  const conditions = Object.freeze([Object.freeze({ conditions: Object.freeze([condition]) })]);
  const body = { operation: 'search_by_conditions', table: 'dog', conditions };
  t.notThrows(() => validateOperation(Object.freeze(body)));
});

const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = { in: value };
  return value;
};

test('a record is nested at most as deep as the limit', (t) => {
  const insert = (record: unknown) => ({ operation: 'insert', table: 'dog', records: [record] });
  t.notThrows(() => validateOperation(insert(nested(limits.nestingMax))));
  const message = `'records' must not be nested deeper than ${limits.nestingMax}`;
  refused(t, insert(nested(limits.nestingMax + 1)), message);
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  refused(t, insert(cycle), message);
});

test('conditions too deep to walk are refused before they are walked', (t) => {
  let conditions: unknown[] = [{ attribute: 'a', value: 1 }];
  for (let level = 0; level < 20_000; level += 1) conditions = [{ conditions }];
  refused(
    t,
    { operation: 'search_by_conditions', table: 'dog', conditions },
    `'conditions' must not be nested deeper than ${limits.nestingMax}`,
  );
});

test('an answer tells a bounded number of problems', (t) => {
  const conditions = Array.from({ length: 1000 }, () => 5);
  const body = { operation: 'search_by_conditions', table: 'dog', conditions };
  const error = t.throws(() => validateOperation(body));
  t.true(error?.message.endsWith("'conditions[19]' must be of type object. 980 more problems"));
});

/** Complete by its type: an operation added to protocol/operations.ts has to be added here. */
const everyName: Record<OperationName, true> = {
  create_database: true,
  create_schema: true,
  drop_database: true,
  drop_schema: true,
  create_table: true,
  drop_table: true,
  create_attribute: true,
  drop_attribute: true,
  describe_all: true,
  describe_database: true,
  describe_schema: true,
  describe_table: true,
  insert: true,
  update: true,
  upsert: true,
  delete: true,
  search_by_id: true,
  search_by_hash: true,
  search_by_value: true,
  search_by_conditions: true,
  add_node: true,
  set_node: true,
  update_node: true,
  remove_node: true,
  configure_cluster: true,
  cluster_set_routes: true,
  cluster_delete_routes: true,
  cluster_get_routes: true,
  cluster_status: true,
  system_information: true,
  add_certificate: true,
  list_certificates: true,
  remove_certificate: true,
  user_info: true,
  add_user: true,
  alter_user: true,
  drop_user: true,
  list_users: true,
  add_role: true,
  alter_role: true,
  drop_role: true,
  list_roles: true,
  create_authentication_tokens: true,
  refresh_operation_token: true,
};

test('every operation and every older name is known, and no other', (t) => {
  t.deepEqual([...operationNames].sort(), Object.keys(everyName).sort() as OperationName[]);
  for (const operation of operationNames) {
    const body = { operation, database: 'd', table: 't', attribute: 'a', value: 1, ids: [] };
    const rest = { records: [], primary_key: 'id', conditions: [{ attribute: 'a', value: 1 }] };
    const nodes = { hostname: 'b', connections: [], routes: ['b'] };
    const user = { username: 'u', password: 'p', role: 'r', permission: {}, id: 'r' };
    const users = { ...user, refresh_token: 't', certificate: 'c', is_authority: true, name: 'n' };
    t.notThrows(() => validateOperation({ ...body, ...rest, ...nodes, ...users }), operation);
  }
});

test('every operation schema is valid by the meta schema', (t) => {
  const ajv = new Ajv({ strict: true, strictTypes: false, strictRequired: false });
  ajv.addKeyword({ keyword: NAME_KEYWORD, type: 'string', schemaType: 'boolean' });
  for (const [operation, { schema }] of operationShapes) {
    t.true(ajv.validateSchema(schema), operation);
  }
});

test('compileSchema tells the problems of a value in the same words', (t) => {
  const problems = compileSchema({
    type: 'object',
    additionalProperties: false,
    required: ['a'],
    properties: {
      a: { type: 'array', items: { type: 'integer', maximum: 3 } },
      b: { type: ['string', 'null'], minLength: 1 },
      c: { const: 7 },
    },
  });
  t.deepEqual(problems({ a: [1, 2] }), []);
  t.deepEqual(problems(5), ["'value' must be of type object"]);
  t.deepEqual(problems({ a: [1, 'x', 4], b: '', c: 8, 'x/y': 1 }), [
    "'x/y' is not allowed",
    "'a[1]' must be an integer",
    "'a[2]' must be less than or equal to 3",
    "'b' is not allowed to be empty",
    "'c' must be [7]",
  ]);
  const inherited = compileSchema({ type: 'object', required: ['constructor'] });
  t.deepEqual(inherited({}), ["'constructor' is required"]);
  t.deepEqual(problems({ b: 5 }), ["'a' is required", "'b' must be of type string, null"]);
});
