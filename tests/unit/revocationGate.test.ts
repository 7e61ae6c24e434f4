/** The gate of revocation checks by itself: what it says to the other end, and what it says to the log, and how often. */
import test from 'ava';
import type { Logger } from 'pino';
import type { RevocationDoor } from '../../actors/revocationGate.js';
import { RevocationGate } from '../../actors/revocationGate.js';
import type { ProvenCertificate } from '../../actors/transport/types.js';
import { CLOSE_REASON_BYTES_MAX } from '../../protocol/limits.js';
import type { RevocationCode, RevocationResult } from '../../security/revocation.js';
import { readRevocationSettings } from '../../security/revocationSettings.js';
import { issue, makeAuthority } from '../support/testAuthority.js';

const SERIAL = `7${'F'.repeat(39)}`;
const authority = makeAuthority();

const { certificate } = issue(authority, {
  subject: 'server-two',
  serial: SERIAL,
  lists: ['http://authority/list'],
});
const proven: ProvenCertificate = {
  pem: certificate.toString(),
  issuerPem: authority.certificate.toString(),
  serial: certificate.serialNumber,
  validToMs: 0,
};

const resultOf = (code: RevocationCode): RevocationResult => ({
  outcome: code === 'CERTIFICATE_REVOKED' ? 'revoked' : 'refused',
  method: 'crl',
  reason: 'so the list says',
  code,
});

/** `answer` gives what is checked its result, as the actor does. */
const open = (answer: (gate: RevocationGate, log: Logger) => RevocationResult) => {
  const lines: string[] = [];
  const log = { warn: (_: object, text: string) => void lines.push(text) } as unknown as Logger;
  const gate = new RevocationGate(readRevocationSettings(true), () => []);
  const released: string[] = [];
  const door: RevocationDoor = {
    check: async () => answer(gate, log),
    released: (pem) => void released.push(pem),
  };
  gate.open(door);
  return { gate, log, lines, released };
};

for (const code of [
  'CERTIFICATE_REVOKED',
  'REVOCATION_ANSWER_INVALID',
  'REVOCATION_UNKNOWN',
] as const)
  test(`${code}: the reason fits into the close of a connection, with the longest serial number`, async (t) => {
    const { gate, log } = open(() => resultOf(code));
    const reason = (await gate.check(proven, log)) ?? '';
    t.true(reason.includes(SERIAL));
    t.true(Buffer.byteLength(reason) <= CLOSE_REASON_BYTES_MAX, reason);
  });

test('a refusal at the door is one line of the log, though the actor tells of it as well', async (t) => {
  const { gate, log, lines } = open((self, its) => {
    const result = resultOf('CERTIFICATE_REVOKED');
    self.learn(proven.pem, result, its);
    return result;
  });
  gate.hold(proven);
  t.regex((await gate.check(proven, log)) ?? '', /was revoked/);
  t.deepEqual(lines, ['refused a certificate']);
});

test('what is learned of a link is one line of the log, however often it is learned', (t) => {
  const { gate, log, lines } = open(() => resultOf('REVOCATION_UNKNOWN'));
  gate.hold(proven);
  for (const code of ['REVOCATION_UNKNOWN', 'CERTIFICATE_REVOKED', 'CERTIFICATE_REVOKED'] as const)
    gate.learn(proven.pem, resultOf(code), log);
  t.deepEqual(lines, ['a certificate of a link is bad']);
  t.regex(gate.refusalOf(proven) ?? '', /was revoked/);
});

test('what is learned of a certificate that no link has is not kept', (t) => {
  const { gate, log, released } = open(() => resultOf('REVOCATION_UNKNOWN'));
  gate.hold(proven)();
  gate.learn(proven.pem, resultOf('CERTIFICATE_REVOKED'), log);
  t.is(gate.refusalOf(proven), undefined);
  t.deepEqual(released, [proven.pem]);
});
