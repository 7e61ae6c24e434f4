/**
 * Both ends of an edge, as they settle what one of them was told: by add_node at `a` about `b`, or by a route of `a`.
 * Called by the tests of the rules of flow. Nothing runs: rows go straight into the membership machine.
 */
import { routesOf } from '../../config/routes.js';
import { resolveConfig } from '../../config/resolve.js';
import type { RouteInput } from '../../config/types.js';
import type { OperationContext } from '../../actors/operations/context.js';
import { heardRules, joinRules } from '../../actors/operations/memberRules.js';
import type { FlowRules, TableScope } from '../../protocol/flow.js';
import { settleRules } from '../../protocol/flowRules.js';
import { databaseName, nodeName, type NodeName } from '../../protocol/ids.js';
import { flowOf } from '../../protocol/memberFlow.js';
import {
  startMembership,
  stepMembership,
  type MemberRoute,
  type MembershipState,
  type MembershipTables,
  type SharedData,
} from '../../protocol/membership.js';
import { validateOperation, type NodeFields } from '../../protocol/validate.js';

export const A = nodeName('a');
export const B = nodeName('b');

type Direction = 'peer' | 'local';

const configWith = (direction: Direction, name = 'a') =>
  resolveConfig({
    storage: { engine: 'memory' },
    replication: { hostname: name, url: `memory://${name}`, routeDirection: direction },
  }).config;

const contextWith = (direction: Direction): OperationContext =>
  ({
    config: configWith(direction),
    databases: [databaseName('data'), databaseName('config')],
    log: { warn: () => undefined },
  }) as unknown as OperationContext;

/** The rows that both ends write when `a` is asked to add `b`; INVALID_REQUEST as the operation says it. */
export const rowsOf = (
  body: object,
  direction: Direction = 'peer',
  known?: Record<string, unknown>,
): { atA: Record<string, unknown>; atB: Record<string, unknown> } => {
  const operation = { operation: 'update_node', hostname: 'b', ...body };
  const fields = validateOperation(operation) as unknown as NodeFields;
  const { row, told } = joinRules(contextWith(direction), fields, { other: B, known });
  return {
    atA: { name: B, url: 'ws://b', ...known, ...row },
    atB: { name: A, url: 'ws://a', ...heardRules(told, undefined) },
  };
};

export const memberWith = (parts: {
  own: NodeName;
  rows?: readonly Record<string, unknown>[];
  lives?: readonly string[];
  routes?: readonly MemberRoute[];
  partners?: readonly string[];
  gossips?: boolean;
  data?: SharedData;
}): MembershipState => {
  const { own, rows = [], routes = [], partners = [], gossips = false } = parts;
  const options = { own, ownUrl: `ws://${own}`, gossips };
  const named = [own, ...(parts.lives ?? rows.map(({ name }) => String(name)))];
  const [state] = stepMembership(startMembership(options, routes, parts.data), {
    type: 'tablesRead',
    tables: tablesWith({ own, names: named, rows, partners }),
  });
  return state;
};

export const tablesWith = (parts: {
  own: NodeName;
  names: readonly string[];
  rows: readonly Record<string, unknown>[];
  partners?: readonly string[];
}): MembershipTables => ({
  nodes: parts.rows.some(({ name }) => name === parts.own)
    ? parts.rows
    : [{ name: parts.own, url: `ws://${parts.own}`, replicates: true }, ...parts.rows],
  generations: [...new Set(parts.names)].map((name) => ({ name, generation: 1 })),
  announcedUrl: `ws://${parts.own}`,
  notes: { partners: (parts.partners ?? []).map(nodeName), rules: new Map() },
});

export const rulesOf = (state: MembershipState): FlowRules => settleRules(flowOf(state));

/** Both ends, when `a` is asked to add `b` with these fields. */
export const endsOf = (
  body: object,
  direction: Direction = 'peer',
): { a: FlowRules; b: FlowRules } => {
  const { atA, atB } = rowsOf(body, direction);
  return {
    a: rulesOf(memberWith({ own: A, rows: [atA] })),
    b: rulesOf(memberWith({ own: B, rows: [atB] })),
  };
};

/** A route as the configuration of any node but its target has it. */
export const routeOf = (route: RouteInput, direction: Direction = 'peer'): MemberRoute => {
  const [read] = routesOf([route], configWith(direction, 'somebody'));
  if (!read) throw new Error('The route was not read');
  return read;
};

/** `all`, `all but x`, `only x y`, `nothing`. */
export const shown = (scope: TableScope): string => {
  if (scope.kind === 'all')
    return scope.except.length === 0 ? 'all' : `all but ${scope.except.join(' ')}`;
  return scope.tables.length === 0 ? 'nothing' : `only ${scope.tables.join(' ')}`;
};

/** `sends > receives` for a database. */
export const linkOf = (rules: FlowRules, peer: NodeName, database = 'data'): string => {
  const { sends, receives } = rules.link(peer, databaseName(database));
  return `${shown(sends)} > ${shown(receives)}`;
};
