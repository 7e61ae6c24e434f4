/**
 * A TCP proxy that stands in for a bad network: tests dial it instead of the real port and then cut,
 * hang, slow or reset what passes through. It listens on the target's own IP address under another
 * port, and dials on from the address it was dialled from, so that IP identities stay what they are.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Pump, type Flow } from './linkPump.js';
import { reset } from './reset.js';

/** `toTarget`: what the dialling side says; `fromTarget`: what it hears. */
export type Direction = 'toTarget' | 'fromTarget';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface LinkProxy {
  readonly address: Address;
  /** Bytes passed on so far. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** Links open through the proxy. */
  links(): number;
  /** Resets every link and every new one. */
  cut(): void;
  /** The same for links dialled from these addresses alone; for no others than these from now on. */
  cutFrom(hosts: readonly string[]): void;
  /** Lets nothing pass; nobody is told. New links are accepted and hear nothing. */
  hang(): void;
  /** Lets nothing pass in that direction. */
  half(direction: Direction): void;
  /** Each direction of each link passes at most that many bytes per second. */
  slow(bytesPerSecond: number): void;
  /** Resets every link once so many more bytes, both directions together, have passed; new ones live. */
  rstAt(bytes: number): void;
  /** Undoes all of the above; what was held passes. */
  restore(): void;
  /** Ends every link and stops listening. */
  close(): Promise<void>;
}

/** Resolves when listening; `target` may not be listening yet. Port 0 or none: any free port. */
export const openLinkProxy = async (options: {
  readonly target: Address;
  readonly port?: number;
}): Promise<LinkProxy> => {
  const proxy = new Proxy(options.target);
  await proxy.listen(options.port ?? 0);
  return proxy;
};

class Proxy implements LinkProxy {
  readonly bytes = { toTarget: 0, fromTarget: 0 };
  readonly #target: Address;
  readonly #server: Server;
  /** With the address that dialled. */
  readonly #sockets = new Map<Socket, string>();
  readonly #pumps = new Set<Pump>();
  #port = 0;
  #isCut = false;
  #cutHosts: readonly string[] = [];
  #held: readonly Direction[] = [];
  #bytesPerSecond = Infinity;
  #bytesToReset = Infinity;

  constructor(target: Address) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.#join(near));
  }

  get address(): Address {
    return { host: this.#target.host, port: this.#port };
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, this.#target.host, () => {
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  links(): number {
    return this.#pumps.size / 2;
  }

  cut(): void {
    this.#isCut = true;
    this.#resetAll();
  }

  cutFrom(hosts: readonly string[]): void {
    this.#cutHosts = hosts;
    for (const [socket, dialler] of this.#sockets) if (hosts.includes(dialler)) reset(socket);
  }

  hang(): void {
    this.#held = ['toTarget', 'fromTarget'];
  }

  half(direction: Direction): void {
    this.#held = [direction];
  }

  slow(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  rstAt(bytes: number): void {
    this.#bytesToReset = bytes;
  }

  restore(): void {
    this.#isCut = false;
    this.#cutHosts = [];
    this.#held = [];
    this.#bytesPerSecond = Infinity;
    this.#bytesToReset = Infinity;
    for (const pump of this.#pumps) pump.proceed();
  }

  close(): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #join(near: Socket): void {
    const dialler = near.remoteAddress ?? '';
    this.#keep(near, dialler);
    if (this.#isCut || this.#cutHosts.includes(dialler)) {
      reset(near);
      return;
    }
    const local = near.remoteAddress === undefined ? {} : { localAddress: near.remoteAddress };
    const far = connect({ ...this.#target, ...local, allowHalfOpen: true, noDelay: true });
    this.#keep(far, dialler);
    this.#pump({ from: near, to: far, direction: 'toTarget' });
    this.#pump({ from: far, to: near, direction: 'fromTarget' });
  }

  #keep(socket: Socket, dialler: string): void {
    this.#sockets.set(socket, dialler);
    // What an error means for the other side is the pump's affair; here it only must not be uncaught.
    socket.on('error', () => this.#sockets.delete(socket));
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #pump(way: { from: Socket; to: Socket; direction: Direction }): void {
    const pump = new Pump(way, this.#flow(way.direction));
    this.#pumps.add(pump);
    // An ended link has both its sockets closed, each of which is one pump's source.
    way.from.once('close', () => this.#pumps.delete(pump));
  }

  #flow(direction: Direction): Flow {
    return {
      isHeld: () => this.#held.includes(direction),
      bytesPerSecond: () => this.#bytesPerSecond,
      /** How many of these bytes may pass before the reset. */
      admit: (bytes) => {
        const admitted = Math.min(bytes, this.#bytesToReset);
        this.bytes[direction] += admitted;
        this.#bytesToReset -= admitted;
        return admitted;
      },
      passed: () => {
        if (this.#bytesToReset > 0) return;
        this.#bytesToReset = Infinity;
        this.#resetAll();
      },
    };
  }

  #resetAll(): void {
    for (const socket of this.#sockets.keys()) reset(socket);
  }
}
