/**
 * The certificates of one node as they are stored: rows of `hdb_certificate`, their private keys, and what `hdb_nodes` says
 * about the certificates of nodes. Used by the signer actor and ownCertificates.ts. Decides nothing.
 */
import type { NodeName } from '../protocol/ids.js';
import type { RecordObject } from '../protocol/operations.js';
import { shownDetails } from '../security/certificates.js';
import { isKeyOf } from '../security/keys.js';
import type { LocalWrite } from '../storage/evaluate.js';
import {
  certificateRecord,
  readCertificateRow,
  readNodeCertificates,
  type CertificateRow,
  type NodeCertificates,
} from './certificateRows.js';
import type { KeyFiles } from './keyFiles.js';
import { NODES } from './systemDatabase.js';
import type { AskSystem } from './users.js';

export const CERTIFICATES = 'hdb_certificate';

/** The file of the key that a renewal makes. Keys under other names may be an operator's, and are never removed. */
export const renewedKeyName = (random: string): string => `privateKey-${random}.pem`;

export const isRenewedKey = (name: string): boolean => /^privateKey-[0-9a-f]+\.pem$/.test(name);

export class CertificateTable {
  readonly #ask: AskSystem;
  readonly #keys: KeyFiles;
  /** Keys of rows, by the name of their file. */
  #held = new Map<string, string>();
  /** Keys that an operator keeps elsewhere, by the name of the row they belong to. */
  readonly #provided = new Map<string, string>();
  #rows: readonly CertificateRow[] = [];
  #problems: readonly string[] = [];
  #nodes: readonly NodeCertificates[] = [];

  constructor(ask: AskSystem, keys: KeyFiles) {
    this.#ask = ask;
    this.#keys = keys;
  }

  get rows(): readonly CertificateRow[] {
    return this.#rows;
  }

  /** Rows that cannot be read, and are left out. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  get nodes(): readonly NodeCertificates[] {
    return this.#nodes;
  }

  /** Reads it all again. Rejects, and keeps what was read before, when a table or a key cannot be read. */
  async read(): Promise<void> {
    const [certificates, nodes] = await Promise.all([
      this.#search(CERTIFICATES),
      this.#search(NODES),
    ]);
    const readings = certificates.map(readCertificateRow);
    const rows = readings.filter((reading) => typeof reading !== 'string');
    const held = new Map<string, string>();
    for (const { privateKeyName: name } of rows) {
      const key = name === null ? undefined : await this.#keys.read(name);
      if (name !== null && key !== undefined) held.set(name, key);
    }
    this.#held = held;
    this.#rows = rows;
    this.#problems = readings.filter((reading) => typeof reading === 'string');
    this.#nodes = nodes.map(readNodeCertificates).filter((node) => node !== undefined);
  }

  /** The private key that fits the row's certificate; undefined: it is not here. */
  keyOf(row: CertificateRow): string | undefined {
    const candidates = [
      this.#provided.get(row.name),
      row.privateKeyName === null ? undefined : this.#held.get(row.privateKeyName),
    ];
    return candidates.find((key) => key !== undefined && isKeyOf(key, row.certificate));
  }

  /** The key of that file, whatever it is for. */
  key(name: string): Promise<string | undefined> {
    return this.#keys.read(name);
  }

  writeKey(name: string, pem: string): Promise<void> {
    return this.#keys.write(name, pem);
  }

  /** A key that stays where the operator keeps it. Undefined: no more. */
  provide(rowName: string, key: string | undefined): void {
    if (key === undefined) this.#provided.delete(rowName);
    else this.#provided.set(rowName, key);
  }

  /** Stores rows, in place of those with their names, and removes keys of former renewals that no row needs any more. */
  async put(rows: readonly CertificateRow[], operation: string): Promise<void> {
    const before = this.#rows;
    await this.#submit(
      [{ table: CERTIFICATES, type: 'put', records: rows.map(certificateRecord) }],
      operation,
    );
    await this.read();
    const needed = new Set(this.#rows.map(({ privateKeyName }) => privateKeyName));
    for (const { privateKeyName } of before)
      if (privateKeyName !== null && isRenewedKey(privateKeyName) && !needed.has(privateKeyName))
        await this.#keys.remove(privateKeyName);
  }

  /** Rows alone; their keys are the caller's business. */
  async remove(names: readonly string[], operation: string): Promise<void> {
    await this.#submit([{ table: CERTIFICATES, type: 'delete', keys: names }], operation);
    await this.read();
  }

  removeKey(name: string): Promise<void> {
    return this.#keys.remove(name);
  }

  /** What others have to trust for this node, in its row of `hdb_nodes`; nothing happens while it has none. */
  async announce(name: NodeName, authority: string): Promise<void> {
    const row = this.#nodes.find((node) => node.name === name);
    if (row === undefined || row.authority === authority) return;
    await this.#submit(
      [{ table: NODES, type: 'upsert', records: [{ name, ...authorityFields(authority) }] }],
      'renew_certificate',
    );
  }

  #search(table: string): Promise<RecordObject[]> {
    return this.#ask<RecordObject[]>((replyTo) => ({
      type: 'records.search',
      table,
      query: { operator: 'and', conditions: [] },
      replyTo,
    }));
  }

  async #submit(writes: readonly LocalWrite[], operation: string): Promise<void> {
    await this.#ask((replyTo) => ({
      type: 'transaction.submit',
      writes,
      notes: { operation },
      replyTo,
    }));
  }
}

/** The attributes of `hdb_nodes` that say what others have to trust for a node. */
export const authorityFields = (authority: string) => ({
  ca: authority,
  ca_info: shownDetails(authority),
});
