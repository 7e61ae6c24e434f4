/**
 * What a database does for itself from time to time, in small steps between other work: takes old entries out of its
 * logs, forgets old deletes and records that expired long ago, writes orphans again, and forgets what settled copies dropped. Driven by the shardRouter's
 * timer; decides nothing about rows.
 */
import type { Config } from '../config/types.js';
import { waitsFor, type Orphan } from '../protocol/owed.js';
import type { OriginId } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import type { Commit } from '../storage/commit.js';
import { ExpirySweep } from '../storage/expiry.js';
import { forgetDropped, OrphanSweep } from '../storage/orphans.js';
import { Purge } from '../storage/purge.js';
import type { CopySource } from '../storage/snapshot.js';
import type { Store } from '../storage/store.js';
import { Trim } from '../storage/trim.js';
import type { CatchingUp } from './catchingUp.js';

const INTERVAL_MS_MAX = 5_000;
const INTERVAL_MS_MIN = 100;
/** Of one turn of the writer: most find nothing to do. */
const STEPS_MAX = 4;

export interface MaintenanceParts {
  readonly store: Store;
  readonly catchingUp: CatchingUp;
  readonly config: Config;
  readonly now: () => number;
  /** Told when orphans are written again. */
  readonly orphaned: (orphan: Orphan) => void;
}

export class Maintenance {
  readonly #parts: MaintenanceParts;
  readonly #purge: Purge;
  readonly #expiry: ExpirySweep;
  readonly #trim: Trim;
  readonly #retention: { readonly logMs: number; readonly deleteMs: number };
  /** Copies that are being read from here, and since when: their readers go on with the log. */
  readonly #readers = new Map<CopySource, number>();
  #sweep: OrphanSweep | null = null;
  #forgottenUpTo: Buffer | null = null;
  #isTrimmed = true;
  #isPurged = true;
  #isSwept = true;

  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
    this.#purge = new Purge(parts.store);
    this.#expiry = new ExpirySweep(parts.store);
    this.#trim = new Trim(parts.store);
    this.#retention = {
      logMs: parts.config.logging.auditRetentionMs,
      deleteMs: parts.config.replication.tombstoneRetentionMs,
    };
  }

  /** Milliseconds between two rounds. */
  get intervalMs(): number {
    const wanted = Math.min(this.#retention.logMs, this.#retention.deleteMs) / 10;
    return Math.max(INTERVAL_MS_MIN, Math.min(INTERVAL_MS_MAX, wanted));
  }

  get counts(): { purged: number; expired: number; trimmed: number } {
    const { removed: expired } = this.#expiry;
    return { purged: this.#purge.purged, expired, trimmed: this.#trim.trimmed };
  }

  /** Somebody copies from here. */
  get isRead(): boolean {
    return this.#readers.size > 0;
  }

  /** The log after this snapshot is kept while it is read, for at most as long again as logs are kept anyway. */
  hold(source: CopySource): CopySource {
    this.#readers.set(source, this.#parts.now());
    const close = async (): Promise<void> => {
      this.#readers.delete(source);
      await source.close();
    };
    return { ...source, close };
  }

  beginRound(): void {
    this.#isTrimmed = false;
    this.#isPurged = false;
    this.#isSwept = false;
    this.#look();
  }

  /** Does a little into this batch; false: the round is over. */
  async steps(commit: Commit): Promise<boolean> {
    for (let count = 0; count < STEPS_MAX; count++) if (!(await this.#step(commit))) return false;
    return true;
  }

  async #step(commit: Commit): Promise<boolean> {
    if (!this.#isTrimmed) this.#isTrimmed = !(await this.#trimStep(commit));
    else if (!this.#isPurged) this.#isPurged = !(await this.#forget(commit, this.#purge));
    else if (!this.#isSwept) this.#isSwept = !(await this.#forget(commit, this.#expiry));
    else if (this.#sweep) await this.#sweepStep(commit, this.#sweep);
    else return this.#forgetStep(commit);
    return true;
  }

  /** Whether promises have been without hope for long enough. */
  #look(): void {
    const { catchingUp, store, now, orphaned } = this.#parts;
    const waits = waitsFor(this.#retention.deleteMs);
    catchingUp.giveUpAlone(now(), waits);
    const orphan = catchingUp.orphan(now(), waits);
    if (!orphan) this.#sweep = null;
    else if (orphan.origin !== this.#sweep?.origin || orphan.copy !== this.#sweep.copy) {
      this.#sweep = new OrphanSweep(store, orphan);
      orphaned(orphan);
    }
  }

  #trimStep(commit: Commit): Promise<boolean> {
    const nowMs = this.#parts.now();
    const { logMs } = this.#retention;
    const readers = [...this.#readers].filter(([, sinceMs]) => nowMs - sinceMs < logMs);
    const held = (origin: OriginId): number =>
      Math.min(Infinity, ...readers.map(([{ vector }]) => vector.get(origin)?.sequence ?? 0));
    const entriesMax = limits.readBatchRows;
    return this.#trim.step(commit, { beforeMs: nowMs - logMs, entriesMax, held });
  }

  /** Never in the middle of a copy: what it has not compared yet may need them. */
  async #forget(commit: Commit, forgetting: Purge | ExpirySweep): Promise<boolean> {
    if (!this.#parts.catchingUp.ledger.isIdle) return false;
    const beforeMs = this.#parts.now() - this.#retention.deleteMs;
    return forgetting.step(commit, { beforeMs, rowsMax: limits.readBatchRows });
  }

  async #sweepStep(commit: Commit, sweep: OrphanSweep): Promise<void> {
    const step = { rowsMax: limits.readBatchRows, nowMs: this.#parts.now() };
    if (await sweep.step(commit, step)) return;
    this.#sweep = null;
    this.#parts.catchingUp.ledger.wroteAgain(sweep, commit);
    this.#look();
  }

  async #forgetStep(commit: Commit): Promise<boolean> {
    const { store, catchingUp } = this.#parts;
    const copy = catchingUp.ledger.settled;
    if (copy === null) return false;
    const request = { copy, after: this.#forgottenUpTo, rowsMax: limits.readBatchRows };
    this.#forgottenUpTo = await forgetDropped(store, commit, request);
    if (this.#forgottenUpTo === null) catchingUp.ledger.forgotSettled(commit);
    return true;
  }
}
