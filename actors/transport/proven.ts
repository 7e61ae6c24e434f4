/**
 * What a socket proves about its other end: on TLS what OpenSSL made of the certificate, else the address. Called once for
 * each WebSocket. Trusts nothing itself, and whoever gets the answer decides what it is good for.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { nodeName, type NodeName } from '../../protocol/ids.js';
import { detailsOf, shownDetails } from '../../security/certificates.js';
import { identityNames } from '../../security/identity.js';
import type { Proven } from './types.js';

export const provenBy = (socket: Socket, address: string): Proven => {
  if (!(socket instanceof TLSSocket)) return { kind: 'address', name: nodeName(address) };
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined)
    return { kind: 'unproven', reason: 'no certificate was shown', claims: null };
  if (!socket.authorized) {
    const claims = shownDetails(certificate.toString());
    return {
      kind: 'unproven',
      reason: `the certificate is not trusted: ${explain(codeOf(socket.authorizationError))}`,
      claims: `subject ${claims.subject}, issuer ${claims.issuer}, valid from ${claims.validFrom} to ${claims.validTo}`,
    };
  }
  const { serial, validToMs } = detailsOf(certificate);
  return {
    kind: 'certificate',
    names: identityNames(certificate),
    certificate: {
      pem: certificate.toString(),
      issuerPem: certificate.issuerCertificate?.toString() ?? null,
      serial,
      validToMs,
    },
  };
};

/** The names under which a connection may act; none when nothing is proven. */
export const provenNames = (proven: Proven): readonly NodeName[] => {
  switch (proven.kind) {
    case 'address':
      return [proven.name];
    case 'certificate':
      return proven.names;
    case 'unproven':
      return [];
    default:
      return proven satisfies never;
  }
};

/** OpenSSL's code; Node's types have an Error there. */
const codeOf = (error: unknown): string => {
  if (typeof error === 'string') return error;
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'UNSPECIFIED';
};

const HINTS: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not known here',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not known here',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet, or the clocks differ',
  INVALID_PURPOSE: 'it is not meant for connections between nodes',
};

/** A code of OpenSSL with what it means for whoever has to act on it. */
export const explain = (code: string): string =>
  HINTS[code] === undefined ? code : `${HINTS[code]} (${code})`;
