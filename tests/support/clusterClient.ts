/**
 * Asks a node over HTTP as a user's program would: operations, probes, the debug endpoint. Called by cluster.ts
 * and the tests of real processes. Judges nothing: a refusal is thrown with what the node said.
 */
import { Agent, request, type IncomingMessage } from 'node:http';
import type { ActorSnapshot, DeadLetter } from '../../actors/kernel/types.js';

export interface Address {
  readonly host: string;
  readonly port: number;
  readonly debugPort: number;
  readonly username: string;
  readonly password: string;
}

export interface Answer {
  readonly status: number;
  readonly errorCode: string;
  readonly text: string;
}

/** The node answered, and not with 200. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  readonly code: string;

  constructor({ status, errorCode, text }: Answer) {
    super(`${status} ${errorCode} ${text.slice(0, 500)}`);
    this.status = status;
    this.code = errorCode;
  }
}

export interface Tree {
  readonly name: string;
  readonly actors: readonly ActorSnapshot[];
  readonly deadLetters: readonly DeadLetter[];
}

const ANSWER_MS_MAX = 30_000;

export class OperationsClient {
  readonly #address: Address;
  readonly #authorization: string;
  #agent = newAgent();

  constructor(address: Address) {
    this.#address = address;
    const pair = Buffer.from(`${address.username}:${address.password}`).toString('base64');
    this.#authorization = `Basic ${pair}`;
  }

  /** The body of the answer. Rejects with Refused, or the socket's error when no answer came. */
  async send(operation: Record<string, unknown>): Promise<unknown> {
    const answer = await this.post(JSON.stringify(operation));
    if (answer.status !== 200) throw new Refused(answer);
    return JSON.parse(answer.text) as unknown;
  }

  /** Any bytes as an operation. `headers` come on top of the usual ones. */
  post(body: string | Buffer, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#exchange({
      port: this.#address.port,
      method: 'POST',
      path: '/',
      body,
      headers: {
        'content-type': 'application/json',
        authorization: this.#authorization,
        ...headers,
      },
    });
  }

  /** Both of its doors are open and say so. */
  async isReady(): Promise<boolean> {
    const { port, debugPort } = this.#address;
    try {
      const answers = await Promise.all([port, debugPort].map((one) => this.#get(one, '/readyz')));
      return answers.every(({ status }) => status === 200);
    } catch (error) {
      // Not listening yet.
      if (isConnectionFailure(error)) return false;
      throw error;
    }
  }

  probe(path: string): Promise<Answer> {
    return this.#get(this.#address.debugPort, path);
  }

  async tree(): Promise<Tree> {
    const answer = await this.#get(this.#address.debugPort, '/debug/actors');
    if (answer.status !== 200) throw new Refused(answer);
    return JSON.parse(answer.text) as Tree;
  }

  /** Through the crash door. `path` as the tree shows it. */
  crash(path: string): Promise<Answer> {
    return this.#exchange({
      port: this.#address.debugPort,
      method: 'POST',
      path: `/debug/actors${encodeURI(path)}/crash`,
      body: '',
      headers: {},
    });
  }

  /** Drops connections to a life that is over. */
  disconnect(): void {
    this.#agent.destroy();
    this.#agent = newAgent();
  }

  #get(port: number, path: string): Promise<Answer> {
    return this.#exchange({ port, method: 'GET', path, body: '', headers: {} });
  }

  #exchange(wanted: {
    port: number;
    method: string;
    path: string;
    body: string | Buffer;
    headers: Record<string, string>;
  }): Promise<Answer> {
    const { port, method, path, body, headers } = wanted;
    return new Promise((resolve, reject) => {
      const asked = request({
        host: this.#address.host,
        port,
        method,
        path,
        agent: this.#agent,
        headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        timeout: ANSWER_MS_MAX,
      });
      asked.once('timeout', () => asked.destroy(new Error(`no answer in ${ANSWER_MS_MAX} ms`)));
      asked.once('error', reject);
      asked.once('response', (response) => readAnswer(response).then(resolve, reject));
      asked.end(body);
    });
  }
}

/** Nobody answered, or the connection broke on the way. */
export const isConnectionFailure = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(String(error.code));

/** All actors of a tree, parents before children. */
export const flat = (actors: readonly ActorSnapshot[]): ActorSnapshot[] =>
  actors.flatMap((actor) => [actor, ...flat(actor.children)]);

const newAgent = (): Agent => new Agent({ keepAlive: true, maxSockets: 32 });

const readAnswer = async (response: IncomingMessage): Promise<Answer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    errorCode: String(response.headers['skein-error-code'] ?? ''),
    text: Buffer.concat(chunks).toString('utf8'),
  };
};
