/**
 * Where the databases of one node lie: a directory each below storage.path, or memory. Opens, closes, lists and
 * erases them; knows what it takes to repair one and to try its disk. Called by shardRouter and clusterSupervisor.
 */
import { access, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/types.js';
import { databaseName, type DatabaseName } from '../protocol/ids.js';
import { KIB } from '../protocol/limits.js';
import { openDirectory, openMemory, repairDirectory, type Level } from '../storage/level.js';
import type { Store } from '../storage/store.js';
import { OpenDatabases, type DatabaseDisk } from './openDatabases.js';

export interface DatabaseFiles {
  readonly databases: OpenDatabases;
  /** Opens a database ahead of its first opening, so that a refusal ends the start at once. */
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
  const folder = (database: DatabaseName): string => join(path, directoryOf(database));
  const disk = directoryDisk(folder);
  const databases = new OpenDatabases({
    ...disk,
    open: async (database) => {
      const level = prepared.get(database) ?? (await disk.open(database));
      prepared.delete(database);
      return level;
    },
  });
  return {
    databases,
    prepare: async (database) => {
      prepared.set(database, await disk.open(database));
    },
    close: (store) => databases.close(store),
    list: async () => {
      const found = await readdir(path, { withFileTypes: true }).catch(nothingThere);
      return found
        .filter((entry) => entry.isDirectory())
        .map((entry) => databaseOf(entry.name))
        .filter((database) => database !== undefined);
    },
    erase: async (database) => {
      await databases.release(database);
      await rm(folder(database), { recursive: true, force: true });
    },
  };
};

const directoryDisk = (folder: (database: DatabaseName) => string): DatabaseDisk => {
  const repairNote = (database: DatabaseName): string => join(folder(database), 'REPAIRED');
  return {
    open: (database) => openDirectory(folder(database)),
    close: (level) => level.close(),
    probe: (database) => writeProbe(folder(database)),
    repair: async (database, reason) => {
      // First: what is lost must not be taken for never written, whatever happens in between.
      await writeFile(repairNote(database), `${reason}\n`, { flush: true });
      await repairDirectory(folder(database));
    },
    wasRepaired: (database) => exists(repairNote(database)),
    recovered: (database) => rm(repairNote(database), { force: true }),
  };
};

/**
 * Writes as much as opening a database may have to (its journal becomes a table), flushes it, and takes it away again.
 * LevelDB leaves files with names it does not know alone.
 */
const writeProbe = async (folder: string): Promise<void> => {
  const path = join(folder, 'PROBE');
  let bytes = PROBE_BYTES + (await journalBytes(folder));
  const file = await open(path, 'w');
  try {
    for (; bytes > 0; bytes -= PROBE_BYTES) await file.writeFile(PROBE);
    await file.sync();
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
};

const PROBE_BYTES = 64 * KIB;
const PROBE = Buffer.alloc(PROBE_BYTES, 0x5a);

const journalBytes = async (folder: string): Promise<number> => {
  let bytes = 0;
  for (const name of await readdir(folder))
    if (name.endsWith('.log')) bytes += (await stat(join(folder, name))).size;
  return bytes;
};

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** A memory level survives its router's restarts, not its node. */
const inMemory = (): DatabaseFiles => {
  const levels = new Map<DatabaseName, Level>();
  const databases = new OpenDatabases({
    open: async (database) => {
      const level = levels.get(database) ?? (await openMemory());
      levels.set(database, level);
      return level;
    },
    close: async () => undefined,
    probe: async () => undefined,
    repair: async () => undefined,
    wasRepaired: async () => false,
    recovered: async () => undefined,
  });
  return {
    databases,
    prepare: async () => undefined,
    close: (store) => store.markClean(),
    list: async () => [...levels.keys()],
    erase: async (database) => {
      await databases.release(database);
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
