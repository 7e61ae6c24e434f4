/**
 * A certificate revocation list (RFC 5280, 5), read from DER or PEM in two walks over its bytes, whatever its length,
 * and searched by serial number. Called by crlReading.ts, here or in a thread of its own. A list that is not the whole
 * word of its issuer (delta, indirect, for some reasons) is refused. Fetches nothing, keeps nothing.
 */
import { X509Certificate } from 'node:crypto';
import {
  keyUsages,
  mayUseKeyFor,
  readCertificateParts,
  type CertificateParts,
} from './certificateParts.js';
import {
  DerReader,
  booleanOf,
  constructedTag,
  inside,
  integerBytes,
  primitiveTag,
  smallNumber,
  tags,
  timeOf,
  wholeOf,
  type DerElement,
} from './der.js';
import { NO_EXTENSIONS, extensionContent, readExtensions, unknownCritical } from './extensions.js';
import type { Extensions } from './extensions.js';
import { invalid, unusable } from './refusals.js';
import { readPointName } from './revocationPoints.js';
import { addSerial, createSerialIndex, findSerial, type SerialIndex } from './serialIndex.js';
import { isSignedBy, readSigned } from './signatures.js';

/** Nothing but bytes, numbers and texts: threads hand it to each other. */
export interface RevocationList {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly index: SerialIndex;
  readonly entries: { readonly count: number; readonly from: number; readonly to: number };
  readonly thisUpdateMs: number;
  /** The one in the list, or thisUpdate + 7 days. */
  readonly nextUpdateMs: number;
  readonly scope: ListScope;
}

/** Which certificates of its issuer the list is about. */
interface ListScope {
  /** Empty: all; otherwise those that name one of these addresses. */
  readonly addresses: readonly string[];
  readonly only?: 'users' | 'authorities';
}

export interface RevokedEntry {
  /** Bytes of the number, without leading zeros. */
  readonly serial: Uint8Array;
  readonly revokedAtMs: number;
  /** Name of RFC 5280, 5.3.1; `unspecified` when the entry has none. */
  readonly reason: string;
}

const DAY_MS = 86_400_000;
const NEXT_UPDATE_MISSING_MS = 7 * DAY_MS;

/**
 * The list, signed by the issuer (a certificate in DER). Throws AnswerRefused, or MALFORMED for bytes that are no list.
 */
export function readRevocationList(
  sent: Uint8Array<ArrayBuffer>,
  issuerDer: Uint8Array,
): RevocationList {
  const bytes = derOf(sent);
  const signed = readSigned(bytes);
  const fields = inside(signed.content);
  const version = fields.optional(tags.integer);
  const algorithm = fields.read(tags.sequence);
  if (!Buffer.from(wholeOf(algorithm)).equals(wholeOf(signed.algorithm)))
    throw invalid('names two algorithms');
  checkIssuer(wholeOf(fields.read(tags.sequence)), readCertificateParts(issuerDer));
  if (!isSignedBy(signed, new X509Certificate(issuerDer).publicKey))
    throw invalid('signature verification failed');
  const thisUpdateMs = timeOf(fields.any());
  const next = fields.optional(tags.utcTime, tags.generalizedTime);
  const nextUpdateMs = next === undefined ? thisUpdateMs + NEXT_UPDATE_MISSING_MS : timeOf(next);
  if (nextUpdateMs < thisUpdateMs) throw invalid('ends before it begins');
  const revoked = fields.optional(tags.sequence);
  const tagged = fields.optional(constructedTag(0));
  fields.finish();
  const extensions = tagged === undefined ? NO_EXTENSIONS : readExtensions(inside(tagged));
  if (version !== undefined && smallNumber(version) !== 1) throw unusable('has an unknown version');
  const scope = readScope(extensions);
  return { bytes, ...indexOf(bytes, revoked), thisUpdateMs, nextUpdateMs, scope };
}

/** Undefined: the list does not revoke it. */
export function findRevoked(list: RevocationList, serial: Uint8Array): RevokedEntry | undefined {
  const place = findSerial(list.index, list.bytes, serial);
  return place === undefined ? undefined : readEntry(new DerReader(list.bytes, place));
}

/** All entries, in the order of the list. */
export function* revokedEntries(list: RevocationList): Generator<RevokedEntry> {
  const reader = new DerReader(list.bytes, list.entries.from, list.entries.to);
  while (!reader.done) yield readEntry(reader);
}

/** Bytes that the list takes in memory. */
export const heldBytes = ({ bytes, index }: RevocationList): number =>
  bytes.length + index.byteLength;

/** Undefined, or why the list says nothing about this certificate. */
export function outOfScope(
  { scope }: RevocationList,
  about: { readonly isAuthority: boolean; readonly addresses: readonly string[] },
): string | undefined {
  if (scope.only !== undefined && (scope.only === 'authorities') !== about.isAuthority)
    return `is for certificates of ${scope.only} only`;
  const { addresses } = scope;
  if (addresses.length > 0 && !addresses.some((one) => about.addresses.includes(one)))
    return 'is for certificates that name another address';
  return undefined;
}

const PEM = /-----BEGIN (?:X509 )?CRL-----([A-Za-z0-9+/=\s]*)-----END (?:X509 )?CRL-----/;
const DASH = 0x2d;

/** DER begins with the tag of a sequence; text in front of PEM is left out by nobody we know. */
function derOf(sent: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const first = sent.find((byte) => byte > 0x20);
  if (first !== DASH) return sent;
  const text = Buffer.from(sent.buffer, sent.byteOffset, sent.length).toString('latin1');
  const encoded = PEM.exec(text)?.[1];
  if (encoded === undefined) throw invalid('is no PEM of a revocation list');
  return Uint8Array.from(Buffer.from(encoded, 'base64'));
}

/** Whoever else may sign a list (indirect lists), we take none of theirs. */
function checkIssuer(name: Uint8Array, issuer: CertificateParts): void {
  if (!Buffer.from(name).equals(issuer.subject))
    throw invalid('is of another issuer than the certificate');
  if (!mayUseKeyFor(issuer, keyUsages.cRLSign))
    throw invalid('is by an issuer whose certificate is not for signing lists');
}

const DELTA = '2.5.29.27';
const ISSUING_POINT = '2.5.29.28';
/** Authority key, number, issuing point, freshest list, other names: they do not change what an entry means. */
const KNOWN = new Set(['2.5.29.35', '2.5.29.20', ISSUING_POINT, '2.5.29.46', '2.5.29.18']);

function readScope(extensions: Extensions): ListScope {
  if (extensions.has(DELTA)) throw unusable('is a delta list');
  const unknown = unknownCritical(extensions, KNOWN);
  if (unknown !== undefined) throw unusable(`has the unknown critical extension ${unknown}`);
  const point = extensions.get(ISSUING_POINT);
  if (point === undefined) return { addresses: [] };
  const fields = inside(extensionContent(point, tags.sequence));
  const name = fields.optional(constructedTag(0));
  const [users, authorities, reasons, indirect, attributes] = [1, 2, 3, 4, 5].map((n) =>
    fields.optional(primitiveTag(n)),
  );
  fields.finish();
  if (isTrue(indirect)) throw unusable('is an indirect list');
  if (reasons !== undefined) throw unusable('is for some reasons only');
  if (isTrue(attributes)) throw unusable('is for attribute certificates');
  const addresses = name === undefined ? [] : readPointName(inside(name));
  if (isTrue(users)) return { addresses, only: 'users' };
  return isTrue(authorities) ? { addresses, only: 'authorities' } : { addresses };
}

const isTrue = (element: DerElement | undefined): boolean =>
  element !== undefined && booleanOf(element);

/** The first walk checks every entry and counts, the second fills an index that has the right size. */
function indexOf(
  bytes: Uint8Array,
  revoked: DerElement | undefined,
): Pick<RevocationList, 'index' | 'entries'> {
  const { from, to } = revoked ?? { from: 0, to: 0 };
  let count = 0;
  for (const reader = new DerReader(bytes, from, to); !reader.done; count += 1) readEntry(reader);
  const index = createSerialIndex(count);
  for (const reader = new DerReader(bytes, from, to); !reader.done;)
    addSerial(index, bytes, reader.any().start);
  return { index, entries: { count, from, to } };
}

const REASON = '2.5.29.21';
const CERTIFICATE_ISSUER = '2.5.29.29';
/** Reason, date of invalidity. */
const KNOWN_IN_ENTRIES = new Set([REASON, '2.5.29.24', CERTIFICATE_ISSUER]);
const REMOVED_FROM_LIST = 8;

const REASONS: Readonly<Record<number, string>> = {
  0: 'unspecified',
  1: 'keyCompromise',
  2: 'cACompromise',
  3: 'affiliationChanged',
  4: 'superseded',
  5: 'cessationOfOperation',
  6: 'certificateHold',
  9: 'privilegeWithdrawn',
  10: 'aACompromise',
};

/** Name of a reason code, also of the one in OCSP answers. */
export const reasonName = (code: number): string => REASONS[code] ?? `reason ${code}`;

function readEntry(list: DerReader): RevokedEntry {
  const fields = list.enter(tags.sequence);
  const serial = integerBytes(fields.read(tags.integer));
  const revokedAtMs = timeOf(fields.any());
  if (fields.done) return { serial, revokedAtMs, reason: reasonName(0) };
  const extensions = readExtensions(fields);
  const unknown = unknownCritical(extensions, KNOWN_IN_ENTRIES);
  if (unknown !== undefined) throw unusable(`has an entry with the unknown extension ${unknown}`);
  if (extensions.has(CERTIFICATE_ISSUER)) throw unusable('is an indirect list');
  const code = extensions.get(REASON);
  const reason = code === undefined ? 0 : smallNumber(extensionContent(code, tags.enumerated));
  if (reason === REMOVED_FROM_LIST) throw unusable('takes entries out of another list');
  return { serial, revokedAtMs, reason: reasonName(reason) };
}
