/** Which certificate a node shows, and when it asks for the next one. */
import test from 'ava';
import { choiceFor, chooseCertificates, type Candidate } from '../../security/choice.js';
import { renewalDueMs, renewalRetryMs } from '../../security/renewal.js';

interface Named extends Candidate {
  readonly id: string;
}

const candidate = (id: string, names: readonly string[], more: Partial<Candidate> = {}): Named => ({
  id,
  names,
  isSelfSigned: false,
  uses: [],
  ...more,
});

const choose = (candidates: readonly Named[], use = 'replication') =>
  chooseCertificates(candidates, { ownName: 'one.example', use });

test('a signed certificate goes before a self-signed one for the same name', (t) => {
  const self = candidate('self', ['one.example'], { isSelfSigned: true });
  const signed = candidate('signed', ['one.example']);
  for (const order of [
    [self, signed],
    [signed, self],
  ]) {
    const choice = choose(order);
    t.is(choice.best?.id, 'signed');
    t.is(choiceFor(choice, 'one.example')?.id, 'signed');
  }
});

test('what is meant for the purpose goes before what is meant for everything', (t) => {
  const all = candidate('all', ['one.example']);
  const meant = candidate('meant', ['one.example'], { isSelfSigned: true, uses: ['replication'] });
  t.is(choose([all, meant]).best?.id, 'meant');
  t.is(choose([all, meant], 'operations').best?.id, 'all');
});

test('the first of two equal certificates is shown', (t) => {
  t.is(choose([candidate('first', ['a']), candidate('second', ['b'])]).best?.id, 'first');
});

test('a name is found in any spelling, then by the wildcard of its parent, then the best is shown', (t) => {
  const choice = choose([
    candidate('own', ['one.example']),
    candidate('two', ['TWO.example.']),
    candidate('wild', ['*.example']),
  ]);
  t.is(choiceFor(choice, 'Two.Example')?.id, 'two');
  t.is(choiceFor(choice, 'three.example')?.id, 'wild');
  t.is(choiceFor(choice, 'a.three.example')?.id, 'own');
  t.is(choiceFor(choice, 'elsewhere')?.id, 'own');
  t.is(choiceFor(choose([]), 'elsewhere'), undefined);
});

test('a wildcard is not shown for an address', (t) => {
  const choice = choose([candidate('own', ['one.example']), candidate('wild', ['*.0.0.2'])]);
  t.is(choiceFor(choice, '127.0.0.2')?.id, 'own');
});

test('renewal begins after two thirds of a life, spread by chance', (t) => {
  const validity = { validFromMs: 1_000, validToMs: 301_000 };
  t.is(renewalDueMs(validity, 0), 201_000);
  t.is(renewalDueMs(validity, 0.5), 206_000);
});

test('attempts to renew come ever later, but ten times before the certificate ends', (t) => {
  const wait = (attempt: number, leftMs: number, random = 1): number =>
    renewalRetryMs({ attempt, leftMs, random });
  const month = 30 * 86_400_000;
  t.is(wait(1, month), 60_000);
  t.is(wait(2, month), 120_000);
  t.is(wait(1, month, 0), 30_000);
  t.is(wait(50, month), 6 * 3_600_000);
  t.is(wait(50, 100_000), 10_000);
  t.is(wait(1, 100), 1_000);
  t.is(wait(3, -5), 240_000);
});

test('a certificate for other listeners is shown when there is nothing else', (t) => {
  const others = candidate('others', ['one.example'], { uses: ['operations'] });
  const plain = candidate('plain', ['one.example'], { isSelfSigned: true });
  const wanted = { ownName: 'one.example', use: 'replication' };
  t.is(chooseCertificates([others, plain], wanted).best, plain);
  t.is(chooseCertificates([others, plain], wanted).byName.get('one.example'), plain);
  t.is(chooseCertificates([others], wanted).best, others);
});
