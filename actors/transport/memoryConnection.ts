/**
 * One end of a link inside the process. Made in pairs by memory.ts. Each end has an inbox; its owner
 * is called from there in a later turn, never from within a call of either owner.
 *
 * Life as in webSocketConnection.ts: waiting (before `start`) -> running <-> paused -> leaving
 * (frames are dropped until the other end's answer) -> ended.
 */
import { nodeName } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import type { Timers } from '../environment.js';
import { CLOSE_ANSWER_MS_MAX, cutReason, UNANSWERED } from './closing.js';
import type { Closed, Connection, ConnectionHandlers, Proven, Purpose } from './types.js';

type Item =
  | { readonly kind: 'frame'; readonly bytes: Buffer }
  | { readonly kind: 'close'; readonly closed: Closed }
  | { readonly kind: 'answer'; readonly closed: Closed };

interface Network {
  readonly timers: Timers;
  readonly isBlocked: (from: string, to: string) => boolean;
  readonly ended: (end: MemoryConnection) => void;
}

const VANISHED: Closed = { code: 1006, reason: '' };

export class MemoryConnection implements Connection {
  readonly remoteAddress: string;
  readonly proven: Proven;
  readonly dialled: boolean;
  readonly purpose: Purpose;
  readonly #name: string;
  readonly #network: Network;
  #peer: MemoryConnection = this;
  #handlers: ConnectionHandlers | undefined;
  #inbox: Item[] = [];
  #inboxBytes = 0;
  #bytesMax: number = limits.greetingBytesMax;
  #scheduled = false;
  #paused = false;
  #leaving = false;
  #congested = false;
  /** The other end went without a word; known here once the way from there is free. */
  #deserted = false;
  #refusal: Closed | undefined;
  #ended: Closed | undefined;
  #unanswered: unknown;

  /** The dialling end first. */
  static pair(
    link: Network & { from: string; to: string; purpose: Purpose },
  ): [MemoryConnection, MemoryConnection] {
    const { from, to, purpose } = link;
    const dialled = new MemoryConnection(link, { name: from, remote: to, dialled: true, purpose });
    const accepted = new MemoryConnection(link, {
      name: to,
      remote: from,
      dialled: false,
      purpose,
    });
    dialled.#peer = accepted;
    accepted.#peer = dialled;
    return [dialled, accepted];
  }

  private constructor(
    network: Network,
    end: { name: string; remote: string; dialled: boolean; purpose: Purpose },
  ) {
    this.#network = network;
    this.#name = end.name;
    this.remoteAddress = end.remote;
    this.proven = { kind: 'address', name: nodeName(end.remote) };
    this.dialled = end.dialled;
    this.purpose = end.purpose;
  }

  start(handlers: ConnectionHandlers): void {
    if (this.#handlers !== undefined) throw new Error('a connection is started once');
    this.#handlers = handlers;
    if (this.#ended === undefined) this.proceed();
    else this.#tellClosed(this.#ended);
  }

  isOpen(): boolean {
    return !this.#leaving && this.#ended === undefined;
  }

  send(frame: Uint8Array): void {
    if (!this.isOpen()) return;
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    this.#peer.put({ kind: 'frame', bytes });
    if (this.bufferedBytes() > limits.socketBufferedBytesMax) this.#congested = true;
  }

  bufferedBytes(): number {
    return this.#ended === undefined ? this.#peer.untakenBytes() : 0;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.proceed();
  }

  acceptFrames(bytesMax: number): void {
    this.#bytesMax = bytesMax;
  }

  close(code: number, reason: string): void {
    if (this.#leaving || this.#ended !== undefined) return;
    this.#leaving = true;
    this.#peer.put({ kind: 'close', closed: { code, reason: cutReason(reason) } });
    this.#unanswered = this.#network.timers.setTimer(CLOSE_ANSWER_MS_MAX, () => {
      this.#end(UNANSWERED);
      this.#peer.desert();
    });
    this.proceed();
  }

  terminate(): void {
    if (this.#ended !== undefined) return;
    this.#end(VANISHED);
    this.#peer.desert();
  }

  /** From the other end. */
  put(item: Item): void {
    if (this.#ended !== undefined) return;
    this.#inbox.push(item);
    if (item.kind === 'frame') this.#inboxBytes += item.bytes.length;
    this.proceed();
  }

  /** The other end has taken a frame of ours. */
  taken(): void {
    if (!this.#congested || this.#leaving || this.#handlers === undefined) return;
    if (this.#ended !== undefined || this.bufferedBytes() >= limits.socketBufferedBytesMax / 2)
      return;
    this.#congested = false;
    this.#handlers.drained();
  }

  /** The other end has gone without a word. */
  desert(): void {
    this.#deserted = true;
    this.proceed();
  }

  /** What the other end has sent and this one has not taken. */
  untakenBytes(): number {
    return this.#inboxBytes;
  }

  /** The link is gone: this end ends with 1006. */
  vanish(): void {
    this.#end(VANISHED);
  }

  joins(a: string, b: string): boolean {
    return (
      (this.#name === a && this.remoteAddress === b) ||
      (this.#name === b && this.remoteAddress === a)
    );
  }

  /** Something that held the inbox up may be gone: look again in a later turn. */
  proceed(): void {
    if (this.#scheduled || this.#ended !== undefined) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#takeBatch();
    });
  }

  /** What was there when the turn began; what came since has its own turn, so nobody starves. */
  #takeBatch(): void {
    if (this.#deserted && !this.#isBlocked()) this.#end(VANISHED);
    for (let left = this.#inbox.length; left > 0 && this.#mayTake(); left -= 1) {
      const item = this.#inbox.shift();
      if (item !== undefined) this.#take(item);
    }
    if (this.#inbox.length > 0 && this.#mayTake()) this.proceed();
  }

  #isBlocked(): boolean {
    return this.#network.isBlocked(this.remoteAddress, this.#name);
  }

  #mayTake(): boolean {
    if (this.#ended !== undefined || this.#isBlocked()) return false;
    return this.#leaving || (this.#handlers !== undefined && !this.#paused);
  }

  #take(item: Item): void {
    if (item.kind === 'frame') {
      this.#inboxBytes -= item.bytes.length;
      this.#takeFrame(item.bytes);
      this.#peer.taken();
      return;
    }
    this.#end(this.#refusal ?? item.closed);
    if (item.kind === 'close') this.#peer.put({ kind: 'answer', closed: item.closed });
  }

  #takeFrame(bytes: Buffer): void {
    if (this.#leaving) return;
    if (bytes.length <= this.#bytesMax) {
      this.#handlers?.frame(bytes);
      return;
    }
    this.#refusal = { code: 1009, reason: 'Max payload size exceeded' };
    this.close(1009, '');
  }

  #end(closed: Closed): void {
    if (this.#ended !== undefined) return;
    this.#ended = closed;
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.#network.timers.clearTimer(this.#unanswered);
    this.#network.ended(this);
    this.#tellClosed(closed);
  }

  #tellClosed(closed: Closed): void {
    const handlers = this.#handlers;
    if (handlers !== undefined) setImmediate(() => handlers.closed(closed));
  }
}
