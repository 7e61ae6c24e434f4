/**
 * What databases, tables and attributes may be called. Called wherever configuration names one. Names can end up
 * in paths, so those that mean a directory are refused here, before anything opens a file.
 */
import { limits } from '../protocol/limits.js';

/** What is wrong with a name of a database, table or attribute; undefined when it may be used. */
export function nameProblem(name: string): string | undefined {
  if (name === '' || name.length > limits.nameCharactersMax)
    return `names have 1 to ${limits.nameCharactersMax} characters`;
  if (/[`/]/.test(name)) return 'names cannot include backticks or forward slashes';
  if (/[\p{Cc}\\]/u.test(name)) return 'names cannot include control characters or backslashes';
  if (/\p{Cs}/u.test(name)) return 'names must be well-formed Unicode';
  return /^\.+$/.test(name) ? 'names cannot consist of dots' : undefined;
}
