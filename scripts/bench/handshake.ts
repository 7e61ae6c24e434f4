/**
 * CPU time of one whole handshake between two nodes, both ends together: TLS with certificates of both, WebSocket, who the
 * other is, and whether its certificate was revoked, as the cache of a node knows it. Alternates with a bare mTLS WebSocket
 * handshake (ws and https) with the same certificates, and prints the ratio, which has to stay below 2.
 * Run as `node dist/scripts/bench/handshake.js [rounds]` after a build; 500 rounds unless told.
 */
import { once } from 'node:events';
import { createServer as createWebServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSecureContext } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import pino from 'pino';
import { admit } from '../../actors/admission.js';
import type { ActorRef, Reply } from '../../actors/kernel/types.js';
import type { RouterMessage } from '../../actors/messages.js';
import { revocationSpec } from '../../actors/revocation.js';
import { revocationTables } from '../../actors/revocationTables.js';
import { systemEnvironment } from '../../actors/environment.js';
import { SecureContexts, type ServedCertificate } from '../../actors/transport/secureContexts.js';
import type { Connection } from '../../actors/transport/types.js';
import { webSocketTransport } from '../../actors/transport/webSocket.js';
import { Trust } from '../../actors/trust.js';
import { startNode, type Node } from '../../index.js';
import { nodeName, type NodeName } from '../../protocol/ids.js';
import { httpFetch } from '../../security/httpFetch.js';
import { chooseCertificates } from '../../security/choice.js';
import { issue, makeAuthority, writeList } from '../../tests/support/testAuthority.js';

const HOST = '127.0.0.1';
const DOOR = nodeName('server-one');
const GUEST = nodeName('server-two');
const ROUNDS = 500;
const WARM_ROUNDS = 20;
const LOG = pino({ level: 'silent' });

interface Identity {
  readonly name: NodeName;
  readonly certificate: string;
  readonly key: string;
}

interface World {
  readonly authority: string;
  readonly door: Identity;
  readonly guest: Identity;
}

/** One handshake, both ends, to the end of the connection. */
type Handshake = () => Promise<void>;

const serveList = async () => {
  const authority = makeAuthority();
  const list = writeList(authority);
  const asked = { times: 0 };
  const server = createWebServer((_, response) => {
    asked.times++;
    response.end(list);
  }).listen(0, HOST);
  await once(server, 'listening');
  const lists = [`http://${HOST}:${(server.address() as AddressInfo).port}/list`];
  const identity = (name: NodeName, serial: string): Identity => {
    const { certificate, key } = issue(authority, { subject: name, serial, lists });
    return {
      name,
      certificate: certificate.toString(),
      key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  };
  const world: World = {
    authority: authority.certificate.toString(),
    door: identity(DOOR, '11'),
    guest: identity(GUEST, '12'),
  };
  return { world, server, asked };
};

const show = (contexts: SecureContexts, own: Identity, authority: string): void => {
  const served: ServedCertificate = {
    id: own.name,
    chain: `${own.certificate}\n${authority}`,
    key: own.key,
    names: [own.name],
    isSelfSigned: false,
    uses: [],
  };
  const choice = chooseCertificates([served], { ownName: own.name, use: 'replication' });
  contexts.replace({ ownName: own.name, choice, authorities: [authority] });
};

/** What a node believes, with the very actor and tables of one: those of a node in memory. */
const trustOf = async (node: Node, own: Identity, authority: string): Promise<Trust> => {
  const trust = new Trust();
  show(trust.contexts, own, authority);
  const router = await node.system.ask<ActorRef<RouterMessage>, never>(
    node.cluster as never,
    (replyTo) => ({ type: 'database.find', database: 'system', create: false, replyTo }) as never,
  );
  const ask = <T>(question: (replyTo: Reply<T>) => RouterMessage): Promise<T> =>
    node.system.ask(router, question);
  const resources = { environment: systemEnvironment(), log: LOG, trust };
  const cache = revocationTables(ask, trust.revocation.settings.crl);
  const spec = revocationSpec({ resources, cache, fetch: httpFetch, version: 'bench' });
  const actor = node.system.spawn({ ...spec, name: `revocation of ${own.name}` });
  trust.revocation.open({
    check: (pair) =>
      node.system.ask(actor, (replyTo) => ({ type: 'certificate.check', pair, replyTo })),
    released: (pem) => void actor.send({ type: 'certificate.released', pem }, 'control'),
  });
  return trust;
};

/** As peerSupervisor and peerLink do it, up to the greeting. */
const judge = async (connection: Connection, trust: Trust, from: NodeName): Promise<() => void> => {
  const { proven } = connection;
  const rules = { admits: (name: NodeName) => name === from, isRevoked: trust.isRevoked };
  const admission = admit(proven, { ...rules, nowMs: Date.now() });
  if ('reason' in admission || proven.kind !== 'certificate') throw new Error('not admitted');
  const release = trust.revocation.hold(proven.certificate);
  const refusal = await trust.revocation.check(proven.certificate, LOG);
  if (refusal !== undefined) throw new Error(refusal);
  return release;
};

const openSkein = async (node: Node, { authority, door, guest }: World) => {
  const doorTrust = await trustOf(node, door, authority);
  const guestTrust = await trustOf(node, guest, authority);
  let accepted: (connection: Connection) => void = () => undefined;
  const listening = await webSocketTransport({ contexts: doorTrust.contexts }).listen(
    { host: HOST, port: 0 },
    (connection) => accepted(connection),
    { secure: true },
  );
  const dialler = webSocketTransport({ contexts: guestTrust.contexts });
  const url = `wss://${HOST}:${listening.address.port}`;
  const handshake: Handshake = async () => {
    const arrived = new Promise<Connection>((resolve) => (accepted = resolve));
    const signal = new AbortController().signal;
    const dialled = dialler.dial(url, { signal, timeoutMs: 10_000, expected: DOOR });
    const ends = await Promise.all([dialled, arrived]);
    const releases = await Promise.all([
      judge(ends[0], guestTrust, DOOR),
      judge(ends[1], doorTrust, GUEST),
    ]);
    await Promise.all(ends.map(ended));
    for (const release of releases) release();
  };
  return { handshake, close: () => listening.close() };
};

const ended = (connection: Connection): Promise<void> =>
  new Promise((resolve) => {
    connection.start({ frame: () => undefined, closed: () => resolve(), drained: () => undefined });
    if (connection.dialled) connection.close(1000, '');
  });

const openBare = async ({ authority, door, guest }: World) => {
  const ca = authority;
  const server = createServer({
    cert: `${door.certificate}\n${authority}`,
    key: door.key,
    ca,
    requestCert: true,
    rejectUnauthorized: true,
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  server.listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const cert = `${guest.certificate}\n${authority}`;
  const secureContext = createSecureContext({ cert, key: guest.key, ca });
  const handshake: Handshake = async () => {
    const arrived = once(sockets, 'connection') as Promise<[WebSocket]>;
    const options = { secureContext, servername: DOOR, perMessageDeflate: false };
    const dialled = new WebSocket(`wss://${HOST}:${port}`, options);
    await once(dialled, 'open');
    const [accepted] = await arrived;
    dialled.close(1000);
    await Promise.all([once(dialled, 'close'), once(accepted, 'close')]);
  };
  return { handshake, close: () => void server.close() };
};

/** Microseconds of CPU time of this process. */
const costOf = async (handshake: Handshake): Promise<number> => {
  const before = process.cpuUsage();
  await handshake();
  const { user, system } = process.cpuUsage(before);
  return user + system;
};

const measure = async (rounds: number): Promise<void> => {
  const { world, server, asked } = await serveList();
  const node = await startNode(
    {
      replication: { hostname: 'memory-node', url: 'memory://bench' },
      storage: { engine: 'memory' },
    },
    { logger: LOG, passwordGenerated: () => undefined },
  );
  const skein = await openSkein(node, world);
  const bare = await openBare(world);
  for (let round = 0; round < WARM_ROUNDS; round++) {
    await skein.handshake();
    await bare.handshake();
  }
  const total = { skein: 0, bare: 0 };
  for (let round = 0; round < rounds; round++) {
    total.skein += await costOf(skein.handshake);
    total.bare += await costOf(bare.handshake);
  }
  const perRoundMs = (microseconds: number): string => (microseconds / rounds / 1_000).toFixed(2);
  console.log(`${rounds} handshakes of each kind, CPU time of both ends together`);
  console.log(`with identity and cached revocation checks: ${perRoundMs(total.skein)} ms`);
  console.log(`bare mTLS WebSocket: ${perRoundMs(total.bare)} ms`);
  console.log(`ratio: ${(total.skein / total.bare).toFixed(2)} (must be below 2)`);
  await skein.close();
  bare.close();
  server.close();
  await node.close();
  // Once for each end: all that was measured came from the cache.
  if (asked.times !== 2) throw new Error(`the list was asked for ${asked.times} times`);
  if (total.skein >= 2 * total.bare) process.exitCode = 1;
};

await measure(Number(process.argv[2] ?? ROUNDS));
