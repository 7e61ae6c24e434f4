/**
 * Collects what arrives while a batch is being written and writes it as the next one. Used by the
 * shardRouter only. What waits on a batch is told after it is durable, in the order it was accepted.
 */
import { messageOf, SkeinError } from '../protocol/errors.js';
import type { Commit } from '../storage/commit.js';
import type { Store } from '../storage/store.js';

export interface Waiter {
  readonly done: () => void;
  readonly failed: (error: SkeinError) => void;
}

interface Group {
  readonly commit: Commit;
  readonly waiters: Waiter[];
}

export class GroupCommit {
  readonly #store: Store;
  readonly #written: (commit: Commit, failure?: Error) => void;
  #forming: Group | null = null;
  #writing: Group | null = null;
  #write: Promise<void> | null = null;
  /** Batches written, for the debug endpoint. */
  batches = 0;

  /** `written` is called when a batch ended, well or not; then call `settle`, if it still `isWriting` that one. */
  constructor(store: Store, written: (commit: Commit, failure?: Error) => void) {
    this.#store = store;
    this.#written = written;
  }

  /** The commit that takes what arrives now. */
  get forming(): Commit {
    this.#forming ??= { commit: this.#store.commit(), waiters: [] };
    return this.#forming.commit;
  }

  /** Bytes accepted and not yet being written. */
  get waitingBytes(): number {
    return this.#forming?.commit.bytes ?? 0;
  }

  /** Rows accepted and not yet being written. */
  get rowsWaiting(): number {
    return this.#forming?.commit.rowCount ?? 0;
  }

  get isIdle(): boolean {
    return this.#forming === null && this.#writing === null;
  }

  whenDurable(waiter: Waiter): void {
    void this.forming;
    this.#forming?.waiters.push(waiter);
  }

  /** Starts the next batch if none is under way. */
  pump(): void {
    if (this.#writing || !this.#forming) return;
    const group = this.#forming;
    this.#forming = null;
    this.#writing = group;
    this.#write = group.commit.write();
    this.#write.then(
      () => this.#written(group.commit),
      (error: unknown) =>
        this.#written(group.commit, error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** False for the batch of an earlier life: its news may arrive in a later one, which must not believe it its own. */
  isWriting(commit: Commit): boolean {
    return this.#writing?.commit === commit;
  }

  /** The batch that just ended well: tells its waiters and gives it back. */
  settle(): Commit {
    const group = this.#writing;
    if (!group) throw new Error('No batch was being written');
    this.#writing = null;
    this.#write = null;
    this.batches++;
    for (const waiter of group.waiters) waiter.done();
    return group.commit;
  }

  /** After a failed batch, or at the end: nothing of it may be believed any more. */
  fail(cause: Error): void {
    const unknown = new SkeinError(
      'OUTCOME_UNKNOWN',
      `The write may or may not have been stored: ${messageOf(cause)}`,
      { cause },
    );
    const refused = new SkeinError('UNAVAILABLE', `The write was not stored: ${messageOf(cause)}`, {
      cause,
    });
    for (const waiter of this.#writing?.waiters ?? []) waiter.failed(unknown);
    for (const waiter of this.#forming?.waiters ?? []) waiter.failed(refused);
    this.#writing = null;
    this.#forming = null;
  }

  /** Waits for the batch under way, then writes what is left; gives them back. Rejects when a batch fails. */
  async drain(): Promise<Commit[]> {
    const written: Commit[] = [];
    while (this.#writing || this.#forming) {
      if (!this.#writing) this.pump();
      await this.#write;
      if (this.#writing) written.push(this.settle());
    }
    return written;
  }
}
