/**
 * A network inside one process: nodes listen under names and dial `memory://name`. For tests,
 * simulations and nodes embedded side by side. Behaves as webSocket.ts does, without bytes on a wire:
 * frames are handed over uncopied, always in a later turn and in order. Its verbs make partitions.
 */
import type { ListenAddress } from '../../config/types.js';
import { SkeinError } from '../../protocol/errors.js';
import { systemEnvironment, type Timers } from '../environment.js';
import { MemoryConnection } from './memoryConnection.js';
import type { Connection, ListeningSocket, Purpose, Transport } from './types.js';

type DialOptions = Parameters<Transport['dial']>[1];
type Accept = (connection: Connection) => void;

interface Call {
  readonly from: string;
  readonly to: string;
  readonly purpose: Purpose;
}

export class MemoryNetwork {
  readonly #timers: Timers;
  readonly #listeners = new Map<string, Accept>();
  readonly #links = new Set<MemoryConnection>();
  readonly #dialling = new Set<Dialling>();
  readonly #cuts = new Set<string>();
  readonly #blocks = new Set<string>();
  #unnamed = 0;

  /** Timers for dial timeouts and unanswered closes; the system's when absent. */
  constructor(options: { readonly timers?: Timers } = {}) {
    this.#timers = options.timers ?? systemEnvironment();
  }

  /**
   * One node's door to the network. It dials under `name`, else under the name it listens under, else
   * under an invented one; the `localAddress` of a dial goes before all of them.
   */
  transport(name?: string): Transport {
    const unnamed = name ?? `unnamed-${(this.#unnamed += 1)}`;
    let own = name;
    return {
      listen: async (address, accepted) => {
        own ??= address.host;
        return this.#listen(address, accepted);
      },
      dial: (url, options) => this.#dial(options.localAddress ?? own ?? unnamed, url, options),
    };
  }

  /** Every link between the two ends on both sides with 1006, and dials fail until `heal`. */
  cut(a: string, b: string): void {
    this.#cuts.add(pair(a, b));
    for (const end of this.#links) if (end.joins(a, b)) end.vanish();
    this.#retry();
  }

  /** Nothing gets from `from` to `to`, and neither notices: frames and dials wait until `heal`. */
  block(from: string, to: string): void {
    this.#blocks.add(direction(from, to));
  }

  /** Undoes `cut` and, both ways, `block`; what waited goes on. */
  heal(a: string, b: string): void {
    this.#cuts.delete(pair(a, b));
    this.#blocks.delete(direction(a, b));
    this.#blocks.delete(direction(b, a));
    for (const end of this.#links) end.proceed();
    this.#retry();
  }

  /** Connections that have not ended; two per link. */
  openConnections(): number {
    return this.#links.size;
  }

  #listen(address: ListenAddress, accepted: Accept): ListeningSocket {
    const name = address.host;
    if (this.#listeners.has(name)) {
      throw new SkeinError('UNAVAILABLE', `memory://${name} is in use`);
    }
    this.#listeners.set(name, accepted);
    const close = async (): Promise<void> => {
      if (this.#listeners.get(name) === accepted) this.#listeners.delete(name);
    };
    return { address, close };
  }

  async #dial(from: string, url: string, options: DialOptions): Promise<Connection> {
    const to = dialledName(url);
    const { signal, timeoutMs, purpose = 'replication' } = options;
    if (signal.aborted) throw givenUp(url, signal);
    const dialling = new Dialling(() => this.#attempt({ from, to, purpose }));
    const timer = this.#timers.setTimer(timeoutMs, () =>
      dialling.fail(new Error(`connect to ${url} took longer than ${timeoutMs} ms`)),
    );
    const abort = (): void => dialling.fail(givenUp(url, signal));
    signal.addEventListener('abort', abort);
    this.#dialling.add(dialling);
    setImmediate(() => dialling.attempt());
    try {
      return await dialling.outcome;
    } finally {
      this.#dialling.delete(dialling);
      this.#timers.clearTimer(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  /** Undefined: no answer, for now. */
  #attempt({ from, to, purpose }: Call): Connection | undefined {
    if (this.#cuts.has(pair(from, to))) throw new Error(`connect EHOSTUNREACH memory://${to}`);
    if (this.#isBlocked(from, to) || this.#isBlocked(to, from)) return undefined;
    const accepted = this.#listeners.get(to);
    if (accepted === undefined) throw new Error(`connect ECONNREFUSED memory://${to}`);
    const shared = {
      timers: this.#timers,
      isBlocked: (sender: string, receiver: string) => this.#isBlocked(sender, receiver),
      ended: (end: MemoryConnection) => void this.#links.delete(end),
    };
    const [dialled, acceptedEnd] = MemoryConnection.pair({ from, to, purpose, ...shared });
    this.#links.add(dialled).add(acceptedEnd);
    accepted(acceptedEnd);
    return dialled;
  }

  #isBlocked(from: string, to: string): boolean {
    return this.#blocks.has(direction(from, to));
  }

  #retry(): void {
    for (const dialling of this.#dialling) setImmediate(() => dialling.attempt());
  }
}

/** One dial that waits for its answer; the first outcome counts. */
class Dialling {
  readonly outcome: Promise<Connection>;
  fail: (error: unknown) => void = () => undefined;
  readonly #connect: () => Connection | undefined;
  #resolve: (connection: Connection) => void = () => undefined;
  #settled = false;

  constructor(connect: () => Connection | undefined) {
    this.#connect = connect;
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.fail = (error) => {
        this.#settled = true;
        reject(error);
      };
    });
  }

  attempt(): void {
    if (this.#settled) return;
    try {
      const connection = this.#connect();
      if (connection === undefined) return;
      this.#settled = true;
      this.#resolve(connection);
    } catch (error) {
      this.fail(error);
    }
  }
}

const dialledName = (url: string): string => {
  const name = /^memory:\/\/([^/?#]+)\/?$/.exec(url)?.[1];
  if (name === undefined) {
    throw new Error(`cannot dial ${JSON.stringify(url)}: the URL has to be memory://<name>`);
  }
  return name;
};

const givenUp = (url: string, signal: AbortSignal): Error =>
  new Error(`connect to ${url} was given up`, { cause: signal.reason });

const direction = (from: string, to: string): string => JSON.stringify([from, to]);

const pair = (a: string, b: string): string => (a < b ? direction(a, b) : direction(b, a));
