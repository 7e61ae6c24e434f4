/**
 * Passwords: hashed with scrypt (RFC 7914), compared in constant time. Called by the cluster supervisor for logins
 * and users; knows no user table and keeps nothing.
 */
import { randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';

const COST = { N: 16384, r: 8, p: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** `scrypt$N$r$p$salt$hash`, salt and hash in base64: everything a later check needs. */
export const hashPassword = async (password: string): Promise<string> => {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive({ password, salt, byteLength: HASH_BYTES, cost: COST });
  const { N, r, p } = COST;
  return ['scrypt', N, r, p, salt.toString('base64'), hash.toString('base64')].join('$');
};

/** False for a wrong password and for a stored text that is no hash of ours. */
export const verifyPassword = async (password: string, stored: string): Promise<boolean> => {
  const [scheme, N, r, p, salt, hash] = stored.split('$');
  if (scheme !== 'scrypt' || !N || !r || !p || !salt || !hash) return false;
  const expected = Buffer.from(hash, 'base64');
  const cost = { N: Number(N), r: Number(r), p: Number(p) };
  if (!isAffordable(cost) || expected.length === 0) return false;
  const derived = await derive({
    password,
    salt: Buffer.from(salt, 'base64'),
    byteLength: expected.length,
    cost,
  });
  return timingSafeEqual(derived, expected);
};

/** As long as a UUID without dashes; shown once. */
export const generatePassword = (): string => randomBytes(SALT_BYTES).toString('hex');

/** A row that came from elsewhere must not make a login take memory or time without bound. */
const isAffordable = ({ N, r, p }: { N: number; r: number; p: number }): boolean =>
  Number.isSafeInteger(N) && N >= 2 && N <= 1 << 17 && r >= 1 && r <= 16 && p >= 1 && p <= 4;

const derive = (request: {
  password: string;
  salt: Buffer;
  byteLength: number;
  cost: ScryptOptions;
}): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const options = { ...request.cost, maxmem: 256 * 1024 * 1024 };
    scrypt(request.password, request.salt, request.byteLength, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
