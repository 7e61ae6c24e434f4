/**
 * router:<database> while its disk takes no writes: what is stored can be read, feeds go on sending it, and every write
 * is refused with the reason. It wants nothing of peers, so no position moves. Tries the disk after longer and longer
 * waits, and ends its life when that takes writes again: the next one opens the database anew. Started by shardRouter.
 */
import { messageOf, SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { Store, type StoreOptions } from '../storage/store.js';
import { CatchingUp } from './catchingUp.js';
import { DatabaseReads } from './databaseReads.js';
import type { Actor, ActorContext, StopReason } from './kernel/types.js';
import { LogReaders } from './logReaders.js';
import type { RouterMessage } from './messages.js';
import type { Opened } from './openDatabases.js';
import type { NodeResources } from './resources.js';

export interface ReadOnlyParts {
  readonly context: ActorContext<RouterMessage>;
  readonly resources: NodeResources;
  readonly opened: Extract<Opened, { kind: 'readOnly' }>;
  readonly options: Omit<StoreOptions, 'level'>;
}

export class ReadOnlyRouter implements Actor<RouterMessage> {
  readonly #parts: ReadOnlyParts;
  /** Null: the database could not even be opened. */
  readonly #reads: DatabaseReads | null;
  readonly #readers: LogReaders | null;
  readonly #reason: string;
  #retryMs: number;

  private constructor(parts: ReadOnlyParts, stored: Stored | null) {
    this.#parts = parts;
    this.#reads = stored?.reads ?? null;
    this.#readers = stored?.readers ?? null;
    this.#reason = messageOf(parts.opened.failure);
    this.#retryMs = parts.opened.retryMs;
    this.#tryLater();
  }

  static async open(parts: ReadOnlyParts): Promise<ReadOnlyRouter> {
    const { database } = parts.options;
    const reason = messageOf(parts.opened.failure);
    parts.resources.log.error(
      { database, reason, retryMs: parts.opened.retryMs },
      'the database takes no writes: its disk fails',
    );
    const { level } = parts.opened;
    return new ReadOnlyRouter(parts, level && (await readStored(parts, level, reason)));
  }

  readonly receive = (message: RouterMessage): void | Promise<void> => {
    switch (message.type) {
      case 'timer.retry':
        return this.#retry();
      case 'transaction.submit':
      case 'table.define':
      case 'table.drop':
      case 'attribute.drop':
        return message.replyTo.fail(this.#refusal());
      case 'records.get':
      case 'records.search':
      case 'tables.describe':
      case 'database.status':
        if (this.#reads) return this.#reads.read(message);
        return message.replyTo.fail(this.#refusal());
      case 'feed.open':
      case 'log.open':
        if (this.#reads) return this.#reads.read(message);
        return message.replyTo.fail(this.#refusal());
      case 'feed.closed':
        return this.#reads?.read(message);
      default:
        // Of peers: nothing is wanted of them. Of the life before: it is over.
        return undefined;
    }
  };

  describe(): Record<string, unknown> {
    return { readOnly: this.#reason, retryMs: this.#retryMs };
  }

  phase(): string {
    return `read only: ${this.#reason}`;
  }

  /** Between two lives the database stays open to be read. */
  async stopped(reason: StopReason): Promise<void> {
    this.#readers?.stopped();
    const { resources, options } = this.#parts;
    if (reason.kind === 'stopped') await resources.files.databases.release(options.database);
  }

  async #retry(): Promise<void> {
    const { resources, options } = this.#parts;
    if (await resources.files.databases.mayRetry(options.database))
      throw new SkeinError(
        'STORAGE_FAILED',
        'The disk takes writes again: the database is opened anew',
      );
    this.#retryMs = Math.min(limits.diskRetryMsMax, this.#retryMs * 2);
    this.#tryLater();
  }

  #tryLater(): void {
    this.#parts.context.startTimer('retry', this.#retryMs, { type: 'timer.retry' });
  }

  #refusal(): SkeinError {
    const { database } = this.#parts.options;
    return new SkeinError(
      'STORAGE_FAILED',
      `The database '${database}' takes no writes: ${this.#reason}`,
      { cause: this.#parts.opened.failure, statusCode: isFull(this.#reason) ? 507 : 500 },
    );
  }
}

interface Stored {
  readonly reads: DatabaseReads;
  readonly readers: LogReaders;
}

const readStored = async (
  { resources, options }: ReadOnlyParts,
  level: StoreOptions['level'],
  reason: string,
): Promise<Stored> => {
  const { now } = resources.environment;
  const store = await Store.openToRead({ ...options, level });
  const catchingUp = await CatchingUp.load(store, options.node, () => undefined, now);
  const readers = new LogReaders({ store, catchingUp, hold: (source) => source });
  const reads = new DatabaseReads({
    store,
    catchingUp,
    readers,
    now,
    ownPast: () => null,
    refusedBy: () => [],
    readOnly: () => reason,
  });
  return { reads, readers };
};

/** 507 Insufficient Storage (RFC 4918 section 11.5). */
const isFull = (reason: string): boolean => /no space left|quota/i.test(reason);
