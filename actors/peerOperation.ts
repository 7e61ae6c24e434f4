/**
 * One operation between two nodes, on a connection of its own: asking (operations that need another node) and answering
 * (cluster, for connections the listener accepted). Whoever answers decides who may ask; links are not concerned.
 */
import type { Logger } from 'pino';
import { asText, messageOf, SkeinError } from '../protocol/errors.js';
import { decodeControl, encodeControl, type ControlFrame } from '../protocol/frames.js';
import type { NodeName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import { lapse } from './admission.js';
import type { Timers } from './environment.js';
import type { NodeResources } from './resources.js';
import { addressToDialFrom } from './transport/addresses.js';
import { refuseConnection } from './transport/closing.js';
import { provenNames } from './transport/proven.js';
import type { Closed, Connection, Proven } from './transport/types.js';

/** No answer: the dial failed, the connection ended before the answer, or the time is over. The message says which. */
export class PeerUnreachable extends Error {
  override readonly name = 'PeerUnreachable';
}

/** The other node has answered with an error; `code` and `message` are its own. */
export class PeerRefused extends Error {
  override readonly name = 'PeerRefused';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Resolves with the answer of the node `name` at `url`. Rejects with PeerUnreachable or PeerRefused, within
 * limits.peerOperationMsMax.
 */
export const callPeer = async (parts: {
  resources: NodeResources;
  name: NodeName;
  url: string;
  /** False, for this one question: with TLS, whoever is there is believed. */
  verifyTls?: boolean;
  operation: Record<string, unknown>;
  authorization?: string;
  signal: AbortSignal;
}): Promise<Record<string, unknown>> => {
  const { operation, authorization, signal } = parts;
  const { config, environment } = parts.resources;
  const id = 1;
  const question = encodeControl({
    kind: 'Operation',
    id,
    operation,
    ...(authorization !== undefined && { authorization }),
  });
  const startedMs = environment.now();
  const connection = await dial(parts);
  await refuseRevoked(connection, parts);
  connection.acceptFrames(config.replication.maxPayloadBytes);
  const dialMs = Math.max(0, environment.now() - startedMs);
  const timeoutMs = Math.max(0, limits.peerOperationMsMax - dialMs);
  return answerOf({ connection, question, id, signal, timeoutMs, timers: environment });
};

const dial = async (parts: {
  resources: NodeResources;
  name: NodeName;
  url: string;
  verifyTls?: boolean;
  signal: AbortSignal;
}): Promise<Connection> => {
  const { resources, name, url, verifyTls = true, signal } = parts;
  const localAddress = addressToDialFrom(resources.config.node.name);
  try {
    return await resources.transport.dial(url, {
      signal,
      timeoutMs: limits.greetingMsMax,
      purpose: 'operation',
      expected: name,
      verifyTls,
      ...(localAddress !== undefined && { localAddress }),
    });
  } catch (error) {
    throw new PeerUnreachable(messageOf(error), { cause: error });
  }
};

/** Before anything is said, credentials least of all. */
const refuseRevoked = async (
  connection: Connection,
  parts: { resources: NodeResources; name: NodeName; verifyTls?: boolean },
): Promise<void> => {
  const { proven } = connection;
  const { resources, name, verifyTls = true } = parts;
  const { trust, environment, log } = resources;
  if (!verifyTls || proven.kind !== 'certificate') return;
  const reason =
    lapse(proven, name, { isRevoked: trust.isRevoked, nowMs: environment.now() }) ??
    (await trust.revocation.check(proven.certificate, log.child({ peer: name })));
  if (reason === undefined) return;
  refuseConnection(connection, { code: 1008, reason });
  throw new PeerUnreachable(reason);
};

/** The first outcome counts and ends the connection. */
const answerOf = (call: {
  connection: Connection;
  question: Buffer;
  id: number;
  signal: AbortSignal;
  timeoutMs: number;
  timers: Timers;
}): Promise<Record<string, unknown>> => {
  const { connection, question, id, signal, timeoutMs, timers } = call;
  return new Promise((resolve, reject) => {
    const end = (code: number, reason: string): void => {
      timers.clearTimer(timer);
      signal.removeEventListener('abort', abort);
      connection.close(code, reason);
    };
    const fail = (code: number, reason: string): void => {
      end(code, reason);
      reject(new PeerUnreachable(reason));
    };
    const abort = (): void => fail(1001, 'the question was withdrawn');
    const timer = timers.setTimer(timeoutMs, () => fail(1011, `no answer within ${timeoutMs} ms`));
    signal.addEventListener('abort', abort);
    connection.start({
      frame: (bytes) => {
        const answer = readAnswer(bytes, id);
        if (answer instanceof PeerUnreachable) return fail(1008, answer.message);
        end(1000, 'answered');
        if (answer instanceof PeerRefused) reject(answer);
        else resolve(answer);
      },
      closed: (closed) => fail(1000, `closed before an answer: ${saidAtEnd(closed)}`),
      drained: () => undefined,
    });
    connection.send(question);
    if (signal.aborted) abort();
  });
};

const readAnswer = (
  bytes: Buffer,
  id: number,
): Record<string, unknown> | PeerRefused | PeerUnreachable => {
  const frame = read(bytes);
  if (frame instanceof Error) return new PeerUnreachable(frame.message, { cause: frame });
  if (frame.kind !== 'OperationResult' || frame.id !== id)
    return new PeerUnreachable(`expected the answer, received ${frame.kind}`);
  if (frame.error) return new PeerRefused(frame.error.code, frame.error.message);
  return frame.answer ? { ...frame.answer } : new PeerUnreachable('the answer is empty');
};

const saidAtEnd = ({ code, reason }: Closed): string => reason || `code ${code}`;

export type RunPeerOperation = (request: {
  operation: Record<string, unknown>;
  /** As it was sent, unchecked. */
  authorization?: string;
  /** Who the other end is, as far as the transport can tell. */
  proven: Proven;
  /** Where the connection comes from. */
  address: string;
}) => Promise<Record<string, unknown>>;

/**
 * Reads one operation, runs it, answers, closes. Resolves when all of it is over, `run` included unless that takes longer
 * than limits.peerOperationMsMax. Never rejects: what goes wrong is answered, or is the reason of the close.
 */
export const servePeerOperation = (
  connection: Connection,
  run: RunPeerOperation,
  parts: { environment: Timers; log: Logger },
): Promise<void> => new ServedOperation(connection, run, parts).over;

/** For the other end this is the same as not being reached: it may try again. */
export const refuseOperation = (connection: Connection, reason: string): void =>
  refuseConnection(connection, { code: 1013, reason });

type Outcome =
  | { readonly answer: Record<string, unknown> }
  | { readonly error: { readonly code: string; readonly message: string } };

class ServedOperation {
  readonly over: Promise<void>;
  readonly #connection: Connection;
  readonly #run: RunPeerOperation;
  readonly #timers: Timers;
  readonly #log: Logger;
  readonly #questionDeadline: unknown;
  readonly #answerDeadline: unknown;
  #isAsked = false;
  #isClosed = false;
  #finish: () => void = () => undefined;

  constructor(
    connection: Connection,
    run: RunPeerOperation,
    parts: { environment: Timers; log: Logger },
  ) {
    this.#connection = connection;
    this.#run = run;
    this.#timers = parts.environment;
    this.#log = parts.log;
    this.over = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#questionDeadline = this.#deadline(limits.greetingMsMax, 'no operation');
    this.#answerDeadline = this.#deadline(limits.peerOperationMsMax, 'no answer');
    connection.start({
      frame: (bytes) => this.#receive(bytes),
      closed: () => this.#end(1000, ''),
      drained: () => undefined,
    });
  }

  #deadline(afterMs: number, missing: string): unknown {
    return this.#timers.setTimer(afterMs, () => {
      this.#end(1011, `${missing} within ${afterMs} ms`);
      this.#settle();
    });
  }

  #settle(): void {
    this.#timers.clearTimer(this.#questionDeadline);
    this.#timers.clearTimer(this.#answerDeadline);
    this.#finish();
  }

  #receive(bytes: Buffer): void {
    if (this.#isClosed) return;
    if (this.#isAsked) return this.#end(1008, 'one operation per connection');
    const frame = read(bytes);
    if (frame instanceof Error) return this.#end(1008, frame.message);
    if (frame.kind !== 'Operation')
      return this.#end(1008, `expected Operation first, received ${frame.kind}`);
    this.#isAsked = true;
    this.#timers.clearTimer(this.#questionDeadline);
    void this.#answer(frame).then(() => this.#settle());
  }

  async #answer(frame: Extract<ControlFrame, { kind: 'Operation' }>): Promise<void> {
    const outcome = await this.#outcome(frame);
    if (this.#isClosed) return;
    this.#connection.send(this.#encoded(frame.id, outcome));
    this.#end(1000, 'answered');
  }

  async #outcome(frame: Extract<ControlFrame, { kind: 'Operation' }>): Promise<Outcome> {
    const { operation, authorization } = frame;
    const authorized = authorization === undefined ? {} : { authorization };
    try {
      const { proven, remoteAddress: address } = this.#connection;
      const request = { operation: { ...operation }, ...authorized, proven, address };
      return { answer: await this.#run(request) };
    } catch (thrown) {
      if (!(thrown instanceof SkeinError)) return this.#failed(thrown);
      this.#logRefusal(asText(operation['operation']), thrown);
      const message = thrown.message.slice(0, MESSAGE_CHARACTERS_MAX);
      return { error: { code: thrown.code, message } };
    }
  }

  #encoded(id: number, outcome: Outcome): Buffer {
    try {
      return encodeControl({ kind: 'OperationResult', id, ...outcome });
    } catch (thrown) {
      return encodeControl({ kind: 'OperationResult', id, ...this.#failed(thrown) });
    }
  }

  /** Who asked, for what, and why not; nothing else of what was sent. */
  #logRefusal(operation: string, { code, message }: SkeinError): void {
    const { proven, remoteAddress } = this.#connection;
    this.#log.warn(
      {
        remoteAddress,
        names: provenNames(proven),
        operation: operation.slice(0, LOGGED_CHARACTERS_MAX),
        code,
        reason: message.slice(0, LOGGED_CHARACTERS_MAX),
      },
      'refused an operation of another node',
    );
  }

  /** What a bug says is for this node's log only. */
  #failed(thrown: unknown): Outcome {
    this.#log.error(
      { peer: this.#connection.remoteAddress, err: thrown },
      'an operation of another node failed',
    );
    return { error: { code: 'INTERNAL', message: 'the operation failed' } };
  }

  /** A running operation is waited for, so that its deadline stays. */
  #end(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close(code, reason);
    if (!this.#isAsked) this.#settle();
  }
}

/** More than an error of ours says. */
const MESSAGE_CHARACTERS_MAX = 10_000;
const LOGGED_CHARACTERS_MAX = 300;

const read = (bytes: Buffer): ControlFrame | Error => {
  try {
    return decodeControl(bytes);
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
};
