/**
 * Whether the certificate of another node was revoked, as far as its authority says so. Asked by peerLink for links and by
 * peerOperation and peerOperations for single operations; told by the revocation actor. Outlives that actor's lives, and
 * while it is away the failure mode of the settings decides.
 */
import { X509Certificate } from 'node:crypto';
import type { Logger } from 'pino';
import { messageOf, SkeinError } from '../protocol/errors.js';
import { readCertificateParts } from '../security/certificateParts.js';
import type { RevocationResult } from '../security/revocation.js';
import { passes } from '../security/revocationChecker.js';
import { readRevocationPoints } from '../security/revocationPoints.js';
import type { RevocationSettings } from '../security/revocationSettings.js';
import type { ProvenCertificate } from './transport/types.js';

/** Both in PEM; the second has signed the first. */
export interface CertificatePair {
  readonly pem: string;
  readonly issuerPem: string;
}

/** The revocation actor, from outside. */
export interface RevocationDoor {
  /** Rejects when there is no answer in time. */
  readonly check: (pair: CertificatePair) => Promise<RevocationResult>;
  /** No link has it any more. */
  readonly released: (pem: string) => void;
}

interface Held {
  readonly pair: CertificatePair;
  links: number;
  /** Handshakes that wait for an answer; they tell the log. */
  asking: number;
  refusal: string | undefined;
}

export class RevocationGate {
  readonly #settings: RevocationSettings;
  readonly #authorities: () => readonly string[];
  /** Certificates of links, by their PEM; those that name nobody to ask are not among them. */
  readonly #held = new Map<string, Held>();
  #door: RevocationDoor | null = null;

  /** `authorities`: PEM of those that TLS trusts, for certificates that come without their issuer. */
  constructor(settings: RevocationSettings, authorities: () => readonly string[]) {
    this.#settings = settings;
    this.#authorities = authorities;
  }

  open(door: RevocationDoor): void {
    this.#door = door;
  }

  get settings(): RevocationSettings {
    return this.#settings;
  }

  /** Of the links there are. */
  get held(): readonly CertificatePair[] {
    return [...this.#held.values()].map(({ pair }) => pair);
  }

  isHeld(pem: string): boolean {
    return this.#held.has(pem);
  }

  /** A link has it from now on, until what is returned is called. */
  hold(certificate: ProvenCertificate): () => void {
    const { pem } = certificate;
    const issuerPem = this.#modesOf(pem).length > 0 ? this.#issuerOf(certificate) : undefined;
    if (issuerPem === undefined) return () => undefined;
    const held = this.#held.get(pem) ?? {
      pair: { pem, issuerPem },
      links: 0,
      asking: 0,
      refusal: undefined,
    };
    this.#held.set(pem, held);
    held.links++;
    let isHolding = true;
    return () => {
      if (isHolding && --held.links === 0) {
        this.#held.delete(pem);
        this.#door?.released(pem);
      }
      isHolding = false;
    };
  }

  /** Why a link with that certificate has to be closed; undefined: nothing is known against it. */
  refusalOf({ pem }: ProvenCertificate): string | undefined {
    return this.#held.get(pem)?.refusal;
  }

  /**
   * Why that certificate is not accepted now; undefined: it is. Short enough for the close of a connection, with more of it
   * in the log. Takes limits.revocationWaitMsMax at most.
   */
  async check(certificate: ProvenCertificate, log: Logger): Promise<string | undefined> {
    const modes = this.#modesOf(certificate.pem);
    if (modes.length === 0) return undefined;
    const held = this.#held.get(certificate.pem);
    if (held) held.asking++;
    const result = await this.#ask(certificate, modes.includes('fail-closed'));
    if (held) held.asking--;
    if (result.code === undefined) return undefined;
    const isIn = passes(result);
    log.warn(
      shown(certificate.pem, result),
      isIn ? 'a certificate was let in that could not be checked' : 'refused a certificate',
    );
    return isIn ? undefined : reasonOf(certificate.serial, result);
  }

  /**
   * What came of asking about a certificate, again or too late for who had asked. A link is closed for what was said against
   * its certificate, and not because nobody could be asked.
   */
  learn(pem: string, result: RevocationResult, log: Logger): void {
    const held = this.#held.get(pem);
    if (held === undefined || result.code === 'REVOCATION_UNKNOWN') return;
    if (passes(result)) {
      held.refusal = undefined;
      return;
    }
    if (held.refusal === undefined && held.asking === 0)
      log.warn(shown(pem, result), 'a certificate of a link is bad');
    held.refusal = reasonOf(new X509Certificate(pem).serialNumber, result);
  }

  async #ask(certificate: ProvenCertificate, isClosed: boolean): Promise<RevocationResult> {
    const issuerPem = this.#issuerOf(certificate);
    if (issuerPem === undefined) return unanswered('its issuer is not known here', isClosed);
    try {
      if (this.#door === null) throw new SkeinError('UNAVAILABLE', 'the node is starting');
      return await this.#door.check({ pem: certificate.pem, issuerPem });
    } catch (error) {
      return unanswered(`it could not be checked: ${messageOf(error)}`, isClosed);
    }
  }

  /** The failure modes of the sources that it names and that are asked; what cannot be read is for the checks to refuse. */
  #modesOf(pem: string): string[] {
    const { crl, ocsp } = this.#settings;
    const { lists, responders } = pointsOf(pem);
    return [
      ...(lists && crl.enabled ? [crl.failureMode] : []),
      ...(responders && ocsp.enabled ? [ocsp.failureMode] : []),
    ];
  }

  #issuerOf({ pem, issuerPem }: ProvenCertificate): string | undefined {
    if (issuerPem !== null) return issuerPem;
    const certificate = new X509Certificate(pem);
    return this.#authorities().find((authority) => {
      const issuer = new X509Certificate(authority);
      return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
    });
  }
}

const pointsOf = (pem: string): ReturnType<typeof readRevocationPoints> => {
  try {
    return readRevocationPoints(readCertificateParts(new X509Certificate(pem).raw));
  } catch (error) {
    if (error instanceof SkeinError && error.code === 'MALFORMED')
      return { lists: [], responders: [] };
    throw error;
  }
};

const unanswered = (reason: string, isClosed: boolean): RevocationResult => ({
  outcome: isClosed ? 'refused' : 'unchecked',
  method: 'none',
  reason,
  code: 'REVOCATION_UNKNOWN',
});

const reasonOf = (serial: string, { code }: RevocationResult): string => {
  const certificate = `the certificate with the serial number ${serial}`;
  if (code === 'CERTIFICATE_REVOKED') return `${certificate} was revoked`;
  if (code === 'REVOCATION_UNKNOWN') return `it is not known whether ${certificate} was revoked`;
  return `invalid answer on whether ${certificate} was revoked`;
};

/** For the log. */
const shown = (pem: string, { code, method, reason }: RevocationResult) => {
  const { serialNumber: serial, issuer } = new X509Certificate(pem);
  // Node puts each part of a name on a line of its own.
  return { serial, issuer: issuer.replaceAll('\n', ', '), method, code, reason };
};
