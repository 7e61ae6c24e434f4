/**
 * One open WebSocket as a Connection. Made by webSocket.ts for accepted and dialled sockets alike,
 * used by whoever drives the link. Knows nothing of addresses, requests or what is in a frame.
 *
 * Life: waiting (paused, before `start`) -> running <-> paused -> leaving (we closed, or the peer
 * broke the protocol: frames are dropped) -> ended. `closed` is told once, after all frames before it.
 */
import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import { limits } from '../../protocol/limits.js';
import type { Timers } from '../environment.js';
import { canonicalAddress } from './addresses.js';
import { provenBy } from './proven.js';
import { CLOSE_ANSWER_MS_MAX, cutReason, UNANSWERED } from './closing.js';
import type { Closed, Connection, ConnectionHandlers, Proven, Purpose } from './types.js';

/** Chunks smaller than this on average fill a message's share of buffered chunks before its bytes. */
const CHUNK_BYTES_MIN = 64;

/**
 * What ws is told on both ends. Ours never compress (a fortyfold amplifier for the sender, measured
 * eighty times slower) and never fragment; large messages are let in by `acceptFrames`.
 */
export const webSocketOptions = {
  perMessageDeflate: false,
  skipUTF8Validation: true,
  maxFragments: 16,
  maxPayload: limits.greetingBytesMax,
  maxBufferedChunks: limits.greetingBytesMax / CHUNK_BYTES_MIN,
  closeTimeout: CLOSE_ANSWER_MS_MAX,
} as const;

export class WebSocketConnection implements Connection {
  readonly remoteAddress: string;
  readonly proven: Proven;
  readonly dialled: boolean;
  readonly purpose: Purpose;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #timers: Timers;
  #handlers: ConnectionHandlers | undefined;
  /** Frames of a chunk that was read before a pause: never more than one chunk's worth. */
  #waiting: Buffer[] = [];
  #paused = false;
  #leaving = false;
  #congested = false;
  /** What is told in place of a bare 1006. */
  #cause: Closed | undefined;
  #ended: Closed | undefined;
  #told = false;

  /** `webSocket` is open since this very tick, so that nothing has been read from it yet. */
  constructor(parts: {
    webSocket: WebSocket;
    socket: Socket;
    dialled: boolean;
    purpose: Purpose;
    timers: Timers;
  }) {
    this.#webSocket = parts.webSocket;
    this.#socket = parts.socket;
    this.#timers = parts.timers;
    this.dialled = parts.dialled;
    this.purpose = parts.purpose;
    this.remoteAddress = canonicalAddress(parts.socket.remoteAddress ?? '');
    this.proven = provenBy(parts.socket, this.remoteAddress);
    this.#webSocket.pause();
    this.#listen();
  }

  start(handlers: ConnectionHandlers): void {
    if (this.#handlers !== undefined) throw new Error('a connection is started once');
    this.#handlers = handlers;
    this.#continue();
  }

  isOpen(): boolean {
    return !this.#leaving && this.#webSocket.readyState === this.#webSocket.OPEN;
  }

  send(frame: Uint8Array): void {
    if (!this.isOpen()) return;
    this.#webSocket.send(frame, this.#written);
    if (this.bufferedBytes() > limits.socketBufferedBytesMax) this.#congested = true;
  }

  bufferedBytes(): number {
    return this.#ended === undefined ? this.#webSocket.bufferedAmount : 0;
  }

  pause(): void {
    if (this.#leaving) return;
    this.#paused = true;
    this.#webSocket.pause();
  }

  resume(): void {
    if (this.#leaving) return;
    this.#paused = false;
    this.#continue();
  }

  acceptFrames(bytesMax: number): void {
    if (this.#ended === undefined && !raiseLimits(this.#webSocket, bytesMax)) {
      this.close(1011, 'the installed release of ws cannot raise its message limit');
    }
  }

  close(code: number, reason: string): void {
    if (this.#leaving || this.#ended !== undefined) return;
    this.#leave(UNANSWERED);
    this.#webSocket.close(code, cutReason(reason));
    // The answer has to be read even if nothing else is.
    this.#webSocket.resume();
  }

  terminate(): void {
    this.#leave({ code: 1006, reason: '' });
    this.#webSocket.terminate();
  }

  #listen(): void {
    this.#webSocket.on('message', (data, isBinary) => this.#received(data, isBinary));
    this.#webSocket.on('error', (error) => this.#leave(protocolFailure(error)));
    this.#webSocket.on('close', (code, reason) => {
      const said = { code, reason: reason.toString() };
      this.#ended = code === 1006 ? (this.#cause ?? said) : said;
      this.#deliver();
    });
    this.#socket.on('error', (error) => {
      this.#cause = { code: 1006, reason: error.message };
    });
    this.#socket.on('end', () => this.#cutOffUnlessClosed());
  }

  /** After the other end's last byte our own may stay stuck behind what it does not read. */
  #cutOffUnlessClosed(): void {
    const timer = this.#timers.setTimer(CLOSE_ANSWER_MS_MAX, () => this.#socket.destroy());
    this.#socket.once('close', () => this.#timers.clearTimer(timer));
  }

  #leave(cause: Closed): void {
    this.#leaving = true;
    this.#waiting = [];
    this.#cause = cause;
  }

  #received(data: RawData, isBinary: boolean): void {
    if (this.#leaving) return;
    if (!isBinary || !Buffer.isBuffer(data)) {
      this.close(1003, 'this protocol has binary messages only');
      return;
    }
    this.#waiting.push(data);
    this.#deliver();
  }

  /** Later in this tick: handlers are never called from within a call of their owner. */
  #continue(): void {
    queueMicrotask(() => this.#deliver());
    if (!this.#paused) this.#webSocket.resume();
  }

  #deliver(): void {
    const handlers = this.#handlers;
    if (handlers === undefined) return;
    while (!this.#paused || this.#ended !== undefined) {
      const frame = this.#waiting.shift();
      if (frame === undefined) break;
      handlers.frame(frame);
    }
    if (this.#ended === undefined || this.#told) return;
    this.#told = true;
    handlers.closed(this.#ended);
  }

  readonly #written = (error?: Error | null): void => {
    if (error || !this.#congested || this.#leaving || this.#handlers === undefined) return;
    if (this.bufferedBytes() >= limits.socketBufferedBytesMax / 2) return;
    this.#congested = false;
    this.#handlers.drained();
  };
}

/**
 * ws fixes its limits when the socket opens and has no public way to raise them. Only its receiver
 * refuses a message by its declared length, before memory is spent on it, so the greeting's limit is
 * set there first and raised here. False: the receiver does not look as expected, nothing is changed.
 */
const raiseLimits = (webSocket: WebSocket, bytesMax: number): boolean => {
  const receiver: unknown = Reflect.get(webSocket, '_receiver');
  if (typeof receiver !== 'object' || receiver === null) return false;
  const raised = { _maxPayload: bytesMax, _maxBufferedChunks: bytesMax / CHUNK_BYTES_MIN };
  const known = Object.keys(raised).every(
    (name) => typeof Reflect.get(receiver, name) === 'number',
  );
  if (known) Object.assign(receiver, raised);
  return known;
};

const CODE_OF_FAILURE: Readonly<Record<string, number>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
};

/** What ws has just closed the connection with, and why. */
const protocolFailure = (error: Error): Closed => {
  const name = 'code' in error ? String(error.code) : '';
  return { code: CODE_OF_FAILURE[name] ?? 1002, reason: error.message };
};
