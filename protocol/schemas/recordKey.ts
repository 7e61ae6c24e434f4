/**
 * Which primary key a record carries, and whether it may. Called by the writer of a database, which
 * knows the table's key; offered through validate.ts. Makes no keys: that needs randomness.
 */
import { isWellFormed } from '../bytes.js';
import { invalidRequest, SkeinError } from '../errors.js';
import { limits } from '../limits.js';
import type { Key, RecordObject } from '../operations.js';

/** The type byte that protocol/orderedKey.ts writes before a text. */
const TYPE_BYTES = 1;
const UTF8_BYTES_PER_UNIT_MAX = 3;

/**
 * The record's primary key. Undefined where an insert or upsert has none (absent or null): the
 * caller makes one. `5` and `"5"` are different keys. INVALID_REQUEST for an update without a key
 * and for a key that cannot be stored (`label` names it), KEY_TOO_LONG above `limits.keyBytesMax`.
 */
export const recordKey = (
  record: RecordObject,
  primaryKeyName: string,
  operation: 'insert' | 'update' | 'upsert',
  label: string = primaryKeyName,
): Key | undefined => {
  const key = Object.hasOwn(record, primaryKeyName) ? record[primaryKeyName] : undefined;
  if (key === undefined || key === null) {
    if (operation !== 'update') return undefined;
    throw invalidRequest(
      'a valid hash attribute must be provided with update record, check log for more info',
    );
  }
  return storableKey(key, label);
};

/** Whether a text is more than `limits.keyBytesMax` as a key. */
export const isKeyTooLong = (key: string): boolean =>
  key.length * UTF8_BYTES_PER_UNIT_MAX + TYPE_BYTES > limits.keyBytesMax &&
  Buffer.byteLength(key) + TYPE_BYTES > limits.keyBytesMax;

const storableKey = (key: unknown, name: string): Key => {
  if (typeof key === 'number' && Number.isFinite(key)) return key;
  if (typeof key !== 'string') throw invalidRequest(`'${name}' must be a string or a number`);
  if (key === '') throw invalidRequest(`'${name}' is not allowed to be empty`);
  if (key.includes('/')) {
    throw invalidRequest(
      'transaction aborted due to record(s) with a hash value that contains a forward slash, check log for more info',
    );
  }
  if (!isWellFormed(key)) {
    throw invalidRequest(`'${name}' must not contain half a surrogate pair`);
  }
  if (!isKeyTooLong(key)) return key;
  throw new SkeinError(
    'KEY_TOO_LONG',
    `transaction aborted due to record(s) with a hash value that exceeds ${limits.keyBytesMax} bytes`,
  );
};
