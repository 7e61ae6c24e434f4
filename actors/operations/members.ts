/**
 * add_node, update_node, remove_node and configure_cluster on the node that is asked. The other end's part is in
 * peerOperations.ts. Both ends agree on the generations first; nothing is written here when the other end refuses.
 */
import { readRoute, routeDefaultsOf } from '../../config/routes.js';
import { invalidRequest, messageOf, SkeinError } from '../../protocol/errors.js';
import type { NodeName } from '../../protocol/ids.js';
import { nextGeneration } from '../../protocol/membership.js';
import type { RecordObject } from '../../protocol/operations.js';
import type { NodeFields, NodeTarget } from '../../protocol/validate.js';
import { listens, usesTls } from '../listener.js';
import type { MembershipView } from '../messages.js';
import { PeerRefused, PeerUnreachable } from '../peerOperation.js';
import { offerOf, type Offer } from './certification.js';
import type { OperationContext } from './context.js';
import { ownUrl, readJoinAnswer, takesPart, type JoinAnswer } from './joining.js';
import {
  holdsDirections,
  joinRules,
  saysApart,
  type JoinRules,
  type ToldRules,
} from './memberRules.js';
import { asksForTokenKeys, takeTokenKeys } from './tokenKeyHandover.js';

export const addNode = async (context: OperationContext, fields: NodeFields): Promise<string> => {
  const { name, problem } = await join(context, 'add_node', fields);
  return `Successfully added '${name}' to cluster${suffix(problem)}`;
};

export const updateNode = async (
  context: OperationContext,
  fields: NodeFields,
): Promise<string> => {
  const { name, problem } = await join(context, 'update_node', fields);
  return `Successfully updated '${name}'${suffix(problem)}`;
};

export const removeNode = async (
  context: OperationContext,
  target: NodeTarget,
): Promise<string> => {
  const { name } = resolve(context, target);
  const view = await viewOf(context);
  if (!view.isKnown(name)) throw invalidRequest(`${target.hostname ?? target.url} does not exist`);
  if (name === context.config.node.name) await leave(context, view);
  else await remove(context, view, name);
  return `Successfully removed '${name}' from cluster`;
};

/** Every relation is dropped, then each connection made. Nothing is dropped when one of them cannot be read. */
export const configureCluster = async (
  context: OperationContext,
  connections: readonly NodeFields[],
): Promise<string> => {
  for (const connection of connections) {
    const { name: other } = targetOf(context, connection);
    joinRules(context, connection, { other, known: undefined });
  }
  const view = await viewOf(context);
  for (const { name } of view.nodes)
    if (name !== context.config.node.name) await remove(context, view, name);
  const problems: string[] = [];
  for (const connection of connections)
    await addNode(context, connection).catch((error: unknown) => problems.push(messageOf(error)));
  if (problems.length > 0)
    throw new SkeinError(
      'PEER_REFUSED',
      `The former connections were dropped, but not all new ones could be made: ${problems.join('. ')}`,
    );
  return 'Cluster successfully configured.';
};

const suffix = (problem: string | null): string =>
  problem === null ? '' : ` but there was an error updating target node: ${problem}`;

const viewOf = (context: OperationContext): Promise<MembershipView> =>
  context.membership((replyTo) => ({ type: 'membership.view', replyTo }));

interface Target {
  readonly name: NodeName;
  readonly url: string;
}

/** Name and URL of what the operation names. INVALID_REQUEST when it can be neither. */
const resolve = (context: OperationContext, { hostname, url }: NodeTarget): Target => {
  const { replication, node } = context.config;
  const isMemory = node.url.startsWith('memory:') && url === undefined;
  const entry = { hostname, url: isMemory ? `memory://${hostname}` : url };
  const reading = readRoute(entry, routeDefaultsOf(replication));
  if ('problem' in reading) throw invalidRequest(reading.problem);
  return reading.route;
};

/** Whom to add: not this node, nor one that could not be linked with. */
const targetOf = (context: OperationContext, fields: NodeFields): Target => {
  const target = resolve(context, fields);
  const own = context.config.node.name;
  if (target.name === own) throw invalidRequest(`Should not connect to self: ${own}`);
  if (target.url.startsWith('wss:') && !usesTls(context.config))
    throw invalidRequest(
      `this node has no TLS: set replication.securePort, or give '${target.name}' a ws:// url`,
    );
  return target;
};

/** Both ends write; the other one first, so that a refusal leaves nothing behind. */
const join = async (
  context: OperationContext,
  operation: 'add_node' | 'update_node',
  fields: NodeFields,
): Promise<{ name: NodeName; problem: string | null }> => {
  const target = targetOf(context, fields);
  const own = context.config.node.name;
  const view = await viewOf(context);
  const rules = rulesFor(context, view, { operation, target, fields });
  const proposal = {
    [own]: nextGeneration(view.facts, own),
    [target.name]: nextGeneration(view.facts, target.name),
  };
  const forceSigning = fields.force_signing === true;
  const offer = await offerOf(context, { url: target.url, forceSigning });
  const { answer, problem } = await askTarget(context, view, {
    target,
    fields,
    told: rules.told,
    proposal,
    offer,
  });
  const trust = answer
    ? await accepted(context, offer, { target, answer, view, fields })
    : NO_TRUST;
  const lives = [own, target.name].map((name) => ({
    name,
    generation: Math.max(proposal[name] ?? 1, answer?.generations[name] ?? 1),
  }));
  await context.membership<void>((replyTo) => ({
    type: 'members.write',
    operation,
    lives,
    rows: rowsOf(context, view, { target, fields, rules, answer, trust }),
    ...(fields.isLeader === true && { leader: target.name }),
    replyTo,
  }));
  if (fields.isLeader === true)
    for (const database of context.databases)
      context.router(database).send({ type: 'copy.want', peer: target.name });
  return { name: target.name, problem };
};

/** An add that says nothing of directions leaves those that were stated; else it takes everything both ways. */
const rulesFor = (
  context: OperationContext,
  view: MembershipView,
  request: { operation: 'add_node' | 'update_node'; target: Target; fields: NodeFields },
): JoinRules => {
  const { operation, target, fields } = request;
  const known = view.nodes.find(({ name }) => name === target.name)?.shown;
  const { replicates, ...rest } = fields;
  const isPlainAdd =
    operation === 'add_node' && replicates === undefined && !holdsDirections(known);
  const plain = isPlainAdd && !saysDirections(rest);
  const said = plain ? { ...rest, replicates: true } : fields;
  const rules = joinRules(context, said, { other: target.name, known });
  return plain ? { ...rules, told: { ...rules.told, plain } } : rules;
};

const saysDirections = ({ sendsTo, receivesFrom, subscriptions }: NodeFields): boolean =>
  sendsTo !== undefined || receivesFrom !== undefined || (subscriptions ?? []).length > 0;

/**
 * The other end's answer. Null and a reason when it cannot be reached: then it is registered here all the same, and its
 * end is made up when the operation is repeated there. A node that is no member itself needs one that is.
 */
const askTarget = async (
  context: OperationContext,
  view: MembershipView,
  request: {
    target: Target;
    fields: NodeFields;
    told: ToldRules;
    proposal: Record<string, number>;
    offer: Offer;
  },
): Promise<{ answer: JoinAnswer | null; problem: string | null }> => {
  const { target, fields, told, proposal, offer } = request;
  const authorization = authorizationFor(view, target, fields);
  try {
    const answer = await context.callPeer({
      name: target.name,
      url: target.url,
      verifyTls: fields.verify_tls ?? true,
      ...(authorization !== undefined && { authorization }),
      operation: {
        operation: 'add_node_back',
        hostname: context.config.node.name,
        target_hostname: target.name,
        url: listens(context.config) ? context.config.node.url : null,
        generations: proposal,
        member: takesPart(view),
        ...told,
        ...(fields.retain_authorization === true && { authorization }),
        ...offer.body,
        ...(asksForTokenKeys(view, { url: target.url, authorization }) && {
          wants_token_keys: true,
        }),
      },
    });
    return { answer: readJoinAnswer(answer, target.name, view.facts), problem: null };
  } catch (error) {
    if (error instanceof PeerUnreachable && offer.needsAnswer)
      throw new SkeinError(
        'PEER_UNREACHABLE',
        `Error returned from ${target.url}: ${error.message} and connection was required to sign certificate`,
      );
    if (
      error instanceof PeerUnreachable &&
      view.standing !== 'removed' &&
      view.standing !== 'mismatch'
    )
      return { answer: null, problem: error.message };
    throw failure(target, error);
  }
};

const authorizationFor = (
  view: MembershipView,
  { name }: Target,
  { authorization }: NodeFields,
): string | undefined =>
  authorization ?? view.nodes.find((node) => node.name === name)?.authorization ?? undefined;

const NO_TRUST: Trusted = { own: {}, target: {} };

const accepted = async (
  context: OperationContext,
  offer: Offer,
  parts: { target: Target; answer: JoinAnswer; view: MembershipView; fields: NodeFields },
): Promise<Trusted> => {
  const { target, answer, view, fields } = parts;
  const authorization = authorizationFor(view, target, fields);
  try {
    const trust = await offer.accept(answer);
    if (asksForTokenKeys(view, { url: target.url, authorization }))
      await takeTokenKeys(context, answer);
    return trust;
  } catch (error) {
    throw failure(target, error);
  }
};

type Trusted = Awaited<ReturnType<Offer['accept']>>;

const failure = (target: Target, error: unknown): unknown => {
  if (error instanceof PeerUnreachable)
    return new SkeinError(
      'PEER_UNREACHABLE',
      `Error returned from ${target.url}: ${error.message} and connection was required to rejoin the cluster`,
    );
  if (error instanceof PeerRefused)
    return new SkeinError(
      error.code === 'OUTCOME_UNKNOWN' ? 'OUTCOME_UNKNOWN' : 'PEER_REFUSED',
      `Error returned from ${target.url}: ${error.message}`,
    );
  return error;
};

const rowsOf = (
  context: OperationContext,
  view: MembershipView,
  request: {
    target: Target;
    fields: NodeFields;
    rules: JoinRules;
    answer: JoinAnswer | null;
    trust: Trusted;
  },
): RecordObject[] => {
  const { target, fields, rules, answer, trust } = request;
  const { revoked_certificates: serials } = fields;
  const shard = answer?.shard ?? fields.shard;
  const isNew = !view.nodes.some(({ name, shown }) => name === target.name && shown['url'] != null);
  const row: RecordObject = {
    name: target.name,
    url: target.url,
    ...(isNew && { replicates: true }),
    ...rules.row,
    ...(shard !== undefined && { shard }),
    ...(serials !== undefined && { revoked_certificates: serials }),
    ...(fields.retain_authorization === true && { authorization: fields.authorization ?? null }),
    ...trust.target,
  };
  if (view.own === null) return [row, { ...ownRowOf(context), ...trust.own }];
  // Who adds another takes part.
  const { replicates, subscriptions } = rules.told;
  const adds = subscriptions != null || (replicates !== undefined && replicates !== false);
  const returns = adds && saysApart(view.own);
  const ownNews = { ...trust.own, ...(returns && { replicates: true }) };
  return Object.keys(ownNews).length === 0
    ? [row]
    : [row, { name: context.config.node.name, ...ownNews }];
};

const ownRowOf = (context: OperationContext): RecordObject => ({
  name: context.config.node.name,
  url: ownUrl(context.config),
  replicates: true,
});

/** Decided here first; the node itself is told as well, if it can be reached. */
const remove = async (
  context: OperationContext,
  view: MembershipView,
  name: NodeName,
): Promise<void> => {
  const known = view.nodes.find((node) => node.name === name);
  const generation = generationOf(view, name);
  await end(context, name, generation);
  const url = known?.shown['url'] ?? urlOfRoute(context, name);
  if (typeof url === 'string') await tell(context, { to: name, url, name, generation, known });
};

/** The others have to hear of it before this node is silent. */
const leave = async (context: OperationContext, view: MembershipView): Promise<void> => {
  const name = context.config.node.name;
  const generation = generationOf(view, name);
  await Promise.all(
    view.nodes.map((known) => {
      const url = known.shown['url'] ?? urlOfRoute(context, known.name);
      return known.name !== name && typeof url === 'string'
        ? tell(context, { to: known.name, url, name, generation, known })
        : undefined;
    }),
  );
  await end(context, name, generation);
};

const tell = async (
  context: OperationContext,
  request: {
    to: NodeName;
    url: string;
    name: NodeName;
    generation: number;
    known: { authorization: string | null } | undefined;
  },
): Promise<void> => {
  const { to, url, name, generation, known } = request;
  try {
    await context.callPeer({
      name: to,
      url,
      ...(known?.authorization != null && { authorization: known.authorization }),
      operation: { operation: 'remove_node_back', name, generation },
    });
  } catch (error) {
    context.log.warn({ url, name, reason: messageOf(error) }, 'cannot tell a node of a removal');
  }
};

const end = (context: OperationContext, name: NodeName, generation: number): Promise<void> =>
  context.membership<void>((replyTo) => ({ type: 'member.end', name, generation, replyTo }));

const generationOf = (view: MembershipView, name: NodeName): number =>
  view.facts.find((fact) => fact.name === name)?.generation ?? 1;

const urlOfRoute = (context: OperationContext, name: NodeName): string | undefined =>
  context.config.replication.routes.find((route) => route.name === name)?.url;
