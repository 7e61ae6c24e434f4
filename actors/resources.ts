/**
 * What every actor of one node is given: settled configuration, the outside world, files, transports, log.
 * Made once by startNode; nothing here changes while the node runs, but for what the signer puts into `trust`.
 */
import type { Logger } from 'pino';
import type { Config } from '../config/types.js';
import type { DatabaseFiles } from './databaseFiles.js';
import type { Environment } from './environment.js';
import type { Trust } from './trust.js';
import type { Transport } from './transport/types.js';

export interface NodeResources {
  readonly config: Config;
  readonly environment: Environment;
  readonly files: DatabaseFiles;
  readonly transport: Transport;
  readonly trust: Trust;
  readonly log: Logger;
}
