/** Whatever text stands in a certificate, it speaks for canonical names only, and only for what one of its entries says. */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import * as fc from 'fast-check';
import { nodeName } from '../../protocol/ids.js';
import { canonicalIp, canonicalNodeName, isCanonicalNodeName } from '../../protocol/nodeNames.js';
import { readCertificate } from '../../security/certificates.js';
import { createRequest, checkRequest } from '../../security/certificateRequest.js';
import { identityNames } from '../../security/identity.js';
import { generateKey, publicKeyOf } from '../../security/keys.js';
import { issue } from '../support/certificates.js';

/** What OpenSSL lets stand in a DNS entry. */
const dnsText = fc.string({
  unit: fc.constantFrom(
    'a',
    'b',
    '-',
    '.',
    ',',
    ' ',
    '"',
    '\\',
    ':',
    'DNS:',
    'IP Address:',
    '*',
    '\n',
  ),
  minLength: 1,
  maxLength: 12,
});

test('entries name what they spell, whatever separators stand in them', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(dnsText, { minLength: 1, maxLength: 4 }), async (dns) => {
      const { certificate } = await issue({ commonName: 'victim', dns });
      // An address is named by an IP entry only.
      const expected = dns
        .map(canonical)
        .filter((name) => name !== undefined && canonicalIp(name) === undefined);
      t.deepEqual(identityNames(readCertificate(certificate)), [...new Set(expected)] as never);
    }),
    { numRuns: 60 },
  );
});

test('any text in place of alternative names gives canonical names or none', (t) => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (subjectAltName) => {
      const names = identityNames({ subject: 'CN=victim', subjectAltName });
      return names.every(isCanonicalNodeName) && !names.includes(nodeName('victim'))
        ? true
        : subjectAltName.includes('victim');
    }),
  );
  t.pass();
});

test('a request with any byte changed is refused, or is for the same key', async (t) => {
  const name = nodeName('server-one');
  const key = await generateKey();
  const request = await createRequest({ key, name });
  const der = Buffer.from(request.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  await fc.assert(
    fc.asyncProperty(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ flip;
      const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${changed.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
      // Bytes that nothing signs may be spelled in more than one way; then the key is still the sender's.
      const outcome = await checkRequest(pem, name).catch((error: Error) => error);
      if (outcome instanceof Error) t.regex(outcome.message, /^Error verifying CSR: /);
      else t.true(outcome.equals(publicKeyOf(key)));
    }),
    { numRuns: 150 },
  );
});

test('noise is no request', async (t) => {
  for (let size = 0; size < 200; size += 7) {
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${randomBytes(size).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    await t.throwsAsync(() => checkRequest(pem, nodeName('a')), {
      message: /^Error verifying CSR: /,
    });
  }
});

const canonical = (text: string): string | undefined => {
  try {
    return canonicalNodeName(text);
  } catch {
    return undefined;
  }
};
