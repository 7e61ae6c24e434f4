/**
 * Requests for a certificate (PKCS #10, RFC 2986): made by a node that wants to be signed, checked by the one that signs.
 * Called by the signer actor. Of a request only the key and the name it was announced with get into a certificate.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import type { CertificationRequest, Extension } from 'pkijs';
import { invalidRequest, messageOf } from '../protocol/errors.js';
import type { NodeName } from '../protocol/ids.js';
import { limits } from '../protocol/limits.js';
import { canonicalNodeName } from '../protocol/nodeNames.js';
import { nodeExtensions, readRequested, type Requested } from './certificateExtensions.js';
import { publicKeyOf, weaknessOf } from './keys.js';
import {
  commonName,
  commonNameFor,
  loadPki,
  publicKeyInfo,
  signingKey,
  toPem,
  type Pki,
} from './pki.js';

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const COMMON_NAME = '2.5.4.3';
const PEM_REQUEST =
  /^\s*-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----\s*$/;

/** A request of that node for that key, as PEM. */
export const createRequest = async (parts: { key: string; name: NodeName }): Promise<string> => {
  const pki = await loadPki();
  const { pkijs, engine } = pki;
  const request = new pkijs.CertificationRequest();
  const extensions = new pkijs.Extensions({ extensions: nodeExtensions(pki, [parts.name]) });
  request.subject = commonName(pki, commonNameFor(parts.name));
  request.subjectPublicKeyInfo = publicKeyInfo(pki, publicKeyOf(parts.key));
  request.attributes = [
    new pkijs.Attribute({ type: EXTENSION_REQUEST, values: [extensions.toSchema()] }),
  ];
  await request.sign(await signingKey(pki, parts.key), 'SHA-256', engine);
  return toPem('CERTIFICATE REQUEST', request.toSchema(true).toBER());
};

/**
 * The key that the sender of the request has shown to have. INVALID_REQUEST `Error verifying CSR: …` when the request is
 * not signed with it, names anybody but the announced node, or asks for more than a node's certificate.
 */
export const checkRequest = async (pem: string, announced: NodeName): Promise<KeyObject> => {
  const pki = await loadPki();
  const request = readRequest(pki, pem);
  const publicKey = keyIn(request);
  const problem =
    weaknessOf(publicKey) ??
    namingProblem(announced, commonNamesIn(request), requestedIn(pki, request));
  if (problem !== undefined) throw refused(problem);
  if (!(await isSignedByItself(pki, request)))
    throw refused('its signature was not made with the key in it');
  return publicKey;
};

const refused = (problem: string): Error => invalidRequest(`Error verifying CSR: ${problem}`);

const readRequest = ({ pkijs }: Pki, pem: string): CertificationRequest => {
  const base64 = pem.length > limits.pemCharactersMax ? undefined : PEM_REQUEST.exec(pem)?.[1];
  if (base64 === undefined) throw refused('it is no PEM certificate request');
  try {
    return pkijs.CertificationRequest.fromBER(Buffer.from(base64, 'base64'));
  } catch (error) {
    throw refused(`it cannot be read: ${messageOf(error)}`);
  }
};

const keyIn = (request: CertificationRequest): KeyObject => {
  try {
    const key = Buffer.from(request.subjectPublicKeyInfo.toSchema().toBER());
    return createPublicKey({ key, format: 'der', type: 'spki' });
  } catch (error) {
    throw refused(`its key cannot be read: ${messageOf(error)}`);
  }
};

const isSignedByItself = async (
  { engine }: Pki,
  request: CertificationRequest,
): Promise<boolean> => {
  try {
    return await request.verify(engine);
  } catch (error) {
    throw refused(`its signature cannot be checked: ${messageOf(error)}`);
  }
};

const commonNamesIn = ({ subject }: CertificationRequest): string[] =>
  subject.typesAndValues
    .filter(({ type }) => type === COMMON_NAME)
    .map(({ value }) => String(value.valueBlock.value));

const requestedIn = (pki: Pki, request: CertificationRequest): Requested => {
  try {
    const asked = (request.attributes ?? []).filter(({ type }) => type === EXTENSION_REQUEST);
    const extensions = asked.flatMap(({ values }) =>
      values.flatMap(
        (schema: unknown): Extension[] => new pki.pkijs.Extensions({ schema }).extensions,
      ),
    );
    return readRequested(pki, extensions);
  } catch (error) {
    throw refused(`what it asks for cannot be read: ${messageOf(error)}`);
  }
};

/** Every name that stands in it, in either place, has to be the announced one. */
const namingProblem = (
  announced: NodeName,
  commonNames: readonly string[],
  requested: Requested,
): string | undefined => {
  const { names = [], hasOtherNames, isAuthority, mayOnlyBeUsedByNodes } = requested;
  if (isAuthority) return 'it asks for the rights of an authority';
  if (!mayOnlyBeUsedByNodes) return 'it asks for more uses than a node has';
  if (hasOtherNames) return 'it names something that is no node';
  const other =
    names.find((name) => !isNamed(name, announced)) ??
    commonNames.find((name) => name !== commonNameFor(announced) && !isNamed(name, announced));
  if (other !== undefined)
    return `it names ${JSON.stringify(other.slice(0, 100))}, not ${announced}`;
  return names.length + commonNames.length === 0 ? 'it names nobody' : undefined;
};

const isNamed = (text: string, announced: NodeName): boolean => {
  try {
    return canonicalNodeName(text) === announced;
  } catch {
    return false;
  }
};
