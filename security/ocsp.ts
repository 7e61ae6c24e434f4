/**
 * Questions and answers of OCSP (RFC 6960, nonce of RFC 9654) about one certificate. Called by ocspSource.ts.
 * An answer counts only if it is about this very certificate, fresh, and signed by its issuer or by a responder that
 * the issuer itself has appointed. Pure but for checking signatures; sends nothing.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import { limits } from '../protocol/limits.js';
import { readCertificateParts } from './certificateParts.js';
import { reasonName } from './crl.js';
import {
  DerReader,
  constructedTag,
  contentOf,
  derElement,
  derIdentifier,
  derInteger,
  identifierOf,
  inside,
  integerBytes,
  onlyElement,
  primitiveTag,
  smallNumber,
  tags,
  timeOf,
  type DerElement,
} from './der.js';
import { NO_EXTENSIONS, readExtensions, unknownCritical, type Extensions } from './extensions.js';
import { isByResponder } from './ocspResponder.js';
import { invalid, unusable } from './refusals.js';
import { readSigned } from './signatures.js';

/** SHA-1 names the certificate in a question, as every responder understands it; it secures nothing here. */
export type CertificateHash = 'sha1' | 'sha256';

export interface OcspQuestion {
  readonly certificate: X509Certificate;
  readonly issuer: X509Certificate;
  /** 32 random bytes. */
  readonly nonce: Uint8Array;
}

export type OcspAnswer = (
  | { readonly status: 'good' }
  | { readonly status: 'revoked'; readonly revokedAtMs: number; readonly reason: string }
  | { readonly status: 'unknown' }
) & { readonly untilMs: number };

const HASH_IDENTIFIERS: Readonly<Record<CertificateHash, string>> = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
};
const BASIC_ANSWER = '1.3.6.1.5.5.7.48.1.1';
const NONCE = '1.3.6.1.5.5.7.48.1.2';

/** The body of a request. */
export function writeOcspRequest(question: OcspQuestion, hash: CertificateHash): Buffer {
  const sequence = (...parts: readonly Uint8Array[]): Buffer => derElement(tags.sequence, ...parts);
  const { nameHash, keyHash, serial } = certificateId(question, hash);
  const algorithm = sequence(derIdentifier(HASH_IDENTIFIERS[hash]), derElement(tags.null));
  const id = sequence(
    algorithm,
    derElement(tags.octetString, nameHash),
    derElement(tags.octetString, keyHash),
    derInteger(serial),
  );
  const nonce = derElement(tags.octetString, derElement(tags.octetString, question.nonce));
  const extensions = sequence(sequence(derIdentifier(NONCE), nonce));
  return sequence(sequence(sequence(sequence(id)), derElement(constructedTag(2), extensions)));
}

const STATUSES: Readonly<Record<number, string>> = {
  1: 'malformedRequest',
  2: 'internalError',
  3: 'tryLater',
  5: 'sigRequired',
  6: 'unauthorized',
};

/**
 * What the responder says; `untilMs` is nextUpdate, or thisUpdate + `withoutNextUpdateMs`. Throws AnswerRefused, or
 * MALFORMED for bytes that are no answer.
 */
export function readOcspAnswer(
  bytes: Uint8Array,
  question: OcspQuestion,
  { nowMs, withoutNextUpdateMs }: { nowMs: number; withoutNextUpdateMs: number },
): OcspAnswer {
  const signed = readSigned(basicAnswerOf(bytes));
  const { responder, answers, extensions } = readContent(signed.content);
  if (
    !isByResponder({ signed, responder, certificates: signed.certificates, nowMs }, question.issuer)
  )
    throw invalid('is not signed by the issuer of the certificate or a responder of the issuer');
  checkNonce(extensions, question.nonce);
  const found = answers.filter((answer) => isAbout(answer.id, question));
  const [answer] = found;
  if (answer === undefined) throw invalid('is about another certificate');
  if (found.length > 1) throw invalid('answers twice');
  return freshAnswer(answer, { nowMs, withoutNextUpdateMs });
}

function basicAnswerOf(bytes: Uint8Array): Uint8Array {
  const fields = inside(onlyElement(bytes, tags.sequence));
  const status = smallNumber(fields.read(tags.enumerated));
  if (status !== 0) throw unusable(`says ${STATUSES[status] ?? `status ${status}`}`);
  const body = fields.enter(constructedTag(0)).enter(tags.sequence);
  const kind = identifierOf(body.read(tags.objectIdentifier));
  if (kind !== BASIC_ANSWER) throw unusable(`is of the unknown kind ${kind}`);
  return contentOf(body.read(tags.octetString));
}

interface SingleAnswer {
  readonly id: DerElement;
  readonly status: DerElement;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs?: number;
}

interface Content {
  readonly responder: DerElement;
  readonly answers: readonly SingleAnswer[];
  readonly extensions: Extensions;
}

function readContent(content: DerElement): Content {
  const fields = inside(content);
  fields.optional(constructedTag(0));
  const responder = fields.any();
  timeOf(fields.read(tags.generalizedTime));
  const list = fields.enter(tags.sequence);
  const answers: SingleAnswer[] = [];
  while (!list.done) answers.push(readSingle(list.enter(tags.sequence)));
  const extensions = optionalExtensions(fields, 1, KNOWN);
  fields.finish();
  return { responder, answers, extensions };
}

function readSingle(fields: DerReader): SingleAnswer {
  const id = fields.read(tags.sequence);
  const status = fields.any();
  const thisUpdateMs = timeOf(fields.read(tags.generalizedTime));
  const next = fields.optional(constructedTag(0));
  const nextUpdateMs = next && timeOf(inside(next).read(tags.generalizedTime));
  optionalExtensions(fields, 1, NONE_KNOWN);
  fields.finish();
  return { id, status, thisUpdateMs, ...(nextUpdateMs !== undefined && { nextUpdateMs }) };
}

const KNOWN = new Set([NONCE]);
const NONE_KNOWN = new Set<string>();

function optionalExtensions(fields: DerReader, n: number, known: ReadonlySet<string>): Extensions {
  const tagged = fields.optional(constructedTag(n));
  if (tagged === undefined) return NO_EXTENSIONS;
  const extensions = readExtensions(inside(tagged));
  const unknown = unknownCritical(extensions, known);
  if (unknown !== undefined) throw unusable(`has the unknown critical extension ${unknown}`);
  return extensions;
}

/** Responders that prepare their answers echo none; the times then say how old the answer is. */
function checkNonce(extensions: Extensions, nonce: Uint8Array): void {
  const echoed = extensions.get(NONCE);
  if (echoed === undefined) return;
  const value = contentOf(echoed.value);
  const wrapped = derElement(tags.octetString, nonce);
  if (!wrapped.equals(value)) throw invalid('answers another question (nonce)');
}

function certificateId(
  { certificate, issuer }: OcspQuestion,
  hash: CertificateHash,
): { nameHash: Buffer; keyHash: Buffer; serial: Uint8Array } {
  const { subject, publicKeyBits } = readCertificateParts(issuer.raw);
  const hashOf = (bytes: Uint8Array): Buffer => createHash(hash).update(bytes).digest();
  const { serial } = readCertificateParts(certificate.raw);
  return { nameHash: hashOf(subject), keyHash: hashOf(publicKeyBits), serial };
}

function isAbout(id: DerElement, question: OcspQuestion): boolean {
  const fields = inside(id);
  const algorithm = identifierOf(fields.enter(tags.sequence).read(tags.objectIdentifier));
  const hash = (['sha1', 'sha256'] as const).find((one) => HASH_IDENTIFIERS[one] === algorithm);
  if (hash === undefined) return false;
  const wanted = certificateId(question, hash);
  return (
    wanted.nameHash.equals(contentOf(fields.read(tags.octetString))) &&
    wanted.keyHash.equals(contentOf(fields.read(tags.octetString))) &&
    Buffer.from(wanted.serial).equals(integerBytes(fields.read(tags.integer)))
  );
}

function freshAnswer(
  { status, thisUpdateMs, nextUpdateMs }: SingleAnswer,
  { nowMs, withoutNextUpdateMs }: { nowMs: number; withoutNextUpdateMs: number },
): OcspAnswer {
  const untilMs = nextUpdateMs ?? thisUpdateMs + withoutNextUpdateMs;
  if (thisUpdateMs > nowMs + limits.revocationSkewMs) throw unusable('is from the future');
  if (untilMs <= nowMs) throw unusable(`is out of date since ${isoTime(untilMs)}`);
  if (status.tag === primitiveTag(0)) return { status: 'good', untilMs };
  if (status.tag === primitiveTag(2)) return { status: 'unknown', untilMs };
  if (status.tag !== constructedTag(1)) throw invalid('has an unknown status');
  const fields = inside(status);
  const revokedAtMs = timeOf(fields.read(tags.generalizedTime));
  const reason = fields.optional(constructedTag(0));
  const code = reason === undefined ? 0 : smallNumber(inside(reason).read(tags.enumerated));
  return { status: 'revoked', revokedAtMs, reason: reasonName(code), untilMs };
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
