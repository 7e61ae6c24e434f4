/**
 * Collects the rows of one table that are written again as this node's own operations, and puts them into the batch as
 * log entries of a bounded size, each row at most once. Used by what walks over rows: copies, orphans.
 */
import type { KeyedChange } from '../protocol/entry.js';
import { KIB } from '../protocol/limits.js';
import type { RowChange } from '../protocol/row.js';
import { DEFINITIONS_TABLE } from './catalog.js';
import type { Commit } from './commit.js';
import { isTable, type Target } from './rowWriter.js';
import { tableGeneration } from '../protocol/ids.js';

/** An entry is closed when its changes have about so many bytes. */
const ENTRY_BYTES = 256 * KIB;

interface RewritingRequest {
  readonly nowMs: number;
  readonly operation: string;
  /** The table is this node's alone. */
  readonly stays?: boolean;
}

export class Rewriting {
  readonly #commit: Commit;
  readonly #target: Target;
  readonly #request: RewritingRequest;
  #changes: KeyedChange[] = [];
  #bytes = 0;

  constructor(commit: Commit, target: Target, request: RewritingRequest) {
    this.#commit = commit;
    this.#target = target;
    this.#request = request;
  }

  add(key: Uint8Array, change: RowChange): void {
    this.#changes.push({ key, change });
    this.#bytes += key.length + bytesOf(change);
    if (this.#bytes >= ENTRY_BYTES) this.end();
  }

  /** Puts what is collected into the batch. */
  end(): void {
    if (this.#changes.length === 0) return;
    const target = this.#target;
    const place = isTable(target)
      ? { table: target.name, generation: target.generation }
      : { table: DEFINITIONS_TABLE, generation: tableGeneration(1) };
    this.#commit.writeAgain([{ ...place, changes: this.#changes }], this.#request);
    this.#changes = [];
    this.#bytes = 0;
  }
}

const bytesOf = (change: RowChange): number => {
  if (change.type === 'put') return change.body.length;
  if (change.type === 'delete') return 0;
  return change.attributes.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
};
