/**
 * Frames over WebSocket (RFC 6455), with TLS and without: listening and dialling.
 * Called by the listener and the peer connections; hands over Connections, knows nothing of frames.
 * Whatever arrives on the port, no error escapes: every socket and server has its `error` listener.
 */
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { ListenAddress } from '../../config/types.js';
import { SkeinError } from '../../protocol/errors.js';
import { KIB, limits } from '../../protocol/limits.js';
import { systemEnvironment, type Timers } from '../environment.js';
import { canonicalAddress, loopbackAddress } from './addresses.js';
import type { SecureContexts } from './secureContexts.js';
import type { Connection, ListeningSocket, Purpose, Transport } from './types.js';
import { WebSocketConnection, webSocketOptions } from './webSocketConnection.js';
import { dialWebSocket, SUBPROTOCOLS } from './webSocketDial.js';

export { SUBPROTOCOLS };

export interface WebSocketTransportOptions {
  readonly timers?: Timers;
  /** What is shown and trusted on TLS; null, the default: there is no TLS. */
  readonly contexts?: SecureContexts | null;
  /** Listening without TLS on other addresses than loopback is allowed. Default false. */
  readonly allowInsecure?: boolean;
  /** An accepted TCP connection that is no WebSocket by then is dropped. Default 10 s. */
  readonly upgradeMsMax?: number;
  /** TCP connections open at one time on one port; more are dropped at once. Default 1000. */
  readonly connectionsMax?: number;
  /** The listening socket failed to accept (out of file descriptors, for instance); it goes on listening. */
  readonly acceptFailed?: (error: Error) => void;
}

/**
 * `listen` resolves with the address really bound (never port 0). It rejects with INSECURE_ADDRESS
 * without TLS beyond loopback, UNAVAILABLE when the port is in use or there is no certificate,
 * INVALID_CONFIGURATION for an address that cannot be listened on. `dial` takes `ws://` and `wss://` URLs.
 */
export const webSocketTransport = (options: WebSocketTransportOptions = {}): Transport => {
  const settings: Settings = {
    timers: systemEnvironment(),
    contexts: null,
    allowInsecure: false,
    upgradeMsMax: 10_000,
    connectionsMax: 1_000,
    acceptFailed: () => undefined,
    ...options,
  };
  return {
    listen: (address, accepted, { secure = false } = {}) =>
      listen({ ...settings, secure }, address, accepted),
    dial: (url, dialOptions) => dialWebSocket(settings, url, dialOptions),
  };
};

type Settings = Required<WebSocketTransportOptions>;

const KNOWN: readonly string[] = Object.values(SUBPROTOCOLS);
const PURPOSES = new Map<string, Purpose>(
  (Object.keys(SUBPROTOCOLS) as Purpose[]).map((purpose) => [SUBPROTOCOLS[purpose], purpose]),
);

const REQUEST_HEADERS_BYTES_MAX = 8 * KIB;

const listen = async (
  settings: Settings & { readonly secure: boolean },
  address: ListenAddress,
  accepted: (connection: Connection) => void,
): Promise<ListeningSocket> => {
  const isAnywhere = settings.secure || settings.allowInsecure;
  const host = isAnywhere ? address.host : await loopbackAddress(address.host);
  const { server, release } = settings.secure ? secureServer(settings) : plainServer();
  server.maxConnections = settings.connectionsMax;
  const upgrading = watchUpgrades(server, settings);
  answerRequests(server);
  acceptWebSockets(server, (connection) => {
    upgrading.done(connection.socket);
    accepted(new WebSocketConnection({ ...connection, dialled: false, timers: settings.timers }));
  });
  await bind(server, { host, port: address.port });
  server.on('error', settings.acceptFailed);
  return {
    address: { host, port: (server.address() as AddressInfo).port },
    close: () => stopListening(server, upgrading).finally(release),
  };
};

interface Served {
  readonly server: Server;
  /** The server is closed. */
  readonly release: () => void;
}

const plainServer = (): Served => ({
  server: createServer({ maxHeaderSize: REQUEST_HEADERS_BYTES_MAX }),
  release: () => undefined,
});

/**
 * Every client is asked for a certificate, none is turned away for the one it has: what it proved stands in the connection,
 * and a node that wants to join has none yet.
 */
const secureServer = ({ contexts, upgradeMsMax }: Settings): Served => {
  if (contexts === null)
    throw new SkeinError('INVALID_CONFIGURATION', 'this transport was made without TLS');
  const server = createSecureServer({
    ...contexts.defaultOptions(),
    maxHeaderSize: REQUEST_HEADERS_BYTES_MAX,
    handshakeTimeout: upgradeMsMax,
    requestCert: true,
    rejectUnauthorized: false,
    SNICallback: (serverName, answer) => answer(null, contexts.contextFor(serverName)),
  });
  const release = contexts.onReplaced(() => server.setSecureContext(contexts.defaultOptions()));
  return { server, release };
};

interface Upgrading {
  /** This one has become a WebSocket. */
  done(socket: Socket): void;
  /** Drops all that have not. */
  dropAll(): void;
}

const watchUpgrades = (server: Server, settings: Settings): Upgrading => {
  const waiting = new Map<string, { socket: Socket; deadline: unknown; address: string }>();
  const ofAddress = new Map<string, number>();
  const count = (address: string, more: 1 | -1): void => {
    const now = (ofAddress.get(address) ?? 0) + more;
    if (now > 0) ofAddress.set(address, now);
    else ofAddress.delete(address);
  };
  const ended = (end: string): void => {
    const one = waiting.get(end);
    if (one === undefined) return;
    settings.timers.clearTimer(one.deadline);
    waiting.delete(end);
    count(one.address, -1);
  };
  server.on('connection', (socket: Socket) => {
    const end = farEnd(socket);
    const address = socket.remoteAddress ?? '';
    ended(end);
    if ((ofAddress.get(address) ?? 0) >= limits.upgradesPerAddressMax) {
      socket.destroy();
      return;
    }
    count(address, 1);
    const drop = (): unknown => socket.destroy();
    const deadline = settings.timers.setTimer(settings.upgradeMsMax, drop);
    waiting.set(end, { socket, deadline, address });
    socket.once('close', () => waiting.get(end)?.socket === socket && ended(end));
  });
  return {
    done: (socket) => ended(farEnd(socket)),
    dropAll: () => waiting.forEach(({ socket }) => socket.destroy()),
  };
};

/** One text for a TCP connection and for the TLS socket upon it. */
const farEnd = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

const answerRequests = (server: Server): void => {
  server.on('request', (_request, response) => {
    response.writeHead(426, {
      'Content-Type': 'text/plain',
      Connection: 'close',
      Upgrade: 'websocket',
    });
    response.end(`This port speaks ${KNOWN.join(' and ')} over WebSocket and nothing else.\n`);
  });
};

type Opened = Omit<ConstructorParameters<typeof WebSocketConnection>[0], 'dialled' | 'timers'>;

const acceptWebSockets = (server: Server, opened: (connection: Opened) => void): void => {
  const upgrades = new WebSocketServer({
    ...webSocketOptions,
    noServer: true,
    clientTracking: false,
    handleProtocols: (offered) => [...offered].find((name) => PURPOSES.has(name)) ?? false,
  });
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const socket = request.socket;
    const purpose = purposeOf(request);
    if (purpose === undefined) {
      refuseUpgrade(stream);
      return;
    }
    // An HTTP server leaves its sockets half open; a link whose other end has finished is over.
    socket.allowHalfOpen = false;
    upgrades.handleUpgrade(request, stream, head, (webSocket) =>
      opened({ webSocket, socket, purpose }),
    );
  });
};

/** Of the first subprotocol offered that is known here; undefined: none is. */
const purposeOf = (request: IncomingMessage): Purpose | undefined =>
  (request.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((offered) => PURPOSES.get(offered.trim()))
    .find((purpose) => purpose !== undefined);

const refuseUpgrade = (socket: Duplex): void => {
  const text = `The WebSocket subprotocol ${KNOWN.join(' or ')} is required.\n`;
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(
    'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n' +
      `Content-Length: ${text.length}\r\n\r\n${text}`,
  );
};

const bind = (server: Server, address: ListenAddress): Promise<void> =>
  new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(listenFailure(error, address));
    server.once('error', failed);
    server.listen(address, () => {
      server.off('error', failed);
      resolve();
    });
  });

const listenFailure = (error: Error, { host, port }: ListenAddress): SkeinError => {
  const code = 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') {
    const message = `port ${port} on ${host} is in use`;
    return new SkeinError('UNAVAILABLE', message, { cause: error });
  }
  const why =
    code === 'EADDRNOTAVAIL'
      ? 'this machine does not have that address'
      : code === 'EACCES'
        ? 'this user may not listen on that port'
        : error.message;
  const message = `cannot listen on port ${port} of ${canonicalAddress(host)}: ${why}`;
  return new SkeinError('INVALID_CONFIGURATION', message, { cause: error });
};

/** `server.close` would call back only when the last link is gone; its port is free at once. */
const stopListening = (server: Server, upgrading: Upgrading): Promise<void> =>
  new Promise((resolve) => {
    server.close();
    upgrading.dropAll();
    setImmediate(resolve);
  });
