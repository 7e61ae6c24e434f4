/**
 * Which names databases, tables and attributes may have. Called by validate.ts for every name in an
 * operation and by contents.ts for the attributes of records. Knows nothing of operations.
 */
import { isWellFormed } from '../bytes.js';
import { limits } from '../limits.js';

const RESERVED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const SLASH_OR_BACKTICK = /[/`]/u;
const CONTROL_CHARACTER = /\p{Cc}/u;

/**
 * What is wrong with a name, to be read after its label; undefined for a good one. 1 to 250
 * characters. `.` and `..` are paths, the reserved ones reach an object's prototype.
 */
export const nameProblem = (name: string): string | undefined => {
  if (name === '') return 'is not allowed to be empty';
  if (isTooLong(name)) {
    return `length must be less than or equal to ${limits.nameCharactersMax} characters long`;
  }
  if (SLASH_OR_BACKTICK.test(name)) return 'names cannot include backticks or forward slashes';
  if (CONTROL_CHARACTER.test(name)) return 'names cannot include control characters';
  if (!isWellFormed(name)) return 'names cannot include half a surrogate pair';
  if (name === '.' || name === '..') return "names cannot be '.' or '..'";
  if (RESERVED.has(name)) return `names cannot be '${name}'`;
  return undefined;
};

/** Characters, not UTF-16 units; counted only when the units leave it open. */
const isTooLong = (name: string): boolean => {
  if (name.length <= limits.nameCharactersMax) return false;
  return name.length > 2 * limits.nameCharactersMax || [...name].length > limits.nameCharactersMax;
};
