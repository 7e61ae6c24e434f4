/** What Skein certifies and what it refuses to: authorities, certificates of nodes, requests. Judged by OpenSSL in Node. */
import { createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import test from 'ava';
import { nodeName } from '../../protocol/ids.js';
import {
  certificateSerial,
  isOwnAuthorityName,
  issueCertificate,
  type Authority,
} from '../../security/authority.js';
import { checkRequest, createRequest } from '../../security/certificateRequest.js';
import {
  detailsOf,
  readCertificate,
  shownDetails,
  splitBundle,
} from '../../security/certificates.js';
import { identityNames } from '../../security/identity.js';
import { generateKey, isKeyOf, publicKeyOf } from '../../security/keys.js';
import { issue, newAuthority, requestFor } from '../support/certificates.js';

const DAY_MS = 86_400_000;

const serial = (): string => certificateSerial(randomBytes(16).toString('hex'));

const certify = async (
  authority: Authority,
  parts: { names?: readonly string[]; key?: string; nowMs?: number } = {},
): Promise<X509Certificate> => {
  const { names = ['server-one'], nowMs = Date.now() } = parts;
  const key = parts.key ?? (await generateKey());
  const pem = await issueCertificate({
    authority,
    publicKey: publicKeyOf(key),
    names,
    serial: serial(),
    nowMs,
  });
  return new X509Certificate(pem);
};

test('an authority signs itself, may sign nodes only, and lives ten years', async (t) => {
  const { certificate, key } = await newAuthority('server-one');
  const read = new X509Certificate(certificate);
  const details = detailsOf(read);
  t.true(read.verify(createPublicKey(key)));
  t.true(details.isAuthority);
  t.true(details.isSelfSigned);
  t.is(details.subject, 'CN=Skein-Certificate-Authority-server-one');
  t.true(isOwnAuthorityName(details.issuer));
  t.is(Math.round((details.validToMs - Date.now()) / DAY_MS), 3650);
  t.true(isKeyOf(key, certificate));
});

test('a certificate of a node is issued by its authority and names that node alone', async (t) => {
  const authority = await newAuthority();
  const key = await generateKey();
  for (const name of ['server-one', '127.0.0.2', '2001:db8::1', '::1', 'fe80::']) {
    const certificate = await certify(authority, { names: [name], key });
    t.true(certificate.checkIssued(new X509Certificate(authority.certificate)), name);
    t.true(certificate.verify(createPublicKey(authority.key)), name);
    t.deepEqual(identityNames(certificate), [nodeName(name)]);
    t.false(certificate.ca);
    t.true(isKeyOf(key, certificate.toString()));
    t.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  }
});

test('a certificate of a node lives at most 397 days, and never longer than its authority', async (t) => {
  const authority = await newAuthority();
  const fresh = detailsOf(await certify(authority));
  t.true(fresh.validToMs - fresh.validFromMs <= 397 * DAY_MS);
  t.true(fresh.validToMs - Date.now() > 396 * DAY_MS);
  const late = detailsOf(await certify(authority, { nowMs: Date.now() + 3_600 * DAY_MS }));
  t.is(late.validToMs, detailsOf(readCertificate(authority.certificate)).validToMs);
});

test('a name longer than a common name stands whole in the alternative names', async (t) => {
  const name = nodeName(`${'a'.repeat(60)}.${'b'.repeat(60)}.example`);
  const authority = await newAuthority(name);
  t.deepEqual(identityNames(await certify(authority, { names: [name] })), [name]);
  const key = await generateKey();
  await t.notThrowsAsync(async () => checkRequest(await createRequest({ key, name }), name));
});

test('serials are positive, never empty, and 16 bytes long', (t) => {
  for (const random of ['00'.repeat(16), 'ff'.repeat(16), randomBytes(16).toString('hex')])
    t.regex(certificateSerial(random), /^[4-7][0-9a-f]{31}$/);
});

test('a request is taken for the node that it names, in any spelling', async (t) => {
  const key = await generateKey();
  const name = nodeName('server-one');
  const checked = await checkRequest(await createRequest({ key, name }), name);
  t.true(checked.equals(createPublicKey(key)));
  for (const wish of [{ commonName: 'Server-One.' }, { dns: ['SERVER-ONE'] }])
    await t.notThrowsAsync(async () => checkRequest(await requestFor(wish, { key }), name));
  const address = nodeName('127.0.0.2');
  await t.notThrowsAsync(async () =>
    checkRequest(await createRequest({ key, name: address }), address),
  );
});

test('a request is refused when it asks for more than a certificate of the announced node', async (t) => {
  const key = await generateKey();
  const other = await generateKey();
  const name = nodeName('server-one');
  const refusals: [
    Parameters<typeof requestFor>[0],
    { key: string; signedWith?: string },
    RegExp,
  ][] = [
    [{ commonName: 'server-two' }, { key }, /it names "server-two", not server-one/],
    [{ commonName: 'server-one', dns: ['server-two'] }, { key }, /it names "server-two"/],
    [{ commonName: 'server-two', dns: ['server-one'] }, { key }, /it names "server-two"/],
    [{ commonName: 'server-one', ips: ['127.0.0.1'] }, { key }, /it names "127.0.0.1"/],
    [{ dns: ['server-one', '*.example'] }, { key }, /it names "\*\.example"/],
    [{ commonName: 'server-one', emails: ['a@b'] }, { key }, /no node/],
    [{}, { key }, /it names nobody/],
    [{ commonName: 'server-one', isAuthority: true }, { key }, /rights of an authority/],
    [{ commonName: 'server-one' }, { key, signedWith: other }, /signature/],
  ];
  for (const [wish, keys, message] of refusals) {
    const request = await requestFor(wish, keys);
    await t.throwsAsync(() => checkRequest(request, name), { message, code: 'INVALID_REQUEST' });
  }
});

test('what is no request is refused without a throw of another kind', async (t) => {
  const key = await generateKey();
  const good = await createRequest({ key, name: nodeName('server-one') });
  const { certificate } = await newAuthority();
  const bad = [
    '',
    'x',
    certificate,
    good.slice(0, 200),
    `${good}${good}`,
    good.replace(/\n[A-Z]/, '\n0'),
  ];
  for (const text of [...bad, 'A'.repeat(100_000)])
    await t.throwsAsync(() => checkRequest(text, nodeName('server-one')), {
      code: 'INVALID_REQUEST',
      message: /^Error verifying CSR: /,
    });
});

test('a short key is not certified', async (t) => {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 1024,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const request = await createRequest({ key: privateKey, name: nodeName('server-one') });
  await t.throwsAsync(() => checkRequest(request, nodeName('server-one')), {
    message: /1024 bits/,
  });
});

test('an authority with an RSA key signs as well', async (t) => {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const { certificate } = await newAuthority('rsa', privateKey);
  const issued = await certify({ certificate, key: privateKey });
  t.true(issued.verify(createPublicKey(privateKey)));
});

test('a bundle is split into its certificates, and anything else is refused', async (t) => {
  const [one, two] = [await newAuthority('one'), await newAuthority('two')];
  const bundle = `a remark\n${one.certificate}another\r\n${two.certificate}`;
  t.deepEqual(
    splitBundle(bundle).map((pem) => readCertificate(pem).subject),
    ['CN=Skein-Certificate-Authority-one', 'CN=Skein-Certificate-Authority-two'],
  );
  const code = 'INVALID_CERTIFICATE_FORMAT';
  t.throws(() => splitBundle('nothing'), { code });
  t.throws(() => splitBundle(one.certificate.replace(/\nM.{20}/, '\n')), { code });
  t.throws(() => splitBundle(one.certificate.repeat(101)), { code });
});

test('a certificate is shown on single lines', async (t) => {
  const { certificate } = await issue({ commonName: 'server-one', dns: ['server-one'] });
  const shown = shownDetails(certificate);
  t.is(shown.subjectAltName, 'DNS:server-one');
  t.is(shown.subject, 'CN=server-one');
  t.false(Object.values(shown).join('').includes('\n'));
});
