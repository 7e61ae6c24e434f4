/**
 * The extensions of the certificates and requests that Skein makes (RFC 5280 section 4.2), built once for authority.ts and
 * certificateRequest.ts.
 */
import { createHash } from 'node:crypto';
import type { Extension, PublicKeyInfo } from 'pkijs';
import { canonicalIp } from '../protocol/nodeNames.js';
import type { Pki } from './pki.js';

const OID = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  netscapeCertType: '2.16.840.1.113730.1.1',
  serverAuthentication: '1.3.6.1.5.5.7.3.1',
  clientAuthentication: '1.3.6.1.5.5.7.3.2',
} as const;

/** Bits from the left, RFC 5280 section 4.2.1.3. */
const DIGITAL_SIGNATURE = 0x80;
const KEY_ENCIPHERMENT = 0x20;
const KEY_CERT_SIGN = 0x04;
const CRL_SIGN = 0x02;
/** SSL client and SSL server. */
const NETSCAPE_CLIENT_AND_SERVER = 0xc0;

const GENERAL_NAME = { dns: 2, ip: 7 } as const;

/** What a node's certificate may be used for, and whom it names. */
export const nodeExtensions = (pki: Pki, names: readonly string[]): Extension[] => {
  const { pkijs } = pki;
  const usage = new pkijs.ExtKeyUsage({
    keyPurposes: [OID.serverAuthentication, OID.clientAuthentication],
  });
  return [
    basicConstraints(pki, false),
    keyUsage(pki, DIGITAL_SIGNATURE | KEY_ENCIPHERMENT),
    extension(pki, { id: OID.extendedKeyUsage, value: usage.toSchema() }),
    extension(pki, { id: OID.netscapeCertType, value: bits(pki, NETSCAPE_CLIENT_AND_SERVER) }),
    alternativeNames(pki, names),
  ];
};

export const authorityExtensions = (pki: Pki): Extension[] => [
  basicConstraints(pki, true),
  keyUsage(pki, KEY_CERT_SIGN | CRL_SIGN),
];

/** Which key a certificate is for, and which one signed it. */
export const keyIdentifiers = (
  pki: Pki,
  keys: { subject: PublicKeyInfo; issuer: Buffer },
): Extension[] => {
  const { asn1js, pkijs } = pki;
  const authority = new pkijs.AuthorityKeyIdentifier({
    keyIdentifier: new asn1js.OctetString({ valueHex: keys.issuer }),
  });
  const subject = new asn1js.OctetString({ valueHex: keyIdentifier(keys.subject) });
  return [
    extension(pki, { id: OID.subjectKeyIdentifier, value: subject }),
    extension(pki, { id: OID.authorityKeyIdentifier, value: authority.toSchema() }),
  ];
};

/** RFC 5280 section 4.2.1.2 method 1: SHA-1 as a name, not as a protection. */
export const keyIdentifier = (key: PublicKeyInfo): Buffer =>
  createHash('sha1').update(Buffer.from(key.subjectPublicKey.valueBlock.valueHexView)).digest();

/** The identifier that an authority's certificate gives its key, which those it signs have to repeat. */
export const keyIdentifierIn = (
  { asn1js }: Pki,
  extensions: readonly Extension[] | undefined,
): Buffer | undefined => {
  const found = extensions?.find(({ extnID }) => extnID === OID.subjectKeyIdentifier);
  if (found === undefined) return undefined;
  const { result } = asn1js.fromBER(found.extnValue.valueBlock.valueHexView);
  return result instanceof asn1js.OctetString
    ? Buffer.from(result.valueBlock.valueHexView)
    : undefined;
};

/** What a request asks for, as far as it is looked at. */
export interface Requested {
  /** DNS entries and IP entries of the subject alternative name; undefined: it asks for none. */
  readonly names: readonly string[] | undefined;
  /** Neither DNS nor IP. */
  readonly hasOtherNames: boolean;
  readonly isAuthority: boolean;
  /** Bits of the key usage; undefined: none are asked for. */
  readonly mayOnlyBeUsedByNodes: boolean;
}

export const readRequested = (pki: Pki, extensions: readonly Extension[]): Requested => {
  const valueOf = (id: string): Extension['parsedValue'] | undefined =>
    extensions.find(({ extnID }) => extnID === id)?.parsedValue;
  const { pkijs, asn1js } = pki;
  const named: unknown = valueOf(OID.subjectAltName);
  const constraints: unknown = valueOf(OID.basicConstraints);
  const usage: unknown = valueOf(OID.keyUsage);
  const extended: unknown = valueOf(OID.extendedKeyUsage);
  const entries = named instanceof pkijs.AltName ? named.altNames : undefined;
  return {
    names: entries?.map(({ type, value }) => nameIn({ type, value })).filter((name) => name !== ''),
    hasOtherNames: (entries ?? []).some(({ type, value }) => nameIn({ type, value }) === ''),
    isAuthority: constraints instanceof pkijs.BasicConstraints && constraints.cA,
    mayOnlyBeUsedByNodes:
      (!(usage instanceof asn1js.BitString) || isNodeUsage(usage.valueBlock.valueHexView)) &&
      (!(extended instanceof pkijs.ExtKeyUsage) || extended.keyPurposes.every(isNodePurpose)),
  };
};

const nameIn = ({ type, value }: { type: number; value: unknown }): string => {
  if (type === GENERAL_NAME.dns && typeof value === 'string') return value;
  if (type !== GENERAL_NAME.ip) return '';
  const bytes = (value as { valueBlock: { valueHexView: Uint8Array } }).valueBlock.valueHexView;
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return '';
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? [];
  return canonicalIp(groups.join(':')) ?? '';
};

const isNodeUsage = (bytes: Uint8Array): boolean =>
  bytes.every(
    (byte, at) => (at === 0 ? byte & ~(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT) : byte) === 0,
  );

const isNodePurpose = (purpose: string): boolean =>
  purpose === OID.serverAuthentication || purpose === OID.clientAuthentication;

const basicConstraints = (pki: Pki, isAuthority: boolean): Extension => {
  // An authority of ours signs nodes only, never another authority.
  const value = new pki.pkijs.BasicConstraints(
    isAuthority ? { cA: true, pathLenConstraint: 0 } : { cA: false },
  );
  return extension(pki, { id: OID.basicConstraints, value: value.toSchema(), critical: true });
};

const keyUsage = (pki: Pki, flags: number): Extension =>
  extension(pki, { id: OID.keyUsage, value: bits(pki, flags), critical: true });

/** DER leaves out the zero bits at the end. */
const bits = ({ asn1js }: Pki, flags: number) =>
  new asn1js.BitString({
    valueHex: new Uint8Array([flags]).buffer,
    unusedBits: Math.log2(flags & -flags),
  });

const alternativeNames = (pki: Pki, names: readonly string[]): Extension => {
  const { pkijs } = pki;
  const value = new pkijs.GeneralNames({ names: names.map((name) => generalName(pki, name)) });
  return extension(pki, { id: OID.subjectAltName, value: value.toSchema() });
};

const generalName = ({ pkijs, asn1js }: Pki, name: string) => {
  const address = canonicalIp(name);
  return address === undefined
    ? new pkijs.GeneralName({ type: GENERAL_NAME.dns, value: name })
    : new pkijs.GeneralName({
        type: GENERAL_NAME.ip,
        value: new asn1js.OctetString({ valueHex: addressBytes(address) }),
      });
};

const addressBytes = (address: string): Uint8Array<ArrayBuffer> => {
  if (!address.includes(':')) return Uint8Array.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const missing = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return Uint8Array.from(
    [...before, ...missing, ...after].flatMap((group) => {
      const value = parseInt(group, 16);
      return [value >> 8, value & 255];
    }),
  );
};

const extension = (
  { pkijs }: Pki,
  parts: { id: string; value: { toBER(): ArrayBuffer }; critical?: boolean },
): Extension =>
  new pkijs.Extension({
    extnID: parts.id,
    critical: parts.critical ?? false,
    extnValue: parts.value.toBER(),
  });
