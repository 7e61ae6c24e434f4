/**
 * What all HTTP doors have in common: opening at an address, saying why that failed, closing in time.
 * Called by operationsApi.ts and debugEndpoint.ts; knows no routes.
 */
import { createServer as createHttpsServer, type Server } from 'node:https';
import { fastify, type FastifyInstance } from 'fastify';
import type { ServedCertificates } from '../actors/node.js';
import type { ClientCertificates, ListenAddress } from '../config/types.js';
import { messageOf, SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { httpUrl, isLoopback, isLoopbackName } from './loopback.js';

/** An open door. */
export interface Door {
  /** `http://host:port`, or `https://`, with the port that was really opened. */
  readonly address: string;
  /** Takes no new requests, lets running ones finish for up to half of `limits.stopMsMax`. */
  close(): Promise<void>;
}

/** Time for one whole request to arrive, milliseconds. */
const REQUEST_MS_MAX = 300_000;
/** Longest URL path segment: an actor's path, escaped. */
const PATH_CHARACTERS_MAX = 4096;

/** Time for the handshake of TLS, milliseconds. */
const HANDSHAKE_MS_MAX = 10_000;

const OPTIONS = {
  logger: false,
  requestTimeout: REQUEST_MS_MAX,
  routerOptions: { maxParamLength: PATH_CHARACTERS_MAX },
  return503OnClosing: true,
} as const;

export const createServer = (): FastifyInstance => fastify(OPTIONS);

/**
 * The same over TLS. New connections are shown the certificates of the moment. Client certificates are asked for, and
 * judged by Node, when `clients` is given. UNAVAILABLE while there is no certificate.
 */
export const createSecureServer = (
  certificates: ServedCertificates,
  clients: ClientCertificates | undefined,
): FastifyInstance => {
  const defaults = certificates.defaultOptions();
  return fastify({
    ...OPTIONS,
    serverFactory: (handler) => {
      const server: Server = createHttpsServer(
        {
          ...defaults,
          requestCert: clients !== undefined,
          rejectUnauthorized: clients?.required ?? false,
          handshakeTimeout: HANDSHAKE_MS_MAX,
          SNICallback: (serverName, answer) => answer(null, certificates.contextFor(serverName)),
        },
        handler,
      );
      const replace = (): void => server.setSecureContext(certificates.defaultOptions());
      server.once('close', certificates.onReplaced(replace));
      return server;
    },
  });
};

/**
 * `secureKey`: the setting of the door with TLS that could be opened instead.
 * Throws INVALID_CONFIGURATION naming `key`, the address and what is wrong with it, and INSECURE_ADDRESS for an
 * address beyond loopback: without TLS, passwords and data would cross a network in the clear.
 */
export const openDoor = async (
  server: FastifyInstance,
  options: { key: string; listen: ListenAddress; secure?: boolean; secureKey?: string },
): Promise<Door> => {
  const { listen, secure = false } = options;
  const scheme = secure ? 'https' : 'http';
  if (!secure && !isLoopbackName(listen.host)) throw insecure(options);
  try {
    await server.listen({ host: listen.host, port: listen.port });
  } catch (error) {
    throw new SkeinError(
      'INVALID_CONFIGURATION',
      `${options.key}: cannot listen on ${httpUrl(listen, scheme)}: ${reasonOf(error)}`,
      { cause: error },
    );
  }
  const bound = server.server.address();
  // A name below localhost leads where this machine's resolver says.
  if (!secure && typeof bound === 'object' && bound !== null && !isLoopback(bound.address)) {
    await server.close();
    throw insecure(options);
  }
  const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
  return {
    address: httpUrl({ host: listen.host, port }, scheme),
    close: () => closeInTime(server),
  };
};

const insecure = ({
  key,
  listen,
  secureKey,
}: {
  key: string;
  listen: ListenAddress;
  secureKey?: string;
}): SkeinError => {
  const instead = secureKey === undefined ? '' : `${secureKey}, or `;
  return new SkeinError(
    'INSECURE_ADDRESS',
    `${key}: refuses to listen on ${httpUrl(listen)} without TLS; use ${instead}a loopback address, for instance 127.0.0.1:${listen.port}`,
  );
};

const closeInTime = async (server: FastifyInstance): Promise<void> => {
  const deadline = setTimeout(() => server.server.closeAllConnections(), limits.stopMsMax / 2);
  try {
    await server.close();
  } finally {
    clearTimeout(deadline);
  }
};

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'not permitted',
  ENOTFOUND: 'no such name',
};

const reasonOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? messageOf(error);
};
