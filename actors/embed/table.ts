/**
 * Typed tables and transactions of the embed API. Writes resolve when they are durable here; replication goes on
 * by itself. Called by embedders through Node; talks to the database's shardRouter.
 */
import { millisecondsOf } from '../../protocol/clock.js';
import type { Key, RecordObject } from '../../protocol/operations.js';
import type { Accepted } from '../../storage/commit.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import { conditionsQuery, type SearchQuery } from '../../storage/search.js';
import { validateOperation } from '../../protocol/validate.js';
import type { Condition, ConditionGroup, Sort } from '../../protocol/operations.js';
import type { RouterMessage } from '../messages.js';
import type { Reply } from '../kernel/types.js';
import { changes, type Change, type ChangesOptions } from './changes.js';

/** Asks the writer of this table's database. */
export type AskDatabase = <R>(question: (replyTo: Reply<R>) => RouterMessage) => Promise<R>;

export interface QueryOptions {
  readonly conditions?: readonly (Condition | ConditionGroup)[];
  readonly operator?: 'and' | 'or';
  readonly limit?: number;
  readonly offset?: number;
  readonly sort?: Sort;
}

export interface WriteOptions {
  /** When the record expires: ms since the epoch, or a Date. Absent: as the table says. */
  readonly expiresAt?: number | Date;
}

/** One table. `T` is what the caller says its records are; nothing checks it. */
export interface Table<T extends object> {
  readonly database: string;
  readonly name: string;
  /** Replaces the record whole. Resolves with its time, ms since the epoch, when it is durable. */
  put(record: T, options?: WriteOptions): Promise<number>;
  /** The same for many records, in one transaction. */
  putMany(records: readonly T[], options?: WriteOptions): Promise<number>;
  /** Sets these attributes of a visible record; false when there is none. */
  update(record: Partial<T>, options?: WriteOptions): Promise<boolean>;
  /** Sets these attributes and brings the record into being if needed. */
  upsert(record: Partial<T>, options?: WriteOptions): Promise<number>;
  /** False when there was no such record. */
  delete(key: Key): Promise<boolean>;
  /** What was acknowledged here is seen. */
  get(key: Key): Promise<T | undefined>;
  query(options?: QueryOptions): Promise<T[]>;
  /** Changes of this table, local and replicated, each after it is durable here. */
  changes(options?: ChangesOptions): AsyncIterable<Change<T>>;
}

/** Writes collected for one atomic transaction over the tables of one database. */
export interface Transaction {
  put(table: string, record: object, options?: WriteOptions): void;
  update(table: string, record: object, options?: WriteOptions): void;
  upsert(table: string, record: object, options?: WriteOptions): void;
  insert(table: string, record: object, options?: WriteOptions): void;
  delete(table: string, key: Key): void;
}

export const openTable = <T extends object>(place: {
  database: string;
  name: string;
  ask: AskDatabase;
}): Table<T> => {
  const { database, name, ask } = place;
  const write = async (one: LocalWrite): Promise<Accepted> => submit(ask, [one]);
  const store = (
    type: 'put' | 'update' | 'upsert',
    records: readonly object[],
    options: WriteOptions | undefined,
  ) => write(storing({ table: name, type, records, options }));
  return {
    database,
    name,
    put: async (record, options) => timeOf(await store('put', [record], options)),
    putMany: async (records, options) => timeOf(await store('put', records, options)),
    update: async (record, options) => wroteAny(await store('update', [record], options)),
    upsert: async (record, options) => timeOf(await store('upsert', [record], options)),
    delete: async (key) => wroteAny(await write({ table: name, type: 'delete', keys: [key] })),
    get: async (key) => {
      const [record] = await ask<(RecordObject | undefined)[]>((replyTo) => ({
        type: 'records.get',
        table: name,
        keys: [key],
        replyTo,
      }));
      return record as T | undefined;
    },
    query: async (options = {}) => {
      const query = queryOf({ database, name, options });
      const records = await ask<RecordObject[]>((replyTo) => ({
        type: 'records.search',
        table: name,
        query,
        replyTo,
      }));
      return records as T[];
    },
    changes: (options = {}) => changes<T>({ table: name, ask, options }),
  };
};

/** Runs `collect`, then submits what it collected as one transaction; its time in ms, or null for nothing. */
export const runTransaction = async (
  ask: AskDatabase,
  collect: (transaction: Transaction) => void | Promise<void>,
): Promise<number | null> => {
  const writes: LocalWrite[] = [];
  const add =
    (type: 'put' | 'update' | 'upsert' | 'insert') =>
    (table: string, record: object, options?: WriteOptions): void => {
      writes.push(storing({ table, type, records: [record], options }));
    };
  await collect({
    put: add('put'),
    update: add('update'),
    upsert: add('upsert'),
    insert: add('insert'),
    delete: (table, key) => {
      writes.push({ table, type: 'delete', keys: [key] });
    },
  });
  return writes.length === 0 ? null : timeOf(await submit(ask, writes));
};

type StoringType = Exclude<LocalWrite['type'], 'delete'>;

/** INVALID_REQUEST, by the database's writer, for an `expiresAt` that is no time. */
const storing = (write: {
  table: string;
  type: StoringType;
  records: readonly object[];
  options: WriteOptions | undefined;
}): LocalWrite => {
  const { table, type, options } = write;
  const records = write.records as readonly RecordObject[];
  const expiresAt = options?.expiresAt;
  if (expiresAt === undefined) return { table, type, records };
  return { table, type, records, expiresAt: Number(expiresAt) };
};

const submit = (ask: AskDatabase, writes: readonly LocalWrite[]): Promise<Accepted> =>
  ask<Accepted>((replyTo) => ({ type: 'transaction.submit', writes, notes: {}, replyTo }));

const timeOf = ({ version }: Accepted): number => millisecondsOf(version);

const wroteAny = ({ results }: Accepted): boolean =>
  results.some(({ written }) => written.length > 0);

/** Through the same checks as the operation, so that both doors refuse the same things. */
const queryOf = (place: { database: string; name: string; options: QueryOptions }): SearchQuery => {
  const { database, name, options } = place;
  const { conditions = [], ...rest } = options;
  const operation = validateOperation({
    operation: 'search_by_conditions',
    database,
    table: name,
    conditions: conditions.length === 0 ? ANY : conditions,
    ...rest,
  });
  if (operation.operation !== 'search_by_conditions') throw new Error('Not a search');
  const query = conditionsQuery(operation);
  return conditions.length === 0 ? { ...query, conditions: [] } : query;
};

/** The operation must have a condition; this one only goes through its checks with the rest. */
const ANY: readonly Condition[] = [{ attribute: 'any', comparator: 'equals', value: 0 }];
