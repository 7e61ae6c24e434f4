/**
 * `startNode` as embedders know it: the node, and beside it the HTTP doors that its configuration names. Called by
 * index.ts. A node without doors loads nothing of HTTP.
 */
import { startNode as startBare, type Node, type StartNodeOptions } from '../actors/embed/node.js';
import type { ConfigInput } from '../config/types.js';
import { openDoors, type OpenDoors } from './doors.js';

export interface ServedNode extends Node {
  /** `http://host:port`, or `https://`, of each door that is open; with port 0 in the configuration, the port it got. */
  readonly doors: Omit<OpenDoors, 'close'>;
}

/**
 * Starts a node and opens its doors. Rejects with INVALID_CONFIGURATION, STORAGE_LOCKED, INSECURE_ADDRESS and the
 * like; then nothing is left running. `close` closes the doors first.
 */
export const startNode = async (
  input: ConfigInput = {},
  options: StartNodeOptions = {},
): Promise<ServedNode> => {
  const node = await startBare(input, options);
  const { logger } = options;
  try {
    const { close: closeDoors, ...doors } = await openDoors(node, logger ? { logger } : {});
    const close = async (): Promise<void> => {
      await closeDoors();
      await node.close();
    };
    return { ...node, doors, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await node.close();
    throw error;
  }
};
