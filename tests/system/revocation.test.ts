/**
 * Revocation against openssl: its certificates, revocation lists and OCSP answers, fetched over real HTTP on loopback.
 * openssl's own responder listens on every address, so its answers are made request by request behind a server of ours.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { httpFetch } from '../../security/httpFetch.js';
import { readOcspAnswer, writeOcspRequest } from '../../security/ocsp.js';
import { RevocationChecker } from '../../security/revocationChecker.js';
import { readRevocationSettings } from '../../security/revocationSettings.js';
import { canonicalSerial } from '../../security/serials.js';
import { OpensslAuthority } from '../support/opensslAuthority.js';
import { MemoryTables } from '../support/revocationScene.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Bytes, a status, or undefined: no answer at all. */
type Answering = (body: Buffer) => Promise<Uint8Array | number | undefined>;

interface Place {
  readonly authority: OpensslAuthority;
  readonly url: string;
  /** What the paths of the server answer. */
  readonly paths: Map<string, Answering>;
  readonly server: Server;
}

async function place(
  t: ExecutionContext,
  keyKind: 'ec' | 'rsa' | 'ed25519' = 'ec',
): Promise<Place> {
  const authority = await OpensslAuthority.create(keyKind);
  const paths = new Map<string, Answering>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const bytes = await paths.get(request.url ?? '')?.(await buffer(request));
    if (typeof bytes === 'number') response.writeHead(bytes).end();
    else if (bytes !== undefined) response.end(bytes);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  server.listen(0, '127.0.0.9');
  await once(server, 'listening');
  t.teardown(async () => {
    server.closeAllConnections();
    server.close();
    await authority.close();
  });
  const url = `http://127.0.0.9:${(server.address() as AddressInfo).port}`;
  return { authority, url, paths, server };
}

interface Clock {
  laterMs: number;
}

const checkerOf = (settings: unknown = true, clock: Clock = { laterMs: 0 }): RevocationChecker =>
  new RevocationChecker(readRevocationSettings(settings), {
    fetch: httpFetch,
    cache: new MemoryTables(),
    now: () => Date.now() + clock.laterMs,
    warn: () => {},
    version: '1',
  });

const listAt = (url: string): string => `crlDistributionPoints = URI:${url}`;
const responderAt = (url: string): string => `authorityInfoAccess = OCSP;URI:${url}`;

for (const keyKind of ['ec', 'rsa', 'ed25519'] as const)
  for (const form of ['DER', 'PEM'] as const)
    test(`a certificate is good until the ${form} list of an ${keyKind} authority names it`, async (t) => {
      const { authority, url, paths } = await place(t, keyKind);
      const one = await authority.issue('one', [listAt(`${url}/list`)]);
      const other = await authority.issue('other', [listAt(`${url}/list`)]);
      const empty = await authority.list(form);
      paths.set('/list', async () => empty);
      const check = async (certificate = one.certificate): Promise<unknown> =>
        (await checkerOf().check(certificate, authority.certificate)).outcome;
      t.is(await check(), 'good');
      await authority.revoke(one, 'keyCompromise');
      const list = await authority.list(form);
      paths.set('/list', async () => list);
      t.is(await check(), 'revoked');
      t.is(await check(other.certificate), 'good');
    });

test('the reason and the time of a revocation are told', async (t) => {
  const { authority, url, paths } = await place(t);
  const one = await authority.issue('one', [listAt(`${url}/list`)]);
  await authority.revoke(one, 'superseded');
  paths.set('/list', () => authority.list('DER'));
  const { reason } = await checkerOf().check(one.certificate, authority.certificate);
  t.regex(reason, /^Certificate A1 is revoked since 20\d\d-.*Z \(superseded\) by the CRL of http:/);
});

test('a live certificate is found out when its list is due', async (t) => {
  const { authority, url, paths } = await place(t);
  const clock = { laterMs: 0 };
  const checker = checkerOf({ crl: { cacheTtl: 60_000 } }, clock);
  const one = await authority.issue('one', [listAt(`${url}/list`)]);
  paths.set('/list', () => authority.list('DER'));
  t.is((await checker.check(one.certificate, authority.certificate)).outcome, 'good');
  await authority.revoke(one, 'keyCompromise');
  clock.laterMs = 60_000;
  const refreshed = await checker.refreshDue(Date.now() + clock.laterMs);
  t.deepEqual(
    refreshed.map(({ result }) => result.outcome),
    ['revoked'],
  );
});

test('a list counts in its grace and not after it', async (t) => {
  const { authority, url, paths } = await place(t);
  const one = await authority.issue('one', [listAt(`${url}/list`)]);
  const list = await authority.list('DER', { seconds: 3600 });
  paths.set('/list', async () => list);
  for (const [laterMs, outcome] of [
    [2 * HOUR, 'good'],
    [DAY + 2 * HOUR, 'refused'],
  ] as const) {
    const result = await checkerOf(true, { laterMs }).check(one.certificate, authority.certificate);
    t.is(result.outcome, outcome, result.reason);
  }
});

test('a list of an authority of the same name with another key is refused in every mode', async (t) => {
  const { authority, url, paths } = await place(t);
  const impostor = await OpensslAuthority.create();
  t.teardown(() => impostor.close());
  const one = await authority.issue('one', [listAt(`${url}/list`)]);
  paths.set('/list', () => impostor.list('DER'));
  for (const failureMode of ['fail-open', 'fail-closed'])
    t.like(await checkerOf({ failureMode }).check(one.certificate, authority.certificate), {
      outcome: 'refused',
      reason: `CRL signature verification failed for: ${url}/list`,
    });
});

const scopes: readonly (readonly [string, (url: string) => string, string])[] = [
  ['its own address', (url) => `fullname:URI:${url}/list`, 'good'],
  ['another address', (url) => `fullname:URI:${url}/other`, 'unchecked'],
  ['users', () => 'onlyuser:TRUE', 'good'],
  ['authorities', () => 'onlyCA:TRUE', 'unchecked'],
  ['other issuers too', () => 'indirectCRL:TRUE', 'unchecked'],
  ['some reasons', () => 'onlysomereasons:keyCompromise', 'unchecked'],
];

for (const [what, point, outcome] of scopes)
  test(`a list for ${what}: ${outcome}`, async (t) => {
    const { authority, url, paths } = await place(t);
    const one = await authority.issue('one', [listAt(`${url}/list`)]);
    const extensions = [`issuingDistributionPoint = critical, ${point(url)}`];
    paths.set('/list', () => authority.list('DER', { extensions }));
    const result = await checkerOf({ failureMode: 'fail-open' }).check(
      one.certificate,
      authority.certificate,
    );
    t.is(result.outcome, outcome as never, result.reason);
  });

const OCSP_SIGNING = 'extendedKeyUsage = OCSPSigning';

for (const [signer, extensions] of [
  ['authority', undefined],
  ['responder', [OCSP_SIGNING]],
] as const)
  test(`good, revoked and unknown come from openssl, signed by the ${signer}`, async (t) => {
    const { authority, url, paths } = await place(t);
    if (extensions) await authority.issue('responder', extensions);
    paths.set('/ocsp', (body) => authority.answer(body, signer));
    const one = await authority.issue('one', [responderAt(`${url}/ocsp`)]);
    const check = async (): Promise<unknown> =>
      await checkerOf().check(one.certificate, authority.certificate);
    t.like(await check(), { outcome: 'good', method: 'ocsp' });
    await authority.revoke(one, 'keyCompromise');
    t.like(await check(), { outcome: 'revoked', method: 'ocsp', code: 'CERTIFICATE_REVOKED' });
    const stranger = await OpensslAuthority.create();
    t.teardown(() => stranger.close());
    paths.set('/ocsp', (body) => stranger.answer(body));
    t.like(await check(), { outcome: 'refused' });
  });

test('a serial that openssl does not know is unknown', async (t) => {
  const { authority, url, paths } = await place(t);
  const one = await authority.issue('one', [responderAt(`${url}/ocsp`)]);
  await authority.forgetAll();
  paths.set('/ocsp', (body) => authority.answer(body));
  t.like(await checkerOf().check(one.certificate, authority.certificate), {
    outcome: 'refused',
    code: 'REVOCATION_UNKNOWN',
    reason: `Certificate A1 is unknown to the OCSP responder ${url}/ocsp`,
  });
});

const unfit: readonly (readonly [string, readonly string[]])[] = [
  ['without the usage', ['keyUsage = digitalSignature']],
  ['for servers', ['extendedKeyUsage = serverAuth']],
];

for (const [what, extensions] of unfit)
  test(`an answer by a responder ${what} is refused in every mode`, async (t) => {
    const { authority, url, paths } = await place(t);
    await authority.issue('responder', extensions);
    const one = await authority.issue('one', [responderAt(`${url}/ocsp`)]);
    paths.set('/ocsp', (body) => authority.answer(body, 'responder'));
    t.like(
      await checkerOf({ failureMode: 'fail-open' }).check(one.certificate, authority.certificate),
      { outcome: 'refused', code: 'REVOCATION_ANSWER_INVALID' },
    );
  });

test('an answer to the question of somebody else is refused', async (t) => {
  const { authority, url, paths } = await place(t);
  const one = await authority.issue('one', [responderAt(`${url}/ocsp`)]);
  const two = await authority.issue('two', [responderAt(`${url}/ocsp`)]);
  const issuer = authority.certificate;
  const asked = (certificate: typeof issuer): Buffer =>
    writeOcspRequest({ certificate, issuer, nonce: Buffer.alloc(32) }, 'sha1');
  for (const { certificate } of [one, two]) {
    paths.set('/ocsp', () => authority.answer(asked(certificate)));
    t.like(await checkerOf({ failureMode: 'fail-open' }).check(one.certificate, issuer), {
      outcome: 'refused',
      code: 'REVOCATION_ANSWER_INVALID',
    });
  }
});

test('an answer that has run out is none', async (t) => {
  const { authority, url, paths } = await place(t);
  const one = await authority.issue('one', [responderAt(`${url}/ocsp`)]);
  paths.set('/ocsp', (body) => authority.answer(body, 'authority', ['-nmin', '30']));
  const check = async (laterMs: number): Promise<unknown> =>
    await checkerOf(true, { laterMs }).check(one.certificate, authority.certificate);
  t.like(await check(29 * 60_000), { outcome: 'good' });
  t.like(await check(HOUR), { outcome: 'refused', code: 'REVOCATION_UNKNOWN' });
});

test('openssl understands both names of a certificate, and gives back the nonce', async (t) => {
  const { authority } = await place(t);
  const { certificate } = await authority.issue('one', ['keyUsage = digitalSignature']);
  const question = { certificate, issuer: authority.certificate, nonce: Buffer.alloc(32, 9) };
  for (const hash of ['sha1', 'sha256'] as const) {
    const bytes = await authority.answer(writeOcspRequest(question, hash));
    const times = { nowMs: Date.now(), withoutNextUpdateMs: HOUR };
    t.is(readOcspAnswer(bytes, question, times).status, 'good');
    const other = { ...question, nonce: Buffer.alloc(32, 8) };
    t.throws(() => readOcspAnswer(bytes, other, times), {
      message: 'answers another question (nonce)',
    });
  }
});

const silences: readonly (readonly [string, Answering | undefined])[] = [
  ['in trouble', async () => 503],
  ['not there', async () => 404],
  ['silent', async () => undefined],
];

for (const [what, answering] of silences)
  test(`sources that are ${what}: the failure mode decides`, async (t) => {
    const { authority, url, paths } = await place(t);
    const extensions = [listAt(`${url}/list`), responderAt(`${url}/ocsp`)];
    const one = await authority.issue('one', extensions);
    for (const path of ['/list', '/ocsp']) if (answering) paths.set(path, answering);
    for (const [failureMode, outcome] of [
      ['fail-open', 'unchecked'],
      ['fail-closed', 'refused'],
    ] as const) {
      const settings = { failureMode, crl: { timeout: 1000 }, ocsp: { timeout: 1000 } };
      t.like(await checkerOf(settings).check(one.certificate, authority.certificate), {
        outcome,
        code: 'REVOCATION_UNKNOWN',
      });
    }
  });

test('sources that are down: the responder stands in for the list, then the failure mode decides', async (t) => {
  const { authority, url, paths, server } = await place(t);
  const extensions = [listAt('http://127.0.0.9:1/list'), responderAt(`${url}/ocsp`)];
  const one = await authority.issue('one', extensions);
  paths.set('/ocsp', (body) => authority.answer(body));
  t.like(await checkerOf().check(one.certificate, authority.certificate), {
    outcome: 'good',
    method: 'ocsp',
  });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  t.like(await checkerOf().check(one.certificate, authority.certificate), {
    outcome: 'refused',
    code: 'REVOCATION_UNKNOWN',
  });
});

test('openssl, Node and Skein mean the same serial', async (t) => {
  const { authority } = await place(t);
  const one = await authority.issue('one', ['keyUsage = digitalSignature']);
  const printed = (await authority.serialOf(one)).trim().replace('serial=', '');
  t.is(canonicalSerial(printed), 'A1');
  t.is(canonicalSerial(one.certificate.serialNumber), 'A1');
});
