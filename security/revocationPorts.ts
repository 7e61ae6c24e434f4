/**
 * What the revocation checks need from outside: the network, the tables that remember answers, the clock. Implemented
 * by httpFetch.ts and by whoever drives the checks; rows have the names that users see in the tables.
 */

export interface FetchRequest {
  readonly method: 'GET' | 'POST';
  readonly body?: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** For everything, redirects included. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

export interface FetchAnswer {
  readonly status: number;
  /** In a buffer of its own. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Rejects when there is no whole answer. */
export type Fetch = (url: string, request: FetchRequest) => Promise<FetchAnswer>;

/** hdb_certificate_cache. Times in milliseconds since the epoch. */
export interface AnswerRow {
  /** Hash of method, certificate and issuer. */
  readonly certificate_id: string;
  readonly status: 'good' | 'revoked' | 'error' | 'unknown';
  readonly reason: string;
  readonly checked_at: number;
  readonly expiresAt: number;
  readonly method: RevocationMethod;
}

export type RevocationMethod = 'crl' | 'ocsp';

/** hdb_crl_cache */
export interface ListRow {
  readonly distribution_point: string;
  readonly issuer_dn: string;
  /** DER */
  readonly crl_blob: Uint8Array;
  readonly this_update: number;
  readonly next_update: number;
  readonly signature_valid: boolean;
  readonly expiresAt: number;
}

/** hdb_revoked_certificates */
export interface RevokedRow {
  /** `issuer_key_id:serial_number` */
  readonly composite_id: string;
  readonly serial_number: string;
  readonly issuer_key_id: string;
  readonly revocation_date: number;
  readonly revocation_reason: string;
  readonly crl_source: string;
  readonly crl_next_update: number;
  readonly expiresAt: number;
}

/** What is read back may be old or damaged: it is judged again, lists with their signature. */
export interface RevocationCache {
  readonly answer: (certificateId: string) => Promise<Partial<AnswerRow> | undefined>;
  readonly putAnswer: (row: AnswerRow) => Promise<void>;
  readonly list: (distributionPoint: string) => Promise<Partial<ListRow> | undefined>;
  readonly putList: (row: ListRow) => Promise<void>;
  /** These rows instead of all that had this `crl_source`. */
  readonly replaceRevoked: (crlSource: string, rows: readonly RevokedRow[]) => Promise<void>;
}

export interface RevocationPorts {
  readonly fetch: Fetch;
  readonly cache: RevocationCache;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Something that an operator should know and that changes no outcome. */
  readonly warn: (text: string) => void;
  /** Of Skein, for the user agent. */
  readonly version: string;
}
