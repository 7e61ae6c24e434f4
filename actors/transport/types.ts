/**
 * What carries frames between two nodes. Implementations: webSocket.ts (real sockets) and memory.ts (within one process);
 * both pass tests/conformance/transport. A transport knows bytes and addresses, nothing of frames.
 */
import type { ListenAddress } from '../../config/types.js';
import type { NodeName } from '../../protocol/ids.js';

export interface Closed {
  /** WebSocket close code (RFC 6455 section 7.4); 1006 when the other end vanished. */
  readonly code: number;
  readonly reason: string;
}

export interface ConnectionHandlers {
  /** One whole message. The bytes belong to the receiver from now on. */
  frame(bytes: Buffer): void;
  /** Exactly once, whoever closed and however. */
  closed(closed: Closed): void;
  /** `bufferedBytes()` fell below half of limits.socketBufferedBytesMax after having been above it. */
  drained(): void;
}

/** Who the other end is, as far as the transport itself can tell. Frames prove nothing. */
export type Proven =
  /** Without TLS: its address, for memory its listening name. */
  | { readonly kind: 'address'; readonly name: NodeName }
  /** Its certificate leads to a trusted authority. */
  | {
      readonly kind: 'certificate';
      /** The nodes it speaks for; perhaps none. */
      readonly names: readonly NodeName[];
      readonly certificate: ProvenCertificate;
    }
  /** Over TLS, without a certificate or with one that is not trusted. */
  | {
      readonly kind: 'unproven';
      /** Short, and without anything that the other end could have written. */
      readonly reason: string;
      /** What its certificate says of itself, for this node's log; null: there is none. */
      readonly claims: string | null;
    };

export interface ProvenCertificate {
  readonly pem: string;
  /** The certificate that signed it, as PEM, if the other end has sent it. */
  readonly issuerPem: string | null;
  /** Hexadecimal digits. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly validToMs: number;
}

/** A link between two nodes, or one operation and its answer. */
export type Purpose = 'replication' | 'operation';

export interface Connection {
  /** The address of the other end, canonical: IPv4-mapped IPv6 addresses as IPv4; for memory the peer's listening name. */
  readonly remoteAddress: string;
  readonly proven: Proven;
  readonly dialled: boolean;
  /** What the side that dialled said it is for. */
  readonly purpose: Purpose;
  /** Frames that arrive before `start` wait. Call exactly once. */
  start(handlers: ConnectionHandlers): void;
  /** Never blocks, never throws; ignored after close. */
  send(frame: Uint8Array): void;
  /** Bytes handed to `send` and not yet taken by the operating system (or the other end, for memory). */
  bufferedBytes(): number;
  /** False from when either end has said that it closes, before `closed` is told: what is sent now is dropped. */
  isOpen(): boolean;
  /** Stops reading; resumes. */
  pause(): void;
  resume(): void;
  /** Raises the largest message accepted, from limits.greetingBytesMax, once the greeting is over. */
  acceptFrames(bytesMax: number): void;
  /** The reason is cut to 123 bytes at a character boundary. A peer that does not answer the close is cut off after 2 s. */
  close(code: number, reason: string): void;
  /** At once, without a word. */
  terminate(): void;
}

export interface ListeningSocket {
  readonly address: ListenAddress;
  /** Stops accepting; connections already handed over live on. */
  close(): Promise<void>;
}

export interface Transport {
  /** Rejects with a SkeinError naming address and cause (`port 9933 on 127.0.0.2 is in use`). */
  listen(
    address: ListenAddress,
    accepted: (connection: Connection) => void,
    /** `secure`: with TLS. What the other ends prove is in their connections, whatever it is. */
    options?: { readonly secure?: boolean },
  ): Promise<ListeningSocket>;
  /** Rejects with an Error whose message says what failed (`connect ECONNREFUSED 127.0.0.3:9933`). */
  dial(
    url: string,
    options: {
      readonly signal: AbortSignal;
      readonly localAddress?: string;
      readonly timeoutMs: number;
      /** Default: `replication`. */
      readonly purpose?: Purpose;
      /** Who has to be at the other end; needed for TLS, where the certificate is held against it. */
      readonly expected?: NodeName;
      /** False: with TLS, whoever is there is talked to; `proven` says how much that is worth. Default true. */
      readonly verifyTls?: boolean;
    },
  ): Promise<Connection>;
}
