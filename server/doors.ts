/**
 * Opens every HTTP door a node's configuration names, and closes them together.
 * Called by the CLI, and by whoever embeds a node and wants its doors. Each door is imported only when it
 * is configured: HTTP is most of a node's start-up time.
 */
import type { NodeHandle } from '../actors/node.js';
import type { Door } from './httpServer.js';
import type { DoorLogger } from './logger.js';

export interface OpenDoors {
  /** `http://host:port`; absent when not configured. */
  readonly operationsApi?: string;
  /** `https://host:port`. */
  readonly secureOperationsApi?: string;
  readonly debug?: string;
  /** Resolves when no door is open any more; the node itself is left running. */
  close(): Promise<void>;
}

/** When one door cannot be opened, those already open are closed again and its error is thrown. */
export const openDoors = async (
  node: NodeHandle,
  options: { readonly logger?: DoorLogger } = {},
): Promise<OpenDoors> => {
  const doors: Door[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(doors.map((door) => door.close()));
  };
  try {
    const operationsApi = await openOperationsApi(node, options);
    doors.push(...presentOf(operationsApi));
    const secureOperationsApi = await openSecureOperationsApi(node, options);
    doors.push(...presentOf(secureOperationsApi));
    const debug = await openDebugEndpoint(node, options);
    doors.push(...presentOf(debug));
    return {
      ...(operationsApi === undefined ? {} : { operationsApi: operationsApi.address }),
      ...(secureOperationsApi && { secureOperationsApi: secureOperationsApi.address }),
      ...(debug === undefined ? {} : { debug: debug.address }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};

const presentOf = (door: Door | undefined): Door[] => (door === undefined ? [] : [door]);

const openOperationsApi = async (
  node: NodeHandle,
  options: { readonly logger?: DoorLogger },
): Promise<Door | undefined> => {
  if (node.config.operationsApi.listen === undefined) {
    return undefined;
  }
  const { startOperationsApi } = await import('./operationsApi.js');
  return startOperationsApi(node, options);
};

const openSecureOperationsApi = async (
  node: NodeHandle,
  options: { readonly logger?: DoorLogger },
): Promise<Door | undefined> => {
  if (node.config.operationsApi.secure === undefined) {
    return undefined;
  }
  const { startSecureOperationsApi } = await import('./operationsApi.js');
  return startSecureOperationsApi(node, options);
};

const openDebugEndpoint = async (
  node: NodeHandle,
  options: { readonly logger?: DoorLogger },
): Promise<Door | undefined> => {
  if (node.config.debug.listen === undefined) {
    return undefined;
  }
  const { startDebugEndpoint } = await import('./debugEndpoint.js');
  return startDebugEndpoint(node, options);
};
