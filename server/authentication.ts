/**
 * Who sends a request: the `Authorization` header, the client's certificate, credentials in the body, or the local super
 * user. Called by operationsApi.ts; the node itself checks passwords, tokens and whom a certificate stands for.
 */
import { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import type { NodeHandle } from '../actors/node.js';
import { SkeinError } from '../protocol/errors.js';
import { canonicalAddress } from '../protocol/nodeNames.js';
import type { User } from '../protocol/operations.js';
import { isLoopback } from './loopback.js';

export interface Requester {
  readonly user: User;
  /** Good for `refresh_operation_token` and nothing else. */
  readonly refreshToken?: string;
}

/** Who is named by the `Authorization` header, or undefined when there is none. Throws 401, and 429 after many failures. */
export const requesterOfHeader = async (
  node: NodeHandle,
  request: FastifyRequest,
): Promise<Requester | undefined> => {
  const { authorization } = request.headers;
  if (authorization === undefined) {
    return undefined;
  }
  const [scheme = '', value = ''] = authorization.trim().split(/\s+/, 2);
  if (scheme.toLowerCase() === 'bearer') {
    return requesterOfToken(node, value);
  }
  const credentials = scheme.toLowerCase() === 'basic' ? parseBasic(value) : undefined;
  if (credentials === undefined) {
    throw unauthenticated('Login failed');
  }
  return { user: active(await node.authenticate({ ...credentials, address: addressOf(request) })) };
};

/**
 * Who is named by the certificate of a connection that TLS has judged; undefined without one. The header goes first: who
 * sends it says whom this request is to run as. Throws 401.
 */
export const requesterOfCertificate = async (
  node: NodeHandle,
  request: FastifyRequest,
): Promise<Requester | undefined> => {
  const { socket } = request.raw;
  if (!(socket instanceof TLSSocket) || !socket.authorized) {
    return undefined;
  }
  const certificate = socket.getPeerX509Certificate();
  return certificate && { user: active(await node.authenticateCertificate(certificate)) };
};

/**
 * The user of a request with neither, and the operation without the credentials that were used.
 * Throws 401 `Must login` when there are none and the local rule does not apply.
 */
export const userOfBody = async (
  node: NodeHandle,
  request: FastifyRequest,
  body: Record<string, unknown>,
): Promise<{ user: User; operation: Record<string, unknown> }> => {
  const { username, password, ...operation } = body;
  const isLogin = !SPEAK_OF_USERS.has(String(body['operation']));
  if (isLogin && typeof username === 'string' && typeof password === 'string') {
    const address = addressOf(request);
    return { user: active(await node.authenticate({ username, password, address })), operation };
  }
  if (node.config.authentication.authorizeLocal && isDirectLocalRequest(request)) {
    return { user: LOCAL_SUPER_USER, operation: body };
  }
  throw unauthenticated('Must login');
};

/** The address of the socket; what a header says about it is not believed. */
export const addressOf = (request: FastifyRequest): string =>
  canonicalAddress(request.raw.socket.remoteAddress ?? 'unknown');

export const unauthenticated = (message: string): SkeinError =>
  new SkeinError('UNAUTHENTICATED', message);

/** Sent with every 401, as RFC 9110 section 15.5.2 asks. */
export const CHALLENGE = 'Basic realm="Skein", charset="UTF-8"';

/** Operations whose own fields are a user's name and password; who sends them is told elsewhere. */
const SPEAK_OF_USERS: ReadonlySet<string> = new Set(['add_user', 'alter_user']);

const requesterOfToken = async (node: NodeHandle, token: string): Promise<Requester> => {
  const { user, kind } = await node.authenticateToken(token);
  return kind === 'refresh' ? { user, refreshToken: token } : { user };
};

const LOCAL_SUPER_USER: User = { username: 'local', superUser: true, active: true };

const active = (user: User): User => {
  if (!user.active) {
    throw unauthenticated('Cannot complete request: User is inactive');
  }
  return user;
};

/**
 * `authorizeLocal` trusts programs on this machine, and nobody they speak for: a forwarding proxy says so
 * in its headers, and a browser sends `Origin` with every POST, whatever page made it.
 */
const isDirectLocalRequest = (request: FastifyRequest): boolean =>
  isLoopback(request.raw.socket.remoteAddress ?? '') &&
  ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip', 'origin'].every(
    (header) => request.headers[header] === undefined,
  );

/** RFC 7617: the password may hold colons, the name may not. Undefined when it is no Basic value. */
const parseBasic = (value: string): { username: string; password: string } | undefined => {
  const text = /^[A-Za-z0-9+/_-]+=*$/.test(value)
    ? Buffer.from(value, 'base64').toString('utf8')
    : '';
  const colon = text.indexOf(':');
  return colon < 0
    ? undefined
    : { username: text.slice(0, colon), password: text.slice(colon + 1) };
};
