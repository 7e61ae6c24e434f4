/**
 * The operations on users, roles and tokens, as they are after validate.ts, and the schemas of their fields. Part of
 * operationSchemas.ts; permissions.ts reads stored roles by the same schema.
 */
import { limits } from '../limits.js';
import type { Schema } from '../operationSchemas.js';
import { isObject, ownField, type Fields } from './aliases.js';
import { NAME_KEYWORD } from './wording.js';

export type NormalisedUserOperation =
  | {
      readonly operation: 'add_user';
      readonly username: string;
      readonly password: string;
      /** Name of a role. */
      readonly role: string;
      readonly active?: boolean;
    }
  | {
      readonly operation: 'alter_user';
      readonly username: string;
      readonly password?: string;
      readonly role?: string;
      readonly active?: boolean;
    }
  | { readonly operation: 'drop_user'; readonly username: string }
  | { readonly operation: 'list_users' }
  | { readonly operation: 'user_info' }
  | { readonly operation: 'add_role'; readonly role: string; readonly permission: RecordLike }
  | {
      readonly operation: 'alter_role';
      readonly id: string;
      /** Its new name. */
      readonly role?: string;
      readonly permission?: RecordLike;
    }
  | { readonly operation: 'drop_role'; readonly id: string }
  | { readonly operation: 'list_roles' }
  /** For the user who asks, unless both fields name one. */
  | {
      readonly operation: 'create_authentication_tokens';
      readonly username?: string;
      readonly password?: string;
    }
  | { readonly operation: 'refresh_operation_token'; readonly refresh_token: string };

type RecordLike = Readonly<Record<string, unknown>>;

const name: Schema = { type: 'string', [NAME_KEYWORD]: true };
const flag: Schema = { type: 'boolean' };
/** RFC 7617: a colon ends the name. */
const username: Schema = { ...name, pattern: '^[^:]*$' };
const password: Schema = {
  type: 'string',
  minLength: 1,
  maxLength: limits.passwordCharactersMax,
};

const attributeRule: Schema = {
  type: 'object',
  required: ['attribute_name'],
  properties: { attribute_name: name, read: flag, insert: flag, update: flag, delete: flag },
  additionalProperties: false,
};

const tableRule: Schema = {
  type: 'object',
  properties: {
    read: flag,
    insert: flag,
    update: flag,
    delete: flag,
    attribute_permissions: { type: ['array', 'null'], items: attributeRule },
  },
  additionalProperties: false,
};

const databaseRule: Schema = {
  type: 'object',
  properties: {
    tables: { type: 'object', propertyNames: name, additionalProperties: tableRule },
  },
  additionalProperties: false,
};

/** What a role is stored with. Every other key is a database. */
export const permissionSchema: Schema = {
  type: 'object',
  propertyNames: name,
  properties: {
    super_user: flag,
    structure_user: { type: ['boolean', 'array'], items: name },
    cluster_user: flag,
    operations: { type: 'array', items: { type: 'string' } },
  },
  additionalProperties: databaseRule,
};

const READ_ONLY = [
  'search_by_id',
  'search_by_value',
  'search_by_conditions',
  'describe_all',
  'describe_database',
  'describe_table',
] as const;

/** What stands for several operations in a role's list. */
export const groupOperations: ReadonlyMap<string, readonly string[]> = new Map<
  string,
  readonly string[]
>([
  ['read_only', READ_ONLY],
  ['standard_user', [...READ_ONLY, 'insert', 'update', 'upsert', 'delete']],
]);

/** Fields that must be there, and all fields, of each operation. */
export const userFields = {
  add_user: {
    required: ['username', 'password', 'role'],
    properties: { username, password, role: name, active: flag },
  },
  alter_user: {
    required: ['username'],
    properties: { username, password, role: name, active: flag },
  },
  // Users made by a configuration may have any name.
  drop_user: { required: ['username'], properties: { username: { type: 'string' } } },
  list_users: { required: [], properties: {} },
  user_info: { required: [], properties: {} },
  add_role: {
    required: ['role', 'permission'],
    properties: { role: name, permission: permissionSchema },
  },
  alter_role: {
    required: ['id'],
    properties: { id: { type: 'string' }, role: name, permission: permissionSchema },
  },
  drop_role: { required: ['id'], properties: { id: { type: 'string' } } },
  list_roles: { required: [], properties: {} },
  create_authentication_tokens: {
    required: [],
    properties: { username: { type: 'string' }, password: { type: 'string' } },
  },
  refresh_operation_token: {
    required: ['refresh_token'],
    properties: { refresh_token: { type: 'string' } },
  },
} as const satisfies Readonly<
  Record<
    NormalisedUserOperation['operation'],
    { readonly required: readonly string[]; readonly properties: Readonly<Record<string, Schema>> }
  >
>;

/** Keys of a permission object that name no database. */
const SETTINGS = ['super_user', 'structure_user', 'cluster_user', 'operations'];

/** What the schema of a permission cannot say. */
export const permissionProblems = (
  { permission }: Fields,
  isOperation: (name: string) => boolean,
): string[] => {
  if (!isObject(permission)) return [];
  const problems: string[] = [];
  const databases = Object.keys(permission).filter((key) => !SETTINGS.includes(key));
  const operations = ownField(permission, 'operations');
  const hasMore =
    databases.length > 0 ||
    operations !== undefined ||
    Boolean(ownField(permission, 'structure_user'));
  if (ownField(permission, 'super_user') === true && hasMore)
    problems.push("Roles with 'super_user' set to true cannot have other permissions set.");
  if (databases.includes('system'))
    problems.push("'permission.system' is not allowed: only super users reach this database");
  for (const [index, named] of (Array.isArray(operations) ? operations : []).entries())
    if (typeof named === 'string' && !groupOperations.has(named) && !isOperation(named))
      problems.push(
        `'permission.operations[${index}]' must be an operation, or one of [${[...groupOperations.keys()].join(', ')}]`,
      );
  return problems;
};
