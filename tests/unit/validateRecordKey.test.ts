/** Which keys records may carry, and that the writer refuses the same ones as the store. */
import test from 'ava';

import { SkeinError } from '../../protocol/errors.js';
import { limits } from '../../protocol/limits.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { recordKey } from '../../protocol/validate.js';

test('a key is a string or a finite number, each its own', (t) => {
  t.is(recordKey({ id: 5 }, 'id', 'update'), 5);
  t.is(recordKey({ id: '5' }, 'id', 'insert'), '5');
  t.is(recordKey({ id: 0 }, 'id', 'upsert'), 0);
});

test('an insert or upsert may come without a key', (t) => {
  t.is(recordKey({ name: 'Rex' }, 'id', 'insert'), undefined);
  t.is(recordKey({ id: null }, 'id', 'upsert'), undefined);
  t.is(recordKey({ name: 'Rex' }, 'toString', 'insert'), undefined);
});

test('an update needs a key', (t) => {
  for (const record of [{ name: 'Rex' }, { id: null }, { id: undefined }]) {
    t.throws(() => recordKey(record, 'id', 'update'), {
      instanceOf: SkeinError,
      code: 'INVALID_REQUEST',
      message:
        'a valid hash attribute must be provided with update record, check log for more info',
    });
  }
});

test('a key with a slash is refused with the documented words', (t) => {
  t.throws(() => recordKey({ id: 'a/b' }, 'id', 'insert'), {
    instanceOf: SkeinError,
    code: 'INVALID_REQUEST',
    message:
      'transaction aborted due to record(s) with a hash value that contains a forward slash, check log for more info',
  });
});

test('the longest key is the longest the store takes', (t) => {
  const longest = 'é'.repeat((limits.keyBytesMax - 2) / 2) + 'e';
  t.is(recordKey({ id: longest }, 'id', 'insert'), longest);
  t.is(encodeKey(longest).length, limits.keyBytesMax);
  t.throws(() => recordKey({ id: `${longest}e` }, 'id', 'insert'), {
    instanceOf: SkeinError,
    code: 'KEY_TOO_LONG',
    message: 'transaction aborted due to record(s) with a hash value that exceeds 1024 bytes',
  });
});

test('other values are no keys', (t) => {
  for (const id of [true, {}, [1], NaN, Infinity, 5n, '', '\ud800', new Date(0)]) {
    t.throws(() => recordKey({ id }, 'id', 'insert'), {
      instanceOf: SkeinError,
      code: 'INVALID_REQUEST',
      message: /^'id' /u,
    });
  }
});
