/**
 * What users write to a database: transactions and changes of its schema, taken into the open batch and answered when
 * that is durable. Used by the shardRouter only.
 */
import { SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import type { Commit } from '../storage/commit.js';
import type { Store } from '../storage/store.js';
import { answer } from './answers.js';
import type { GroupCommit } from './groupCommit.js';
import type { Reply } from './kernel/types.js';
import type { RouterMessage } from './messages.js';
import type { NodeResources } from './resources.js';

type Message<Type extends RouterMessage['type']> = Extract<RouterMessage, { type: Type }>;

export class LocalWrites {
  readonly #store: Store;
  readonly #group: GroupCommit;
  readonly #resources: NodeResources;

  constructor(store: Store, group: GroupCommit, resources: NodeResources) {
    this.#store = store;
    this.#group = group;
    this.#resources = resources;
  }

  submit(message: Message<'transaction.submit'>): void {
    const { replyTo, writes, notes } = message;
    const { config, environment } = this.#resources;
    if (this.#group.waitingBytes > limits.routerQueueBytesMax) return replyTo.fail(overloaded());
    answer(
      replyTo,
      () =>
        this.#group.forming.transact({
          writes,
          notes,
          nowMs: environment.now(),
          newKey: () => uuid(environment.randomId(16)),
          transactionBytesMax: config.replication.maxTransactionBytes,
        }),
      (accepted, ok) => this.#group.whenDurable({ done: () => ok(accepted), failed: replyTo.fail }),
    );
    this.#group.pump();
  }

  define({ definition, notes, replyTo }: Message<'table.define'>): void {
    const nowMs = this.#resources.environment.now();
    this.#change(replyTo, (commit) => commit.define({ definition, nowMs, notes }));
  }

  dropTable({ table, replyTo }: Message<'table.drop'>): void {
    this.#change(replyTo, (commit) => commit.dropTable(table));
  }

  dropAttribute({ table, attribute, replyTo }: Message<'attribute.drop'>): void {
    this.#change(replyTo, (commit) =>
      commit.dropAttribute(this.#store.catalog.get(table), attribute),
    );
  }

  #change(replyTo: Reply<void>, change: (commit: Commit) => void): void {
    answer(
      replyTo,
      () => change(this.#group.forming),
      (_done, ok) => this.#group.whenDurable({ done: () => ok(undefined), failed: replyTo.fail }),
    );
    this.#group.pump();
  }
}

const overloaded = (): SkeinError =>
  new SkeinError(
    'OVERLOADED',
    'Outstanding write transactions have too long of queue, please try again later',
  );

const uuid = (hex: string): string => {
  const variant = ((parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
};
