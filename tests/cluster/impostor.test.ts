/**
 * A peer with a good certificate that behaves badly: it says it is somebody else, asks for what it may not have, sends what
 * nobody asked for. At the TLS port of a real node; each is refused with a reason and a log line, and nothing changes.
 */
import test, { type ExecutionContext } from 'ava';
import { encode } from '../../protocol/codec.js';
import { encodeEntries } from '../../protocol/dataFrames.js';
import { encodeEntry } from '../../protocol/entry.js';
import { decodeControl, encodeControl, type ControlFrame } from '../../protocol/frames.js';
import {
  databaseName,
  incarnation,
  nodeName,
  originId,
  sequence,
  tableGeneration,
  tableName,
  version,
  type OriginId,
} from '../../protocol/ids.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { generateKey } from '../../security/keys.js';
import { issue, newAuthority, requestFor, type KeyedCertificate } from '../support/certificates.js';
import type { RawPeer } from '../support/rawPeer.js';
import { knock, startSecure, type SecureNode } from '../support/secureNodes.js';
import { waitUntil } from '../support/waitUntil.js';

const [BEE, SEA] = ['server-bee', 'server-sea'];
/** Nobody listens there: both are raw peers, or absent. */
const route = (hostname: string, rest: object = {}) => ({
  hostname,
  url: 'wss://127.0.0.1:9',
  ...rest,
});

interface Scene {
  readonly door: SecureNode;
  readonly bee: KeyedCertificate;
}

/** A node that has routes to two others, shares `data` with one of them, and keeps `diary` for itself. */
const scene = async (t: ExecutionContext): Promise<Scene> => {
  const authority = await newAuthority('of the test');
  const door = await startSecure(t, 'server-door', {
    tls: { certificateAuthority: authority.certificate },
    replication: {
      routes: [
        route(BEE, {
          sendsTo: [{ database: 'data' }, { database: 'system' }],
          receivesFrom: [{ database: 'data' }, { database: 'system' }],
        }),
        route(SEA, { sendsTo: [{ database: 'data' }], receivesFrom: [] }),
      ],
    },
  });
  await door.send({ operation: 'create_table', table: 'dog', primary_key: 'id' });
  await door.send({ operation: 'insert', table: 'dog', records: [{ id: 1, name: 'Penny' }] });
  await door.send({ operation: 'create_database', database: 'diary' });
  const place = { database: 'diary', table: 'page' };
  await door.send({ operation: 'create_table', ...place, primary_key: 'id' });
  await door.send({ operation: 'insert', ...place, records: [{ id: 1, text: 'private' }] });
  return { door, bee: await issue({ dns: [BEE] }, authority) };
};

/** All that a peer could have changed. */
const dump = async ({ node, rows }: SecureNode): Promise<unknown> => ({
  members: await rows('hdb_nodes'),
  lives: await rows('hdb_node_generations'),
  certificates: await rows('hdb_certificate'),
  dogs: await node.send({
    operation: 'search_by_value',
    table: 'dog',
    attribute: 'id',
    value: '*',
  } as never),
  databases: Object.keys((await node.send({ operation: 'describe_all' } as never)) as object),
});

const hello = (node = BEE): Buffer =>
  encodeControl({
    kind: 'Hello',
    versions: { min: 1, max: 1 },
    node: nodeName(node),
    incarnation: incarnation('00000000000000b1'),
    process: 'p1',
    nowMs: Date.now(),
    clock: version(0),
    capabilities: [],
    databases: ['data', 'system'].map(databaseName),
  });

const greeted = async ({ door, bee }: Scene): Promise<RawPeer> => {
  const peer = await knock(door, { shown: bee });
  peer.send(hello());
  return peer;
};

/** Frames up to the first that `isIt`. */
const hear = async (
  peer: RawPeer,
  isIt: (frame: ControlFrame) => boolean,
): Promise<ControlFrame[]> => {
  const heard: ControlFrame[] = [];
  for (;;) {
    const frame = decodeControl(await peer.next());
    heard.push(frame);
    if (isIt(frame)) return heard;
  }
};

const answered = (peer: RawPeer, id: number): Promise<ControlFrame[]> => {
  peer.send(encodeControl({ kind: 'Ping', id }));
  return hear(peer, (frame) => frame.kind === 'Pong' && frame.id === id);
};

const closing = async ({ closed }: RawPeer): Promise<string> => {
  const { code, reason } = await closed;
  return `${code} ${reason}`;
};

const logs = (door: SecureNode, line: RegExp): Promise<unknown> =>
  waitUntil(`a line of the log like ${line}`, () => line.test(door.log()));

const OF_BEE = originId({ node: nodeName(BEE), incarnation: incarnation('00000000000000b1') });
const OF_SEA = originId({ node: nodeName(SEA), incarnation: incarnation('00000000000000c1') });

const entries = (stream: number, origin: OriginId): Buffer =>
  encodeEntries(stream, [
    {
      origin,
      bytes: encodeEntry({
        origin,
        sequence: sequence(1),
        version: version(Date.now() * 2_048),
        tables: [
          {
            table: tableName('dog'),
            generation: tableGeneration(1),
            changes: [{ key: encodeKey(99), change: { type: 'put', body: encode({ id: 99 }) } }],
          },
        ],
      }),
    },
  ]);

test('a peer that says it is another member is refused with both names', async (t) => {
  const it = await scene(t);
  const before = await dump(it.door);
  for (const [said, reason] of [
    [SEA, `Node name mismatch: the peer says ${SEA}, the connection proves ${BEE}`],
    ['server-door', 'Should not connect to self: server-door'],
    [
      'server-nobody',
      `Node name mismatch: the peer says server-nobody, the connection proves ${BEE}`,
    ],
  ] as const) {
    const peer = await knock(it.door, { shown: it.bee });
    peer.send(hello(said));
    t.is(await closing(peer), `1008 ${reason}`);
    t.is(peer.received.length, 0);
    await logs(it.door, new RegExp(`"peer":"${BEE}","reason":"${reason}"`));
  }
  t.deepEqual(await dump(it.door), before);
});

test('FL-02 a peer hears neither the name of a database it may not have, nor its tables, nor whether it is there', async (t) => {
  const it = await scene(t);
  const peer = await greeted(it);
  const subscribe = (stream: number, database: string): void =>
    peer.send(
      encodeControl({
        kind: 'Subscribe',
        stream,
        database: databaseName(database),
        wants: [],
        windowBytes: 1_000_000,
      }),
    );
  subscribe(1, 'diary');
  subscribe(3, 'fiction');
  const heard = await answered(peer, 7);
  // A change of what there is: news go to all peers.
  await it.door.send({ operation: 'create_database', database: 'letters' });
  await it.door.send({ operation: 'create_database', database: 'again' });
  heard.push(...(await answered(peer, 8)));
  const told = heard.filter(({ kind }) => kind === 'Welcome' || kind === 'Gossip');
  t.true(told.length >= 2);
  for (const frame of told)
    if ('databases' in frame) t.deepEqual([...frame.databases].sort(), ['data', 'system']);
  t.deepEqual(
    heard.filter(({ kind }) => kind === 'Unsubscribe'),
    [
      [1, 'diary'],
      [3, 'fiction'],
    ].map(([stream, database]) => ({
      kind: 'Unsubscribe',
      stream,
      reason: `Unauthorized database subscription to ${database}`,
    })) as never,
  );
  const all = Buffer.concat(peer.received).toString('latin1');
  t.notRegex(all.replaceAll(/Unauthorized database subscription to \w+/g, ''), /diary|letters/);
  t.notRegex(all, /page|private/);
});

/** The number under which the node asks for `data`. */
const askedFor = async (peer: RawPeer): Promise<number> => {
  const heard = await hear(
    peer,
    (frame) => frame.kind === 'Subscribe' && frame.database === 'data',
  );
  const last = heard.at(-1);
  if (last?.kind !== 'Subscribe') throw new Error('not asked for');
  return last.stream;
};

test('entries on a stream that was never asked for close the link', async (t) => {
  const it = await scene(t);
  const before = await dump(it.door);
  for (const stream of [3, 998]) {
    const peer = await greeted(it);
    await askedFor(peer);
    peer.send(entries(stream, OF_BEE));
    t.is(await closing(peer), `1008 stream ${stream} was never subscribed to`);
    await logs(it.door, new RegExp(`"reason":"stream ${stream} was never subscribed to"`));
  }
  t.deepEqual(await dump(it.door), before);
});

test('entries of a node that nothing is taken of are not taken from another either', async (t) => {
  const it = await scene(t);
  const before = await dump(it.door);
  const peer = await greeted(it);
  const stream = await askedFor(peer);
  const positions = [{ origin: OF_SEA, sequence: sequence(1), version: version(2_048) }];
  peer.send(encodeControl({ kind: 'Subscribed', stream, origin: OF_BEE, positions, whole: true }));
  peer.send(entries(stream, OF_SEA));
  const heard = await answered(peer, 7);
  t.false(
    heard.some(
      (frame) => frame.kind === 'Want' && frame.add.some(({ origin }) => origin === OF_SEA),
    ),
  );
  t.deepEqual(await dump(it.door), before);
  // What it wrote itself is taken over the same stream.
  const own = [{ origin: OF_BEE, sequence: sequence(1), version: version(2_048) }];
  peer.send(encodeControl({ kind: 'Notice', stream, positions: own, whole: true }));
  await hear(
    peer,
    (frame) => frame.kind === 'Want' && frame.add.some(({ origin }) => origin === OF_BEE),
  );
  peer.send(entries(stream, OF_BEE));
  await hear(peer, ({ kind }) => kind === 'Ack');
  t.is(((await dump(it.door)) as { dogs: unknown[] }).dogs.length, 2);
});

test('an operation on a link of replication closes it', async (t) => {
  const it = await scene(t);
  const before = await dump(it.door);
  const operation = { operation: 'remove_node_back', name: BEE, generation: 1 };
  const peer = await greeted(it);
  await answered(peer, 1);
  peer.send(encodeControl({ kind: 'Operation', id: 1, operation }));
  t.is(await closing(peer), '1008 Operation needs a connection of its own');
  await logs(it.door, /"reason":"Operation needs a connection of its own"/);
  t.deepEqual(await dump(it.door), before);
});

const REFUSED: readonly (readonly [
  string,
  (key: string) => Promise<Record<string, unknown>>,
  RegExp,
])[] = [
  [
    'a certificate of an authority',
    async (key) => ({
      operation: 'sign_certificate',
      csr: await requestFor({ commonName: BEE, dns: [BEE], isAuthority: true }, { key }),
    }),
    /Error verifying CSR: it asks for the rights of an authority/,
  ],
  [
    'a certificate for another member',
    async (key) => ({
      operation: 'sign_certificate',
      csr: await requestFor({ commonName: SEA, dns: [SEA] }, { key }),
    }),
    /Error verifying CSR: it names "server-sea", not server-bee/,
  ],
  [
    'a certificate with the name of another beside its own',
    async (key) => ({
      operation: 'sign_certificate',
      csr: await requestFor({ commonName: BEE, dns: [BEE, SEA] }, { key }),
    }),
    /Error verifying CSR: it names "server-sea", not server-bee/,
  ],
  [
    'a certificate for a key it does not have',
    async (key) => ({
      operation: 'sign_certificate',
      csr: await requestFor({ dns: [BEE] }, { key, signedWith: await generateKey() }),
    }),
    /Error verifying CSR: its signature was not made with the key in it/,
  ],
  [
    'to register another node',
    async () => ({
      operation: 'add_node_back',
      hostname: 'server-evil',
      url: 'wss://127.0.0.1:9',
      generations: {},
    }),
    /Node name mismatch: the node says server-evil, the connection proves server-bee/,
  ],
  [
    'to register itself as another member',
    async () => ({
      operation: 'add_node_back',
      hostname: SEA,
      url: 'wss://127.0.0.1:9',
      generations: {},
    }),
    /Node name mismatch: the node says server-sea, the connection proves server-bee/,
  ],
  [
    'to remove another member',
    async () => ({ operation: 'remove_node_back', name: SEA, generation: 1 }),
    /remove_node_back may only remove the authenticated peer or this node, not 'server-sea'/,
  ],
  [
    'for an operation of users',
    async () => ({
      operation: 'add_user',
      username: 'x',
      password: 'swordfish',
      role: 'super_user',
    }),
    /Operation 'add_user' not found/,
  ],
];

test('an operation that is about somebody else is refused, logged without secrets, and changes nothing', async (t) => {
  const it = await scene(t);
  const before = await dump(it.door);
  const key = await generateKey();
  for (const [what, ask, refusal] of REFUSED) {
    const operation = await ask(key);
    const peer = await knock(it.door, { shown: it.bee, purpose: 'skein.operation.v1' });
    peer.send(encodeControl({ kind: 'Operation', id: 1, operation }));
    const answer = decodeControl(await peer.next());
    t.regex(answer.kind === 'OperationResult' ? (answer.error?.message ?? '') : '', refusal, what);
    t.is(await closing(peer), '1000 answered');
    await logs(
      it.door,
      new RegExp(`"names":\\["${BEE}"\\],"operation":"${String(operation['operation'])}"`),
    );
  }
  t.is(it.door.log().split('refused an operation of another node').length - 1, REFUSED.length);
  t.notRegex(it.door.log(), /swordfish|BEGIN CERTIFICATE/);
  t.deepEqual(await dump(it.door), before);
});
