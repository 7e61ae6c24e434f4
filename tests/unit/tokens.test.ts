/** What is no token of this cluster is refused: forged, foreign, expired, of another kind. */
import { createHmac, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import test from 'ava';
import { SkeinError } from '../../protocol/errors.js';
import {
  generateTokenKeys,
  hashToken,
  readToken,
  signToken,
  tokenKeysProblem,
  type NewToken,
  type TokenKeyTexts,
} from '../../security/tokens.js';

const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

let own: TokenKeyTexts;
let foreign: TokenKeyTexts;

test.before(async () => {
  [own, foreign] = await Promise.all([generateTokenKeys(), generateTokenKeys()]);
});

const tokenWith = (changes: Partial<NewToken> = {}, keys = own): Promise<string> =>
  signToken(keys, {
    username: 'ada',
    superUser: true,
    kind: 'operation',
    series: 's1',
    issuedMs: NOW,
    lifeMs: HOUR,
    ...changes,
  });

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const CLAIMS = {
  username: 'ada',
  super_user: true,
  sub: 'operation',
  series: 's1',
  iat: NOW / 1000,
  exp: (NOW + HOUR) / 1000,
};

/** Signed with the real key, whatever it says. */
const signed = (claims: object, header: object = { alg: 'RS256' }): string => {
  const text = `${part(header)}.${part(claims)}`;
  const key = createPrivateKey({ key: own.privateKey, passphrase: own.passphrase });
  return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
};

test('a token says whose it is and what it is good for', async (t) => {
  for (const kind of ['operation', 'refresh'] as const)
    t.deepEqual(await readToken(own.publicKey, await tokenWith({ kind }), NOW), {
      username: 'ada',
      kind,
      series: 's1',
    });
  t.deepEqual(await readToken(own.publicKey, signed(CLAIMS), NOW), {
    username: 'ada',
    kind: 'operation',
    series: 's1',
  });
});

test('its claims are the documented ones, and two tokens of one moment differ', async (t) => {
  const [one, other] = await Promise.all([tokenWith(), tokenWith()]);
  t.not(one, other);
  t.not(hashToken(one), hashToken(other));
  const [header = '', claims = ''] = one.split('.');
  t.deepEqual(JSON.parse(Buffer.from(header, 'base64url').toString()), { alg: 'RS256' });
  const { jti, ...rest } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as {
    jti: string;
  };
  t.is(Buffer.from(jti, 'base64url').length, 16);
  t.deepEqual(rest as object, CLAIMS);
});

const FORGERIES: readonly (readonly [string, () => string | Promise<string>])[] = [
  ['algorithm none', () => `${part({ alg: 'none' })}.${part(CLAIMS)}.`],
  [
    'algorithm none with the signature of a good one',
    async () => `${part({ alg: 'none' })}.${(await tokenWith()).split('.').slice(1).join('.')}`,
  ],
  [
    'HS256 with the public key as secret',
    () => {
      const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(CLAIMS)}`;
      return `${text}.${createHmac('sha256', own.publicKey).update(text).digest('base64url')}`;
    },
  ],
  ['the key of another cluster', () => tokenWith({}, foreign)],
  ['PS256 in the header', () => signed(CLAIMS, { alg: 'PS256' })],
  ['RS512 in the header', () => signed(CLAIMS, { alg: 'RS512' })],
  [
    'a key of its own in the header',
    () => {
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      const text = `${part({ alg: 'RS256', jwk: publicKey.export({ format: 'jwk' }) })}.${part(CLAIMS)}`;
      return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
    },
  ],
  [
    'another name under the signature',
    async () => {
      const [header, , signature] = (await tokenWith()).split('.');
      return `${header}.${part({ ...CLAIMS, username: 'eve' })}.${signature}`;
    },
  ],
  ['a critical header nobody knows', () => signed(CLAIMS, { alg: 'RS256', crit: ['x'], x: 1 })],
  ['a role', () => signed({ ...CLAIMS, role: 'super_user' })],
  ['a role of null', () => signed({ ...CLAIMS, role: null })],
  ['another subject', () => signed({ ...CLAIMS, sub: 'session' })],
  ['no subject', () => signed({ ...CLAIMS, sub: undefined })],
  ['no end', () => signed({ ...CLAIMS, exp: undefined })],
  ['no series', () => signed({ ...CLAIMS, series: undefined })],
  ['no name', () => signed({ ...CLAIMS, username: undefined })],
  ['a name that is no text', () => signed({ ...CLAIMS, username: ['ada'] })],
  ['a beginning that has not come', () => signed({ ...CLAIMS, nbf: NOW / 1000 + 60 })],
  ['no text at all', () => ''],
  ['two parts', () => 'a.b'],
  ['five parts, as encrypted ones have', () => 'a.b.c.d.e'],
  ['an unreadable payload', () => `${part({ alg: 'RS256' })}.!!!.AAAA`],
];

for (const [what, forge] of FORGERIES)
  test(`SE-32: a token with ${what} is an invalid token`, async (t) => {
    const error = await t.throwsAsync(async () => readToken(own.publicKey, await forge(), NOW), {
      instanceOf: SkeinError,
      message: 'invalid token',
    });
    t.is(error?.statusCode, 401);
  });

test('SE-32: a token is good until it expires, and is told so', async (t) => {
  const token = await tokenWith();
  t.is((await readToken(own.publicKey, token, NOW + HOUR - 1_000)).username, 'ada');
  const error = await t.throwsAsync(readToken(own.publicKey, token, NOW + HOUR), {
    instanceOf: SkeinError,
    message: 'token expired',
  });
  t.is(error?.statusCode, 401);
});

test('keys are a pair, or it is said what is wrong with them', (t) => {
  t.is(tokenKeysProblem(own), undefined);
  t.regex(String(tokenKeysProblem({ ...own, publicKey: foreign.publicKey })), /another private/);
  t.regex(String(tokenKeysProblem({ ...own, passphrase: 'x' })), /cannot be read/);
  t.regex(String(tokenKeysProblem({ ...own, publicKey: 'x' })), /no PEM/);
  t.notRegex(own.privateKey, /BEGIN PRIVATE KEY/);
});
