/**
 * Whether rights allow an operation, and what of an answer they show. Called by actors/operations/run.ts for every
 * operation of somebody who is no super user; decides for records, searches, descriptions and definitions, and leaves
 * everything else, and the `system` database, to super users.
 */
import type { NormalisedConditionItem, NormalisedOperation } from './operationSchemas.js';
import type { Sort } from './operations.js';
import type { AttributeAction, Rights, TableAction, TableRights } from './permissions.js';

export const NOT_AUTHORISED =
  'This operation is not authorized due to role restrictions and/or invalid database items';

/** The documented body of a refusal beside its message. */
export interface Refusal {
  readonly unauthorized_access: readonly (string | UnauthorisedTable)[];
  /** What there is no right on at all is said not to exist, whether or not it does. */
  readonly invalid_schema_items: readonly string[];
}

interface UnauthorisedTable {
  readonly schema: string;
  readonly table: string;
  readonly required_table_permissions: readonly TableAction[];
  readonly required_attribute_permissions: readonly {
    readonly attribute_name: string;
    readonly required_permissions: readonly AttributeAction[];
  }[];
}

/** Undefined: allowed. `primaryKey` is that of the operation's table: whoever may write a record may name it. */
export const refusalOf = (
  rights: Rights,
  operation: NormalisedOperation,
  primaryKey: string | undefined,
): Refusal | undefined => {
  const name = operation.operation;
  if (FOR_EVERYBODY.has(name)) return undefined;
  if (rights.operations !== null && !rights.operations.has(name))
    return refusal([`Operation '${name}' is not among the operations of your role`]);
  switch (operation.operation) {
    case 'insert':
    case 'update':
    case 'upsert':
    case 'delete':
    case 'search_by_id':
    case 'search_by_value':
    case 'search_by_conditions':
      return tableRefusal(rights, operation, primaryKey);
    case 'describe_all':
      return undefined;
    case 'describe_database':
      return describesDatabase(rights, operation.database)
        ? undefined
        : refusal([], [`database '${operation.database}' does not exist`]);
    case 'describe_table':
      return describesTable(rights, operation) ? undefined : unknownTable(operation);
    case 'create_database':
    case 'drop_database':
      return structures(rights, null, operation.database) ? undefined : superUsersOnly(name);
    case 'create_table':
    case 'drop_table':
    case 'create_attribute':
    case 'drop_attribute':
      return structures(rights, operation.database) ? undefined : superUsersOnly(name);
    default:
      return superUsersOnly(name);
  }
};

/** Whether that needs to know the table's primary key. */
export const needsPrimaryKey = (rights: Rights, operation: NormalisedOperation): boolean =>
  'records' in operation && (tableOf(rights, operation)?.attributes ?? null) !== null;

/** Attributes of a table's records that a search may show; null: all. */
export const readableAttributes = (
  rights: Rights,
  place: { database: string; table: string },
): ReadonlySet<string> | null => attributesWith(tableOf(rights, place), ['read']);

/** Attributes that a description may show; null: all. */
export const describedAttributes = (
  rights: Rights,
  place: { database: string; table: string },
): ReadonlySet<string> | null =>
  structures(rights, place.database)
    ? null
    : attributesWith(tableOf(rights, place), ['read', 'insert', 'update']);

/** Any right on its records, or on its definition. */
export const describesTable = (
  rights: Rights,
  place: { database: string; table: string },
): boolean => structures(rights, place.database) || (tableOf(rights, place)?.actions.size ?? 0) > 0;

/** The same for some table of it. */
export const describesDatabase = (rights: Rights, database: string): boolean =>
  structures(rights, database) ||
  [...(rights.tables.get(database)?.values() ?? [])].some(({ actions }) => actions.size > 0);

/** What no role can take away: knowing oneself, and tokens for oneself. */
const FOR_EVERYBODY: ReadonlySet<string> = new Set([
  'user_info',
  'create_authentication_tokens',
  'refresh_operation_token',
]);

type TableOperation = Extract<
  NormalisedOperation,
  {
    operation:
      | 'insert'
      | 'update'
      | 'upsert'
      | 'delete'
      | 'search_by_id'
      | 'search_by_value'
      | 'search_by_conditions';
  }
>;

const tableRefusal = (
  rights: Rights,
  operation: TableOperation,
  primaryKey: string | undefined,
): Refusal | undefined => {
  const table = tableOf(rights, operation);
  if (table === undefined || table.actions.size === 0) return unknownTable(operation);
  const needed = neededActions(operation);
  const missing = needed.filter((action) => !table.actions.has(action));
  const closed =
    table.attributes === null || missing.length > 0
      ? []
      : closedAttributes(table.attributes, {
          named: namedAttributes(operation, primaryKey),
          needed: needed.filter((action) => action !== 'delete'),
        });
  if (missing.length === 0 && closed.length === 0) return undefined;
  return refusal([
    {
      schema: operation.database,
      table: operation.table,
      required_table_permissions: missing,
      required_attribute_permissions: closed,
    },
  ]);
};

const neededActions = ({ operation }: TableOperation): readonly TableAction[] => {
  switch (operation) {
    case 'insert':
    case 'update':
    case 'delete':
      return [operation];
    case 'upsert':
      return ['insert', 'update'];
    case 'search_by_id':
    case 'search_by_value':
    case 'search_by_conditions':
      return ['read'];
    default:
      return operation satisfies never;
  }
};

/** A condition or an order tells about an attribute as much as showing it does. */
const namedAttributes = (
  operation: TableOperation,
  primaryKey: string | undefined,
): ReadonlySet<string> => {
  if ('records' in operation) {
    const written = new Set(operation.records.flatMap((record) => Object.keys(record)));
    if (primaryKey !== undefined) written.delete(primaryKey);
    return written;
  }
  if (operation.operation === 'delete') return new Set();
  const named = new Set(operation.get_attributes);
  if (operation.operation === 'search_by_value') named.add(operation.attribute);
  if (operation.operation === 'search_by_conditions') {
    addConditions(named, operation.conditions);
    for (let sort: Sort | undefined = operation.sort; sort; sort = sort.next)
      named.add(sort.attribute);
  }
  return named;
};

const addConditions = (
  named: Set<string>,
  conditions: readonly NormalisedConditionItem[],
): void => {
  for (const item of conditions)
    if ('conditions' in item) addConditions(named, item.conditions);
    else named.add(item.attribute);
};

const closedAttributes = (
  rules: ReadonlyMap<string, ReadonlySet<AttributeAction>>,
  { named, needed }: { named: ReadonlySet<string>; needed: readonly AttributeAction[] },
) =>
  [...named].flatMap((name) => {
    const missing = needed.filter((action) => !rules.get(name)?.has(action));
    return missing.length === 0 ? [] : [{ attribute_name: name, required_permissions: missing }];
  });

const attributesWith = (
  table: TableRights | undefined,
  actions: readonly AttributeAction[],
): ReadonlySet<string> | null => {
  if (table === undefined) return new Set();
  const { attributes } = table;
  if (attributes === null) return null;
  return new Set(
    [...attributes]
      .filter(([, allowed]) => actions.some((action) => allowed.has(action)))
      .map(([name]) => name),
  );
};

const tableOf = (
  rights: Rights,
  { database, table }: { database: string; table: string },
): TableRights | undefined => rights.tables.get(database)?.get(table);

/** `within` null: of whole databases, which a list of some does not give. */
const structures = (rights: Rights, within: string | null, database = within): boolean =>
  database !== 'system' &&
  (rights.structure === 'everywhere' || (within !== null && rights.structure.has(within)));

const refusal = (
  unauthorized_access: Refusal['unauthorized_access'],
  invalid_schema_items: readonly string[] = [],
): Refusal => ({ unauthorized_access, invalid_schema_items });

const superUsersOnly = (name: string): Refusal =>
  refusal([`Operation '${name}' is restricted to 'super_user' roles`]);

const unknownTable = ({ database, table }: { database: string; table: string }): Refusal =>
  refusal([], [`Table '${database}.${table}' does not exist`]);
