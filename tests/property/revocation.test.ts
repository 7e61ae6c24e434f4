/** Revocation lists, answers and certificates of any bytes: read right or refused, and nothing else happens. */
import test from 'ava';
import * as fc from 'fast-check';
import { SkeinError } from '../../protocol/errors.js';
import { readCertificateParts } from '../../security/certificateParts.js';
import { findRevoked, readRevocationList, revokedEntries } from '../../security/crl.js';
import {
  DerReader,
  contentOf,
  derElement,
  inside,
  onlyElement,
  tags,
  timeOf,
  wholeOf,
} from '../../security/der.js';
import { readOcspAnswer } from '../../security/ocsp.js';
import { AnswerRefused } from '../../security/refusals.js';
import { readRevocationPoints } from '../../security/revocationPoints.js';
import { canonicalSerial, serialOfBytes } from '../../security/serials.js';
import {
  extension,
  hexBytes,
  issue,
  makeAuthority,
  number,
  signed,
  time,
  writeAnswer,
  writeList,
} from '../support/testAuthority.js';

const authority = makeAuthority();
const SERIAL = '0c0ffee0';
const { certificate } = issue(authority, {
  subject: 'node',
  serial: SERIAL,
  lists: ['http://127.0.0.1/crl', 'ldap://127.0.0.1/'],
  responders: ['http://127.0.0.1/ocsp'],
  keyUsage: 0x80,
});
const list = writeList(authority, {
  entries: [{ serial: '05', reason: 1 }, { serial: SERIAL }, { serial: '80ff', reason: 4 }],
  extensions: [extension('2.5.29.20', number(7))],
});
const nonce = Buffer.alloc(32, 7);
const answer = writeAnswer(authority, { serial: SERIAL, about: authority, nonce });

/** A change of some bytes: overwritten, taken out, put in, or a length that promises much. */
const change = fc.oneof(
  fc.record({
    at: fc.nat(),
    cut: fc.constant(1),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 1 }),
  }),
  fc.record({ at: fc.nat(), cut: fc.nat(8), bytes: fc.uint8Array({ maxLength: 8 }) }),
  fc.record({ at: fc.nat(), cut: fc.nat(), bytes: fc.constant(new Uint8Array()) }),
  fc.record({
    at: fc.nat(),
    cut: fc.constant(5),
    bytes: fc.constantFrom(
      Uint8Array.from([0x84, 0xff, 0xff, 0xff, 0xff]),
      Uint8Array.from([0x30, 0x80, 0x30, 0x80, 0x00]),
      Uint8Array.from([0x30, 0x84, 0x7f, 0xff, 0xff]),
    ),
  }),
);

const changes = fc.array(change, { minLength: 1, maxLength: 4 });

type Change = { at: number; cut: number; bytes: Uint8Array };

const changed = (bytes: Uint8Array, all: readonly Change[]): Uint8Array<ArrayBuffer> =>
  all.reduce<Uint8Array<ArrayBuffer>>((before, { at, cut, bytes: put }) => {
    const from = before.length === 0 ? 0 : at % before.length;
    return Uint8Array.from([...before.subarray(0, from), ...put, ...before.subarray(from + cut)]);
  }, Uint8Array.from(bytes));

/** What `read` returns; undefined when it refuses as it may. Anything else fails the test. */
const readOrRefuse = <T>(read: () => T): T | undefined => {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof AnswerRefused) return undefined;
    if (thrown instanceof SkeinError && thrown.code === 'MALFORMED') return undefined;
    throw thrown;
  }
};

const readList = (bytes: Uint8Array<ArrayBuffer>) =>
  readRevocationList(bytes, authority.certificate.raw);
const readAnswer = (bytes: Uint8Array) =>
  readOcspAnswer(
    bytes,
    { certificate, issuer: authority.certificate, nonce },
    { nowMs: Date.now(), withoutNextUpdateMs: 1000 },
  );

test('a list of which anything was changed is refused', (t) => {
  fc.assert(
    fc.property(changes, (all) => {
      const bytes = changed(list, all);
      if (Buffer.from(bytes).equals(list)) return;
      t.is(
        readOrRefuse(() => readList(bytes)),
        undefined,
      );
    }),
    { numRuns: 1000 },
  );
  t.is(readList(list).entries.count, 3);
});

test('an answer of which anything was changed is refused, or still says the same', (t) => {
  const before = readAnswer(answer);
  fc.assert(
    fc.property(changes, (all) => {
      const after = readOrRefuse(() => readAnswer(changed(answer, all)));
      if (after !== undefined) t.deepEqual(after, before);
    }),
    { numRuns: 1000 },
  );
});

const contentIn = (bytes: Uint8Array): Buffer =>
  Buffer.from(wholeOf(inside(onlyElement(bytes, tags.sequence)).read(tags.sequence)));

test('a list that its issuer signs whatever is in it is read or refused', (t) => {
  const content = contentIn(list);
  let read = 0;
  fc.assert(
    fc.property(changes, (all) => {
      const bytes = Uint8Array.from(signed(Buffer.from(changed(content, all)), authority));
      const found = readOrRefuse(() => readList(bytes));
      if (found === undefined) return;
      read += 1;
      const entries = [...revokedEntries(found)];
      t.is(entries.length, found.entries.count);
      for (const { serial } of entries)
        t.is(
          serialOfBytes(findRevoked(found, serial)?.serial ?? Buffer.from('none')),
          serialOfBytes(serial),
        );
    }),
    { numRuns: 1000 },
  );
  t.true(read > 0, 'some changes leave a list');
});

test('an answer that its responder signs whatever is in it is read or refused', (t) => {
  const content = contentIn(basicAnswer());
  fc.assert(
    fc.property(changes, (all) => {
      const basic = signed(Buffer.from(changed(content, all)), authority);
      readOrRefuse(() => readAnswer(wrapped(basic)));
    }),
    { numRuns: 1000 },
  );
  t.is(readAnswer(wrapped(signed(content, authority))).status, 'good');
});

/** The signed part of an answer, and an answer with another one. */
const basicAnswer = (): Uint8Array => {
  const body = inside(onlyElement(answer, tags.sequence));
  body.any();
  const fields = body.enter(0xa0).enter(tags.sequence);
  fields.any();
  return contentOf(fields.read(tags.octetString));
};

const wrapped = (basic: Uint8Array): Buffer => {
  const kind = Buffer.from('06092b0601050507300101', 'hex');
  const body = derElement(tags.sequence, kind, derElement(tags.octetString, basic));
  return derElement(tags.sequence, Buffer.from([0x0a, 1, 0]), derElement(0xa0, body));
};

test('a certificate of any bytes is read or refused', (t) => {
  fc.assert(
    fc.property(changes, (all) => {
      readOrRefuse(() => readRevocationPoints(readCertificateParts(changed(certificate.raw, all))));
    }),
    { numRuns: 1000 },
  );
  t.deepEqual(readRevocationPoints(readCertificateParts(certificate.raw)), {
    lists: ['http://127.0.0.1/crl'],
    responders: ['http://127.0.0.1/ocsp'],
  });
});

/** How many elements are in there, without recursion. */
const elementsIn = (bytes: Uint8Array): number => {
  const waiting = [new DerReader(bytes)];
  let count = 0;
  for (let reader = waiting.pop(); reader !== undefined; reader = waiting.pop())
    while (!reader.done) {
      const element = reader.any();
      if (element.from > element.to || element.to > bytes.length) throw new Error('out of bounds');
      count += 1;
      if ((element.tag & 0x20) !== 0) waiting.push(inside(element));
    }
  return count;
};

test('a walk over any bytes ends, within them, and takes no more steps than there are bytes', (t) => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    changes.map((all) => changed(list, all)),
    fc.nat(20_000).map((depth) => new Uint8Array(depth).fill(0x30)),
  );
  fc.assert(
    fc.property(bytes, (one) => {
      const count = readOrRefuse(() => elementsIn(one));
      t.true(count === undefined || count * 2 <= one.length);
    }),
    { numRuns: 1000 },
  );
});

const serials = fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 21 }), {
  maxLength: 60,
  selector: serialOfBytes,
});

test('exactly the serials of a list are found in it', (t) => {
  fc.assert(
    fc.property(serials, serials, (inList, others) => {
      const hexOf = (serial: Uint8Array): string => Buffer.from(serial).toString('hex');
      const found = readList(
        writeList(authority, { entries: inList.map((serial) => ({ serial: hexOf(serial) })) }),
      );
      const known = new Set(inList.map(serialOfBytes));
      for (const serial of [...inList, ...others]) {
        const bytes = hexBytes(serialOfBytes(serial));
        t.is(findRevoked(found, bytes) !== undefined, known.has(serialOfBytes(serial)));
      }
    }),
    { numRuns: 100 },
  );
});

test('every spelling of a number is the same serial', (t) => {
  const spelling = fc.record({
    value: fc.bigInt({ min: 0n, max: 2n ** 160n }),
    zeros: fc.nat(6),
    prefix: fc.constantFrom('', '0x', '0X'),
    separator: fc.constantFrom('', ':', ' '),
    upper: fc.boolean(),
  });
  fc.assert(
    fc.property(spelling, ({ value, zeros, prefix, separator, upper }) => {
      const plain = `${'0'.repeat(zeros)}${value.toString(16)}`;
      const digits = (upper ? plain.toUpperCase() : plain).replace(/..(?=.)/g, `$&${separator}`);
      t.is(canonicalSerial(`${prefix}${digits}`), value.toString(16).toUpperCase());
    }),
  );
});

test('a time is read as it was written', (t) => {
  fc.assert(
    fc.property(
      fc.date({
        noInvalidDate: true,
        min: new Date('1000-01-01T00:00:00Z'),
        max: new Date('9999-12-31T23:59:59Z'),
      }),
      (date) => {
        const bytes = time(date.getTime());
        t.is(
          timeOf(onlyElement(bytes, tags.generalizedTime)),
          Math.floor(date.getTime() / 1000) * 1000,
        );
      },
    ),
  );
});
