/**
 * What only real sockets can do to a node: garbage, foreign protocols, floods, resets. An error that
 * nobody listens for ends this process, and with it the run.
 */
import { createServer as createHttpServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Connection } from '../../actors/transport/types.js';
import {
  SUBPROTOCOLS,
  webSocketTransport,
  type WebSocketTransportOptions,
} from '../../actors/transport/webSocket.js';
import { KIB, limits, MIB } from '../../protocol/limits.js';
import { openLinkProxy } from '../support/linkProxy.js';
import { openRawPeer } from '../support/rawPeer.js';
import { eventually, record, type Recorder } from '../support/recorder.js';
import { reset } from '../support/reset.js';
import { waitUntil } from '../support/waitUntil.js';

interface Node {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly connections: Connection[];
  readonly recorders: Recorder[];
}

const HOST = '127.0.0.2';

/** A listening port that starts whatever it accepts. */
const openNode = async (
  t: ExecutionContext,
  options?: WebSocketTransportOptions,
): Promise<Node> => {
  const connections: Connection[] = [];
  const recorders: Recorder[] = [];
  const listening = await webSocketTransport(options).listen(
    { host: HOST, port: 0 },
    (accepted) => {
      connections.push(accepted);
      recorders.push(record(accepted));
    },
  );
  t.teardown(async () => {
    await listening.close();
    for (const connection of connections) connection.terminate();
  });
  const { port } = listening.address;
  return { host: HOST, port, url: `ws://${HOST}:${port}`, connections, recorders };
};

interface RawSocket {
  readonly socket: Socket;
  /** All that came, once the other end has closed. */
  readonly answer: Promise<string>;
}

const openSocket = async (node: Node): Promise<RawSocket> => {
  const socket = connect(node.port, node.host);
  let heard = '';
  socket.setEncoding('latin1').on('data', (more: string) => (heard += more));
  const answer = new Promise<string>((resolve) => socket.once('close', () => resolve(heard)));
  await new Promise<void>((resolve, reject) =>
    socket.once('connect', resolve).once('error', reject),
  );
  socket.off('error', () => undefined).on('error', () => socket.destroy());
  return { socket, answer };
};

const upgradeRequest = (lines: readonly string[] = []): string =>
  [
    'GET / HTTP/1.1',
    'Host: node',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: c2tlaW4gc2tlaW4gc2tlaQ==',
    ...lines,
    '\r\n',
  ].join('\r\n');

const dial = (url: string, localAddress?: string): Promise<Connection> =>
  webSocketTransport().dial(url, {
    signal: new AbortController().signal,
    timeoutMs: 10_000,
    ...(localAddress === undefined ? {} : { localAddress }),
  });

const stillAccepts = async (t: ExecutionContext, node: Node): Promise<void> => {
  const connection = await dial(node.url);
  t.true(connection.dialled);
  connection.terminate();
};

test('garbage on the port is answered 400 and dropped', async (t) => {
  const node = await openNode(t);
  const tlsGreeting = '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03';
  for (const garbage of ['\0\0\0\0', 'skein!\r\n\r\n', tlsGreeting, '\xff'.repeat(100 * KIB)]) {
    const { socket, answer } = await openSocket(node);
    socket.write(garbage, 'latin1');
    t.regex(await answer, /^HTTP\/1\.1 4\d\d /);
  }
  t.is(node.connections.length, 0);
  await stillAccepts(t, node);
});

test('an HTTP request that is no upgrade is answered 426 with a short text', async (t) => {
  const node = await openNode(t);
  for (const method of ['GET', 'POST', 'DELETE']) {
    const response = await fetch(`http://${node.host}:${node.port}/x`, { method });
    t.is(response.status, 426);
    t.is(
      await response.text(),
      `This port speaks ${replication} and ${operation} over WebSocket and nothing else.\n`,
    );
  }
});

test('a client without the subprotocol is refused with 400', async (t) => {
  const node = await openNode(t);
  for (const subprotocols of [[], ['other'], ['skein.replication.v2', 'x']]) {
    await t.throwsAsync(openRawPeer(node.url, { subprotocols }), { message: /response: 400/ });
  }
  const { socket, answer } = await openSocket(node);
  socket.write(upgradeRequest());
  t.regex(
    await answer,
    /^HTTP\/1\.1 400 [^]*subprotocol skein\.replication\.v1 or skein\.operation\.v1 is required/,
  );
  t.is(node.connections.length, 0);
});

const { replication, operation } = SUBPROTOCOLS;

for (const [offered, chosen, purpose] of [
  [`other, ${replication}`, replication, 'replication'],
  [`other, ${operation}`, operation, 'operation'],
  [`${operation}, ${replication}`, operation, 'operation'],
  [`${replication}, ${operation}`, replication, 'replication'],
] as const)
  test(`SE-25 of the subprotocols ${offered} the first known one is taken, and compression is never agreed on`, async (t) => {
    const node = await openNode(t);
    const { socket, answer } = await openSocket(node);
    const offers = [
      `Sec-WebSocket-Protocol: ${offered}`,
      'Sec-WebSocket-Extensions: permessage-deflate',
    ];
    socket.write(upgradeRequest(offers));
    await eventually('accepted', () => node.connections.length === 1);
    t.is(node.connections[0]?.purpose, purpose);
    socket.end();
    const response = await answer;
    t.regex(response, /^HTTP\/1\.1 101 /);
    t.true(response.includes(`Sec-WebSocket-Protocol: ${chosen}\r\n`), response);
    t.notRegex(response, /Extensions/);
  });

test('a server without the subprotocol is not dialled', async (t) => {
  const server = createHttpServer().on('upgrade', (_request, socket) => {
    // The accept value that belongs to no key: refused for that or for the missing subprotocol.
    socket.end(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  await t.throwsAsync(dial(`ws://${HOST}:${port}`), { message: /Invalid|no subprotocol/ });
});

test('a refusing answer becomes a readable message without control characters', async (t) => {
  const server = createHttpServer().on('upgrade', (_request, socket) => {
    const text = 'try\u001b[31m\nlater';
    socket.end(`HTTP/1.1 503 Busy\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  await t.throwsAsync(dial(`ws://${HOST}:${port}`), {
    message: `${HOST}:${port} answered 503 Busy: try [31m later`,
  });
});

test('an endless refusing answer is cut', async (t) => {
  const server = createHttpServer().on('upgrade', (_request, socket) => {
    socket.on('error', () => socket.destroy());
    socket.write(`HTTP/1.1 500 Oh\r\n\r\n${'no '.repeat(10_000)}`);
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const error = await t.throwsAsync(dial(`ws://${HOST}:${port}`));
  t.regex(error?.message ?? '', /answered 500 Oh: (no ){80}/);
  t.true((error?.message.length ?? 0) < 320);
});

test('a text message closes with 1003', async (t) => {
  const node = await openNode(t);
  const peer = await openRawPeer(node.url);
  peer.sendText('hello');
  t.is((await peer.closed).code, 1003);
  await eventually('closed', () => node.recorders[0]?.closings.length === 1);
  t.is(node.recorders[0]?.closings[0]?.code, 1003);
  t.is(node.recorders[0]?.frames.length, 0);
});

test('SE-24 1 MiB before the greeting closes both ends with 1009', async (t) => {
  const node = await openNode(t);
  const peers = await Promise.all(Array.from({ length: 50 }, () => openRawPeer(node.url)));
  for (const peer of peers) peer.send(Buffer.alloc(MIB));
  for (const peer of peers) t.is((await peer.closed).code, 1009);
  await eventually('closed', () => node.recorders.every(({ closings }) => closings.length === 1));
  t.deepEqual(new Set(node.recorders.map(({ closings }) => closings[0]?.code)), new Set([1009]));
});

test('SE-24 a declared length above the limit is refused before any memory is spent on it', async (t) => {
  const node = await openNode(t);
  for (const declared of [limits.greetingBytesMax + 1, MIB, 101 * MIB, 4 * 1024 * MIB]) {
    const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    header.writeBigUInt64BE(BigInt(declared), 2);
    const peer = await openRawPeer(node.url);
    peer.sendRaw(header);
    t.is((await peer.closed).code, 1009);
  }
});

test('SE-24 empty fragments without end are refused', async (t) => {
  const node = await openNode(t);
  const peer = await openRawPeer(node.url);
  const first = Buffer.from([0x02, 0x80, 1, 2, 3, 4]);
  const more = Buffer.from([0x00, 0x80, 1, 2, 3, 4]);
  peer.sendRaw(Buffer.concat([first, ...Array.from({ length: 10_000 }, () => more)]));
  t.is((await peer.closed).code, 1008);
});

test('a frame that breaks the protocol closes with 1002', async (t) => {
  const node = await openNode(t);
  for (const bytes of [
    [0xff, 0xff],
    [0x82, 0x01, 0x00],
    [0x80, 0x80, 0, 0, 0, 0],
  ]) {
    const peer = await openRawPeer(node.url);
    peer.sendRaw(Buffer.from(bytes));
    t.is((await peer.closed).code, 1002);
  }
});

test('a 4 MiB frame that arrives in thousands of small pieces is taken', async (t) => {
  const node = await openNode(t);
  const peer = await openRawPeer(node.url);
  await eventually('accepted', () => node.connections.length === 1);
  node.connections[0]?.acceptFrames(limits.frameBytesMax);
  const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  header.writeBigUInt64BE(BigInt(limits.frameBytesMax), 2);
  peer.sendRaw(header);
  for (let sent = 0; sent < limits.frameBytesMax; sent += KIB) {
    peer.sendRaw(Buffer.alloc(KIB));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually('the frame', () => node.recorders[0]?.frames.length === 1);
  t.is(node.recorders[0]?.frames[0]?.length, limits.frameBytesMax);
  peer.reset();
});

test('a connection that is no WebSocket after 10 s is dropped, whatever it says', async (t) => {
  const pending = new Set<{ afterMs: number; run: () => void }>();
  const setTimer = (afterMs: number, run: () => void): unknown => {
    const timer = { afterMs, run };
    pending.add(timer);
    return timer;
  };
  const clearTimer = (timer: unknown): void => void pending.delete(timer as never);
  const node = await openNode(t, { timers: { setTimer, clearTimer } });
  const silent = await openSocket(node);
  const trickling = await openSocket(node);
  trickling.socket.write('GET / HT');
  const peer = await openRawPeer(node.url);
  await eventually('only two wait', () => pending.size === 2);
  for (const timer of pending) {
    t.is(timer.afterMs, 10_000);
    timer.run();
  }
  t.is(await silent.answer, '');
  t.is(await trickling.answer, '');
  peer.send(Buffer.from('I am in'));
  await eventually('the frame', () => node.recorders[0]?.frames.length === 1);
  peer.reset();
});

test('connections above the maximum are dropped, and let in again when there is room', async (t) => {
  const node = await openNode(t, { connectionsMax: 2 });
  const first = await dial(node.url);
  const second = await dial(node.url);
  await t.throwsAsync(dial(node.url), { message: /ECONNRESET|socket hang up/ });
  first.terminate();
  await eventually('ended', () => node.recorders.some(({ closings }) => closings.length === 1));
  (await dial(node.url)).terminate();
  second.terminate();
});

test('one address that opens connections and says nothing keeps no other out', async (t) => {
  const node = await openNode(t);
  const open: Socket[] = [];
  let dropped = 0;
  t.teardown(() => open.forEach((socket) => socket.destroy()));
  for (let count = 0; count < limits.upgradesPerAddressMax + 20; count++) {
    const socket = connect({ port: node.port, host: node.host, localAddress: '127.0.0.66' });
    socket.on('error', () => undefined).once('close', () => dropped++);
    open.push(socket);
  }
  await eventually('the surplus is dropped', () => dropped === 20);
  const other = await openRawPeer(node.url, { localAddress: '127.0.0.67' });
  await eventually('another is let in', () => node.connections.length === 1);
  other.close();
  open.forEach((socket) => socket.destroy());
  await eventually('all are gone', () => dropped === open.length);
  // Those that have gone count no more, once the node has seen them go.
  await waitUntil('the first is let in again', () =>
    openRawPeer(node.url, { localAddress: '127.0.0.66' }).then(
      (again) => {
        again.close();
        return true;
      },
      () => false,
    ),
  );
  t.is(node.connections.length, 2);
});

test('the other end sees the address that was dialled from', async (t) => {
  const node = await openNode(t);
  const dialler = await dial(node.url, '127.0.0.3');
  await eventually('accepted', () => node.connections.length === 1);
  t.is(node.connections[0]?.remoteAddress, '127.0.0.3');
  t.is(dialler.remoteAddress, HOST);
  dialler.terminate();
});

test('listening beyond loopback is refused with what to do', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', '::ffff:10.0.0.1', '2001:db8::1']) {
    const listening = webSocketTransport().listen({ host, port: 0 }, () => undefined);
    const error = await t.throwsAsync(listening, { code: 'INSECURE_ADDRESS' });
    t.true(error?.message.includes(host.replace('::ffff:', '')));
    t.regex(error?.message ?? '', /set replication\.hostname/);
  }
});

test('loopback addresses are listened on under their canonical spelling', async (t) => {
  for (const [host, canonical] of [
    ['::ffff:127.0.0.6', '127.0.0.6'],
    ['127.6', '127.0.0.6'],
    ['::1', '::1'],
  ] as const) {
    const listening = await webSocketTransport().listen({ host, port: 0 }, () => undefined);
    t.is(listening.address.host, canonical);
    await listening.close();
  }
});

test('a node without TLS does not dial wss://', async (t) => {
  await t.throwsAsync(dial('wss://127.0.0.2:9933'), { message: /this node has no TLS/ });
});

test('a peer that has finished and does not read is cut off', async (t) => {
  const node = await openNode(t);
  const peer = await openRawPeer(node.url);
  peer.pause();
  await eventually('accepted', () => node.connections.length === 1);
  for (let sent = 0; sent < 24; sent += 1) node.connections[0]?.send(Buffer.alloc(MIB));
  peer.finish();
  await eventually('ended', () => node.recorders[0]?.closings.length === 1, 5_000);
  t.is(node.recorders[0]?.closings[0]?.code, 1006);
  peer.reset();
});

test('a reset is told as 1006', async (t) => {
  const node = await openNode(t);
  const peer = await openRawPeer(node.url);
  await eventually('accepted', () => node.connections.length === 1);
  peer.reset();
  await eventually('ended', () => node.recorders[0]?.closings.length === 1);
  t.deepEqual(node.recorders[0]?.closings, [{ code: 1006, reason: 'read ECONNRESET' }]);
});

/** Its own generator, so that a failing run can be told by its seed and repeated. */
const generator = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
};

test('resets at 200 random moments, seen from the accepting end, leave nothing behind', async (t) => {
  const node = await openNode(t);
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  const random = generator(seed);
  const request = upgradeRequest([`Sec-WebSocket-Protocol: ${replication}`]);
  const frame = Buffer.concat([
    Buffer.from([0x82, 0xfe, 0x08, 0x00, 0, 0, 0, 0]),
    Buffer.alloc(2048),
  ]);
  const conversation = Buffer.concat([
    Buffer.from(request),
    frame,
    frame,
    Buffer.from([0x88, 0x80]),
  ]);
  for (let round = 0; round < 200; round += 1) {
    const { socket, answer } = await openSocket(node);
    const accepted = node.connections.length;
    const bytes = Math.floor(random() * conversation.length);
    socket.write(conversation.subarray(0, bytes));
    if (bytes >= request.length && random() < 0.7) {
      await eventually('accepted', () => node.connections.length > accepted);
      node.connections.at(-1)?.send(Buffer.alloc(Math.floor(random() * MIB)));
    }
    reset(socket);
    await answer;
  }
  await eventually('all told', () => node.recorders.every(({ closings }) => closings.length === 1));
  t.true(node.recorders.length > 50);
  await stillAccepts(t, node);
});

test('resets at 200 random moments, seen from both ends, leave nothing behind', async (t) => {
  const node = await openNode(t);
  const proxy = await openLinkProxy({ target: node });
  t.teardown(() => proxy.close());
  const seed = Date.now() % 1_000_000;
  t.log(`seed ${seed}`);
  const random = generator(seed);
  const url = `ws://${node.host}:${proxy.address.port}`;
  let refused = 0;
  for (let round = 0; round < 200; round += 1) {
    proxy.rstAt(1 + Math.floor(random() * 4_000));
    const dialler = await dial(url).catch((error: unknown) => error);
    if (dialler instanceof Error) {
      refused += 1;
      continue;
    }
    const connection = dialler as Connection;
    const recorder = record(connection);
    while (recorder.closings.length === 0) {
      connection.send(Buffer.alloc(100));
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.deepEqual(
      recorder.closings.map(({ code }) => code),
      [1006],
    );
  }
  await eventually('all told', () => node.recorders.every(({ closings }) => closings.length === 1));
  t.true(refused > 0 && node.recorders.length > 50);
  proxy.restore();
  await stillAccepts(t, node);
});
