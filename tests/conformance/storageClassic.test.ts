/**
 * The store over LevelDB in a folder of its own. A kill is what the disk holds while the level is still open: a copy
 * of its files; only one level may hold the folder itself.
 */
import test from 'ava';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { openDirectory, type Level } from '../../storage/level.js';
import { openStore } from '../support/stores.js';
import { storageConformance } from './storage.js';

const openFolder = async () => {
  const top = await mkdtemp(join(tmpdir(), 'skein-storage-'));
  const places = new Map<Level, string>();
  let folders = 0;
  const openAt = async (place: string): Promise<Level> => {
    const level = await openDirectory(place);
    places.set(level, place);
    return level;
  };
  const next = (): string => join(top, `level-${++folders}`);
  const placeOf = (level: Level): string => places.get(level) ?? '';
  return {
    placeOf,
    open: () => openAt(next()),
    afterKill: async (level: Level) => {
      const copy = next();
      const filter = (source: string): boolean => basename(source) !== 'LOCK';
      await cp(placeOf(level), copy, { recursive: true, filter });
      return openAt(copy);
    },
    reopened: async (level: Level) => {
      await level.close();
      return openAt(placeOf(level));
    },
    close: async () => {
      for (const level of places.keys()) await level.close();
      await rm(top, { recursive: true });
    },
  };
};

storageConformance('classic level', openFolder);

test('a folder that another level holds is refused, with what to do about it', async (t) => {
  const folder = await openFolder();
  const level = await folder.open();
  const place = folder.placeOf(level);
  await t.throwsAsync(openDirectory(place), {
    code: 'STORAGE_LOCKED',
    message: `Another process has the data directory ${place} open; stop it or configure another rootPath`,
  });
  t.is((await openStore(level)).recovery, 'created');
  await folder.close();
});
