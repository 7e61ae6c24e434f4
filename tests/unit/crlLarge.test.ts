/** A revocation list of the size of a public authority's: 50 MB, a million entries. */
import test from 'ava';
import { limits } from '../../protocol/limits.js';
import { findRevoked, heldBytes } from '../../security/crl.js';
import { readListAside } from '../../security/crlReading.js';
import { largeSerial, writeLargeList } from '../support/largeList.js';
import { makeAuthority } from '../support/testAuthority.js';

const COUNT = 1_000_000;
/** A busy machine must not make it fail. */
const MS_MAX = 300_000;

test('SE-15 a million entries are read while other work goes on, and all are found', async (t) => {
  t.timeout(MS_MAX);
  const authority = makeAuthority();
  const bytes = writeLargeList(authority, COUNT);
  const { length } = bytes;
  t.true(length > 50_000_000 && length < limits.crlBytesMax);
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 5);
  const task = { bytes, issuerDer: authority.certificate.raw };
  const list = await readListAside(task, { msMax: MS_MAX });
  clearInterval(timer);
  t.true(turns > 10, `${turns} turns of the event loop meanwhile`);
  t.is(list.entries.count, COUNT);
  t.true(heldBytes(list) < limits.crlHeldBytesMax);
  for (let at = 0; at < COUNT; at += 9973)
    t.is(findRevoked(list, largeSerial(at))?.reason, 'superseded');
  for (let at = COUNT; at < COUNT + 100; at += 1)
    t.is(findRevoked(list, largeSerial(at)), undefined);
});
