/**
 * From whom a database copies the tables it holds in part, so that it holds them whole: one peer at a time, and the
 * same one not again at once. Used by CatchingUp only, which carries the copy out. What can be paid is decided in
 * protocol/debts.ts.
 */
import { coveredBy } from '../protocol/absence.js';
import { payableBy } from '../protocol/debts.js';
import type { OriginScope, TableScope } from '../protocol/flow.js';
import type { Mark, OriginPosition } from '../protocol/frames.js';
import type { NodeName, OriginId } from '../protocol/ids.js';
import { blindSpot } from '../protocol/lateNews.js';
import { ALL_HELD, type PartHeld } from '../protocol/leftOut.js';
import { limits } from '../protocol/limits.js';
import type { Store } from '../storage/store.js';

/** A linked peer, as far as it matters here. */
export interface PayingPeer {
  /** Tables that pass from it. */
  readonly scope: TableScope;
  /** Tables it holds in part itself. */
  readonly inPart: PartHeld;
  /** What it has told to have. */
  readonly positions: ReadonlyMap<OriginId, OriginPosition>;
  /** False: in the middle of a copy itself. */
  readonly whole: boolean;
}

export class DebtPayments {
  readonly #store: Store;
  readonly #now: () => number;
  /** When each peer was asked last, ms since the epoch. */
  readonly #askedMs = new Map<NodeName, number>();

  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** The next peer to ask, and the tables to copy from it; null: nobody can pay anything now. */
  next(
    peers: ReadonlyMap<NodeName, PayingPeer>,
    origins: OriginScope,
  ): { readonly peer: NodeName; readonly tables: TableScope } | null {
    const { debts } = this.#store.debts;
    if (debts.size === 0) return null;
    for (const [peer, view] of peers) {
      if (!view.whole || !this.#isDue(peer) || !this.#knowsPurged(view.positions)) continue;
      const reached = new Map([...view.positions].map(([origin, at]) => [origin, at.sequence]));
      const tables = payableBy(debts, { ...view, reached }, origins);
      if (!tables) continue;
      this.#askedMs.set(peer, this.#now());
      return { peer, tables };
    }
    return null;
  }

  /** Whether the snapshot that was begun pays anything of what it was asked for. */
  isWorth(
    snapshot: { readonly positions: readonly OriginPosition[]; readonly inPart?: PartHeld },
    tables: TableScope,
    origins: OriginScope,
  ): boolean {
    const positions = new Map(snapshot.positions.map((position) => [position.origin, position]));
    const reached = new Map([...positions].map(([origin, at]) => [origin, at.sequence]));
    const payer = { scope: tables, inPart: snapshot.inPart ?? ALL_HELD, reached };
    return (
      this.#knowsPurged(positions) && payableBy(this.#store.debts.debts, payer, origins) !== null
    );
  }

  /** It is linked anew, or the rules are others. */
  forget(peer: NodeName): void {
    this.#askedMs.delete(peer);
  }

  #isDue(peer: NodeName): boolean {
    const askedMs = this.#askedMs.get(peer);
    return askedMs === undefined || this.#now() - askedMs >= limits.debtRetryMs;
  }

  /** A row of a table held in part may be one whose delete was forgotten here: who does not know it brings it back. */
  #knowsPurged(positions: ReadonlyMap<OriginId, OriginPosition>): boolean {
    const { marks } = this.#store;
    const list: Mark[] = [...marks].map(([origin, version]) => ({ origin, version }));
    return blindSpot(list, coveredBy(positions)) === 0;
  }
}
