/**
 * Which release of Skein this is, for those outside who like to know. Called by clusterSupervisor. Reads package.json, and
 * nothing of the node.
 */
import { readFile } from 'node:fs/promises';

/** Of the package that this file belongs to. */
export const ownVersion = async (): Promise<string> => {
  const text = await readFile(new URL(import.meta.resolve('skein/package.json')), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
};
