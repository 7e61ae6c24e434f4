/**
 * Extensions as X.509 writes them in certificates, revocation lists and OCSP answers (RFC 5280, 4.2): which there are,
 * and whether one must not be ignored. Called by the readers of those three; knows no single extension's content.
 */
import {
  DerReader,
  booleanOf,
  identifierOf,
  inside,
  malformed,
  tags,
  type DerElement,
} from './der.js';

export interface Extension {
  readonly critical: boolean;
  /** The OCTET STRING; what is inside is DER again. */
  readonly value: DerElement;
}

export type Extensions = ReadonlyMap<string, Extension>;

export const NO_EXTENSIONS: Extensions = new Map();

/** By object identifier. Throws MALFORMED, also when one is there twice. */
export function readExtensions(list: DerReader): Extensions {
  const found = new Map<string, Extension>();
  const reader = list.enter(tags.sequence);
  list.finish();
  while (!reader.done) {
    const fields = reader.enter(tags.sequence);
    const identifier = fields.read(tags.objectIdentifier);
    const critical = fields.optional(tags.boolean);
    const value = fields.read(tags.octetString);
    fields.finish();
    const name = identifierOf(identifier);
    if (found.has(name)) throw malformed(`extension ${name} twice`, identifier.start);
    found.set(name, { critical: critical !== undefined && booleanOf(critical), value });
  }
  return found;
}

/** The first critical extension that is not among the known ones. */
export function unknownCritical(
  extensions: Extensions,
  known: ReadonlySet<string>,
): string | undefined {
  for (const [name, { critical }] of extensions) if (critical && !known.has(name)) return name;
  return undefined;
}

/** The one element inside an extension. */
export function extensionContent({ value }: Extension, tag: number): DerElement {
  const reader = inside(value);
  const element = reader.read(tag);
  reader.finish();
  return element;
}
