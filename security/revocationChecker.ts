/**
 * Checks whether certificates are revoked and remembers which ones have to be checked again. The door of the revocation
 * checks: an actor owns one, calls `check` for every peer and `refreshDue` from a timer. Has no timer of its own.
 */
import { X509Certificate } from 'node:crypto';
import { SkeinError } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { RememberedSource, answerId } from './answerCache.js';
import { readCertificateParts } from './certificateParts.js';
import { CrlSource } from './crlSource.js';
import { OcspSource } from './ocspSource.js';
import {
  checkRevocation,
  type CheckedCertificate,
  type RevocationResult,
  type RevocationSources,
} from './revocation.js';
import { readRevocationPoints } from './revocationPoints.js';
import type { RevocationPorts } from './revocationPorts.js';
import type { RevocationSettings } from './revocationSettings.js';

/** PEM text, or what Node has made of it. */
export type Certificate = string | X509Certificate;

export interface RefreshedCheck {
  readonly certificate: X509Certificate;
  readonly result: RevocationResult;
}

type Pair = Pick<CheckedCertificate, 'certificate' | 'issuer'>;

interface Watched extends Pair {
  readonly dueMs: number;
}

export class RevocationChecker {
  readonly #settings: RevocationSettings;
  readonly #ports: RevocationPorts;
  readonly #sources: RevocationSources;
  readonly #watchedMax: number;
  readonly #watched = new Map<string, Watched>();

  constructor(
    settings: RevocationSettings,
    ports: RevocationPorts,
    { watchedMax = limits.revocationWatchedMax }: { watchedMax?: number } = {},
  ) {
    this.#settings = settings;
    this.#ports = ports;
    this.#watchedMax = watchedMax;
    const crl = new CrlSource(settings.crl, ports);
    const ocsp = new OcspSource(settings.ocsp, ports);
    this.#sources = {
      crl: new RememberedSource({ method: 'crl', source: crl, settings, ports }),
      ocsp: new RememberedSource({ method: 'ocsp', source: ocsp, settings, ports }),
    };
  }

  /**
   * Whether a certificate that `issuer` has signed may be used. Asks over the network when nothing is remembered. One
   * that passes, or of which nothing is known, is watched from then on, until `forget`. Never rejects for what certificates, authorities or the network
   * do; throws for text that is no certificate.
   */
  async check(certificate: Certificate, issuer: Certificate): Promise<RevocationResult> {
    const pair = { certificate: parsed(certificate), issuer: parsed(issuer) };
    const result = await this.#judge(pair);
    const isOpen = passes(result) || result.code === 'REVOCATION_UNKNOWN';
    if (isOpen && result.untilMs !== undefined) this.#watch(pair, result.untilMs);
    return result;
  }

  /** Its link is gone. */
  forget(certificate: Certificate): void {
    const { fingerprint256 } = parsed(certificate);
    for (const [key, watched] of this.#watched)
      if (watched.certificate.fingerprint256 === fingerprint256) this.#watched.delete(key);
  }

  /** When `refreshDue` will next have something to do, in milliseconds since the epoch. */
  get nextDueMs(): number | undefined {
    let next: number | undefined;
    for (const { dueMs } of this.#watched.values()) next = Math.min(next ?? dueMs, dueMs);
    return next;
  }

  /**
   * Checks again what is due at `nowMs`. Whoever comes back and does not pass has to be acted upon; it is watched until
   * it is forgotten, so a link that is left open will be judged again.
   */
  async refreshDue(nowMs: number): Promise<RefreshedCheck[]> {
    const due = [...this.#watched].filter(([, watched]) => watched.dueMs <= nowMs);
    return await Promise.all(due.map(([key, pair]) => this.#refresh(key, pair)));
  }

  /** Forgotten meanwhile, it stays forgotten. */
  async #refresh(key: string, pair: Watched): Promise<RefreshedCheck> {
    const result = await this.#judge(pair);
    if (this.#watched.has(key)) this.#watch(pair, result.untilMs ?? 0);
    return { certificate: pair.certificate, result };
  }

  async #judge(pair: Pair): Promise<RevocationResult> {
    const checked = readChecked(pair);
    if ('outcome' in checked) return checked;
    return await checkRevocation({ checked, settings: this.#settings, sources: this.#sources });
  }

  /** An answer that counts once only is asked for again when an error would be. */
  #watch({ certificate, issuer }: Pair, untilMs: number): void {
    const key = answerId('crl', { certificate, issuer });
    const now = this.#ports.now();
    const dueMs = untilMs > now ? untilMs : now + this.#settings.crl.errorCacheTtlMs;
    this.#watched.delete(key);
    this.#watched.set(key, { certificate, issuer, dueMs });
    const [oldest] = this.#watched.keys();
    if (this.#watched.size <= this.#watchedMax || oldest === undefined) return;
    this.#watched.delete(oldest);
    this.#ports.warn(`More than ${this.#watchedMax} certificates to check again`);
  }
}

/** Whether a peer with this result may be let in. */
export const passes = ({ outcome }: RevocationResult): boolean =>
  outcome === 'good' || outcome === 'unchecked';

const parsed = (certificate: Certificate): X509Certificate =>
  typeof certificate === 'string' ? new X509Certificate(certificate) : certificate;

function readChecked(pair: Pair): CheckedCertificate | RevocationResult {
  const { certificate, issuer } = pair;
  if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey))
    return refused('The certificate is not signed by the one that was given as its issuer');
  try {
    const parts = readCertificateParts(certificate.raw);
    return { ...pair, parts, points: readRevocationPoints(parts) };
  } catch (thrown) {
    if (thrown instanceof SkeinError && thrown.code === 'MALFORMED')
      return refused(`The certificate is malformed (${thrown.message})`);
    throw thrown;
  }
}

const refused = (reason: string): RevocationResult => ({
  outcome: 'refused',
  method: 'none',
  reason,
  code: 'REVOCATION_ANSWER_INVALID',
});
