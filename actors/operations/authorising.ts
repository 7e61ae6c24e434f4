/**
 * Asks protocol/authorisation.ts whether who asks may do what is asked, and takes out of answers what they may not see.
 * Called by run.ts for every operation. Super users and the embedding program may do everything.
 */
import { asText, SkeinError } from '../../protocol/errors.js';
import type { RecordObject, User } from '../../protocol/operations.js';
import {
  describedAttributes,
  describesTable,
  describesDatabase,
  needsPrimaryKey,
  NOT_AUTHORISED,
  readableAttributes,
  refusalOf,
} from '../../protocol/authorisation.js';
import { NO_RIGHTS, type Rights } from '../../protocol/permissions.js';
import type { NormalisedOperation } from '../../protocol/validate.js';
import type { TableDescription } from '../messages.js';
import type { OperationContext } from './context.js';

/** FORBIDDEN with the documented lists. */
export const authorise = async (
  context: OperationContext,
  operation: NormalisedOperation,
): Promise<void> => {
  const rights = limitedRights(context.user);
  if (!rights) return;
  const key = needsPrimaryKey(rights, operation)
    ? await primaryKeyOf(context, operation)
    : undefined;
  const refusal = refusalOf(rights, operation, key);
  if (refusal) throw new SkeinError('FORBIDDEN', NOT_AUTHORISED, { details: { ...refusal } });
};

/** FORBIDDEN: who waits for other nodes holds resources of theirs. Looked at before the fields are checked. */
export const refuseReplicationFields = (user: User | null, body: unknown): void => {
  if (!limitedRights(user) || typeof body !== 'object' || body === null) return;
  if (Object.hasOwn(body, 'replicateTo'))
    throw new SkeinError(
      'FORBIDDEN',
      'Can not specify replication parameters without super user permissions',
    );
  if (Object.hasOwn(body, 'replicatedConfirmation'))
    throw new SkeinError(
      'FORBIDDEN',
      'Can not specify replication confirmation without super user permissions',
    );
};

/** The answer as far as who asked may see it. */
export const shownTo = (
  user: User | null,
  operation: NormalisedOperation,
  answer: unknown,
): unknown => {
  const rights = limitedRights(user);
  if (!rights) return answer;
  switch (operation.operation) {
    case 'search_by_id':
    case 'search_by_value':
    case 'search_by_conditions': {
      const readable = readableAttributes(rights, operation);
      if (readable === null) return answer;
      return (answer as readonly RecordObject[]).map((record) => only(record, readable));
    }
    case 'describe_all':
      return shownDatabases(rights, answer as RecordObject);
    case 'describe_database':
      return shownTables(rights, operation.database, answer as RecordObject);
    case 'describe_table':
      return shownDescription(rights, operation, answer as RecordObject);
    default:
      return answer;
  }
};

/** Undefined: who asks may do everything. */
const limitedRights = (user: User | null): Rights | undefined =>
  user === null || user.superUser ? undefined : (user.rights ?? NO_RIGHTS);

const primaryKeyOf = async (
  context: OperationContext,
  operation: NormalisedOperation,
): Promise<string | undefined> => {
  if (!('table' in operation)) return undefined;
  const { database, table } = operation;
  const [description] = await context.ask<TableDescription[]>(database, (replyTo) => ({
    type: 'tables.describe',
    table,
    exactCount: false,
    replyTo,
  }));
  return description?.definition.primaryKey;
};

const only = (record: RecordObject, names: ReadonlySet<string>): RecordObject =>
  Object.fromEntries(Object.entries(record).filter(([name]) => names.has(name)));

const shownDatabases = (rights: Rights, databases: RecordObject): RecordObject =>
  Object.fromEntries(
    Object.entries(databases)
      .filter(([database]) => describesDatabase(rights, database))
      .map(([database, tables]) => [
        database,
        shownTables(rights, database, tables as RecordObject),
      ]),
  );

const shownTables = (rights: Rights, database: string, tables: RecordObject): RecordObject =>
  Object.fromEntries(
    Object.entries(tables)
      .filter(([table]) => describesTable(rights, { database, table }))
      .map(([table, description]) => [
        table,
        shownDescription(rights, { database, table }, description as RecordObject),
      ]),
  );

const shownDescription = (
  rights: Rights,
  place: { database: string; table: string },
  description: RecordObject,
): RecordObject => {
  const described = describedAttributes(rights, place);
  if (described === null) return description;
  const attributes = (description['attributes'] as readonly RecordObject[]).filter(
    ({ attribute, is_primary_key }) => is_primary_key === true || described.has(asText(attribute)),
  );
  return { ...description, attributes };
};
