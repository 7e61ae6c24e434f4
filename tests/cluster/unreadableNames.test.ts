/** A certificate of a trusted authority in which nobody can read whom it names: OpenSSL counts it as no certificate of it. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import test from 'ava';
import { newAuthority } from '../support/certificates.js';
import { knock, startSecure } from '../support/secureNodes.js';
import { extension, issue } from '../support/testAuthority.js';

test('SE-05 a certificate with unreadable names is refused, logged, and the node goes on', async (t) => {
  const authority = await newAuthority('of the test');
  const door = await startSecure(t, 'server-one', {
    tls: { certificateAuthority: authority.certificate },
  });
  const { certificate, key } = issue(
    {
      name: 'Skein-Certificate-Authority-of the test',
      key: createPrivateKey(authority.key),
      algorithm: 'ec',
      certificate: new X509Certificate(authority.certificate),
    },
    {
      subject: 'server-one',
      serial: '0a',
      extensions: [extension('2.5.29.17', Buffer.from('30030101ff', 'hex'))],
    },
  );
  const shown = {
    certificate: certificate.toString(),
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
  for (let count = 0; count < 2; count++) {
    const peer = await knock(door, { shown });
    await peer.closed;
    t.is(peer.received.length, 0);
  }
  const refusals = door.log().match(/the certificate is not trusted: [^"]*/g) ?? [];
  t.is(refusals.length, 2);
  t.is((await door.rows('hdb_nodes')).length, 0);
});
