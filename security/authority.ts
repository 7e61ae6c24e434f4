/**
 * A node's own certificate authority: made at its first start, it signs the node's first certificate and those of nodes
 * that join through this one. Called by the signer actor. Serials, times and keys come from outside.
 */
import type { KeyObject } from 'node:crypto';
import type { Certificate, Extension } from 'pkijs';
import { detailsOf, readCertificate } from './certificates.js';
import {
  authorityExtensions,
  keyIdentifier,
  keyIdentifierIn,
  keyIdentifiers,
  nodeExtensions,
} from './certificateExtensions.js';
import { publicKeyOf } from './keys.js';
import {
  commonName,
  commonNameFor,
  loadPki,
  publicKeyInfo,
  signingKey,
  toPem,
  type Pki,
} from './pki.js';

const DAY_MS = 86_400_000;
/** Common names begin with this in every authority that a node has made for itself. */
const OWN_AUTHORITY = 'Skein-Certificate-Authority-';
const AUTHORITY_DAYS = 3_650;
/** What browsers accept at most, and so a known limit. */
export const NODE_CERTIFICATE_DAYS_MAX = 397;
/** Nodes whose clock is behind take the certificate all the same. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

/** A certificate authority with its key; PEM. */
export interface Authority {
  readonly certificate: string;
  readonly key: string;
}

/**
 * The certificate of an authority over itself, valid for ten years. `label` is the node's name or a few random digits;
 * `serial` is made by `certificateSerial`.
 */
export const createAuthority = async (parts: {
  label: string;
  key: string;
  serial: string;
  nowMs: number;
}): Promise<string> => {
  const pki = await loadPki();
  const subject = publicKeyInfo(pki, publicKeyOf(parts.key));
  const certificate = new pki.pkijs.Certificate({ version: 2 });
  const name = commonName(pki, commonNameFor(`${OWN_AUTHORITY}${parts.label}`));
  certificate.issuer = name;
  certificate.subject = name;
  certificate.subjectPublicKeyInfo = subject;
  const until = parts.nowMs + AUTHORITY_DAYS * DAY_MS;
  return sign(pki, certificate, {
    serial: parts.serial,
    key: parts.key,
    extensions: [
      ...authorityExtensions(pki),
      ...keyIdentifiers(pki, { subject, issuer: keyIdentifier(subject) }),
    ],
    validity: { fromMs: parts.nowMs - CLOCK_TOLERANCE_MS, toMs: until },
  });
};

/** Whether a name (as OpenSSL writes it) is that of an authority which a node made for itself. */
export const isOwnAuthorityName = (name: string): boolean =>
  name.split('\n').some((line) => line.startsWith(`CN=${OWN_AUTHORITY}`));

/**
 * A certificate for a node, signed by the authority and valid for at most 397 days, never longer than the authority.
 * It names exactly `names`, the first of them as common name too.
 */
export const issueCertificate = async (parts: {
  authority: Authority;
  publicKey: KeyObject;
  names: readonly string[];
  serial: string;
  nowMs: number;
}): Promise<string> => {
  const pki = await loadPki();
  const issuer = pki.pkijs.Certificate.fromBER(readCertificate(parts.authority.certificate).raw);
  const certificate = new pki.pkijs.Certificate({ version: 2 });
  const subject = publicKeyInfo(pki, parts.publicKey);
  certificate.issuer = issuer.subject;
  certificate.subject = commonName(pki, commonNameFor(parts.names[0] ?? ''));
  certificate.subjectPublicKeyInfo = subject;
  const issuerKey =
    keyIdentifierIn(pki, issuer.extensions) ?? keyIdentifier(issuer.subjectPublicKeyInfo);
  const fromMs = parts.nowMs - CLOCK_TOLERANCE_MS;
  const { validToMs } = detailsOf(readCertificate(parts.authority.certificate));
  return sign(pki, certificate, {
    serial: parts.serial,
    key: parts.authority.key,
    extensions: [
      ...nodeExtensions(pki, parts.names),
      ...keyIdentifiers(pki, { subject, issuer: issuerKey }),
    ],
    validity: { fromMs, toMs: Math.min(fromMs + NODE_CERTIFICATE_DAYS_MAX * DAY_MS, validToMs) },
  });
};

/** 127 bits of 32 random hexadecimal digits as a serial that is positive and has no leading zero byte. */
export const certificateSerial = (random: string): string => {
  const first = (parseInt(random.slice(0, 2), 16) & 0x7f) | 0x40;
  return first.toString(16) + random.slice(2, 32);
};

const sign = async (
  pki: Pki,
  certificate: Certificate,
  parts: {
    serial: string;
    key: string;
    extensions: Extension[];
    validity: { fromMs: number; toMs: number };
  },
): Promise<string> => {
  const { pkijs, asn1js, engine } = pki;
  const time = (ms: number) => new pkijs.Time({ type: timeType(ms), value: new Date(ms) });
  certificate.serialNumber = new asn1js.Integer({ valueHex: Buffer.from(parts.serial, 'hex') });
  certificate.notBefore = time(parts.validity.fromMs);
  certificate.notAfter = time(parts.validity.toMs);
  certificate.extensions = parts.extensions;
  await certificate.sign(await signingKey(pki, parts.key), 'SHA-256', engine);
  return toPem('CERTIFICATE', certificate.toSchema(true).toBER());
};

/** RFC 5280 section 4.1.2.5: two digits for the year through 2049, four from 2050 on. */
const timeType = (ms: number): 0 | 1 => (new Date(ms).getUTCFullYear() < 2050 ? 0 : 1);
