/**
 * What this node shows and trusts on TLS connections, at this moment. Filled and replaced by the signer actor, read by the
 * WebSocket transport at each new connection; connections that are open are not touched. The one thing both hold.
 */
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { constants } from 'node:crypto';
import { SkeinError } from '../../protocol/errors.js';
import type { NodeName } from '../../protocol/ids.js';
import { choiceFor, type Candidate, type Choice } from '../../security/choice.js';

export interface ServedCertificate extends Candidate {
  /** Name of its row, for messages. */
  readonly id: string;
  /** PEM; the authorities between it and the trusted one follow it. */
  readonly chain: string;
  readonly key: string;
  /** Absent: the strong ones. */
  readonly ciphers?: string;
}

export interface TlsMaterial {
  readonly ownName: NodeName;
  readonly choice: Choice<ServedCertificate>;
  /** PEM. Nobody else is trusted. */
  readonly authorities: readonly string[];
}

/** Forward secrecy and authenticated encryption only; level 2 refuses SHA-1 signatures and RSA below 2048 bits. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  '@SECLEVEL=2',
].join(':');

/** A resumed session would not be judged again, and so is never offered; nor is a second handshake within one. */
const SECURE_OPTIONS =
  constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION;

export class SecureContexts {
  #material: TlsMaterial | null = null;
  #built = new Map<ServedCertificate, SecureContext>();
  readonly #listeners = new Set<() => void>();

  /**
   * New connections use it from now on. Throws, and changes nothing, when there is no certificate (UNAVAILABLE) or OpenSSL
   * refuses one of them.
   */
  replace(material: TlsMaterial): void {
    if (material.choice.best === undefined) noCertificate();
    const served = new Set([material.choice.best, ...material.choice.byName.values()]);
    const built = new Map<ServedCertificate, SecureContext>();
    for (const certificate of served)
      if (certificate) built.set(certificate, secureContextOf(certificate, material.authorities));
    this.#material = material;
    this.#built = built;
    for (const listener of this.#listeners) listener();
  }

  /** PEM of those who are trusted. */
  get authorities(): readonly string[] {
    return this.#material?.authorities ?? [];
  }

  /** Told after each replacement, until what it answers is called. */
  onReplaced(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** For whoever asks for no name. UNAVAILABLE while there is no certificate. */
  defaultOptions(): SecureContextOptions {
    const material = this.#current();
    return optionsOf(material.choice.best ?? noCertificate(), material);
  }

  contextFor(serverName: string): SecureContext {
    return this.#contextOf(choiceFor(this.#current().choice, serverName));
  }

  /**
   * For dialling: the certificate for this node's own name. Without one a dial that verifies nothing shows the best there
   * is; any other throws UNAVAILABLE.
   */
  dialContext(url: string, verify: boolean): SecureContext {
    const { choice, ownName } = this.#current();
    const own = choice.byName.get(ownName) ?? (verify ? undefined : choice.best);
    if (own !== undefined) return this.#contextOf(own);
    const available = [...choice.byName.keys()].join(', ');
    throw new SkeinError(
      'UNAVAILABLE',
      `Unable to find a valid certificate to use for replication to connect to ${url} available: ${available}`,
    );
  }

  #current(): TlsMaterial {
    return this.#material ?? noCertificate();
  }

  #contextOf(certificate: ServedCertificate | undefined): SecureContext {
    return (certificate && this.#built.get(certificate)) ?? noCertificate();
  }
}

/** Throws an Error of OpenSSL when it cannot show the certificate, or cannot read an authority. */
export const secureContextOf = (
  certificate: ServedCertificate,
  authorities: readonly string[],
): SecureContext => createSecureContext(optionsOf(certificate, { authorities }));

const noCertificate = (): never => {
  throw new SkeinError('UNAVAILABLE', 'Unable to find a certificate to use for replication');
};

const optionsOf = (
  { chain, key, ciphers = CIPHERS }: ServedCertificate,
  { authorities }: Pick<TlsMaterial, 'authorities'>,
): SecureContextOptions => ({
  cert: chain,
  key,
  ca: [...authorities],
  ciphers,
  honorCipherOrder: true,
  minVersion: 'TLSv1.2',
  secureOptions: SECURE_OPTIONS,
});
