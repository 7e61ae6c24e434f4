/**
 * What the OCSP responder that a certificate names says about it. One of the two sources of RevocationChecker; what
 * counts as an answer is decided by ocsp.ts. Keeps nothing but the questions that are under way.
 */
import { randomBytes } from 'node:crypto';
import { SkeinError, messageOf } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { answerId } from './answerCache.js';
import { InFlight } from './inFlight.js';
import { readOcspAnswer, writeOcspRequest, type CertificateHash, type OcspAnswer } from './ocsp.js';
import { AnswerRefused, refusalOf, unusable } from './refusals.js';
import type { CheckedCertificate, RevocationSource, SourceAnswer } from './revocation.js';
import type { FetchAnswer, RevocationPorts } from './revocationPorts.js';
import type { RevocationSettings } from './revocationSettings.js';
import { serialOfBytes } from './serials.js';

/** RFC 9654, 2.1 */
const NONCE_BYTES = 32;
/** The second one only for responders that do not find the certificate by the first. */
const HASHES: readonly CertificateHash[] = ['sha1', 'sha256'];

export class OcspSource implements RevocationSource {
  readonly #settings: RevocationSettings['ocsp'];
  readonly #ports: RevocationPorts;
  readonly #inFlight = new InFlight<SourceAnswer>({
    runningMax: limits.ocspFetchesMax,
    waitingMax: limits.revocationWaitingMax,
  });

  constructor(settings: RevocationSettings['ocsp'], ports: RevocationPorts) {
    this.#settings = settings;
    this.#ports = ports;
  }

  async ask(checked: CheckedCertificate): Promise<SourceAnswer> {
    const [url] = checked.points.responders ?? [];
    if (url === undefined)
      return this.#failed('unknown', 'The certificate names no OCSP responder reached over HTTP');
    try {
      return await this.#inFlight.run(answerId('ocsp', checked), () => this.#ask(url, checked));
    } catch (thrown) {
      if (thrown instanceof SkeinError && thrown.code === 'OVERLOADED')
        return { status: 'unknown', reason: messageOf(thrown), untilMs: this.#ports.now() };
      throw thrown;
    }
  }

  async #ask(url: string, checked: CheckedCertificate): Promise<SourceAnswer> {
    try {
      const answer = await this.#answerOf(url, checked);
      return this.#judge(url, checked, answer);
    } catch (thrown) {
      const { kind, message } = refusalOf(thrown);
      const status = kind === 'invalid' ? 'error' : 'unknown';
      return this.#failed(status, `OCSP answer ${message} from: ${url}`);
    }
  }

  /** Asks by each hash until the responder knows the certificate. */
  async #answerOf(url: string, checked: CheckedCertificate): Promise<OcspAnswer> {
    let last: OcspAnswer | AnswerRefused = unusable('was not asked for');
    for (const hash of HASHES) {
      last = await this.#askBy(hash, url, checked);
      if (!isLost(last)) break;
    }
    if (last instanceof AnswerRefused) throw last;
    return last;
  }

  async #askBy(
    hash: CertificateHash,
    url: string,
    { certificate, issuer }: CheckedCertificate,
  ): Promise<OcspAnswer | AnswerRefused> {
    const question = { certificate, issuer, nonce: randomBytes(NONCE_BYTES) };
    try {
      const bytes = await this.#send(url, writeOcspRequest(question, hash));
      return readOcspAnswer(bytes, question, {
        nowMs: this.#ports.now(),
        withoutNextUpdateMs: this.#settings.cacheTtlMs,
      });
    } catch (thrown) {
      return refusalOf(thrown);
    }
  }

  async #send(url: string, body: Uint8Array): Promise<Uint8Array> {
    const { status, bytes } = await this.#fetch(url, body);
    if (status !== 200) throw unusable(`could not be fetched (HTTP status ${status})`);
    if (bytes.length > limits.ocspBytesMax) throw unusable('is too large');
    return bytes;
  }

  async #fetch(url: string, body: Uint8Array): Promise<FetchAnswer> {
    try {
      return await this.#ports.fetch(url, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/ocsp-request',
          accept: 'application/ocsp-response',
          'user-agent': `Skein/${this.#ports.version} OCSP-Client`,
        },
        timeoutMs: this.#settings.timeoutMs,
        bytesMax: limits.ocspBytesMax,
      });
    } catch (thrown) {
      throw unusable(`could not be fetched (${messageOf(thrown)})`);
    }
  }

  #judge(url: string, { parts }: CheckedCertificate, answer: OcspAnswer): SourceAnswer {
    const name = `Certificate ${serialOfBytes(parts.serial)}`;
    const untilMs = Math.min(answer.untilMs, this.#ports.now() + this.#settings.cacheTtlMs);
    if (answer.status === 'unknown')
      return this.#failed('unknown', `${name} is unknown to the OCSP responder ${url}`);
    if (answer.status === 'good')
      return { status: 'good', reason: `${name} is good by the OCSP responder ${url}`, untilMs };
    const since = new Date(answer.revokedAtMs).toISOString();
    const reason = `${name} is revoked since ${since} (${answer.reason}) by the OCSP responder ${url}`;
    return { status: 'revoked', reason, untilMs };
  }

  #failed(status: 'error' | 'unknown', reason: string): SourceAnswer {
    return { status, reason, untilMs: this.#ports.now() + this.#settings.errorCacheTtlMs };
  }
}

const isLost = (answer: OcspAnswer | AnswerRefused): boolean =>
  answer instanceof AnswerRefused
    ? /says (?:malformedRequest|unauthorized)/.test(answer.message)
    : answer.status === 'unknown';
