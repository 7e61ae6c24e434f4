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
  /** TCP connections from one address that are no WebSocket yet; more are dropped, so that it keeps nobody else out. */
  upgradesPerAddressMax: 100,
  /** Origins named in one frame. */
  originsPerFrameMax: 10_000,

  // ---- flow control
  /** Bytes a receiver lets a sender have in flight per stream. */
  streamWindowBytes: 4 * MIB,
  /** Of them for rows of a copy: what is under way when it is cut off is sent again. */
  copyWindowBytes: 1 * MIB,
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

  // ---- debts
  /** Different lists of tables that were not left out, kept apart; more become one. */
  debtsOfOthersMax: 16,
  /** Tables of a database that are owed by name; more become "any table". */
  debtsOfTablesMax: 1_000,
  /** A peer is asked to pay debts at most once in so many milliseconds. */
  debtRetryMs: 5_000,

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

  // ---- revocation of certificates
  /** A revocation list as it is fetched. */
  crlBytesMax: 64 * MIB,
  /** Longer lists are read by a thread of their own. */
  crlInlineBytesMax: 64 * KIB,
  /** From handing a list to that thread to its answer. */
  crlReadMsMax: 60_000,
  /** Lists kept in memory, with their indexes, all together. */
  crlHeldBytesMax: 128 * MIB,
  /** Longer lists are fetched again after a start instead of being stored. */
  crlStoredBytesMax: 1 * MIB,
  /** A list with more entries leaves no rows in hdb_revoked_certificates. */
  crlRowsMax: 10_000,
  /** Lists that lately could not be had, remembered so that not every check waits for them. */
  crlFailuresMax: 1_000,
  ocspBytesMax: 64 * KIB,
  /** Certificates of responders in one answer. */
  ocspCertificatesMax: 10,
  /** Addresses of lists, and of responders, in one certificate. */
  revocationAddressesMax: 16,
  /** Lists fetched and read at a time, and certificates asked about at a time; then those waiting for their turn. */
  crlFetchesMax: 4,
  ocspFetchesMax: 16,
  revocationWaitingMax: 1_000,
  revocationRedirectsMax: 3,
  /** Certificates that are checked again when their answer has grown old. */
  revocationWatchedMax: 2_000,
  /** How far the clocks of authorities may be ahead. */
  revocationSkewMs: 300_000,
  /** How long one handshake waits for a check; shorter than `greetingMsMax`, which the other end waits. */
  revocationWaitMsMax: 8_000,

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

  // ---- damage
  /** Rows of one database that cannot be read, noted one by one. */
  damagedRowsMax: 10_000,
  /** Of those, named in a status; and told one by one in the log, in one life of the writer. */
  damagedRowsNamed: 20,
  /** A log is read back this far at a start, over all origins: farther than LevelDB's own journal can reach. */
  logCheckBytes: 32 * MIB,
  /** Between two tries of a disk that does not take writes. */
  diskRetryMsMin: 1_000,
  diskRetryMsMax: 30_000,

  // ---- operations API
  operationBodyBytesMax: 1024 * MIB,
  operationBodyBytesBeforeAuthentication: 1 * MIB,

  // ---- logins
  passwordCharactersMax: 1_000,
  /** Addresses and users of which failed logins are remembered; the longest untouched is forgotten first. */
  loginFailuresKept: 10_000,
  /** Logins that wait because of failures before them. */
  loginsWaitingMax: 200,
  /** Passwords being checked at a time: each takes 16 MiB and a thread. */
  loginsVerifyingMax: 64,
  /** Changes of users and roles, and tokens to be issued, that wait for their turn. */
  userChangesWaitingMax: 1_000,
  /** Verified logins remembered. */
  loginsKept: 1_000,

  // ---- time (milliseconds)
  greetingMsMax: 10_000,
  keepAliveMs: 30_000,
  reconnectMsMin: 500,
  reconnectMsMax: 30_000,
  stopMsMax: 10_000,
  askMsDefault: 30_000,
  hungHandlerMs: 30_000,
  maxClockSkewMsDefault: 60_000,
  /** Default of `replication.readyWait`. */
  readyWaitMsDefault: 10_000,
  /** A login that would have to wait longer is refused. */
  loginWaitMsMax: 15_000,
  /** Failed logins count until there has been none for so long. */
  loginFailureMsMax: 600_000,
} as const;

/** Close reasons on a WebSocket are at most this many bytes (RFC 6455 section 5.5). */
export const CLOSE_REASON_BYTES_MAX = 123;
