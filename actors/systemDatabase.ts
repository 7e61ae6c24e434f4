/**
 * The tables of the `system` database that every node has by itself. Users and roles replicate with it; what
 * concerns one node alone does not.
 */
import { databaseName, tableName } from '../protocol/ids.js';
import type { TableDefinition } from '../protocol/tableDefinition.js';

export const SYSTEM = databaseName('system');
export const DEFAULT_DATABASE = databaseName('data');

const table = (
  name: string,
  primaryKey: string,
  attributes: readonly string[],
  replicate = true,
): TableDefinition => ({
  database: SYSTEM,
  name: tableName(name),
  primaryKey,
  schemaDefined: true,
  attributes: [
    { name: primaryKey, isPrimaryKey: true },
    ...attributes.map((attribute) => ({ name: attribute })),
    { name: '__createdtime__', assignedCreatedTime: true },
    { name: '__updatedtime__', assignedUpdatedTime: true },
  ],
  ...(!replicate && { replicate: false }),
});

export const systemTables: readonly TableDefinition[] = [
  table('hdb_user', 'username', ['password', 'role', 'active', 'hash_function']),
  table('hdb_role', 'id', ['role', 'permission']),
  table('hdb_info', 'info_id', ['value'], false),
];
