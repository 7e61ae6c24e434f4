/**
 * Writes notes on every serving node of a cluster, one at a time on each, and keeps which were acknowledged by whom.
 * Called by memberHistory.ts. Never asks again for a write that failed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, ClusterNode } from './cluster.js';
import { isConnectionFailure, Refused } from './clusterClient.js';
import { note } from './memberRecords.js';

const PAUSE_MS = 40;

export class MemberWriter {
  readonly #acknowledged = new Map<ClusterNode, string[]>();
  readonly #loops: Promise<void>[];
  #isOver = false;

  /** Begins at once. */
  constructor(cluster: Cluster) {
    this.#loops = cluster.nodes.map((node) => this.#write(node));
  }

  /** By that node, in all its lives. */
  acknowledgedBy(node: ClusterNode): readonly string[] {
    return this.#acknowledged.get(node) ?? [];
  }

  /** Resolves when no write is under way any more. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  async #write(node: ClusterNode): Promise<void> {
    const acknowledged: string[] = [];
    this.#acknowledged.set(node, acknowledged);
    for (let count = 0; !this.#isOver; count++) {
      if (node.isServing) {
        const id = `${node.name} ${count}`;
        if (await isAcknowledged(node, id)) acknowledged.push(id);
      }
      await sleep(PAUSE_MS);
    }
  }
}

/** A node that is killed or stopping does not answer, or refuses. */
const isAcknowledged = async (node: ClusterNode, id: string): Promise<boolean> => {
  try {
    await note(node, id);
    return true;
  } catch (error) {
    if (isConnectionFailure(error) || !node.isServing) return false;
    if (error instanceof Refused && error.status >= 500) return false;
    if (error instanceof Error && error.message.includes('socket hang up')) return false;
    throw error;
  }
};
