/**
 * Decides about one certificate from what its sources say: the order in which they are asked, which answers are final,
 * and what silence means. Called by RevocationChecker. Asks through the sources it is given and remembers nothing.
 */
import type { X509Certificate } from 'node:crypto';
import type { CertificateParts } from './certificateParts.js';
import type { RevocationMethod } from './revocationPorts.js';
import type { RevocationPoints } from './revocationPoints.js';
import type { RevocationSettings } from './revocationSettings.js';

/** A certificate under check, with what was read of it. */
export interface CheckedCertificate {
  readonly certificate: X509Certificate;
  readonly issuer: X509Certificate;
  readonly parts: CertificateParts;
  readonly points: RevocationPoints;
}

/** What one source says. `error`: forged, damaged or about something else. `unknown`: nothing that counts. */
export interface SourceAnswer {
  readonly status: 'good' | 'revoked' | 'error' | 'unknown';
  readonly reason: string;
  /** The answer may be used until then; not after `now`: only this once. */
  readonly untilMs: number;
}

export interface RevocationSource {
  /** Does not reject for anything that an authority or the network does. */
  ask(checked: CheckedCertificate): Promise<SourceAnswer>;
}

export type RevocationSources = Readonly<Record<RevocationMethod, RevocationSource>>;

export type RevocationCode =
  /** A source says so. */
  | 'CERTIFICATE_REVOKED'
  /** A source gave an answer that is forged, damaged or about something else. */
  | 'REVOCATION_ANSWER_INVALID'
  /** No source gave an answer that counts; with `fail-open` the certificate passes. */
  | 'REVOCATION_UNKNOWN';

export interface RevocationResult {
  /** `good` and `unchecked` pass, `revoked` and `refused` do not. */
  readonly outcome: 'good' | 'revoked' | 'unchecked' | 'refused';
  /** The last source that was asked. */
  readonly method: RevocationMethod | 'none';
  /** For people; names the address that was asked. */
  readonly reason: string;
  readonly code?: RevocationCode;
  /** When to ask again, in milliseconds since the epoch; absent: a certificate that names no source. */
  readonly untilMs?: number;
}

const ORDER: readonly RevocationMethod[] = ['crl', 'ocsp'];

export async function checkRevocation(request: {
  readonly checked: CheckedCertificate;
  readonly settings: RevocationSettings;
  readonly sources: RevocationSources;
}): Promise<RevocationResult> {
  const { checked, settings, sources } = request;
  const { lists, responders } = checked.points;
  const named = { crl: lists !== undefined, ocsp: responders !== undefined };
  const silent: { readonly method: RevocationMethod; readonly answer: SourceAnswer }[] = [];
  for (const method of ORDER.filter((one) => named[one] && settings[one].enabled)) {
    const answer = await sources[method].ask(checked);
    const final = finalResult(method, answer);
    if (final !== undefined) return final;
    silent.push({ method, answer });
  }
  const last = silent.at(-1);
  if (last === undefined)
    return { outcome: 'unchecked', method: 'none', reason: 'It names no source that is asked' };
  const isClosed = silent.some(({ method }) => settings[method].failureMode === 'fail-closed');
  return {
    outcome: isClosed ? 'refused' : 'unchecked',
    method: last.method,
    reason: silent.map(({ answer }) => answer.reason).join('; '),
    code: 'REVOCATION_UNKNOWN',
    untilMs: Math.min(...silent.map(({ answer }) => answer.untilMs)),
  };
}

function finalResult(
  method: RevocationMethod,
  { status, reason, untilMs }: SourceAnswer,
): RevocationResult | undefined {
  if (status === 'unknown') return undefined;
  if (status === 'good') return { outcome: 'good', method, reason, untilMs };
  if (status === 'revoked')
    return { outcome: 'revoked', method, reason, code: 'CERTIFICATE_REVOKED', untilMs };
  return { outcome: 'refused', method, reason, code: 'REVOCATION_ANSWER_INVALID', untilMs };
}
