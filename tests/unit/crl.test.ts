/** Revocation lists: what is read, and which lists are refused, and why. */
import test, { type ExecutionContext } from 'ava';
import { limits } from '../../protocol/limits.js';
import {
  findRevoked,
  outOfScope,
  readRevocationList,
  revokedEntries,
  type RevocationList,
} from '../../security/crl.js';
import { readListAside } from '../../security/crlReading.js';
import { constructedTag, derElement, primitiveTag, wholeOf } from '../../security/der.js';
import { AnswerRefused } from '../../security/refusals.js';
import { serialOfBytes } from '../../security/serials.js';
import { readSigned } from '../../security/signatures.js';
import {
  addressName,
  enumerated,
  extension,
  hexBytes,
  issue,
  listAsPem,
  makeAuthority,
  number,
  sequence,
  signed,
  tagged,
  writeEntry,
  writeList,
  type TestList,
} from '../support/testAuthority.js';

const authority = makeAuthority();
const NOW = Date.UTC(2030, 0, 2, 3, 4, 5);
const DAY = 86_400_000;

const read = (bytes: Uint8Array<ArrayBuffer>): RevocationList =>
  readRevocationList(bytes, authority.certificate.raw);

const reread = (list: TestList): RevocationList => read(writeList(authority, list));

const refusal = (t: ExecutionContext, bytes: Uint8Array<ArrayBuffer>): unknown => {
  const error = t.throws(() => read(bytes));
  return error instanceof AnswerRefused ? [error.kind, error.message] : error;
};

const entries = [
  { serial: '0a', revokedAtMs: NOW, reason: 1 },
  { serial: 'f1b2c3d4e5f60718293a4b5c6d7e8f9001020304', revokedAtMs: NOW - DAY },
  { serial: '80', revokedAtMs: NOW, reason: 6 },
];

test('times and entries of a list are those that are in it', (t) => {
  const list = reread({ entries, thisUpdateMs: NOW, nextUpdateMs: NOW + DAY });
  t.is(list.thisUpdateMs, NOW);
  t.is(list.nextUpdateMs, NOW + DAY);
  t.deepEqual(
    [...revokedEntries(list)].map(({ serial, ...rest }) => [serialOfBytes(serial), rest]),
    [
      ['A', { revokedAtMs: NOW, reason: 'keyCompromise' }],
      [
        'F1B2C3D4E5F60718293A4B5C6D7E8F9001020304',
        { revokedAtMs: NOW - DAY, reason: 'unspecified' },
      ],
      ['80', { revokedAtMs: NOW, reason: 'certificateHold' }],
    ],
  );
});

test('exactly the serials of the list are found', (t) => {
  const list = reread({ entries });
  for (const { serial } of entries)
    t.deepEqual(Buffer.from(findRevoked(list, hexBytes(serial))?.serial ?? []), hexBytes(serial));
  for (const serial of ['0b', '00', '0a00', '0a0a', 'f1b2c3d4e5f60718293a4b5c6d7e8f9001020305'])
    t.is(findRevoked(list, hexBytes(serial)), undefined, serial);
});

test('SE-15 a list without entries revokes nothing', (t) => {
  const list = reread({});
  t.is(list.entries.count, 0);
  t.is(findRevoked(list, hexBytes('0a')), undefined);
});

test('a list without nextUpdate counts for seven days', (t) => {
  const list = reread({ thisUpdateMs: NOW, nextUpdateMs: null });
  t.is(list.nextUpdateMs, NOW + 7 * DAY);
});

test('PEM is read like DER, with spaces around it and under both names', (t) => {
  const pem = Buffer.from(listAsPem(writeList(authority, { entries }))).toString();
  for (const text of [pem, `\r\n ${pem} \n`, pem.replaceAll('X509 CRL', 'CRL')]) {
    const list = read(Uint8Array.from(Buffer.from(text)));
    t.is(list.entries.count, 3);
    t.is(findRevoked(list, hexBytes('0a'))?.reason, 'keyCompromise');
  }
});

for (const algorithm of ['rsa', 'rsa-pss', 'ed25519'] as const)
  test(`a list may be signed with ${algorithm}`, (t) => {
    const other = makeAuthority('Other', { algorithm });
    const list = readRevocationList(writeList(other, { entries }), other.certificate.raw);
    t.is(list.entries.count, 3);
    const bytes = writeList(other, { entries });
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    t.throws(() => readRevocationList(bytes, other.certificate.raw), {
      message: 'signature verification failed',
    });
  });

test('SHA-1 is no signature', (t) => {
  const rsa = makeAuthority('Old', { algorithm: 'rsa' });
  const bytes = writeList({ ...rsa, algorithm: 'sha1' }, { entries });
  t.throws(() => readRevocationList(bytes, rsa.certificate.raw), {
    message: 'signature verification failed',
  });
});

const invalid: readonly (readonly [string, () => Uint8Array, string])[] = [
  [
    'signed by another key under the same name',
    () => writeList(makeAuthority()),
    'signature verification failed',
  ],
  [
    'of another authority',
    () => writeList(makeAuthority('Another')),
    'is of another issuer than the certificate',
  ],
  [
    'that ends before it begins',
    () => writeList(authority, { thisUpdateMs: NOW, nextUpdateMs: NOW - 1000 }),
    'ends before it begins',
  ],
  ['in a PEM of something else', () => pem('CERTIFICATE'), 'is no PEM of a revocation list'],
];

const pem = (name: string): Buffer =>
  Buffer.from(
    Buffer.from(listAsPem(writeList(authority)))
      .toString()
      .replaceAll('X509 CRL', name),
  );

for (const [what, bytes, message] of invalid)
  test(`SE-15 a list ${what} is invalid`, (t) => {
    t.deepEqual(refusal(t, Uint8Array.from(bytes())), ['invalid', message]);
  });

test('a changed byte in an entry breaks the signature', (t) => {
  const bytes = writeList(authority, { entries });
  const at = Buffer.from(bytes).indexOf(hexBytes('f1b2c3d4'));
  bytes[at] = 0x71;
  t.deepEqual(refusal(t, bytes), ['invalid', 'signature verification failed']);
});

test('a list must not name one algorithm and be signed with another', (t) => {
  const { content } = readSigned(writeList(authority));
  const bytes = signed(Buffer.from(wholeOf(content)), makeAuthority('Any', { algorithm: 'rsa' }));
  t.deepEqual(refusal(t, Uint8Array.from(bytes)), ['invalid', 'names two algorithms']);
});

test('a signature counts only under the name of its algorithm', (t) => {
  const bytes = writeList({ ...authority, algorithm: 'rsa' });
  t.deepEqual(refusal(t, bytes), ['invalid', 'signature verification failed']);
});

test('an issuer that may not sign lists is refused', (t) => {
  const weak = makeAuthority('Test Authority', { keyUsage: 0x04 });
  t.throws(() => readRevocationList(writeList(weak), weak.certificate.raw), {
    message: 'is by an issuer whose certificate is not for signing lists',
  });
});

const flag = (n: number): Buffer => derElement(primitiveTag(n), Buffer.from([0xff]));
const issuingPoint = (...fields: Buffer[]): TestList => ({
  extensions: [extension('2.5.29.28', sequence(...fields), true)],
});

const unusable: readonly (readonly [string, TestList, string])[] = [
  ['a delta', { extensions: [extension('2.5.29.27', number(1), true)] }, 'is a delta list'],
  [
    'unknown and critical',
    { extensions: [extension('1.2.3.4', number(1), true)] },
    'has the unknown critical extension 1.2.3.4',
  ],
  ['indirect', issuingPoint(flag(4)), 'is an indirect list'],
  ['for attributes', issuingPoint(flag(5)), 'is for attribute certificates'],
  [
    'for some reasons',
    issuingPoint(derElement(primitiveTag(3), Buffer.from([1, 2]))),
    'is for some reasons only',
  ],
  ['of another version', { version: 2 }, 'has an unknown version'],
  [
    'with entries of other issuers',
    { entries: [{ serial: '05', extensions: [extension('2.5.29.29', sequence(), true)] }] },
    'is an indirect list',
  ],
  [
    'with entries taken out',
    { entries: [{ serial: '05', reason: 8 }] },
    'takes entries out of another list',
  ],
  [
    'with an unknown critical extension of an entry',
    { entries: [{ serial: '05', extensions: [extension('1.2.3.4', enumerated(1), true)] }] },
    'has an entry with the unknown extension 1.2.3.4',
  ],
];

for (const [what, list, message] of unusable)
  test(`SE-15 a list that is ${what} says nothing`, (t) => {
    t.deepEqual(refusal(t, writeList(authority, list)), ['unusable', message]);
  });

test('extensions that change nothing are passed over', (t) => {
  const list = reread({
    entries: [{ serial: '05', extensions: [extension('1.2.3.4', number(1))] }],
    extensions: [extension('1.2.3.5', number(1)), extension('2.5.29.20', number(7))],
  });
  t.is(findRevoked(list, hexBytes('05'))?.reason, 'unspecified');
});

const URL_A = 'http://127.0.0.1/a.crl';

test('a list says for which certificates it is', (t) => {
  const user = { isAuthority: false, addresses: [URL_A] };
  const ca = { isAuthority: true, addresses: [URL_A] };
  t.is(outOfScope(reread({}), user), undefined);
  t.is(outOfScope(reread(issuingPoint(flag(1))), user), undefined);
  t.is(outOfScope(reread(issuingPoint(flag(2))), ca), undefined);
  t.is(outOfScope(reread(issuingPoint(flag(1))), ca), 'is for certificates of users only');
  t.is(outOfScope(reread(issuingPoint(flag(2))), user), 'is for certificates of authorities only');
});

test('a part of a list is only for certificates that name its address', (t) => {
  const part = reread(issuingPoint(derElement(constructedTag(0), tagged(0, addressName(URL_A)))));
  t.is(outOfScope(part, { isAuthority: false, addresses: [URL_A] }), undefined);
  t.is(
    outOfScope(part, { isAuthority: false, addresses: ['http://127.0.0.1/b.crl'] }),
    'is for certificates that name another address',
  );
});

test('bytes that are no list are malformed', (t) => {
  const list = writeList(authority, { entries });
  const certificate = issue(authority, { subject: 'x', serial: '05' }).certificate.raw;
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('<html>not found</html>'),
    Buffer.alloc(1000, 0x30),
    list.subarray(0, -1),
    Buffer.concat([list, Buffer.from([0])]),
    certificate,
  ])
    t.throws(() => read(Uint8Array.from(bytes)), { code: 'MALFORMED' });
});

const MANY = 5000;
const many = (count: number): Uint8Array<ArrayBuffer> =>
  writeList(
    authority,
    {},
    Array.from({ length: count }, (_, at) => writeEntry({ serial: (at + 0x1000).toString(16) })),
  );

test('a long list is read by a thread, with the same answers', async (t) => {
  const bytes = many(MANY);
  t.true(bytes.length > limits.crlInlineBytesMax);
  const list = await readListAside({ bytes, issuerDer: authority.certificate.raw });
  t.is(bytes.length, 0, 'the bytes were handed over');
  t.is(list.entries.count, MANY);
  t.truthy(findRevoked(list, hexBytes((0x1000 + MANY - 1).toString(16))));
  t.is(findRevoked(list, hexBytes((0x1000 + MANY).toString(16))), undefined);
});

test('a long list that is refused in the thread is refused for the same reason', async (t) => {
  const issuerDer = makeAuthority().certificate.raw;
  const error = await t.throwsAsync(readListAside({ bytes: many(MANY), issuerDer }), {
    instanceOf: AnswerRefused,
    message: 'signature verification failed',
  });
  t.is((error as AnswerRefused).kind, 'invalid');
  const garbage = new Uint8Array(limits.crlInlineBytesMax + 1).fill(0x30);
  await t.throwsAsync(readListAside({ bytes: garbage, issuerDer }), { message: /is malformed/ });
});

test('a thread that takes too long is given up', async (t) => {
  const task = { bytes: many(MANY), issuerDer: authority.certificate.raw };
  await t.throwsAsync(readListAside(task, { msMax: 1 }), { message: 'was not read within 1 ms' });
});
