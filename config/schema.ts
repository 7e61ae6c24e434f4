/**
 * Every key that may stand in a configuration, as one JSON Schema. validate.ts checks with it, layers.ts derives
 * the names of environment variables and arguments from it, keyTable.ts the documentation. What the values mean is
 * resolve.ts's business.
 */
import { limits, MIB } from '../protocol/limits.js';
import {
  certificateVerification,
  foreignSections,
  foreignTuningKeys,
  routeFlow,
  tlsFiles,
} from './schemaSections.js';
import {
  count,
  duration,
  flag,
  foreign,
  hostname,
  later,
  listOf,
  oneOf,
  port,
  refused,
  section,
  text,
  type ConfigSchema,
} from './schemaNodes.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'notify', 'warn', 'error', 'fatal'] as const;

const ALL_NODES_ONLY =
  'this version keeps every record on every node; remove the key to replicate to all nodes';

const route: ConfigSchema = {
  type: ['string', 'number', 'object', 'null'],
  description: 'Another node to connect to.',
  expected: 'a name, name:port, IP address, URL, or an object with hostname, host, url, port',
  additionalProperties: false,
  properties: {
    hostname: hostname('Name of the other node; wins over `host`.'),
    host: hostname('The same as `hostname`.'),
    url: text('URL to dial: ws://, wss:// or memory://.'),
    port: count('Port to dial when the name carries none.', {
      unit: 'ports',
      minimum: 1,
      maximum: 65_535,
    }),
    startTime: {
      type: ['number', 'string'],
      description: 'Ask the node for changes since this time instead of a full copy.',
      expected: 'milliseconds since 1970 or a date such as 2026-01-31T12:00:00Z',
    },
    ...routeFlow,
    revokedCertificates: listOf(
      text('A serial number.'),
      'Serial numbers of certificates of that node that are no longer accepted.',
    ),
    shard: {
      type: 'integer',
      description: 'Shard of the other node.',
      ...later(),
    },
  },
};

const database: ConfigSchema = {
  type: ['string', 'object'],
  description: 'A database that takes part.',
  expected: 'the name of a database, or an object with name',
  minLength: 1,
  additionalProperties: false,
  properties: {
    name: text('Name of the database.'),
    sharded: flag('Only nodes of the same shard.', refused(ALL_NODES_ONLY, false)),
    replicateTo: {
      type: ['number', 'array'],
      description: 'Number of further nodes for each record.',
      ...refused(ALL_NODES_ONLY),
    },
  },
};

const replicationKeys = section('How this node takes part in a cluster.', {
  hostname: hostname("This node's name.", { defaultText: 'host part of a port, else 127.0.0.1' }),
  url: text('URL other nodes dial; memory://name connects nodes of one process.', {
    defaultText: 'ws:// or wss:// with name and port',
  }),
  port: port('Insecure port: no encryption, nodes are known by their IP address.', {
    defaultText: 'off',
  }),
  securePort: port('TLS port: nodes are known by their certificates.', {
    defaultText: '9933 if hostname, url or routes are set and port is not',
  }),
  routes: listOf(route, 'Nodes to connect to.', { defaultText: 'none' }),
  databases: {
    type: ['string', 'array'],
    pattern: '^\\*$',
    items: database,
    description: 'Databases that take part: "*", or a list of names or of objects with name.',
    expected: '"*" or a list of databases',
    // An empty value could mean none as well as all.
    neverNull: true,
    defaultText: '"*"',
  },
  maxClockSkew: count('How far ahead the clock of another node may be.', {
    unit: 'milliseconds',
    minimum: 0,
    defaultText: `${limits.maxClockSkewMsDefault}`,
  }),
  maxTransactionBytes: count('Largest transaction accepted here.', {
    unit: 'bytes',
    minimum: 1024,
    maximum: limits.transactionBytesMax,
    defaultText: `${limits.transactionBytesDefault}`,
  }),
  maxPayload: count('Largest frame; larger transactions travel in parts.', {
    unit: 'bytes',
    minimum: 2 * MIB,
    maximum: limits.transactionBytesMax,
    defaultText: `${limits.frameBytesMax}`,
  }),
  pingInterval: count('Time between two signs of life on a quiet link.', {
    unit: 'milliseconds',
    minimum: 10,
    defaultText: `${limits.keepAliveMs}`,
  }),
  pingTimeout: count('Silence after which a link is given up.', {
    unit: 'milliseconds',
    minimum: 10,
    defaultText: 'twice pingInterval',
  }),
  readyWait: count(
    'So long after its start a node that holds nothing of others waits for one of its peers before it says it is ready.',
    { unit: 'milliseconds', minimum: 0, defaultText: `${limits.readyWaitMsDefault}` },
  ),
  failOver: flag('Take over the streams of a lost node through another node.', {
    defaultText: 'true',
    ...later(true),
  }),
  allowInsecure: flag('The insecure port may be open beyond loopback: only on a private network.', {
    defaultText: 'false',
  }),
  enableRootCAs: flag('Trust the public certificate authorities that come with Node.', {
    defaultText: 'false',
  }),
  mtls: {
    ...section('Client certificates; always required on the TLS port.', {
      certificateVerification,
    }),
    type: ['object', 'boolean'],
    expected: 'true, or a section with certificateVerification',
    defaultText: 'true',
  },
  shard: count("This node's shard.", {
    unit: 'shards',
    minimum: 0,
    maximum: 65_535,
    ...refused(ALL_NODES_ONLY),
  }),
  replicateTo: count('Number of further nodes for each record.', {
    unit: 'nodes',
    minimum: 0,
    ...refused(ALL_NODES_ONLY),
  }),
  routeDirection: oneOf(
    ['peer', 'local'],
    'Whose view the flags sends and receives are: of the other node (peer) or of this one.',
    {
      defaultText: 'peer',
    },
  ),
  tombstoneRetention: duration(
    'How long deleted records are remembered; not shorter than logging.auditRetention.',
    { defaultText: '10d' },
  ),
  copyTimeout: count('Silence allowed during a copy.', {
    unit: 'milliseconds',
    minimum: 1,
    defaultText: '300000',
    ...later(),
  }),
  logging: {
    type: 'object',
    description: 'A log of its own for replication.',
    ...later(),
  },
  ...foreignSections.replication,
});

const replication: ConfigSchema = { ...replicationKeys, patternProperties: foreignTuningKeys };

const operationsApi = section('The HTTP endpoint that takes operations.', {
  network: section('Where it listens.', {
    port: port('HTTP port.', { defaultText: '9925 unless securePort is set' }),
    securePort: port('HTTPS port.', { defaultText: 'off' }),
    domainSocket: {
      type: ['string', 'boolean'],
      description: 'Unix socket.',
      ...later(false),
    },
    ...foreignSections.network,
  }),
  tls: {
    ...tlsFiles,
    type: ['object', 'array'],
    items: tlsFiles,
    defaultText: 'those of tls',
  },
  ...foreignSections.operationsApi,
});

const http = section('HTTP endpoints: what all of them do, and the REST endpoint.', {
  port: port('REST over HTTP.', later()),
  securePort: port('REST over HTTPS.', later()),
  mtls: {
    ...section('Client certificates as users, on the HTTPS port of the operations API.', {
      required: flag('Refuse connections without such a certificate.', { defaultText: 'false' }),
      user: text('User for every certificate.', { defaultText: 'its common name' }),
      certificateAuthority: text('Authorities of the client certificates: PEM text or file.', {
        defaultText: 'operationsApi.tls.certificateAuthority',
      }),
      certificateVerification: {
        ...certificateVerification,
        ...refused('the revocation of client certificates is not checked by this version', false),
      },
    }),
    type: ['object', 'boolean'],
    expected: 'true, false, or a section with required, user, certificateAuthority',
    defaultText: 'false',
  },
  ...foreignSections.http,
});

const storage = section('Where and how data is kept.', {
  path: text('Directory of the databases, relative to rootPath.', {
    defaultText: '<rootPath>/database',
  }),
  engine: oneOf(
    ['level', 'memory', 'rocksdb', 'lmdb'],
    'level: LevelDB on disk; memory: nothing survives the process. rocksdb and lmdb are read as level.',
    { defaultText: 'level' },
  ),
  writeAsync: flag('true: a write is acknowledged before it is flushed to the disk.', {
    defaultText: 'false',
  }),
  maxTransactionQueueTime: duration(
    'Waiting time beyond which a request is answered with 504; a write may then still be stored.',
    {
      defaultText: '45s',
    },
  ),
  ...foreignSections.storage,
});

const authentication = section('Who may do what.', {
  authorizeLocal: flag('Requests from this machine without credentials run as super user.', {
    defaultText: 'false',
  }),
  cacheTTL: count('How long a verified login is remembered.', {
    unit: 'milliseconds',
    minimum: 0,
    defaultText: '30000',
  }),
  adminUsername: text('First user, made at the first start.', { defaultText: 'none' }),
  adminPassword: text('Its password.', { defaultText: 'none' }),
  enableSessions: flag('Sessions in cookies.', later()),
  operationTokenTimeout: duration('Life of an operation token.', { defaultText: '1d' }),
  refreshTokenTimeout: duration('Life of a refresh token.', { defaultText: '30d' }),
  hashFunction: oneOf(
    ['scrypt', 'md5', 'sha256', 'argon2id'],
    'How passwords are hashed: scrypt; the others are read as scrypt, with a warning.',
    { defaultText: 'scrypt' },
  ),
});

const logging = section('What is written to the log, and how long changes are kept.', {
  level: oneOf(LOG_LEVELS, 'Least important message that is written.', { defaultText: 'warn' }),
  auditRetention: duration('How long changes stay in the replication log.', {
    defaultText: '3d',
  }),
  auditLog: flag('Keep the replication log; this version always does.', {
    defaultText: 'true',
    ...later(true),
  }),
  root: text('Directory of log files.', later()),
  path: text('Log file.', later()),
  file: flag('Write to a file.', later(false)),
  stdStreams: flag('Write to the standard streams.', later(true)),
  rotation: { type: ['object', 'boolean'], description: 'Rotation of log files.', ...later(false) },
  auditAuthEvents: { type: 'object', description: 'Log logins.', ...later() },
  ...foreignSections.logging,
});

/** The whole of it. Unknown keys are errors everywhere but under foreign keys. */
export const configSchema: ConfigSchema = section('Configuration of a Skein node.', {
  rootPath: text('Directory of everything the node stores.', { defaultText: '~/skein' }),
  replication,
  node: section('Identity of the node.', {
    hostname: hostname("This node's name; wins over replication.hostname."),
    url: text('URL other nodes dial; wins over replication.url.'),
  }),
  operationsApi,
  debug: section('The debug endpoint: supervision tree, metrics, probes.', {
    port: port("Its port, on the node's own address if that is loopback, else on 127.0.0.1.", {
      defaultText: '9927',
    }),
    allowCrash: flag('Actors may be crashed on request.', { defaultText: 'false' }),
  }),
  storage,
  authentication,
  logging,
  schemas: listOf(
    text('A file.'),
    'GraphQL files with table definitions, relative to the configuration file.',
    { defaultText: 'none' },
  ),
  schema: text('Table definitions as GraphQL text.', { defaultText: 'none' }),
  http,
  tls: {
    ...tlsFiles,
    type: ['object', 'array'],
    items: tlsFiles,
    defaultText: 'made at the first start',
  },
  ...Object.fromEntries(
    Object.entries(foreignSections.top).map(([key, about]) => [key, foreign(about)]),
  ),
});
