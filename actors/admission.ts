/**
 * Which node an accepted connection is, among those that may connect, and whether it still is later. Used by peerSupervisor
 * and peerConnection for links, by peerOperations for single operations. Pure; who may connect is said by the caller.
 */
import type { NodeName } from '../protocol/ids.js';
import { provenNames } from './transport/proven.js';
import type { Proven } from './transport/types.js';

export interface AdmissionRules {
  /** Whether that node may connect now. */
  readonly admits: (name: NodeName) => boolean;
  /** Serial numbers that are not accepted for that node, as they were written down. */
  readonly revokedSerials: (name: NodeName) => readonly string[];
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

export type Admission =
  | { readonly name: NodeName }
  /** What the other end is told, and what the log says beside it. */
  | { readonly reason: string; readonly claims: string };

/** The first of the proven names that may connect. */
export const admit = (proven: Proven, rules: AdmissionRules): Admission => {
  if (proven.kind === 'unproven') return { reason: proven.reason, claims: proven.claims ?? '' };
  const names = provenNames(proven);
  const name = names.find(rules.admits);
  if (name === undefined) {
    const first = names[0] ?? 'a certificate that names no node';
    const reason = `no hdb_nodes entry for ${first}; run add_node from this node specifying the peer URL to register it`;
    return { reason, claims: names.join(', ') };
  }
  const problem = lapse(proven, name, rules);
  return problem === undefined ? { name } : { reason: problem, claims: name };
};

/** Why a connection that was admitted as that node is none any more; undefined: it still is. */
export const lapse = (
  proven: Proven,
  name: NodeName,
  rules: Pick<AdmissionRules, 'revokedSerials' | 'nowMs'>,
): string | undefined => {
  if (proven.kind !== 'certificate') return undefined;
  const { serial, validToMs } = proven.certificate;
  if (isRevokedSerial(serial, rules.revokedSerials(name)))
    return `the certificate with the serial number ${serial} was revoked`;
  return validToMs < rules.nowMs ? 'the certificate has expired' : undefined;
};

/** Every hexadecimal spelling matches: case, colons, spaces, leading zeros, 0x. Anything else matches letter for letter. */
export const isRevokedSerial = (serial: string, revoked: readonly string[]): boolean => {
  const wanted = canonicalSerial(serial);
  return revoked.some((entry) => entry === serial || canonicalSerial(entry) === wanted);
};

const canonicalSerial = (text: string): string =>
  text
    .trim()
    .replace(/^0x/i, '')
    .replaceAll(/[:\s]/g, '')
    .replace(/^0+(?=.)/, '')
    .toUpperCase();
