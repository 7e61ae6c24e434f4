/**
 * An authority run by the `openssl` program: certificates, revocation lists and OCSP answers that are not of our making.
 * Used by the system tests. Works in a folder below the system's temporary one; `close` removes it.
 */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Parameters that belong together stand together. Returns what it prints. */
const openssl = async (parameters: readonly (string | readonly string[])[]): Promise<string> =>
  (await run('openssl', parameters.flat())).stdout;

type KeyKind = 'ec' | 'rsa' | 'ed25519';

const KEY_OPTIONS: Readonly<Record<KeyKind, readonly string[]>> = {
  ec: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  ed25519: ['-algorithm', 'ED25519'],
};

interface Issued {
  /** Of the files `<name>.pem` and `<name>.key`. */
  readonly name: string;
  readonly certificate: X509Certificate;
}

const configuration = (folder: string): string => `
[ca]
default_ca = authority
[authority]
database = ${folder}/index.txt
serial = ${folder}/serial
crlnumber = ${folder}/crlnumber
new_certs_dir = ${folder}
default_md = default
default_days = 30
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[plain_list]
authorityKeyIdentifier = keyid:always
[authority_extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
`;

export class OpensslAuthority {
  readonly #folder: string;
  readonly certificate: X509Certificate;

  private constructor(folder: string, certificate: X509Certificate) {
    this.#folder = folder;
    this.certificate = certificate;
  }

  static async create(
    keyKind: KeyKind = 'ec',
    name = 'Openssl Authority',
  ): Promise<OpensslAuthority> {
    const folder = await mkdtemp(join(tmpdir(), 'skein-openssl-'));
    const file = (one: string): string => join(folder, one);
    await writeFile(file('configuration'), configuration(folder));
    await writeFile(file('index.txt'), '');
    await writeFile(file('serial'), '00A1\n');
    await writeFile(file('crlnumber'), '01\n');
    await openssl(['genpkey', ...KEY_OPTIONS[keyKind], '-out', file('authority.key')]);
    await openssl([
      ['req', '-x509', '-new', '-key', file('authority.key'), '-out', file('authority.pem')],
      ['-days', '30', '-subj', `/CN=${name}`, '-config', file('configuration')],
      ['-extensions', 'authority_extensions'],
    ]);
    const certificate = new X509Certificate(await readFile(file('authority.pem')));
    return new OpensslAuthority(folder, certificate);
  }

  /** `extensions` as openssl's configuration writes them. */
  async issue(name: string, extensions: readonly string[]): Promise<Issued> {
    await openssl(['genpkey', ...KEY_OPTIONS.ec, '-out', this.#file(`${name}.key`)]);
    await openssl([
      ['req', '-new', '-key', this.#file(`${name}.key`), '-subj', `/CN=${name}`],
      ['-config', this.#file('configuration'), '-out', this.#file(`${name}.csr`)],
    ]);
    await writeFile(this.#file(`${name}.extensions`), extensions.join('\n'));
    await openssl([
      ['ca', '-batch', '-notext', '-config', this.#file('configuration')],
      ['-cert', this.#file('authority.pem'), '-keyfile', this.#file('authority.key')],
      ['-in', this.#file(`${name}.csr`), '-out', this.#file(`${name}.pem`)],
      ['-extfile', this.#file(`${name}.extensions`)],
    ]);
    return { name, certificate: new X509Certificate(await readFile(this.#file(`${name}.pem`))) };
  }

  /** In PEM. */
  keyOf({ name }: Issued): Promise<string> {
    return readFile(this.#file(`${name}.key`), 'utf8');
  }

  async revoke({ name }: Issued, reason: string): Promise<void> {
    await openssl([
      ['ca', '-config', this.#file('configuration'), '-revoke', this.#file(`${name}.pem`)],
      ['-cert', this.#file('authority.pem'), '-keyfile', this.#file('authority.key')],
      ['-crl_reason', reason],
    ]);
  }

  /** `extensions` as openssl's configuration writes them. */
  async list(
    form: 'DER' | 'PEM',
    { extensions = [], seconds = 3600 }: { extensions?: readonly string[]; seconds?: number } = {},
  ): Promise<Buffer> {
    const text = `${configuration(this.#folder)}[list]\n${extensions.join('\n')}\n`;
    await writeFile(this.#file('list.configuration'), text);
    await openssl([
      ['ca', '-gencrl', '-config', this.#file('list.configuration'), '-crlsec', `${seconds}`],
      ['-cert', this.#file('authority.pem'), '-keyfile', this.#file('authority.key')],
      ['-crlexts', extensions.length > 0 ? 'list' : 'plain_list', '-out', this.#file('list.pem')],
    ]);
    if (form === 'PEM') return await readFile(this.#file('list.pem'));
    const list = this.#file('list.der');
    await openssl(['crl', '-in', this.#file('list.pem'), '-outform', 'DER', '-out', list]);
    return await readFile(list);
  }

  /** Signed by the authority, or by what it has issued under the name `signer`. */
  async answer(
    request: Uint8Array,
    signer = 'authority',
    options: readonly string[] = [],
  ): Promise<Buffer> {
    await writeFile(this.#file('request'), request);
    await openssl([
      ['ocsp', '-index', this.#file('index.txt'), '-CA', this.#file('authority.pem')],
      ['-rsigner', this.#file(`${signer}.pem`), '-rkey', this.#file(`${signer}.key`)],
      ['-reqin', this.#file('request'), '-respout', this.#file('answer'), ...options],
    ]);
    return await readFile(this.#file('answer'));
  }

  /** As if it had never issued or revoked anything. */
  forgetAll(): Promise<void> {
    return writeFile(this.#file('index.txt'), '');
  }

  /** What openssl prints of a certificate, as `serial=A1`. */
  async serialOf({ name }: Issued): Promise<string> {
    return await openssl(['x509', '-in', this.#file(`${name}.pem`), '-noout', '-serial']);
  }

  close(): Promise<void> {
    return rm(this.#folder, { recursive: true, force: true });
  }

  #file(name: string): string {
    return join(this.#folder, name);
  }
}
