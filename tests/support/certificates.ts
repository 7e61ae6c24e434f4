/**
 * Certificates for tests, good and bad: an authority with what it issues, and names, times and uses that no node of ours
 * would ask for. Built with pkijs apart from security/, so that one mistake is not made twice.
 */
import { createPublicKey, randomBytes, webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { createAuthority, certificateSerial, type Authority } from '../../security/authority.js';
import { generateKey } from '../../security/keys.js';

export interface KeyedCertificate {
  readonly certificate: string;
  readonly key: string;
  /** An operator's choice, for a server that shows it. */
  readonly ciphers?: string;
}

export const newAuthority = async (label = 'test', givenKey?: string): Promise<Authority> => {
  const key = givenKey ?? (await generateKey());
  const serial = certificateSerial(randomBytes(16).toString('hex'));
  return { key, certificate: await createAuthority({ label, key, serial, nowMs: Date.now() }) };
};

export interface Wish {
  readonly commonName?: string;
  /** DNS entries of the subject alternative name. */
  readonly dns?: readonly string[];
  /** Its IPv4 entries. */
  readonly ips?: readonly string[];
  /** E-mail entries. */
  readonly emails?: readonly string[];
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly isAuthority?: boolean;
}

const DAY_MS = 86_400_000;

/** A certificate signed by `issuer`, or by itself. */
export const issue = async (wish: Wish, issuer?: KeyedCertificate): Promise<KeyedCertificate> => {
  const key = await generateKey();
  const certificate = new pkijs.Certificate({ version: 2 });
  certificate.serialNumber = new asn1js.Integer({ valueHex: Buffer.from([1, ...randomBytes(8)]) });
  certificate.subject = nameOf(wish.commonName);
  certificate.issuer = issuer
    ? pkijs.Certificate.fromBER(derOf(issuer.certificate)).subject
    : certificate.subject;
  certificate.notBefore = timeOf(wish.fromMs ?? Date.now() - DAY_MS);
  certificate.notAfter = timeOf(wish.toMs ?? Date.now() + DAY_MS);
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
  );
  certificate.extensions = extensionsOf(wish);
  await certificate.sign(await importKey(issuer?.key ?? key), 'SHA-256');
  return { key, certificate: pemOf('CERTIFICATE', certificate.toSchema(true).toBER()) };
};

/** A request that says what the test wants it to say, signed with `key`. */
export const requestFor = async (
  wish: Wish,
  keys: { key: string; signedWith?: string },
): Promise<string> => {
  const request = new pkijs.CertificationRequest();
  request.subject = nameOf(wish.commonName);
  request.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(
    createPublicKey(keys.key).export({ type: 'spki', format: 'der' }),
  );
  const extensions = new pkijs.Extensions({ extensions: extensionsOf(wish) });
  request.attributes = [
    new pkijs.Attribute({ type: '1.2.840.113549.1.9.14', values: [extensions.toSchema()] }),
  ];
  await request.sign(await importKey(keys.signedWith ?? keys.key), 'SHA-256');
  return pemOf('CERTIFICATE REQUEST', request.toSchema(true).toBER());
};

const extensionsOf = (wish: Wish): pkijs.Extension[] => {
  const names = [
    ...(wish.dns ?? []).map((value) => new pkijs.GeneralName({ type: 2, value })),
    ...(wish.emails ?? []).map((value) => new pkijs.GeneralName({ type: 1, value })),
    ...(wish.ips ?? []).map(
      (ip) =>
        new pkijs.GeneralName({
          type: 7,
          value: new asn1js.OctetString({ valueHex: Uint8Array.from(ip.split('.').map(Number)) }),
        }),
    ),
  ];
  const constraints = new pkijs.BasicConstraints({ cA: wish.isAuthority ?? false });
  return [
    new pkijs.Extension({
      extnID: '2.5.29.19',
      critical: true,
      extnValue: constraints.toSchema().toBER(),
    }),
    ...(names.length === 0
      ? []
      : [
          new pkijs.Extension({
            extnID: '2.5.29.17',
            extnValue: new pkijs.GeneralNames({ names }).toSchema().toBER(),
          }),
        ]),
  ];
};

const nameOf = (commonName: string | undefined): pkijs.RelativeDistinguishedNames =>
  new pkijs.RelativeDistinguishedNames({
    typesAndValues:
      commonName === undefined
        ? []
        : [
            new pkijs.AttributeTypeAndValue({
              type: '2.5.4.3',
              value: new asn1js.Utf8String({ value: commonName }),
            }),
          ],
  });

const timeOf = (ms: number): pkijs.Time => new pkijs.Time({ type: 0, value: new Date(ms) });

const derOf = (pem: string): Buffer =>
  Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');

const pemOf = (label: string, der: ArrayBuffer): string =>
  `-----BEGIN ${label}-----\n${(
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')}\n-----END ${label}-----\n`;

const importKey = (pem: string) =>
  webcrypto.subtle.importKey('pkcs8', derOf(pem), { name: 'ECDSA', namedCurve: 'P-256' }, false, [
    'sign',
  ]);
