/**
 * The certificates in the exchange of two nodes that join: what the asking node offers and takes, what the asked one signs
 * and trusts. Used by members.ts and peerOperations.ts. Which rows are written with the outcome is decided there.
 */
import { invalidRequest, messageOf, SkeinError } from '../../protocol/errors.js';
import type { NodeName } from '../../protocol/ids.js';
import { readCertificate, splitBundle } from '../../security/certificates.js';
import { authorityFields } from '../certificateTable.js';
import type { IdentityView } from '../messages.js';
import type { SignedCertificate } from '../ownCertificates.js';
import { PeerRefused } from '../peerOperation.js';
import type { AddNodeBack, JoinAnswer } from './joining.js';
import type { OperationContext } from './context.js';

/** Attributes of `hdb_nodes`; empty: nothing is to be trusted for the node beyond what is. */
type TrustFields = Partial<ReturnType<typeof authorityFields>>;

export interface Offer {
  /** What goes into `add_node_back`. */
  readonly body: { readonly csr?: string; readonly cert_auth?: string };
  /** Without an answer the node could not be known to others. */
  readonly needsAnswer: boolean;
  /** Stores what was signed. Rejects with PeerRefused when the answer is not what was asked for. */
  accept(answer: JoinAnswer): Promise<{ own: TrustFields; target: TrustFields }>;
}

/** A certificate is asked for when there is none that others could believe, or when the operator says so. */
export const offerOf = async (
  context: OperationContext,
  request: { url: string; forceSigning: boolean },
): Promise<Offer> => {
  if (!request.url.startsWith('wss:')) return NO_OFFER;
  const identity = await context.signer<IdentityView>((replyTo) => ({
    type: 'identity.view',
    replyTo,
  }));
  const isKnownToOthers = identity.isUsable && !identity.isSelfSigned;
  return isKnownToOthers && !request.forceSigning
    ? offerAuthority(identity.authority)
    : offerRequest(context);
};

const NO_OFFER: Offer = {
  body: {},
  needsAnswer: false,
  accept: async () => ({ own: {}, target: {} }),
};

const offerAuthority = (authority: string | null): Offer => ({
  body: authority === null ? {} : { cert_auth: authority },
  needsAnswer: false,
  accept: async ({ usingCA }) => ({
    own: authority === null ? {} : authorityFields(authority),
    target: trusted(usingCA),
  }),
});

const offerRequest = async (context: OperationContext): Promise<Offer> => {
  const { csr, privateKeyName } = await context.signer<{ csr: string; privateKeyName: string }>(
    (replyTo) => ({ type: 'request.create', replyTo }),
  );
  return {
    body: { csr },
    needsAnswer: true,
    accept: async ({ certificate, signingCA, usingCA }) => {
      if (certificate === undefined || signingCA === undefined)
        throw new PeerRefused(
          'MALFORMED',
          'Unexpected certificate signature response: it holds no certificate',
        );
      const target = trusted(usingCA);
      await context.signer<void>((replyTo) => ({
        type: 'certificate.store',
        signed: { certificate, signingCA },
        privateKeyName,
        replyTo,
      }));
      return { own: authorityFields(signingCA), target };
    },
  };
};

/** Throws PeerRefused for what is no authority. */
const trusted = (usingCA: string | undefined): TrustFields => {
  if (usingCA === undefined) return {};
  const problem = authorityProblem(usingCA);
  if (problem !== undefined) throw new PeerRefused('MALFORMED', `its authority: ${problem}`);
  return authorityFields(usingCA);
};

export interface Certified {
  /** What goes into the answer. */
  readonly answer: {
    readonly certificate?: string;
    readonly signingCA?: string;
    readonly usingCA?: string;
  };
  /** What is to be trusted for the node that asks, and for this one. */
  readonly sender: TrustFields;
  readonly own: TrustFields;
}

/** The asked node's part. INVALID_REQUEST for a request or an authority that is not as it should be; nothing is stored. */
export const certify = async (
  context: OperationContext,
  from: NodeName,
  { csr, cert_auth: authority }: AddNodeBack,
): Promise<Certified> => {
  if (csr === undefined && authority === undefined) return { answer: {}, sender: {}, own: {} };
  const { authority: usingCA } = await context.signer<IdentityView>((replyTo) => ({
    type: 'identity.view',
    replyTo,
  }));
  const using = usingCA === null ? {} : { usingCA };
  const own = usingCA === null ? {} : authorityFields(usingCA);
  if (csr !== undefined) {
    const signed = await sign(context, csr, from);
    return { answer: { ...signed, ...using }, sender: authorityFields(signed.signingCA), own };
  }
  const problem = authorityProblem(authority ?? '');
  if (problem !== undefined) throw invalidRequest(`'cert_auth': ${problem}`);
  return { answer: using, sender: authorityFields(authority ?? ''), own };
};

/** A certificate for a node under its proven, or announced and authorised, name. */
export const sign = (
  context: OperationContext,
  csr: string,
  name: NodeName,
): Promise<SignedCertificate> =>
  context.signer<SignedCertificate>((replyTo) => ({ type: 'request.sign', csr, name, replyTo }));

const authorityProblem = (bundle: string): string | undefined => {
  try {
    const stranger = splitBundle(bundle).find((pem) => !readCertificate(pem).ca);
    return stranger === undefined ? undefined : 'it is no certificate of an authority';
  } catch (error) {
    return messageOf(error);
  }
};

/** What another member has signed for this node when it was asked to renew; PeerRefused when that is no certificate. */
export const readSigned = (answer: Readonly<Record<string, unknown>>): SignedCertificate => {
  const { certificate, signingCA } = answer;
  if (typeof certificate === 'string' && typeof signingCA === 'string')
    return { certificate, signingCA };
  throw new PeerRefused('MALFORMED', 'the answer holds no certificate');
};

/** 503 while the signer is away, or on a node that has no TLS. */
export const signerUnavailable = (reason: string): SkeinError =>
  new SkeinError(
    'SIGNER_UNAVAILABLE',
    `certificates can be neither asked for nor signed: ${reason}`,
  );
