/**
 * What a node does with certificates of its own: makes an authority and a first certificate, takes in what the operator
 * provides, asks to be signed and signs others, renews. Used by the signer actor, one call at a time. Knows no connections.
 */
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Config, PemSource, TlsEntry } from '../config/types.js';
import { messageOf, SkeinError } from '../protocol/errors.js';
import type { NodeName } from '../protocol/ids.js';
import {
  certificateSerial,
  createAuthority,
  isOwnAuthorityName,
  issueCertificate,
  type Authority,
} from '../security/authority.js';
import { checkRequest, createRequest } from '../security/certificateRequest.js';
import { commonNameOf, detailsOf, readCertificate, splitBundle } from '../security/certificates.js';
import { identityNames, servedNames } from '../security/identity.js';
import { generateKey, isKeyOf, publicKeyOf } from '../security/keys.js';
import { authorityRowName, issuerAmong, type CertificateRow } from './certificateRows.js';
import { renewedKeyName, type CertificateTable } from './certificateTable.js';
import type { Environment } from './environment.js';

const NODE_KEY = 'privateKey.pem';
const AUTHORITY_KEY = 'authorityKey.pem';

export interface SignedCertificate {
  /** PEM. */
  readonly certificate: string;
  /** PEM of the authority that signed it. */
  readonly signingCA: string;
}

export class OwnCertificates {
  readonly #table: CertificateTable;
  readonly #config: Config;
  readonly #environment: Environment;

  constructor(parts: { table: CertificateTable; config: Config; environment: Environment }) {
    this.#table = parts.table;
    this.#config = parts.config;
    this.#environment = parts.environment;
  }

  get #name(): NodeName {
    return this.#config.node.name;
  }

  /**
   * What has to be there before the node can listen: provided certificates, else an authority and a certificate of its own.
   * INVALID_CONFIGURATION when something provided cannot be used.
   */
  async prepare(): Promise<void> {
    await this.#table.read();
    for (const [index, entry] of this.#config.tls.entries()) await this.#takeIn(entry, index);
    if (this.#signing() === undefined) await this.#makeAuthority(await this.#key(AUTHORITY_KEY));
    if (!this.#ownRows().some((row) => this.#table.keyOf(row) !== undefined))
      await this.#issueOwn(this.#name, { key: await this.#key(NODE_KEY), keyName: NODE_KEY });
  }

  /** A request for this node's name, and the file of the key it was made for. */
  async request(keyName = NODE_KEY): Promise<{ csr: string; privateKeyName: string }> {
    const csr = await createRequest({ key: await this.#key(keyName), name: this.#name });
    return { csr, privateKeyName: keyName };
  }

  /** A certificate for another node, after the checks of its request. Only that name gets into it. */
  async sign(csr: string, name: NodeName): Promise<SignedCertificate> {
    const publicKey = await checkRequest(csr, name);
    const authority = this.#signing();
    if (authority === undefined)
      throw new SkeinError('SIGNER_UNAVAILABLE', 'this node has no authority to sign with');
    const certificate = await issueCertificate({
      authority,
      publicKey,
      names: [name],
      serial: this.#serial(),
      nowMs: this.#environment.now(),
    });
    return { certificate, signingCA: authority.certificate };
  }

  /**
   * Takes what another node has signed. PEER_REFUSED, and nothing is stored, unless the certificate is for this node's name
   * and key and was signed by that authority. `among`: the authorities it may be; absent: any.
   */
  async keep(
    signed: SignedCertificate,
    privateKeyName: string,
    among?: readonly string[],
  ): Promise<void> {
    const key = await this.#table.key(privateKeyName);
    const problem = signedProblem(signed, { name: this.#name, key, among });
    if (problem !== undefined)
      throw new SkeinError('PEER_REFUSED', `Unexpected certificate signature response: ${problem}`);
    await this.#table.put(
      [
        this.#authorityRow(signed.signingCA),
        {
          ...PLAIN,
          name: `${this.#name}-replication`,
          certificate: signed.certificate,
          uses: ['replication'],
          privateKeyName,
        },
      ],
      'add_node',
    );
  }

  /** The rows that this node renews by itself: those that name it and that no file of the operator's has brought. */
  managed(): CertificateRow[] {
    return this.#ownRows().filter(
      ({ name, fileTimestamp }) =>
        fileTimestamp === null && [this.#name, `${this.#name}-replication`].includes(name),
    );
  }

  /** With a new key, signed by `ask` when it was another node that signed it before. */
  async renew(
    row: CertificateRow,
    ask: (csr: string, authority: string) => Promise<SignedCertificate>,
  ): Promise<void> {
    const keyName = renewedKeyName(this.#environment.randomId(8));
    const key = await this.#key(keyName);
    const issuer = issuerAmong(this.#table.rows, readCertificate(row.certificate));
    if (row.isSelfSigned || (issuer && this.#table.keyOf(issuer) !== undefined))
      return this.#issueOwn(row.name, { key, keyName, row });
    const { csr } = await this.request(keyName);
    const signed = await ask(csr, issuer?.certificate ?? '');
    const known = this.#trusted();
    await this.keep(signed, keyName, known);
    await this.#table.announce(this.#name, signed.signingCA);
  }

  /** The certificate of this node's own authority over itself, made anew for the same key when two thirds are over. */
  async renewAuthority(row: CertificateRow): Promise<void> {
    const key = this.#table.keyOf(row);
    if (key === undefined) return;
    const announced = this.#table.nodes.find(({ name }) => name === this.#name)?.authority;
    await this.#makeAuthority(key, row);
    const renewed = this.#table.rows.find(({ name }) => name === row.name);
    if (renewed && announced === row.certificate)
      await this.#table.announce(this.#name, renewed.certificate);
  }

  /** The authority that this node made for itself; undefined: it uses others only. */
  ownAuthority(): CertificateRow | undefined {
    return this.#table.rows.find(
      (row) =>
        row.isAuthority &&
        isOwnAuthorityName(readCertificate(row.certificate).subject) &&
        this.#table.keyOf(row) !== undefined,
    );
  }

  /** One that an operator provided with its key goes before the one this node made. */
  #signing(): Authority | undefined {
    const able = this.#table.rows.filter(
      (row) => row.isAuthority && this.#table.keyOf(row) !== undefined,
    );
    const chosen =
      able.find((row) => !isOwnAuthorityName(readCertificate(row.certificate).issuer)) ?? able[0];
    const key = chosen && this.#table.keyOf(chosen);
    return chosen && key !== undefined ? { certificate: chosen.certificate, key } : undefined;
  }

  #ownRows(): CertificateRow[] {
    return this.#table.rows.filter(
      ({ isAuthority, certificate }) =>
        !isAuthority && identityNames(readCertificate(certificate)).includes(this.#name),
    );
  }

  #trusted(): string[] {
    return [
      ...this.#table.rows.filter(({ isAuthority }) => isAuthority).map((row) => row.certificate),
      ...this.#table.nodes.map(({ authority }) => authority ?? ''),
    ].map((pem) => pem.trim());
  }

  async #key(name: string): Promise<string> {
    const held = await this.#table.key(name);
    if (held !== undefined) return held;
    const key = await generateKey();
    await this.#table.writeKey(name, key);
    return key;
  }

  async #makeAuthority(key: string, row?: CertificateRow): Promise<void> {
    const certificate = await createAuthority({
      label: this.#name,
      key,
      serial: this.#serial(),
      nowMs: this.#environment.now(),
    });
    await this.#table.put(
      [
        {
          ...PLAIN,
          name: row?.name ?? authorityRowName(certificate),
          certificate,
          isAuthority: true,
          isSelfSigned: true,
          privateKeyName: row?.privateKeyName ?? AUTHORITY_KEY,
        },
      ],
      'renew_certificate',
    );
  }

  async #issueOwn(
    rowName: string,
    parts: { key: string; keyName: string; row?: CertificateRow },
  ): Promise<void> {
    const { key, keyName, row } = parts;
    const authority = this.#signing();
    if (authority === undefined)
      throw new SkeinError('SIGNER_UNAVAILABLE', 'this node has no authority to sign with');
    const certificate = await issueCertificate({
      authority,
      publicKey: publicKeyOf(key),
      names: [this.#name],
      serial: this.#serial(),
      nowMs: this.#environment.now(),
    });
    const own = { ...(row ?? { ...PLAIN, name: rowName, isSelfSigned: true }) };
    await this.#table.put([{ ...own, certificate, privateKeyName: keyName }], 'renew_certificate');
  }

  #serial(): string {
    return certificateSerial(this.#environment.randomId(16));
  }

  /** Another authority may have the name already: one of a node that was set up anew, for instance. */
  #authorityRow(certificate: string): CertificateRow {
    const name = authorityRowName(certificate);
    const held = this.#table.rows.find((row) => row.name === name);
    if (held?.certificate.trim() === certificate.trim()) return held;
    const { serialNumber } = readCertificate(certificate);
    return {
      ...PLAIN,
      name: held === undefined ? name : `${name}-${serialNumber.slice(0, 8)}`,
      certificate,
      isAuthority: true,
    };
  }

  async #takeIn(entry: TlsEntry, index: number): Promise<void> {
    const { certificate, privateKey, authority } = entry;
    try {
      const rows: CertificateRow[] = [];
      if (authority) {
        const { text, fileTimestamp } = await readSource(authority);
        for (const pem of splitBundle(text))
          rows.push({ ...this.#authorityRow(pem), fileTimestamp });
      }
      if (certificate && privateKey)
        rows.push(await this.#provided(entry, await readSource(certificate), privateKey));
      if (rows.length > 0) await this.#table.put(rows, 'add_certificate');
    } catch (error) {
      if (error instanceof SkeinError && error.code === 'STORAGE_FAILED') throw error;
      const message = `tls.${index}: ${messageOf(error)}`;
      throw new SkeinError('INVALID_CONFIGURATION', message, { cause: error });
    }
  }

  async #provided(
    { hostnames, uses, ciphers }: TlsEntry,
    { text, fileTimestamp }: { text: string; fileTimestamp: number },
    privateKey: PemSource,
  ): Promise<CertificateRow> {
    const read = readCertificate(text);
    const key = (await readSource(privateKey)).text;
    if (!isKeyOf(key, text)) throw new Error('the private key does not belong to the certificate');
    const name = commonNameOf(read.subject) ?? servedNames(read)[0];
    if (name === undefined) throw new Error('the certificate names nobody');
    // A certificate of the operator's for this node must not stand in the way of the one that this node renews.
    const rowName = name === this.#name ? `${name}-provided` : name;
    this.#table.provide(rowName, key);
    return {
      ...PLAIN,
      name: rowName,
      certificate: text,
      isSelfSigned: detailsOf(read).isSelfSigned,
      hostnames,
      // What an operator provides for everything goes before what another node has signed for replication.
      uses: uses.length > 0 ? uses : ['replication', 'operations'],
      ciphers: ciphers ?? null,
      fileTimestamp,
    };
  }
}

const PLAIN = {
  isAuthority: false,
  isSelfSigned: false,
  privateKeyName: null,
  uses: [],
  hostnames: [],
  ciphers: null,
  fileTimestamp: null,
} as const;

const readSource = async (source: PemSource): Promise<{ text: string; fileTimestamp: number }> => {
  if ('text' in source) return { text: source.text, fileTimestamp: 0 };
  const [text, { mtimeMs }] = await Promise.all([readFile(source.file, 'utf8'), stat(source.file)]);
  return { text, fileTimestamp: Math.floor(mtimeMs) };
};

const signedProblem = (
  { certificate, signingCA }: SignedCertificate,
  expected: { name: NodeName; key: string | undefined; among: readonly string[] | undefined },
): string | undefined => {
  try {
    const [read, issuer] = [readCertificate(certificate), new X509Certificate(signingCA)];
    if (!issuer.ca) return 'the signing authority is none';
    if (!read.checkIssued(issuer) || !read.verify(issuer.publicKey))
      return 'the certificate was not signed by the authority beside it';
    if (!identityNames(read).includes(expected.name))
      return `the certificate does not name ${expected.name}`;
    if (expected.key === undefined || !isKeyOf(expected.key, certificate))
      return 'the certificate is for another key';
    if (expected.among !== undefined && !expected.among.includes(signingCA.trim()))
      return 'the signing authority is not among those that are trusted';
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
};
