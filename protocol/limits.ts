/**
 * Every bound of the system in one place. A bound on what others can make a node hold has a test that reaches it.
 * Values a user may change are defaults here and keys in config/; the others are part of the protocol.
 */

export const KIB = 1024;
export const MIB = 1024 * KIB;

export const limits = {
  // ---- records and keys
  /** A primary key as ordered bytes (protocol/orderedKey.ts). */
  keyBytesMax: 1 * KIB,
  /** Nesting of arrays and objects in a record, frame or operation. */
  nestingMax: 64,
  /** Database, table and attribute names, in characters. */
  nameCharactersMax: 250,

  // ---- transactions
  /** Default of `replication.maxTransactionBytes`, checked at the origin. */
  transactionBytesDefault: 64 * MIB,
  /** What every receiver takes, whatever its own setting. */
  transactionBytesMax: 256 * MIB,

  // ---- frames
  /** Largest WebSocket message (`replication.maxPayload`). */
  frameBytesMax: 4 * MIB,
  /** A feed fills frames of entries up to about this size. */
  frameBytesTarget: 64 * KIB,
  /** Data frames above this travel in parts of this size. */
  framePartBytes: 1 * MIB,
  /** Largest message accepted before the greeting is complete. */
  greetingBytesMax: 64 * KIB,
  /** Origins named in one frame. */
  originsPerFrameMax: 10_000,

  // ---- flow control
  /** Bytes a receiver lets a sender have in flight per stream. */
  streamWindowBytes: 4 * MIB,
  /** A sender stops filling while its socket has more than this buffered. */
  socketBufferedBytesMax: 1 * MIB,
  /** Committed entries kept in memory per database for feeds near the end of the log. */
  logTailBytes: 8 * MIB,

  /** An empty database replays logs of up to this many entries instead of copying rows. */
  replayEntriesMax: 1_000,

  /** Databases of one node, `system` included: each has files and a writer of its own. */
  databasesMax: 500,
  /** Origins of one database that a peer may tell of. */
  originsPerPeerMax: 10_000,

  // ---- members
  /** Nodes of one cluster that a node keeps, removed ones included. */
  membersMax: 1_000,
  /** A member's generation that another node tells is at most so far above the one that is known. */
  generationLeapMax: 1_000_000,
  /** Where a node is dialled. */
  urlCharactersMax: 2_000,
  /** Connections that carry one operation of another node, served at a time. */
  peerOperationsMax: 16,
  /** Of these, for connections over TLS that prove nothing: members find room whatever strangers do. */
  strangerOperationsMax: 8,
  /** From such a connection's first byte to its answer. */
  peerOperationMsMax: 30_000,

  // ---- certificates
  /** Certificates in one PEM text: a chain, or a list of authorities. */
  certificatesPerBundleMax: 100,
  /** Characters of a certificate, chain or request in PEM that another node sends. */
  pemCharactersMax: 32 * KIB,
  /** Authorities that a node trusts at one time, those of the public list not counted. */
  trustedAuthoritiesMax: 2_000,

  // ---- queues
  /** Data messages waiting in one actor's mailbox. */
  mailboxMessagesMax: 10_000,
  /** Control messages waiting in one actor's mailbox. */
  mailboxControlMax: 10_000,
  /** Local write operations waiting in one database's router. */
  routerQueueBytesMax: 64 * MIB,
  /** Dead letters kept for the debug endpoint. */
  deadLettersKept: 100,
  /** Rows in one answer of a search without a limit are streamed; rows in one multi-get. */
  readBatchRows: 500,

  // ---- operations API
  operationBodyBytesMax: 1024 * MIB,
  operationBodyBytesBeforeAuthentication: 1 * MIB,

  // ---- time (milliseconds)
  greetingMsMax: 10_000,
  keepAliveMs: 30_000,
  reconnectMsMin: 500,
  reconnectMsMax: 30_000,
  stopMsMax: 10_000,
  askMsDefault: 30_000,
  hungHandlerMs: 30_000,
  maxClockSkewMsDefault: 60_000,
} as const;

/** Close reasons on a WebSocket are at most this many bytes (RFC 6455 section 5.5). */
export const CLOSE_REASON_BYTES_MAX = 123;
