/**
 * Nodes over TLS with certificates of a test's authority that name a revocation list or a responder, and the web server on
 * loopback that these names lead to. Used by the tests of revocation at links; ends what it started.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { systemEnvironment } from '../../actors/environment.js';
import type { ConfigInput } from '../../config/types.js';
import { connectionsOf, startSecure, type SecureNode } from './secureNodes.js';
import { waitUntil } from './waitUntil.js';

/** Bytes, a status, or undefined: no answer at all. */
export type Answering = (body: Buffer) => Promise<Uint8Array | number | undefined>;

export interface AnswerServer {
  readonly url: string;
  /** What the paths answer; 404 for others. */
  readonly paths: Map<string, Answering>;
  /** How often each path was asked. */
  readonly asked: Map<string, number>;
}

export const serveAnswers = async (t: ExecutionContext): Promise<AnswerServer> => {
  const paths = new Map<string, Answering>();
  const asked = new Map<string, number>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? '';
    asked.set(path, (asked.get(path) ?? 0) + 1);
    const answering = paths.get(path);
    const bytes = answering ? await answering(await buffer(request)) : 404;
    if (typeof bytes === 'number') response.writeHead(bytes).end();
    else if (bytes !== undefined) response.end(bytes);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  server.listen(0, '127.0.0.8');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.8:${(server.address() as AddressInfo).port}`, paths, asked };
};

/** All in PEM. */
export interface Identity {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

type Verification = Exclude<
  NonNullable<ConfigInput['replication']>['mtls'],
  boolean | undefined
>['certificateVerification'];

/** `routes` as the configuration has them. */
export const startCertified = (
  t: ExecutionContext,
  name: string,
  parts: {
    identity: Identity;
    verification?: Verification;
    routes: readonly { hostname: string; url: string; revokedCertificates?: string[] }[];
    /** Ahead of the clock of this machine. */
    laterMs?: number;
  },
): Promise<SecureNode> => {
  const { identity, verification = true, routes, laterMs = 0 } = parts;
  const environment = { ...systemEnvironment(), now: () => Date.now() + laterMs };
  const { authority: certificateAuthority, certificate, key: privateKey } = identity;
  const replication = { routes: [...routes], mtls: { certificateVerification: verification } };
  const tls = { certificate, privateKey, certificateAuthority };
  return startSecure(t, name, { tls, replication }, { environment });
};

/** Nobody listens there: the other node has to dial. */
export const NOWHERE = 'wss://127.0.0.8:1';

const connectionTo = async (node: SecureNode, name: string) =>
  (await connectionsOf(node)).find((one) => one.name === name);

/** Resolves when both say that they are connected with the other. */
export const linked = (one: SecureNode, other: SecureNode): Promise<unknown> =>
  waitUntil(`${one.name} and ${other.name} to be linked`, async () => {
    const both = [await connectionTo(one, other.name), await connectionTo(other, one.name)];
    return both.every((connection) => connection?.connected === true);
  });

/** Resolves when `node` says so of its link to `name`. */
export const parted = (node: SecureNode, name: string, reason: RegExp): Promise<unknown> =>
  waitUntil(`${node.name} to say of ${name}: ${String(reason)}`, async () => {
    const connection = await connectionTo(node, name);
    return connection?.connected === false && reason.test(connection.reason ?? '');
  });
