/**
 * The databases of one simulated process, on simulated disks: what databaseFiles.ts is for real ones, with the same
 * keeping of what is open and what failed. Used by the nodes of both simulations.
 */
import type { DatabaseFiles } from '../../actors/databaseFiles.js';
import { OpenDatabases } from '../../actors/openDatabases.js';
import type { DatabaseName } from '../../protocol/ids.js';
import { openSimulatedLevel, type SimulatedDisk, type SimulatedProcess } from './simulatedLevel.js';

export const simulatedFiles = (parts: {
  process: SimulatedProcess;
  names: readonly DatabaseName[];
  diskOf: (database: DatabaseName) => SimulatedDisk;
}): DatabaseFiles => {
  const { process, names, diskOf } = parts;
  const databases = new OpenDatabases({
    open: (database) => openSimulatedLevel(diskOf(database), process),
    close: (level) => level.close(),
    probe: (database) => diskOf(database).probe(process),
    repair: async () => undefined,
    wasRepaired: async () => false,
    recovered: async () => undefined,
  });
  return {
    databases,
    close: (store) => databases.close(store),
    prepare: async () => undefined,
    list: async () => [...names],
    erase: async (database) => {
      await databases.release(database);
      diskOf(database).erase();
    },
  };
};
