/** The store over a level in memory. A kill leaves the level as it is. */
import { openMemory } from '../../storage/level.js';
import { storageConformance } from './storage.js';

storageConformance('memory', async () => ({
  open: openMemory,
  afterKill: (level) => Promise.resolve(level),
  reopened: async (level) => {
    await level.close();
    await level.open();
    return level;
  },
  close: () => Promise.resolve(),
}));
