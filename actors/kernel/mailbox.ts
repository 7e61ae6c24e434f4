/**
 * The messages waiting for one actor: two bounded lanes, control before data, each first in, first out.
 * Used by place.ts alone. It decides nothing about refused or left-over messages: the place does.
 */
import type { PendingAsk } from './ask.js';
import type { Lane, Message } from './types.js';

/** A message and, when it came from `ask` and is unanswered, the question it carries. */
export interface Envelope {
  readonly message: Message;
  readonly ask: PendingAsk | undefined;
}

export interface MailboxBounds {
  readonly controlMax: number;
  readonly dataMax: number;
}

export class Mailbox {
  readonly #control = new Fifo<Envelope>();
  readonly #data = new Fifo<Envelope>();
  readonly #bounds: MailboxBounds;

  constructor(bounds: MailboxBounds) {
    this.#bounds = bounds;
  }

  get waiting(): { readonly control: number; readonly data: number } {
    return { control: this.#control.length, data: this.#data.length };
  }

  get isEmpty(): boolean {
    return this.#control.length === 0 && this.#data.length === 0;
  }

  /** False when the lane is full; the message is then not taken. */
  push(envelope: Envelope, lane: Lane): boolean {
    const [queue, max] =
      lane === 'control'
        ? [this.#control, this.#bounds.controlMax]
        : [this.#data, this.#bounds.dataMax];
    if (queue.length >= max) return false;
    queue.push(envelope);
    return true;
  }

  shift(): Envelope | undefined {
    return this.#control.shift() ?? this.#data.shift();
  }
}

/** Taken slots before the array is cut: makes `shift` constant time on average. */
const CUT_AFTER = 1_024;

class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head >= CUT_AFTER && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
