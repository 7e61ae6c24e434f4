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
  /** Whether that serial number is written down as not accepted for that node. */
  readonly isRevoked: (name: NodeName, serial: string) => boolean;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

export type Admission =
  | { readonly name: NodeName }
  /** What the other end is told, and what the log says beside it. */
  | {
      readonly reason: string;
      readonly claims: string;
      /** Whom it proves to be, who might connect but for the reason. */
      readonly refused?: NodeName;
    };

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
  return problem === undefined ? { name } : { reason: problem, claims: name, refused: name };
};

/** Why a connection that was admitted as that node is none any more; undefined: it still is. */
export const lapse = (
  proven: Proven,
  name: NodeName,
  rules: Pick<AdmissionRules, 'isRevoked' | 'nowMs'>,
): string | undefined => {
  if (proven.kind !== 'certificate') return undefined;
  const { serial, validToMs } = proven.certificate;
  if (rules.isRevoked(name, serial))
    return `the certificate with the serial number ${serial} was revoked`;
  return validToMs < rules.nowMs ? 'the certificate has expired' : undefined;
};
