/**
 * Thousands of hostile messages at the replication port of a running node, with TLS and without: instead of a handshake,
 * instead of a greeting, after one with a good identity, in place of an operation. The node stays up, holds no more memory
 * than before, and no error is one of its own.
 */
import { connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import {
  decodeControl,
  encodeControl,
  FRAME_KIND,
  isControlFrame,
  type ControlFrame,
} from '../../protocol/frames.js';
import { databaseName, incarnation, nodeName, version } from '../../protocol/ids.js';
import { MIB } from '../../protocol/limits.js';
import { issue, newAuthority, type KeyedCertificate } from '../support/certificates.js';
import { readExpected } from '../support/checkout.js';
import { COLLECTING, startCluster, type ClusterNode } from '../support/cluster.js';
import { flat } from '../support/clusterClient.js';
import { drawing, mutated, noise, oneOf, type Draw } from '../support/fuzzBytes.js';
import { openRawPeer, type RawPeer } from '../support/rawPeer.js';
import { waitUntil } from '../support/waitUntil.js';

interface Scene {
  readonly node: ClusterNode;
  readonly draw: Draw;
  /** The node that the peer is: configured and not running. */
  readonly self: string;
  readonly shown: KeyedCertificate | undefined;
}

const FIXTURES = Object.keys(FRAME_KIND).map((kind) =>
  Buffer.from(readExpected(`tests/fixtures/frames/${kind}.hex`).replaceAll(/\s/g, ''), 'hex'),
);

const start = async (t: ExecutionContext, secure: boolean): Promise<Scene> => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  t.log(`seed ${seed}`);
  const authority = secure ? await newAuthority('of the test') : undefined;
  const cluster = await startCluster({
    nodes: 2,
    asleep: [1],
    secure,
    nodeArguments: COLLECTING,
    config: {
      // A member may bring databases; here their files would hide what is left of connections.
      replication: { databases: ['data', 'system'] },
      ...(authority && { tls: { certificateAuthority: authority.certificate } }),
    },
  });
  t.teardown(() => cluster.close());
  const [node, self] = [cluster.node(0), cluster.node(1).name];
  await node.client.send({ operation: 'create_table', table: 'dog', primary_key: 'id' });
  await node.client.send({ operation: 'insert', table: 'dog', records: [{ id: 1 }] });
  const shown = authority && (await issue({ ips: [self] }, authority));
  return { node, draw: drawing(seed), self, shown };
};

const open = ({ node, self, shown }: Scene, purpose = 'skein.replication.v1'): Promise<RawPeer> =>
  openRawPeer(node.replicationUrl, {
    subprotocols: [purpose],
    localAddress: self,
    rejectUnauthorized: false,
    ...(shown && { cert: shown.certificate, key: shown.key }),
  });

const hello = (self: string): Buffer =>
  encodeControl({
    kind: 'Hello',
    versions: { min: 1, max: 1 },
    node: nodeName(self),
    incarnation: incarnation('00000000000000b1'),
    process: 'p1',
    nowMs: Date.now(),
    clock: version(0),
    capabilities: [],
    databases: ['data', 'system'].map(databaseName),
  });

const UPGRADE = Buffer.from(
  'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: skein.replication.v1\r\n\r\n',
);
/** The beginning of a handshake of TLS. */
const CLIENT_HELLO = Buffer.concat([
  Buffer.from('16030100c8010000c40303', 'hex'),
  Buffer.alloc(32, 7),
  Buffer.from('20', 'hex'),
  Buffer.alloc(32, 9),
  Buffer.from('0004130113020100', 'hex'),
  Buffer.alloc(120),
]);

/** Resolves when the node has hung up, or was given the time of a turn to read what was written. */
const knock = (scene: Scene, bytes: Buffer): Promise<void> =>
  new Promise((resolve) => {
    const { name, ports } = scene.node;
    const socket = connect({ host: name, port: ports.replication, localAddress: scene.self });
    socket.once('close', () => resolve());
    // What the other end does with rubbish is its own affair, as long as it goes on.
    socket.on('error', () => socket.destroy());
    socket.on('data', () => socket.end());
    socket.write(bytes, () => socket.end());
  });

const phases: Readonly<Record<string, { count: number; run: (scene: Scene) => Promise<number> }>> =
  {
    'instead of a handshake': {
      count: 400,
      run: async (scene) => {
        const { draw } = scene;
        const valid = oneOf(draw, [UPGRADE, CLIENT_HELLO]);
        await knock(scene, draw(4) === 0 ? noise(draw) : mutated(draw, valid, UPGRADE));
        return 1;
      },
    },
    'instead of a greeting': {
      count: 300,
      run: async (scene) => {
        const peer = await open(scene);
        const valid = scene.draw(3) === 0 ? oneOf(scene.draw, FIXTURES) : hello(scene.self);
        peer.send(mutated(scene.draw, valid, hello(scene.self)));
        peer.close();
        await peer.closed;
        return 1;
      },
    },
    'after a greeting': { count: 200, run: (scene) => misbehave(scene) },
    'in place of an operation': {
      count: 300,
      run: async (scene) => {
        const peer = await open(scene, 'skein.operation.v1');
        peer.send(mutated(scene.draw, oneOf(scene.draw, OPERATIONS), hello(scene.self)));
        peer.close();
        await peer.closed;
        return 1;
      },
    },
  };

const OPERATIONS = ['add_node_back', 'remove_node_back', 'sign_certificate', 'create_csr'].map(
  (operation) =>
    encodeControl({
      kind: 'Operation',
      id: 1,
      operation: {
        operation,
        hostname: 'x',
        name: 'x',
        url: null,
        generation: 1,
        generations: { x: 1 },
        csr: '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n',
      },
    }),
);

const FRAMES_PER_LINK = 25;

/** Greets well, waits for what it is asked, and answers with what is nearly right until it is thrown out. */
const misbehave = async (scene: Scene): Promise<number> => {
  const { draw, self } = scene;
  const peer = await open(scene);
  const link = { isOver: false };
  void peer.closed.then(() => (link.isOver = true));
  peer.send(hello(self));
  const stream = await askedFor(peer);
  let sent = 0;
  while (!link.isOver && sent < FRAMES_PER_LINK) {
    const frame = oneOf(draw, FIXTURES);
    // A greeting or a Bye ends all at once.
    if ((frame[0] ?? 0) <= FRAME_KIND.Bye) continue;
    const valid = onStream(frame, draw(4) === 0 ? 3 : stream);
    peer.send(draw(3) === 0 ? valid : mutated(draw, valid, oneOf(draw, FIXTURES)));
    sent++;
    // Now and then the node has its turn, to hang up or to answer.
    if (draw(4) === 0) await new Promise(setImmediate);
  }
  peer.close();
  await peer.closed;
  return sent;
};

const askedFor = async (peer: RawPeer): Promise<number> => {
  for (;;) {
    const frame = decodeControl(await peer.next());
    if (frame.kind === 'Subscribe') return frame.stream;
  }
};

const onStream = (frame: Buffer, stream: number): Buffer => {
  if (isControlFrame(frame)) {
    const control = decodeControl(frame);
    if (!('stream' in control)) return frame;
    return encodeControl({ ...control, stream } as ControlFrame);
  }
  const copy = Buffer.from(frame);
  copy.writeUInt32BE(stream, 1);
  return copy;
};

/** Crashes of all actors but streams, which end with what they were sent. */
const crashesOf = async ({ node }: Scene): Promise<string[]> =>
  flat((await node.client.tree()).actors)
    .filter(({ name, crashes }) => crashes > 0 && !/^(?:feed|resync):/.test(name))
    .map(({ path, crashes }) => `${path} ${crashes}`);

const GROWTH_BYTES_MAX = 48 * MIB;

for (const secure of [false, true])
  test.serial(`a node ${secure ? 'with' : 'without'} TLS outlives every phase`, async (t) => {
    t.timeout(120_000);
    const scene = await start(t, secure);
    const { node } = scene;
    await misbehave(scene);
    const before = await node.resources();
    for (const [name, { count, run }] of Object.entries(phases)) {
      let sent = 0;
      for (let round = 0; round < count; round++) sent += await run(scene);
      t.log(`${name}: ${sent} messages`);
      t.is((await node.client.probe('/livez')).status, 200, name);
      t.deepEqual(await crashesOf(scene), [], name);
    }
    await waitUntil('all connections to be gone', async () => {
      const { fileDescriptors } = await node.resources();
      return fileDescriptors <= before.fileDescriptors + 8;
    });
    const after = await node.resources();
    const growth = after.anonymousBytes - before.anonymousBytes;
    t.log(`heap ${before.heapBytes} then ${after.heapBytes}, memory grown by ${growth}`);
    t.true(growth < GROWTH_BYTES_MAX, `${growth} bytes more than before`);
    t.notRegex(await node.log(), /TypeError|RangeError|unhandled|uncaught/i);
    const kept = { operation: 'search_by_id', table: 'dog', ids: [1], get_attributes: ['id'] };
    t.deepEqual(await node.client.send(kept), [{ id: 1 }]);
  });
