/**
 * The debug endpoint: the supervision tree as JSON, text and graph, a page that shows it live, and the
 * door through which an actor can be made to crash. Called by doors.ts. It has no credentials, so it
 * answers only to names of this machine and to pages of its own.
 */
import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { NodeHandle } from '../actors/node.js';
import { invalidRequest, notFound, SkeinError } from '../protocol/errors.js';
import { debugPage } from './debugPage.js';
import { errorAnswer, HttpRefusal } from './httpErrors.js';
import { createServer, openDoor, type Door } from './httpServer.js';
import { createLogger, type DoorLogger } from './logger.js';
import { hostNameOf, isLoopbackName } from './loopback.js';
import { jsonText } from './mediaTypes.js';
import { registerProbes } from './probes.js';
import { treeDot, treeText } from './treeText.js';

/**
 * Opens `node.config.debug.listen`. Throws INVALID_CONFIGURATION when that is absent or cannot be opened,
 * INSECURE_ADDRESS when it is beyond loopback.
 */
export const startDebugEndpoint = async (
  node: NodeHandle,
  options: { readonly logger?: DoorLogger; readonly now?: () => number } = {},
): Promise<Door> => {
  const { listen } = node.config.debug;
  if (listen === undefined) {
    throw new SkeinError('INVALID_CONFIGURATION', 'debug.port is not configured');
  }
  const logger = options.logger ?? createLogger(node.config.logging.level);
  const server = createServer();
  server.addHook('onRequest', async (request, reply) => {
    reply.headers(SAFE_HEADERS);
    refuseForeignNames(request, listen.host);
  });
  // No request here has a body that means anything; whatever comes is left unread.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', (_request, _payload, done) => done(null));
  registerRoutes(server, node, options.now ?? Date.now);
  registerProbes(server, node);
  answerFailures(server, logger);
  const door = await openDoor(server, { key: 'debug.port', listen });
  return door;
};

const SAFE_HEADERS = {
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/**
 * A web page can point a name of its own at 127.0.0.1 and then read what it likes (DNS rebinding). The
 * `Host` header still shows that name, so only names that cannot be somebody's are served.
 */
const refuseForeignNames = (request: FastifyRequest, listening: string): void => {
  const name = hostNameOf(request.headers.host);
  const own = [listening, request.raw.socket.localAddress?.replace(/^::ffff:/, '')];
  if (name === undefined || !(isLoopbackName(name) || own.includes(name))) {
    throw new HttpRefusal(
      421,
      'This endpoint answers only to localhost, loopback addresses and the address it listens on',
    );
  }
};

const registerRoutes = (server: FastifyInstance, node: NodeHandle, now: () => number): void => {
  server.get('/', (_request, reply) => answerPage(node, reply));
  server.get('/debug/actors', (request, reply) => answerTree(node, { request, reply, now }));
  server.post('/debug/actors/*', (request, reply) => answerCrash(node, request, reply));
};

const answerPage = (node: NodeHandle, reply: FastifyReply): FastifyReply => {
  const nonce = randomBytes(16).toString('base64');
  reply.header(
    'content-security-policy',
    `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
  return reply.type('text/html; charset=utf-8').send(debugPage({ nodeName: node.name, nonce }));
};

const answerTree = (
  node: NodeHandle,
  context: { request: FastifyRequest; reply: FastifyReply; now: () => number },
): FastifyReply => {
  const { format = 'json' } = context.request.query as { format?: unknown };
  switch (format) {
    case 'json': {
      const body = { name: node.name, actors: node.tree(), deadLetters: node.deadLetters() };
      return context.reply.type('application/json; charset=utf-8').send(jsonText(body));
    }
    case 'text': {
      const text = treeText(node.tree(), node.deadLetters(), context.now());
      return context.reply.type('text/plain; charset=utf-8').send(text);
    }
    case 'dot':
      return context.reply.type('text/vnd.graphviz; charset=utf-8').send(treeDot(node.tree()));
    default:
      throw invalidRequest(`'format' must be json, text or dot`);
  }
};

const answerCrash = (
  node: NodeHandle,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply => {
  refuseForeignPages(request);
  if (!node.config.debug.allowCrash) {
    throw new SkeinError(
      'FORBIDDEN',
      'Crashing actors is not allowed on this node: set debug.allowCrash to true in its configuration',
    );
  }
  const asked = actorPathOf(request);
  const error = new Error('crashed on request through the debug endpoint');
  // Paths start with a slash; in a URL that slash may have been taken for the separator.
  const path = [asked, `/${asked}`].find((candidate) => node.system.crash(candidate, error));
  if (path === undefined) {
    throw notFound(`Actor '${asked}' does not exist`);
  }
  return reply
    .code(202)
    .type('application/json; charset=utf-8')
    .send(jsonText({ message: `Actor '${path}' was made to crash` }));
};

/** The router has decoded the percent signs, so `peer%3Ab` and `peer:b`, `%2F` and `/` are the same here. */
const actorPathOf = (request: FastifyRequest): string => {
  const { '*': rest = '' } = request.params as { '*'?: string };
  if (!rest.endsWith('/crash') || rest === '/crash') {
    throw notFound('POST /debug/actors/<path>/crash is the only thing to post here');
  }
  return rest.slice(0, -'/crash'.length);
};

/** Browsers send `Origin` with every POST; programs do not. */
const refuseForeignPages = (request: FastifyRequest): void => {
  const { origin, host } = request.headers;
  if (origin !== undefined && origin !== `http://${host}`) {
    throw new SkeinError('FORBIDDEN', 'Pages of other origins may not crash actors');
  }
};

const answerFailures = (server: FastifyInstance, logger: DoorLogger): void => {
  const answer = (thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { statusCode, message, unexpected } = errorAnswer(thrown);
    const line = { method: request.method, path: request.url.slice(0, 200), statusCode };
    if (unexpected) {
      logger.error({ ...line, err: thrown }, 'debug request failed');
    } else {
      logger.warn({ ...line, error: message }, 'debug request refused');
    }
    return reply
      .code(statusCode)
      .type('application/json; charset=utf-8')
      .send(jsonText({ error: message }));
  };
  server.setErrorHandler((error, request, reply) => answer(error, request, reply));
  server.setNotFoundHandler((request, reply) =>
    answer(new HttpRefusal(404, 'Not found, see / for what is here'), request, reply),
  );
};
