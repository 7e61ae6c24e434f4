/**
 * A peer that can misbehave: a WebSocket client that says any bytes to a replication port, inside
 * messages or between them, and reports what it heard and how it was closed. For tests only; the real
 * dialling side is actors/transport/webSocketDial.ts.
 */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { MIB } from '../../protocol/limits.js';
import { reset } from './reset.js';

export interface RawPeer {
  /** Every binary or text message so far, in order. */
  readonly received: readonly Buffer[];
  /** Settles when the connection is over. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** The next message not yet asked for. Rejects when the connection ends first. */
  next(): Promise<Buffer>;
  send(message: Uint8Array): void;
  sendText(text: string): void;
  /** Bytes on the TCP connection, outside of any message: a broken frame, garbage. */
  sendRaw(bytes: Uint8Array): void;
  /** Stops and starts reading. */
  pause(): void;
  resume(): void;
  close(code?: number, reason?: string): void;
  /** Ends the TCP connection with FIN, without a close frame. */
  finish(): void;
  /** Ends it with RST. */
  reset(): void;
}

export interface RawPeerOptions {
  /** Default: the one every node offers. `[]`: none. */
  readonly subprotocols?: readonly string[];
  readonly localAddress?: string;
  readonly headers?: Record<string, string>;
  readonly perMessageDeflate?: boolean;
  /** For wss:// URLs. */
  readonly rejectUnauthorized?: boolean;
  readonly cert?: string;
  readonly key?: string;
}

/** Rejects when the handshake is refused, with ws's message (`Unexpected server response: 400`). */
export const openRawPeer = async (url: string, options: RawPeerOptions = {}): Promise<RawPeer> => {
  const { subprotocols = ['skein.replication.v1'], perMessageDeflate = false, ...rest } = options;
  const webSocket = new WebSocket(url, [...subprotocols], {
    ...rest,
    perMessageDeflate,
    maxPayload: 512 * MIB,
    skipUTF8Validation: true,
  });
  return new Promise((resolve, reject) => {
    let socket: Socket | undefined;
    webSocket.once('upgrade', (response) => (socket = response.socket));
    webSocket.once('open', () => {
      if (socket !== undefined) resolve(rawPeer(webSocket, socket));
    });
    // Stays: a peer that misbehaves earns errors, which `closed` reports as 1006.
    webSocket.on('error', reject);
  });
};

const rawPeer = (webSocket: WebSocket, socket: Socket): RawPeer => {
  const received: Buffer[] = [];
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    webSocket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  webSocket.on('message', (message) => {
    if (Buffer.isBuffer(message)) received.push(message);
  });
  let asked = 0;
  return {
    received,
    closed,
    next: () => nextMessage({ webSocket, received, index: asked++ }),
    send: (message) => webSocket.send(message),
    sendText: (text) => webSocket.send(text),
    sendRaw: (bytes) => void socket.write(bytes),
    pause: () => webSocket.pause(),
    resume: () => webSocket.resume(),
    close: (code, reason) => webSocket.close(code, reason),
    finish: () => void socket.end(),
    reset: () => reset(socket),
  };
};

const nextMessage = (wanted: {
  readonly webSocket: WebSocket;
  readonly received: readonly Buffer[];
  readonly index: number;
}): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const { webSocket, received, index } = wanted;
    const look = (): void => {
      const message = received[index];
      if (message === undefined) return;
      stop();
      resolve(message);
    };
    const ended = (code: number, reason: Buffer): void => {
      stop();
      reject(new Error(`closed with ${code} ${reason.toString()} instead of message ${index}`));
    };
    const stop = (): void => {
      webSocket.off('message', look);
      webSocket.off('close', ended);
    };
    webSocket.on('message', look);
    webSocket.on('close', ended);
    look();
    if (webSocket.readyState === WebSocket.CLOSED) ended(1006, Buffer.from('before'));
  });
