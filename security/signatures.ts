/**
 * Signatures over DER as certificates, revocation lists and OCSP answers carry them: the algorithm as X.509 writes it,
 * the check by node:crypto. Called by the readers of lists and answers. Takes no hash weaker than SHA-256.
 */
import { constants, verify, type KeyObject } from 'node:crypto';
import {
  bitStringBytes,
  constructedTag,
  identifierOf,
  inside,
  onlyElement,
  smallNumber,
  tags,
  wholeOf,
  type DerElement,
} from './der.js';

interface Algorithm {
  /** Of KeyObject.asymmetricKeyType. */
  readonly keyTypes: readonly string[];
  /** Undefined: the algorithm has its own. */
  readonly hash?: string;
  readonly saltLength?: number;
}

const RSA = ['rsa'];
const RSA_PSS = '1.2.840.113549.1.1.10';

const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  '1.2.840.113549.1.1.11': { keyTypes: RSA, hash: 'sha256' },
  '1.2.840.113549.1.1.12': { keyTypes: RSA, hash: 'sha384' },
  '1.2.840.113549.1.1.13': { keyTypes: RSA, hash: 'sha512' },
  '1.2.840.10045.4.3.2': { keyTypes: ['ec'], hash: 'sha256' },
  '1.2.840.10045.4.3.3': { keyTypes: ['ec'], hash: 'sha384' },
  '1.2.840.10045.4.3.4': { keyTypes: ['ec'], hash: 'sha512' },
  '1.3.101.112': { keyTypes: ['ed25519'] },
  '1.3.101.113': { keyTypes: ['ed448'] },
};

const HASHES: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

export interface Signed {
  /** What was signed, with its header. */
  readonly content: DerElement;
  /** The SEQUENCE that names the algorithm. */
  readonly algorithm: DerElement;
  /** The BIT STRING. */
  readonly signature: DerElement;
  /** Those that OCSP answers bring along. */
  readonly certificates: readonly DerElement[];
}

/** False for a wrong signature, and for an algorithm that is unknown, weak, or of another kind of key. */
export function isSignedBy(
  { content, algorithm, signature }: Omit<Signed, 'certificates'>,
  key: KeyObject,
): boolean {
  const how = readAlgorithm(algorithm);
  if (how === undefined || !how.keyTypes.includes(key.asymmetricKeyType ?? '')) return false;
  const { hash = null, saltLength } = how;
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const checked = saltLength === undefined ? key : { key, padding, saltLength };
  return verify(hash, wholeOf(content), checked, bitStringBytes(signature));
}

function readAlgorithm(element: DerElement): Algorithm | undefined {
  const fields = inside(element);
  const identifier = identifierOf(fields.read(tags.objectIdentifier));
  if (identifier !== RSA_PSS) return ALGORITHMS[identifier];
  return readPss(fields.read(tags.sequence));
}

/** RFC 4055, 3.1. Without a hash it is SHA-1, which is not taken. */
function readPss(parameters: DerElement): Algorithm | undefined {
  const fields = inside(parameters);
  const hash = fields.optional(constructedTag(0));
  fields.optional(constructedTag(1));
  const salt = fields.optional(constructedTag(2));
  const name = hash && HASHES[identifierOf(inside(hash).enter(tags.sequence).any())];
  if (name === undefined) return undefined;
  const saltLength = salt === undefined ? 20 : smallNumber(inside(salt).read(tags.integer));
  return { keyTypes: ['rsa', 'rsa-pss'], hash: name, saltLength };
}

/** The parts of signed bytes in DER. Throws MALFORMED. */
export function readSigned(der: Uint8Array): Signed {
  const reader = inside(onlyElement(der, tags.sequence));
  const content = reader.read(tags.sequence);
  const algorithm = reader.read(tags.sequence);
  const signature = reader.read(tags.bitString);
  const tagged = reader.optional(constructedTag(0));
  reader.finish();
  return { content, algorithm, signature, certificates: tagged ? sequenceIn(tagged) : [] };
}

function sequenceIn(tagged: DerElement): DerElement[] {
  const reader = inside(tagged).enter(tags.sequence);
  const elements: DerElement[] = [];
  while (!reader.done) elements.push(reader.read(tags.sequence));
  return elements;
}
