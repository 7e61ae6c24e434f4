/**
 * Forgets old deletes, in small steps: finds them by the tombstone index, takes them out of their rows, and raises the
 * marks that say so, in one batch. By time alone: no node waits for another. Driven by actors/maintenance.ts, which
 * must not do so in the middle of a copy.
 */
import { coveredBy } from '../protocol/absence.js';
import { TICKS_PER_MILLISECOND } from '../protocol/clock.js';
import type { Row } from '../protocol/row.js';
import type { Version } from '../protocol/ids.js';
import { DEFINITIONS_NUMBER, type Table } from './catalog.js';
import type { Commit } from './commit.js';
import { allOf, PREFIX, readTombstoneKey } from './keys.js';
import { deleteIn } from './rowWriter.js';
import type { Store } from './store.js';

export class Purge {
  readonly #store: Store;
  /** Where this round has got to; deletes that cannot be forgotten yet are looked at again in the next. */
  #after: Buffer | null = null;
  /** Deletes forgotten. */
  purged = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Forgets some deletes made before `beforeMs`; false: this round is over. */
  async step(commit: Commit, request: { beforeMs: number; rowsMax: number }): Promise<boolean> {
    const { rowsMax } = request;
    const { gte, lt } = allOf(PREFIX.tombstone);
    const from = this.#after ? { gt: this.#after } : { gte };
    const found = await this.#store.level.keys({ ...from, lt, limit: rowsMax }).all();
    const horizon = request.beforeMs * TICKS_PER_MILLISECOND;
    for (const key of found) {
      const place = readTombstoneKey(key);
      if (place.version >= horizon) return this.#endRound();
      this.#after = key;
      this.#forget(commit, key, place);
    }
    return found.length === rowsMax || this.#endRound();
  }

  #endRound(): false {
    this.#after = null;
    return false;
  }

  /** A delete that the own vector does not contain came with a copy: nobody else may know of it yet. */
  #forget(
    commit: Commit,
    indexKey: Buffer,
    place: { version: Version; table: number; primaryKey: Buffer },
  ): void {
    if (place.table === DEFINITIONS_NUMBER) return;
    const table = this.#tableNumbered(place.table);
    const old = table && commit.rows.row(table, place.primaryKey);
    const dead = old && deleteIn(old);
    // What it holds of deletes is not known: it is looked at again when it is whole.
    if (table && commit.rows.isDamaged(table, place.primaryKey)) return;
    if (!table || !old || dead?.version !== place.version)
      return commit.putNote(indexKey, undefined);
    if (!coveredBy(this.#store.accepted)(dead)) return;
    const row = withoutDelete(old);
    commit.rows.replace({ target: table, key: place.primaryKey, old, row });
    commit.putNote(indexKey, undefined);
    commit.raiseMarks([dead]);
    this.purged++;
  }

  #tableNumbered(number: number): Table | undefined {
    return this.#store.catalog.tables.find((table) => table.number === number);
  }
}

const withoutDelete = (row: Row): Row | undefined =>
  row.kind === 'patched' ? { ...row, dead: null } : undefined;
