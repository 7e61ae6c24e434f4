/** Which nodes a certificate speaks for, whatever somebody has written into it. */
import test from 'ava';
import { nodeName } from '../../protocol/ids.js';
import { readCertificate } from '../../security/certificates.js';
import { identityNames, identityProblem, servedNames } from '../../security/identity.js';
import { issue, type Wish } from '../support/certificates.js';
import { extension, issue as issueAny, makeAuthority } from '../support/testAuthority.js';

const namesOf = async (wish: Wish): Promise<readonly string[]> =>
  identityNames(readCertificate((await issue(wish)).certificate));

test('SE-05 alternative names count alone: the common name beside them says nothing', async (t) => {
  t.deepEqual(await namesOf({ commonName: 'server-one', dns: ['attacker.example'] }), [
    'attacker.example',
  ]);
  t.deepEqual(await namesOf({ commonName: 'server-one', emails: ['a@b.example'] }), []);
  t.deepEqual(await namesOf({ commonName: 'server-one', dns: ['not a name'] }), []);
});

test('without alternative names the common name counts', async (t) => {
  t.deepEqual(await namesOf({ commonName: 'server-one' }), ['server-one']);
  t.deepEqual(await namesOf({ commonName: '127.0.0.2' }), ['127.0.0.2']);
  t.deepEqual(await namesOf({}), []);
});

test('SE-08 every spelling of a name is one name', async (t) => {
  const names = await namesOf({ dns: ['NODE-TWO', 'node-two.', 'Node-Two'] });
  t.deepEqual(names, ['node-two']);
  t.deepEqual(await namesOf({ commonName: 'bücher.example' }), ['xn--bcher-kva.example']);
  t.deepEqual(await namesOf({ commonName: '0:0:0:0:0:0:0:1' }), ['::1']);
  t.deepEqual(await namesOf({ commonName: '::ffff:127.0.0.2' }), ['127.0.0.2']);
});

test('an address is named by an IP entry only, a name by a DNS entry only', async (t) => {
  t.deepEqual(await namesOf({ dns: ['127.0.0.2'] }), []);
  t.deepEqual(await namesOf({ ips: ['127.0.0.2'] }), ['127.0.0.2']);
});

test('wildcards name nobody', async (t) => {
  t.deepEqual(await namesOf({ dns: ['*.example.org', 'one.example.org'] }), ['one.example.org']);
  t.deepEqual(await namesOf({ commonName: '*.example.org' }), []);
});

test('a name that holds a separator is not read as several', async (t) => {
  for (const trick of [
    'x, DNS:server-one',
    'x"\\, DNS:server-one',
    'a\\", DNS:server-one',
    'a\nDNS:server-one',
  ])
    t.deepEqual(await namesOf({ dns: [trick, 'real.example'] }), ['real.example'], trick);
  t.deepEqual(await namesOf({ commonName: 'x\nCN=server-one' }), []);
  t.deepEqual(await namesOf({ commonName: 'server-one\0.example' }), []);
});

test('a text that is none of Node names nobody at all', (t) => {
  const subject = 'CN=server-one';
  for (const subjectAltName of ['', 'DNS:a, ', 'DNS', 'DNS:a DNS:b"', ', DNS:a', 'DNS:a,DNS:b'])
    t.deepEqual(identityNames({ subject, subjectAltName }), [], subjectAltName);
});

test('SE-05 alternative names that cannot be read name nobody, and the common name does not stand in for them', (t) => {
  const unreadable = Buffer.from('30030101ff', 'hex');
  const { certificate } = issueAny(makeAuthority(), {
    subject: 'server-one',
    serial: '05',
    extensions: [extension('2.5.29.17', unreadable)],
  });
  t.is(certificate.subjectAltName as unknown, null);
  t.deepEqual(identityNames(certificate), []);
  t.deepEqual(servedNames(certificate), []);
  t.regex(identityProblem(certificate, nodeName('server-one')) ?? '', /names no node/);
});

test('what is wrong is said with the names that were found', async (t) => {
  const { certificate } = await issue({ dns: ['server-two', 'server-three'] });
  const read = readCertificate(certificate);
  t.is(identityProblem(read, nodeName('server-two')), undefined);
  t.is(
    identityProblem(read, nodeName('server-one')),
    'Node name mismatch: expected server-one, the certificate names server-two, server-three',
  );
});
