/**
 * The dialling half of the WebSocket transport: one attempt, one Connection or one readable reason.
 * Called by webSocket.ts; decides nothing about retries.
 */
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { connect, type ConnectionOptions, type PeerCertificate, type TLSSocket } from 'node:tls';
import { WebSocket, type ClientOptions } from 'ws';
import { messageOf } from '../../protocol/errors.js';
import { identityProblem } from '../../security/identity.js';
import type { Timers } from '../environment.js';
import { explain } from './proven.js';
import type { SecureContexts } from './secureContexts.js';
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
  { timers, contexts }: { timers: Timers; contexts: SecureContexts | null },
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
    ...(target.protocol === 'wss:' && secured(contexts, target, options)),
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
  if (target.protocol !== 'ws:' && target.protocol !== 'wss:') {
    throw new Error(
      `cannot dial ${target.protocol}//${target.host}: the URL has to begin with ws:// or wss://`,
    );
  }
  target.hash = '';
  return target;
};

/** The chain is judged by OpenSSL, the names by us: a name is expected, wherever the URL leads. */
const secured = (
  contexts: SecureContexts | null,
  target: URL,
  { expected, verifyTls = true }: DialOptions,
): Pick<ClientOptions, 'createConnection'> => {
  if (contexts === null || expected === undefined)
    throw new Error(`cannot dial ${target.href}: this node has no TLS, set replication.securePort`);
  const settings: ConnectionOptions = {
    secureContext: contexts.dialContext(target.href, verifyTls),
    servername: isIP(expected) === 0 ? expected : '',
    rejectUnauthorized: verifyTls,
    checkServerIdentity: (_host: string, shown: PeerCertificate) => {
      const problem = identityProblem(new X509Certificate(shown.raw), expected);
      return problem === undefined ? undefined : new Error(problem);
    },
  };
  const createConnection = (options: ConnectionOptions): TLSSocket => {
    // To tls the path of a request would be that of a Unix socket.
    const { path: _path, ...to } = options;
    return connect({ ...to, ...settings });
  };
  // ws calls it with options alone; its types want every other form of net.createConnection as well.
  return { createConnection } as unknown as Pick<ClientOptions, 'createConnection'>;
};

/** The other end takes our address for our name, so a node dials from its own. */
const local = (address: string | undefined): { localAddress?: string; family?: number } =>
  address === undefined ? {} : { localAddress: address, family: isIP(address) };

const givenUp = (target: URL, signal: AbortSignal): Error =>
  new Error(`connect to ${target.host} was given up`, { cause: signal.reason });

/** A host with several addresses fails with one error per address and no message of its own. */
const readable = (error: Error): Error => {
  if (error instanceof AggregateError && error.message === '')
    return new Error(error.errors.map(messageOf).join('; '), { cause: error });
  const code = 'code' in error ? String(error.code) : '';
  const meaning = explain(code);
  if (meaning === code) return error;
  return new Error(`the certificate of the other end is not trusted: ${meaning}`, { cause: error });
};

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
