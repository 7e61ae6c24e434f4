/**
 * Every kind of frame against the bytes in tests/fixtures/frames: what an earlier build sent must be read, and
 * written the same, by this one. Changing bytes or schemas takes a new protocol version.
 */
import test from 'ava';
import { createHash } from 'node:crypto';
import { encode, encodeRecord } from '../../protocol/codec.js';
import {
  decodeCopyRows,
  decodeEntries,
  decodeFramePart,
  encodeCopyRows,
  encodeEntries,
  encodeFramePart,
  readDataHeader,
} from '../../protocol/dataFrames.js';
import { encodeEntry } from '../../protocol/entry.js';
import type { TableScope } from '../../protocol/flow.js';
import {
  decodeControl,
  encodeControl,
  FRAME_KIND,
  isControlFrame,
  PROTOCOL_VERSION,
  SUBPROTOCOL,
  type ControlFrame,
  type ControlKind,
} from '../../protocol/frames.js';
import { controlSchemas } from '../../protocol/frameSchemas.js';
import {
  databaseName,
  incarnation,
  nodeName,
  sequence,
  tableGeneration,
  tableName,
  version,
} from '../../protocol/ids.js';
import { limits } from '../../protocol/limits.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { isUpdating, readExpected, writeExpected } from '../support/checkout.js';
import { origin } from '../support/stores.js';

const greeting = {
  versions: { min: 1, max: 1 },
  node: nodeName('node-a'),
  incarnation: incarnation('00000000000000a1'),
  process: '1700000000000-1',
  nowMs: 1_700_000_000_000.5,
  clock: version(3_481_600_000_000_001),
  capabilities: ['copy'],
  databases: [databaseName('data'), databaseName('system')],
};
const position = {
  origin: origin('node-a'),
  sequence: sequence(812),
  version: version(3_481_600_000_000_001),
};
const want = { origin: origin('node-b', 2), after: sequence(7), checksum: 0xfedcba98 };
const place = { table: 'dogs', generation: 1, key: encodeKey('k') };

const TABLES: TableScope = { kind: 'only', tables: [tableName('dogs')] };
const control: { [Kind in ControlKind]: Extract<ControlFrame, { kind: Kind }> } = {
  Hello: { kind: 'Hello', ...greeting },
  Welcome: { kind: 'Welcome', ...greeting, node: nodeName('10.0.0.2') },
  Bye: { kind: 'Bye', code: 'STOPPING', reason: 'the node stops' },
  Ping: { kind: 'Ping', id: 1 },
  Pong: { kind: 'Pong', id: 4_294_967_296 },
  Gossip: {
    kind: 'Gossip',
    databases: greeting.databases,
    members: [
      { name: nodeName('node-a'), generation: 1, ended: false, url: 'wss://node-a:9933' },
      { name: nodeName('10.0.0.2'), generation: 3, ended: true, url: null },
    ],
  },
  Subscribe: {
    kind: 'Subscribe',
    stream: 3,
    database: databaseName('data'),
    wants: [want],
    windowBytes: limits.streamWindowBytes,
    scope: { kind: 'all', except: [tableName('cats')] },
    startTimeMs: 1_700_000_000_000.5,
  },
  Subscribed: {
    kind: 'Subscribed',
    stream: 3,
    origin: origin('node-a'),
    positions: [position],
    whole: true,
    scope: { kind: 'only', tables: [tableName('cats'), tableName('dogs')] },
    inPart: [{ origin: origin('node-c'), tables: [tableName('dogs')], others: null }],
  },
  Unsubscribe: { kind: 'Unsubscribe', stream: 3, reason: 'done' },
  Want: { kind: 'Want', stream: 3, add: [want], drop: [origin('node-c')] },
  Notice: {
    kind: 'Notice',
    stream: 3,
    positions: [position],
    whole: false,
    inPart: [{ origin: origin('node-c'), tables: [], others: [tableName('dogs')] }],
  },
  TooOld: { kind: 'TooOld', stream: 3, origin: origin('node-b', 2), logStart: sequence(100) },
  Ack: { kind: 'Ack', stream: 3, positions: [position], creditBytes: 65_536 },
  CopyRequest: { kind: 'CopyRequest', stream: 3, after: place, tables: TABLES },
  CopyBegin: {
    kind: 'CopyBegin',
    stream: 3,
    positions: [{ ...position, checksum: 1 }],
    owed: [{ ...position, sequence: sequence(900), checksum: 2 }],
    estimatedRows: 1_000_000,
    marks: [{ origin: origin('node-b', 2), version: version(3_481_600_000_000_000) }],
    tables: [{ table: 'dogs', generation: 1 }],
    leftOut: { tables: [tableName('cats')], others: null },
    inPart: [{ origin: origin('node-c'), tables: [], others: [tableName('dogs')] }],
  },
  CopyEnd: { kind: 'CopyEnd', stream: 3, rows: 999_999 },
  CopyRefused: { kind: 'CopyRefused', stream: 3, reason: 'this node is in the middle of a copy' },
  Refused: { kind: 'Refused', stream: 3, ...position, reason: 'ahead' },
  Operation: {
    kind: 'Operation',
    id: 1,
    operation: { operation: 'add_node_back', hostname: 'node-a' },
    authorization: 'Basic YWRtaW46c2VjcmV0',
  },
  OperationResult: {
    kind: 'OperationResult',
    id: 1,
    answer: { message: 'added' },
    error: { code: 'FORBIDDEN', message: 'not permitted' },
  },
};

const entry = encodeEntry({
  origin: origin('node-a'),
  sequence: sequence(1),
  version: version(2048),
  notes: { user: 'ada' },
  tables: [
    {
      table: tableName('dogs'),
      generation: tableGeneration(1),
      changes: [
        { key: encodeKey('k'), change: { type: 'put', body: encodeRecord({ id: 'k', x: 1 }) } },
        {
          key: encodeKey(2),
          change: { type: 'patch', attributes: [{ name: 'x', value: encode('y') }] },
        },
        { key: encodeKey(-2), change: { type: 'delete' } },
      ],
    },
  ],
});
const stamp = (at: number, node: string) => ({ version: version(at), origin: origin(node) });
const row = (key: string) => ({
  table: tableName('dogs'),
  generation: tableGeneration(1),
  key: encodeKey(key),
});
const sentRows = [
  { ...row('a'), row: { kind: 'whole', stamp: stamp(9, 'node-a'), body: encodeRecord({ x: 1 }) } },
  { ...row('b'), row: { kind: 'deleted', stamp: stamp(8, 'node-b') } },
  {
    ...row('c'),
    row: {
      kind: 'patched',
      floor: stamp(5, 'node-a'),
      alive: stamp(7, 'node-b'),
      dead: null,
      registers: new Map([
        ['x', { stamp: stamp(5, 'node-a'), value: encode(1) }],
        ['y', { stamp: stamp(7, 'node-b'), value: encode('text') }],
      ]),
    },
  },
  {
    ...row('d'),
    row: {
      kind: 'patched',
      floor: null,
      alive: stamp(7, 'node-b'),
      dead: stamp(6, 'node-c'),
      registers: new Map(),
    },
  },
] as const;

const data: Record<string, { bytes: Buffer; again: (bytes: Buffer) => Buffer }> = {
  Entries: {
    bytes: encodeEntries(3, [
      { origin: origin('node-a'), bytes: entry },
      { origin: origin('node-b', 2), bytes: entry },
      { origin: origin('node-a'), bytes: entry },
    ]),
    again: (bytes) => encodeEntries(3, decodeEntries(bytes)),
  },
  FramePart: {
    bytes: encodeFramePart(3, {
      totalBytes: 5_000_000,
      offset: 1_048_576,
      bytes: Buffer.from('part'),
    }),
    again: (bytes) => encodeFramePart(3, decodeFramePart(bytes)),
  },
  CopyRows: {
    bytes: encodeCopyRows(3, sentRows),
    again: (bytes) => encodeCopyRows(3, decodeCopyRows(bytes)),
  },
};

const frames: Record<string, { bytes: Buffer; again: (bytes: Buffer) => Buffer }> = {
  ...Object.fromEntries(
    Object.entries(control).map(([kind, frame]) => [
      kind,
      {
        bytes: encodeControl(frame),
        again: (bytes: Buffer) => encodeControl(decodeControl(bytes)),
      },
    ]),
  ),
  ...data,
};

/** Hexadecimal in lines of 32 bytes. */
const asText = (bytes: Buffer): string =>
  `${
    bytes
      .toString('hex')
      .match(/.{1,64}/g)
      ?.join('\n') ?? ''
  }\n`;
const asBytes = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

for (const [kind, { bytes, again }] of Object.entries(frames)) {
  const file = `tests/fixtures/frames/${kind}.hex`;
  if (isUpdating) writeExpected(file, asText(bytes));
  const fixture = readExpected(file);

  test(`${kind} is written as in its fixture`, (t) => t.is(asText(bytes), fixture));
  test(`${kind} of the fixture is read and written again the same`, (t) =>
    t.is(asText(again(asBytes(fixture))), fixture));
}

test('there is a fixture for every kind of frame', (t) => {
  t.deepEqual(Object.keys(frames).sort(), Object.keys(FRAME_KIND).sort());
});

test('the kind bytes are those of the first version, each used once', (t) => {
  t.is(new Set(Object.values(FRAME_KIND)).size, Object.keys(FRAME_KIND).length);
  for (const [kind, { bytes }] of Object.entries(frames)) {
    t.is(bytes[0], FRAME_KIND[kind as keyof typeof FRAME_KIND]);
    t.is(isControlFrame(bytes), kind in controlSchemas);
  }
});

/** One line for each version, never edited: another hash is another version. */
const SCHEMAS_OF_VERSION: Record<number, string> = {
  1: '2f1956358cf4aa8c0a0f76fa899f8d487e544acf9254d41ada009aa2a0c3d5f6',
};

test('the schemas of the control frames belong to this protocol version', (t) => {
  const hash = createHash('sha256')
    .update(JSON.stringify([controlSchemas, FRAME_KIND]))
    .digest('hex');
  t.is(hash, SCHEMAS_OF_VERSION[PROTOCOL_VERSION] ?? 'not pinned');
  t.is(SUBPROTOCOL, `skein.replication.v${PROTOCOL_VERSION}`);
});

for (const frame of Object.values(control))
  test(`${frame.kind} comes back as it was sent`, (t) => {
    t.deepEqual(decodeControl(encodeControl(frame)), frame);
  });

test('what is not said of tables is absent: all are sent, and none is held in part', (t) => {
  const optional = ['scope', 'startTimeMs', 'leftOut', 'inPart'];
  for (const frame of [control.Subscribe, control.Subscribed, control.Notice, control.CopyBegin]) {
    const open = Object.fromEntries(
      Object.entries(frame).filter(([name]) => !optional.includes(name)),
    ) as ControlFrame;
    t.deepEqual(decodeControl(encodeControl(open)), open);
  }
});

for (const [name, scope] of [
  ['of another kind', { kind: 'some', tables: [] }],
  ['without its tables', { kind: 'only', except: [] }],
  ['of numbers', { kind: 'all', except: [1] }],
] as const)
  test(`a scope ${name} is malformed`, (t) => {
    const frame = { ...control.Subscribe, scope } as unknown as ControlFrame;
    t.throws(() => decodeControl(encodeControl(frame)), {
      code: 'MALFORMED',
      message: /^Subscribe frame: /,
    });
  });

test('a copy from the beginning is asked for with null', (t) => {
  const frame = { kind: 'CopyRequest', stream: 3, after: null } as const;
  t.deepEqual(decodeControl(encodeControl(frame)), frame);
});

const frameOf = (kind: ControlKind, content: unknown): Buffer =>
  Buffer.concat([Buffer.from([FRAME_KIND[kind]]), encode(content)]);
const { kind: _ack, ...ack } = control.Ack;
const { kind: _subscribe, ...subscribe } = control.Subscribe;
const { kind: _subscribed, origin: _origin, ...nameless } = control.Subscribed;
const { kind: _copyBegin, owed: _owed, ...forgetful } = control.CopyBegin;
const member = { name: 'node-a', generation: 1, ended: false, url: null };
const tooManyMembers = Array.from({ length: limits.membersMax + 1 }, () => member);
const tooMany = Array.from({ length: limits.originsPerFrameMax + 1 }, () => want);

for (const [name, bytes, message] of [
  ['an empty frame', Buffer.alloc(0), /^Unknown frame kind of an empty frame$/],
  ['kind 31', Buffer.of(31), /^Unknown frame kind 31$/],
  ['a data frame', data.FramePart?.bytes ?? Buffer.alloc(0), /^Unknown frame kind 33$/],
  ['a control frame without content', Buffer.of(FRAME_KIND.Ping), /^Ping frame: /],
  [
    'bytes after the content',
    Buffer.concat([frameOf('Ping', { id: 1 }), Buffer.of(1)]),
    /^Ping frame: /,
  ],
  ['content that is no map', frameOf('Ping', [1]), /^Ping frame: /],
  [
    'a missing field',
    frameOf('Ack', { ...ack, creditBytes: undefined }),
    /^Ack frame: .*creditBytes/,
  ],
  ['a source without its origin', frameOf('Subscribed', nameless), /^Subscribed frame: .*origin/],
  [
    'a copy that does not say what is owed',
    frameOf('CopyBegin', forgetful),
    /^CopyBegin frame: .*owed/,
  ],
  [
    'an owed position without checksum',
    frameOf('CopyBegin', { ...forgetful, owed: [position] }),
    /^CopyBegin frame: .*checksum/,
  ],
  ['a negative number', frameOf('Ack', { ...ack, creditBytes: -1 }), /^Ack frame: .*creditBytes/],
  ['a fraction', frameOf('Ping', { id: 1.5 }), /^Ping frame: .*id/],
  ['stream 0', frameOf('Ack', { ...ack, stream: 0 }), /^Ack frame: .*stream/],
  ['stream 2^32', frameOf('Ack', { ...ack, stream: 2 ** 32 }), /^Ack frame: .*stream/],
  [
    'text instead of a list',
    frameOf('Gossip', { databases: 'data', members: [] }),
    /^Gossip frame: .*databases/,
  ],
  [
    'a name too long',
    frameOf('Gossip', { databases: ['x'.repeat(501)], members: [] }),
    /^Gossip frame: .*databases/,
  ],
  [
    'news of databases without members',
    frameOf('Gossip', { databases: [] }),
    /^Gossip frame: .*members/,
  ],
  [
    'too many members',
    frameOf('Gossip', { databases: [], members: tooManyMembers }),
    /^Gossip frame: .*members/,
  ],
  [
    'a member without generation',
    frameOf('Gossip', { databases: [], members: [{ name: 'a', ended: false, url: null }] }),
    /^Gossip frame: .*generation/,
  ],
  [
    'a member whose URL is no text',
    frameOf('Gossip', { databases: [], members: [{ ...member, url: 7 }] }),
    /^Gossip frame: .*url/,
  ],
  [
    'an operation that is a list',
    frameOf('Operation', { id: 1, operation: [] }),
    /^Operation frame: .*operation/,
  ],
  [
    'an error without its code',
    frameOf('OperationResult', { id: 1, error: { message: 'no' } }),
    /^OperationResult frame: .*code/,
  ],
  [
    'too many origins',
    frameOf('Subscribe', { ...subscribe, wants: tooMany }),
    /^Subscribe frame: .*wants/,
  ],
  [
    'an origin that is no text',
    frameOf('Want', { stream: 1, add: [], drop: [7] }),
    /^Want frame: /,
  ],
  [
    'a wall clock that is no number',
    frameOf('Hello', { ...greeting, nowMs: NaN }),
    /^Hello frame: .*nowMs/,
  ],
] as const)
  test(`${name} is MALFORMED, with the kind and field named`, (t) => {
    t.throws(() => decodeControl(bytes), { code: 'MALFORMED', message });
  });

test('as many origins as one frame may name are accepted', (t) => {
  const wants = tooMany.slice(1);
  const frame = decodeControl(encodeControl({ ...control.Subscribe, wants }));
  t.is(frame.kind === 'Subscribe' ? frame.wants.length : 0, limits.originsPerFrameMax);
});

test('as many members as a cluster may have are accepted', (t) => {
  const members = tooManyMembers.slice(1);
  const frame = decodeControl(frameOf('Gossip', { databases: [], members }));
  t.is(frame.kind === 'Gossip' ? frame.members.length : 0, limits.membersMax);
});

test('an operation may come without authorization, and a result without answer or without error', (t) => {
  const frames: ControlFrame[] = [
    { kind: 'Operation', id: 1, operation: {} },
    { kind: 'OperationResult', id: 1, answer: {} },
    { kind: 'OperationResult', id: 1, error: { code: 'FORBIDDEN', message: '' } },
  ];
  for (const frame of frames) t.deepEqual(decodeControl(encodeControl(frame)), frame);
});

test('fields of a later version are accepted', (t) => {
  t.like(decodeControl(frameOf('Ping', { id: 1, since: 'later' })), { kind: 'Ping', id: 1 });
});

test('the content cannot say that a frame is of another kind', (t) => {
  t.is(decodeControl(frameOf('Ping', { id: 1, kind: 'CopyEnd' })).kind, 'Ping');
});

test('the place of a copy must be a key in bytes', (t) => {
  const after = { table: 'dogs', generation: 1, key: {} };
  t.throws(() => decodeControl(frameOf('CopyRequest', { stream: 3, after })), {
    code: 'MALFORMED',
  });
});

test('a data frame says its kind and stream', (t) => {
  t.deepEqual(readDataHeader(data.CopyRows?.bytes ?? Buffer.alloc(0)), { kind: 34, stream: 3 });
});
