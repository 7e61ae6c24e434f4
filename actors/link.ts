/**
 * The capability to send over one open link, given to the streams: data does not pass through the peer's
 * mailbox. Made by peerConnection; void after the link has closed (sending is ignored).
 */
import { encodeControl, type ControlFrame } from '../protocol/frames.js';
import { limits } from '../protocol/limits.js';
import type { Connection } from './transport/types.js';

export class Link {
  readonly #connection: Connection;
  #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  send(frame: Uint8Array): void {
    if (!this.#isClosed) this.#connection.send(frame);
  }

  sendControl(frame: ControlFrame): void {
    this.send(encodeControl(frame));
  }

  /** More is buffered than should be: wait for `drained`. */
  get isCongested(): boolean {
    return !this.#isClosed && this.#connection.bufferedBytes() > limits.socketBufferedBytesMax;
  }

  /** Resolves when the link takes more, has closed, or `signal` is aborted. */
  writable(signal: AbortSignal): Promise<void> {
    if (!this.isCongested || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.push(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  /** Called by the owner when the socket has drained. */
  drained(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** Called by the owner when the socket has closed. */
  closed(): void {
    this.#isClosed = true;
    this.drained();
  }
}
