/**
 * Rewrites the routes in the configuration file of a node that runs. Called by the operations on routes, which hand in
 * what is to change. All of it happens in one go, so that of two operations the second sees what the first has written.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { invalidRequest, messageOf, SkeinError } from '../protocol/errors.js';
import { parseConfigFile } from './configFile.js';
import { invalidConfiguration } from './findings.js';
import type { ConfigSource } from './types.js';

/**
 * The file to rewrite. Throws INVALID_REQUEST when there is none, and when the routes in effect come from elsewhere:
 * then what is written to the file would have no effect, or take effect away.
 */
export function routesFileOf({ file, routesFrom }: ConfigSource, operation: string): string {
  if (file === undefined)
    throw invalidRequest(
      `${operation} needs a configuration file, and this node was started without one`,
    );
  if (routesFrom !== undefined)
    throw invalidRequest(
      `${operation} rewrites ${basename(file)}, but the routes of this node are set by ${routesFrom}: change them there`,
    );
  return file;
}

/**
 * What `change` answers for the text of the file, once the file has its `text`. Nothing is written when the text is the
 * same. Readers see the old file or the new one, which is flushed and has the mode and owner of the old one. Throws
 * INVALID_CONFIGURATION when the file cannot be read or parsed, STORAGE_FAILED when it cannot be written, and what
 * `change` throws; the file is then as it was.
 */
export function rewriteRoutes<Result extends { readonly text: string }>(
  file: string,
  change: (text: string) => Result,
): Result {
  const text = readText(file);
  parseConfigFile(text, basename(file));
  const result = change(text);
  if (result.text !== text) replaceFile(file, result.text);
  return result;
}

// Bytes that are no text would come back as other bytes.
function readText(file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(file));
  } catch (error) {
    throw invalidConfiguration(`cannot read ${file}: ${messageOf(error)}`, error);
  }
}

function replaceFile(file: string, text: string): void {
  try {
    // A link stays one: what it points to is replaced.
    const target = realpathSync(file);
    const temporary = join(dirname(target), `.${basename(target)}.new`);
    try {
      writeFlushed(temporary, text, statSync(target));
      renameSync(temporary, target);
    } finally {
      rmSync(temporary, { force: true });
    }
    flushDirectory(dirname(target));
  } catch (error) {
    throw new SkeinError('STORAGE_FAILED', `cannot write ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function writeFlushed(path: string, text: string, like: Stats): void {
  // Left by a process that died.
  rmSync(path, { force: true });
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    const { uid, gid } = fstatSync(descriptor);
    if (uid !== like.uid || gid !== like.gid) fchownSync(descriptor, like.uid, like.gid);
    fchmodSync(descriptor, like.mode & 0o7777);
    writeFileSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function flushDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
