/**
 * A few nodes of the simulation without its faults and its judgement, in virtual time: what happens to them is up to the
 * test, step by step. Used by the tests of failing and damaged disks.
 */
import type { DatabaseStatus, RouterMessage } from '../../actors/messages.js';
import type { Reply } from '../../actors/kernel/types.js';
import { SkeinError } from '../../protocol/errors.js';
import type { RecordObject } from '../../protocol/operations.js';
import { SimulatedNetwork } from './simulatedNetwork.js';
import { SimulatedNode } from './simulatedNode.js';
import { SimulatedTime } from './simulatedTime.js';
import { definition } from './stores.js';

const SETTINGS = {
  writeAsync: false,
  maxClockSkewMs: 60_000,
  auditRetentionMs: 864_000_000,
  tombstoneRetentionMs: 864_000_000,
  pingIntervalMs: 2_000,
  turnMsMax: 0,
  clockStepMs: 1,
  applyMsMax: 2,
  answerMsMax: 1,
  slowReads: 0,
};

const ANSWERED_MS_MAX = 1_000;

export interface Refusal {
  readonly code: string;
  readonly statusCode: number;
  readonly message: string;
}

export class SimulatedStage {
  readonly time = new SimulatedTime({ seed: 1, eventsMax: 200_000 });
  readonly #network = new SimulatedNetwork(
    this.time,
    { sent: () => undefined, arrived: () => undefined, lost: () => undefined },
    1,
  );
  readonly nodes: readonly SimulatedNode[];

  constructor(names: readonly string[]) {
    this.nodes = names.map(
      (name) =>
        new SimulatedNode({
          name,
          time: this.time,
          network: this.#network,
          settings: SETTINGS,
          count: () => undefined,
        }),
    );
    for (const node of this.nodes)
      node.neighbours.push(...names.filter((other) => other !== node.name));
  }

  async pass(ms: number): Promise<void> {
    const until = this.time.now + ms;
    // Something is always to come, so that time passes.
    this.time.after(ms, () => undefined);
    await this.time.run(() => this.time.now >= until);
  }

  /** What was answered within a second: a value, or what was refused. */
  async ask<T>(
    node: SimulatedNode,
    question: (replyTo: Reply<T>) => RouterMessage,
  ): Promise<T | Refusal> {
    const answers: (T | Refusal)[] = [];
    node.ask(question).then(
      (value) => answers.push(value),
      (error: unknown) => {
        if (!(error instanceof SkeinError)) return this.time.fail(error as Error);
        const { code, statusCode, message } = error;
        answers.push({ code, statusCode, message });
      },
    );
    const until = this.time.now + ANSWERED_MS_MAX;
    this.time.after(ANSWERED_MS_MAX, () => undefined);
    await this.time.run(() => answers.length > 0 || this.time.now >= until);
    if (answers.length === 0) throw new Error('not answered in time');
    return answers[0] as T | Refusal;
  }

  put(node: SimulatedNode, id: number) {
    return this.ask(node, (replyTo) => ({
      type: 'transaction.submit',
      writes: [{ table: 'dogs', type: 'put', records: [{ id }] }],
      notes: {},
      replyTo,
    }));
  }

  get(node: SimulatedNode, ids: readonly number[]) {
    return this.ask<(RecordObject | undefined)[]>(node, (replyTo) => ({
      type: 'records.get',
      table: 'dogs',
      keys: ids,
      replyTo,
    }));
  }

  status(node: SimulatedNode) {
    return this.ask<DatabaseStatus>(node, (replyTo) => ({ type: 'database.status', replyTo }));
  }
}

/** Nodes that are linked, the first of which has defined the table `dogs`. */
export const openStage = async (names: readonly string[]) => {
  const stage = new SimulatedStage(names);
  for (const node of stage.nodes) node.start();
  const [node, other] = stage.nodes;
  if (!node) throw new Error('no node');
  await stage.ask<void>(node, (replyTo) => ({
    type: 'table.define',
    definition: definition('dogs', [{ name: 'x' }]),
    notes: {},
    replyTo,
  }));
  await stage.pass(1_000);
  return { stage, node, other: other ?? node };
};
