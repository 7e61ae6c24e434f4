/**
 * Where the databases of one node lie: a directory each below storage.path, or memory. Opens, closes, lists and
 * erases them. Called by shardRouter and clusterSupervisor.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/types.js';
import { databaseName, type DatabaseName } from '../protocol/ids.js';
import { openDirectory, openMemory, type Level } from '../storage/level.js';
import type { Store } from '../storage/store.js';

export interface DatabaseFiles {
  /** STORAGE_LOCKED when another process holds the directory. */
  open(database: DatabaseName): Promise<Level>;
  /** Opens a database ahead of its first `open`, so that a refusal ends the start at once. */
  prepare(database: DatabaseName): Promise<void>;
  /** Closes the store; its level too, unless it lives in memory and is to be opened again. */
  close(store: Store): Promise<void>;
  list(): Promise<DatabaseName[]>;
  /** Erases a closed database. */
  erase(database: DatabaseName): Promise<void>;
}

export const databaseFiles = (storage: Config['storage']): DatabaseFiles =>
  storage.engine === 'memory' ? inMemory() : inDirectories(storage.path);

const inDirectories = (path: string): DatabaseFiles => {
  const prepared = new Map<DatabaseName, Level>();
  const openNow = (database: DatabaseName) => openDirectory(join(path, directoryOf(database)));
  return {
    open: async (database) => {
      const level = prepared.get(database) ?? (await openNow(database));
      prepared.delete(database);
      return level;
    },
    prepare: async (database) => {
      prepared.set(database, await openNow(database));
    },
    close: async (store) => {
      try {
        await store.markClean();
      } finally {
        await store.level.close();
      }
    },
    list: async () => {
      const found = await readdir(path, { withFileTypes: true }).catch(nothingThere);
      return found
        .filter((entry) => entry.isDirectory())
        .map((entry) => databaseOf(entry.name))
        .filter((database) => database !== undefined);
    },
    erase: (database) => rm(join(path, directoryOf(database)), { recursive: true, force: true }),
  };
};

/** A memory level survives its router's restarts, not its node. */
const inMemory = (): DatabaseFiles => {
  const levels = new Map<DatabaseName, Level>();
  return {
    prepare: async () => undefined,
    open: async (database) => {
      const level = levels.get(database) ?? (await openMemory());
      levels.set(database, level);
      return level;
    },
    close: (store) => store.markClean(),
    list: async () => [...levels.keys()],
    erase: async (database) => {
      await levels.get(database)?.close();
      levels.delete(database);
    },
  };
};

const DIRECTORY_BYTES_MAX = 255;

/** What is wrong with a database's name as that of a directory, to be read after its label; undefined: nothing. */
export const directoryProblem = (database: DatabaseName): string | undefined =>
  directoryOf(database).length > DIRECTORY_BYTES_MAX
    ? `names may take ${DIRECTORY_BYTES_MAX} bytes on disk, where all but a-z, 0-9, - and _ take three per byte`
    : undefined;

/** No name leads out of the storage directory, and no two names share one on any file system. */
const directoryOf = (database: DatabaseName): string =>
  [...Buffer.from(database, 'utf8')]
    .map((byte) =>
      isPlain(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`,
    )
    .join('');

/** Undefined for a directory that is no database's, such as `lost+found`. */
const databaseOf = (directory: string): DatabaseName | undefined => {
  const bytes = directory.replace(/%([0-9a-f]{2})/g, (_escape, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  const database = databaseName(Buffer.from(bytes, 'latin1').toString('utf8'));
  return database !== '' && directoryOf(database) === directory ? database : undefined;
};

/** Lower-case letters, digits, `-` and `_` stand for themselves. */
const isPlain = (byte: number): boolean =>
  (byte >= 0x61 && byte <= 0x7a) ||
  (byte >= 0x30 && byte <= 0x39) ||
  byte === 0x2d ||
  byte === 0x5f;

const nothingThere = (error: unknown): [] => {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
  throw error;
};
