/** Schema operations: databases, tables, attributes, and their descriptions, with the documented answers. */
import { invalidRequest, SkeinError } from '../../protocol/errors.js';
import { databaseName, tableName } from '../../protocol/ids.js';
import type { RecordObject } from '../../protocol/operations.js';
import type { NormalisedOperation } from '../../protocol/operationSchemas.js';
import type { AttributeDefinition, TableDefinition } from '../../protocol/tableDefinition.js';
import type { TableDescription } from '../messages.js';
import { SYSTEM } from '../systemDatabase.js';
import { INTERNAL, notesOf, type OperationContext } from './context.js';

type Operation<Name extends NormalisedOperation['operation']> = Extract<
  NormalisedOperation,
  { operation: Name }
>;

export const createDatabase = async (
  context: OperationContext,
  { database }: Operation<'create_database'>,
): Promise<string> => {
  if (context.databases.includes(databaseName(database)))
    throw new SkeinError('ALREADY_EXISTS', `database '${database}' already exists`);
  await context.createDatabase(database);
  return `database '${database}' successfully created`;
};

export const dropDatabase = async (
  context: OperationContext,
  operation: Operation<'drop_database'>,
): Promise<string> => {
  const { database } = operation;
  context.router(database);
  refuseSystem(database);
  refuseReplicated(operation);
  await context.dropDatabase(database);
  return `successfully deleted '${database}'`;
};

export const createTable = async (
  context: OperationContext,
  operation: Operation<'create_table'>,
): Promise<string> => {
  const { database, table } = operation;
  refuseSystem(database);
  if (!context.databases.includes(databaseName(database))) await context.createDatabase(database);
  if (await tableExists(context, database, table))
    throw new SkeinError('ALREADY_EXISTS', `Table '${table}' already exists in '${database}'`);
  await define(context, operation.operation, definitionOf(operation));
  return `table '${database}.${table}' successfully created.`;
};

export const createAttribute = async (
  context: OperationContext,
  operation: Operation<'create_attribute'>,
): Promise<string> => {
  const { database, table, attribute, type, indexed } = operation;
  refuseSystem(database);
  const { definition, attributes } = await describeOne(context, operation);
  if (attributes.some(({ name }) => name === attribute))
    throw new SkeinError(
      'ALREADY_EXISTS',
      `attribute '${attribute}' already exists in ${database}.${table}`,
    );
  const added: AttributeDefinition = {
    name: attribute,
    indexed: indexed ?? !definition.schemaDefined,
    ...(type !== undefined && { type }),
  };
  const kept = definition.attributes.filter(({ name }) => isShown(attributes, name));
  await define(context, operation.operation, { ...definition, attributes: [...kept, added] });
  return `attribute '${database}.${table}.${attribute}' successfully created.`;
};

export const dropTable = async (
  context: OperationContext,
  operation: Operation<'drop_table'>,
): Promise<string> => {
  const { database, table } = operation;
  refuseSystem(database);
  refuseReplicated(operation);
  await context.ask(database, (replyTo) => ({ type: 'table.drop', table, replyTo }));
  return `successfully deleted table '${database}.${table}'`;
};

export const dropAttribute = async (
  context: OperationContext,
  operation: Operation<'drop_attribute'>,
): Promise<string> => {
  const { database, table, attribute } = operation;
  refuseSystem(database);
  refuseReplicated(operation);
  const { definition, attributes } = await describeOne(context, operation);
  if (definition.primaryKey === attribute) throw invalidRequest('You cannot drop a hash attribute');
  if (isTime(definition, attribute))
    throw invalidRequest(`cannot drop internal timestamp attribute: ${attribute}`);
  if (!attributes.some(({ name }) => name === attribute))
    throw invalidRequest(`attribute '${attribute}' does not exist in ${database}.${table}`);
  await context.ask(database, (replyTo) => ({ type: 'attribute.drop', table, attribute, replyTo }));
  return `successfully deleted attribute '${attribute}'`;
};

export const describeAll = async (
  context: OperationContext,
  operation: Operation<'describe_all'>,
): Promise<RecordObject> => {
  const databases: RecordObject = {};
  for (const database of context.databases)
    if (database !== SYSTEM) databases[database] = await describe(context, database, operation);
  return databases;
};

export const describeDatabase = (
  context: OperationContext,
  operation: Operation<'describe_database'>,
): Promise<RecordObject> => describe(context, operation.database, operation);

export const describeTable = async (
  context: OperationContext,
  operation: Operation<'describe_table'>,
): Promise<RecordObject> =>
  shapeOf(await describeOne(context, operation, operation.exact_count === true));

/** Makes sure a table from a definition file exists as it is described there. */
export const ensureTable = async (
  context: OperationContext,
  definition: TableDefinition,
): Promise<void> => {
  const { database, name } = definition;
  if (!context.databases.includes(database)) await context.createDatabase(database);
  if (!(await tableExists(context, database, name))) return define(context, 'define', definition);
  const present = await describeOne(context, { database, table: name });
  const extra = present.definition.attributes.filter(
    ({ name: known }) =>
      isShown(present.attributes, known) && !isShown(definition.attributes, known),
  );
  return define(context, 'define', {
    ...definition,
    attributes: [...definition.attributes, ...extra],
  });
};

/** An attribute that was dropped on this node is in the definition and not shown. */
const isShown = (attributes: readonly { name: string }[], attribute: string): boolean =>
  attributes.some(({ name }) => name === attribute);

const define = (
  context: OperationContext,
  operation: string,
  definition: TableDefinition,
): Promise<void> => {
  const notes = notesOf(context, operation);
  return context.ask(definition.database, (replyTo) => ({
    type: 'table.define',
    definition,
    notes,
    replyTo,
  }));
};

/** A table with declared attributes beyond its key has a schema; without, it is dynamic. */
const definitionOf = (operation: Operation<'create_table'>): TableDefinition => {
  const { primary_key: primaryKey, attributes, audit, expiration, replicate } = operation;
  const declared = (attributes ?? []).filter(({ name }) => name !== primaryKey);
  return {
    database: databaseName(operation.database),
    name: tableName(operation.table),
    primaryKey,
    schemaDefined: declared.length > 0,
    attributes: [
      { name: primaryKey, isPrimaryKey: true, ...typeOf(attributes, primaryKey) },
      ...declared.map(({ name, type, indexed }) => ({
        name,
        ...(type !== undefined && { type }),
        ...(indexed !== undefined && { indexed }),
      })),
      ...(declared.length > 0 ? [] : DYNAMIC_TIMES),
    ],
    ...(audit !== undefined && { audit }),
    ...(expiration !== undefined && { expirationSeconds: expiration }),
    ...(replicate !== undefined && { replicate }),
  };
};

const DYNAMIC_TIMES: readonly AttributeDefinition[] = [
  { name: '__createdtime__', indexed: true, assignedCreatedTime: true },
  { name: '__updatedtime__', indexed: true, assignedUpdatedTime: true },
];

const typeOf = (
  attributes: readonly { name: string; type?: string }[] | undefined,
  name: string,
): { type?: string } => {
  const type = attributes?.find((attribute) => attribute.name === name)?.type;
  return type === undefined ? {} : { type };
};

const isTime = ({ schemaDefined, attributes }: TableDefinition, name: string): boolean =>
  (!schemaDefined && (name === '__createdtime__' || name === '__updatedtime__')) ||
  attributes.some(
    (attribute) =>
      attribute.name === name && (attribute.assignedCreatedTime || attribute.assignedUpdatedTime),
  );

const refuseSystem = (database: string): void => {
  if (database === SYSTEM) throw new SkeinError('FORBIDDEN', INTERNAL);
};

/** Silence would leave the other nodes as they are. */
const refuseReplicated = ({ replicated }: { replicated?: boolean }): void => {
  if (replicated === true) throw invalidRequest("'replicated' is not supported by this version");
};

const tableExists = async (
  context: OperationContext,
  database: string,
  table: string,
): Promise<boolean> => {
  try {
    await describeOne(context, { database, table });
    return true;
  } catch (error) {
    if (error instanceof SkeinError && error.code === 'NOT_FOUND') return false;
    throw error;
  }
};

const describeOne = async (
  context: OperationContext,
  { database, table }: { database: string; table: string },
  exactCount = false,
): Promise<TableDescription> => {
  const [description] = await context.ask<TableDescription[]>(database, (replyTo) => ({
    type: 'tables.describe',
    table,
    exactCount,
    replyTo,
  }));
  if (!description) throw new Error(`No description of '${database}.${table}'`);
  return description;
};

const describe = async (
  context: OperationContext,
  database: string,
  { exact_count }: { exact_count?: boolean },
): Promise<RecordObject> => {
  const descriptions = await context.ask<TableDescription[]>(database, (replyTo) => ({
    type: 'tables.describe',
    exactCount: exact_count === true,
    replyTo,
  }));
  return Object.fromEntries(
    descriptions.map((description) => [description.definition.name, shapeOf(description)]),
  );
};

/** The documented shape; `primary_key` and `hash_attribute` are the same under two names. */
const shapeOf = (description: TableDescription): RecordObject => {
  const { definition, recordCount } = description;
  return {
    schema: definition.database,
    database: definition.database,
    name: definition.name,
    hash_attribute: definition.primaryKey,
    primary_key: definition.primaryKey,
    audit: definition.audit ?? true,
    schema_defined: definition.schemaDefined,
    attributes: attributeShapes(description),
    db_size: description.databaseBytes,
    table_size: description.tableBytes,
    db_audit_size: description.auditBytes,
    record_count: recordCount,
    ...(!description.countIsExact && { estimated_record_range: [0, recordCount * 2] }),
    ...(definition.replicate !== undefined && { replicate: definition.replicate }),
    ...(definition.sealed && { sealed: true }),
    ...(definition.expirationSeconds !== undefined && { expiration: definition.expirationSeconds }),
    ...(description.lastUpdatedMs !== null && { last_updated_record: description.lastUpdatedMs }),
  };
};

const attributeShapes = ({ definition, attributes }: TableDescription): RecordObject[] =>
  attributes.map(({ name, indexed }) => {
    const declared = definition.attributes.find((attribute) => attribute.name === name);
    return {
      attribute: name,
      ...(declared?.type !== undefined && { type: declared.type }),
      ...(declared?.elements !== undefined && { elements: declared.elements }),
      ...(name === definition.primaryKey ? { is_primary_key: true } : indexed && { indexed: true }),
      ...(declared?.assignedCreatedTime && { assigned_created_time: true }),
      ...(declared?.assignedUpdatedTime && { assigned_updated_time: true }),
      ...(declared?.nullable !== undefined && { nullable: declared.nullable }),
    };
  });
