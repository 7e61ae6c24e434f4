/**
 * What certificates say: read with Node's own X509Certificate, so that the reader is the one that judges chains. Called
 * by the signer, the choice of certificates and the operations that show them. Believes nothing: identity is identity.ts.
 */
import { X509Certificate } from 'node:crypto';
import { messageOf, SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';

export interface CertificateDetails {
  /** One per line, as OpenSSL writes names. */
  readonly issuer: string;
  readonly subject: string;
  /** As Node writes it; empty when there is none. */
  readonly subjectAltName: string;
  /** Upper-case hexadecimal digits. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly validFromMs: number;
  readonly validToMs: number;
  /** May sign certificates. */
  readonly isAuthority: boolean;
  /** Issued by itself. */
  readonly isSelfSigned: boolean;
}

/** The certificate of a PEM text, the first of a bundle. INVALID_CERTIFICATE_FORMAT when there is none. */
export const readCertificate = (pem: string): X509Certificate => {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new SkeinError(
      'INVALID_CERTIFICATE_FORMAT',
      `the certificate cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
};

export const detailsOf = (certificate: X509Certificate): CertificateDetails => ({
  issuer: textOf(certificate.issuer),
  subject: textOf(certificate.subject),
  subjectAltName: textOf(certificate.subjectAltName),
  serial: certificate.serialNumber,
  validFromMs: Date.parse(certificate.validFrom),
  validToMs: Date.parse(certificate.validTo),
  isAuthority: certificate.ca,
  isSelfSigned: certificate.checkIssued(certificate),
});

/** Node has nothing for an empty name, whatever its types say. */
const textOf = (name: string | undefined): string => name ?? '';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * The certificates of a bundle, each as a PEM text of its own, in their order. INVALID_CERTIFICATE_FORMAT when there is
 * none, when one cannot be read, or when there are more than limits.certificatesPerBundleMax.
 */
export const splitBundle = (text: string): string[] => {
  const found = text.match(PEM_CERTIFICATE) ?? [];
  if (found.length === 0 || found.length > limits.certificatesPerBundleMax)
    throw new SkeinError(
      'INVALID_CERTIFICATE_FORMAT',
      `expected 1 to ${limits.certificatesPerBundleMax} PEM certificates, found ${found.length}`,
    );
  return found.map((pem) => readCertificate(pem).toString());
};

/** The value of the one CN in a name as Node writes it (an empty one is undefined there); undefined when there is none, or more than one. */
export const commonNameOf = (name: string | undefined): string | undefined => {
  const values = textOf(name)
    .split('\n')
    .filter((line) => line.startsWith('CN='));
  return values.length === 1 ? values[0]?.slice(3) : undefined;
};

/** How rows of `hdb_certificate` and `ca_info` in `hdb_nodes` show a certificate: names on one line, times as text. */
export const shownDetails = (pem: string) => {
  const certificate = readCertificate(pem);
  const oneLine = (text: string | undefined): string => textOf(text).replaceAll('\n', ' ');
  return {
    issuer: oneLine(certificate.issuer),
    subject: oneLine(certificate.subject),
    subjectAltName: oneLine(certificate.subjectAltName),
    serialNumber: certificate.serialNumber,
    validFrom: certificate.validFrom,
    validTo: certificate.validTo,
  };
};
