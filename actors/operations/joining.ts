/**
 * What two nodes say to each other when one adds or removes the other: the shapes of `add_node_back` and
 * `remove_node_back` and of their answers, checked on arrival. Used by members.ts and peerOperations.ts.
 */
import type { Config } from '../../config/types.js';
import { asText, SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import { isLeap, type MemberFact } from '../../protocol/membership.js';
import { rulesProblem } from '../../protocol/rowRules.js';
import { compileSchema, type Replicates, type TableSubscription } from '../../protocol/validate.js';
import type { TokenKeyTexts } from '../../security/tokens.js';
import { listens } from '../listener.js';
import type { MembershipView } from '../messages.js';
import { PeerRefused } from '../peerOperation.js';

export interface AddNodeBack {
  readonly operation: 'add_node_back';
  /** The sender's name. */
  readonly hostname: string;
  /** Who the sender believes to be talking to. */
  readonly target_hostname?: string;
  /** Where the sender can be dialled; null: nowhere. */
  readonly url: string | null;
  /** Proposed for both ends; the greater of both proposals counts. */
  readonly generations: Readonly<Record<string, number>>;
  /** Whether the sender takes part in a cluster, be it one of its own; absent: it does. */
  readonly member?: boolean;
  /** What is said of taking part, or of the directions between both; an object is from the sender's view. */
  readonly replicates?: boolean | Replicates;
  /** From the receiver's view; null: no more. */
  readonly subscriptions?: readonly TableSubscription[] | null;
  /** Nobody has said a word of directions. */
  readonly plain?: boolean;
  readonly shard?: number;
  /** Only with `retain_authorization`. */
  readonly authorization?: string;
  /** The sender wants to be signed under `hostname`; PEM. */
  readonly csr?: string;
  /** The sender joins, and takes over the keys that sign tokens. */
  readonly wants_token_keys?: boolean;
  /** The authority to trust for the sender, who has a certificate already; PEM. */
  readonly cert_auth?: string;
}

export interface RemoveNodeBack {
  readonly operation: 'remove_node_back';
  readonly name: string;
  readonly generation: number;
}

/** A member wants its certificate renewed. */
export interface SignCertificate {
  readonly operation: 'sign_certificate';
  readonly csr?: string;
}

export interface CreateRequest {
  readonly operation: 'create_csr';
}

export type PeerOperation = AddNodeBack | RemoveNodeBack | SignCertificate | CreateRequest;

export interface JoinAnswer {
  readonly nodeName: string;
  readonly generations: Readonly<Record<string, number>>;
  readonly shard?: number;
  /** For the request that was sent, with the authority that signed it; PEM. */
  readonly certificate?: string;
  readonly signingCA?: string;
  /** The authority to trust for the node that answers. */
  readonly usingCA?: string;
  /** Secrets. */
  readonly tokenKeys?: TokenKeyTexts;
}

const text = { type: 'string', minLength: 1, maxLength: limits.nameCharactersMax * 2 } as const;
const generation = { type: 'integer', minimum: 1, maximum: 2 ** 52 } as const;
const generations = { type: 'object', maxProperties: 2, additionalProperties: generation } as const;
const pem = { type: 'string', minLength: 1, maxLength: limits.pemCharactersMax } as const;
const shard = { type: 'integer', minimum: 0, maximum: 65_535 } as const;

const schemas = {
  add_node_back: {
    type: 'object',
    required: ['hostname', 'url', 'generations'],
    properties: {
      hostname: text,
      target_hostname: text,
      url: { type: ['string', 'null'], maxLength: limits.urlCharactersMax },
      generations,
      member: { type: 'boolean' },
      // Checked by rulesProblem.
      replicates: { type: ['boolean', 'object'] },
      subscriptions: { type: ['array', 'null'] },
      plain: { type: 'boolean' },
      shard,
      authorization: { type: 'string', maxLength: 10_000 },
      csr: pem,
      cert_auth: pem,
      wants_token_keys: { type: 'boolean' },
    },
  },
  remove_node_back: {
    type: 'object',
    required: ['name', 'generation'],
    properties: { name: text, generation },
  },
  sign_certificate: { type: 'object', properties: { csr: pem } },
  create_csr: { type: 'object' },
} as const;

const checks = new Map(
  Object.entries(schemas).map(([name, schema]) => [name, compileSchema(schema)]),
);

const answerProblems = compileSchema({
  type: 'object',
  required: ['nodeName', 'generations'],
  properties: {
    nodeName: text,
    generations,
    shard,
    certificate: pem,
    signingCA: pem,
    usingCA: pem,
    tokenKeys: {
      type: 'object',
      required: ['privateKey', 'publicKey', 'passphrase'],
      additionalProperties: false,
      properties: { privateKey: pem, publicKey: pem, passphrase: text },
    },
  },
});

/** INVALID_REQUEST for anything but the operations of this file. */
export const readPeerOperation = (body: Readonly<Record<string, unknown>>): PeerOperation => {
  const name = asText(body['operation']);
  const problemsOf = checks.get(name);
  if (!problemsOf)
    throw new SkeinError('INVALID_REQUEST', `Operation '${name.slice(0, 100)}' not found`);
  const problems = problemsOf(body);
  const misruled = rulesProblem(body);
  if (misruled !== undefined) problems.push(misruled);
  if (problems.length > 0) throw new SkeinError('INVALID_REQUEST', problems.join('. '));
  return body as unknown as PeerOperation;
};

/** Throws PeerRefused when the other end is somebody else or says nonsense. */
export const readJoinAnswer = (
  answer: Readonly<Record<string, unknown>>,
  expected: string,
  facts: readonly MemberFact[],
): JoinAnswer => {
  const problems = answerProblems(answer);
  if (problems.length > 0) throw new PeerRefused('MALFORMED', `its answer: ${problems.join('. ')}`);
  const { nodeName } = answer;
  if (nodeName !== expected)
    throw new PeerRefused(
      'INVALID_REQUEST',
      `Node name mismatch: expected ${expected}, this is ${asText(nodeName)}`,
    );
  const read = answer as unknown as JoinAnswer;
  const leap = leapIn(facts, read.generations);
  if (leap !== undefined)
    throw new PeerRefused('MALFORMED', `its generation of ${leap} is no next one`);
  return read;
};

/** The first of those nodes whose told generation is far above the one known here. */
export const leapIn = (
  facts: readonly MemberFact[],
  told: Readonly<Record<string, number>>,
): string | undefined =>
  Object.entries(told).find(([name, generation]) =>
    isLeap(generation, facts.find((fact) => fact.name === name)?.generation),
  )?.[0];

/** A node that was removed, or is registered under another name, is brought back only by one that takes part. */
export const takesPart = ({ standing }: MembershipView): boolean =>
  standing === 'alone' || standing === 'member';

/** Where others dial this node; null when it does not listen. */
export const ownUrl = (config: Config): string | null => (listens(config) ? config.node.url : null);
