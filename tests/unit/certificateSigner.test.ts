/** The signer of a node: what it makes, trusts, signs and renews, and what it does when something is not as it should be. */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import type { IdentityView } from '../../actors/messages.js';
import type { SignedCertificate } from '../../actors/ownCertificates.js';
import { nodeName } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { certificateSerial, issueCertificate } from '../../security/authority.js';
import { checkRequest, createRequest } from '../../security/certificateRequest.js';
import { detailsOf, readCertificate } from '../../security/certificates.js';
import { identityNames } from '../../security/identity.js';
import { generateKey, isKeyOf } from '../../security/keys.js';
import { renewalDueMs } from '../../security/renewal.js';
import { issue, newAuthority } from '../support/certificates.js';
import { until } from '../support/manualEnvironment.js';
import { startSigner, type SignerScene } from '../support/signerScene.js';

const DAY_MS = 86_400_000;
const AUTHORITY = 'Skein-Certificate-Authority-server-one';

const certificateOf = (scene: SignerScene, name: string): string =>
  String(scene.table('hdb_certificate').get(name)?.['certificate']);

const view = (scene: SignerScene): Promise<IdentityView> =>
  scene.ask((replyTo) => ({ type: 'identity.view', replyTo }));

const sign = (scene: SignerScene, csr: string, name: string): Promise<SignedCertificate> =>
  scene.ask((replyTo) => ({ type: 'request.sign', csr, name: nodeName(name), replyTo }));

/** Authorities trusted by connections. */
const trusted = (scene: SignerScene): readonly unknown[] =>
  scene.trust.contexts.defaultOptions().ca as unknown[];

test('at the first start there are an authority, a certificate signed by it, and keys of both', async (t) => {
  const scene = await startSigner(t);
  t.deepEqual([...scene.table('hdb_certificate').keys()].sort(), [AUTHORITY, 'server-one']);
  t.deepEqual([...scene.keys.keys()].sort(), ['authorityKey.pem', 'privateKey.pem']);
  const [own, authority] = [certificateOf(scene, 'server-one'), certificateOf(scene, AUTHORITY)];
  t.true(readCertificate(own).checkIssued(readCertificate(authority)));
  t.deepEqual(await view(scene), { isUsable: true, isSelfSigned: true, authority });
  t.notRegex(JSON.stringify([...scene.table('hdb_certificate').values()]), /PRIVATE KEY/);
});

test('what it signs names the asking node alone, with a serial of its own', async (t) => {
  const scene = await startSigner(t);
  const csr = await createRequest({ key: await generateKey(), name: nodeName('server-two') });
  const [one, two] = [await sign(scene, csr, 'server-two'), await sign(scene, csr, 'server-two')];
  t.deepEqual(identityNames(readCertificate(one.certificate)), [nodeName('server-two')]);
  t.not(
    readCertificate(one.certificate).serialNumber,
    readCertificate(two.certificate).serialNumber,
  );
  t.is(one.signingCA, certificateOf(scene, AUTHORITY));
  await t.throwsAsync(sign(scene, csr, 'server-one'), { message: /^Error verifying CSR: / });
  await t.throwsAsync(sign(scene, 'nonsense', 'server-two'), { code: 'INVALID_REQUEST' });
});

test('an authority with a key that an operator provided signs before the one it made', async (t) => {
  const scene = await startSigner(t);
  const own = await issue({ commonName: 'corporate', isAuthority: true });
  scene.keys.set('corporate.pem', own.key);
  scene.change('hdb_certificate', {
    name: 'corporate',
    certificate: own.certificate,
    is_authority: true,
    private_key_name: 'corporate.pem',
  });
  await scene.environment.advance(100);
  await until(() => trusted(scene).length === 2, 'the authority is trusted');
  const csr = await createRequest({ key: await generateKey(), name: nodeName('server-two') });
  const signed = await sign(scene, csr, 'server-two');
  t.is(readCertificate(signed.certificate).issuer, 'CN=corporate');
  t.is(signed.signingCA, own.certificate);
});

test('every authority in the node table is trusted from the next moment on, and no longer than it stands there', async (t) => {
  const scene = await startSigner(t);
  const other = await newAuthority('server-two');
  scene.change('hdb_nodes', { name: 'server-two', ca: other.certificate });
  await scene.environment.advance(100);
  await until(() => trusted(scene).length === 2, 'trusted');
  t.true(trusted(scene).includes(readCertificate(other.certificate).toString()));
  scene.change('hdb_nodes', { name: 'server-two', ca: null });
  await scene.environment.advance(100);
  await until(() => trusted(scene).length === 1, 'no longer trusted');
  t.pass();
});

test('what is no authority is not trusted, and does not keep others from it', async (t) => {
  const scene = await startSigner(t);
  const leaf = await issue({ commonName: 'server-three', dns: ['server-three'] });
  const good = await newAuthority('good');
  scene.table('hdb_nodes').set('a', { name: 'a', ca: leaf.certificate });
  scene.table('hdb_nodes').set('b', { name: 'b', ca: 'garbage' });
  scene.table('hdb_nodes').set('c', { name: 'c', ca: 7 });
  scene.table('hdb_certificate').set('x', { name: 'x', certificate: 'garbage' });
  scene.table('hdb_certificate').set('y', { name: 'y', certificate: leaf.certificate });
  scene.change('hdb_nodes', { name: 'd', ca: good.certificate });
  await scene.environment.advance(100);
  await until(() => trusted(scene).length === 2, 'the good one is trusted');
  const log = scene.logged.join('\n');
  for (const problem of [
    "'ca' of the node 'a': it is no certificate of an authority",
    "'ca' of the node 'b': expected 1 to 100 PEM certificates",
    "certificate 'x': the certificate cannot be read",
    "certificate 'y': its private key is not here",
  ])
    t.true(log.includes(problem), problem);
});

/** So many certificates of authorities, alike but for their serial numbers. */
const manyAuthorities = async (count: number): Promise<string[]> => {
  const { raw, serialNumber } = readCertificate((await newAuthority('one of many')).certificate);
  const at = raw.indexOf(Buffer.from(serialNumber, 'hex'));
  return Array.from({ length: count }, (_, index) => {
    const copy = Buffer.from(raw);
    copy.writeUInt32BE(index, at + 4);
    return `-----BEGIN CERTIFICATE-----\n${copy.toString('base64')}\n-----END CERTIFICATE-----\n`;
  });
};

test('authorities are trusted up to their limit, and what is beyond is named', async (t) => {
  const scene = await startSigner(t);
  const many = await manyAuthorities(limits.trustedAuthoritiesMax + 50);
  const perNode = limits.certificatesPerBundleMax;
  for (let first = 0; first < many.length; first += perNode)
    scene.table('hdb_nodes').set(`n${first}`, {
      name: `n${first}`,
      ca: many.slice(first, first + perNode).join(''),
    });
  scene.change('hdb_nodes', { name: 'the last', ca: many.at(-1) ?? '' });
  await scene.environment.advance(100);
  await until(() => trusted(scene).length === limits.trustedAuthoritiesMax, 'the limit is reached');
  const beyond = `'ca' of the node 'the last': more than ${limits.trustedAuthoritiesMax} authorities`;
  t.true(scene.logged.some((line) => line.includes(beyond)));
});

test('while the tables cannot be read what was trusted stays, and they are read again', async (t) => {
  const scene = await startSigner(t);
  const other = await newAuthority('server-two');
  scene.broken = true;
  scene.change('hdb_nodes', { name: 'server-two', ca: other.certificate });
  await scene.environment.advance(100);
  await until(() => scene.logged.some((line) => line.includes('cannot read')), 'it is said');
  t.is(trusted(scene).length, 1);
  scene.broken = false;
  await scene.environment.advance(1_100);
  await until(() => trusted(scene).length === 2, 'trusted');
});

test('a certificate of its own authority is renewed after two thirds of its life, with another key', async (t) => {
  const scene = await startSigner(t);
  const first = certificateOf(scene, 'server-one');
  await scene.environment.advance(264 * DAY_MS);
  t.is(certificateOf(scene, 'server-one'), first);
  await untilDue(scene, 'server-one');
  await until(() => certificateOf(scene, 'server-one') !== first, 'it was renewed');
  const second = certificateOf(scene, 'server-one');
  await until(() => scene.logged.some((line) => line.includes('were renewed')), 'it is said');
  const { private_key_name: keyName } = scene.table('hdb_certificate').get('server-one') ?? {};
  t.regex(String(keyName), /^privateKey-[0-9a-f]+\.pem$/);
  t.true(isKeyOf(scene.keys.get(String(keyName)) ?? '', second));
  t.true(detailsOf(readCertificate(second)).validToMs > scene.environment.now() + 390 * DAY_MS);
  t.is(scene.trust.contexts.defaultOptions().cert, `${second}\n${certificateOf(scene, AUTHORITY)}`);
  // The next renewal leaves no key of the one before.
  await untilDue(scene, 'server-one');
  await until(() => certificateOf(scene, 'server-one') !== second, 'it was renewed again');
  await until(() => !scene.keys.has(String(keyName)), 'the former key is gone');
  t.true(scene.keys.has('privateKey.pem'));
});

/** Moves the clock to when the renewal of that certificate begins, and not beyond: what it waits for has deadlines. */
const untilDue = (scene: SignerScene, name: string): Promise<void> => {
  const dueMs = renewalDueMs(detailsOf(readCertificate(certificateOf(scene, name))), 0);
  return scene.environment.advance(dueMs - scene.environment.now() + 1);
};

/** Has the node signed by another authority, as add_node does. */
const join = async (scene: SignerScene, authority: Awaited<ReturnType<typeof newAuthority>>) => {
  const { csr, privateKeyName } = await scene.ask<{ csr: string; privateKeyName: string }>(
    (replyTo) => ({ type: 'request.create', replyTo }),
  );
  const signed = await signedBy(scene, authority, csr);
  await scene.ask<void>((replyTo) => ({
    type: 'certificate.store',
    signed,
    privateKeyName,
    replyTo,
  }));
  scene.table('hdb_nodes').set('server-one', { name: 'server-one', ca: authority.certificate });
};

const signedBy = async (
  scene: SignerScene,
  authority: { certificate: string; key: string },
  csr: string,
): Promise<SignedCertificate> => ({
  certificate: await issueCertificate({
    authority,
    publicKey: await checkRequest(csr, nodeName('server-one')),
    names: ['server-one'],
    serial: certificateSerial(randomBytes(16).toString('hex')),
    nowMs: scene.environment.now(),
  }),
  signingCA: authority.certificate,
});

test('a certificate signed elsewhere is renewed by the node that signed it, else by any member, with ever longer waits', async (t) => {
  const authority = await newAuthority('server-two');
  const asked: string[] = [];
  let signs = false;
  const scene: SignerScene = await startSigner(t, {
    startedMs: Date.now(),
    askMember: async ({ name }, csr) => {
      asked.push(name);
      if (!signs) throw new Error('not now');
      return signedBy(scene, authority, csr);
    },
  });
  await join(scene, authority);
  const first = certificateOf(scene, 'server-one-replication');
  t.like(await view(scene), { isSelfSigned: false, authority: authority.certificate });
  const foreign = await newAuthority('server-three');
  scene
    .table('hdb_nodes')
    .set('server-three', { name: 'server-three', url: 'wss://c', ca: foreign.certificate });
  scene.change('hdb_nodes', { name: 'server-two', url: 'wss://b', ca: authority.certificate });
  await scene.environment.advance(264 * DAY_MS);
  t.deepEqual(asked, []);
  await untilDue(scene, 'server-one-replication');
  await until(() => asked.length === 2, 'both were asked');
  t.deepEqual(asked, ['server-two', 'server-three']);
  await until(
    () => scene.logged.some((line) => line.includes('could not be renewed')),
    'it is said',
  );
  await scene.environment.advance(29_000);
  t.is(asked.length, 2);
  await scene.environment.advance(2_000);
  await until(() => asked.length === 4, 'they were asked again');
  signs = true;
  await scene.environment.advance(120_000);
  await until(() => certificateOf(scene, 'server-one-replication') !== first, 'it was renewed');
  t.is(asked[4], 'server-two');
  t.true((await view(scene)).isUsable);
});

test('an answer to a renewal that is not for this node, or from an authority nobody trusts, is not taken', async (t) => {
  const authority = await newAuthority('server-two');
  const stranger = await newAuthority('stranger');
  const answers: ((csr: string) => Promise<SignedCertificate>)[] = [
    (csr) => signedBy(scene, stranger, csr),
    async () => ({
      ...(await issue({ dns: ['server-one'] }, authority)),
      signingCA: authority.certificate,
    }),
    async (csr) => ({
      ...(await signedBy(scene, authority, csr)),
      signingCA: stranger.certificate,
    }),
  ];
  const expected = [
    /not among those that are trusted/,
    /for another key/,
    /not signed by the authority/,
  ];
  let turn = 0;
  const scene: SignerScene = await startSigner(t, {
    startedMs: Date.now(),
    askMember: async (_member, csr) => (answers[turn++] ?? answers[0])?.(csr) ?? Promise.reject(),
  });
  await join(scene, authority);
  const first = certificateOf(scene, 'server-one-replication');
  scene.change('hdb_nodes', { name: 'server-two', url: 'wss://b', ca: authority.certificate });
  await untilDue(scene, 'server-one-replication');
  for (const [index, problem] of expected.entries()) {
    await until(
      () => scene.logged.filter((line) => line.includes('could not be renewed')).length > index,
      'it is said',
    );
    t.regex(
      scene.logged.filter((line) => line.includes('could not be renewed'))[index] ?? '',
      problem,
    );
    await scene.environment.advance(30_000 * 2 ** index);
  }
  t.is(certificateOf(scene, 'server-one-replication'), first);
});

test('what another node is said to have signed is checked before it is stored', async (t) => {
  const scene = await startSigner(t);
  const authority = await newAuthority('server-two');
  const { csr, privateKeyName } = await scene.ask<{ csr: string; privateKeyName: string }>(
    (replyTo) => ({ type: 'request.create', replyTo }),
  );
  const good = await signedBy(scene, authority, csr);
  const leaf = await issue({ commonName: 'leaf', dns: ['leaf'] });
  const bad: SignedCertificate[] = [
    { ...good, certificate: 'garbage' },
    { ...good, signingCA: 'garbage' },
    { ...good, signingCA: leaf.certificate },
    { ...good, signingCA: certificateOf(scene, AUTHORITY) },
    { ...good, certificate: (await issue({ dns: ['server-two'] }, authority)).certificate },
    { ...good, certificate: (await issue({ dns: ['server-one'] }, authority)).certificate },
  ];
  const before = [...scene.table('hdb_certificate').keys()];
  for (const signed of bad)
    await t.throwsAsync(
      scene.ask<void>((replyTo) => ({
        type: 'certificate.store',
        signed,
        privateKeyName,
        replyTo,
      })),
      { code: 'PEER_REFUSED', message: /^Unexpected certificate signature response: / },
    );
  t.deepEqual([...scene.table('hdb_certificate').keys()], before);
  await scene.ask<void>((replyTo) => ({
    type: 'certificate.store',
    signed: good,
    privateKeyName,
    replyTo,
  }));
  t.is(certificateOf(scene, 'server-one-replication'), good.certificate);
});

test('its authority is made anew for the same key when two thirds of its ten years are over', async (t) => {
  const scene = await startSigner(t);
  const first = certificateOf(scene, AUTHORITY);
  scene.change('hdb_nodes', { name: 'server-one', ca: first });
  await untilDue(scene, AUTHORITY);
  for (let turn = 0; turn < 100 && certificateOf(scene, AUTHORITY) === first; turn++) {
    // One renewal has to end before the next begins.
    await until(() => scene.environment.waiting() > 0, 'the signer waits');
    await scene.environment.advance(1_000);
  }
  const second = readCertificate(certificateOf(scene, AUTHORITY));
  t.true(second.publicKey.equals(readCertificate(first).publicKey));
  await until(
    () => scene.table('hdb_nodes').get('server-one')?.['ca'] !== first,
    'others are told',
  );
  t.true(readCertificate(certificateOf(scene, 'server-one')).checkIssued(second));
});

test('SE-12 serial numbers in the node table count in every spelling, and what is no number is warned of once', async (t) => {
  const scene = await startSigner(t);
  const isRevoked = (serial: string) => scene.trust.isRevoked(nodeName('server-two'), serial);
  const revoked_certificates = ['00:ab', 'QA69C7E2S'];
  scene.change('hdb_nodes', { name: 'server-two', revoked_certificates });
  await scene.environment.advance(100);
  await until(() => isRevoked('AB'), 'it counts');
  t.true(isRevoked('QA69C7E2S'));
  t.false(scene.trust.isRevoked(nodeName('server-three'), 'AB'));
  scene.change('hdb_nodes', { name: 'server-two', revoked_certificates, shard: 1 });
  scene.change('hdb_nodes', { name: 'server-three', revoked_certificates: ['CD'] });
  await scene.environment.advance(100);
  await until(() => scene.trust.isRevoked(nodeName('server-three'), 'cd'), 'the table is read');
  t.is(scene.logged.filter((line) => line.includes("'QA69C7E2S'")).length, 1);
  t.false(scene.logged.some((line) => line.includes('ab')));
});
