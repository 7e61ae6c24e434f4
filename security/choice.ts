/**
 * Which of its certificates a node shows: the best for each name it may be asked for, and the best of all. Called by the
 * signer actor, which makes secure contexts of the outcome. Pure; reads rows that were read before.
 */
import { canonicalIp, canonicalNodeName } from '../protocol/nodeNames.js';

export interface Candidate {
  /** As in the certificate or, if its row has `hostnames`, as there. Wildcards (`*.example.org`) are possible. */
  readonly names: readonly string[];
  /** Signed by the authority that this node made for itself, or by itself. */
  readonly isSelfSigned: boolean;
  /** Empty: for everything. */
  readonly uses: readonly string[];
}

export interface Choice<Chosen extends Candidate> {
  readonly byName: ReadonlyMap<string, Chosen>;
  /** For whoever asks for no name, or for one that no certificate has; undefined: there are no certificates. */
  readonly best: Chosen | undefined;
}

const SIGNED = 3;
const SELF_SIGNED = 1;
/** More than names can add up to: a certificate that is meant for the purpose goes before one for everything, and that before one for others. */
const MEANT_FOR_IT = 1_000;

/** The first of equally good candidates wins. `use`: `replication` or `operations`. */
export const chooseCertificates = <Chosen extends Candidate>(
  candidates: readonly Chosen[],
  wanted: { ownName: string; use: string },
): Choice<Chosen> => {
  const byName = new Map<string, Chosen>();
  const quality = (candidate: Chosen): number => qualityOf(candidate, wanted);
  const better = (held: Chosen | undefined, other: Chosen): Chosen =>
    held !== undefined && quality(held) >= quality(other) ? held : other;
  let best: Chosen | undefined;
  for (const candidate of candidates) {
    best = better(best, candidate);
    for (const name of candidate.names.map(canonicalPattern))
      byName.set(name, better(byName.get(name), candidate));
  }
  return { byName, best };
};

/** Exactly that name, else a wildcard for its parent, else the best of all. */
export const choiceFor = <Chosen extends Candidate>(
  choice: Choice<Chosen>,
  serverName: string,
): Chosen | undefined => {
  const name = canonicalPattern(serverName);
  return choice.byName.get(name) ?? wildcardFor(choice, name) ?? choice.best;
};

/** RFC 6125 section 6.4.3: a wildcard stands for one label, the leftmost. */
const wildcardFor = <Chosen extends Candidate>(
  { byName }: Choice<Chosen>,
  name: string,
): Chosen | undefined => {
  const dot = name.indexOf('.');
  if (dot < 1 || canonicalIp(name) !== undefined) return undefined;
  return byName.get(`*${name.slice(dot)}`);
};

const qualityOf = (
  { isSelfSigned, uses, names }: Candidate,
  { ownName, use }: { ownName: string; use: string },
): number =>
  (isSelfSigned ? SELF_SIGNED : SIGNED) +
  (uses.includes(use) ? MEANT_FOR_IT : uses.length > 0 ? -MEANT_FOR_IT : 0) +
  names.filter((name) => canonicalPattern(name) === ownName).length;

/** Spelled as node names are; a wildcard and what is no name at all in lower case. */
const canonicalPattern = (name: string): string => {
  try {
    return canonicalNodeName(name);
  } catch {
    return name.toLowerCase();
  }
};
