/**
 * One direction of one link through linkProxy.ts: reads a chunk, passes it on as the flow allows,
 * reads the next. While it holds a chunk it does not read, so TCP pushes back on the sender.
 */
import type { Socket } from 'node:net';
import { reset } from './reset.js';

export interface Flow {
  isHeld(): boolean;
  bytesPerSecond(): number;
  /** Told before bytes are passed; answers how many of them may. */
  admit(bytes: number): number;
  /** Told after the admitted bytes were handed to the operating system. */
  passed(): void;
}

/** A slowed flow passes this often. */
const STEPS_PER_SECOND = 20;

export class Pump {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #flow: Flow;
  #chunk: Buffer = Buffer.alloc(0);
  #ended = false;
  #busy = false;

  constructor(ends: { readonly from: Socket; readonly to: Socket }, flow: Flow) {
    this.#from = ends.from;
    this.#to = ends.to;
    this.#flow = flow;
    ends.from.on('data', (chunk: Buffer) => {
      ends.from.pause();
      this.#chunk = chunk;
      this.proceed();
    });
    ends.from.once('end', () => {
      this.#ended = true;
      this.proceed();
    });
    // A reset (or a refusal) on one side is one on the other; a plain close has had its `end`.
    ends.from.on('error', () => reset(ends.to));
    ends.from.once('close', () => this.#proceedToEnd());
  }

  /** Passes on what may pass now. */
  proceed(): void {
    if (this.#busy || this.#flow.isHeld() || this.#to.destroyed) return;
    if (this.#chunk.length > 0) this.#passPiece();
    else if (this.#ended) this.#to.end();
    else this.#from.resume();
  }

  #passPiece(): void {
    const rate = this.#flow.bytesPerSecond();
    const wanted = Math.min(this.#chunk.length, Math.max(1, Math.floor(rate / STEPS_PER_SECOND)));
    const piece = this.#chunk.subarray(0, this.#flow.admit(wanted));
    this.#chunk = this.#chunk.subarray(piece.length);
    this.#busy = true;
    this.#to.write(piece, (error) => {
      if (error) return;
      this.#flow.passed();
      if (rate === Infinity) this.#next();
      else setTimeout(() => this.#next(), (piece.length / rate) * 1000);
    });
  }

  #next(): void {
    this.#busy = false;
    this.proceed();
  }

  /** The source is closed without an `end` (a proxy that is closing): so is the other side. */
  #proceedToEnd(): void {
    if (!this.#ended) this.#to.destroy();
  }
}
