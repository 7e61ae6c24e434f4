/**
 * Which nodes a certificate speaks for: its subject alternative names if it has any, else its common name, never both
 * (RFC 6125 section 6.4.4). Called for every TLS connection, by the accepting and by the dialling side. Says nothing about
 * whether the certificate is to be believed: OpenSSL has judged the chain before.
 */
import type { X509Certificate } from 'node:crypto';
import type { NodeName } from '../protocol/ids.js';
import { canonicalIp, canonicalNodeName } from '../protocol/nodeNames.js';
import { commonNameOf } from './certificates.js';

type Named = Pick<X509Certificate, 'subject'> & {
  /** Undefined: it has none. Null, which Node's types leave out: it has some that OpenSSL cannot read, and names nobody. */
  readonly subjectAltName: string | null | undefined;
};

/**
 * In the order of the certificate, each once. DNS entries name nodes with names, IP entries nodes named by an address;
 * wildcards and all other entries name nobody.
 */
export const identityNames = (certificate: Named): NodeName[] => {
  const { subject, subjectAltName } = certificate;
  const names =
    subjectAltName === undefined
      ? [namedBy(commonNameOf(subject) ?? '', () => true)]
      : alternativeNames(subjectAltName);
  return [...new Set(names.filter((name) => name !== undefined))];
};

/** Undefined: the certificate speaks for that node. Otherwise what is wrong, for the log. */
export const identityProblem = (certificate: Named, expected: NodeName): string | undefined => {
  const names = identityNames(certificate);
  if (names.includes(expected)) return undefined;
  const said = names.length === 0 ? 'no node' : names.join(', ');
  return `Node name mismatch: expected ${expected}, the certificate names ${said}`;
};

/**
 * The names that a server may show the certificate for, as they stand in it, wildcards included: for the choice between
 * certificates, never for who somebody is.
 */
export const servedNames = ({ subject, subjectAltName }: Named): string[] => {
  if (subjectAltName === undefined) return [commonNameOf(subject) ?? ''].filter(Boolean);
  return (readAlternativeNames(subjectAltName) ?? [])
    .filter(({ type, value }) => (type === 'DNS' || type === 'IP Address') && value !== '')
    .map(({ value }) => value);
};

const alternativeNames = (text: string | null): (NodeName | undefined)[] =>
  (readAlternativeNames(text) ?? []).map(({ type, value }) => {
    if (type === 'DNS') return namedBy(value, (name) => canonicalIp(name) === undefined);
    if (type === 'IP Address') return namedBy(value, (name) => canonicalIp(name) !== undefined);
    return undefined;
  });

const namedBy = (text: string, isMeant: (name: string) => boolean): NodeName | undefined => {
  try {
    const name = canonicalNodeName(text);
    return isMeant(name) ? name : undefined;
  } catch {
    // What is no node's name identifies no node.
    return undefined;
  }
};

const ENTRY = /([A-Za-z][A-Za-z ]*):("(?:[^"\\]|\\.)*"|[^",]*)(?:, (?=.)|$)/sy;

/**
 * Node writes `TYPE:value, TYPE:value` and puts a value with a separator or quote in it between quotes, as JSON does.
 * Undefined: the text is anything else, and then none of it counts.
 */
const readAlternativeNames = (
  text: string | null,
): { type: string; value: string }[] | undefined => {
  if (text === null) return undefined;
  const entries: { type: string; value: string }[] = [];
  ENTRY.lastIndex = 0;
  for (let at = 0; at < text.length; at = ENTRY.lastIndex) {
    const [, type, value] = ENTRY.exec(text) ?? [];
    if (type === undefined || value === undefined) return undefined;
    // A quoted value holds a character that no node's name has.
    entries.push({ type, value: value.startsWith('"') ? '' : value });
  }
  return entries;
};
