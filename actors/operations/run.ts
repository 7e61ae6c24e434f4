/**
 * Runs one validated operation. The list of operations in one place: a new one is a case here, a schema in
 * protocol/operationSchemas.ts, and a function beside this file.
 */
import { SkeinError } from '../../protocol/errors.js';
import { validateOperation, type NormalisedOperation } from '../../protocol/validate.js';
import type { OperationContext } from './context.js';
import { addNode, configureCluster, removeNode, updateNode } from './members.js';
import {
  deleteRecords,
  searchByConditions,
  searchById,
  searchByValue,
  writeRecords,
} from './records.js';
import {
  createAttribute,
  createDatabase,
  createTable,
  describeAll,
  describeDatabase,
  describeTable,
  dropAttribute,
  dropDatabase,
  dropTable,
} from './schema.js';
import { deleteRoutes, getRoutes, setRoutes } from './routes.js';
import { clusterStatus, systemInformation, userInfo } from './status.js';

/** The documented answer. A text is an answer's message. Refusals are SkeinErrors. */
export const runOperation = async (context: OperationContext, body: unknown): Promise<unknown> => {
  const operation = validateOperation(body);
  authorise(context, operation);
  const answer = await dispatch(context, operation);
  return typeof answer === 'string' ? { message: answer } : answer;
};

/** Operations that deal with other nodes: they get an actor of their own. */
export const isLongOperation = (body: unknown): body is { readonly operation: string } =>
  typeof body === 'object' &&
  body !== null &&
  'operation' in body &&
  typeof body.operation === 'string' &&
  LONG_OPERATIONS.has(body.operation);

const LONG_OPERATIONS: ReadonlySet<string> = new Set([
  'add_node',
  'set_node',
  'update_node',
  'remove_node',
  'configure_cluster',
]);

const dispatch = (context: OperationContext, operation: NormalisedOperation): unknown => {
  switch (operation.operation) {
    case 'insert':
    case 'update':
    case 'upsert':
      return writeRecords(context, operation);
    case 'delete':
      return deleteRecords(context, operation);
    case 'search_by_id':
      return searchById(context, operation);
    case 'search_by_value':
      return searchByValue(context, operation);
    case 'search_by_conditions':
      return searchByConditions(context, operation);
    case 'create_database':
      return createDatabase(context, operation);
    case 'drop_database':
      return dropDatabase(context, operation);
    case 'create_table':
      return createTable(context, operation);
    case 'drop_table':
      return dropTable(context, operation);
    case 'create_attribute':
      return createAttribute(context, operation);
    case 'drop_attribute':
      return dropAttribute(context, operation);
    case 'describe_all':
      return describeAll(context, operation);
    case 'describe_database':
      return describeDatabase(context, operation);
    case 'describe_table':
      return describeTable(context, operation);
    case 'add_node':
      return addNode(context, operation);
    case 'update_node':
      return updateNode(context, operation);
    case 'remove_node':
      return removeNode(context, operation);
    case 'configure_cluster':
      return configureCluster(context, operation.connections);
    case 'cluster_set_routes':
      return setRoutes(context, operation.routes);
    case 'cluster_delete_routes':
      return deleteRoutes(context, operation.routes);
    case 'cluster_get_routes':
      return getRoutes(context);
    case 'cluster_status':
      return clusterStatus(context);
    case 'system_information':
      return systemInformation(operation.attributes);
    case 'user_info':
      return userInfo(context);
    default:
      return operation satisfies never;
  }
};

/** Roles come with users; until then only super users and the embedding program exist. */
const authorise = ({ user }: OperationContext, { operation }: NormalisedOperation): void => {
  if (user === null || user.superUser || operation === 'user_info') return;
  throw new SkeinError(
    'FORBIDDEN',
    'This operation is not authorized due to role restrictions and/or invalid database items',
  );
};
