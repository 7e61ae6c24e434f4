/**
 * Where a certificate says its revocation can be asked: lists (RFC 5280, 4.2.1.13) and responders (4.2.2.1).
 * Called by the revocation checks. Reads addresses; asks nobody.
 */
import { limits } from '../protocol/limits.js';
import type { CertificateParts } from './certificateParts.js';
import {
  DerReader,
  constructedTag,
  contentOf,
  identifierOf,
  inside,
  malformed,
  primitiveTag,
  tags,
} from './der.js';
import { extensionContent } from './extensions.js';

export interface RevocationPoints {
  /** Undefined: names none. Empty: names some, but none that can be asked over HTTP for all reasons. */
  readonly lists?: readonly string[];
  readonly responders?: readonly string[];
}

const DISTRIBUTION_POINTS = '2.5.29.31';
const AUTHORITY_ACCESS = '1.3.6.1.5.5.7.1.1';
const OCSP = '1.3.6.1.5.5.7.48.1';

/** Throws MALFORMED, also for more addresses than limits.revocationAddressesMax. */
export function readRevocationPoints(parts: CertificateParts): RevocationPoints {
  const lists = readLists(parts);
  const responders = readResponders(parts);
  return { ...(lists && { lists }), ...(responders && { responders }) };
}

function readLists({ extensions }: CertificateParts): string[] | undefined {
  const extension = extensions.get(DISTRIBUTION_POINTS);
  if (extension === undefined) return undefined;
  const points = inside(extensionContent(extension, tags.sequence));
  const found: string[] = [];
  while (!points.done) found.push(...readPoint(points.enter(tags.sequence)));
  return bounded(found);
}

/** A point for some reasons only, or of another issuer's list, says nothing about the certificate as a whole. */
function readPoint(fields: DerReader): string[] {
  const name = fields.optional(constructedTag(0));
  const reasons = fields.optional(primitiveTag(1));
  const otherIssuer = fields.optional(constructedTag(2));
  fields.finish();
  if (name === undefined || reasons !== undefined || otherIssuer !== undefined) return [];
  return readPointName(inside(name)).filter(isWebAddress);
}

/** Addresses in the name of a distribution point, also of the one in a list itself; empty for relative names. */
export function readPointName(name: DerReader): string[] {
  const full = name.optional(constructedTag(0));
  if (full === undefined) return [];
  const names = inside(full);
  const found: string[] = [];
  while (!names.done) {
    const one = names.any();
    if (one.tag === ADDRESS) found.push(textOf(contentOf(one)));
  }
  return found;
}

function readResponders({ extensions }: CertificateParts): string[] | undefined {
  const extension = extensions.get(AUTHORITY_ACCESS);
  if (extension === undefined) return undefined;
  const descriptions = inside(extensionContent(extension, tags.sequence));
  const found: string[] = [];
  while (!descriptions.done) {
    const fields = descriptions.enter(tags.sequence);
    const method = identifierOf(fields.read(tags.objectIdentifier));
    const place = fields.any();
    if (method === OCSP) found.push(place.tag === ADDRESS ? textOf(contentOf(place)) : '');
  }
  return found.length === 0 ? undefined : bounded(found).filter(isWebAddress);
}

const ADDRESS = primitiveTag(6);

const isWebAddress = (text: string): boolean => /^https?:\/\//i.test(text);

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

function bounded(found: string[]): string[] {
  if (found.length > limits.revocationAddressesMax || found.some(isTooLong))
    throw malformed('too many or too long addresses to ask about revocation', 0);
  return found;
}

const isTooLong = (text: string): boolean => text.length > limits.urlCharactersMax;
