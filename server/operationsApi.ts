/**
 * The operations API: `POST /` with an operation, its answer in the format the client likes.
 * Called by doors.ts. Authenticates before it reads, guards before it hands on, runs nothing itself:
 * every operation goes to the node.
 */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { NodeHandle } from '../actors/node.js';
import { invalidRequest, SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import type { User } from '../protocol/operations.js';
import {
  addressOf,
  CHALLENGE,
  requesterOfCertificate,
  requesterOfHeader,
  unauthenticated,
  userOfBody,
  type Requester,
} from './authentication.js';
import { errorAnswer, HttpRefusal } from './httpErrors.js';
import { createSecureServer, createServer, openDoor, type Door } from './httpServer.js';
import { createLogger, type DoorLogger } from './logger.js';
import { encodeAnswer, errorType, negotiate, type AnswerType } from './mediaTypes.js';
import { registerProbes } from './probes.js';
import { parseBody, readBody, requestType } from './requestBody.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** For the log line of a failed request; the body itself is never logged. */
    operationName: string | undefined;
  }
}

/**
 * Opens `node.config.operationsApi.listen`. Throws INVALID_CONFIGURATION when that is absent or cannot
 * be opened, INSECURE_ADDRESS when it is beyond loopback.
 */
export const startOperationsApi = async (
  node: NodeHandle,
  options: { readonly logger?: DoorLogger } = {},
): Promise<Door> => {
  const { listen } = node.config.operationsApi;
  if (listen === undefined) {
    throw new SkeinError('INVALID_CONFIGURATION', 'operationsApi.network.port is not configured');
  }
  const server = served(createServer(), node, options);
  return openDoor(server, { key: 'operationsApi.network.port', listen, secureKey: SECURE_PORT });
};

const SECURE_PORT = 'operationsApi.network.securePort';

/**
 * The same over TLS at `node.config.operationsApi.secure`. Throws INVALID_CONFIGURATION when that is absent or cannot be
 * opened.
 */
export const startSecureOperationsApi = async (
  node: NodeHandle,
  options: { readonly logger?: DoorLogger } = {},
): Promise<Door> => {
  const key = SECURE_PORT;
  const { secure: listen, mtls } = node.config.operationsApi;
  if (listen === undefined) {
    throw new SkeinError('INVALID_CONFIGURATION', `${key} is not configured`);
  }
  const server = served(createSecureServer(node.certificates, mtls), node, options);
  return openDoor(server, { key, listen, secure: true });
};

const served = (
  server: FastifyInstance,
  node: NodeHandle,
  options: { readonly logger?: DoorLogger },
): FastifyInstance => {
  const logger = options.logger ?? createLogger(node.config.logging.level);
  server.decorateRequest('operationName', undefined);
  // The body stays unread until the handler knows who asks, and so how much may be read.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  server.post('/', (request, reply) => answerOperation(node, request, reply));
  registerProbes(server, node);
  answerFailures(server, logger);
  return server;
};

const answerOperation = async (
  node: NodeHandle,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> => {
  const { user, operation } = await authenticatedOperation(node, request);
  request.operationName = String(operation['operation']).slice(0, 100);
  const answerType = negotiate(request.headers.accept);
  const result = await node.execute(operation, {
    user,
    address: addressOf(request),
    signal: signalOf(reply),
  });
  const { headers, body } = await encodeAnswer(answerType, asBody(result));
  return reply.headers(headers).send(body);
};

/** Header or certificate first: only who is known by it may send more than the small limit. */
const authenticatedOperation = async (
  node: NodeHandle,
  request: FastifyRequest,
): Promise<{ user: User; operation: Record<string, unknown> }> => {
  const requester =
    (await requesterOfHeader(node, request)) ?? (await requesterOfCertificate(node, request));
  const type = requestType(request.headers);
  const mayBeLarge = requester !== undefined && requester.refreshToken === undefined;
  const bytes = await readBody(request.body as Readable | undefined, {
    announced: request.headers['content-length'],
    bytesMax: mayBeLarge
      ? limits.operationBodyBytesMax
      : limits.operationBodyBytesBeforeAuthentication,
  });
  const body = await parseBody(bytes, type);
  const authenticated =
    requester === undefined ? await userOfBody(node, request, body) : operationOf(requester, body);
  if (!Object.hasOwn(body, 'operation') || isBlank(body['operation'])) {
    throw invalidRequest(`Request body must include an 'operation' property.`);
  }
  return authenticated;
};

/** A refresh token is a field of the only operation it is good for. */
const operationOf = (
  { user, refreshToken }: Requester,
  body: Record<string, unknown>,
): { user: User; operation: Record<string, unknown> } => {
  if (refreshToken === undefined) {
    return { user, operation: body };
  }
  if (body['operation'] !== REFRESH) {
    throw unauthenticated('invalid token');
  }
  return { user, operation: { ...body, refresh_token: refreshToken } };
};

const REFRESH = 'refresh_operation_token';

const isBlank = (value: unknown): boolean => value === undefined || value === null || value === '';

/** Documented: whatever is no object is wrapped as `{ message }`. */
const asBody = (result: unknown): unknown =>
  typeof result === 'object' && result !== null ? result : { message: result ?? null };

/** Aborted when the client goes away before its answer is complete. */
const signalOf = (reply: FastifyReply): AbortSignal => {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) {
      controller.abort();
    }
  });
  return controller.signal;
};

const answerFailures = (server: FastifyInstance, logger: DoorLogger): void => {
  server.setNotFoundHandler((request, reply) =>
    answerFailure(notFoundRefusal(request), { request, reply, logger }),
  );
  server.setErrorHandler((error, request, reply) =>
    answerFailure(error, { request, reply, logger }),
  );
};

const notFoundRefusal = (request: FastifyRequest): HttpRefusal =>
  new HttpRefusal(
    404,
    `${request.method} ${pathOf(request)} not found, operations are POSTed to /`,
  );

const answerFailure = async (
  thrown: unknown,
  context: { request: FastifyRequest; reply: FastifyReply; logger: DoorLogger },
): Promise<FastifyReply> => {
  const { request, reply } = context;
  const answer = errorAnswer(thrown);
  logFailure(thrown, { ...context, statusCode: answer.statusCode });
  const { headers, body } = await encodeAnswer(formatOfError(request), {
    error: answer.message,
    ...answer.details,
  });
  reply.code(answer.statusCode).headers(headers);
  if (answer.code !== undefined) {
    reply.header('skein-error-code', answer.code);
  }
  if (answer.statusCode === 401) {
    reply.header('www-authenticate', CHALLENGE);
  }
  if (!request.raw.complete) {
    // The rest of a body that nobody reads would otherwise be taken for the next request's time.
    reply.header('connection', 'close');
  }
  return reply.send(body);
};

const formatOfError = (request: FastifyRequest): AnswerType => {
  try {
    return errorType(negotiate(request.headers.accept));
  } catch {
    // Nothing the client accepts: the text that tells it so has to be in something.
    return 'json';
  }
};

const logFailure = (
  thrown: unknown,
  context: {
    request: FastifyRequest;
    reply: FastifyReply;
    logger: DoorLogger;
    statusCode: number;
  },
): void => {
  const { request, reply, logger, statusCode } = context;
  const line = {
    method: request.method,
    path: pathOf(request),
    operation: request.operationName,
    statusCode,
    remoteAddress: request.raw.socket.remoteAddress,
    ms: Math.round(reply.elapsedTime),
    err: thrown,
  };
  if (statusCode >= 500) {
    logger.error(line, 'request failed');
  } else {
    logger.warn({ ...line, err: undefined, error: errorAnswer(thrown).message }, 'request refused');
  }
};

const pathOf = (request: FastifyRequest): string =>
  (request.url.split('?', 1)[0] ?? '').slice(0, 200);
