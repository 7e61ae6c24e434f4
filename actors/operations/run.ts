/**
 * Runs one validated operation. The list of operations in one place: a new one is a case here, a schema in
 * protocol/operationSchemas.ts, and a function beside this file.
 */
import {
  validateOperation,
  type NormalisedCertificateOperation,
  type NormalisedOperation,
  type NormalisedUserOperation,
} from '../../protocol/validate.js';
import { authorise, refuseReplicationFields, shownTo } from './authorising.js';
import type { OperationContext } from './context.js';
import { addCertificate, listCertificates, removeCertificate } from './certificates.js';
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
import { addRole, alterRole, dropRole, listRoles } from './roles.js';
import { clusterStatus, systemInformation } from './status.js';
import { createTokens, refreshToken } from './tokens.js';
import { addUser, alterUser, dropUser, listUsers, userInfo } from './users.js';

/** The documented answer. A text is an answer's message. Refusals are SkeinErrors. */
export const runOperation = async (context: OperationContext, body: unknown): Promise<unknown> => {
  refuseReplicationFields(context.user, body);
  const operation = validateOperation(body);
  await authorise(context, operation);
  const answer = shownTo(context.user, operation, await dispatch(context, operation));
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
    case 'add_certificate':
    case 'list_certificates':
    case 'remove_certificate':
      return dispatchCertificates(context, operation);
    default:
      return dispatchUsers(context, operation);
  }
};

const dispatchCertificates = (
  context: OperationContext,
  operation: NormalisedCertificateOperation,
): unknown => {
  switch (operation.operation) {
    case 'add_certificate':
      return addCertificate(context, operation);
    case 'list_certificates':
      return listCertificates(context);
    case 'remove_certificate':
      return removeCertificate(context, operation);
    default:
      return operation satisfies never;
  }
};

const dispatchUsers = (context: OperationContext, operation: NormalisedUserOperation): unknown => {
  switch (operation.operation) {
    case 'add_user':
      return addUser(context, operation);
    case 'alter_user':
      return alterUser(context, operation);
    case 'drop_user':
      return dropUser(context, operation);
    case 'list_users':
      return listUsers(context);
    case 'user_info':
      return userInfo(context);
    case 'add_role':
      return addRole(context, operation);
    case 'alter_role':
      return alterRole(context, operation);
    case 'drop_role':
      return dropRole(context, operation);
    case 'list_roles':
      return listRoles(context);
    case 'create_authentication_tokens':
      return createTokens(context, operation);
    case 'refresh_operation_token':
      return refreshToken(context, operation);
    default:
      return operation satisfies never;
  }
};
