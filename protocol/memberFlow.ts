/**
 * What the members, their rows and the routes mean for the flow of data: the edges of this node, which of the nodes it
 * heard of it may link with, and what its own row says of it. Called by membership.ts and its actor. Pure.
 *
 * Routes with directions count before the row of the node they name. A row is a rule of this node where the node is its
 * partner or has a route; of a node that was only heard of it says whether a link may be. Where a topology is
 * constrained, discovery must not widen it.
 */
import {
  advertisementOf,
  CLOSED_EDGE,
  directionsOf,
  isAdvertisement,
  letsPass,
  mirrored,
  OPEN_EDGE,
  type Edge,
  type FlowInput,
  type StatedFlow,
} from './flowRules.js';
import type { NodeName } from './ids.js';
import type { FlowNotes, MemberRoute, MembershipEffect, MembershipState } from './membership.js';
import { isApart, isOpen, type RowRules } from './rowRules.js';
import type { Replicates } from './schemas/clusterSchemas.js';

/** All rules of this node as they are now. */
export const flowOf = (state: MembershipState): FlowInput => {
  const names = new Set([
    ...state.lives.keys(),
    ...state.rows.keys(),
    ...state.routes.map(({ name }) => name),
  ]);
  names.delete(state.options.own);
  return {
    ...state.data,
    edges: new Map([...names].sort().map((name) => [name, edgeWith(state, name)])),
    others: isConstrained(state) ? CLOSED_EDGE : OPEN_EDGE,
  };
};

/** What is stated of the edge with one node, and by what. */
export const flowShown = (
  state: MembershipState,
  { edges, others }: FlowInput,
  name: NodeName,
): Pick<Edge, 'source' | 'startTimeMs'> & {
  readonly replicateByDefault: boolean;
  readonly route?: StatedFlow;
} => {
  const { source, startTimeMs, sends } = edges.get(name) ?? others;
  const route = state.routes.find((known) => known.name === name)?.flow;
  return {
    source,
    startTimeMs,
    replicateByDefault: sends.kind === 'databases',
    ...(route && { route }),
  };
};

/** Whether there is any use in a link with that node. */
export const passesWith = (state: MembershipState, name: NodeName): boolean =>
  letsPass(edgeWith(state, name), state.data);

/** What this node's own row should say instead of what it says; undefined: it may stay. */
export const ownDirections = (state: MembershipState): boolean | Replicates | undefined => {
  const said = state.rows.get(state.options.own)?.rules.replicates ?? true;
  const isOfOthers = typeof said === 'object' && !isAdvertisement(said);
  if (said === false || isOfOthers) return undefined;
  const wanted = hasDirectedRoutes(state) && state.options.gossips ? advertised(state) : true;
  return textOf(wanted) === textOf(said) ? undefined : wanted;
};

/** Whatever the order of keys is that a row came back with. */
const textOf = (said: boolean | Replicates): string =>
  typeof said === 'boolean'
    ? String(said)
    : JSON.stringify([
        said.sendsTo?.map((rule) => [rule.target, rule.database, rule.excludeTables]),
        said.receivesFrom?.map((rule) => [rule.source, rule.database, rule.excludeTables]),
      ]);

/** Of rows that let not everything pass, what they said when they were last read. */
export const rulesToKeep = (state: MembershipState): Map<NodeName, RowRules> =>
  new Map(
    [...state.rows]
      .filter(([name, { rules }]) => !isOpen(rules) && state.lives.get(name)?.ended !== true)
      .map(([name, { rules }]) => [name, rules]),
  );

/** What is to be kept beside the tables, if it is other than what is. */
export const newNotes = (state: MembershipState, before: FlowNotes): MembershipEffect[] => {
  const notes = { partners: [...state.partners], rules: rulesToKeep(state) };
  const text = ({ partners, rules }: FlowNotes): string => JSON.stringify([partners, [...rules]]);
  return text(notes) === text(before) ? [] : [{ type: 'keepNotes', notes }];
};

const edgeWith = (state: MembershipState, name: NodeName): Edge => {
  const route = state.routes.find((known) => known.name === name);
  const rules = state.rows.get(name)?.rules;
  if (!isExplicit(state, name, route)) return heardEdge(state, name, rules);
  const startTimeMs = route?.startTimeMs ?? rules?.startTimeMs ?? null;
  if (route?.flow)
    return {
      ...directionsOf(route.flow, name),
      startTimeMs,
      isAboutOrigin: true,
      source: 'route',
    };
  return { ...(rules ? rowEdge(state, name, rules) : OPEN_EDGE), startTimeMs };
};

/** Of the nodes that this node was told to deal with. Without gossip there are no others. */
const isExplicit = (state: MembershipState, name: NodeName, route?: MemberRoute): boolean =>
  route !== undefined || !state.options.gossips || state.partners.has(name);

const rowEdge = (state: MembershipState, name: NodeName, rules: RowRules): Edge => {
  if (isApart(rules)) return { ...CLOSED_EDGE, source: 'hdb_nodes' };
  if (rules.replicates === true) return OPEN_EDGE;
  const { own } = state.options;
  const { replicates, subscriptions } = rules;
  const ours =
    typeof replicates === 'object' ? mirrored(replicates, { view: name, other: own }) : false;
  return {
    ...directionsOf({ replicates: ours, subscriptions }, name),
    startTimeMs: null,
    isAboutOrigin: !isAdvertisement(replicates),
    source: 'hdb_nodes',
  };
};

/** What somebody else has stated of a node is between those two. */
const heardEdge = (state: MembershipState, name: NodeName, rules?: RowRules): Edge => {
  if (isConstrained(state)) return CLOSED_EDGE;
  if (!rules || rules.replicates === true) return OPEN_EDGE;
  return isAdvertisement(rules.replicates) ? rowEdge(state, name, rules) : CLOSED_EDGE;
};

const hasDirectedRoutes = ({ routes }: MembershipState): boolean =>
  routes.some(({ flow }) => flow !== undefined);

/** It keeps to the nodes it was told to deal with: a route has a direction, or everything with its partners has one. */
const isConstrained = (state: MembershipState): boolean => {
  if (!state.options.gossips) return false;
  if (hasDirectedRoutes(state)) return true;
  const rules = [...state.partners]
    .map((name) => state.rows.get(name)?.rules)
    .filter((one) => one === undefined || !isApart(one));
  const areDirected = rules.map((one) => one !== undefined && hasDirections(one));
  return areDirected.includes(true) && !areDirected.includes(false) && state.routes.length === 0;
};

const hasDirections = (rules: RowRules): boolean =>
  typeof rules.replicates === 'object' || rules.subscriptions !== null;

const advertised = (state: MembershipState): Replicates => {
  const names = new Set([...state.partners, ...state.routes.map(({ name }) => name)]);
  names.delete(state.options.own);
  return advertisementOf(new Map([...names].map((name) => [name, edgeWith(state, name)])));
};
