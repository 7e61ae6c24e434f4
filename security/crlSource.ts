/**
 * What the revocation list that a certificate names says about it. One of the two sources of RevocationChecker; which
 * list counts is decided by crlLists.ts, what is in it by crl.ts.
 */
import { SkeinError, messageOf } from '../protocol/errors.js';
import { isAuthority } from './certificateParts.js';
import { findRevoked, outOfScope } from './crl.js';
import { CrlLists } from './crlLists.js';
import type { HeldList } from './heldLists.js';
import { refusalOf } from './refusals.js';
import type { CheckedCertificate, RevocationSource, SourceAnswer } from './revocation.js';
import type { RevocationPorts } from './revocationPorts.js';
import type { RevocationSettings } from './revocationSettings.js';
import { serialOfBytes } from './serials.js';

export class CrlSource implements RevocationSource {
  readonly #settings: RevocationSettings['crl'];
  readonly #ports: RevocationPorts;
  readonly #lists: CrlLists;

  constructor(settings: RevocationSettings['crl'], ports: RevocationPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#lists = new CrlLists(settings, ports);
  }

  /** The first list that can be asked counts, as they are the same list at several addresses. */
  async ask(checked: CheckedCertificate): Promise<SourceAnswer> {
    const [url] = checked.points.lists ?? [];
    if (url === undefined)
      return this.#failed('unknown', 'The certificate names no CRL that can be fetched over HTTP');
    try {
      return this.#judge(checked, url, await this.#lists.current(url, checked.issuer));
    } catch (thrown) {
      if (thrown instanceof SkeinError && thrown.code === 'OVERLOADED')
        return { status: 'unknown', reason: messageOf(thrown), untilMs: this.#ports.now() };
      const { kind, message } = refusalOf(thrown);
      const status = kind === 'invalid' ? 'error' : 'unknown';
      return this.#failed(status, `CRL ${message} for: ${url}`);
    }
  }

  #judge({ parts, points }: CheckedCertificate, url: string, held: HeldList): SourceAnswer {
    const { list, dueMs } = held;
    const about = { isAuthority: isAuthority(parts), addresses: points.lists ?? [] };
    const reason = outOfScope(list, about);
    if (reason !== undefined) return this.#failed('unknown', `CRL ${reason} for: ${url}`);
    const entry = findRevoked(list, parts.serial);
    const name = `Certificate ${serialOfBytes(parts.serial)}`;
    if (entry === undefined)
      return {
        status: 'good',
        reason: `${name} is not in the CRL of ${url}`,
        untilMs: Math.min(dueMs, list.nextUpdateMs),
      };
    const since = new Date(entry.revokedAtMs).toISOString();
    return {
      status: 'revoked',
      reason: `${name} is revoked since ${since} (${entry.reason}) by the CRL of ${url}`,
      untilMs: dueMs,
    };
  }

  #failed(status: 'error' | 'unknown', reason: string): SourceAnswer {
    return { status, reason, untilMs: this.#ports.now() + this.#settings.errorCacheTtlMs };
  }
}
