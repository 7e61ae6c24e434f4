/**
 * What one node runs for another on a connection made for that: its end of add_node and remove_node. A node that is
 * admitted may ask; anybody else needs the credentials of a super user. Never reachable through the operations API.
 */
import { invalidRequest, SkeinError } from '../../protocol/errors.js';
import type { NodeName } from '../../protocol/ids.js';
import { nextGeneration } from '../../protocol/membership.js';
import { isCanonicalNodeName } from '../../protocol/nodeNames.js';
import type { RecordObject, User } from '../../protocol/operations.js';
import type { MembershipView } from '../messages.js';
import type { OperationContext } from './context.js';
import { heardRules, holdsDirections, saysApart } from './memberRules.js';
import {
  leapIn,
  ownUrl,
  readPeerOperation,
  takesPart,
  type AddNodeBack,
  type RemoveNodeBack,
} from './joining.js';

export interface PeerRequest {
  readonly operation: Readonly<Record<string, unknown>>;
  readonly authorization?: string;
  /** Who asks, as the connection proves. */
  readonly from: NodeName;
}

/** The documented answer. Refusals are SkeinErrors, and change nothing. */
export const runPeerOperation = async (
  context: OperationContext,
  request: PeerRequest,
): Promise<Record<string, unknown>> => {
  const operation = readPeerOperation(request.operation);
  const view = await context.membership<MembershipView>((replyTo) => ({
    type: 'membership.view',
    replyTo,
  }));
  await authorise(context, view, request);
  return operation.operation === 'add_node_back'
    ? addNodeBack(context, view, request.from, operation)
    : removeNodeBack(context, view, request.from, operation);
};

const authorise = async (
  context: OperationContext,
  view: MembershipView,
  { authorization, from }: PeerRequest,
): Promise<void> => {
  if (authorization === undefined) {
    if (view.isAdmitted(from)) return;
    throw new SkeinError('UNAUTHENTICATED', 'Must login');
  }
  const user = await authenticated(context, authorization, from);
  if (!user.superUser)
    throw new SkeinError('FORBIDDEN', "This operation is restricted to 'super_user' roles");
};

/** `Basic …` or `Bearer …`, as on the operations API. */
const authenticated = async (
  { users }: OperationContext,
  authorization: string,
  from: NodeName,
): Promise<User> => {
  const credentials = basicCredentials(authorization);
  if (credentials) return users.authenticate({ ...credentials, address: from });
  const token = /^Bearer (\S+)$/.exec(authorization)?.[1];
  const bearer = token === undefined ? undefined : await users.authenticateToken(token);
  if (bearer?.kind !== 'operation') throw new SkeinError('UNAUTHENTICATED', 'invalid token');
  return bearer.user;
};

const basicCredentials = (header: string): { username: string; password: string } | undefined => {
  const encoded = /^Basic (\S+)$/.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return undefined;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
};

const addNodeBack = async (
  context: OperationContext,
  view: MembershipView,
  from: NodeName,
  body: AddNodeBack,
): Promise<Record<string, unknown>> => {
  const own = context.config.node.name;
  refuseMisnamed({ own, from, body });
  if (body.member === false && !takesPart(view))
    throw invalidRequest(
      `neither ${from} nor ${own} takes part in a cluster, and a node that does has to be asked`,
    );
  const leap = leapIn(view.facts, body.generations);
  if (leap !== undefined) throw invalidRequest(`the generation of ${leap} is no next one`);
  const lives = [from, own].map((name) => ({
    name,
    generation: Math.max(body.generations[name] ?? 1, nextGeneration(view.facts, name)),
  }));
  const known = view.nodes.find(({ name, shown }) => name === from && 'name' in shown)?.shown;
  const row: RecordObject = {
    name: from,
    ...(body.url !== null && { url: body.url }),
    ...heardRules(body, known),
    ...(body.shard !== undefined && { shard: body.shard }),
    ...(body.authorization !== undefined && { authorization: body.authorization }),
  };
  const ownRow = ownNews(context, view, body);
  await context.membership<void>((replyTo) => ({
    type: 'members.write',
    operation: 'add_node',
    lives,
    rows: ownRow ? [row, ownRow] : [row],
    replyTo,
  }));
  return {
    nodeName: own,
    generations: Object.fromEntries(lives.map(({ name, generation }) => [name, generation])),
  };
};

/** `true` and `false` are said of this node; directions, of the edge: then it takes part, as it is said elsewhere. */
const ownNews = (
  context: OperationContext,
  view: MembershipView,
  { replicates, subscriptions }: AddNodeBack,
): RecordObject | null => {
  const name = context.config.node.name;
  const takes = replicates !== false;
  if (view.own === null) return { name, url: ownUrl(context.config), replicates: takes };
  const isDirected = typeof replicates === 'object' || (subscriptions ?? []).length > 0;
  const keeps = typeof view.own['replicates'] === 'object' || holdsDirections(view.own);
  if (isDirected || (takes && keeps))
    return saysApart(view.own) ? { name, replicates: true } : null;
  return replicates === undefined ? null : { name, replicates: takes };
};

/** A node that is known by another name than it gives itself could be added, but never connected. */
const refuseMisnamed = (parts: { own: NodeName; from: NodeName; body: AddNodeBack }): void => {
  const { own, from, body } = parts;
  if (!isCanonicalNodeName(body.hostname)) throw invalidRequest("'hostname' is no node name");
  if (body.hostname === own) throw invalidRequest(`Should not connect to self: ${own}`);
  if (body.hostname !== from)
    throw invalidRequest(
      `Node name mismatch: the node says ${body.hostname}, the connection proves ${from}`,
    );
  if (body.target_hostname !== undefined && body.target_hostname !== own)
    throw invalidRequest(`Node name mismatch: expected ${body.target_hostname}, this is ${own}`);
};

const removeNodeBack = async (
  context: OperationContext,
  view: MembershipView,
  from: NodeName,
  { name, generation }: RemoveNodeBack,
): Promise<Record<string, unknown>> => {
  const own = context.config.node.name;
  if (name !== own && name !== from)
    throw invalidRequest(
      `remove_node_back may only remove the authenticated peer or this node, not '${name}'`,
    );
  if (leapIn(view.facts, { [name]: generation }) !== undefined)
    throw invalidRequest(`the generation of ${name} is none it had`);
  await context.membership<void>((replyTo) => ({
    type: 'member.end',
    name: name === own ? own : from,
    generation,
    replyTo,
  }));
  return { message: `Successfully removed '${name}' from cluster` };
};
