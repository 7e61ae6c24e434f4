/**
 * What add_certificate and remove_certificate do to the certificate table and the key files. Called by the signer actor, one
 * call at a time. A refusal changes nothing. Keys get into files of their own, never into rows, messages or logs.
 */
import { X509Certificate } from 'node:crypto';
import type { Config } from '../config/types.js';
import { invalidRequest, messageOf } from '../protocol/errors.js';
import type { CertificateFields } from '../protocol/schemas/certificateSchemas.js';
import { commonNameOf, detailsOf, readCertificate, splitBundle } from '../security/certificates.js';
import { identityNames, servedNames } from '../security/identity.js';
import { isKeyOf } from '../security/keys.js';
import { PLAIN_ROW, type CertificateRow } from './certificateRows.js';
import { isRenewedKey, type CertificateTable } from './certificateTable.js';
import { AUTHORITY_KEY, NODE_KEY } from './ownCertificates.js';
import type { ProvidedFiles } from './providedFiles.js';
import { secureContextOf } from './transport/secureContexts.js';

interface Operating {
  readonly table: CertificateTable;
  readonly provided: ProvidedFiles;
  readonly config: Config;
  readonly nowMs: number;
}

/**
 * Stores it, in place of the row with its name; answers that name. INVALID_REQUEST with the documented texts,
 * INVALID_CERTIFICATE_FORMAT for what is no certificate.
 */
export const addCertificate = async (
  operating: Operating,
  fields: CertificateFields,
): Promise<string> => {
  const { table, provided, config } = operating;
  const { certificate, is_authority: isAuthority, private_key: givenKey, uses = [] } = fields;
  const read = readCertificate(certificate);
  refuseUnfit(fields, read, operating.nowMs);
  const name = rowNameOf(fields, read);
  if (provided.holds(name))
    throw invalidRequest(
      `'name': '${name}' comes from the configuration; change its file, or give another name`,
    );
  const found =
    givenKey === undefined
      ? await storedKey(table, certificate)
      : { name: `${name}.pem`, key: givenKey };
  if (!found && !isAuthority)
    throw invalidRequest('A suitable private key was not found for this certificate');
  if (found && !isAuthority) refuseUnshowable(fields, found.key);
  const row: CertificateRow = {
    ...PLAIN_ROW,
    name,
    certificate,
    isAuthority,
    isSelfSigned: detailsOf(read).isSelfSigned,
    privateKeyName: found?.name ?? null,
    hostnames: fields.hosts ?? [],
    uses: uses.length > 0 || isAuthority ? uses : ['replication', 'operations'],
    ciphers: fields.ciphers ?? null,
    isProvided: true,
  };
  const replaced = table.rows.find((one) => one.name === name);
  if (replaced) {
    const kept = table.rows.filter((one) => one !== replaced && table.keyOf(one) !== undefined);
    const left = found ? [...kept, row] : kept;
    refuseLoss(config, { row: replaced, hasKey: table.keyOf(replaced) !== undefined, left });
  }
  if (found && givenKey !== undefined) await keepKey(table, { name, key: givenKey });
  await table.put([row], 'add_certificate');
  return name;
};

/** The row goes, and its key with the last row that needs it. INVALID_REQUEST while the node could not do without it. */
export const removeCertificate = async (operating: Operating, given: string): Promise<void> => {
  const { table, provided, config } = operating;
  const row =
    table.rows.find(({ name }) => name === given) ??
    table.rows.find(({ name }) => name === sanitised(given));
  if (!row) throw invalidRequest(`${given} not found`);
  if (provided.holds(row.name))
    throw invalidRequest(`'${row.name}' comes from the configuration: remove it there`);
  const left = table.rows.filter((one) => one !== row && table.keyOf(one) !== undefined);
  refuseLoss(config, { row, hasKey: table.keyOf(row) !== undefined, left });
  await table.remove([row.name], 'remove_certificate');
  const { privateKeyName } = row;
  const isNeeded = table.rows.some((one) => one.privateKeyName === privateKeyName);
  // The node's own key is what its next request for a certificate is made with.
  if (privateKeyName !== null && !isNeeded && privateKeyName !== NODE_KEY)
    await table.removeKey(privateKeyName);
};

/** A node without a certificate could not be reached, and one without an authority could take nobody in. */
const refuseLoss = (
  { node }: Config,
  { row, hasKey, left }: { row: CertificateRow; hasKey: boolean; left: readonly CertificateRow[] },
): void => {
  const isOwn = ({ isAuthority, certificate }: CertificateRow): boolean =>
    !isAuthority && identityNames(readCertificate(certificate)).includes(node.name);
  if (!hasKey) return;
  if (isOwn(row) && !left.some(isOwn))
    throw invalidRequest(
      `'${row.name}' is the only certificate for ${node.name}: add another one first`,
    );
  if (row.isAuthority && !left.some(({ isAuthority }) => isAuthority))
    throw invalidRequest(
      `'${row.name}' is the only authority that this node can sign with: add another one first`,
    );
};

const refuseUnfit = (
  { certificate, is_authority: isAuthority, private_key: key }: CertificateFields,
  read: X509Certificate,
  nowMs: number,
): void => {
  if (isAuthority && splitBundle(certificate).some((pem) => !readCertificate(pem).ca))
    throw invalidRequest("'certificate' is no certificate of an authority");
  if (detailsOf(read).validToMs <= nowMs)
    throw invalidRequest(`'certificate' has expired on ${read.validTo}`);
  if (key !== undefined && !isKeyOf(key, certificate))
    throw invalidRequest("'private_key' is no unencrypted key in PEM that fits the certificate");
};

/** What OpenSSL refuses to show would be of no use, and had better be known now. */
const refuseUnshowable = (fields: CertificateFields, key: string): void => {
  const { certificate: chain, ciphers } = fields;
  try {
    const served = { id: '', chain, key, names: [], isSelfSigned: false, uses: [] };
    secureContextOf({ ...served, ...(ciphers !== undefined && { ciphers }) }, []);
  } catch (error) {
    throw invalidRequest(`the certificate cannot be shown on connections: ${messageOf(error)}`);
  }
};

/** Documented: every character but letters, digits and the dot becomes a hyphen. */
const sanitised = (name: string): string => name.replaceAll(/[^a-z0-9.]/gi, '-');

const rowNameOf = ({ name }: CertificateFields, read: X509Certificate): string => {
  const named = name ?? commonNameOf(read.subject) ?? servedNames(read)[0];
  if (named === undefined)
    throw invalidRequest('Error extracting certificate host name, please provide a name parameter');
  return sanitised(named).slice(0, NAME_CHARACTERS_MAX);
};

/** With `.pem`, a name that every file system takes. */
const NAME_CHARACTERS_MAX = 180;

/** The file of a key that is here already and fits. */
const storedKey = async (
  table: CertificateTable,
  certificate: string,
): Promise<{ name: string; key: string } | undefined> => {
  const names = table.rows.map(({ privateKeyName }) => privateKeyName);
  for (const name of new Set([...names, NODE_KEY, AUTHORITY_KEY])) {
    const key = name === null ? undefined : await table.key(name);
    if (name !== null && key !== undefined && isKeyOf(key, certificate)) return { name, key };
  }
  return undefined;
};

/** Never over a key of the node's own, or of another row. */
const keepKey = async (
  table: CertificateTable,
  { name, key }: { name: string; key: string },
): Promise<void> => {
  const file = `${name}.pem`;
  const isSame = (other: string | null): boolean => other?.toLowerCase() === file.toLowerCase();
  const isForeign =
    [NODE_KEY, AUTHORITY_KEY].some(isSame) ||
    isRenewedKey(file) ||
    table.rows.some((row) => row.name !== name && isSame(row.privateKeyName));
  if (isForeign && (await table.key(file)) !== key)
    throw invalidRequest(`'name': the key file '${file}' belongs to another certificate`);
  await table.writeKey(file, key);
};
