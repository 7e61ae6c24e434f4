/**
 * What is fuzzed: every reader of bytes that come from others, with valid inputs to begin with. Called by scripts/fuzz.ts
 * and the property test. A reader here does what the product does with such bytes before it believes anything.
 */
import { readCertificateRow, readNodeCertificates } from '../../actors/certificateRows.js';
import { readJoinAnswer, readPeerOperation } from '../../actors/operations/joining.js';
import { PeerRefused } from '../../actors/peerOperation.js';
import { roleOf, userOf } from '../../actors/userRows.js';
import { guard } from '../../protocol/byteGuard.js';
import { decode, encode, encodeRecord } from '../../protocol/codec.js';
import {
  decodeCopyRows,
  decodeEntries,
  decodeFramePart,
  encodeCopyRows,
  readDataHeader,
} from '../../protocol/dataFrames.js';
import {
  encodeEntry,
  encodePartial,
  isIntactEntry,
  readEntryHeader,
  readEntryNotes,
  readEntryTables,
  readLeftOut,
} from '../../protocol/entry.js';
import { filterEntry } from '../../protocol/entryFilter.js';
import { SkeinError } from '../../protocol/errors.js';
import { decodeControl, encodeControl, FRAME_KIND, isControlFrame } from '../../protocol/frames.js';
import { sequence, tableGeneration, tableName, version } from '../../protocol/ids.js';
import { readLife, readRows } from '../../protocol/nodeRows.js';
import { checkKey, encodeKey } from '../../protocol/orderedKey.js';
import { readRights } from '../../protocol/permissions.js';
import { mapEntries } from '../../protocol/skipScan.js';
import { validateOperation } from '../../protocol/validate.js';
import { HttpRefusal } from '../../server/httpErrors.js';
import { parseBody, type RequestType } from '../../server/requestBody.js';
import { readExpected } from './checkout.js';
import { certificateTarget, crlTarget, ocspTarget, requestTarget } from './fuzzTrust.js';
import { noise, oneOf, type Draw } from './fuzzBytes.js';
import type { FuzzTarget } from './fuzzRun.js';
import { spoiled } from './fuzzValues.js';
import { origin } from './stores.js';

export const TARGET_NAMES = [
  'frames',
  'codec',
  'entries',
  'operations',
  'rows',
  'csr',
  'certificate',
  'crl',
  'ocsp',
] as const;

export type TargetName = (typeof TARGET_NAMES)[number];

/** Keys and certificates are made anew, so that a seed repeats changes and not whole inputs of the trust targets. */
export const openTarget = async (name: TargetName): Promise<FuzzTarget> => {
  switch (name) {
    case 'frames':
      return framesTarget();
    case 'codec':
      return codecTarget();
    case 'entries':
      return entriesTarget();
    case 'operations':
      return operationsTarget();
    case 'rows':
      return rowsTarget();
    case 'csr':
      return requestTarget();
    case 'certificate':
      return certificateTarget();
    case 'crl':
      return crlTarget();
    case 'ocsp':
      return ocspTarget();
    default:
      return name satisfies never;
  }
};

const refusedAs =
  (...codes: readonly string[]) =>
  (thrown: unknown): string | undefined =>
    thrown instanceof SkeinError && codes.includes(thrown.code) ? thrown.code : undefined;

const passes =
  (check: (input: Buffer) => unknown) =>
  (input: Buffer): boolean => {
    try {
      return check(input) !== false;
    } catch {
      return false;
    }
  };

// ---- frames

const KINDS = new Set<number>(Object.values(FRAME_KIND));

const framesTarget = (): FuzzTarget => {
  const valid = Object.keys(FRAME_KIND).map((kind) =>
    Buffer.from(readExpected(`tests/fixtures/frames/${kind}.hex`).replaceAll(/\s/g, ''), 'hex'),
  );
  const control = valid.filter(isControlFrame);
  return {
    name: 'frames',
    valid,
    crafted: (draw) => {
      const frame = oneOf(draw, control);
      const content = spoiled(draw, decode(frame.subarray(1)) as object);
      return Buffer.concat([frame.subarray(0, 1), encodedOr(frame.subarray(1), content)]);
    },
    passesHeader: (input) =>
      KINDS.has(input[0] ?? 0) && (isControlFrame(input) || input.length >= 5),
    read: readFrame,
    refusalOf: refusedAs('MALFORMED'),
  };
};

/** What an encoder refuses no peer can send with one. */
const encodedOr = (otherwise: Buffer, value: unknown): Buffer => {
  try {
    return encode(value);
  } catch (error) {
    if (error instanceof SkeinError) return otherwise;
    throw error;
  }
};

/** What is accepted can be said again. */
const readFrame = (input: Buffer): unknown => {
  if (isControlFrame(input)) return encodeControl(decodeControl(input));
  const { kind, stream } = readDataHeader(input);
  if (kind === FRAME_KIND.FramePart) return decodeFramePart(input);
  if (kind === FRAME_KIND.CopyRows) return encodeCopyRows(stream, decodeCopyRows(input));
  const entries = decodeEntries(input);
  for (const entry of entries) readEntry(entry.bytes);
  return entries;
};

// ---- values

const VALUES: readonly unknown[] = [
  { id: 1, name: 'Penny', tags: ['a', 'b'], owner: { name: 'Kyle', age: 38.5 } },
  { when: new Date(0), bytes: Buffer.from('bytes'), nothing: null, yes: true, no: false },
  [1, -1, 2 ** 32, -(2 ** 40), 1.5, Number.MAX_SAFE_INTEGER],
  { ['k'.repeat(40)]: 'v'.repeat(300), list: Array.from({ length: 40 }, (_, index) => index) },
  { a: { b: { c: { d: { e: [[[[{}]]]] } } } } },
];

const codecTarget = (): FuzzTarget => ({
  name: 'codec',
  valid: VALUES.map((value) => encode(value)),
  crafted: (draw) => {
    const value = oneOf(draw, VALUES) as object;
    return encodedOr(noise(draw), spoiled(draw, value));
  },
  passesHeader: passes((input) => guard(input)),
  read: (input) => {
    const value = decode(input);
    const again = encode(value);
    if (!encode(decode(again)).equals(again)) throw new Error('it does not come back');
    const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (isRecord && !(value instanceof Date) && !ArrayBuffer.isView(value)) mapEntries(input);
    return value;
  },
  // What was read has to be writable: the encoder's own refusal is none of these.
  refusalOf: refusedAs('MALFORMED'),
});

// ---- entries

const ORIGIN = origin('node-a');

const validEntries = (): Buffer[] => {
  const changes = [
    {
      key: encodeKey('k'),
      change: { type: 'put' as const, body: encodeRecord({ id: 'k', x: 1 }) },
    },
    {
      key: encodeKey(2),
      change: { type: 'patch' as const, attributes: [{ name: 'x', value: encode('y') }] },
    },
    { key: encodeKey(-2), change: { type: 'delete' as const } },
  ];
  const [dogs, cats] = ['dogs', 'cats'].map((name) => ({
    table: tableName(name),
    generation: tableGeneration(1),
    changes,
  }));
  if (!dogs || !cats) throw new Error('two tables');
  const head = { origin: ORIGIN, sequence: sequence(1), version: version(2_048) };
  const whole = encodeEntry({ ...head, notes: { user: 'ada' }, tables: [dogs, cats] });
  const leftOut = { tables: [tableName('cats')], others: null };
  return [
    encodeEntry({ ...head, tables: [] }),
    whole,
    encodePartial(whole, { origin: ORIGIN, leftOut, tables: [dogs] }),
  ];
};

const entriesTarget = (): FuzzTarget => ({
  name: 'entries',
  valid: validEntries(),
  passesHeader: passes((input) => readEntryHeader(input)),
  read: (input) => {
    readEntryHeader(input);
    readEntry(input);
    return filterEntry(ORIGIN, input, {
      scope: { kind: 'all', except: [tableName('cats')] },
      startTimeMs: 1,
    });
  },
  refusalOf: refusedAs('MALFORMED'),
});

/** As a writer looks at what a peer sent, also where the checksum would have told. */
const readEntry = (bytes: Buffer): void => {
  isIntactEntry(ORIGIN, bytes);
  readLeftOut(bytes);
  readEntryNotes(bytes);
  for (const { changes } of readEntryTables(bytes))
    for (const { key, change } of changes) {
      checkKey(key);
      if (change.type === 'put') mapEntries(change.body);
      if (change.type === 'patch') for (const { value } of change.attributes) guard(value);
    }
};

// ---- operations

const OPERATIONS: readonly Record<string, unknown>[] = [
  { operation: 'insert', table: 'dog', records: [{ id: 1, a: { b: [1, 'x'] } }, { id: 'two' }] },
  { operation: 'update', database: 'data', table: 'dog', records: [{ id: 1 }], expiresAt: 5 },
  { operation: 'upsert', schema: 'dev', table: 'dog', records: [{ id: 1, name: 'Penny' }] },
  { operation: 'delete', table: 'dog', ids: [1, 'a/b'] },
  { operation: 'search_by_id', table: 'dog', ids: [1], get_attributes: ['*'] },
  { operation: 'search_by_value', table: 'dog', attribute: 'name', value: 'P*' },
  {
    operation: 'search_by_conditions',
    table: 'dog',
    operator: 'and',
    conditions: [
      { attribute: 'age', comparator: 'between', value: [1, 2] },
      { operator: 'or', conditions: [{ attribute: 'id', comparator: 'equals', value: 1 }] },
    ],
    sort: { attribute: 'id', descending: true, next: { attribute: 'age' } },
  },
  {
    operation: 'create_table',
    table: 'dog',
    primary_key: 'id',
    attributes: [
      { name: 'id', is_primary_key: true },
      { name: 'age', type: 'Int' },
    ],
  },
  { operation: 'create_database', database: 'dev' },
  { operation: 'describe_table', table: 'dog' },
  { operation: 'add_user', username: 'x', password: 'y', role: 'r', active: true },
  {
    operation: 'add_role',
    role: 'r',
    permission: { super_user: false, data: { tables: { dog: { read: true, insert: false } } } },
  },
  {
    operation: 'add_node',
    url: 'wss://b:9933',
    replicates: { sendsTo: [{ target: 'c', database: 'data', excludeTables: ['t'] }] },
    authorization: { username: 'a', password: 'b' },
  },
  {
    operation: 'configure_cluster',
    connections: [{ hostname: 'b', subscriptions: [{ database: 'data', table: 't' }] }],
  },
  { operation: 'cluster_set_routes', routes: [{ hostname: 'b', port: 1 }, 'wss://c:9933'] },
  { operation: 'remove_node', hostname: 'b' },
];

const PEER_OPERATIONS: readonly Record<string, unknown>[] = [
  {
    operation: 'add_node_back',
    hostname: 'server-two',
    url: 'wss://server-two:9933',
    generations: { 'server-one': 1, 'server-two': 2 },
    replicates: { sendsTo: [{ target: 'server-one', database: 'data' }] },
    subscriptions: [{ database: 'data', table: 'dog', publish: true, subscribe: false }],
    csr: '-----BEGIN CERTIFICATE REQUEST-----',
  },
  { operation: 'remove_node_back', name: 'server-two', generation: 2 },
  { operation: 'sign_certificate', csr: 'x' },
  { operation: 'create_csr' },
];

const ANSWER = { nodeName: 'server-one', generations: { 'server-one': 3 }, certificate: 'x' };

const TYPES = ['JSON', 'MessagePack', 'CBOR'] as const;

/** The first byte of an input says how the rest is to be read, as a header of HTTP would. */
const operationsTarget = async (): Promise<FuzzTarget> => {
  const { encode: encodeCbor } = await import('cborg');
  const all = [...OPERATIONS, ...PEER_OPERATIONS, ANSWER];
  const written = (type: RequestType, value: unknown): Buffer => {
    if (type === 'JSON') return Buffer.from(JSON.stringify(value));
    return type === 'CBOR' ? Buffer.from(encodeCbor(value)) : encode(value);
  };
  const inputOf = (type: number, value: unknown): Buffer =>
    Buffer.concat([Buffer.of(type), written(TYPES[type] ?? 'JSON', value)]);
  const typeOf = (input: Buffer): RequestType => TYPES[(input[0] ?? 0) % TYPES.length] ?? 'JSON';
  return {
    name: 'operations',
    valid: all.flatMap((value) => TYPES.map((_, type) => inputOf(type, value))),
    crafted: (draw: Draw) => {
      const value = spoiled(draw, oneOf(draw, all));
      try {
        return inputOf(draw(TYPES.length), value);
      } catch (error) {
        if (error instanceof SkeinError) return inputOf(0, value);
        throw error;
      }
    },
    passesHeader: (input) => looksWhole(typeOf(input), input.subarray(1)),
    read: async (input) => readOperation(await parseBody(input.subarray(1), typeOf(input))),
    refusalOf: (thrown) => {
      if (thrown instanceof HttpRefusal) return `HTTP ${thrown.statusCode}`;
      if (thrown instanceof PeerRefused) return thrown.code;
      return refusedAs('INVALID_REQUEST', 'KEY_TOO_LONG')(thrown);
    },
  };
};

/** Begins like an object of that format. */
const looksWhole = (type: RequestType, body: Buffer): boolean => {
  const [first = 0] = body;
  if (type === 'JSON') return first === 0x7b && body.at(-1) === 0x7d;
  const isMap = type === 'CBOR' ? first >> 5 === 5 : (first & 0xf0) === 0x80 || first >= 0xde;
  return isMap;
};

const PEER_NAMES = new Set(PEER_OPERATIONS.map(({ operation }) => operation));

const readOperation = (body: Record<string, unknown>): unknown => {
  if (PEER_NAMES.has(body['operation'])) return readPeerOperation(body);
  if (body['nodeName'] !== undefined) return readJoinAnswer(body, 'server-one', []);
  return validateOperation(body);
};

// ---- rows of the system database, which a peer may have written

const ROWS: readonly Record<string, unknown>[] = [
  {
    name: 'server-two',
    url: 'wss://server-two:9933',
    replicates: {
      sendsTo: [{ target: 'server-one', database: 'data', excludeTables: ['t'] }],
      receivesFrom: [{ source: 'server-one' }],
    },
    subscriptions: [{ database: 'data', table: 'dog', publish: true, subscribe: false }],
    start_time: 5,
    revoked_certificates: ['0A'],
    ca: 'x',
    generation: 2,
    ended: false,
  },
  {
    name: 'issued',
    certificate: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    is_authority: true,
    hostnames: ['a'],
    uses: ['https'],
    private_key_name: 'p',
  },
  {
    id: 'r',
    role: 'r',
    username: 'ada',
    password: 'scrypt$',
    active: true,
    permission: {
      super_user: false,
      structure_user: ['data'],
      operations: ['insert'],
      data: {
        tables: {
          dog: {
            read: true,
            attribute_permissions: [{ attribute_name: 'id', read: true, insert: false }],
          },
        },
      },
    },
  },
];

/** Nothing is refused here: a row that cannot be read is passed over, and its reader goes on. */
const rowsTarget = (): FuzzTarget => ({
  name: 'rows',
  valid: ROWS.map((row) => encode(row)),
  crafted: (draw) => encodedOr(noise(draw), spoiled(draw, oneOf(draw, ROWS))),
  passesHeader: passes((input) => guard(input)),
  read: (input) => {
    const row = recordIn(input);
    readRows([row], new Map());
    readLife(row);
    readCertificateRow(row);
    readNodeCertificates(row);
    userOf(row);
    const role = roleOf(row);
    readRights(role ? role.permission : row['permission']);
  },
  refusalOf: refusedAs('MALFORMED'),
});

const recordIn = (input: Buffer): Record<string, unknown> => {
  const value = decode(input);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SkeinError('MALFORMED', 'no record');
  return value as Record<string, unknown>;
};
