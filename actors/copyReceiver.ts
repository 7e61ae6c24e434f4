/**
 * Takes the rows of a copy into the batches of a database, a few at a time so that other work goes on between: what
 * arrives waits here, each `copy.step` merges some of it. Used by the shardRouter only. From whom to copy, and what a
 * copy promised, is CatchingUp's; what becomes of a row is decided in storage/copiedRows.ts.
 */
import type { Stamp } from '../protocol/clock.js';
import type { NodeName, OriginId, Version } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { Refusal } from '../protocol/refusals.js';
import { newestStamp } from '../protocol/row.js';
import { CopiedRows, type MergeStep } from '../storage/copiedRows.js';
import type { Store } from '../storage/store.js';
import type { CatchingUp } from './catchingUp.js';
import type { ClockRefusals } from './clockRefusals.js';
import type { GroupCommit } from './groupCommit.js';
import type { ActorRef } from './kernel/types.js';
import type { ResyncMessage, RouterMessage } from './messages.js';

type Message<Type extends RouterMessage['type']> = Extract<RouterMessage, { type: Type }>;

interface Chunk {
  readonly from: ActorRef<ResyncMessage>;
  readonly bytes: number;
  rowsLeft: number;
}

interface Merging {
  readonly peer: NodeName;
  /** Number of the copy. */
  readonly copy: number;
  readonly rows: CopiedRows;
  /** Chunks whose rows are not all merged. */
  chunks: Chunk[];
}

export interface CopyReceiverParts {
  readonly store: Store;
  readonly catchingUp: CatchingUp;
  readonly group: GroupCommit;
  readonly now: () => number;
  /** Rows from a clock far ahead would carry this node's clock with them, and no peer would take what it writes. */
  readonly areTooFarAhead: (written: readonly { readonly version: Version }[]) => boolean;
  readonly refusals: ClockRefusals;
  /** Sends `copy.step` to the router. */
  readonly continueLater: () => void;
  readonly failed: (peer: NodeName, reason: string) => void;
  readonly completed: (peer: NodeName) => void;
}

export class CopyReceiver {
  readonly #parts: CopyReceiverParts;
  #merging: Merging | null = null;
  /** A `copy.step` is on its way, or will be sent when the present batch is written. */
  #isDue = false;
  #waitsForBatch = false;

  constructor(parts: CopyReceiverParts) {
    this.#parts = parts;
  }

  begin(message: Message<'copy.begin'>): void {
    const { catchingUp, store } = this.#parts;
    if (!catchingUp.isCopyingFrom(message.peer)) return;
    this.forget();
    const { positions, owed, marks } = message;
    if (this.#isRefused(message.peer, [...positions, ...owed, ...marks])) return;
    const begun = catchingUp.copyBegun(message.peer, message);
    if (begun === 'worthless') return this.#parts.failed(message.peer, WORTHLESS);
    const { copy } = catchingUp.ledger;
    if (begun !== 'begun' || !copy) return;
    const rows = new CopiedRows(store, message, copy.after, catchingUp.origins);
    this.#merging = { peer: message.peer, copy: copy.number, rows, chunks: [] };
  }

  apply(message: Message<'copy.apply'>): void {
    const merging = this.#mergingFrom(message.peer);
    const chunk = { from: message.from, bytes: message.bytes, rowsLeft: message.rows.length };
    if (!merging) {
      this.#commitChunks([chunk]);
      return this.#parts.failed(message.peer, NOT_ASKED_FOR);
    }
    const written = message.rows.map(({ row }) => newestStamp(row));
    if (this.#isRefused(message.peer, written)) return this.#commitChunks([chunk]);
    merging.rows.add(message.rows);
    merging.chunks.push(chunk);
    this.#schedule();
  }

  end(message: Message<'copy.end'>): void {
    const merging = this.#mergingFrom(message.peer);
    if (!merging) return;
    merging.rows.end();
    this.#schedule();
  }

  /** That peer's stream is gone or another: what waits of its snapshot is of no use any more. */
  forgetFrom(peer: NodeName): void {
    if (this.#merging?.peer === peer) this.forget();
  }

  /** The snapshot being merged is of no use any more: another begins, or it failed. */
  forget(): void {
    const chunks = this.#merging?.chunks ?? [];
    this.#merging = null;
    if (chunks.length > 0) this.#commitChunks(chunks);
  }

  /** The batch that was being written is written: there is room for more. */
  batchWritten(): void {
    if (!this.#waitsForBatch) return;
    this.#waitsForBatch = false;
    this.#parts.continueLater();
  }

  async step(): Promise<void> {
    this.#isDue = false;
    const merging = this.#merging;
    if (!merging) return;
    if (!this.#mergingFrom(merging.peer)) return this.forget();
    const { group, catchingUp, now } = this.#parts;
    const copy = catchingUp.ledger.copy?.number ?? 0;
    const commit = group.forming;
    const step = await merging.rows.step(commit, {
      copy,
      rowsMax: limits.readBatchRows,
      nowMs: now(),
    });
    if (step.state === 'more') catchingUp.ledger.merged({ ...step, after: step.place }, commit);
    this.#noteMerged(merging, step.count);
    this.#goOn(merging, step.state);
    group.pump();
  }

  #goOn({ peer }: Merging, state: MergeStep['state']): void {
    const { catchingUp, group } = this.#parts;
    switch (state) {
      case 'more':
        return this.#schedule();
      case 'waiting':
        return undefined;
      case 'undefined':
        this.forget();
        return this.#parts.failed(peer, 'a table of its rows is not defined here');
      case 'ended':
        this.#merging = null;
        if (catchingUp.finishCopy(peer, group.forming)) this.#parts.completed(peer);
        return undefined;
      default:
        return state satisfies never;
    }
  }

  /** Whether that copy is put off, because of a stamp among these. */
  #isRefused(
    peer: NodeName,
    written: readonly (Stamp & { readonly sequence?: number })[],
  ): boolean {
    const ahead = written.filter((stamp) => this.#parts.areTooFarAhead([stamp]));
    if (ahead.length === 0) return false;
    this.forgetFrom(peer);
    const refusals = new Map<OriginId, Refusal>();
    for (const { origin, version, sequence } of ahead)
      refusals.set(origin, { origin, version, sequence: sequence ?? 0 });
    this.#parts.refusals.noteCopy(peer, [...refusals.values()]);
    this.#parts.failed(peer, TOO_FAR_AHEAD);
    return true;
  }

  /** Only rows of the peer that is copied from now. */
  #mergingFrom(peer: NodeName): Merging | null {
    const merging = this.#merging;
    const { catchingUp } = this.#parts;
    if (merging?.peer !== peer || !catchingUp.isCopyingFrom(peer)) return null;
    return merging.copy === catchingUp.ledger.copy?.number ? merging : null;
  }

  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    if (this.#parts.group.rowsWaiting < ROWS_WAITING_MAX) return this.#parts.continueLater();
    this.#waitsForBatch = true;
  }

  #noteMerged(merging: Merging, count: number): void {
    let left = count;
    const done: Chunk[] = [];
    for (const chunk of merging.chunks) {
      const taken = Math.min(left, chunk.rowsLeft);
      chunk.rowsLeft -= taken;
      left -= taken;
      if (chunk.rowsLeft > 0) break;
      done.push(chunk);
    }
    merging.chunks = merging.chunks.slice(done.length);
    this.#commitChunks(done);
  }

  /** Credit for them is given when what they brought is durable. */
  #commitChunks(chunks: readonly Chunk[]): void {
    const { group } = this.#parts;
    for (const { from, bytes } of chunks)
      group.whenDurable({
        done: () => from.send({ type: 'rows.committed', bytes }),
        // The writer restarts, and with it the stream.
        failed: () => undefined,
      });
    if (chunks.length > 0) group.pump();
  }
}

const TOO_FAR_AHEAD = 'it holds writes further ahead than replication.maxClockSkew';
const WORTHLESS = 'it does not hold the tables that are missing here';
const NOT_ASKED_FOR = 'rows came that nobody asked for';

/** More rows than this do not wait for the batch before theirs. */
const ROWS_WAITING_MAX = 5_000;
