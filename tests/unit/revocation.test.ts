/** Which outcome a certificate has: the order of the sources, failure modes, and what is remembered for how long. */
import test, { type ExecutionContext } from 'ava';
import { limits } from '../../protocol/limits.js';
import { constructedTag, derElement, primitiveTag } from '../../security/der.js';
import { extension, issue, makeAuthority, sequence, tagged } from '../support/testAuthority.js';
import { addressName, writeAnswer, writeList, writeRefusal } from '../support/testAuthority.js';
import type { TestAnswer, TestList } from '../support/testAuthority.js';
import { revocationScene, type RevocationScene } from '../support/revocationScene.js';

const CRL = 'http://127.0.0.1/list.crl';
const OCSP = 'http://127.0.0.1/ocsp';
const SERIAL = '0c0ffee0';
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ERROR_MS = 300_000;

const authority = makeAuthority();
const { certificate: ca } = authority;
const make = (points: { lists?: string[]; responders?: string[] }) =>
  issue(authority, { subject: 'node', serial: SERIAL, ...points }).certificate;
const listed = make({ lists: [CRL] });
const answered = make({ responders: [OCSP] });
const both = make({ lists: [CRL], responders: [OCSP] });

const listOf =
  (list: TestList = {}) =>
  () =>
    writeList(authority, list);
const answerOf =
  (answer: Partial<TestAnswer> = {}, by = authority) =>
  () =>
    writeAnswer(by, { serial: SERIAL, about: authority, ...answer });
const revokedList = listOf({ entries: [{ serial: SERIAL, revokedAtMs: 1e12, reason: 1 }] });

const outcome = async (scene: RevocationScene, certificate = both) => {
  const { outcome, method, code } = await scene.checker.check(certificate, ca);
  return code === undefined ? [outcome, method] : [outcome, method, code];
};

const urls = ({ asked }: RevocationScene): string[] => asked.map(({ url }) => url);

test('a certificate that names no source is not checked', async (t) => {
  const scene = revocationScene();
  t.deepEqual(await outcome(scene, make({})), ['unchecked', 'none']);
  t.deepEqual(scene.asked, []);
  t.is(scene.checker.nextDueMs, undefined);
});

test('a certificate that is not in the list is good, and nobody else is asked', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, listOf({ entries: [{ serial: '0c0ffee1' }] }));
  t.deepEqual(await outcome(scene), ['good', 'crl']);
  t.deepEqual(urls(scene), [CRL]);
});

test('the first use of a list counts', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, revokedList).set(OCSP, answerOf());
  const result = await scene.checker.check(both, ca);
  t.like(result, { outcome: 'revoked', method: 'crl', code: 'CERTIFICATE_REVOKED' });
  t.is(
    result.reason,
    `Certificate C0FFEE0 is revoked since 2001-09-09T01:46:40.000Z (keyCompromise) by the CRL of ${CRL}`,
  );
  t.deepEqual(urls(scene), [CRL]);
});

test('the list is asked for by name, with the bounds of the settings', async (t) => {
  const scene = revocationScene({ crl: { timeout: 1234 }, ocsp: { timeout: 4321 } });
  await outcome(scene);
  t.like(scene.asked[0]?.request, {
    method: 'GET',
    headers: { 'user-agent': 'Skein/1.2.3 CRL-Client' },
    timeoutMs: 1234,
    bytesMax: 64 * 1024 * 1024,
  });
  t.like(scene.asked[1]?.request, {
    method: 'POST',
    timeoutMs: 4321,
    bytesMax: limits.ocspBytesMax,
  });
  t.is(scene.asked[1]?.request.headers['content-type'], 'application/ocsp-request');
});

test('the responder is asked when the list cannot be had, and its word is final', async (t) => {
  for (const [status, word] of [
    ['good', ['good', 'ocsp']],
    ['revoked', ['revoked', 'ocsp', 'CERTIFICATE_REVOKED']],
  ] as const) {
    const scene = revocationScene();
    scene.answers.set(CRL, () => 503).set(OCSP, answerOf({ status }));
    t.deepEqual(await outcome(scene), word);
    t.deepEqual(urls(scene), [CRL, OCSP]);
  }
});

test('a source that is switched off is not asked', async (t) => {
  const scene = revocationScene({ crl: false });
  scene.answers.set(CRL, revokedList).set(OCSP, answerOf());
  t.deepEqual(await outcome(scene), ['good', 'ocsp']);
  t.deepEqual(urls(scene), [OCSP]);
  t.deepEqual(await outcome(scene, listed), ['unchecked', 'none']);
});

/** Sources that say nothing; the failure mode decides. */
const silent: readonly (readonly [string, (scene: RevocationScene) => void, typeof listed])[] = [
  ['a list that cannot be fetched', () => {}, listed],
  ['a list that is not there', ({ answers }) => answers.set(CRL, () => 404), listed],
  [
    'a list out of its grace',
    ({ answers }) => answers.set(CRL, listOf(outdated(DAY + 1000))),
    listed,
  ],
  [
    'a list from the future',
    ({ answers }) => answers.set(CRL, listOf({ thisUpdateMs: Date.now() + ERROR_MS + 10_000 })),
    listed,
  ],
  [
    'a delta list',
    ({ answers }) =>
      answers.set(CRL, listOf({ extensions: [extension('2.5.29.27', sequence(), true)] })),
    listed,
  ],
  ['a list of other addresses', ({ answers }) => answers.set(CRL, listOf(elsewhere)), listed],
  ['a list at no web address', () => {}, make({ lists: ['ldap://127.0.0.1/cn=x'] })],
  ['a responder that is down', () => {}, answered],
  ['a responder in trouble', ({ answers }) => answers.set(OCSP, () => 500), answered],
  ['a responder that knows nothing', ({ answers }) => answers.set(OCSP, unknown), answered],
  [
    'a responder that wants a later question',
    ({ answers }) => answers.set(OCSP, () => writeRefusal(3)),
    answered,
  ],
  ['an answer that has run out', ({ answers }) => answers.set(OCSP, stale), answered],
  ['neither source', () => {}, both],
];

const outdated = (agoMs: number): TestList => ({
  thisUpdateMs: Date.now() - 3 * DAY,
  nextUpdateMs: Date.now() - agoMs,
});
const elsewhere: TestList = {
  extensions: [
    extension(
      '2.5.29.28',
      sequence(derElement(constructedTag(0), tagged(0, addressName('http://127.0.0.1/b')))),
      true,
    ),
  ],
};
const unknown = answerOf({ status: 'unknown' });
const stale = answerOf({ thisUpdateMs: Date.now() - DAY, nextUpdateMs: Date.now() - 1000 });

for (const [what, arrange, certificate] of silent)
  test(`SE-15 SE-16 ${what}: the failure mode decides`, async (t) => {
    for (const [failureMode, word] of [
      ['fail-closed', 'refused'],
      ['fail-open', 'unchecked'],
    ] as const) {
      const scene = revocationScene({ failureMode });
      arrange(scene);
      const result = await scene.checker.check(certificate, ca);
      t.like(result, { outcome: word, code: 'REVOCATION_UNKNOWN' });
      t.true((result.untilMs ?? 0) <= scene.nowMs + ERROR_MS, 'not for the time of a good answer');
    }
  });

/** Answers that refuse in every mode. */
const wrong: readonly (readonly [string, (scene: RevocationScene) => void, string])[] = [
  [
    'a list with a wrong signature',
    ({ answers }) => answers.set(CRL, () => writeList(makeAuthority())),
    `CRL signature verification failed for: ${CRL}`,
  ],
  [
    'a list of somebody else',
    ({ answers }) => answers.set(CRL, () => writeList(makeAuthority('Another'))),
    `CRL is of another issuer than the certificate for: ${CRL}`,
  ],
  [
    'a page instead of a list',
    ({ answers }) => answers.set(CRL, () => Buffer.from('<html>')),
    'CRL is malformed',
  ],
  [
    'nothing instead of a list',
    ({ answers }) => answers.set(CRL, () => Buffer.alloc(0)),
    'CRL is empty',
  ],
  [
    'an answer with a wrong signature',
    ({ answers }) => answers.set(OCSP, answerOf({}, makeAuthority())),
    `OCSP answer is not signed by the issuer of the certificate or a responder of the issuer from: ${OCSP}`,
  ],
  [
    'an answer about another certificate',
    ({ answers }) => answers.set(OCSP, answerOf({ serial: '01' })),
    `OCSP answer is about another certificate from: ${OCSP}`,
  ],
  [
    'an answer to another question',
    ({ answers }) => answers.set(OCSP, answerOf({ nonce: Buffer.alloc(32) })),
    `OCSP answer answers another question (nonce) from: ${OCSP}`,
  ],
  [
    'a page instead of an answer',
    ({ answers }) => answers.set(OCSP, () => Buffer.from('<html>')),
    'OCSP answer is malformed',
  ],
];

for (const [what, arrange, reason] of wrong)
  test(`${what} refuses in every mode`, async (t) => {
    for (const failureMode of ['fail-closed', 'fail-open']) {
      const scene = revocationScene({ failureMode });
      arrange(scene);
      const result = await scene.checker.check(both, ca);
      t.like(result, { outcome: 'refused', code: 'REVOCATION_ANSWER_INVALID' });
      t.true(result.reason.startsWith(reason), result.reason);
    }
  });

test('SE-15 SE-16 revoked is revoked in every mode', async (t) => {
  const scene = revocationScene({ failureMode: 'fail-open' });
  scene.answers.set(CRL, revokedList);
  t.deepEqual(await outcome(scene), ['revoked', 'crl', 'CERTIFICATE_REVOKED']);
});

test('one silent source that is fail-closed is enough to refuse', async (t) => {
  const modes = [
    ['fail-open', 'fail-open', 'unchecked'],
    ['fail-open', 'fail-closed', 'refused'],
    ['fail-closed', 'fail-open', 'refused'],
  ];
  for (const [crl, ocsp, word] of modes) {
    const scene = revocationScene({ crl: { failureMode: crl }, ocsp: { failureMode: ocsp } });
    t.is((await scene.checker.check(both, ca)).outcome, word as never);
  }
});

test('a certificate is refused when the one given as its issuer has not signed it', async (t) => {
  const scene = revocationScene({ failureMode: 'fail-open' });
  const result = await scene.checker.check(listed, makeAuthority().certificate);
  t.is(result.outcome, 'refused');
  t.deepEqual(scene.asked, []);
});

test('a certificate whose addresses cannot be read is refused', async (t) => {
  const broken = [extension('1.3.6.1.5.5.7.1.1', sequence(sequence()))];
  const tooMany = Array.from({ length: limits.revocationAddressesMax + 1 }, () => CRL);
  const tooLong = [`${CRL}/${'x'.repeat(limits.urlCharactersMax)}`];
  const scene = revocationScene({ failureMode: 'fail-open' });
  for (const request of [{ extensions: broken }, { lists: tooMany }, { responders: tooLong }]) {
    const { certificate } = issue(authority, { subject: 'node', serial: SERIAL, ...request });
    const result = await scene.checker.check(certificate, ca);
    t.is(result.outcome, 'refused');
    t.regex(result.reason, /malformed/);
  }
  t.deepEqual(scene.asked, []);
});

test('a point for some reasons, or with another issuer, is not the list that is asked', async (t) => {
  const name = tagged(0, tagged(0, addressName('http://127.0.0.1/part')));
  const reasons = derElement(primitiveTag(1), Buffer.from([1, 2]));
  const points = sequence(
    sequence(name, reasons),
    sequence(name, tagged(2, addressName('http://127.0.0.1/issuer'))),
    sequence(tagged(0, tagged(0, addressName(CRL)))),
  );
  const request = { subject: 'node', serial: SERIAL, extensions: [extension('2.5.29.31', points)] };
  const scene = revocationScene();
  scene.answers.set(CRL, listOf());
  t.deepEqual(await outcome(scene, issue(authority, request).certificate), ['good', 'crl']);
  t.deepEqual(urls(scene), [CRL]);
});

test('PEM text is taken like a parsed certificate', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, listOf());
  const result = await scene.checker.check(listed.toString(), ca.toString());
  t.is(result.outcome, 'good');
});

const checkAt = async (scene: RevocationScene, laterMs: number, certificate = both) => {
  scene.nowMs += laterMs;
  return await outcome(scene, certificate);
};

test('a list is fetched once in its time to live, for all certificates', async (t) => {
  const scene = revocationScene({ crl: { cacheTtl: HOUR } });
  scene.answers.set(CRL, listOf());
  t.deepEqual(await outcome(scene), ['good', 'crl']);
  t.deepEqual(await outcome(scene, listed), ['good', 'crl']);
  t.deepEqual(await checkAt(scene, HOUR - 1), ['good', 'crl']);
  t.is(scene.asked.length, 1);
  scene.answers.set(CRL, revokedList);
  t.deepEqual(await checkAt(scene, 1), ['revoked', 'crl', 'CERTIFICATE_REVOKED']);
  t.is(scene.asked.length, 2);
});

test('SE-16 a good answer never counts longer than nextUpdate', async (t) => {
  const scene = revocationScene();
  const nextUpdateMs = scene.nowMs + 60_000;
  scene.answers.set(CRL, listOf({ nextUpdateMs })).set(OCSP, answerOf({ nextUpdateMs }));
  for (const certificate of [listed, answered]) {
    const { outcome, untilMs = 0 } = await scene.checker.check(certificate, ca);
    t.is(outcome, 'good');
    t.true(untilMs <= nextUpdateMs);
  }
  scene.answers.set(CRL, revokedList).set(OCSP, answerOf({ status: 'revoked' }));
  t.deepEqual(await checkAt(scene, 60_000, listed), ['revoked', 'crl', 'CERTIFICATE_REVOKED']);
  t.deepEqual(await outcome(scene, answered), ['revoked', 'ocsp', 'CERTIFICATE_REVOKED']);
});

test('an answer counts for the time to live of its source', async (t) => {
  const scene = revocationScene({ ocsp: { cacheTtl: HOUR } });
  scene.answers.set(OCSP, answerOf());
  t.deepEqual(await outcome(scene, answered), ['good', 'ocsp']);
  t.deepEqual(await checkAt(scene, HOUR - 1, answered), ['good', 'ocsp']);
  t.is(scene.asked.length, 1);
  await checkAt(scene, 1, answered);
  t.is(scene.asked.length, 2);
});

test('silence is remembered for errorCacheTtl and no longer', async (t) => {
  const scene = revocationScene();
  t.deepEqual(await outcome(scene), ['refused', 'ocsp', 'REVOCATION_UNKNOWN']);
  scene.answers.set(CRL, listOf()).set(OCSP, answerOf());
  t.deepEqual(await checkAt(scene, ERROR_MS - 1), ['refused', 'ocsp', 'REVOCATION_UNKNOWN']);
  t.is(scene.asked.length, 2);
  t.deepEqual(await checkAt(scene, 1), ['good', 'crl']);
});

test('a list that could not be had is not waited for by every certificate', async (t) => {
  const scene = revocationScene();
  await outcome(scene, listed);
  await outcome(scene, both);
  t.deepEqual(urls(scene), [CRL, OCSP]);
});

test('an old list counts in its grace and is looked for again soon', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, listOf(outdated(DAY - HOUR)));
  t.deepEqual(await outcome(scene, listed), ['good', 'crl']);
  t.is(scene.checker.nextDueMs, scene.nowMs + ERROR_MS);
  t.is(scene.tables.answerRows.size, 0, 'a good answer is not kept beyond nextUpdate');
  await outcome(scene, listed);
  t.is(scene.asked.length, 1);
  await checkAt(scene, ERROR_MS, listed);
  t.is(scene.asked.length, 2);
});

test('when no newer list can be had, the one before counts to the end of its grace', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, listOf({ nextUpdateMs: scene.nowMs + HOUR }));
  t.deepEqual(await outcome(scene, listed), ['good', 'crl']);
  scene.answers.clear();
  t.deepEqual(await checkAt(scene, 2 * HOUR, listed), ['good', 'crl']);
  t.regex(scene.warnings.join(), /the one before it still counts/);
  t.deepEqual(await checkAt(scene, DAY, listed), ['refused', 'crl', 'REVOCATION_UNKNOWN']);
});

test('a forged list refuses, also when the one before it would still count', async (t) => {
  const scene = revocationScene({ failureMode: 'fail-open', crl: { cacheTtl: HOUR } });
  scene.answers.set(CRL, listOf());
  t.deepEqual(await outcome(scene, listed), ['good', 'crl']);
  scene.answers.set(CRL, () => writeList(makeAuthority()));
  const word = ['refused', 'crl', 'REVOCATION_ANSWER_INVALID'];
  t.deepEqual(await checkAt(scene, HOUR, listed), word);
});

test('a list that is older than the one before is not taken', async (t) => {
  const scene = revocationScene({ crl: { cacheTtl: HOUR } });
  scene.answers.set(CRL, revokedList);
  await outcome(scene, listed);
  scene.answers.set(CRL, listOf({ thisUpdateMs: scene.nowMs - 2 * DAY }));
  t.deepEqual(await checkAt(scene, HOUR, listed), ['revoked', 'crl', 'CERTIFICATE_REVOKED']);
  t.is(scene.asked.length, 2);
});

test('lists and answers outlive a restart, and are looked at again', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, revokedList).set(OCSP, answerOf());
  await outcome(scene);
  await outcome(scene, answered);
  scene.answers.clear();
  const restarted = scene.restart();
  t.is((await restarted.check(both, ca)).outcome, 'revoked');
  t.is((await restarted.check(answered, ca)).outcome, 'good');
  t.is((await restarted.check(listed, ca)).outcome, 'revoked', 'from the stored list');
  t.is(scene.asked.length, 2);
});

test('a stored list with a wrong signature does not count', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, revokedList);
  await outcome(scene, listed);
  scene.tables.answerRows.clear();
  const row = scene.tables.listRows.get(CRL) ?? {};
  scene.tables.listRows.set(CRL, { ...row, crl_blob: writeList(makeAuthority()) });
  t.is((await scene.restart().check(listed, ca)).outcome, 'revoked');
  t.is(scene.asked.length, 2);
  t.regex(scene.warnings.join(), /cannot be used/);
});

test('rows of answers that cannot be right do not count', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, listOf());
  await outcome(scene, listed);
  const [[id, row] = ['', {}]] = scene.tables.answerRows;
  scene.answers.set(CRL, revokedList);
  scene.tables.listRows.clear();
  const wrongRows = [
    { ...row, checked_at: scene.nowMs + 1 },
    { ...row, checked_at: scene.nowMs - DAY },
    { ...row, expiresAt: scene.nowMs },
    { ...row, expiresAt: 'never' as never },
    { ...row, status: 'fine' as never },
    { ...row, method: 'ocsp' as const },
    {},
  ];
  for (const wrongRow of wrongRows) {
    scene.tables.answerRows.set(id, wrongRow);
    const { outcome } = await scene.restart().check(listed, ca);
    t.is(outcome, 'revoked', JSON.stringify(wrongRow));
    scene.tables.listRows.clear();
  }
});

test('tables that fail cost a question and change nothing', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, revokedList);
  scene.tables.failing = true;
  t.deepEqual(await outcome(scene), ['revoked', 'crl', 'CERTIFICATE_REVOKED']);
  t.true(scene.warnings.every((text) => text.includes('the table is closed')));
  t.true(scene.warnings.length > 0);
});

test('rows show what is revoked, those of the newest list only', async (t) => {
  const scene = revocationScene({ crl: { cacheTtl: HOUR } });
  scene.answers.set(CRL, listOf({ entries: [{ serial: '05' }, { serial: '06', reason: 4 }] }));
  await outcome(scene, listed);
  t.deepEqual(
    scene.tables.revoked.map((row) => [row.serial_number, row.revocation_reason, row.crl_source]),
    [
      ['5', 'unspecified', CRL],
      ['6', 'superseded', CRL],
    ],
  );
  const [row] = scene.tables.revoked;
  t.regex(row?.composite_id ?? '', /^[0-9A-F]{40}:5$/);
  t.is(row?.expiresAt, (row?.crl_next_update ?? 0) + DAY);
  scene.answers.set(CRL, listOf({ entries: [{ serial: '06' }] }));
  await checkAt(scene, HOUR, listed);
  t.deepEqual(
    scene.tables.revoked.map((one) => one.serial_number),
    ['6'],
  );
});

test('a list with too many entries is checked, and leaves no rows and no bytes', async (t) => {
  const entries = Array.from({ length: limits.crlRowsMax + 1 }, (_, at) => ({
    serial: (at + 0x0c0f0000).toString(16).padStart(60, '0'),
  }));
  const scene = revocationScene();
  scene.answers.set(CRL, listOf({ entries: [...entries, { serial: SERIAL }] }));
  t.is((await scene.checker.check(listed, ca)).outcome, 'revoked');
  t.deepEqual(scene.tables.revoked, []);
  t.regex(scene.warnings.join(), /10002 entries .* are not stored as rows/);
});

test('questions that are under way are not asked twice', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, listOf()).set(OCSP, answerOf());
  const checks = [listed, both, listed, answered, answered].map((one) => outcome(scene, one));
  t.deepEqual((await Promise.all(checks)).flat().filter((word) => word === 'good').length, 5);
  t.deepEqual(urls(scene).sort(), [CRL, OCSP]);
});

test('a responder that does not know the name of the certificate is asked by the other', async (t) => {
  for (const first of [writeRefusal(6), writeRefusal(1), answerOf({ status: 'unknown' })()]) {
    const scene = revocationScene();
    const words = [first, answerOf({ hash: 'sha256' })()];
    scene.answers.set(OCSP, () => words.shift() ?? 500);
    t.deepEqual(await outcome(scene, answered), ['good', 'ocsp']);
    t.is(scene.asked.length, 2);
  }
});

test('what is due is checked again, and nothing else', async (t) => {
  const scene = revocationScene({ crl: { cacheTtl: HOUR }, ocsp: { cacheTtl: 2 * HOUR } });
  scene.answers.set(CRL, listOf()).set(OCSP, answerOf());
  await outcome(scene, listed);
  await outcome(scene, answered);
  t.is(scene.checker.nextDueMs, scene.nowMs + HOUR);
  t.deepEqual(await scene.checker.refreshDue(scene.nowMs + HOUR - 1), []);
  scene.answers.set(CRL, revokedList);
  scene.nowMs += HOUR;
  const [refreshed, ...others] = await scene.checker.refreshDue(scene.nowMs);
  t.deepEqual(others, []);
  t.is(refreshed?.certificate.fingerprint256, listed.fingerprint256);
  t.like(refreshed?.result, { outcome: 'revoked', code: 'CERTIFICATE_REVOKED' });
});

test('of whom nothing is known is watched, though not let in: it may have a link', async (t) => {
  const scene = revocationScene();
  t.deepEqual(await outcome(scene, listed), ['refused', 'crl', 'REVOCATION_UNKNOWN']);
  t.is(scene.checker.nextDueMs, scene.nowMs + ERROR_MS);
});

test('who is revoked is not watched, who was let in is until it is forgotten', async (t) => {
  const scene = revocationScene();
  scene.answers.set(CRL, revokedList);
  await outcome(scene, listed);
  t.is(scene.checker.nextDueMs, undefined);
  scene.nowMs += DAY;
  scene.answers.set(CRL, listOf({ thisUpdateMs: scene.nowMs, nextUpdateMs: scene.nowMs + DAY }));
  await checkAt(scene, ERROR_MS, listed);
  scene.answers.clear();
  scene.nowMs += 4 * DAY;
  for (const attempt of [1, 2]) {
    const [refreshed] = await scene.checker.refreshDue(scene.nowMs);
    t.like(refreshed?.result, { outcome: 'refused', code: 'REVOCATION_UNKNOWN' }, `${attempt}`);
    t.is(scene.checker.nextDueMs, scene.nowMs + ERROR_MS);
    scene.nowMs += ERROR_MS;
  }
});

const forgetWhile = async (t: ExecutionContext, forgetDuring: boolean): Promise<void> => {
  const scene = revocationScene({ crl: { cacheTtl: HOUR } });
  scene.answers.set(CRL, listOf());
  await outcome(scene, listed);
  scene.nowMs += HOUR;
  if (!forgetDuring) scene.checker.forget(listed);
  const refreshing = scene.checker.refreshDue(scene.nowMs);
  if (forgetDuring) scene.checker.forget(listed);
  t.is((await refreshing).length, forgetDuring ? 1 : 0);
  t.is(scene.checker.nextDueMs, undefined);
};

test('what is forgotten is not checked again', (t) => forgetWhile(t, false));
test('what is forgotten during a check stays forgotten', (t) => forgetWhile(t, true));
