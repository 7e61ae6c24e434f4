/**
 * Who may sign an OCSP answer (RFC 6960, 4.2.2.2): the issuer of the certificate, or a responder whose certificate the
 * issuer has signed for that purpose. Called by ocsp.ts. Whether a responder's own certificate was revoked is not asked.
 */
import { X509Certificate, createHash, type KeyObject } from 'node:crypto';
import { messageOf } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { hasPurpose, readCertificateParts, type CertificateParts } from './certificateParts.js';
import { constructedTag, contentOf, inside, tags, wholeOf, type DerElement } from './der.js';
import { invalid } from './refusals.js';
import { isSignedBy, readSigned, type Signed } from './signatures.js';

const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';

export interface SignedAnswer {
  readonly signed: Signed;
  /** How the answer names its signer: by name or by hash of the key. */
  readonly responder: DerElement;
  /** The certificates that came with it. */
  readonly certificates: readonly DerElement[];
  readonly nowMs: number;
}

/** Throws AnswerRefused, or MALFORMED. */
export function isByResponder(answer: SignedAnswer, issuer: X509Certificate): boolean {
  const { signed, responder, certificates, nowMs } = answer;
  if (certificates.length > limits.ocspCertificatesMax) throw invalid('has too many certificates');
  const issuerParts = readCertificateParts(issuer.raw);
  if (isNamed(responder, issuerParts)) return isSignedBy(signed, issuer.publicKey);
  return certificates.some((element) => {
    const der = wholeOf(element);
    const parts = readCertificateParts(der);
    if (!isNamed(responder, parts)) return false;
    return (
      isAppointed(parts, issuerParts, nowMs) &&
      isSignedBy(readSigned(der), issuer.publicKey) &&
      isSignedBy(signed, publicKeyOf(der))
    );
  });
}

function isNamed(responder: DerElement, { subject, publicKeyBits }: CertificateParts): boolean {
  const isEqual = (bytes: Uint8Array, element: Uint8Array): boolean =>
    Buffer.from(bytes).equals(element);
  if (responder.tag === constructedTag(1))
    return isEqual(subject, wholeOf(inside(responder).read(tags.sequence)));
  if (responder.tag !== constructedTag(2)) throw invalid('does not name its responder');
  const keyHash = createHash('sha1').update(publicKeyBits).digest();
  return isEqual(keyHash, contentOf(inside(responder).read(tags.octetString)));
}

const isAppointed = (parts: CertificateParts, issuer: CertificateParts, nowMs: number): boolean =>
  Buffer.from(parts.issuer).equals(issuer.subject) &&
  hasPurpose(parts, OCSP_SIGNING) &&
  parts.notBeforeMs <= nowMs &&
  nowMs < parts.notAfterMs;

function publicKeyOf(der: Uint8Array): KeyObject {
  try {
    return new X509Certificate(der).publicKey;
  } catch (thrown) {
    throw invalid(`has a certificate that cannot be read: ${messageOf(thrown)}`);
  }
}
