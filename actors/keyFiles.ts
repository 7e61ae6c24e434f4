/**
 * Private keys of one node: files in `<rootPath>/keys`, readable by its user alone; in memory where nothing is stored.
 * Used by the signer actor only. Keys are never in a table, a log or a message to another node.
 */
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/types.js';
import { messageOf, SkeinError } from '../protocol/errors.js';

export interface KeyFiles {
  /** Undefined: there is none of that name. */
  read(name: string): Promise<string | undefined>;
  /** On the disk, whole, when it resolves. */
  write(name: string, pem: string): Promise<void>;
  remove(name: string): Promise<void>;
}

export const keyFiles = ({ storage, rootPath }: Config): KeyFiles =>
  storage.engine === 'memory' ? inMemory() : inDirectory(join(rootPath, 'keys'));

/** Names come from rows of a table: they must lead nowhere else, nor to the keys of tokens beside them. */
const FILE_NAME = /^[A-Za-z0-9._-]{1,200}\.pem$/;

const inDirectory = (directory: string): KeyFiles => {
  const pathOf = (name: string): string => {
    if (FILE_NAME.test(name)) return join(directory, name);
    throw new SkeinError('INVALID_REQUEST', `${JSON.stringify(name)} is no name of a key file`);
  };
  return {
    read: async (name) => {
      try {
        return await readFile(pathOf(name), 'utf8');
      } catch (error) {
        if (isAbsence(error)) return undefined;
        throw new SkeinError('STORAGE_FAILED', `cannot read a key: ${messageOf(error)}`, {
          cause: error,
        });
      }
    },
    write: async (name, pem) => {
      const path = pathOf(name);
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await chmod(directory, 0o700);
      await writeWhole(path, pem);
      await flushDirectory(directory);
    },
    remove: (name) => rm(pathOf(name), { force: true }),
  };
};

const isAbsence = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** Under another name first: a crash leaves the old file or the new one. */
const writeWhole = async (path: string, text: string): Promise<void> => {
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  const file = await open(unfinished, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
};

const flushDirectory = async (directory: string): Promise<void> => {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

const inMemory = (): KeyFiles => {
  const keys = new Map<string, string>();
  return {
    read: async (name) => keys.get(name),
    write: async (name, pem) => void keys.set(name, pem),
    remove: async (name) => void keys.delete(name),
  };
};
