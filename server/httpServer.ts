/**
 * What both HTTP doors have in common: opening at an address, saying why that failed, closing in time.
 * Called by operationsApi.ts and debugEndpoint.ts; knows no routes.
 */
import { fastify, type FastifyInstance } from 'fastify';
import type { ListenAddress } from '../config/types.js';
import { messageOf, SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { httpUrl, isLoopback, isLoopbackName } from './loopback.js';

/** An open door. */
export interface Door {
  /** `http://host:port` with the port that was really opened. */
  readonly address: string;
  /** Takes no new requests, lets running ones finish for up to half of `limits.stopMsMax`. */
  close(): Promise<void>;
}

/** Time for one whole request to arrive, milliseconds. */
const REQUEST_MS_MAX = 300_000;
/** Longest URL path segment: an actor's path, escaped. */
const PATH_CHARACTERS_MAX = 4096;

export const createServer = (): FastifyInstance =>
  fastify({
    logger: false,
    requestTimeout: REQUEST_MS_MAX,
    routerOptions: { maxParamLength: PATH_CHARACTERS_MAX },
    return503OnClosing: true,
  });

/**
 * Throws INVALID_CONFIGURATION naming `key`, the address and what is wrong with it, and INSECURE_ADDRESS for an
 * address beyond loopback: without TLS, passwords and data would cross a network in the clear.
 */
export const openDoor = async (
  server: FastifyInstance,
  options: { key: string; listen: ListenAddress },
): Promise<Door> => {
  const { key, listen } = options;
  if (!isLoopbackName(listen.host)) throw insecure(options);
  try {
    await server.listen({ host: listen.host, port: listen.port });
  } catch (error) {
    throw new SkeinError(
      'INVALID_CONFIGURATION',
      `${key}: cannot listen on ${httpUrl(listen)}: ${reasonOf(error)}`,
      { cause: error },
    );
  }
  const bound = server.server.address();
  // A name below localhost leads where this machine's resolver says.
  if (typeof bound === 'object' && bound !== null && !isLoopback(bound.address)) {
    await server.close();
    throw insecure(options);
  }
  const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
  return { address: httpUrl({ host: listen.host, port }), close: () => closeInTime(server) };
};

const insecure = ({ key, listen }: { key: string; listen: ListenAddress }): SkeinError =>
  new SkeinError(
    'INSECURE_ADDRESS',
    `${key}: refuses to listen on ${httpUrl(listen)} without TLS; use a loopback address, for instance 127.0.0.1:${listen.port}`,
  );

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
