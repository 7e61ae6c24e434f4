/**
 * The end of a membership simulation: whether the nodes, as they say themselves and as their disks say, agree on who is
 * a member, are linked with these and nobody else, and hold the same data. Used by simulatedMembership.ts.
 */
import type { ClusterOverview, MembershipView, PeerStatus } from '../../actors/messages.js';
import { nodeName } from '../../protocol/ids.js';
import { isLocalOrigin } from '../../storage/origins.js';
import { textOf } from './simulatedHistory.js';
import type { Attendant } from './simulatedMembershipFaults.js';
import type { MembershipOperations } from './simulatedMembershipOperations.js';
import type { NodeWatch } from './simulatedWatch.js';

/** What a node answers about itself. */
interface Told {
  readonly attendant: Attendant;
  readonly view: MembershipView;
  readonly peers: readonly PeerStatus[];
}

export type Clusters = readonly (readonly Attendant[])[];

export interface Agreement {
  /** Empty: nothing is missing. */
  readonly differences: readonly string[];
  /** Nodes that let one another in, directly or through others. */
  readonly clusters: Clusters;
}

const DATABASES = ['data', 'system'];

/** Asks all nodes. */
export const agreementOf = async (parts: {
  attendants: readonly Attendant[];
  operations: MembershipOperations;
  routes: ReadonlyMap<string, readonly string[]>;
}): Promise<Agreement> => {
  const silent: string[] = [];
  const told: Told[] = [];
  for (const attendant of parts.attendants) {
    const answer = await attendant.node.overview().catch(() => null);
    const one = answer && toldBy(attendant, answer);
    if (one) told.push(one);
    else silent.push(`${attendant.node.name} does not answer`);
  }
  if (silent.length > 0) return { differences: silent, clusters: [] };
  const clusters = clustersOf(told);
  const differences = [
    ...(parts.operations.areUnderWay ? ['operations are under way'] : []),
    ...linkDifferences(told),
    ...clusters.flatMap((cluster) => clusterDifferences(cluster)),
    ...oneSided(told, parts),
  ];
  return { differences, clusters: clusters.map((cluster) => cluster.map((one) => one.attendant)) };
};

/** Throws when members of one cluster do not hold the same rows, or a disk is not what its logs come to. */
export const checkContents = (clusters: Clusters): void => {
  for (const cluster of clusters) {
    for (const { system, data } of cluster)
      for (const watch of [system, data]) if (watch.isExact) watch.checkAll();
    const [first, ...others] = cluster;
    if (!first) continue;
    for (const other of others)
      for (const database of ['system', 'data'] as const)
        compareStates(first[database], other[database]);
  }
};

const toldBy = (attendant: Attendant, answer: ClusterOverview): Told | null => {
  const { membership: view, peers } = answer;
  return view === null || view.standing === 'unknown' ? null : { attendant, view, peers };
};

const nameOf = ({ attendant }: Told): string => attendant.node.name;

const admits = (one: Told, other: Told): boolean => one.view.isAdmitted(nodeName(nameOf(other)));

const admitEachOther = (one: Told, other: Told): boolean =>
  admits(one, other) && admits(other, one);

/** Who is to be linked. Two that both moved while they were apart, and know nobody who was told, cannot find each other. */
const belongTogether = (one: Told, other: Told): boolean =>
  admitEachOther(one, other) &&
  (knowsWhere(one, other) || knowsWhere(other, one) || isConnected(one, other));

const knowsWhere = (one: Told, other: Told): boolean =>
  one.attendant.lives.nodes.get(nameOf(other))?.['url'] === other.attendant.node.url;

const isConnected = (one: Told, other: Told): boolean =>
  one.peers.some(({ name, connected }) => connected && name === nameOf(other));

const clustersOf = (told: readonly Told[]): Told[][] => {
  const clusters: Told[][] = [];
  const left = new Set(told);
  for (const start of told) {
    if (!left.delete(start)) continue;
    const cluster = [start];
    for (const one of cluster)
      for (const other of Array.from(left))
        if (belongTogether(one, other)) {
          left.delete(other);
          cluster.push(other);
        }
    clusters.push(cluster);
  }
  return clusters;
};

// ---- links

const linkDifferences = (told: readonly Told[]): string[] =>
  told.flatMap((one) =>
    told.flatMap((other) => {
      if (one === other) return [];
      const peer = one.peers.find(({ name }) => name === nameOf(other));
      const pair = `${nameOf(one)} and ${nameOf(other)}`;
      if (belongTogether(one, other) && !(peer && isWhole(peer)))
        return [`${pair} are not linked: ${briefly(peer)}`];
      if (!admitEachOther(one, other) && peer?.connected === true) return [`${pair} are linked`];
      if (peer && !admits(one, other)) return [`${nameOf(one)} keeps ${nameOf(other)} open`];
      return [];
    }),
  );

const isWhole = ({ connected, databases }: PeerStatus): boolean =>
  connected &&
  DATABASES.every((name) =>
    databases.some(
      ({ database, isServed, sending, receiving }) =>
        database === name && isServed && sending !== null && receiving?.phase === 'live',
    ),
  );

const briefly = (peer: PeerStatus | undefined): string =>
  peer
    ? `${peer.phase} ${peer.reason ?? ''} ${peer.databases.map(({ database, receiving }) => `${database} ${receiving?.phase}`).join(', ')}`
    : 'not open';

// ---- members and positions

const clusterDifferences = (cluster: readonly Told[]): string[] => {
  const [first] = cluster;
  if (!first) return [];
  return cluster.flatMap((one) => [
    ...unequal('latest lives', one, first, ({ attendant }) => attendant.lives.latest),
    ...unequal('lives', one, first, ({ attendant }) => attendant.lives.lives),
    ...unequal('rows of nodes', one, first, nodesText),
    ...unequal('positions in system', one, first, ({ attendant }) => positions(attendant.system)),
    ...unequal('positions in data', one, first, ({ attendant }) => positions(attendant.data)),
    ...rowDifferences(one, cluster),
    ...viewDifferences(one, cluster),
    ...(cluster.length > 1 ? copyDifferences(one) : []),
  ]);
};

const unequal = (
  what: string,
  one: Told,
  first: Told,
  textIn: (told: Told) => string,
): string[] => {
  const own = textIn(one);
  const other = textIn(first);
  return own === other ? [] : [`${what}: ${nameOf(one)} has ${own}, ${nameOf(first)} ${other}`];
};

const nodesText = ({ attendant }: Told): string =>
  [...attendant.lives.nodes.values()]
    .map((row) => textOf(row))
    .sort()
    .join(' ');

const positions = ({ vector }: NodeWatch): string =>
  [...vector]
    .filter(([origin]) => !isLocalOrigin(origin))
    .map(([origin, sequence]) => `${origin} ${sequence}`)
    .sort()
    .join(', ');

/** A row for each member, with where it is now, and none for anybody whose life has ended. */
const rowDifferences = (one: Told, cluster: readonly Told[]): string[] => {
  const { nodes, known } = one.attendant.lives;
  const name = nameOf(one);
  const missing = cluster
    .filter((other) => cluster.length > 1 || known.get(nameOf(other))?.ended === false)
    .filter((other) => nodes.get(nameOf(other))?.['url'] !== other.attendant.node.url)
    .map((other) => {
      const { url } = other.attendant.node;
      return `${name} has ${textOf(nodes.get(nameOf(other)))}, and ${nameOf(other)} is at ${url}`;
    });
  const stray = [...nodes.keys()]
    .filter((other) => known.get(other)?.ended !== false)
    .map((other) => `${name} has a row of ${other}, which has no life that goes on`);
  return [...missing, ...stray];
};

/**
 * What membership says is what it would read after a restart; but for lives that go on and that only others have told of,
 * who are not there any more.
 */
const viewDifferences = ({ attendant, view }: Told, cluster: readonly Told[]): string[] => {
  const { known, latest } = attendant.lives;
  return view.facts
    .filter(({ name, generation, ended }) => {
      const life = known.get(name);
      const isNews = !ended && generation > (life?.generation ?? 0);
      if (isNews && !(cluster.length > 1 && isIn(cluster, name))) return false;
      return life?.generation !== generation || life.ended !== ended;
    })
    .map(
      ({ name, generation, ended }) =>
        `${attendant.node.name} says ${name}#${generation}${ended ? '!' : ''}, and its disk says ${latest}`,
    );
};

const isIn = (cluster: readonly Told[], name: string): boolean =>
  cluster.some((one) => nameOf(one) === name);

/** Who is alone with a part of a copy stays so, and says that it is not ready. */
const copyDifferences = ({ attendant }: Told): string[] =>
  [attendant.system, attendant.data].flatMap((watch) =>
    watch.isExact ? [] : [`${attendant.node.name} has not all that it copied`],
  );

/** One that lets another in which knows nothing of it: only where an operation or a route told one end alone. */
const oneSided = (
  told: readonly Told[],
  parts: { operations: MembershipOperations; routes: ReadonlyMap<string, readonly string[]> },
): string[] =>
  told.flatMap((one) =>
    told
      .filter((other) => one !== other && admits(one, other) && !admits(other, one))
      .filter((other) => !knowsAnEnd(one, other) && !parts.operations.isHalfDone(nameOf(other)))
      .filter((other) => !other.attendant.lives.hasForgotten)
      .filter((other) => !parts.routes.get(nameOf(one))?.includes(nameOf(other)))
      .map((other) => `${nameOf(other)} does not know ${nameOf(one)}, which counts on it`),
  );

/**
 * Who removed somebody is not told by those that go on with it, nor of those that came by way of it: then the removal has
 * to be repeated, or the node added, where it is not known.
 */
const knowsAnEnd = (one: Told, other: Told): boolean =>
  [...other.attendant.lives.known].some(
    ([name, { ended }]) => ended && one.attendant.lives.known.has(name),
  );

// ---- contents

const compareStates = (one: NodeWatch, other: NodeWatch): void => {
  const a = one.state();
  const b = other.state();
  for (const row of new Set([...a.keys(), ...b.keys()])) {
    if (row.startsWith('hdb_info ') || a.get(row) === b.get(row)) continue;
    throw new Error(
      `${row} differs: ${one.name} has ${a.get(row) ?? 'none'}, ${other.name} has ${b.get(row) ?? 'none'}`,
    );
  }
};
