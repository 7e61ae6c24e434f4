/**
 * Certificates that an operator provides: the entries under `tls` and `operationsApi.tls`, and the authorities of clients,
 * settled. Called by resolve.ts. Opens no files: whoever uses an entry reads what it names.
 */
import { isAbsolute, join } from 'node:path';
import { quoted, type Findings } from './findings.js';
import type { ClientCertificates, ConfigInput, PemSource, TlsEntry, TlsInput } from './types.js';

/** Where the compatible product looks for the key of a certificate that comes without one. */
export const DEFAULT_KEY_FILE = join('keys', 'privateKey.pem');

/** Each entry with absolute paths; relative ones start in `rootPath`. A section alone is a list of one. */
export const settleTls = (
  given: TlsInput | readonly TlsInput[] | undefined,
  place: { path: readonly string[]; rootPath: string },
  findings: Findings,
): TlsEntry[] => {
  const entries = given === undefined ? [] : isList(given) ? given : [given];
  return entries.flatMap((entry, index) => {
    const path = isList(given) ? [...place.path, `${index}`] : place.path;
    return settleEntry(entry, { path, rootPath: place.rootPath }, findings) ?? [];
  });
};

/** Undefined: no client certificates are asked for. Whose count has to be said: authorities of nodes are none of clients. */
export const settleClientCertificates = (
  given: NonNullable<ConfigInput['http']>['mtls'],
  { tls, rootPath }: { tls: readonly TlsEntry[]; rootPath: string },
  findings: Findings,
): ClientCertificates | undefined => {
  if (given === undefined || given === false) return undefined;
  const { required = false, user, certificateAuthority } = given === true ? {} : given;
  const authority =
    certificateAuthority === undefined
      ? tls.find((entry) => entry.authority)?.authority
      : readSource(certificateAuthority, rootPath);
  if (authority === undefined) {
    const path = ['http', 'mtls', 'certificateAuthority'];
    findings.problem(path, `${quoted(path)} must name the authority of the clients`);
    return undefined;
  }
  return { required, authority, ...(user !== undefined && { user }) };
};

const isList = (given: unknown): given is readonly TlsInput[] => Array.isArray(given);

const settleEntry = (
  entry: TlsInput,
  { path, rootPath }: { path: readonly string[]; rootPath: string },
  findings: Findings,
): TlsEntry | undefined => {
  const { certificate, certificateAuthority, privateKey, ciphers } = entry;
  if (certificate === undefined && certificateAuthority === undefined) {
    if (Object.keys(entry).length > 0)
      findings.problem(path, `${quoted(path)} must name a certificate or a certificateAuthority`);
    return undefined;
  }
  const sourceOf = (text: string): PemSource => readSource(text, rootPath);
  return {
    ...(certificate !== undefined && {
      certificate: sourceOf(certificate),
      privateKey: sourceOf(privateKey ?? DEFAULT_KEY_FILE),
    }),
    ...(certificateAuthority !== undefined && { authority: sourceOf(certificateAuthority) }),
    ...(ciphers !== undefined && { ciphers }),
    hostnames: [entry.host, entry.hosts, entry.hostname, entry.hostnames].flatMap(listOf),
    uses: listOf(entry.uses),
  };
};

const readSource = (text: string, rootPath: string): PemSource => {
  if (text.trimStart().startsWith('-----BEGIN')) return { text };
  return { file: isAbsolute(text) ? text : join(rootPath, text) };
};

const listOf = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value;
