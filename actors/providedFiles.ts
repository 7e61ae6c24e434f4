/**
 * Certificates and keys that the configuration names: taken into the certificate table at the start, and again when a file
 * is another one. Used by the signer actor, one call at a time. A bad file takes nothing away. Writes no key anywhere.
 */
import { readFile, stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Config, PemSource, TlsEntry } from '../config/types.js';
import { messageOf, SkeinError } from '../protocol/errors.js';
import { commonNameOf, detailsOf, readCertificate, splitBundle } from '../security/certificates.js';
import { servedNames } from '../security/identity.js';
import { isKeyOf } from '../security/keys.js';
import {
  authorityRow,
  certificateRecord,
  PLAIN_ROW,
  type CertificateRow,
} from './certificateRows.js';
import type { CertificateTable } from './certificateTable.js';

/** One entry of the configuration, and what is known of its files. */
interface Provided {
  /** As in the configuration: `tls.0`. */
  readonly label: string;
  readonly entry: TlsEntry;
  /** Without `uses` it is for these. */
  readonly uses: readonly string[];
  /** To the name of its row. */
  readonly suffix: string;
  /** Its authorities are clients', and are in no table. */
  readonly isOfClients: boolean;
  rowName: string | null;
  authorityNames: readonly string[];
  /** State of the files that were taken in or refused, and as they were seen last. */
  taken: string;
  seen: string;
}

export class ProvidedFiles {
  readonly #table: CertificateTable;
  readonly #config: Config;
  readonly #log: Pick<Logger, 'warn' | 'info'>;
  readonly #now: () => number;
  readonly #provided: readonly Provided[];
  #clientAuthorities: readonly string[] = [];

  constructor(parts: {
    table: CertificateTable;
    config: Config;
    log: Pick<Logger, 'warn' | 'info'>;
    now: () => number;
  }) {
    this.#table = parts.table;
    this.#config = parts.config;
    this.#log = parts.log;
    this.#now = parts.now;
    this.#provided = providedBy(parts.config);
  }

  /** PEM: whose certificates count on the HTTPS port. */
  get clientAuthorities(): readonly string[] {
    return this.#clientAuthorities;
  }

  get hasFiles(): boolean {
    return this.#provided.some(({ entry }) => filesOf(entry).length > 0);
  }

  /** Whether that row comes from the configuration. */
  holds(rowName: string): boolean {
    return this.#provided.some(
      (one) => one.rowName === rowName || one.authorityNames.includes(rowName),
    );
  }

  /**
   * At the start of the node: everything, and rows that the configuration has brought and does not name any more go.
   * INVALID_CONFIGURATION for what cannot be used.
   */
  async takeAll(): Promise<void> {
    await this.#table.read();
    for (const provided of this.#provided) {
      provided.taken = provided.seen = await stateOf(provided.entry);
      try {
        await this.#take(provided);
      } catch (error) {
        if (error instanceof SkeinError && error.code === 'STORAGE_FAILED') throw error;
        const message = `${provided.label}: ${messageOf(error)}`;
        throw new SkeinError('INVALID_CONFIGURATION', message, { cause: error });
      }
    }
    const former = this.#table.rows
      .filter(({ name, fileTimestamp }) => fileTimestamp !== null && !this.holds(name))
      .map(({ name }) => name);
    if (former.length > 0) await this.#table.remove(former, 'remove_certificate');
  }

  /**
   * Takes in files that have changed and are quiet since the last look: who writes them may not be done yet. What cannot be
   * used is named in the log, once, and what was there before goes on. Whether anything was taken in.
   */
  async look(): Promise<boolean> {
    let isChanged = false;
    for (const provided of this.#provided) {
      const state = await stateOf(provided.entry);
      const isQuiet = state === provided.seen;
      provided.seen = state;
      if (state === provided.taken || !isQuiet) continue;
      const label = provided.label;
      const files = filesOf(provided.entry);
      try {
        await this.#take(provided, 'refuse expired');
        provided.taken = state;
        isChanged = true;
        this.#log.info({ label, files }, 'certificate files have changed and are used');
      } catch (error) {
        // What the disk refuses is tried again.
        if (!(error instanceof SkeinError && error.code === 'STORAGE_FAILED'))
          provided.taken = state;
        const reason = messageOf(error);
        this.#log.warn(
          { label, files, reason },
          'certificate files have changed and cannot be used, those of before go on',
        );
      }
    }
    return isChanged;
  }

  async #take(provided: Provided, expired?: 'refuse expired'): Promise<void> {
    const { entry, isOfClients } = provided;
    const authorities = entry.authority ? await this.#authorities(entry.authority) : [];
    if (isOfClients) {
      this.#clientAuthorities = authorities.map(({ certificate }) => certificate);
      return;
    }
    const own = entry.certificate && (await this.#certificate(provided, expired));
    const rows = [...authorities, ...(own ? [own.row] : [])].filter((row) => !this.#isHeld(row));
    // The key first: a row without one would be reported.
    if (own) this.#table.provide(own.row.name, own.key);
    if (rows.length > 0) await this.#table.put(rows, 'add_certificate');
    const names = authorities.map(({ name }) => name);
    const kept = [own?.row.name, ...names];
    const former = [provided.rowName, ...provided.authorityNames].filter(
      (name) => name !== null && !kept.includes(name),
    );
    provided.rowName = own?.row.name ?? null;
    provided.authorityNames = names;
    await this.#forget(former.filter((name) => name !== null && !this.holds(name)) as string[]);
  }

  async #forget(names: readonly string[]): Promise<void> {
    for (const name of names) this.#table.provide(name, undefined);
    if (names.length > 0) await this.#table.remove(names, 'remove_certificate');
  }

  async #authorities(source: PemSource): Promise<CertificateRow[]> {
    const { text, fileTimestamp } = await readSource(source);
    const rows: CertificateRow[] = [];
    for (const pem of splitBundle(text)) {
      if (!readCertificate(pem).ca)
        throw new Error(`${placeOf(source)} is no certificate of an authority`);
      // One may have come from elsewhere before, with a key: then this node may sign with it.
      const row = authorityRow([...this.#table.rows, ...rows], pem);
      rows.push({ ...row, fileTimestamp, isProvided: true });
    }
    return rows;
  }

  async #certificate(
    provided: Provided,
    expired: 'refuse expired' | undefined,
  ): Promise<{ row: CertificateRow; key: string }> {
    const { certificate, privateKey, hostnames, uses, ciphers } = provided.entry;
    if (!certificate || !privateKey) throw new Error('a certificate needs a private key');
    const { text, fileTimestamp } = await readSource(certificate);
    const read = readCertificate(text);
    const { isSelfSigned, validToMs } = detailsOf(read);
    const key = (await readSource(privateKey)).text;
    if (!isKeyOf(key, text))
      throw new Error(
        `the private key does not belong to the certificate (${placeOf(privateKey)}, ${placeOf(certificate)})`,
      );
    if (validToMs <= this.#now()) {
      const problem = `the certificate in ${placeOf(certificate)} has expired on ${read.validTo}`;
      if (expired) throw new Error(problem);
      this.#log.warn({ label: provided.label }, problem);
    }
    const name = commonNameOf(read.subject) ?? servedNames(read)[0];
    if (name === undefined)
      throw new Error(`the certificate in ${placeOf(certificate)} names nobody`);
    const row = {
      ...PLAIN_ROW,
      name: this.#rowNameFor(provided, name),
      certificate: text,
      isSelfSigned,
      hostnames,
      // What an operator provides for everything goes before what another node has signed for replication.
      uses: uses.length > 0 ? uses : provided.uses,
      ciphers: ciphers ?? null,
      fileTimestamp,
      isProvided: true,
    };
    return { row, key };
  }

  /** Not that of a row that this node renews by itself, nor that of another entry. */
  #rowNameFor(provided: Provided, name: string): string {
    const isOwn = name === this.#config.node.name && provided.suffix === '';
    const wanted = `${name}${isOwn ? '-provided' : provided.suffix}`;
    const index = this.#provided.indexOf(provided);
    const isTaken = this.#provided.some(
      (other, at) =>
        at < index && (other.rowName === wanted || other.authorityNames.includes(wanted)),
    );
    return isTaken ? `${wanted}-${index}` : wanted;
  }

  /** Nothing to do: it is stored already, or an operation has stored something newer than the file. */
  #isHeld(row: CertificateRow): boolean {
    const held = this.#table.rows.find(({ name }) => name === row.name);
    if (!held) return false;
    if (JSON.stringify(certificateRecord(held)) === JSON.stringify(certificateRecord(row)))
      return true;
    const isOfOperation = held.isProvided && held.fileTimestamp === null;
    return (
      isOfOperation && row.fileTimestamp !== 0 && (held.writtenMs ?? 0) > (row.fileTimestamp ?? 0)
    );
  }
}

const ALL_USES = ['replication', 'operations'];

const providedBy = ({ tls, operationsApi }: Config): Provided[] => {
  const uses = operationsApi.tls ? ['replication'] : ALL_USES;
  const nodes = tls.map((entry, index) => ({ ...PROVIDED, label: `tls.${index}`, entry, uses }));
  const api = (operationsApi.tls ?? []).map(({ authority: _ofClients, ...entry }, index) => ({
    ...PROVIDED,
    label: `operationsApi.tls.${index}`,
    entry,
    uses: ['operations'],
    suffix: '-operations',
  }));
  const { mtls } = operationsApi;
  const clients = mtls && {
    ...PROVIDED,
    label: 'http.mtls.certificateAuthority',
    entry: { authority: mtls.authority, hostnames: [], uses: [] },
    isOfClients: true,
  };
  return [...nodes, ...api, ...(clients ? [clients] : [])];
};

const PROVIDED = {
  uses: [],
  suffix: '',
  isOfClients: false,
  rowName: null,
  authorityNames: [],
  taken: '',
  seen: '',
} as const;

const filesOf = ({ certificate, privateKey, authority }: TlsEntry): string[] =>
  [certificate, privateKey, authority].flatMap((source) =>
    source && 'file' in source ? [source.file] : [],
  );

const placeOf = (source: PemSource): string =>
  'file' in source ? source.file : 'the configuration';

const readSource = async (source: PemSource): Promise<{ text: string; fileTimestamp: number }> => {
  if ('text' in source) return { text: source.text, fileTimestamp: 0 };
  const [text, { mtimeMs }] = await Promise.all([readFile(source.file, 'utf8'), stat(source.file)]);
  return { text, fileTimestamp: Math.max(1, Math.floor(mtimeMs)) };
};

/** Another text when one of the files is another one; a file that is not there is a state too. */
const stateOf = async (entry: TlsEntry): Promise<string> => {
  const states = filesOf(entry).map(async (file) => {
    try {
      const { ino, size, mtimeMs } = await stat(file);
      return `${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      return messageOf(error);
    }
  });
  return (await Promise.all(states)).join(', ');
};
