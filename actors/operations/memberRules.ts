/**
 * What add_node and update_node state of the flow of data, as both ends keep it: the row of the other node here, and what
 * it is told to keep of this one. Called by members.ts and peerOperations.ts. Writes nothing.
 */
import { invalidRequest } from '../../protocol/errors.js';
import { isAdvertisement, mirrored, settled, swapped } from '../../protocol/flowRules.js';
import type { NodeName } from '../../protocol/ids.js';
import type { RecordObject } from '../../protocol/operations.js';
import { isApart, rulesIn, rulesProblem } from '../../protocol/rowRules.js';
import { readFlow, type FlowProblem } from '../../protocol/statedFlow.js';
import type { NodeFields, Replicates, TableSubscription } from '../../protocol/validate.js';
import type { OperationContext } from './context.js';

type Shown = Readonly<Record<string, unknown>>;

/** Absent: nothing is said, and what both have stays. */
export interface ToldRules {
  /** An object is from the view of the node that says it. */
  readonly replicates?: boolean | Replicates;
  /** From the view of the node that hears it; null: no more. */
  readonly subscriptions?: readonly TableSubscription[] | null;
  /** Nobody has said a word of directions: those that the other end has stated stay. */
  readonly plain?: boolean;
}

export interface JoinRules {
  /** Attributes for the row of the other node. */
  readonly row: RecordObject;
  readonly told: ToldRules;
}

/**
 * `known`: its row here, if there is one. What is not said stays as it was stated, and is told again. INVALID_REQUEST
 * naming the field that cannot be read.
 */
export const joinRules = (
  context: OperationContext,
  fields: NodeFields,
  { other, known }: { other: NodeName; known: Shown | undefined },
): JoinRules => {
  const direction = context.config.replication.routeDirection;
  const { flow, problems, strangers } = readFlow(fields, { other, direction });
  refuse([...problems, ...strangers]);
  warnOfUnknownDatabases(context, fields);
  const own = context.config.node.name;
  const startTime = fields.start_time !== undefined && { start_time: fields.start_time };
  if (flow === null) return { row: { ...startTime }, told: toldAgain(known, { own, other }) };
  const { subscriptions } = flow;
  if (subscriptions)
    return {
      row: { replicates: false, subscriptions, ...startTime },
      told: { subscriptions: swapped(subscriptions) },
    };
  const stated = settled(flow.replicates, other);
  const kept = typeof stated === 'object' ? mirrored(stated, { view: own, other }) : stated;
  return {
    row: { replicates: kept, ...withoutSubscriptions(known), ...startTime },
    told: { replicates: stated, subscriptions: null },
  };
};

/** Attributes for the row of the node that tells it. */
export const heardRules = (
  { replicates, subscriptions, plain }: ToldRules,
  known: Shown | undefined,
): RecordObject => {
  if (plain && holdsDirections(known)) return {};
  if (subscriptions && subscriptions.length > 0) return { replicates: false, subscriptions };
  const isNew = known === undefined;
  if (typeof replicates === 'object' || replicates === true || isNew)
    return {
      replicates: typeof replicates === 'object' ? replicates : true,
      ...withoutSubscriptions(known),
    };
  return {};
};

/** Whether the row says that its node has no part in anything. */
export const saysApart = (row: Shown | null): boolean =>
  row !== null && rulesProblem(row) === undefined && isApart(rulesIn(row));

/** Whether a row holds what was stated of an edge: directions or single tables. */
export const holdsDirections = (row: Shown | undefined): boolean =>
  row !== undefined && statedIn(row) !== null;

const statedIn = (
  row: Shown,
): { replicates: Replicates | false; tables: TableSubscription[] } | null => {
  if (rulesProblem(row) !== undefined) return null;
  const { replicates, subscriptions } = rulesIn(row);
  if (subscriptions) return { replicates: false, tables: [...subscriptions] };
  if (typeof replicates === 'boolean' || isAdvertisement(replicates)) return null;
  return { replicates, tables: [] };
};

const toldAgain = (
  known: Shown | undefined,
  { own, other }: { own: NodeName; other: NodeName },
): ToldRules => {
  const stated = known === undefined ? null : statedIn(known);
  if (!stated) return {};
  return stated.replicates === false
    ? { subscriptions: swapped(stated.tables) }
    : { replicates: mirrored(stated.replicates, { view: other, other: own }) };
};

const withoutSubscriptions = (known: Shown | undefined): RecordObject =>
  known?.['subscriptions'] == null ? {} : { subscriptions: null };

const refuse = (problems: readonly FlowProblem[]): void => {
  if (problems.length === 0) return;
  throw invalidRequest(problems.map(({ path, text }) => `'${labelOf(path)}' ${text}`).join('. '));
};

const labelOf = (path: readonly string[]): string =>
  path.map((part, at) => (/^\d+$/.test(part) ? `[${part}]` : at > 0 ? `.${part}` : part)).join('');

/** A database may be made later. */
const warnOfUnknownDatabases = (context: OperationContext, fields: NodeFields): void => {
  const { replicates, sendsTo, receivesFrom, subscriptions } = fields;
  const within = typeof replicates === 'object' ? replicates : {};
  const rules = [sendsTo, receivesFrom, within.sendsTo, within.receivesFrom, subscriptions];
  const named = rules.flatMap((list) => (list ?? []).map(({ database }) => database));
  for (const database of new Set(named))
    if (database !== undefined && !context.databases.some((known) => known === database))
      context.log.warn({ database }, 'a rule of replication names a database that does not exist');
};
