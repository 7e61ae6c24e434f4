/**
 * Revocation lists as rows: hdb_crl_cache keeps a short list over a restart, hdb_revoked_certificates shows what is
 * revoked. Used by crlLists.ts. A failing table costs a fetch and changes no outcome.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import { messageOf } from '../protocol/errors.js';
import { limits } from '../protocol/limits.js';
import { readCertificateParts } from './certificateParts.js';
import { revokedEntries } from './crl.js';
import { readListAside } from './crlReading.js';
import type { HeldList } from './heldLists.js';
import type { ListRow, RevocationPorts, RevokedRow } from './revocationPorts.js';
import { serialOfBytes } from './serials.js';

/** The stored list, its signature checked again; undefined: none that can be used. */
export async function loadList(
  ports: RevocationPorts,
  url: string,
  issuer: X509Certificate,
): Promise<HeldList | undefined> {
  try {
    const row = await ports.cache.list(url);
    const blob = row?.crl_blob;
    if (!(blob instanceof Uint8Array) || blob.length > limits.crlStoredBytesMax) return undefined;
    const list = await readListAside({ bytes: Uint8Array.from(blob), issuerDer: issuer.raw });
    return { list, dueMs: dueOf(row) };
  } catch (thrown) {
    ports.warn(`The stored revocation list of ${url} cannot be used: ${messageOf(thrown)}`);
    return undefined;
  }
}

/** 0, so at once, for a row that does not say. */
const dueOf = (row: Partial<ListRow> | undefined): number =>
  Number.isSafeInteger(row?.expiresAt) ? Number(row?.expiresAt) : 0;

export interface ListToStore {
  readonly url: string;
  readonly issuer: X509Certificate;
  readonly held: HeldList;
  /** How long after nextUpdate the list still counts. */
  readonly gracePeriodMs: number;
}

export async function storeList(ports: RevocationPorts, stored: ListToStore): Promise<void> {
  const { url, held } = stored;
  try {
    if (held.list.bytes.length <= limits.crlStoredBytesMax)
      await ports.cache.putList(listRow(stored));
    await ports.cache.replaceRevoked(url, revokedRows(ports, stored));
  } catch (thrown) {
    ports.warn(`The revocation list of ${url} cannot be stored: ${messageOf(thrown)}`);
  }
}

const listRow = ({ url, issuer, held: { list, dueMs } }: ListToStore): ListRow => ({
  distribution_point: url,
  issuer_dn: oneLine(issuer.subject),
  crl_blob: list.bytes,
  this_update: list.thisUpdateMs,
  next_update: list.nextUpdateMs,
  signature_valid: true,
  expiresAt: dueMs,
});

/** Node puts each part of a name on a line of its own. */
const oneLine = (name: string): string => name.replaceAll('\n', ', ');

function revokedRows(
  { warn }: RevocationPorts,
  { url, issuer, held: { list }, gracePeriodMs }: ListToStore,
): RevokedRow[] {
  if (list.entries.count > limits.crlRowsMax) {
    warn(`The ${list.entries.count} entries of ${url} are not stored as rows; they are checked`);
    return [];
  }
  const issuerKeyId = keyIdOf(issuer);
  return Array.from(revokedEntries(list), (entry) => {
    const serial = serialOfBytes(entry.serial);
    return {
      composite_id: `${issuerKeyId}:${serial}`,
      serial_number: serial,
      issuer_key_id: issuerKeyId,
      revocation_date: entry.revokedAtMs,
      revocation_reason: entry.reason,
      crl_source: url,
      crl_next_update: list.nextUpdateMs,
      expiresAt: list.nextUpdateMs + gracePeriodMs,
    };
  });
}

/** Hexadecimal SHA-1 of the key, the usual key identifier (RFC 5280, 4.2.1.2); a name, no protection. */
const keyIdOf = (issuer: X509Certificate): string =>
  createHash('sha1')
    .update(readCertificateParts(issuer.raw).publicKeyBits)
    .digest('hex')
    .toUpperCase();
