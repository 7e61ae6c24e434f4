/**
 * What a node shows and trusts on TLS, made by hand: for tests of the transport, where no signer is. Called by the
 * conformance and transport tests.
 */
import { SecureContexts, type ServedCertificate } from '../../actors/transport/secureContexts.js';
import { nodeName } from '../../protocol/ids.js';
import { chooseCertificates } from '../../security/choice.js';
import { servedNames } from '../../security/identity.js';
import { readCertificate } from '../../security/certificates.js';
import type { KeyedCertificate } from './certificates.js';

/** The first certificate is for the node's own name. */
export const contextsOf = (
  ownName: string,
  shown: readonly KeyedCertificate[],
  trusted: readonly KeyedCertificate[],
): SecureContexts => {
  const contexts = new SecureContexts();
  showIn(contexts, ownName, shown, trusted);
  return contexts;
};

/** In place of what was shown and trusted before. */
export const showIn = (
  contexts: SecureContexts,
  ownName: string,
  shown: readonly KeyedCertificate[],
  trusted: readonly KeyedCertificate[],
): void => {
  const candidates = shown.map(({ certificate, key, ciphers }, index): ServedCertificate => ({
    id: `${index}`,
    chain: certificate,
    key,
    names: servedNames(readCertificate(certificate)),
    isSelfSigned: false,
    uses: [],
    ...(ciphers !== undefined && { ciphers }),
  }));
  const name = nodeName(ownName);
  contexts.replace({
    ownName: name,
    choice: chooseCertificates(candidates, { ownName: name, use: 'replication' }),
    authorities: trusted.map(({ certificate }) => certificate),
  });
};
