/**
 * The dialling half of the WebSocket transport: one attempt, one Connection or one readable reason.
 * Called by webSocket.ts; decides nothing about retries.
 */
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import { messageOf } from '../../protocol/errors.js';
import type { Timers } from '../environment.js';
import type { Connection, Purpose, Transport } from './types.js';
import { WebSocketConnection, webSocketOptions } from './webSocketConnection.js';

/** Both ends must name the same one; a peer that does not is no Skein node of this protocol. */
export const SUBPROTOCOLS: Readonly<Record<Purpose, string>> = {
  replication: 'skein.replication.v1',
  operation: 'skein.operation.v1',
};

type DialOptions = Parameters<Transport['dial']>[1];

/** Rejects with an Error that says what failed: the URL, the network, the answer, the time or the caller. */
export const dialWebSocket = async (
  timers: Timers,
  url: string,
  options: DialOptions,
): Promise<Connection> => {
  const target = dialledUrl(url);
  if (options.signal.aborted) throw givenUp(target, options.signal);
  const { purpose = 'replication' } = options;
  const webSocket = new WebSocket(target, [SUBPROTOCOLS[purpose]], {
    ...webSocketOptions,
    followRedirects: false,
    ...local(options.localAddress),
  });
  const attempt = new Attempt(webSocket, purpose);
  const timer = timers.setTimer(options.timeoutMs, () =>
    attempt.fail(new Error(`connect to ${target.host} took longer than ${options.timeoutMs} ms`)),
  );
  const abort = (): void => attempt.fail(givenUp(target, options.signal));
  options.signal.addEventListener('abort', abort);
  try {
    return await attempt.outcome(timers);
  } finally {
    timers.clearTimer(timer);
    options.signal.removeEventListener('abort', abort);
  }
};

class Attempt {
  readonly #webSocket: WebSocket;
  readonly #purpose: Purpose;
  #reject: (error: Error) => void = () => undefined;

  constructor(webSocket: WebSocket, purpose: Purpose) {
    this.#webSocket = webSocket;
    this.#purpose = purpose;
  }

  /** The first outcome counts; the socket is let go whichever it is not. */
  fail(error: Error): void {
    this.#reject(error);
    this.#webSocket.terminate();
  }

  outcome(timers: Timers): Promise<Connection> {
    const webSocket = this.#webSocket;
    const purpose = this.#purpose;
    let socket: Socket | undefined;
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      webSocket.once('upgrade', (response) => (socket = response.socket));
      webSocket.once('open', () => {
        if (socket === undefined) throw new Error('ws opened a socket without an upgrade');
        resolve(new WebSocketConnection({ webSocket, socket, dialled: true, purpose, timers }));
      });
      webSocket.on('unexpected-response', (_request, response: IncomingMessage) => {
        readAnswer(response, (answer) => this.fail(new Error(answer)));
      });
      // Stays for the life of the socket; after the outcome it changes nothing any more.
      webSocket.on('error', (error) => reject(readable(error)));
    });
  }
}

const dialledUrl = (url: string): URL => {
  if (!URL.canParse(url)) throw new Error(`${JSON.stringify(url)} is no URL`);
  const target = new URL(url);
  if (target.protocol === 'wss:') {
    throw new Error(
      `cannot dial wss://${target.host}: TLS is not available yet, use ws:// on loopback`,
    );
  }
  if (target.protocol !== 'ws:') {
    throw new Error(
      `cannot dial ${target.protocol}//${target.host}: the URL has to begin with ws://`,
    );
  }
  target.hash = '';
  return target;
};

/** The other end takes our address for our name, so a node dials from its own. */
const local = (address: string | undefined): { localAddress?: string; family?: number } =>
  address === undefined ? {} : { localAddress: address, family: isIP(address) };

const givenUp = (target: URL, signal: AbortSignal): Error =>
  new Error(`connect to ${target.host} was given up`, { cause: signal.reason });

/** A host with several addresses fails with one error per address and no message of its own. */
const readable = (error: Error): Error =>
  error instanceof AggregateError && error.message === ''
    ? new Error(error.errors.map(messageOf).join('; '), { cause: error })
    : error;

const ANSWER_CHARACTERS_MAX = 256;

/** Status and the beginning of the text, without anything that could play tricks in a log. */
const readAnswer = (response: IncomingMessage, done: (answer: string) => void): void => {
  const from = `${response.socket.remoteAddress ?? 'the peer'}:${response.socket.remotePort ?? ''}`;
  const status = `${from} answered ${response.statusCode ?? 0} ${response.statusMessage ?? ''}`;
  let text = '';
  const finish = (): void =>
    done(`${status}${text === '' ? '' : ': '}${text}`.replaceAll(/\p{C}+/gu, ' ').trim());
  response.setEncoding('utf8');
  response.on('data', (more: string) => {
    text = (text + more).slice(0, ANSWER_CHARACTERS_MAX);
    if (text.length === ANSWER_CHARACTERS_MAX) finish();
  });
  response.on('end', finish);
  response.on('error', finish);
};
