/**
 * Builds indexes that were wanted after rows existed, in small steps between other work. Writes keep a
 * building index up to date meanwhile; searches use it when it is complete. Used by the shardRouter only.
 */
import { limits } from '../protocol/limits.js';
import type { Table } from '../storage/catalog.js';
import type { Commit } from '../storage/commit.js';
import { indexOf, primaryKeyOf, rowKey, rowsOf } from '../storage/keys.js';
import type { Store } from '../storage/store.js';

interface Job {
  readonly table: Table;
  readonly attributes: readonly string[];
  after: Uint8Array | null;
}

export class IndexFill {
  readonly #store: Store;
  #job: Job | null = null;

  constructor(store: Store) {
    this.#store = store;
  }

  get isNeeded(): boolean {
    return this.#job !== null || this.#nextJob() !== null;
  }

  /** Takes some rows into the commit; false when nothing is left to build. */
  async step(commit: Commit): Promise<boolean> {
    if (!this.#job) {
      this.#job = this.#nextJob();
      if (!this.#job) return false;
      await this.#clear(this.#job);
    }
    const job = this.#job;
    if (this.#store.catalog.find(job.table.name)?.number !== job.table.number) {
      this.#job = null;
      return this.isNeeded;
    }
    const { rows, last, isFull } = await this.#read(job);
    commit.fillIndex(job.table, rows);
    if (last) job.after = last;
    if (isFull) return true;
    for (const attribute of job.attributes) commit.indexIsReady(job.table, attribute);
    this.#job = null;
    return this.isNeeded;
  }

  #nextJob(): Job | null {
    for (const table of this.#store.catalog.tables) {
      const attributes = [...table.attributes.values()].filter(({ index }) => index === 'building');
      if (attributes.length > 0)
        return { table, attributes: attributes.map(({ name }) => name), after: null };
    }
    return null;
  }

  /** Entries of an earlier life of the index. */
  async #clear({ table, attributes }: Job): Promise<void> {
    for (const name of attributes)
      await this.#store.level.clear(indexOf(table.number, table.attributes.get(name)?.number ?? 0));
  }

  async #read(job: Job) {
    const { gte, lt } = rowsOf(job.table.number);
    const from = job.after === null ? { gte } : { gt: rowKey(job.table.number, job.after) };
    const found = await this.#store.level
      .iterator({ ...from, lt, limit: limits.readBatchRows })
      .all();
    const rows = found.flatMap(([key, value]) => {
      const row = this.#store.readRow(key, value);
      return row ? [{ key: primaryKeyOf(key), row }] : [];
    });
    const last = found.at(-1)?.[0];
    return {
      rows,
      last: last && primaryKeyOf(last),
      isFull: found.length === limits.readBatchRows,
    };
  }
}
