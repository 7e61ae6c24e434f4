/**
 * The present revocation list of an address: held, stored, or fetched, one fetch at a time for each. Part of the CRL
 * source. Decides when a list is old and what to do when no newer one can be had; says nothing about certificates.
 */
import type { X509Certificate } from 'node:crypto';
import { messageOf } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import type { RevocationList } from './crl.js';
import { readListAside } from './crlReading.js';
import { loadList, storeList } from './crlStore.js';
import { HeldLists, type HeldList } from './heldLists.js';
import { InFlight } from './inFlight.js';
import { invalid, refusalOf, unusable, type AnswerRefused } from './refusals.js';
import type { FetchAnswer, RevocationPorts } from './revocationPorts.js';
import type { RevocationSettings } from './revocationSettings.js';

interface Wanted {
  readonly url: string;
  readonly issuer: X509Certificate;
  /** Lists of one address are kept apart by issuer: each is signed by one. */
  readonly key: string;
}

export class CrlLists {
  readonly #settings: RevocationSettings['crl'];
  readonly #ports: RevocationPorts;
  readonly #held = new HeldLists();
  readonly #failures = new Map<string, { refused: AnswerRefused; untilMs: number }>();
  readonly #inFlight = new InFlight<HeldList>({
    runningMax: limits.crlFetchesMax,
    waitingMax: limits.revocationWaitingMax,
  });

  constructor(settings: RevocationSettings['crl'], ports: RevocationPorts) {
    this.#settings = settings;
    this.#ports = ports;
  }

  /** A list that may be used now. Rejects with AnswerRefused, and OVERLOADED. */
  async current(url: string, issuer: X509Certificate): Promise<HeldList> {
    const key = `${issuer.fingerprint256} ${url}`;
    const held = this.#held.get(key);
    if (held !== undefined && this.#ports.now() < held.dueMs) return held;
    return await this.#inFlight.run(key, () => this.#renew({ url, issuer, key }));
  }

  async #renew(wanted: Wanted): Promise<HeldList> {
    const failure = this.#failures.get(wanted.key);
    if (failure !== undefined && this.#ports.now() < failure.untilMs) throw failure.refused;
    this.#failures.delete(wanted.key);
    const known = this.#held.get(wanted.key) ?? (await this.#loaded(wanted));
    if (known !== undefined && this.#ports.now() < known.dueMs) return this.#hold(wanted, known);
    try {
      return await this.#fetched(wanted, known?.list);
    } catch (thrown) {
      const refused = refusalOf(thrown);
      if (refused.kind === 'unusable' && known !== undefined && this.#stillCounts(known.list))
        return this.#keep(wanted, known.list, refused);
      this.#remember(wanted.key, refused);
      throw refused;
    }
  }

  /** What is stored may have been stored under other settings. */
  async #loaded({ url, issuer }: Wanted): Promise<HeldList | undefined> {
    const loaded = await loadList(this.#ports, url, issuer);
    return loaded && { list: loaded.list, dueMs: Math.min(loaded.dueMs, this.#dueMs(loaded.list)) };
  }

  async #fetched(wanted: Wanted, before: RevocationList | undefined): Promise<HeldList> {
    const { url, issuer } = wanted;
    const bytes = await this.#fetch(url);
    const list = await readListAside({ bytes, issuerDer: issuer.raw });
    if (list.thisUpdateMs > this.#ports.now() + limits.revocationSkewMs)
      throw unusable('is from the future');
    if (!this.#stillCounts(list))
      throw unusable(`is out of date since ${new Date(list.nextUpdateMs).toISOString()}`);
    if (before !== undefined && list.thisUpdateMs < before.thisUpdateMs)
      throw unusable('is older than the one before it');
    const held = this.#hold(wanted, { list, dueMs: this.#dueMs(list) });
    const { gracePeriodMs } = this.#settings;
    await storeList(this.#ports, { url, issuer, held, gracePeriodMs });
    return held;
  }

  async #fetch(url: string): Promise<Uint8Array<ArrayBuffer>> {
    const { status, bytes } = await this.#answerOf(url);
    if (status !== 200) throw unusable(`could not be fetched (HTTP status ${status})`);
    if (bytes.length > limits.crlBytesMax) throw unusable('is too large');
    if (bytes.length === 0) throw invalid('is empty');
    return bytes;
  }

  async #answerOf(url: string): Promise<FetchAnswer> {
    try {
      return await this.#ports.fetch(url, {
        method: 'GET',
        headers: { 'user-agent': `Skein/${this.#ports.version} CRL-Client` },
        timeoutMs: this.#settings.timeoutMs,
        bytesMax: limits.crlBytesMax,
      });
    } catch (thrown) {
      throw unusable(`could not be fetched (${messageOf(thrown)})`);
    }
  }

  #hold({ key }: Wanted, held: HeldList): HeldList {
    this.#held.put(key, held);
    return held;
  }

  /** No newer one can be had: this one goes on, and the next attempt is not made by the very next check. */
  #keep(wanted: Wanted, list: RevocationList, refused: AnswerRefused): HeldList {
    this.#ports.warn(`CRL ${refused.message}, the one before it still counts: ${wanted.url}`);
    const dueMs = this.#ports.now() + this.#settings.errorCacheTtlMs;
    return this.#hold(wanted, { list, dueMs });
  }

  #remember(key: string, refused: AnswerRefused): void {
    this.#failures.set(key, {
      refused,
      untilMs: this.#ports.now() + this.#settings.errorCacheTtlMs,
    });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > limits.crlFailuresMax && oldest !== undefined)
      this.#failures.delete(oldest);
  }

  #stillCounts({ nextUpdateMs }: RevocationList): boolean {
    return this.#ports.now() < nextUpdateMs + this.#settings.gracePeriodMs;
  }

  /** At nextUpdate at the latest; in the grace period soon. */
  #dueMs({ nextUpdateMs }: RevocationList): number {
    const now = this.#ports.now();
    const { cacheTtlMs, errorCacheTtlMs } = this.#settings;
    if (now >= nextUpdateMs) return now + errorCacheTtlMs;
    return Math.min(now + cacheTtlMs, nextUpdateMs);
  }
}
