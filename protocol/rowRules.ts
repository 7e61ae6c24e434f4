/**
 * The rules of flow in a row of `hdb_nodes`: whether they can be read, and what they say. Called by nodeRows.ts and,
 * for what one node states to another, by joining.ts. Pure.
 */
import { asText } from './errors.js';
import type { StatedFlow } from './flowRules.js';
import { isCanonicalNodeName } from './nodeNames.js';
import {
  directed,
  subscription,
  type Replicates,
  type TableSubscription,
} from './schemas/clusterSchemas.js';
import { compileSchema, type Schema } from './validate.js';

/**
 * `replicates` is from the view of the row's node, `subscriptions` from that of the node that keeps the row: they count
 * where `replicates` is false.
 */
export interface RowRules extends StatedFlow {
  readonly startTimeMs: number | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** A row that says nothing of directions: it takes part both ways, or not at all. */
export const isPlain = ({ replicates, subscriptions, startTimeMs }: RowRules): boolean =>
  typeof replicates === 'boolean' && subscriptions === null && startTimeMs === null;

/** Everything passes, both ways. */
export const isOpen = ({ replicates, startTimeMs }: RowRules): boolean =>
  replicates === true && startTimeMs === null;

/** Registered, but takes no part. */
export const isApart = ({ replicates, subscriptions }: RowRules): boolean =>
  replicates === false && subscriptions === null;

/** Why the rules of a row cannot be read; undefined when they can. */
export const rulesProblem = (row: Fields): string | undefined => {
  const { replicates, subscriptions, start_time: startTime } = row;
  if (replicates != null && typeof replicates !== 'boolean' && typeof replicates !== 'object')
    return "'replicates' is neither true nor false, nor an object with directions";
  if (typeof replicates !== 'object' && subscriptions == null && startTime == null)
    return undefined;
  const [problem] = problemsOf({ replicates, subscriptions, start_time: startTime });
  return problem ?? nameProblem((replicates ?? true) as boolean | Replicates);
};

/** Of a row whose rules can be read. */
export const rulesIn = (row: Fields): RowRules => {
  const replicates = (row['replicates'] ?? true) as boolean | Replicates;
  const given = (row['subscriptions'] ?? []) as readonly (Partial<TableSubscription> & Named)[];
  const subscriptions = given.map(({ database, table, publish, subscribe }) => ({
    database: database ?? DEFAULT_DATABASE,
    table,
    publish: publish ?? false,
    subscribe: subscribe ?? false,
  }));
  return {
    replicates,
    subscriptions: replicates === false && subscriptions.length > 0 ? subscriptions : null,
    startTimeMs: (row['start_time'] ?? null) as number | null,
  };
};

interface Named {
  readonly table: string;
}

const DEFAULT_DATABASE = 'data';
/** The latest time that a date can hold, ECMA-262 section 21.4.1.1. */
const TIME_MS_MAX = 8.64e15;

const orNull = (schema: Schema, ...types: readonly string[]): Schema => ({
  ...schema,
  type: [...types, 'null'],
});

/** Absent and null say the same. */
const problemsOf = compileSchema({
  type: 'object',
  properties: {
    replicates: orNull(directed, 'boolean', 'object'),
    subscriptions: orNull({ maxItems: 10_000, items: subscription }, 'array'),
    start_time: orNull({ minimum: 0, maximum: TIME_MS_MAX }, 'integer'),
  },
});

const nameProblem = (replicates: boolean | Replicates): string | undefined => {
  if (typeof replicates === 'boolean') return undefined;
  const names = [
    ...(replicates.sendsTo ?? []).map(({ target }) => target),
    ...(replicates.receivesFrom ?? []).map(({ source }) => source),
  ];
  const misnamed = names.find(
    (name) => name !== undefined && !(typeof name === 'string' && isCanonicalNodeName(name)),
  );
  return misnamed === undefined ? undefined : `'replicates' names '${asText(misnamed)}', no node`;
};
