/**
 * Private keys of nodes and authorities: made, and matched with certificates. Called by the signer actor and by
 * authority.ts. Keys are text here; where they are kept is the caller's business.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  X509Certificate,
  type KeyObject,
} from 'node:crypto';
import { promisify } from 'node:util';

/** A new EC key on P-256, PKCS8 as PEM. */
export const generateKey = async (): Promise<string> => {
  const { privateKey } = await promisify(generateKeyPair)('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return privateKey;
};

/** The public half of a private key in PEM. */
export const publicKeyOf = (keyPem: string): KeyObject => createPublicKey(createPrivateKey(keyPem));

/** Whether the certificate, the first of a bundle, was made for this key. False when either cannot be read. */
export const isKeyOf = (keyPem: string, certificatePem: string): boolean => {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    // A key of another kind than the certificate's is an error to OpenSSL, and no match to us.
    return false;
  }
};

const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const RSA_BITS_MIN = 2048;

/** Why a public key is too weak, or of a kind, to be certified here; undefined: it is good. */
export const weaknessOf = (key: KeyObject): string | undefined => {
  const { asymmetricKeyType: kind, asymmetricKeyDetails: details = {} } = key;
  const { namedCurve = '', modulusLength = 0 } = details;
  if (kind === 'ec')
    return CURVES.has(namedCurve) ? undefined : `the curve ${namedCurve} is not accepted`;
  if (kind === 'rsa')
    return modulusLength >= RSA_BITS_MIN
      ? undefined
      : `an RSA key of ${modulusLength} bits is too short, ${RSA_BITS_MIN} are needed`;
  if (kind === 'ed25519') return undefined;
  return `keys of the kind ${kind ?? 'unknown'} are not accepted`;
};
