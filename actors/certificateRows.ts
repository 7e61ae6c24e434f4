/**
 * Rows of `hdb_certificate`, and what of them and of `hdb_nodes` connections show and trust. Used by the signer actor. Pure:
 * rows and keys are handed in. What cannot be read is named and left out, and never trusted.
 */
import type { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
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
  /** When the file it came from was written, in ms since the epoch; null: it came from no file. */
  readonly fileTimestamp: number | null;
}

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
  const { name, certificate } = row;
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
    fileTimestamp: typeof row['fileTimestamp'] === 'number' ? row['fileTimestamp'] : null,
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

/** Everything a TLS connection shows and trusts, and why some of it was left out. */
export const tlsMaterial = (parts: {
  ownName: NodeName;
  rows: readonly CertificateRow[];
  /** The private key of a row, if it is here and fits. */
  keyOf: (row: CertificateRow) => string | undefined;
  nodes: readonly NodeCertificates[];
  enableRootCAs: boolean;
}): { material: TlsMaterial; problems: string[] } => {
  const { ownName, rows, nodes, enableRootCAs } = parts;
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
  const candidates = rows
    .filter(({ isAuthority }) => !isAuthority)
    .map((row) => servedOf(row, parts, problems))
    .filter((served) => served !== undefined);
  const material = {
    ownName,
    choice: chooseCertificates(candidates, { ownName, use: 'replication' }),
    authorities: [...authorities, ...(enableRootCAs ? rootCertificates : [])],
  };
  return { material, problems };
};

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
      uses: row.uses,
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
