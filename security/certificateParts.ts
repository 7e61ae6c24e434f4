/**
 * What Node's X509Certificate does not show of a certificate: names, serial and key as bytes, and the extensions.
 * Called by the revocation checks. Reads only; whether a certificate is valid is for Node's TLS to say.
 */
import {
  DerReader,
  bitOf,
  bitStringBytes,
  booleanOf,
  constructedTag,
  identifierOf,
  inside,
  integerBytes,
  onlyElement,
  primitiveTag,
  tags,
  timeOf,
  wholeOf,
} from './der.js';
import { NO_EXTENSIONS, extensionContent, readExtensions, type Extensions } from './extensions.js';

export interface CertificateParts {
  /** Bytes of the number, without leading zeros. */
  readonly serial: Uint8Array;
  /** Whole DER of the names. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The key without its algorithm: what key identifiers are hashes of. */
  readonly publicKeyBits: Uint8Array;
  readonly extensions: Extensions;
}

/** Of a certificate in DER. Throws MALFORMED. */
export function readCertificateParts(der: Uint8Array): CertificateParts {
  const tbs = inside(onlyElement(der, tags.sequence)).enter(tags.sequence);
  tbs.optional(constructedTag(0));
  const serial = integerBytes(tbs.read(tags.integer));
  tbs.read(tags.sequence);
  const issuer = wholeOf(tbs.read(tags.sequence));
  const validity = tbs.enter(tags.sequence);
  const [notBeforeMs, notAfterMs] = [timeOf(validity.any()), timeOf(validity.any())];
  const subject = wholeOf(tbs.read(tags.sequence));
  const keyInfo = tbs.enter(tags.sequence);
  keyInfo.read(tags.sequence);
  const publicKeyBits = bitStringBytes(keyInfo.read(tags.bitString));
  tbs.optional(primitiveTag(1));
  tbs.optional(primitiveTag(2));
  const extensions = readOptionalExtensions(tbs);
  tbs.finish();
  return { serial, issuer, subject, notBeforeMs, notAfterMs, publicKeyBits, extensions };
}

function readOptionalExtensions(tbs: DerReader): Extensions {
  const tagged = tbs.optional(constructedTag(3));
  return tagged === undefined ? NO_EXTENSIONS : readExtensions(inside(tagged));
}

const BASIC_CONSTRAINTS = '2.5.29.19';
const KEY_USAGE = '2.5.29.15';
const EXTENDED_KEY_USAGE = '2.5.29.37';

/** Bits of the key usage extension, RFC 5280 4.2.1.3. */
export const keyUsages = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const;

/** True without the extension: then the key may be used for everything. */
export function mayUseKeyFor({ extensions }: CertificateParts, usage: number): boolean {
  const extension = extensions.get(KEY_USAGE);
  return extension === undefined || bitOf(extensionContent(extension, tags.bitString), usage);
}

export function isAuthority({ extensions }: CertificateParts): boolean {
  const extension = extensions.get(BASIC_CONSTRAINTS);
  if (extension === undefined) return false;
  const authority = inside(extensionContent(extension, tags.sequence)).optional(tags.boolean);
  return authority !== undefined && booleanOf(authority);
}

/** False without the extension: it has to say so. */
export function hasPurpose({ extensions }: CertificateParts, purpose: string): boolean {
  const extension = extensions.get(EXTENDED_KEY_USAGE);
  if (extension === undefined) return false;
  const purposes = inside(extensionContent(extension, tags.sequence));
  while (!purposes.done)
    if (identifierOf(purposes.read(tags.objectIdentifier)) === purpose) return true;
  return false;
}
