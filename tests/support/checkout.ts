/**
 * Files beside the sources that tests compare with: read from the checkout, written only when the person running
 * the tests says so with SKEIN_UPDATE=1. Called by the fixture and transcript tests.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Rewrite what is compared with, then review the difference. */
export const isUpdating = process.env.SKEIN_UPDATE === '1';

const above = (folder: string): string => {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error('No package.json above this file: not in a checkout.');
  return above(parent);
};

export const inCheckout = (path: string): string => join(above(import.meta.dirname), path);

/** The text of a file of the checkout; empty when it does not exist yet. */
export const readExpected = (path: string): string => {
  const file = inCheckout(path);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};

export const writeExpected = (path: string, text: string): void =>
  writeFileSync(inCheckout(path), text);
