/**
 * Links between simulated nodes, in virtual time: frames arrive in order and after a delay; a cut ends both ends and
 * loses what is under way; a blocked direction holds everything back until it is healed. Behaves towards the actors as
 * the transports do. Frames are copied, as on a wire. `tapped` sees every frame that arrives.
 */
import type {
  Closed,
  Connection,
  ConnectionHandlers,
  Proven,
  Purpose,
  Transport,
} from '../../actors/transport/types.js';
import { nodeName } from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import type { SimulatedProcess } from './simulatedLevel.js';
import type { SimulatedTime } from './simulatedTime.js';

export interface FrameTap {
  sent(frame: { from: string; to: string; bytes: Buffer }): void;
  arrived(frame: { from: string; to: string; bytes: Buffer }): void;
  lost(frames: number): void;
}

type DialOptions = Parameters<Transport['dial']>[1];

/** How long an end waits before it notices that the other one has gone. */
const NOTICED_MS_MAX = 40;

export class SimulatedNetwork {
  readonly time: SimulatedTime;
  readonly tap: FrameTap;
  readonly #delayMsMax: number;
  readonly #listeners = new Map<
    string,
    { process: SimulatedProcess; accept: (c: Connection) => void }
  >();
  readonly #ends = new Set<End>();
  readonly #cuts = new Set<string>();
  readonly #blocked = new Set<string>();
  readonly #slow = new Map<string, number>();

  constructor(time: SimulatedTime, tap: FrameTap, delayMsMax: number) {
    this.time = time;
    this.tap = tap;
    this.#delayMsMax = delayMsMax;
  }

  transport(name: string, process: SimulatedProcess): Transport {
    return {
      listen: async (address, accept) => {
        const listener = { process, accept };
        this.#listeners.set(name, listener);
        return {
          address,
          close: async () => {
            if (this.#listeners.get(name) === listener) this.#listeners.delete(name);
          },
        };
      },
      dial: (url, options) => this.#dial({ name, process }, url, options),
    };
  }

  /** Both ends of every link between the two end; dials fail until `heal`. */
  cut(a: string, b: string): void {
    this.#cuts.add(pair(a, b));
    this.breakLinks(a, b);
  }

  /** Both ends of every link between the two end; they may dial again. Returns how many there were. */
  breakLinks(a: string, b: string): number {
    let broken = 0;
    for (const end of Array.from(this.#ends))
      if (end.owner === a && end.remoteAddress === b) {
        end.vanish();
        broken++;
      }
    return broken;
  }

  /** Nothing gets from `from` to `to` any more, and neither is told. */
  block(from: string, to: string): void {
    this.#blocked.add(direction(from, to));
  }

  /** Frames from `from` to `to` take up to so much longer. */
  slow(from: string, to: string, byMs: number): void {
    this.#slow.set(direction(from, to), byMs);
  }

  heal(a: string, b: string): void {
    this.#cuts.delete(pair(a, b));
    for (const way of [direction(a, b), direction(b, a)]) {
      this.#blocked.delete(way);
      this.#slow.delete(way);
    }
    for (const end of this.#ends) end.goOn();
  }

  isReachable(from: string, to: string): boolean {
    return !this.#cuts.has(pair(from, to));
  }

  isBlocked(from: string, to: string): boolean {
    return this.#blocked.has(direction(from, to));
  }

  /** The process is gone: its peers notice after a while. */
  killed(process: SimulatedProcess): void {
    for (const end of Array.from(this.#ends)) if (end.process === process) end.vanish();
    for (const [name, listener] of this.#listeners)
      if (listener.process === process) this.#listeners.delete(name);
  }

  delayMs(from: string, to: string): number {
    const slowness = this.#slow.get(direction(from, to)) ?? 0;
    return this.time.random.next() * (this.#delayMsMax + slowness);
  }

  noticeMs(): number {
    return this.time.random.next() * NOTICED_MS_MAX;
  }

  ended(end: End): void {
    this.#ends.delete(end);
  }

  #dial(
    from: { name: string; process: SimulatedProcess },
    url: string,
    options: DialOptions,
  ): Promise<Connection> {
    const to = url.replace('memory://', '');
    return new Promise((resolve, reject) => {
      const waitMs = this.isBlocked(from.name, to) || this.isBlocked(to, from.name);
      if (waitMs) {
        const message = `connect to ${url} took longer than ${options.timeoutMs} ms`;
        this.time.after(options.timeoutMs, () => reject(new Error(message)));
        return;
      }
      this.time.after(this.delayMs(from.name, to), () => {
        if (!from.process.isAlive) return;
        const listener = this.#listeners.get(to);
        if (options.signal.aborted || !this.isReachable(from.name, to) || !listener)
          return reject(new Error(`connect ECONNREFUSED ${url}`));
        resolve(
          this.#connect({ ...from, purpose: options.purpose ?? 'replication' }, to, listener),
        );
      });
    });
  }

  #connect(
    from: { name: string; process: SimulatedProcess; purpose: Purpose },
    to: string,
    listener: { process: SimulatedProcess; accept: (c: Connection) => void },
  ): End {
    const dialled = new End(this, { ...from, remote: to, dialled: true });
    const accepted = new End(this, {
      name: to,
      process: listener.process,
      remote: from.name,
      dialled: false,
      purpose: from.purpose,
    });
    dialled.join(accepted);
    this.#ends.add(dialled).add(accepted);
    listener.accept(accepted);
    return dialled;
  }
}

/** One end of a link. Frames are on their way in the other end's inbox. */
class End implements Connection {
  readonly owner: string;
  readonly process: SimulatedProcess;
  readonly remoteAddress: string;
  readonly proven: Proven;
  readonly dialled: boolean;
  readonly purpose: Purpose;
  readonly #network: SimulatedNetwork;
  peer: End = this;
  #handlers: ConnectionHandlers | null = null;
  #inbox: { at: number; bytes: Buffer }[] = [];
  #inboxBytes = 0;
  #isWoken = false;
  #isCongested = false;
  #hasEnded = false;
  #closing: Closed | null = null;

  constructor(
    network: SimulatedNetwork,
    end: {
      name: string;
      process: SimulatedProcess;
      remote: string;
      dialled: boolean;
      purpose: Purpose;
    },
  ) {
    this.#network = network;
    this.owner = end.name;
    this.process = end.process;
    this.remoteAddress = end.remote;
    this.proven = { kind: 'address', name: nodeName(end.remote) };
    this.dialled = end.dialled;
    this.purpose = end.purpose;
  }

  join(peer: End): void {
    this.peer = peer;
    peer.peer = this;
  }

  start(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#hasEnded) this.#tell(VANISHED);
    else this.goOn();
  }

  isOpen(): boolean {
    return !this.#hasEnded && !this.#closing;
  }

  send(frame: Uint8Array): void {
    if (!this.isOpen()) return;
    const bytes = Buffer.from(frame);
    this.#network.tap.sent({ from: this.owner, to: this.remoteAddress, bytes });
    this.peer.#receive(bytes);
    if (this.bufferedBytes() > limits.socketBufferedBytesMax) this.#isCongested = true;
  }

  bufferedBytes(): number {
    return this.#hasEnded ? 0 : this.peer.#inboxBytes;
  }

  pause(): void {
    throw new Error('No actor pauses a link');
  }

  resume(): void {
    throw new Error('No actor pauses a link');
  }

  acceptFrames(): void {
    // Frames of the simulation are small.
  }

  /** What is under way still arrives, then both ends end. */
  close(code: number, reason: string): void {
    if (this.#hasEnded || this.#closing) return;
    this.#closing = { code, reason };
    const { time } = this.#network;
    const delay = Math.max(0, (this.peer.#inbox.at(-1)?.at ?? 0) - time.now);
    time.after(delay + this.#network.noticeMs(), () => {
      this.peer.#end({ code, reason });
      this.#end({ code, reason });
    });
  }

  terminate(): void {
    this.vanish();
  }

  /** The link is gone without a word. */
  vanish(): void {
    this.#end(VANISHED);
    this.peer.#end(VANISHED);
  }

  /** Something that held the inbox up may be gone. */
  goOn(): void {
    if (this.#isWoken || this.#hasEnded || !this.#handlers) return;
    const first = this.#inbox[0];
    if (!first || this.#network.isBlocked(this.remoteAddress, this.owner)) return;
    this.#isWoken = true;
    const { time } = this.#network;
    time.after(Math.max(0, first.at - time.now), () => {
      this.#isWoken = false;
      this.#take();
      this.goOn();
    });
  }

  #receive(bytes: Buffer): void {
    if (this.#hasEnded) return;
    const { time } = this.#network;
    const last = this.#inbox.at(-1)?.at ?? 0;
    const at = Math.max(last, time.now + this.#network.delayMs(this.remoteAddress, this.owner));
    this.#inbox.push({ at, bytes });
    this.#inboxBytes += bytes.length;
    this.goOn();
  }

  #take(): void {
    if (this.#hasEnded || this.#network.isBlocked(this.remoteAddress, this.owner)) return;
    const frame = this.#inbox.shift();
    if (!frame) return;
    this.#inboxBytes -= frame.bytes.length;
    if (this.process.isAlive) {
      this.#network.tap.arrived({ from: this.remoteAddress, to: this.owner, bytes: frame.bytes });
      this.#handlers?.frame(frame.bytes);
    }
    this.peer.#taken();
  }

  #taken(): void {
    if (!this.#isCongested || this.#hasEnded) return;
    if (this.bufferedBytes() >= limits.socketBufferedBytesMax / 2) return;
    this.#isCongested = false;
    if (this.process.isAlive) this.#handlers?.drained();
  }

  #end(closed: Closed): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#network.tap.lost(this.#inbox.length);
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.#network.ended(this);
    this.#tell(closed);
  }

  #tell(closed: Closed): void {
    const handlers = this.#handlers;
    if (!handlers) return;
    this.#network.time.after(this.#network.noticeMs(), () => {
      if (this.process.isAlive) handlers.closed(closed);
    });
  }
}

const VANISHED: Closed = { code: 1006, reason: '' };

const direction = (from: string, to: string): string => `${from}>${to}`;
const pair = (a: string, b: string): string => (a < b ? direction(a, b) : direction(b, a));
