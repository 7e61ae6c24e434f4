/** What came out of comparing: how often each claim was compared, and each lie. Filled by statusTruth.ts; judges nothing. */
import { CLAIMS, type Claim, type Judged } from './statusTruthClaims.js';
import { FAULTS, type FaultKind } from './statusTruthParts.js';

export interface Lie {
  readonly comparison: number;
  readonly claim: Claim;
  readonly fault: FaultKind;
  readonly observer: string;
  readonly peer: string;
  readonly database: string;
  readonly lie: string;
  /** What was true, as far as the bench knows, and all of what the observer said. */
  readonly truth: unknown;
  readonly status: unknown;
}

export interface Truths {
  readonly comparisons: number;
  readonly writes: number;
  /** Claims compared, per kind of claim and of fault. */
  readonly counts: ReadonlyMap<Claim, ReadonlyMap<FaultKind, number>>;
  /** Comparisons per kind of fault. */
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly lies: readonly Lie[];
  /** How long the round trips took, in ms, ascending. */
  readonly roundTripsMs: readonly number[];
}

/** Fills up while a run goes on. */
export class TruthRecord implements Truths {
  comparisons = 0;
  writes = 0;
  readonly counts = new Map(
    CLAIMS.map((claim) => [claim, new Map(FAULTS.map((fault) => [fault, 0]))]),
  );
  readonly faults = new Map(FAULTS.map((fault) => [fault, 0]));
  readonly lies: Lie[] = [];
  readonly #roundTripsMs: number[] = [];
  readonly #told: (lie: Lie) => void;

  constructor(told: (lie: Lie) => void) {
    this.#told = told;
  }

  get roundTripsMs(): readonly number[] {
    return this.#roundTripsMs.toSorted((a, b) => a - b);
  }

  roundTrip(ms: number): void {
    this.#roundTripsMs.push(ms);
  }

  note({ judged, ...of }: Omit<Lie, 'claim' | 'lie'> & { judged: Judged }): void {
    const { claim, lie } = judged;
    const counts = this.counts.get(claim);
    counts?.set(of.fault, (counts.get(of.fault) ?? 0) + 1);
    if (lie === undefined) return;
    const whole = { ...of, claim, lie };
    this.lies.push(whole);
    this.#told(whole);
  }
}
