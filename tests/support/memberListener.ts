/**
 * A plain TCP listener on a port where a node used to be: counts who still dials it, and says nothing. Called by the
 * membership tests.
 */
import { createServer, type AddressInfo, type Server } from 'node:net';

export interface DialCounter {
  /** When each dial came, on the clock of performance.now. */
  readonly dials: readonly number[];
  close(): Promise<void>;
}

/** Resolves when listening there. Every connection is reset at once. */
export const countDials = async (address: {
  readonly host: string;
  readonly port: number;
}): Promise<DialCounter> => {
  const dials: number[] = [];
  const server = createServer((socket) => {
    dials.push(performance.now());
    socket.on('error', () => undefined);
    socket.resetAndDestroy();
  });
  await listen(server, address);
  return {
    dials,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
};

const listen = (
  server: Server,
  address: { readonly host: string; readonly port: number },
): Promise<AddressInfo> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, () => resolve(server.address() as AddressInfo));
  });
