/**
 * Expected refusals. Each has a stable `code` (part of the API, listed in docs/OPERATIONS.md), the HTTP
 * status the operations API answers with, and a message for the person who has to act on it.
 * Programmer errors are plain `Error`s: they crash an actor and its supervisor answers.
 */

export type ErrorCode =
  | 'INVALID_REQUEST' // 400: the operation or its fields are wrong
  | 'NOT_FOUND' // 404: no such database or table
  | 'ALREADY_EXISTS' // 400
  | 'UNAUTHENTICATED' // 401
  | 'TOO_MANY_LOGINS' // 429: too many failed ones from there, for now
  | 'FORBIDDEN' // 403
  | 'TRANSACTION_TOO_LARGE' // 400
  | 'KEY_TOO_LONG' // 400
  | 'OVERLOADED' // 503: a bounded queue is full
  | 'UNAVAILABLE' // 503: the database or node is stopping, restarting or failed
  | 'OUTCOME_UNKNOWN' // 500: the write may or may not have been stored
  | 'STORAGE_FAILED' // 500
  | 'STORAGE_LOCKED' // 500: another process holds the data directory
  | 'DAMAGED' // 500: stored bytes failed their checksum
  | 'MALFORMED' // bytes that are no valid record, entry or frame
  | 'TIMEOUT' // 504
  | 'PEER_REFUSED' // 500: the other node of an operation says no
  | 'PEER_UNREACHABLE' // 500: and it was needed
  | 'SIGNER_UNAVAILABLE' // 503: certificates can be neither asked for nor signed now
  | 'INVALID_CERTIFICATE_FORMAT' // 500: what should be a certificate or key in PEM is none
  | 'INVALID_CONFIGURATION'
  | 'INSECURE_ADDRESS'; // refuses to listen beyond loopback without TLS

const STATUS: Record<ErrorCode, number> = {
  INVALID_REQUEST: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 400,
  UNAUTHENTICATED: 401,
  TOO_MANY_LOGINS: 429,
  FORBIDDEN: 403,
  TRANSACTION_TOO_LARGE: 400,
  KEY_TOO_LONG: 400,
  OVERLOADED: 503,
  UNAVAILABLE: 503,
  OUTCOME_UNKNOWN: 500,
  STORAGE_FAILED: 500,
  STORAGE_LOCKED: 500,
  DAMAGED: 500,
  MALFORMED: 400,
  TIMEOUT: 504,
  PEER_REFUSED: 500,
  PEER_UNREACHABLE: 500,
  SIGNER_UNAVAILABLE: 503,
  INVALID_CERTIFICATE_FORMAT: 500,
  INVALID_CONFIGURATION: 500,
  INSECURE_ADDRESS: 500,
};

export class SkeinError extends Error {
  override readonly name = 'SkeinError';
  readonly code: ErrorCode;
  /** HTTP status for the operations API. */
  readonly statusCode: number;
  /** Fields that the answer has beside the message. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options?: {
      cause?: unknown;
      statusCode?: number;
      details?: Readonly<Record<string, unknown>>;
    },
  ) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options?.details ?? {};
    this.statusCode = options?.statusCode ?? STATUS[code];
  }
}

/** 400 with the message the user should read. */
export const invalidRequest = (message: string): SkeinError =>
  new SkeinError('INVALID_REQUEST', message);

export const notFound = (message: string): SkeinError => new SkeinError('NOT_FOUND', message);

/** For messages about what others sent: an object may bring a `toString` of its own, which need not be a function. */
export const asText = (value: unknown): string =>
  typeof value === 'object' && value !== null ? 'an object' : String(value);

/** The message of anything that was thrown. */
export const messageOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown);
