/**
 * Tokens of the operations API: signed and read (RFC 7519, RS256), and the keys for that. Called by actors/tokenKeys.ts
 * and actors/users.ts, which look up the user: what a token claims about rights is never believed. Keeps nothing.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import { SkeinError } from '../protocol/errors.js';

/** The contents of the three key files. */
export interface TokenKeyTexts {
  /** PKCS #8 PEM, encrypted with the passphrase. */
  readonly privateKey: string;
  /** SPKI PEM. */
  readonly publicKey: string;
  readonly passphrase: string;
}

export type TokenKind = 'operation' | 'refresh';

export interface TokenClaims {
  readonly username: string;
  readonly kind: TokenKind;
  /** Which of the user's series it belongs to: a new one begins when the older tokens are to end. */
  readonly series: string;
}

export interface NewToken extends TokenClaims {
  readonly superUser: boolean;
  /** Milliseconds since the epoch, and milliseconds. */
  readonly issuedMs: number;
  readonly lifeMs: number;
}

const ALGORITHM = 'RS256';
const KEY_BITS = 2048;
const ID_BYTES = 16;

/** A new pair; takes up to a second, off the main thread. */
export const generateTokenKeys = (): Promise<TokenKeyTexts> => {
  const passphrase = randomBytes(32).toString('base64url');
  return new Promise((resolve, reject) => {
    generateKeyPair(
      'rsa',
      {
        modulusLength: KEY_BITS,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase },
      },
      (error, publicKey, privateKey) =>
        error ? reject(error) : resolve({ privateKey, publicKey, passphrase }),
    );
  });
};

/** Undefined for a pair that signs and verifies; else what is wrong. */
export const tokenKeysProblem = (texts: TokenKeyTexts): string | undefined => {
  try {
    const own = createPublicKey(signingKey(texts)).export({ type: 'spki', format: 'der' });
    const told = createPublicKey(texts.publicKey).export({ type: 'spki', format: 'der' });
    return own.equals(told) ? undefined : 'the public key belongs to another private key';
  } catch {
    return 'the private key cannot be read with the passphrase, or a key is no PEM of RSA';
  }
};

/** A compact token. Two of them are never equal. Rejects when the key cannot be read. */
export const signToken = async (texts: TokenKeyTexts, token: NewToken): Promise<string> => {
  const { SignJWT } = await import('jose');
  const issued = Math.floor(token.issuedMs / 1000);
  return new SignJWT({
    username: token.username,
    super_user: token.superUser,
    series: token.series,
  })
    .setProtectedHeader({ alg: ALGORITHM })
    .setSubject(token.kind)
    .setIssuedAt(issued)
    .setExpirationTime(Math.floor((token.issuedMs + token.lifeMs) / 1000))
    .setJti(randomBytes(ID_BYTES).toString('base64url'))
    .sign(signingKey(texts));
};

/**
 * What the token says. UNAUTHENTICATED `token expired`, and `invalid token` for everything else: other algorithms,
 * other keys, other subjects, claims that are missing, or a `role`, which is no claim of tokens for operations.
 */
export const readToken = async (
  publicKey: string | KeyObject,
  token: string,
  nowMs: number,
): Promise<TokenClaims> => {
  const { jwtVerify, errors } = await import('jose');
  const key = typeof publicKey === 'string' ? createPublicKey(publicKey) : publicKey;
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [ALGORITHM],
      currentDate: new Date(nowMs),
      requiredClaims: ['username', 'sub', 'iat', 'exp', 'series'],
    });
    return claimsOf(payload);
  } catch (error) {
    if (error instanceof errors.JWTExpired)
      throw new SkeinError('UNAUTHENTICATED', 'token expired', { cause: error });
    if (error instanceof errors.JOSEError) throw invalidToken(error);
    throw error;
  }
};

/** What is kept of a token, to know it again. */
export const hashToken = (token: string): string =>
  createHash('sha256').update(token).digest('hex');

export const invalidToken = (cause?: unknown): SkeinError =>
  new SkeinError('UNAUTHENTICATED', 'invalid token', { cause });

const signingKey = ({ privateKey, passphrase }: TokenKeyTexts): KeyObject =>
  createPrivateKey({ key: privateKey, passphrase });

const claimsOf = (payload: Readonly<Record<string, unknown>>): TokenClaims => {
  const { username, sub, series } = payload;
  if (Object.hasOwn(payload, 'role')) throw invalidToken();
  if (typeof username !== 'string' || typeof series !== 'string') throw invalidToken();
  if (sub !== 'operation' && sub !== 'refresh') throw invalidToken();
  return { username, kind: sub, series };
};
