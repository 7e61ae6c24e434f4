/**
 * What of certificates is fuzzed: requests, certificates, revocation lists, answers about them. Called by fuzzTargets.ts.
 * Lists and answers are signed again after some of the changes, so that what is behind the signature is reached too.
 */
import { lapse } from '../../actors/admission.js';
import { SkeinError } from '../../protocol/errors.js';
import { nodeName } from '../../protocol/ids.js';
import {
  hasPurpose,
  isAuthority,
  keyUsages,
  mayUseKeyFor,
  readCertificateParts,
} from '../../security/certificateParts.js';
import { checkRequest } from '../../security/certificateRequest.js';
import {
  detailsOf,
  readCertificate,
  shownDetails,
  splitBundle,
} from '../../security/certificates.js';
import { findRevoked, readRevocationList, revokedEntries } from '../../security/crl.js';
import { contentOf, derElement, inside, onlyElement, tags, wholeOf } from '../../security/der.js';
import { identityNames, servedNames } from '../../security/identity.js';
import { generateKey } from '../../security/keys.js';
import { readOcspAnswer } from '../../security/ocsp.js';
import { AnswerRefused } from '../../security/refusals.js';
import { readRevocationPoints } from '../../security/revocationPoints.js';
import { requestFor } from './certificates.js';
import { mutated, oneOf } from './fuzzBytes.js';
import type { FuzzTarget } from './fuzzRun.js';
import {
  extension,
  issue,
  makeAuthority,
  number,
  sequence,
  signed,
  writeAnswer,
  writeList,
  type TestAuthority,
} from './testAuthority.js';

const refusal = (thrown: unknown): string | undefined => {
  if (thrown instanceof AnswerRefused) return thrown.kind;
  if (!(thrown instanceof SkeinError)) return undefined;
  const isMeant = ['MALFORMED', 'INVALID_REQUEST', 'INVALID_CERTIFICATE_FORMAT'];
  return isMeant.includes(thrown.code) ? thrown.code : undefined;
};

/** One element of DER and nothing after it. */
const isOneSequence = (input: Uint8Array): boolean => {
  try {
    onlyElement(input, tags.sequence);
    return true;
  } catch {
    return false;
  }
};

const pemOf = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64')}\n-----END ${label}-----\n`;

const derOf = (pem: string): Buffer =>
  Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');

export const requestTarget = async (): Promise<FuzzTarget> => {
  const node = nodeName('server-two');
  const key = await generateKey();
  const wishes = [
    { dns: ['server-two'] },
    { commonName: 'server-two', dns: ['server-two'] },
    { commonName: 'server-two' },
  ];
  const requests = await Promise.all(wishes.map((wish) => requestFor(wish, { key })));
  return {
    name: 'csr',
    valid: requests.map(derOf),
    passesHeader: isOneSequence,
    read: (input) => checkRequest(pemOf('CERTIFICATE REQUEST', input), node),
    refusalOf: refusal,
  };
};

const SERIAL = '0c0ffee0';

const certified = (authority: TestAuthority) =>
  issue(authority, {
    subject: 'server-two',
    serial: SERIAL,
    lists: ['http://127.0.0.1/crl', 'ldap://127.0.0.1/'],
    responders: ['http://127.0.0.1/ocsp'],
    keyUsage: 0x80,
  }).certificate;

export const certificateTarget = (): FuzzTarget => {
  const authority = makeAuthority();
  return {
    name: 'certificate',
    valid: [authority.certificate.raw, certified(authority).raw],
    passesHeader: isOneSequence,
    read: (input) => {
      const parts = readCertificateParts(input);
      readRevocationPoints(parts);
      isAuthority(parts);
      mayUseKeyFor(parts, keyUsages.cRLSign);
      hasPurpose(parts, '1.3.6.1.5.5.7.3.9');
      readAsPem(pemOf('CERTIFICATE', input));
    },
    refusalOf: refusal,
  };
};

const readAsPem = (pem: string): void => {
  splitBundle(`${pem}${pem}`);
  const certificate = readCertificate(pem);
  const names = identityNames(certificate);
  servedNames(certificate);
  shownDetails(pem);
  const { serial, validToMs } = detailsOf(certificate);
  const proof = { pem, issuerPem: null, serial, validToMs };
  lapse({ kind: 'certificate', names, certificate: proof }, nodeName('server-two'), {
    isRevoked: (_name, revoked) => revoked === '0C0FFEE0',
    nowMs: 0,
  });
};

export const crlTarget = (): FuzzTarget => {
  const authority = makeAuthority();
  const valid = [
    writeList(authority),
    writeList(authority, {
      entries: [{ serial: '05', reason: 1 }, { serial: SERIAL }, { serial: '80ff', reason: 4 }],
      extensions: [extension('2.5.29.20', number(7))],
    }),
  ].map((list) => Buffer.from(list));
  return {
    name: 'crl',
    valid,
    crafted: (draw) => {
      const content = contentIn(oneOf(draw, valid));
      return signed(mutated(draw, content, content), authority);
    },
    passesHeader: isOneSequence,
    read: (input) => {
      const list = readRevocationList(Uint8Array.from(input), authority.certificate.raw);
      for (const { serial } of revokedEntries(list)) findRevoked(list, serial);
    },
    refusalOf: refusal,
  };
};

const contentIn = (bytes: Uint8Array): Buffer =>
  Buffer.from(wholeOf(inside(onlyElement(bytes, tags.sequence)).read(tags.sequence)));

export const ocspTarget = (): FuzzTarget => {
  const authority = makeAuthority();
  const certificate = certified(authority);
  const nonce = Buffer.alloc(32, 7);
  const about = { serial: SERIAL, about: authority };
  const valid = [
    writeAnswer(authority, { ...about, nonce }),
    writeAnswer(authority, { ...about, status: 'revoked', hash: 'sha256', byKey: true }),
    writeAnswer(authority, { ...about, certificates: [authority.certificate] }),
  ];
  return {
    name: 'ocsp',
    valid,
    crafted: (draw) => {
      const content = contentIn(basicIn(oneOf(draw, valid)));
      return wrapped(signed(mutated(draw, content, content), authority));
    },
    passesHeader: isOneSequence,
    read: (input) =>
      readOcspAnswer(
        input,
        { certificate, issuer: authority.certificate, nonce },
        { nowMs: Date.now(), withoutNextUpdateMs: 1_000 },
      ),
    refusalOf: refusal,
  };
};

const basicIn = (answer: Uint8Array): Uint8Array => {
  const body = inside(onlyElement(answer, tags.sequence));
  body.any();
  const fields = body.enter(0xa0).enter(tags.sequence);
  fields.any();
  return contentOf(fields.read(tags.octetString));
};

const BASIC_ANSWER = Buffer.from('06092b0601050507300101', 'hex');

const wrapped = (basic: Uint8Array): Buffer =>
  sequence(
    Buffer.from([0x0a, 1, 0]),
    derElement(0xa0, sequence(BASIC_ANSWER, derElement(tags.octetString, basic))),
  );
