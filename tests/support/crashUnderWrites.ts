/**
 * Crashes one actor of node `a` in an embedded cluster while all nodes are being written to. Called by the tests of
 * single actors. Writes that are not answered with success are counted apart.
 */
import type { Embedded } from './embedded.js';
import { actorAt, actorsOf } from './embedded.js';
import { waitUntil } from './waitUntil.js';

export interface CrashUnderWrites {
  readonly path: string;
  /** The place restarts its actor; else its parent makes a new place under the same path. */
  readonly isRestarted: boolean;
}

export interface CrashFigures {
  /** Acknowledged; each has a key of its own in the table Row. */
  readonly acknowledged: readonly number[];
  readonly failed: readonly { readonly key: number; readonly code: string }[];
}

const ROWS_EACH_SIDE = 60;

export const crashUnderWrites = async (
  cluster: Embedded,
  { path, isRestarted }: CrashUnderWrites,
): Promise<CrashFigures> => {
  const acknowledged: number[] = [];
  const failed: { key: number; code: string }[] = [];
  let next = 0;
  const write = async (): Promise<void> => {
    const key = next++;
    const table = cluster.node(key % cluster.nodes.length).table('Row');
    try {
      await table.put({ id: key, number: key });
      acknowledged.push(key);
    } catch (error) {
      failed.push({ key, code: (error as { code: string }).code });
    }
  };
  const node = cluster.node(0);
  const startedAt = actorAt(node, path).startedAt;
  const writes: Promise<void>[] = [];
  for (let row = 0; row < ROWS_EACH_SIDE; row++) writes.push(write());
  if (!node.system.crash(path, new Error('crashed by a test')))
    throw new Error(`${path} could not be made to crash`);
  for (let row = 0; row < ROWS_EACH_SIDE; row++) {
    writes.push(write());
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(writes);
  await waitUntil(`${path} to be back`, () => {
    const actor = actorsOf(node).find((one) => one.path === path);
    if (actor?.state !== 'running') return false;
    return isRestarted ? actor.restarts === 1 : actor.startedAt > startedAt || actor.life > 1;
  });
  return { acknowledged, failed };
};
