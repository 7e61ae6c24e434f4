/**
 * Broken and hostile input at every door of running nodes: it is refused with a reason, changes nothing, and crashes
 * no actor but the stream that carried it. The raw peer speaks from the address of a node that is configured and does
 * not run.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { encodeEntries, encodeFramePart } from '../../protocol/dataFrames.js';
import { encodeEntry } from '../../protocol/entry.js';
import { decodeControl, encodeControl, FRAME_KIND, type Greeting } from '../../protocol/frames.js';
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
import { KIB, limits, MIB } from '../../protocol/limits.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { encode } from '../../protocol/codec.js';
import { startCluster, type Cluster, type ClusterNode } from '../support/cluster.js';
import { flat } from '../support/clusterClient.js';
import { canonical, differenceOf, settle, type Dump } from '../support/clusterDump.js';
import { openRawPeer, type RawPeer } from '../support/rawPeer.js';
import { waitUntil } from '../support/waitUntil.js';

let cluster: Cluster;
let before: Dump;
let livesBefore: string;

const ASLEEP = 2;
const victim = (): ClusterNode => cluster.node(0);
/** Whose address the raw peer dials from. */
const absent = (): string => cluster.node(ASLEEP).name;

test.before(async () => {
  cluster = await startCluster({ nodes: 3, asleep: [ASLEEP] });
  const { client } = cluster.node(0);
  await client.send({ operation: 'create_table', table: 'dog', primary_key: 'id' });
  await client.send({
    operation: 'insert',
    table: 'dog',
    records: [
      { id: 1, name: 'Penny' },
      { id: 'two', name: 'Kato' },
    ],
  });
  before = await settle(cluster);
  livesBefore = await lives();
});

test.afterEach.always('nothing has changed and nobody else has crashed', async (t) => {
  const after = await settle(cluster);
  t.is(differenceOf(before, after), undefined);
  t.is(await lives(), livesBefore);
  t.is((await victim().client.probe('/readyz')).status, 200);
});

test.after.always(() => cluster.close());

/** Crashes and lives of all actors but the streams with the raw peer. */
const lives = async (): Promise<string> => {
  const { actors } = await victim().client.tree();
  const others = flat(actors).filter(
    ({ path, name }) => !(path.includes(`/peer:${absent()}/`) && /^(?:feed|resync):/.test(name)),
  );
  return canonical(
    others.map(({ path, life, crashes, state }) => ({ path, life, crashes, state })),
  );
};

const inserting = (record: string): string =>
  `{"operation":"insert","table":"dog","records":[${record}]}`;
const nested = (levels: number): string =>
  inserting(`{"id":2,"a":${'['.repeat(levels)}${']'.repeat(levels)}}`);

const BODIES: readonly (readonly [string, string, number, RegExp])[] = [
  ['nothing', '', 400, /Invalid JSON/],
  ['half an object', '{"operation":', 400, /Invalid JSON/],
  ['an array', '[1,2]', 400, /Invalid JSON/],
  ['null', 'null', 400, /Invalid JSON/],
  ['no operation', '{"table":"dog"}', 400, /must include an 'operation' property/],
  ['an unknown operation', '{"operation":"sql"}', 400, /Operation 'sql' not found/],
  ['an operation called __proto__', '{"operation":"__proto__"}', 400, /not found/],
  ['an operation called constructor', '{"operation":"constructor"}', 400, /not found/],
  [
    'an unknown table',
    '{"operation":"insert","table":"cat","records":[{"id":1}]}',
    404,
    /Table 'data\.cat' does not exist/,
  ],
  [
    'an unknown database',
    '{"operation":"insert","database":"zoo","table":"dog","records":[{"id":1}]}',
    404,
    /database 'zoo' does not exist/,
  ],
  [
    'an update without a key',
    '{"operation":"update","table":"dog","records":[{"name":"x"}]}',
    400,
    /hash attribute/,
  ],
  ['a delete without keys', '{"operation":"delete","table":"dog"}', 400, /'ids' is required/],
  ['an object as key', inserting('{"id":{}}'), 400, /records\[0\]\.id/],
  ['a key of 10 MB', inserting(`{"id":"${'k'.repeat(10 * MIB)}"}`), 400, /exceeds 1024 bytes/],
  ['half a surrogate pair as key', inserting('{"id":"\\ud800"}'), 400, /surrogate/],
  ['an attribute __proto__', inserting('{"id":3,"__proto__":{"x":1}}'), 400, /__proto__/],
  [
    'an attribute __proto__ deep inside',
    inserting('{"id":3,"a":{"b":{"__proto__":1}}}'),
    400,
    /__proto__/,
  ],
  ['5 000 levels', nested(5_000), 400, /nested deeper than 64/],
  ['1 000 000 levels', nested(1_000_000), 400, /nested deeper than 64/],
  [
    'a table name that leads elsewhere',
    '{"operation":"create_table","table":"../../x","primary_key":"id"}',
    400,
    /forward slashes/,
  ],
  [
    'an unknown comparator',
    '{"operation":"search_by_conditions","table":"dog","conditions":[{"attribute":"id","comparator":"like","value":1}]}',
    400,
    /comparator/,
  ],
];

test.serial(
  'SE-22 SE-23 operations that make no sense are refused with what is wrong',
  async (t) => {
    for (const [what, body, status, message] of BODIES) {
      const answer = await victim().client.post(body);
      t.is(answer.status, status, `${what}: ${answer.text.slice(0, 200)}`);
      t.regex(answer.text, message, what);
      t.not(answer.errorCode, '', what);
    }
  },
);

test.serial(
  'SE-23 SE-25 bodies in other formats are refused before they are read deep',
  async (t) => {
    const { client } = victim();
    const cases: [string, Buffer, Record<string, string>, number][] = [
      ['MessagePack', Buffer.alloc(MIB, 0x91), { 'content-type': 'application/x-msgpack' }, 400],
      ['CBOR', Buffer.alloc(MIB, 0x81), { 'content-type': 'application/cbor' }, 400],
      ['endless CBOR', Buffer.alloc(MIB, 0x9f), { 'content-type': 'application/cbor' }, 400],
      [
        '4 000 000 000 values',
        Buffer.from([0xdd, 255, 255, 255, 255]),
        { 'content-type': 'application/x-msgpack' },
        400,
      ],
      ['no UTF-8', Buffer.from([0x7b, 0xff, 0xfe]), {}, 400],
      ['XML', Buffer.from('<a/>'), { 'content-type': 'text/xml' }, 415],
      ['compressed', Buffer.from([31, 139, 8]), { 'content-encoding': 'gzip' }, 415],
      ['a wrong password', Buffer.from('{}'), { authorization: 'Basic YWRtaW46d3Jvbmc=' }, 401],
    ];
    for (const [what, body, headers, status] of cases)
      t.is((await client.post(body, headers)).status, status, what);
  },
);

const greeting = (): Greeting => ({
  versions: { min: 1, max: 1 },
  node: nodeName(absent()),
  incarnation: incarnation('0123456789abcdef'),
  process: '0123456789abcdef',
  nowMs: Date.now(),
  clock: version(0),
  capabilities: [],
  databases: ['data', 'system'].map(databaseName),
});

const hello = (other: Partial<Greeting> = {}): Buffer =>
  encodeControl({ kind: 'Hello', ...greeting(), ...other });

const openPeer = (): Promise<RawPeer> =>
  openRawPeer(victim().replicationUrl, { localAddress: absent() });

const greeted = async (): Promise<RawPeer> => {
  const peer = await openPeer();
  peer.send(hello());
  const welcome = decodeControl(await peer.next());
  if (welcome.kind !== 'Welcome') throw new Error(`${welcome.kind} instead of Welcome`);
  return peer;
};

const CLOSE_MS_MAX = limits.greetingMsMax + 5_000;

const closing = async (peer: RawPeer): Promise<{ code: number; reason: string }> => {
  const late = sleep(CLOSE_MS_MAX, { code: 0, reason: 'still open' }, { ref: false });
  return Promise.race([peer.closed, late]);
};

type Say = (peer: RawPeer) => void;

const BEFORE_GREETING: readonly (readonly [string, Say, number, RegExp])[] = [
  ['nothing', () => undefined, 1011, /no greeting within/],
  [
    'data',
    (peer) => peer.send(Buffer.concat([Buffer.from([32]), randomBytes(90)])),
    1011,
    /no greeting/,
  ],
  ['an empty message', (peer) => peer.send(Buffer.alloc(0)), 1008, /empty frame/],
  ['text', (peer) => peer.sendText('hello'), 1003, /binary/],
  ['a message above 64 KiB', (peer) => peer.send(Buffer.alloc(65 * KIB, 1)), 1009, /^/],
  ['bytes that are no WebSocket', (peer) => peer.sendRaw(Buffer.alloc(99, 0xff)), 1002, /^/],
  [
    'a ping',
    (peer) => peer.send(encodeControl({ kind: 'Ping', id: 1 })),
    1008,
    /expected Hello first/,
  ],
  [
    'a greeting without anything',
    (peer) => peer.send(Buffer.from([1, 0x80])),
    1008,
    /'versions' is required/,
  ],
  [
    'a greeting of 60 000 levels',
    (peer) => peer.send(Buffer.concat([Buffer.from([1]), Buffer.alloc(60_000, 0x91)])),
    1008,
    /nested too deeply/,
  ],
  [
    'another version',
    (peer) => peer.send(hello({ versions: { min: 7, max: 9 } })),
    1008,
    /protocol version 1 needed/,
  ],
  [
    'the name of another node',
    (peer) => peer.send(hello({ node: nodeName(cluster.node(1).name) })),
    1008,
    /Node name mismatch/,
  ],
  [
    'the name of the node itself',
    (peer) => peer.send(hello({ node: nodeName(victim().name) })),
    1008,
    /connect to self/,
  ],
];

test.serial(
  'SE-23 SE-24 links that do not begin with a greeting are closed with a reason',
  async (t) => {
    const ends = await Promise.all(
      BEFORE_GREETING.map(async ([what, say, code, reason]) => {
        const peer = await openPeer();
        say(peer);
        return { what, code, reason, end: await closing(peer) };
      }),
    );
    for (const { what, code, reason, end } of ends) {
      t.is(end.code, code, `${what}: ${end.reason}`);
      t.regex(end.reason, reason, what);
    }
  },
);

test.serial(
  'every kind of control frame with random content closes the link with a reason',
  async (t) => {
    const kinds = Object.entries(FRAME_KIND).filter(([, kind]) => kind < FRAME_KIND.Entries);
    for (const [name, kind] of [...kinds, ['an unknown kind', 200] as const]) {
      const peer = await greeted();
      // No MessagePack map, whatever follows: never a frame by chance.
      peer.send(Buffer.concat([Buffer.from([kind, 0xc1]), randomBytes(64)]));
      const end = await closing(peer);
      t.is(end.code, 1008, `${name}: ${end.reason}`);
      t.not(end.reason, '', name);
    }
  },
);

test.serial('SE-24 what is no frame after a greeting closes the link', async (t) => {
  const cases: [string, Say, number][] = [
    ['text', (peer) => peer.sendText('x'), 1003],
    ['an empty message', (peer) => peer.send(Buffer.alloc(0)), 1008],
    ['a message above 4 MiB', (peer) => peer.send(Buffer.alloc(5 * MIB, 32)), 1009],
    ['a second greeting', (peer) => peer.send(hello()), 1008],
    ['bytes that are no WebSocket', (peer) => peer.sendRaw(Buffer.alloc(99, 0xff)), 1002],
  ];
  for (const [what, say, code] of cases) {
    const peer = await greeted();
    say(peer);
    t.is((await closing(peer)).code, code, what);
  }
});

const DATA_KINDS = [FRAME_KIND.Entries, FRAME_KIND.FramePart, FRAME_KIND.CopyRows];

const randomData = (kind: number, stream: number): Buffer => {
  const header = Buffer.alloc(5);
  header.writeUInt8(kind, 0);
  header.writeUInt32BE(stream, 1);
  return Buffer.concat([header, Buffer.from([0xff, 0xff]), randomBytes(200)]);
};

const entryOf = (origin: OriginId, at: number, timeMs = Date.now()): Buffer =>
  encodeEntry({
    origin,
    sequence: sequence(at),
    version: version(timeMs * 2_048),
    tables: [
      {
        table: tableName('dog'),
        generation: tableGeneration(1),
        changes: [{ key: encodeKey(99), change: { type: 'put', body: encode({ id: 99 }) } }],
      },
    ],
  });

const damaged = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(copy.length - 1) ^ 1, copy.length - 1);
  return copy;
};

const YEAR_MS = 365 * 24 * 3_600_000;

type SayOnStream = (peer: RawPeer, stream: number, origin: OriginId) => void;

const ON_A_STREAM: readonly (readonly [string, SayOnStream])[] = [
  ...DATA_KINDS.map(
    (kind) =>
      [
        `random bytes as kind ${kind}`,
        (peer: RawPeer, stream: number) => peer.send(randomData(kind, stream)),
      ] as const,
  ),
  [
    'an entry with a wrong checksum',
    (peer, stream, origin) =>
      peer.send(encodeEntries(stream, [{ origin, bytes: damaged(entryOf(origin, 1)) }])),
  ],
  [
    'an entry before which others are missing',
    (peer, stream, origin) =>
      peer.send(encodeEntries(stream, [{ origin, bytes: entryOf(origin, 3) }])),
  ],
  [
    'an entry of next year',
    (peer, stream, origin) =>
      peer.send(
        encodeEntries(stream, [{ origin, bytes: entryOf(origin, 1, Date.now() + YEAR_MS) }]),
      ),
  ],
  [
    'half an entry',
    (peer, stream, origin) =>
      peer.send(encodeEntries(stream, [{ origin, bytes: entryOf(origin, 1) }]).subarray(0, -5)),
  ],
  [
    'a part of a frame of a TiB',
    (peer, stream) =>
      peer.send(encodeFramePart(stream, { totalBytes: 2 ** 40, offset: 0, bytes: randomBytes(9) })),
  ],
  [
    'a copy nobody asked for',
    (peer, stream) => {
      peer.send(
        encodeControl({
          kind: 'CopyBegin',
          stream,
          positions: [],
          owed: [],
          estimatedRows: 5,
          marks: [],
          tables: [],
        }),
      );
      peer.send(encodeControl({ kind: 'CopyEnd', stream, rows: 0 }));
    },
  ],
];

/** Says what the subscriber of a database expects, up to the point where data is due. */
const subscribedPeer = async (origin: OriginId): Promise<{ peer: RawPeer; stream: number }> => {
  const peer = await greeted();
  for (;;) {
    const frame = decodeControl(await peer.next());
    if (frame.kind !== 'Subscribe' || frame.database !== 'data') continue;
    const { stream } = frame;
    const position = { origin, sequence: sequence(3), version: version(Date.now() * 2_048) };
    peer.send(
      encodeControl({ kind: 'Subscribed', stream, origin, positions: [position], whole: true }),
    );
    await wantOf(peer, origin);
    return { peer, stream };
  }
};

const wantOf = async (peer: RawPeer, origin: OriginId): Promise<void> => {
  for (;;) {
    const frame = decodeControl(await peer.next());
    if (frame.kind === 'Want' && frame.add.some((want) => want.origin === origin)) return;
  }
};

test.serial(
  'a stream that carries nonsense is begun anew, and nothing of it is stored',
  async (t) => {
    for (const [at, [what, say]] of ON_A_STREAM.entries()) {
      const life = incarnation(String(at).padStart(16, '0'));
      const origin = originId({ node: nodeName(absent()), incarnation: life });
      const { peer, stream } = await subscribedPeer(origin);
      say(peer, stream, origin);
      peer.send(encodeControl({ kind: 'Ping', id: 7 }));
      const answered = await Promise.race([pongOf(peer), closing(peer)]);
      t.truthy(answered, what);
      peer.close();
      await peer.closed;
      const { client } = victim();
      t.deepEqual(
        await client.send({ operation: 'search_by_id', table: 'dog', ids: [99] }),
        [],
        what,
      );
    }
  },
);

const pongOf = async (peer: RawPeer): Promise<'answered'> => {
  for (;;) if (decodeControl(await peer.next()).kind === 'Pong') return 'answered';
};

test.serial('SE-27 databases with names that cannot be here are not made', async (t) => {
  const peer = await greeted();
  const names = ['', '.', '..', 'a/b', '__proto__', 'A'.repeat(200), '\u0000'].map(databaseName);
  peer.send(encodeControl({ kind: 'Gossip', databases: names, members: [] }));
  await waitUntil('all names to be refused', async () => {
    const log = await victim().log();
    return log.split('\n').filter((line) => line.includes('cannot create a database')).length >= 7;
  });
  t.deepEqual(Object.keys((await victim().client.send({ operation: 'describe_all' })) as object), [
    'data',
  ]);
  peer.close();
  await peer.closed;
});

test.serial('who is not a member is told so and let in nowhere', async (t) => {
  const peer = await openRawPeer(victim().replicationUrl, { localAddress: '127.0.0.99' });
  const end = await closing(peer);
  t.is(end.code, 1008);
  t.regex(end.reason, /no hdb_nodes entry for 127\.0\.0\.99/);
});

test.serial('the replication port speaks nothing but its protocol', async (t) => {
  t.regex(await answerTo('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 426 /);
  t.regex(await answerTo(Buffer.alloc(500, 0x07)), /^HTTP\/1\.1 400 /);
  for (const subprotocols of [[], ['chat']])
    await t.throwsAsync(
      openRawPeer(victim().replicationUrl, { localAddress: absent(), subprotocols }),
      { message: /400/ },
    );
});

/** What a plain TCP client hears until it is hung up on. */
const answerTo = (bytes: string | Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    const { name, ports } = victim();
    let heard = '';
    const socket = connect({ host: name, port: ports.replication, localAddress: absent() });
    socket.setTimeout(CLOSE_MS_MAX, () => socket.destroy(new Error('not hung up on')));
    socket.on('data', (data) => (heard += data.toString()));
    socket.once('error', reject);
    socket.once('close', () => resolve(heard));
    socket.write(bytes);
  });
