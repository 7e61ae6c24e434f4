/**
 * Remembers what a source said about a certificate, as rows of hdb_certificate_cache. Stands in front of the sources
 * in RevocationChecker. A row is judged again when it is read: it may be old, damaged, or made by somebody else.
 */
import { createHash } from 'node:crypto';
import { messageOf } from '../protocol/errors.js';
import type { CheckedCertificate, RevocationSource, SourceAnswer } from './revocation.js';
import type { AnswerRow, RevocationMethod, RevocationPorts } from './revocationPorts.js';
import type { RevocationSettings } from './revocationSettings.js';

export class RememberedSource implements RevocationSource {
  readonly #method: RevocationMethod;
  readonly #source: RevocationSource;
  readonly #settings: RevocationSettings;
  readonly #ports: RevocationPorts;

  constructor(parts: {
    method: RevocationMethod;
    source: RevocationSource;
    settings: RevocationSettings;
    ports: RevocationPorts;
  }) {
    this.#method = parts.method;
    this.#source = parts.source;
    this.#settings = parts.settings;
    this.#ports = parts.ports;
  }

  async ask(checked: CheckedCertificate): Promise<SourceAnswer> {
    const id = answerId(this.#method, checked);
    const remembered = await this.#remembered(id);
    if (remembered !== undefined) return remembered;
    const answer = await this.#source.ask(checked);
    await this.#remember(id, answer);
    return answer;
  }

  /** A table that fails is no reason to refuse anybody, or to let anybody in: the source is asked. */
  async #remembered(id: string): Promise<SourceAnswer | undefined> {
    try {
      const row = await this.#ports.cache.answer(id);
      return row && this.#judge(row);
    } catch (thrown) {
      this.#ports.warn(`Revocation answers cannot be read: ${messageOf(thrown)}`);
      return undefined;
    }
  }

  /** No row counts for longer than the settings of today allow, whatever it says itself. */
  #judge(row: Partial<AnswerRow>): SourceAnswer | undefined {
    const { status, reason, checked_at: checkedAt, expiresAt } = row;
    const now = this.#ports.now();
    if (row.method !== this.#method || !isStatus(status) || typeof reason !== 'string')
      return undefined;
    if (!isTime(checkedAt) || !isTime(expiresAt) || checkedAt > now) return undefined;
    const untilMs = Math.min(expiresAt, checkedAt + this.#msMax(status));
    return untilMs > now ? { status, reason, untilMs } : undefined;
  }

  async #remember(id: string, { status, reason, untilMs }: SourceAnswer): Promise<void> {
    const now = this.#ports.now();
    if (untilMs <= now) return;
    const row: AnswerRow = {
      certificate_id: id,
      status,
      reason,
      checked_at: now,
      expiresAt: untilMs,
      method: this.#method,
    };
    try {
      await this.#ports.cache.putAnswer(row);
    } catch (thrown) {
      this.#ports.warn(`A revocation answer cannot be stored: ${messageOf(thrown)}`);
    }
  }

  #msMax(status: SourceAnswer['status']): number {
    const { cacheTtlMs, errorCacheTtlMs } = this.#settings[this.#method];
    return status === 'good' || status === 'revoked' ? cacheTtlMs : errorCacheTtlMs;
  }
}

/** Hexadecimal SHA-256 of method, certificate and issuer. */
export const answerId = (
  method: RevocationMethod,
  { certificate, issuer }: Pick<CheckedCertificate, 'certificate' | 'issuer'>,
): string =>
  createHash('sha256')
    .update(`${method} ${certificate.fingerprint256} ${issuer.fingerprint256}`)
    .digest('hex');

const STATUSES = new Set<unknown>(['good', 'revoked', 'error', 'unknown']);

const isStatus = (value: unknown): value is SourceAnswer['status'] => STATUSES.has(value);

const isTime = (value: unknown): value is number => Number.isSafeInteger(value);
