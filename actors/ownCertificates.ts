/**
 * What a node does with certificates of its own: makes an authority and a first certificate, asks to be signed and signs
 * others, renews. Used by the signer actor, one call at a time. Knows no connections. Those of the operator are providedFiles.ts.
 */
import { X509Certificate } from 'node:crypto';
import type { Config } from '../config/types.js';
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
import { readCertificate } from '../security/certificates.js';
import { identityNames } from '../security/identity.js';
import { generateKey, isKeyOf, publicKeyOf } from '../security/keys.js';
import {
  authorityRow,
  authorityRowName,
  issuerAmong,
  PLAIN_ROW,
  type CertificateRow,
} from './certificateRows.js';
import { renewedKeyName, type CertificateTable } from './certificateTable.js';
import type { Environment } from './environment.js';

export const NODE_KEY = 'privateKey.pem';
export const AUTHORITY_KEY = 'authorityKey.pem';

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
   * What has to be there before the node can listen, once what the operator provides has been taken in: an authority and a
   * certificate for this node.
   */
  async prepare(): Promise<void> {
    await this.#table.read();
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
        authorityRow(this.#table.rows, signed.signingCA),
        {
          ...PLAIN_ROW,
          name: `${this.#name}-replication`,
          certificate: signed.certificate,
          uses: ['replication'],
          privateKeyName,
        },
      ],
      'add_node',
    );
  }

  /** The rows that this node renews by itself: those that name it and that the operator has not provided. */
  managed(): CertificateRow[] {
    return this.#ownRows().filter(
      ({ name, isProvided }) =>
        !isProvided && [this.#name, `${this.#name}-replication`].includes(name),
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
          ...PLAIN_ROW,
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
    const own = { ...(row ?? { ...PLAIN_ROW, name: rowName, isSelfSigned: true }) };
    await this.#table.put([{ ...own, certificate, privateKeyName: keyName }], 'renew_certificate');
  }

  #serial(): string {
    return certificateSerial(this.#environment.randomId(16));
  }
}

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
