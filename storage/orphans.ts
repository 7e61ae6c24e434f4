/**
 * Writes again, as this node's own operations, what a copy brought from an origin whose log nobody can continue: rows
 * with its stamps beyond the own vector, and rows of which the copy dropped something on its word. In small steps.
 * Driven by actors/maintenance.ts; when to conclude that nobody can is not decided here.
 */
import type { Covers } from '../protocol/absence.js';
import type { OriginId, Version } from '../protocol/ids.js';
import { written, writtenAgain } from '../protocol/lateNews.js';
import type { Row } from '../protocol/row.js';
import type { Table } from './catalog.js';
import type { Commit } from './commit.js';
import { droppedBy, readDroppedKey } from './keys.js';
import { Rewriting } from './rewriting.js';
import { readRows } from './rowRange.js';
import { DEFINITIONS, type Target } from './rowWriter.js';
import type { Store } from './store.js';

const OPERATION = 'written again: nobody else has it';

interface Step {
  readonly rowsMax: number;
  readonly nowMs: number;
}

export class OrphanSweep {
  readonly origin: OriginId;
  readonly copy: number;
  readonly #store: Store;
  readonly #upTo: Version;
  #targets: Target[];
  #after: Uint8Array | null = null;
  #afterNote: Buffer | null = null;

  /** `upTo`: the version up to which the copy with that number promised the origin. */
  constructor(store: Store, orphan: { origin: OriginId; upTo: Version; copy: number }) {
    this.#store = store;
    this.origin = orphan.origin;
    this.copy = orphan.copy;
    this.#upTo = orphan.upTo;
    this.#targets = [DEFINITIONS, ...store.catalog.tables.filter(isShared)];
  }

  /** Looks at some rows; false: all are done. */
  async step(commit: Commit, step: Step): Promise<boolean> {
    const target = this.#targets[0];
    if (!target) return this.#writeDropped(commit, step);
    const range = { table: target.number, after: this.#after, last: null, rowsMax: step.rowsMax };
    const page = await readRows(this.#store, commit.rows, range);
    const rewriting = rewritingOf(commit, target, step);
    for (const { key, row } of page.rows) {
      const again = writtenAgain(row, this.#isOrphan, 'orphan');
      if (again) rewriting.add(key, again);
    }
    rewriting.end();
    this.#after = page.upTo;
    if (page.upTo === null) this.#targets.shift();
    return true;
  }

  /** The vector may move meanwhile: what it reaches is no orphan. */
  readonly #isOrphan: Covers = ({ origin, version }) =>
    origin === this.origin &&
    version <= this.#upTo &&
    version > (this.#store.accepted.get(origin)?.version ?? 0);

  async #writeDropped(commit: Commit, step: Step): Promise<boolean> {
    const { gte, lt } = droppedBy(this.copy);
    const from = this.#afterNote ? { gt: this.#afterNote } : { gte };
    const found = await this.#store.level.keys({ ...from, lt, limit: step.rowsMax }).all();
    this.#afterNote = found.at(-1) ?? null;
    for (const note of found) {
      const { table, primaryKey } = readDroppedKey(note);
      const target = this.#store.catalog.tables.find(({ number }) => number === table);
      commit.putNote(note, undefined);
      if (!target) continue;
      const row: Row | undefined = commit.rows.row(target, primaryKey);
      if (commit.rows.isDamaged(target, primaryKey)) continue;
      const rewriting = rewritingOf(commit, target, step);
      rewriting.add(primaryKey, written(row));
      rewriting.end();
    }
    return found.length === step.rowsMax;
  }
}

/**
 * Forgets some of the rows that copy dropped something of: everything it promised is here. Returns where to go on;
 * null: all are forgotten.
 */
export const forgetDropped = async (
  store: Store,
  commit: Commit,
  request: { copy: number; after: Buffer | null; rowsMax: number },
): Promise<Buffer | null> => {
  const { after, rowsMax } = request;
  const { gte, lt } = droppedBy(request.copy);
  const range = { ...(after ? { gt: after } : { gte }), lt, limit: rowsMax };
  const found = await store.level.keys(range).all();
  for (const note of found) commit.putNote(note, undefined);
  return found.length === rowsMax ? (found.at(-1) ?? null) : null;
};

const rewritingOf = (commit: Commit, target: Target, { nowMs }: Step): Rewriting =>
  new Rewriting(commit, target, { nowMs, operation: OPERATION });

const isShared = (table: Table): boolean => table.definition.replicate !== false;
