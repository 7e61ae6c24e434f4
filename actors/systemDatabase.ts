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

export const NODES = 'hdb_nodes';
export const GENERATIONS = 'hdb_node_generations';
/** What authorities said about certificates: of the sources, the lists themselves, and what these revoke. */
export const ANSWERS = 'hdb_certificate_cache';
export const LISTS = 'hdb_crl_cache';
export const REVOKED = 'hdb_revoked_certificates';

/** What only this node's own machinery writes. */
export const bookkeepingTables: ReadonlySet<string> = new Set([
  GENERATIONS,
  'hdb_info',
  ANSWERS,
  LISTS,
  REVOKED,
]);

/** What only operations of their own write, which keep the promises about it. */
export const operationsInstead: ReadonlyMap<string, string> = new Map([
  ['hdb_user', 'add_user, alter_user and drop_user'],
  ['hdb_role', 'add_role, alter_role and drop_role'],
  ['hdb_certificate', 'add_certificate and remove_certificate'],
]);

/** Attributes that no search shows, and none may ask for. */
export const secretAttributes: ReadonlyMap<string, readonly string[]> = new Map([
  [NODES, ['authorization']],
  ['hdb_user', ['password', 'first_password', 'refresh_token', 'token_series']],
]);

export const systemTables: readonly TableDefinition[] = [
  table('hdb_user', 'username', [
    'password',
    'role',
    'active',
    'hash_function',
    'refresh_token',
    'token_series',
    'first_password',
  ]),
  table('hdb_role', 'id', ['role', 'permission']),
  table(NODES, 'name', [
    'url',
    'replicates',
    'subscriptions',
    'shard',
    'revoked_certificates',
    'ca',
    'ca_info',
    'start_time',
    'authorization',
    'routes',
    'system_info',
  ]),
  table(GENERATIONS, 'id', ['name', 'generation', 'ended']),
  table(
    'hdb_certificate',
    'name',
    [
      'certificate',
      'is_authority',
      'is_self_signed',
      'private_key_name',
      'uses',
      'hostnames',
      'ciphers',
      'fileTimestamp',
      'is_provided',
      'details',
    ],
    false,
  ),
  table(
    ANSWERS,
    'certificate_id',
    ['status', 'reason', 'checked_at', 'expiresAt', 'method'],
    false,
  ),
  table(
    LISTS,
    'distribution_point',
    ['issuer_dn', 'crl_blob', 'this_update', 'next_update', 'signature_valid', 'expiresAt'],
    false,
  ),
  table(
    REVOKED,
    'composite_id',
    [
      'serial_number',
      'issuer_key_id',
      'revocation_date',
      'revocation_reason',
      'crl_source',
      'crl_next_update',
      'expiresAt',
    ],
    false,
  ),
  table(
    'hdb_job',
    'id',
    [
      'user',
      'type',
      'status',
      'start_datetime',
      'end_datetime',
      'message',
      'created_datetime',
      'request',
    ],
    false,
  ),
  table('hdb_analytics', 'id', ['metric', 'path', 'method', 'type'], false),
  table('hdb_raw_analytics', 'id', [], false),
  table('hdb_session_will', 'id', [], false),
  table('hdb_temp', 'id', [], false),
  table('hdb_info', 'info_id', ['value', 'data_version_num', 'hdb_version_num'], false),
];
