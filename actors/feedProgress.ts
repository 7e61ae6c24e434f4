/**
 * How a subscriber comes on: what it has not acknowledged and since when, and how often sending had to wait. Fed by the
 * tableSubscription that serves it, read for cluster_status. An acknowledgement means committed there; what lies in a
 * socket counts as missing.
 */
import {
  backPressurePercent,
  noBackPressure,
  stepBackPressure,
  type BackPressure,
} from '../protocol/backPressure.js';
import type { OriginPosition, Want } from '../protocol/frames.js';
import { sequence, version, type OriginId } from '../protocol/ids.js';
import {
  startStanding,
  stepStanding,
  type Compared,
  type StreamStanding,
} from '../protocol/standing.js';
import type { FeedOpening, FeedStatus } from './messages.js';

type Held = NonNullable<Compared['held']>;

export class FeedProgress {
  readonly #now: () => number;
  readonly #own: OriginId;
  readonly #log: Map<OriginId, OriginPosition>;
  /** Per origin the subscriber takes from here, how far it has got. */
  readonly #confirmed = new Map<OriginId, Held>();
  #standing: StreamStanding;
  #pressure: BackPressure = noBackPressure;
  #copyMovedMs: number;

  constructor(opening: Pick<FeedOpening, 'origin' | 'positions'>, now: () => number) {
    this.#now = now;
    this.#own = opening.origin;
    this.#log = new Map(opening.positions.map((position) => [position.origin, position]));
    this.#standing = startStanding(now());
    this.#copyMovedMs = now();
    // Where there is something of this node's own, the stream is open when the subscriber has asked for it. Else the
    // first of it will be missing there before it is asked for.
    if (this.#log.has(this.#own)) return;
    this.#confirmed.set(this.#own, { sequence: sequence(0), version: version(0) });
    this.#open();
  }

  /** What the subscriber takes elsewhere is no concern of this stream; this node's own writes always are. */
  wanted(add: readonly Want[], drop: readonly OriginId[]): void {
    for (const origin of drop) if (origin !== this.#own) this.#confirmed.delete(origin);
    for (const { origin, after } of add) {
      const held = this.#confirmed.get(origin);
      if (held?.sequence !== after)
        this.#confirmed.set(origin, { sequence: after, version: version(0) });
    }
    if (this.#standing.isOpen) this.#compare([...drop, ...add.map(({ origin }) => origin)]);
    else if (add.length > 0) this.#open();
  }

  /** An entry is being sent: if it is the first that is missing, its age is that of what is missing. */
  sent({ origin, sequence: first, version: written }: OriginPosition): void {
    const held = this.#confirmed.get(origin);
    if (held && held.sequence + 1 === first)
      this.#step({ type: 'dated', origin, version: written });
  }

  acknowledged(positions: readonly OriginPosition[]): void {
    for (const { origin, ...reached } of positions) {
      const held = this.#confirmed.get(origin);
      if (held && held.sequence <= reached.sequence) this.#confirmed.set(origin, reached);
    }
    this.#compare(positions.map(({ origin }) => origin));
  }

  advanced(positions: readonly OriginPosition[]): void {
    for (const position of positions) this.#log.set(position.origin, position);
    this.#compare(positions.map(({ origin }) => origin));
  }

  /** It cannot be had from here. */
  tooOld(origin: OriginId): void {
    this.#confirmed.delete(origin);
    this.#compare([origin]);
  }

  /** A copy was asked for, or rows of it were sent. */
  copyMoved(): void {
    this.#copyMovedMs = this.#now();
  }

  paused(isPaused: boolean): void {
    this.#pressure = stepBackPressure(this.#pressure, isPaused, this.#now());
  }

  status(
    isCopying: boolean,
  ): Pick<FeedStatus, 'sending' | 'copyMovedMs' | 'backPressurePercent' | 'nowMs'> {
    const nowMs = this.#now();
    return {
      sending: this.#standing,
      copyMovedMs: isCopying ? this.#copyMovedMs : null,
      backPressurePercent: backPressurePercent(this.#pressure, nowMs),
      nowMs,
    };
  }

  #open(): void {
    this.#step({ type: 'opened', places: this.#places(this.#confirmed.keys()) });
  }

  #compare(origins: Iterable<OriginId>): void {
    if (this.#standing.isOpen) this.#step({ type: 'compared', places: this.#places(origins) });
  }

  #step(event: Parameters<typeof stepStanding>[1]): void {
    this.#standing = stepStanding(this.#standing, event, this.#now());
  }

  /** Of what is not wanted nothing is missing. */
  #places(origins: Iterable<OriginId>): Compared[] {
    return [...origins].flatMap((origin) => {
      const told = this.#log.get(origin);
      return told ? [{ origin, told, held: this.#confirmed.get(origin) ?? told }] : [];
    });
  }
}
