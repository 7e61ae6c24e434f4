/** OCSP: what is asked, and which answers count. */
import { randomBytes } from 'node:crypto';
import { fromBER } from 'asn1js';
import test, { type ExecutionContext } from 'ava';
import { OCSPRequest } from 'pkijs';
import { limits } from '../../protocol/limits.js';
import { constructedTag, derElement, derIdentifier, tags } from '../../security/der.js';
import { readOcspAnswer, writeOcspRequest, type OcspAnswer } from '../../security/ocsp.js';
import { AnswerRefused } from '../../security/refusals.js';
import {
  enumerated,
  extension,
  issue,
  makeAuthority,
  number,
  octets,
  sequence,
  tagged,
  writeAnswer,
  writeRefusal,
  type TestAnswer,
} from '../support/testAuthority.js';

const authority = makeAuthority();
const SERIAL = 'c0ffee';
const { certificate } = issue(authority, { subject: 'node', serial: SERIAL });
const question = { certificate, issuer: authority.certificate, nonce: randomBytes(32) };
const HOUR = 3_600_000;

const read = (bytes: Uint8Array): OcspAnswer =>
  readOcspAnswer(bytes, question, { nowMs: Date.now(), withoutNextUpdateMs: HOUR });

const reread = (answer: Partial<TestAnswer>): OcspAnswer =>
  read(writeAnswer(authority, { serial: SERIAL, about: authority, ...answer }));

const refusal = (t: ExecutionContext, bytes: Uint8Array): unknown => {
  const error = t.throws(() => read(bytes));
  return error instanceof AnswerRefused ? [error.kind, error.message] : error;
};

const wholeSecond = (ms: number): number => Math.floor(ms / 1000) * 1000;

for (const hash of ['sha1', 'sha256'] as const) {
  test(`a request names the certificate by ${hash} and has a nonce`, (t) => {
    const bytes = Uint8Array.from(writeOcspRequest(question, hash));
    const request = new OCSPRequest({ schema: fromBER(bytes.buffer).result });
    const [one, ...others] = request.tbsRequest.requestList;
    t.is(others.length, 0);
    const id = one?.reqCert;
    t.is(
      id?.hashAlgorithm.algorithmId,
      { sha1: '1.3.14.3.2.26', sha256: '2.16.840.1.101.3.4.2.1' }[hash],
    );
    t.is(
      Buffer.from(id?.serialNumber.valueBlock.valueHexView ?? []).toString('hex'),
      `00${SERIAL}`,
    );
    t.is(id?.issuerKeyHash.valueBlock.valueHexView.length, { sha1: 20, sha256: 32 }[hash]);
    const [nonce] = request.tbsRequest.requestExtensions ?? [];
    t.is(nonce?.extnID, '1.3.6.1.5.5.7.48.1.2');
    t.deepEqual(
      Buffer.from(nonce?.extnValue.valueBlock.valueHexView ?? []),
      octets(question.nonce),
    );
  });

  test(`an answer by ${hash} counts`, (t) => {
    t.is(reread({ hash }).status, 'good');
  });
}

test('SE-16 good, revoked and unknown are told apart', (t) => {
  const nextUpdateMs = Date.now() + HOUR;
  const untilMs = wholeSecond(nextUpdateMs);
  t.deepEqual(reread({ nextUpdateMs }), { status: 'good', untilMs });
  t.deepEqual(reread({ nextUpdateMs, status: 'unknown' }), { status: 'unknown', untilMs });
  t.like(reread({ nextUpdateMs, status: 'revoked' }), {
    status: 'revoked',
    reason: 'keyCompromise',
    untilMs,
  });
});

test('the responder may be named by the hash of its key', (t) => {
  t.is(reread({ byKey: true }).status, 'good');
});

test('the right nonce, and none, count; another one does not', (t) => {
  t.is(reread({ nonce: question.nonce }).status, 'good');
  t.is(reread({}).status, 'good');
  const nonce = randomBytes(32);
  const bytes = writeAnswer(authority, { serial: SERIAL, about: authority, nonce });
  t.deepEqual(refusal(t, bytes), ['invalid', 'answers another question (nonce)']);
});

test('without nextUpdate an answer counts for the time that is given', (t) => {
  const thisUpdateMs = Date.now() - 60_000;
  const answer = reread({ thisUpdateMs, nextUpdateMs: null });
  t.is(answer.untilMs, wholeSecond(thisUpdateMs) + HOUR);
  const old = { serial: SERIAL, about: authority, nextUpdateMs: null };
  const bytes = writeAnswer(authority, { ...old, thisUpdateMs: Date.now() - HOUR - 1000 });
  t.regex(String(refusal(t, bytes)), /^unusable,is out of date since/);
});

const delegate = (request: Parameters<typeof issue>[1], by = authority) => ({
  ...issue(by, request),
  name: request.subject,
});
const signing = extension('2.5.29.37', sequence(derIdentifier('1.3.6.1.5.5.7.3.9')));
const serverAuth = extension('2.5.29.37', sequence(derIdentifier('1.3.6.1.5.5.7.3.1')));

const byDelegate = (
  request: Partial<Parameters<typeof issue>[1]>,
  { by = authority, bring = true } = {},
): Buffer => {
  const signer = delegate({ subject: 'responder', serial: '77', ...request }, by);
  const certificates = bring ? [signer.certificate] : [];
  return writeAnswer(signer, { serial: SERIAL, about: authority, certificates });
};

test('a responder that the issuer has appointed may answer', (t) => {
  t.is(read(byDelegate({ extensions: [signing] })).status, 'good');
});

const NOT_SIGNED = 'is not signed by the issuer of the certificate or a responder of the issuer';

const wrongSigners: readonly (readonly [string, () => Buffer])[] = [
  ['the issuer with another key', () => writeAnswer(makeAuthority(), subject)],
  ['another authority', () => writeAnswer(makeAuthority('Another'), subject)],
  ['a responder without the usage', () => byDelegate({})],
  ['a responder with another usage', () => byDelegate({ extensions: [serverAuth] })],
  [
    'a responder of another authority of the same name',
    () => byDelegate({ extensions: [signing] }, { by: makeAuthority() }),
  ],
  [
    'a responder of another authority',
    () => byDelegate({ extensions: [signing] }, { by: makeAuthority('Another') }),
  ],
  [
    'a responder that the key of the issuer has signed under another name',
    () => byDelegate({ extensions: [signing] }, { by: { ...authority, name: 'Another' } }),
  ],
  [
    'a responder whose certificate has run out',
    () => byDelegate({ extensions: [signing], notAfterMs: Date.now() - 1000 }),
  ],
  [
    'a responder whose certificate is not valid yet',
    () => byDelegate({ extensions: [signing], notBeforeMs: Date.now() + HOUR }),
  ],
  [
    'a responder that does not show its certificate',
    () => byDelegate({ extensions: [signing] }, { bring: false }),
  ],
];

const subject = { serial: SERIAL, about: authority };

for (const [who, bytes] of wrongSigners)
  test(`SE-16 an answer by ${who} is invalid`, (t) => {
    t.deepEqual(refusal(t, bytes()), ['invalid', NOT_SIGNED]);
  });

test('an answer with more certificates than any responder needs is invalid', (t) => {
  const certificates = Array.from(
    { length: limits.ocspCertificatesMax + 1 },
    () => authority.certificate,
  );
  const bytes = writeAnswer(authority, { ...subject, certificates });
  t.deepEqual(refusal(t, bytes), ['invalid', 'has too many certificates']);
});

const others: readonly (readonly [string, () => Buffer, string])[] = [
  [
    'about another serial',
    () => writeAnswer(authority, { ...subject, serial: 'c0ffef' }),
    'is about another certificate',
  ],
  [
    'about a certificate of another issuer',
    () => writeAnswer(authority, { ...subject, about: makeAuthority() }),
    'is about another certificate',
  ],
  ['that answers twice', () => writeAnswer(authority, { ...subject, copies: 2 }), 'answers twice'],
];

for (const [what, bytes, message] of others)
  test(`SE-16 an answer ${what} is invalid`, (t) => {
    t.deepEqual(refusal(t, bytes()), ['invalid', message]);
  });

test('a changed byte breaks the signature', (t) => {
  const bytes = writeAnswer(authority, subject);
  const at = bytes.indexOf(Buffer.from(SERIAL, 'hex'));
  bytes[at + 2] = 0xef;
  t.deepEqual(refusal(t, bytes), ['invalid', NOT_SIGNED]);
});

test('SE-16 an answer that has run out, or is from the future, says nothing', (t) => {
  const old = writeAnswer(authority, {
    ...subject,
    thisUpdateMs: Date.now() - 2 * HOUR,
    nextUpdateMs: Date.now() - 1000,
  });
  t.regex(String(refusal(t, old)), /^unusable,is out of date since/);
  const thisUpdateMs = Date.now() + limits.revocationSkewMs + 10_000;
  const early = writeAnswer(authority, { ...subject, thisUpdateMs });
  t.deepEqual(refusal(t, early), ['unusable', 'is from the future']);
});

for (const [status, name] of [
  [1, 'malformedRequest'],
  [2, 'internalError'],
  [3, 'tryLater'],
  [5, 'sigRequired'],
  [6, 'unauthorized'],
  [4, 'status 4'],
] as const)
  test(`SE-16 a responder that says ${name} says nothing about the certificate`, (t) => {
    t.deepEqual(refusal(t, writeRefusal(status)), ['unusable', `says ${name}`]);
  });

test('what must not be ignored and is not known makes an answer unusable', (t) => {
  const extensions = [extension('1.2.3.4', number(1), true)];
  t.deepEqual(refusal(t, writeAnswer(authority, { ...subject, extensions })), [
    'unusable',
    'has the unknown critical extension 1.2.3.4',
  ]);
  const body = sequence(derIdentifier('1.2.3.4'), octets(sequence()));
  t.deepEqual(refusal(t, sequence(enumerated(0), tagged(0, body))), [
    'unusable',
    'is of the unknown kind 1.2.3.4',
  ]);
});

test('bytes that are no answer are malformed', (t) => {
  const answer = writeAnswer(authority, subject);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('<html>please log in</html>'),
    answer.subarray(0, -1),
    Buffer.concat([answer, Buffer.from([0])]),
    derElement(tags.sequence, enumerated(0), derElement(constructedTag(0))),
  ])
    t.throws(() => read(bytes), { code: 'MALFORMED' });
});
