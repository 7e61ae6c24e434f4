/**
 * Whatever a role says and whatever is asked: an operation that is allowed touches only what the role names. The oracle
 * looks at the permission object itself, field by field, and shares no code with what it judges.
 */
import * as fc from 'fast-check';
import test from 'ava';
import { needsPrimaryKey, readableAttributes, refusalOf } from '../../protocol/authorisation.js';
import { readRights } from '../../protocol/permissions.js';
import { validateOperation, type NormalisedOperation } from '../../protocol/validate.js';

const KEY = 'id';
const name = fc.constantFrom('a', 'b', 'toString', 'valueOf', KEY);
const database = fc.constantFrom('data', 'shop', 'toString');
const anyDatabase = fc.constantFrom('data', 'shop', 'toString', 'system');
const flag = fc.option(fc.boolean(), { nil: undefined });

interface AttributeRule {
  attribute_name: string;
  read?: boolean | undefined;
  insert?: boolean | undefined;
  update?: boolean | undefined;
}
interface TableRule {
  read?: boolean | undefined;
  insert?: boolean | undefined;
  update?: boolean | undefined;
  delete?: boolean | undefined;
  attribute_permissions: AttributeRule[];
}
interface Permission {
  structure_user?: boolean | string[] | undefined;
  operations?: string[] | undefined;
  databases: Record<string, { tables: Record<string, TableRule> }>;
}

const attributeRule: fc.Arbitrary<AttributeRule> = fc.record({
  attribute_name: name,
  read: flag,
  insert: flag,
  update: flag,
});
const tableRule: fc.Arbitrary<TableRule> = fc.record({
  read: flag,
  insert: flag,
  update: flag,
  delete: flag,
  attribute_permissions: fc.uniqueArray(attributeRule, {
    maxLength: 3,
    selector: (rule) => rule.attribute_name,
  }),
});
const permission: fc.Arbitrary<Permission> = fc.record({
  structure_user: fc.option(fc.oneof(fc.boolean(), fc.array(database)), { nil: undefined }),
  operations: fc.option(
    fc.array(
      fc.constantFrom(
        'insert',
        'upsert',
        'delete',
        'search_by_hash',
        'read_only',
        'standard_user',
        'create_table',
        'add_user',
      ),
    ),
    { nil: undefined },
  ),
  databases: fc.dictionary(
    database,
    fc.record({ tables: fc.dictionary(name, tableRule, { noNullPrototype: true }) }),
    { noNullPrototype: true },
  ),
});

/** As it would come in JSON: fields that are undefined are absent. */
const stored = ({ databases, ...rest }: Permission): unknown =>
  JSON.parse(JSON.stringify({ ...rest, ...databases }));

const records = fc.array(fc.dictionary(name, fc.constant(1), { noNullPrototype: true }), {
  maxLength: 3,
});
const condition = fc.record({ attribute: name, value: fc.constant(1) });
const place = { database: anyDatabase, table: name };

const operation: fc.Arbitrary<object> = fc.oneof(
  fc.record({ operation: fc.constantFrom('insert', 'update', 'upsert'), ...place, records }),
  fc.record({ operation: fc.constant('delete'), ...place, ids: fc.constant([1]) }),
  fc.record({ operation: fc.constant('search_by_id'), ...place, ids: fc.constant([1]) }),
  fc.record({
    operation: fc.constant('search_by_value'),
    ...place,
    attribute: name,
    value: fc.constant(1),
  }),
  fc.record({
    operation: fc.constant('search_by_conditions'),
    ...place,
    conditions: fc.array(
      fc.oneof(
        condition,
        fc.record({ conditions: fc.array(condition, { minLength: 1, maxLength: 2 }) }),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    sort: fc.record({ attribute: name }),
    get_attributes: fc.array(name, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    operation: fc.constantFrom('create_table', 'drop_table'),
    ...place,
    primary_key: fc.constant(KEY),
  }),
  fc.record({
    operation: fc.constantFrom('create_attribute', 'drop_attribute'),
    ...place,
    attribute: name,
  }),
  fc.record({
    operation: fc.constantFrom('create_database', 'drop_database'),
    database: anyDatabase,
  }),
  fc.record({ operation: fc.constantFrom('cluster_status', 'list_users', 'cluster_get_routes') }),
);

/** Attributes of the records and the search, found by looking through everything the operation holds. */
const attributesNamed = (asked: NormalisedOperation): string[] => {
  const found: string[] = [];
  const walk = (value: unknown, key: string): void => {
    if (key === 'attribute' && typeof value === 'string') found.push(value);
    if (key === 'get_attributes') found.push(...(value as string[]));
    if (key === 'records')
      for (const record of value as object[])
        found.push(...Object.keys(record).filter((attribute) => attribute !== KEY));
    else if (Array.isArray(value)) for (const item of value) walk(item, key);
    else if (typeof value === 'object' && value !== null)
      for (const [inner, item] of Object.entries(value)) walk(item, inner);
  };
  walk(asked, '');
  return found;
};

const NEEDED: Readonly<Record<string, readonly (keyof TableRule)[]>> = {
  insert: ['insert'],
  update: ['update'],
  upsert: ['insert', 'update'],
  delete: ['delete'],
  search_by_id: ['read'],
  search_by_value: ['read'],
  search_by_conditions: ['read'],
};

const own = <T>(object: Record<string, T>, key: string): T | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

/** Whether the role says so, in so many words. */
const isNamed = (role: Permission, asked: NormalisedOperation): boolean => {
  const { operation: what } = asked;
  const needed = NEEDED[what];
  if (!('database' in asked) || asked.database === 'system') return false;
  if (needed === undefined) {
    const { structure_user: structure } = role;
    return (
      structure === true ||
      (Array.isArray(structure) && structure.includes(asked.database) && !what.endsWith('database'))
    );
  }
  if (!('table' in asked)) return false;
  const rule = own(own(role.databases, asked.database)?.tables ?? {}, asked.table);
  if (!rule || !needed.every((action) => rule[action] === true)) return false;
  if (rule.attribute_permissions.length === 0 || what === 'delete') return true;
  return attributesNamed(asked).every((attribute) =>
    rule.attribute_permissions.some(
      (one) =>
        one.attribute_name === attribute &&
        needed.every((action) => action === 'delete' || one[action as 'read'] === true),
    ),
  );
};

const GROUPS: Readonly<Record<string, RegExp>> = {
  read_only: /^(?:search|describe)_/,
  standard_user: /^(?:(?:search|describe)_.*|insert|update|upsert|delete)$/,
  search_by_hash: /^search_by_id$/,
};
const isListed = ({ operations }: Permission, what: string): boolean =>
  operations === undefined ||
  operations.some((listed) => GROUPS[listed]?.test(what) ?? listed === what);

test('an operation is allowed when, and only when, the role names all that it touches', (t) => {
  const seen = { allowed: 0, refused: 0 };
  fc.assert(
    fc.property(permission, operation, (role, body) => {
      const rights = readRights(stored(role));
      const asked = validateOperation(body);
      const key = needsPrimaryKey(rights, asked) ? KEY : undefined;
      const isAllowed = refusalOf(rights, asked, key) === undefined;
      seen[isAllowed ? 'allowed' : 'refused']++;
      return isAllowed === (isListed(role, asked.operation) && isNamed(role, asked));
    }),
    { numRuns: 3_000 },
  );
  t.true(seen.allowed > 100 && seen.refused > 100, JSON.stringify(seen));
});

test('what a search shows is what the role lets read, attribute by attribute', (t) => {
  fc.assert(
    fc.property(permission, anyDatabase, name, (role, database_, table) => {
      const readable = readableAttributes(readRights(stored(role)), { database: database_, table });
      const rule =
        database_ === 'system'
          ? undefined
          : own(own(role.databases, database_)?.tables ?? {}, table);
      if (!rule) return readable !== null && readable.size === 0;
      const rules = rule.attribute_permissions;
      if (rules.length === 0) return readable === null;
      const open = rules.filter(({ read }) => read === true).map((one) => one.attribute_name);
      return readable !== null && [...readable].sort().join() === open.sort().join();
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});

test('any permission object is read without an error, and only one that says so makes a super user', (t) => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true }), (value) => {
      const { superUser } = readRights(value);
      return !superUser || (value as { super_user?: unknown }).super_user === true;
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});
