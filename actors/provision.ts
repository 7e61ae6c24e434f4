/**
 * Certificates for several nodes at once, signed by one authority: for clusters that somebody sets up as a whole, as
 * `skein dev` does. Writes and starts nothing.
 */
import { randomBytes } from 'node:crypto';
import {
  certificateSerial,
  createAuthority,
  issueCertificate,
  type Authority,
} from '../security/authority.js';
import { generateKey, publicKeyOf } from '../security/keys.js';

export type { Authority };

/** A new authority, valid for ten years. */
export const provisionAuthority = async (label: string): Promise<Authority> => {
  const key = await generateKey();
  const certificate = await createAuthority({ label, key, serial: serial(), nowMs: Date.now() });
  return { certificate, key };
};

/** A key and a certificate that names this node alone, valid for at most 397 days. */
export const provisionNode = async (
  authority: Authority,
  name: string,
): Promise<{ certificate: string; key: string }> => {
  const key = await generateKey();
  const certificate = await issueCertificate({
    authority,
    publicKey: publicKeyOf(key),
    names: [name],
    serial: serial(),
    nowMs: Date.now(),
  });
  return { certificate, key };
};

const serial = (): string => certificateSerial(randomBytes(16).toString('hex'));
