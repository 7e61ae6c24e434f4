/**
 * The little of abstract-level that the store stands on, and how a database's files are opened. Any
 * abstract-level with buffer keys and values will do; tests bring their own.
 */
import type { AbstractLevel } from 'abstract-level';
import { mkdir } from 'node:fs/promises';
import { messageOf, SkeinError } from '../protocol/errors.js';
import { MIB } from '../protocol/limits.js';

export type Level = AbstractLevel<unknown, Buffer, Buffer>;

/** What takes puts and deletes: a chained batch. */
export interface Puts {
  put(key: Buffer, value: Buffer): unknown;
  del(key: Buffer): unknown;
}

const ENCODINGS = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;

/** A database's directory. STORAGE_LOCKED when another process holds it. */
export const openDirectory = async (directory: string): Promise<Level> => {
  await mkdir(directory, { recursive: true });
  const { Level: ClassicLevel } = await import('level');
  const level = new ClassicLevel<Buffer, Buffer>(directory, {
    ...ENCODINGS,
    writeBufferSize: 16 * MIB,
    cacheSize: 16 * MIB,
  });
  await openExplained(level as unknown as Level, directory);
  return level as unknown as Level;
};

/** Saves what can be saved of a closed database whose files are damaged. STORAGE_FAILED when that is nothing. */
export const repairDirectory = async (directory: string): Promise<void> => {
  const { Level: ClassicLevel } = await import('level');
  try {
    await (ClassicLevel as unknown as Repairs).repair(directory);
  } catch (error) {
    throw new SkeinError(
      'STORAGE_FAILED',
      `The files in ${directory} are damaged and cannot be repaired: ${messageOf(error)}`,
      { cause: error },
    );
  }
};

/** The types of `level` leave out what only one of its implementations has. */
interface Repairs {
  repair(location: string): Promise<void>;
}

/** A database that is gone when it is closed. */
export const openMemory = async (): Promise<Level> => {
  const { MemoryLevel } = await import('memory-level');
  const level = new MemoryLevel<Buffer, Buffer>({ ...ENCODINGS, storeEncoding: 'buffer' });
  await level.open();
  return level as unknown as Level;
};

const openExplained = async (level: Level, directory: string): Promise<void> => {
  try {
    await level.open();
  } catch (error) {
    if (causeCode(error) === 'LEVEL_LOCKED')
      throw new SkeinError(
        'STORAGE_LOCKED',
        `Another process has the data directory ${directory} open; stop it or configure another rootPath`,
        { cause: error },
      );
    throw new SkeinError(
      'STORAGE_FAILED',
      `Cannot open the data directory ${directory}: ${reasonOf(error)}`,
      { cause: error },
    );
  }
};

/** abstract-level says that it did not open; why stands behind that. */
const reasonOf = (error: unknown): string =>
  messageOf(error instanceof Error && error.cause instanceof Error ? error.cause : error);

/** Whether LevelDB says that its files are damaged. */
export const isCorruption = (thrown: unknown): boolean => {
  for (let at = thrown; at instanceof Error; at = at.cause)
    if ('code' in at && at.code === 'LEVEL_CORRUPTION') return true;
  return false;
};

const causeCode = (error: unknown): unknown => {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? cause.code : undefined;
};
