/** Record operations: insert, update, upsert, delete and the searches, with the documented answers. */
import { millisecondsOf } from '../../protocol/clock.js';
import { asText, invalidRequest } from '../../protocol/errors.js';
import type { Key, RecordObject } from '../../protocol/operations.js';
import type { NormalisedOperation } from '../../protocol/operationSchemas.js';
import { rulesProblem } from '../../protocol/rowRules.js';
import type { Accepted } from '../../storage/commit.js';
import type { LocalWrite, WriteResult } from '../../storage/evaluate.js';
import { attributesOf } from '../../storage/searchAttributes.js';
import { conditionsQuery, valueQuery, type SearchQuery } from '../../storage/search.js';
import {
  bookkeepingTables,
  NODES,
  operationsInstead,
  secretAttributes,
  SYSTEM,
} from '../systemDatabase.js';
import { INTERNAL, notesOf, type OperationContext } from './context.js';

type Operation<Name extends NormalisedOperation['operation']> = Extract<
  NormalisedOperation,
  { operation: Name }
>;

interface Place {
  readonly database: string;
  readonly table: string;
}

/** Words of the answers: past tense in the message, and what the list of written keys is called. */
const WORDS = {
  insert: { done: 'inserted', list: 'inserted_hashes' },
  update: { done: 'updated', list: 'update_hashes' },
  upsert: { done: 'upserted', list: 'upserted_hashes' },
} as const;

export const writeRecords = async (
  context: OperationContext,
  operation: Extract<NormalisedOperation, { records: readonly RecordObject[] }>,
): Promise<RecordObject> => {
  const { table, records, expiresAt } = operation;
  refuseBookkeeping(operation);
  refuseSecretValues(operation);
  refuseExpiry(operation);
  refuseMisruled(operation, records);
  const type = operation.operation as keyof typeof WORDS;
  const expiry = expiresAt === undefined ? {} : { expiresAt };
  const write: LocalWrite = { table, type, records, ...expiry };
  const [accepted, result] = await submit(context, operation, write);
  const { done, list } = WORDS[type];
  return {
    message: `${done} ${result.written.length} of ${records.length} records`,
    [list]: result.written,
    ...(type !== 'upsert' && { skipped_hashes: result.skipped }),
    ...(result.newAttributes.length > 0 && { new_attributes: result.newAttributes }),
    txn_time: millisecondsOf(accepted.version),
  };
};

/** A row whose rules nobody can read would leave its node with those of before. */
const refuseMisruled = ({ database, table }: Place, records: readonly RecordObject[]): void => {
  if (database !== SYSTEM || table !== NODES) return;
  for (const record of records) {
    const problem = rulesProblem(record);
    if (problem !== undefined)
      throw invalidRequest(`record '${asText(record['name'])}': ${problem}`);
  }
};

export const deleteRecords = async (
  context: OperationContext,
  operation: Operation<'delete'>,
): Promise<RecordObject> => {
  const { table, ids } = operation;
  refuseBookkeeping(operation);
  const [accepted, result] = await submit(context, operation, { table, type: 'delete', keys: ids });
  const records = ids.length === 1 ? 'record' : 'records';
  return {
    message: `${result.written.length} of ${ids.length} ${records} successfully deleted`,
    deleted_hashes: result.written,
    skipped_hashes: result.skipped,
    txn_time: millisecondsOf(accepted.version),
  };
};

export const searchById = async (
  context: OperationContext,
  operation: Operation<'search_by_id'>,
): Promise<RecordObject[]> => {
  const { table, ids, get_attributes: attributes } = operation;
  const found = await getRecords(context, operation.database, { table, keys: ids });
  return withoutSecrets(
    operation,
    found.filter((record) => record !== undefined),
  ).map((record) => projected(record, attributes));
};

export const searchByValue = (
  context: OperationContext,
  operation: Operation<'search_by_value'>,
): Promise<RecordObject[]> => search(context, operation, valueQuery(operation));

export const searchByConditions = (
  context: OperationContext,
  operation: Operation<'search_by_conditions'>,
): Promise<RecordObject[]> => search(context, operation, conditionsQuery(operation));

const getRecords = (
  context: OperationContext,
  database: string,
  request: { table: string; keys: readonly Key[] },
): Promise<(RecordObject | undefined)[]> =>
  context.ask(database, (replyTo) => ({ type: 'records.get', ...request, replyTo }));

const search = async (
  context: OperationContext,
  place: Place,
  query: SearchQuery,
): Promise<RecordObject[]> => {
  refuseSecrets(place, query);
  const { database, table } = place;
  const found = await context.ask<RecordObject[]>(database, (replyTo) => ({
    type: 'records.search',
    table,
    query,
    replyTo,
  }));
  return withoutSecrets(place, found);
};

const submit = async (
  context: OperationContext,
  operation: { operation: string; database: string },
  write: LocalWrite,
): Promise<[Accepted, WriteResult]> => {
  const notes = notesOf(context, operation.operation);
  const accepted = await context.ask<Accepted>(operation.database, (replyTo) => ({
    type: 'transaction.submit',
    writes: [write],
    notes,
    replyTo,
  }));
  const [result] = accepted.results;
  if (!result) throw new Error('A transaction of one write has no result');
  return [accepted, result];
};

/** Members, users and roles come and go by operations of their own. */
const refuseBookkeeping = ({ operation, database, table }: Place & { operation: string }): void => {
  if (database !== SYSTEM) return;
  if (bookkeepingTables.has(table)) throw invalidRequest(INTERNAL);
  const instead = operationsInstead.get(table);
  if (instead !== undefined)
    throw invalidRequest(
      `records of '${SYSTEM}.${table}' cannot be written by ${operation}; use ${instead}`,
    );
  if (table === NODES && operation !== 'update')
    throw invalidRequest(
      `records of '${SYSTEM}.${NODES}' can only be updated; nodes are added with add_node and removed with remove_node`,
    );
};

/** A member must not fade away. */
const refuseExpiry = ({ database, expiresAt }: Place & { expiresAt?: number }): void => {
  if (database === SYSTEM && expiresAt !== undefined)
    throw invalidRequest(`'expiresAt' is not allowed in database '${SYSTEM}'`);
};

/** They would be stored as they are, and not as what they stand for. */
const refuseSecretValues = ({
  database,
  table,
  records,
}: Place & { records: readonly RecordObject[] }): void => {
  const secrets = database === SYSTEM ? (secretAttributes.get(table) ?? []) : [];
  const secret = secrets.find((name) => records.some((record) => Object.hasOwn(record, name)));
  if (secret !== undefined)
    throw invalidRequest(`attribute '${secret}' of '${database}.${table}' cannot be written`);
};

/** A condition on a secret would let it be guessed piece by piece, and so would an order. */
const refuseSecrets = ({ database, table }: Place, query: SearchQuery): void => {
  const secrets = database === SYSTEM ? (secretAttributes.get(table) ?? []) : [];
  const named = attributesOf(query);
  const secret = secrets.find((attribute) => named.has(attribute));
  if (secret !== undefined)
    throw invalidRequest(`attribute '${secret}' of '${database}.${table}' cannot be searched`);
};

const withoutSecrets = ({ database, table }: Place, records: RecordObject[]): RecordObject[] => {
  const secrets = database === SYSTEM ? secretAttributes.get(table) : undefined;
  if (!secrets) return records;
  return records.map((record) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => !secrets.includes(name))),
  );
};

/** Attributes a record lacks are null. */
const projected = (
  record: RecordObject,
  attributes: readonly string[] | undefined,
): RecordObject => {
  if (attributes === undefined) return record;
  return Object.fromEntries(
    attributes.map((name) => [name, Object.hasOwn(record, name) ? record[name] : null]),
  );
};
