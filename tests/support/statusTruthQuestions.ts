/** Asks one node for cluster_status and its readiness, with the time that took. Called by statusTruth.ts; judges nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Asked, StatusShown } from './statusTruthClaims.js';
import type { TruthNode } from './statusTruthParts.js';

const FIRST_ANSWER_MS_MAX = 4_000;

export interface Answer extends Asked {
  readonly status: StatusShown;
  readonly readyz: boolean;
}

/** Resolves when the node answers, or after a while. */
export const firstAnswer = async (node: TruthNode): Promise<void> => {
  const deadline = Date.now() + FIRST_ANSWER_MS_MAX;
  while (Date.now() < deadline && !(await ask(node))) await sleep(10);
};

/** Undefined: it does not answer, because it is coming up. */
export const ask = async ({ node }: TruthNode): Promise<Answer | undefined> => {
  const askedMs = Date.now();
  try {
    const [status, ready] = await Promise.all([
      node.client.send({ operation: 'cluster_status' }),
      node.client.probe('/readyz'),
    ]);
    return {
      askedMs,
      answeredMs: Date.now(),
      status: status as StatusShown,
      readyz: ready.status === 200,
    };
  } catch (error) {
    if (node.isServing) throw error;
    return undefined;
  }
};
