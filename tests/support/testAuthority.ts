/**
 * An authority for tests: makes certificates, revocation lists and OCSP answers, right ones and wrong ones, from DER
 * parts and node:crypto alone, so that tests need no program. Every part can be replaced.
 */
import {
  X509Certificate,
  createHash,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import {
  constructedTag,
  derElement,
  derIdentifier,
  derInteger,
  primitiveTag,
  tags,
} from '../../security/der.js';

export interface TestAuthority {
  readonly name: string;
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
  readonly algorithm: SigningAlgorithm;
}

export type SigningAlgorithm = 'ec' | 'rsa' | 'rsa-pss' | 'ed25519' | 'sha1';

export const sequence = (...parts: readonly Uint8Array[]): Buffer =>
  derElement(tags.sequence, ...parts);
export const tagged = (n: number, ...parts: readonly Uint8Array[]): Buffer =>
  derElement(constructedTag(n), ...parts);
export const octets = (...parts: readonly Uint8Array[]): Buffer =>
  derElement(tags.octetString, ...parts);
export const number = (value: number): Buffer => derInteger(hexBytes(value.toString(16)));
export const enumerated = (value: number): Buffer =>
  derElement(tags.enumerated, Buffer.from([value]));
export const time = (ms: number): Buffer =>
  derElement(
    tags.generalizedTime,
    Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]|\..*/g, '')}Z`),
  );
export const hexBytes = (hex: string): Buffer =>
  Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
const bits = (bytes: Uint8Array): Buffer => derElement(tags.bitString, Buffer.from([0]), bytes);
const truth = derElement(tags.boolean, Buffer.from([0xff]));

export const extension = (id: string, content: Uint8Array, critical = false): Buffer =>
  sequence(derIdentifier(id), ...(critical ? [truth] : []), octets(content));

export const addressName = (url: string): Buffer =>
  derElement(primitiveTag(6), Buffer.from(url, 'latin1'));

const SHA256 = '2.16.840.1.101.3.4.2.1';

const algorithmOf = (algorithm: SigningAlgorithm): Buffer => {
  if (algorithm === 'ec') return sequence(derIdentifier('1.2.840.10045.4.3.2'));
  if (algorithm === 'ed25519') return sequence(derIdentifier('1.3.101.112'));
  const nothing = derElement(tags.null);
  if (algorithm === 'rsa') return sequence(derIdentifier('1.2.840.113549.1.1.11'), nothing);
  if (algorithm === 'sha1') return sequence(derIdentifier('1.2.840.113549.1.1.5'), nothing);
  const hash = sequence(derIdentifier(SHA256));
  const mask = sequence(derIdentifier('1.2.840.113549.1.1.8'), hash);
  return sequence(
    derIdentifier('1.2.840.113549.1.1.10'),
    sequence(tagged(0, hash), tagged(1, mask), tagged(2, number(32))),
  );
};

const signatureOf = (content: Uint8Array, { key, algorithm }: Signer): Buffer => {
  if (algorithm === 'ed25519') return sign(null, content, key);
  if (algorithm === 'sha1') return sign('sha1', content, key);
  return algorithm === 'rsa-pss'
    ? sign('sha256', content, { key, padding: 6, saltLength: 32 })
    : sign('sha256', content, key);
};

type Signer = Pick<TestAuthority, 'key' | 'algorithm'>;

/** The parts of X.509's SIGNED: what is signed, how, and by whom. */
export const signed = (content: Buffer, signer: Signer, ...others: Buffer[]): Buffer =>
  sequence(content, algorithmOf(signer.algorithm), bits(signatureOf(content, signer)), ...others);

const nameOf = (text: string): Buffer =>
  sequence(
    derElement(0x31, sequence(derIdentifier('2.5.4.3'), derElement(0x0c, Buffer.from(text)))),
  );

const newKey = (algorithm: SigningAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } => {
  if (algorithm === 'ec') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (algorithm === 'ed25519') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
};

interface CertificateRequest {
  readonly subject: string;
  readonly serial: string;
  readonly algorithm?: SigningAlgorithm;
  readonly lists?: readonly string[];
  readonly responders?: readonly string[];
  /** Whole extensions, besides those of the other fields. */
  readonly extensions?: readonly Buffer[];
  readonly isAuthority?: boolean;
  /** The bits of the key usage, as in `0x06`: keyCertSign and cRLSign. */
  readonly keyUsage?: number;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

const DAY_MS = 86_400_000;

export const oneListPoint = (url: string): Buffer =>
  sequence(tagged(0, tagged(0, addressName(url))));

function extensionsOf(request: CertificateRequest): Buffer[] {
  const { lists, responders, isAuthority = false, keyUsage } = request;
  return [
    ...(isAuthority ? [extension('2.5.29.19', sequence(truth), true)] : []),
    ...(keyUsage === undefined
      ? []
      : [extension('2.5.29.15', derElement(tags.bitString, Buffer.from([0, keyUsage])), true)]),
    ...(lists ? [extension('2.5.29.31', sequence(...lists.map(oneListPoint)))] : []),
    ...(responders
      ? [
          extension(
            '1.3.6.1.5.5.7.1.1',
            sequence(
              ...responders.map((url) =>
                sequence(derIdentifier('1.3.6.1.5.5.7.48.1'), addressName(url)),
              ),
            ),
          ),
        ]
      : []),
    ...(request.extensions ?? []),
  ];
}

interface Issued {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  readonly algorithm: SigningAlgorithm;
}

function makeCertificate(
  request: CertificateRequest,
  issuer: { name: string } & Partial<Signer>,
): Issued {
  const algorithm = request.algorithm ?? 'ec';
  const { publicKey, privateKey: key } = newKey(algorithm);
  const signer: Signer = {
    key: issuer.key ?? key,
    algorithm: issuer.algorithm ?? algorithm,
  };
  const now = Date.now();
  const extensions = extensionsOf(request);
  const content = sequence(
    tagged(0, number(2)),
    derInteger(hexBytes(request.serial)),
    algorithmOf(signer.algorithm),
    nameOf(issuer.name),
    sequence(
      time(request.notBeforeMs ?? now - DAY_MS),
      time(request.notAfterMs ?? now + 365 * DAY_MS),
    ),
    nameOf(request.subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [tagged(3, sequence(...extensions))] : []),
  );
  return { certificate: new X509Certificate(signed(content, signer)), key, algorithm };
}

/** Self-signed. */
export function makeAuthority(
  name = 'Test Authority',
  request: Partial<CertificateRequest> = {},
): TestAuthority {
  const made = makeCertificate(
    { subject: name, serial: '01', isAuthority: true, keyUsage: 0x06, ...request },
    { name },
  );
  return { name, ...made };
}

export const issue = (authority: TestAuthority, request: CertificateRequest): Issued =>
  makeCertificate(request, authority);

export interface TestEntry {
  readonly serial: string;
  readonly revokedAtMs?: number;
  readonly reason?: number;
  /** Whole extensions. */
  readonly extensions?: readonly Buffer[];
}

export interface TestList {
  readonly entries?: readonly TestEntry[];
  readonly thisUpdateMs?: number;
  /** null: none. */
  readonly nextUpdateMs?: number | null;
  /** Whole extensions. */
  readonly extensions?: readonly Buffer[];
  readonly issuerName?: string;
  readonly version?: number;
}

export function writeEntry({
  serial,
  revokedAtMs = 0,
  reason,
  extensions = [],
}: TestEntry): Buffer {
  const all = [
    ...(reason === undefined ? [] : [extension('2.5.29.21', enumerated(reason))]),
    ...extensions,
  ];
  return sequence(
    derInteger(hexBytes(serial)),
    time(revokedAtMs),
    ...(all.length > 0 ? [sequence(...all)] : []),
  );
}

/** In DER, signed by `signer`. */
export function writeList(
  signer: TestAuthority,
  list: TestList = {},
  encodedEntries?: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const { thisUpdateMs = Date.now() - 60_000, nextUpdateMs = Date.now() + DAY_MS } = list;
  const entries = encodedEntries ?? (list.entries ?? []).map(writeEntry);
  const content = sequence(
    number(list.version ?? 1),
    algorithmOf(signer.algorithm),
    nameOf(list.issuerName ?? signer.name),
    time(thisUpdateMs),
    ...(nextUpdateMs === null ? [] : [time(nextUpdateMs)]),
    ...(entries.length > 0 ? [sequence(...entries)] : []),
    ...(list.extensions ? [tagged(0, sequence(...list.extensions))] : []),
  );
  return Uint8Array.from(signed(content, signer));
}

export const listAsPem = (der: Uint8Array): Uint8Array<ArrayBuffer> => {
  const lines = Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n');
  return Uint8Array.from(
    Buffer.from(`-----BEGIN X509 CRL-----\n${lines}\n-----END X509 CRL-----\n`),
  );
};

export interface TestAnswer {
  readonly status?: 'good' | 'revoked' | 'unknown';
  readonly serial: string;
  readonly hash?: 'sha1' | 'sha256';
  /** Whose certificate the answer is about; the signer unless told. */
  readonly about?: TestAuthority;
  readonly thisUpdateMs?: number;
  readonly nextUpdateMs?: number | null;
  readonly nonce?: Uint8Array;
  /** Certificates that come along. */
  readonly certificates?: readonly X509Certificate[];
  readonly byKey?: boolean;
  readonly copies?: number;
  readonly extensions?: readonly Buffer[];
}

/** Of an EC key on P-256: an uncompressed point. */
const publicKeyBits = ({ publicKey }: X509Certificate): Buffer => {
  if (publicKey.asymmetricKeyType !== 'ec') throw new Error('OCSP answers here are for EC keys');
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(-65);
};

const HASHES = { sha1: '1.3.14.3.2.26', sha256: SHA256 };

/** In DER, signed by `signer`. */
export function writeAnswer(
  signer: Signer & { readonly certificate: X509Certificate; readonly name: string },
  answer: TestAnswer & { readonly about: TestAuthority },
): Buffer {
  const { hash = 'sha1', about, nonce, extensions = [], certificates } = answer;
  const now = Date.now();
  const { thisUpdateMs = now - 60_000, nextUpdateMs = now + DAY_MS } = answer;
  const hashed = (bytes: Uint8Array): Buffer => octets(createHash(hash).update(bytes).digest());
  const id = sequence(
    sequence(derIdentifier(HASHES[hash]), derElement(tags.null)),
    hashed(nameOf(about.name)),
    hashed(publicKeyBits(about.certificate)),
    derInteger(hexBytes(answer.serial)),
  );
  const status = {
    good: derElement(primitiveTag(0)),
    revoked: tagged(1, time(now - DAY_MS), tagged(0, enumerated(1))),
    unknown: derElement(primitiveTag(2)),
  }[answer.status ?? 'good'];
  const single = sequence(
    id,
    status,
    time(thisUpdateMs),
    ...(nextUpdateMs === null ? [] : [tagged(0, time(nextUpdateMs))]),
  );
  const all = [...(nonce ? [extension('1.3.6.1.5.5.7.48.1.2', octets(nonce))] : []), ...extensions];
  const keyHash = createHash('sha1').update(publicKeyBits(signer.certificate)).digest();
  const content = sequence(
    answer.byKey ? tagged(2, octets(keyHash)) : tagged(1, nameOf(signer.name)),
    time(now),
    sequence(...Array.from({ length: answer.copies ?? 1 }, () => single)),
    ...(all.length > 0 ? [tagged(1, sequence(...all))] : []),
  );
  const brought = certificates ? [tagged(0, sequence(...certificates.map(({ raw }) => raw)))] : [];
  const basic = signed(content, signer, ...brought);
  return sequence(
    enumerated(0),
    tagged(0, sequence(derIdentifier('1.3.6.1.5.5.7.48.1.1'), octets(basic))),
  );
}

/** An answer without content, such as 3: tryLater. */
export const writeRefusal = (status: number): Buffer => sequence(enumerated(status));
