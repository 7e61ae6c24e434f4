/**
 * Rows of `hdb_certificate`, and what of them and of `hdb_nodes` connections show and trust. Used by the signer actor. Pure:
 * rows and keys are handed in. What cannot be read is named and left out, and never trusted.
 */
import type { X509Certificate } from 'node:crypto';
import { asText, messageOf } from '../protocol/errors.js';
import type { NodeName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { RecordObject } from '../protocol/operations.js';
import {
  commonNameOf,
  readCertificate,
  shownDetails,
  splitBundle,
} from '../security/certificates.js';
import { chooseCertificates } from '../security/choice.js';
import { servedNames } from '../security/identity.js';
import {
  secureContextOf,
  type ServedCertificate,
  type TlsMaterial,
} from './transport/secureContexts.js';

export interface CertificateRow {
  readonly name: string;
  /** PEM; authorities between it and the trusted one may follow it. */
  readonly certificate: string;
  readonly isAuthority: boolean;
  /** Signed by itself or by the authority that this node made for itself. */
  readonly isSelfSigned: boolean;
  /** Its file in the directory of keys; null: the key is not here. */
  readonly privateKeyName: string | null;
  readonly uses: readonly string[];
  readonly hostnames: readonly string[];
  readonly ciphers: string | null;
  /** When the file it came from was written, in ms since the epoch; 0: it stands in the configuration; null: neither. */
  readonly fileTimestamp: number | null;
  /** From the operator, be it by configuration or by add_certificate: this node does not renew it. */
  readonly isProvided: boolean;
  /** When the row was written, in ms since the epoch; null: it has not been stored yet. */
  readonly writtenMs: number | null;
}

/** What a row says unless more is known. */
export const PLAIN_ROW = {
  isAuthority: false,
  isSelfSigned: false,
  privateKeyName: null,
  uses: [],
  hostnames: [],
  ciphers: null,
  fileTimestamp: null,
  isProvided: false,
  writtenMs: null,
} as const;

/** What the node table says about one node's certificates. */
export interface NodeCertificates {
  readonly name: NodeName;
  readonly url: string | null;
  /** PEM of the authorities that others have to trust for it. */
  readonly authority: string | null;
  readonly revokedSerials: readonly string[];
}

/** A text says why the row cannot be used. */
export const readCertificateRow = (row: RecordObject): CertificateRow | string => {
  const { name, certificate, fileTimestamp, __updatedtime__: written } = row;
  if (typeof name !== 'string' || typeof certificate !== 'string')
    return `certificate '${asText(name)}': it has no name or no certificate`;
  try {
    readCertificate(certificate);
  } catch (error) {
    return `certificate '${name}': ${messageOf(error)}`;
  }
  return {
    name,
    certificate,
    isAuthority: row['is_authority'] === true,
    isSelfSigned: row['is_self_signed'] === true,
    privateKeyName: textIn(row['private_key_name']),
    uses: textsIn(row['uses']),
    hostnames: textsIn(row['hostnames']),
    ciphers: textIn(row['ciphers']),
    fileTimestamp: typeof fileTimestamp === 'number' ? fileTimestamp : null,
    isProvided: row['is_provided'] === true,
    writtenMs: typeof written === 'number' ? written : null,
  };
};

export const readNodeCertificates = (row: RecordObject): NodeCertificates | undefined => {
  const { name, url, ca, revoked_certificates: revoked } = row;
  if (typeof name !== 'string') return undefined;
  return {
    name: name as NodeName,
    url: textIn(url),
    authority: textIn(ca),
    revokedSerials: textsIn(revoked),
  };
};

/** The row as it is stored, with what the certificate says beside it. */
export const certificateRecord = (row: CertificateRow): RecordObject => {
  const shown = shownDetails(row.certificate);
  return {
    name: row.name,
    certificate: row.certificate,
    is_authority: row.isAuthority,
    is_self_signed: row.isSelfSigned,
    private_key_name: row.privateKeyName,
    uses: row.uses,
    hostnames: row.hostnames,
    ciphers: row.ciphers,
    fileTimestamp: row.fileTimestamp,
    is_provided: row.isProvided,
    details: {
      issuer: shown.issuer,
      subject: shown.subject,
      subject_alt_name: shown.subjectAltName,
      serial_number: shown.serialNumber,
      valid_from: shown.validFrom,
      valid_to: shown.validTo,
    },
  };
};

/** Name of the row of an authority: the common name of who issued it, which for a root is itself. */
export const authorityRowName = (certificate: string): string => {
  const read = readCertificate(certificate);
  return commonNameOf(read.issuer) ?? commonNameOf(read.subject) ?? read.serialNumber;
};

/** Another authority may have the name already: one of a node that was set up anew, for instance. */
export const authorityRow = (
  rows: readonly CertificateRow[],
  certificate: string,
): CertificateRow => {
  const name = authorityRowName(certificate);
  const held = rows.find((row) => row.name === name);
  if (held?.certificate.trim() === certificate.trim()) return held;
  const { serialNumber } = readCertificate(certificate);
  return {
    ...PLAIN_ROW,
    name: held === undefined ? name : `${name}-${serialNumber.slice(0, 8)}`,
    certificate,
    isAuthority: true,
  };
};

/** The first row whose certificate has signed the other. */
export const issuerAmong = (
  rows: readonly CertificateRow[],
  certificate: X509Certificate,
): CertificateRow | undefined =>
  rows.find((row) => row.isAuthority && isIssuer(row.certificate, certificate));

const isIssuer = (authority: string, certificate: X509Certificate): boolean => {
  const issuer = readCertificate(authority);
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
};

/**
 * Everything that connections show and trust, those between nodes and those of HTTPS clients, and why some of it was left
 * out. Neither trusts an authority of the other's.
 */
export const tlsMaterial = (parts: {
  ownName: NodeName;
  rows: readonly CertificateRow[];
  /** The private key of a row, if it is here and fits. */
  keyOf: (row: CertificateRow) => string | undefined;
  nodes: readonly NodeCertificates[];
  /** Trusted for nodes beside what the tables say. */
  publicAuthorities: readonly string[];
  /** Trusted for clients of the operations API. */
  clientAuthorities: readonly string[];
}): { replication: TlsMaterial; operations: TlsMaterial; problems: string[] } => {
  const { ownName, rows, nodes, publicAuthorities, clientAuthorities } = parts;
  const problems: string[] = [];
  const authorities = new Set<string>();
  const trust = (bundle: string, where: string): void => {
    try {
      for (const pem of splitBundle(bundle)) trustOne(pem, authorities);
    } catch (error) {
      problems.push(`${where}: ${messageOf(error)}`);
    }
  };
  for (const row of rows) if (row.isAuthority) trust(row.certificate, `certificate '${row.name}'`);
  for (const { name, authority } of nodes)
    if (authority !== null) trust(authority, `'ca' of the node '${name}'`);
  // Of equally good ones the first is shown: what the operator has provided.
  const candidates = rows
    .filter(({ isAuthority }) => !isAuthority)
    .toSorted((a, b) => Number(b.isProvided) - Number(a.isProvided))
    .map((row) => servedOf(row, parts, problems))
    .filter((served) => served !== undefined);
  const shownFor = (use: 'replication' | 'operations', trusted: readonly string[]) => ({
    ownName,
    choice: chooseCertificates(candidates, { ownName, use }),
    authorities: trusted,
  });
  return {
    replication: shownFor('replication', [...authorities, ...publicAuthorities]),
    operations: shownFor('operations', clientAuthorities),
    problems,
  };
};

/** Other words for the two listeners. */
const USES: ReadonlyMap<string, string> = new Map([
  ['wss', 'replication'],
  ['https', 'operations'],
  ['server', 'operations'],
  ['operations-api', 'operations'],
]);

const trustOne = (pem: string, authorities: Set<string>): void => {
  if (!readCertificate(pem).ca) throw new Error('it is no certificate of an authority');
  if (authorities.size >= limits.trustedAuthoritiesMax && !authorities.has(pem))
    throw new Error(`more than ${limits.trustedAuthoritiesMax} authorities`);
  authorities.add(pem);
};

const servedOf = (
  row: CertificateRow,
  { rows, keyOf }: Pick<Parameters<typeof tlsMaterial>[0], 'rows' | 'keyOf'>,
  problems: string[],
): ServedCertificate | undefined => {
  try {
    const certificate = readCertificate(row.certificate);
    const key = keyOf(row);
    if (key === undefined) throw new Error('its private key is not here');
    const issuer = issuerAmong(rows, certificate);
    const isAlone = splitBundle(row.certificate).length === 1;
    const served: ServedCertificate = {
      id: row.name,
      chain: row.certificate + (issuer && isAlone ? `\n${issuer.certificate}` : ''),
      key,
      names: row.hostnames.length > 0 ? row.hostnames : servedNames(certificate),
      isSelfSigned: row.isSelfSigned,
      uses: row.uses.map((use) => USES.get(use) ?? use),
      ...(row.ciphers !== null && { ciphers: row.ciphers }),
    };
    // What OpenSSL refuses to show must not take the others with it.
    secureContextOf(served, []);
    return served;
  } catch (error) {
    problems.push(`certificate '${row.name}': ${messageOf(error)}`);
    return undefined;
  }
};

const textIn = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null;

const textsIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
