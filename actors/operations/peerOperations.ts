/**
 * What one node runs for another on a connection made for that: its end of add_node and remove_node. A node that is
 * admitted may ask; anybody else needs the credentials of a super user. Never reachable through the operations API.
 */
import { invalidRequest, SkeinError } from '../../protocol/errors.js';
import { nodeName, type NodeName } from '../../protocol/ids.js';
import { nextGeneration } from '../../protocol/membership.js';
import { isCanonicalNodeName } from '../../protocol/nodeNames.js';
import type { RecordObject, User } from '../../protocol/operations.js';
import type { MembershipView } from '../messages.js';
import { admit } from '../admission.js';
import { provenNames } from '../transport/proven.js';
import type { Proven } from '../transport/types.js';
import { certify, sign } from './certification.js';
import type { OperationContext } from './context.js';
import { heardRules, holdsDirections, saysApart } from './memberRules.js';
import {
  leapIn,
  ownUrl,
  readPeerOperation,
  takesPart,
  type AddNodeBack,
  type PeerOperation,
  type RemoveNodeBack,
} from './joining.js';
import { tokenKeysFor } from './tokenKeyHandover.js';

export interface PeerRequest {
  readonly operation: Readonly<Record<string, unknown>>;
  readonly authorization?: string;
  /** Who asks, as far as the connection proves it. */
  readonly proven: Proven;
  /** Where the connection comes from; logins are counted by it. */
  readonly address: string;
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
  const member = await authorise(context, view, request);
  switch (operation.operation) {
    case 'add_node_back':
      return addNodeBack(
        context,
        view,
        { request, from: senderOf(request, member, operation) },
        operation,
      );
    case 'remove_node_back':
      return removeNodeBack(context, view, senderOf(request, member, operation), operation);
    case 'sign_certificate':
      return signCertificate(context, member, operation.csr);
    case 'create_csr':
      return createRequest(context);
    default:
      return operation satisfies never;
  }
};

/**
 * The name under which whoever asks is dealt with. Only a super user's credentials over TLS let a node announce its name
 * itself: it has no certificate yet, or one under another name. Without TLS the address is the name.
 */
const senderOf = (
  { proven, authorization }: PeerRequest,
  member: NodeName | null,
  operation: PeerOperation,
): NodeName => {
  const names = provenNames(proven);
  const announced = operation.operation === 'add_node_back' ? operation.hostname : undefined;
  const isFree = authorization !== undefined && proven.kind !== 'address';
  const named =
    announced !== undefined && isCanonicalNodeName(announced) ? nodeName(announced) : undefined;
  if (named !== undefined && (isFree || names.includes(named))) return named;
  return member ?? names[0] ?? nodeName('');
};

/** The member that asks; null: a super user whose node is none yet. UNAUTHENTICATED or FORBIDDEN for anybody else. */
const authorise = async (
  context: OperationContext,
  view: MembershipView,
  { authorization, proven, address }: PeerRequest,
): Promise<NodeName | null> => {
  const admission = admit(proven, {
    admits: view.isAdmitted,
    isRevoked: context.trust.isRevoked,
    nowMs: context.nowMs(),
  });
  const admitted = 'name' in admission ? admission.name : null;
  const refusal = admitted === null ? undefined : await refusalOf(context, proven, address);
  if (refusal !== undefined && authorization === undefined)
    throw new SkeinError('UNAUTHENTICATED', refusal);
  const member = refusal === undefined ? admitted : null;
  if (authorization === undefined) {
    if (member !== null) return member;
    throw new SkeinError('UNAUTHENTICATED', 'Must login');
  }
  const user = await authenticated(context, authorization, address);
  if (!user.superUser)
    throw new SkeinError('FORBIDDEN', "This operation is restricted to 'super_user' roles");
  return member;
};

/** Why the certificate of a member is not accepted, by its authority. */
const refusalOf = async (
  { trust, log }: OperationContext,
  proven: Proven,
  address: string,
): Promise<string | undefined> =>
  proven.kind === 'certificate'
    ? await trust.revocation.check(proven.certificate, log.child({ remoteAddress: address }))
    : undefined;

/** `Basic …` or `Bearer …`, as on the operations API. */
const authenticated = async (
  { users }: OperationContext,
  authorization: string,
  address: string,
): Promise<User> => {
  const credentials = basicCredentials(authorization);
  if (credentials) return users.authenticate({ ...credentials, address });
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
  { request, from }: { request: PeerRequest; from: NodeName },
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
  const certified = await certify(context, from, body);
  const row: RecordObject = {
    name: from,
    ...certified.sender,
    ...(body.url !== null && { url: body.url }),
    ...heardRules(body, known),
    ...(body.shard !== undefined && { shard: body.shard }),
    ...(body.authorization !== undefined && { authorization: body.authorization }),
  };
  const news = { ...certified.own, ...ownNews(context, view, body) };
  const ownRow = Object.keys(news).length === 0 ? null : { name: own, ...news };
  await context.membership<void>((replyTo) => ({
    type: 'members.write',
    operation: 'add_node',
    lives,
    rows: ownRow ? [row, ownRow] : [row],
    replyTo,
  }));
  return {
    ...certified.answer,
    ...(await tokenKeysFor(context, request, body)),
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

/** Under the name that its present certificate proves, and no other. */
const signCertificate = async (
  context: OperationContext,
  member: NodeName | null,
  csr: string | undefined,
): Promise<Record<string, unknown>> => {
  if (csr === undefined) return {};
  if (member === null)
    throw new SkeinError('FORBIDDEN', 'only members are signed, others join with add_node');
  return { ...(await sign(context, csr, member)) };
};

const createRequest = async (context: OperationContext): Promise<Record<string, unknown>> => {
  const { csr, privateKeyName } = await context.signer<{ csr: string; privateKeyName: string }>(
    (replyTo) => ({ type: 'request.create', replyTo }),
  );
  return { pem: csr, privateKeyName };
};
