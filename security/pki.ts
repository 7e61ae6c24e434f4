/**
 * pkijs and asn1js, loaded when the first certificate is built or read with them: importing them takes 100 ms that most
 * nodes do not need. Called by the files of this folder that build certificates. Judges nothing: chains are OpenSSL's.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { SkeinError } from '../protocol/errors.js';

export interface Pki {
  readonly pkijs: typeof import('pkijs');
  readonly asn1js: typeof import('asn1js');
  /** Given to every call of pkijs that needs cryptography. */
  readonly engine: import('pkijs').CryptoEngine;
}

let loading: Promise<Pki> | undefined;

export const loadPki = (): Promise<Pki> => (loading ??= load());

const load = async (): Promise<Pki> => {
  const [pkijs, asn1js] = await Promise.all([import('pkijs'), import('asn1js')]);
  const crypto = globalThis.crypto ?? new (await import('@peculiar/webcrypto')).Crypto();
  return { pkijs, asn1js, engine: new pkijs.CryptoEngine({ name: 'skein', crypto }) };
};

/** A private key as pkijs signs with it. INVALID_CONFIGURATION for a kind of key that it cannot use. */
export const signingKey = async ({ engine }: Pki, keyPem: string): Promise<CryptoKeyOfPki> => {
  const key = createPrivateKey(keyPem);
  const bytes = key.export({ type: 'pkcs8', format: 'der' });
  return engine.importKey('pkcs8', bytes, algorithmOf(key), false, ['sign']);
};

type CryptoKeyOfPki = Awaited<ReturnType<import('pkijs').CryptoEngine['importKey']>>;

/** A public key as a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). */
export const publicKeyInfo = (
  { pkijs }: Pki,
  publicKey: KeyObject,
): import('pkijs').PublicKeyInfo =>
  pkijs.PublicKeyInfo.fromBER(publicKey.export({ type: 'spki', format: 'der' }));

const CURVES = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
]);

const algorithmOf = (key: KeyObject): { name: string; [parameter: string]: string } => {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const namedCurve = CURVES.get(key.asymmetricKeyDetails?.namedCurve ?? '');
  if (namedCurve !== undefined) return { name: 'ECDSA', namedCurve };
  throw new SkeinError(
    'INVALID_CONFIGURATION',
    `a key of the kind ${key.asymmetricKeyType ?? 'unknown'} cannot sign certificates here: use EC (P-256, P-384, P-521) or RSA`,
  );
};

/** `-----BEGIN <label>-----` around the bytes in base64. */
export const toPem = (label: string, bytes: ArrayBuffer): string => {
  const base64 = Buffer.from(bytes).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
};

/** A distinguished name of that common name alone. */
export const commonName = (
  { pkijs, asn1js }: Pki,
  value: string,
): import('pkijs').RelativeDistinguishedNames =>
  new pkijs.RelativeDistinguishedNames({
    typesAndValues: [
      new pkijs.AttributeTypeAndValue({ type: '2.5.4.3', value: new asn1js.Utf8String({ value }) }),
    ],
  });

/** RFC 5280 appendix A: ub-common-name. */
const COMMON_NAME_CHARACTERS_MAX = 64;

/** As much of a name as a common name has room for; the full one stands in the subject alternative name. */
export const commonNameFor = (name: string): string => name.slice(0, COMMON_NAME_CHARACTERS_MAX);
