/**
 * Whether a node that holds nothing of others yet may say that it is ready. Called by startNode for the probes. An empty
 * node that has somebody to take from is not ready before it has met one of them, and begun to take what that one has:
 * what it would answer before is not what the cluster holds.
 */
import { nodeOf, type NodeName } from '../protocol/ids.js';
import type { ClusterOverview, DatabaseStatus, PeerStatus } from './messages.js';

export const isEmpty = (own: NodeName, { databases }: ClusterOverview): boolean =>
  !databases.some((status) => holdsOfOthers(own, status));

/** Of a node that was empty at its start. Undefined: nothing is waited for any more. Otherwise why it is not ready. */
export const waitingForPeers = (overview: ClusterOverview): string | undefined => {
  const { peers, membership, silent } = overview;
  if (membership === null || membership.standing === 'unknown')
    return 'it is not known yet who its peers are';
  if (peers.length === 0 || peers.some((peer) => isTakenFrom(peer, silent))) return undefined;
  return `nothing was here at the start, and none of ${peers.length} peers has been met`;
};

const holdsOfOthers = (own: NodeName, { positions }: DatabaseStatus): boolean =>
  positions.some(({ origin, sequence }) => sequence > 0 && nodeOf(origin) !== own);

/** Its streams have begun: what has to be copied is known, and the databases themselves say when that is done. */
const isTakenFrom = (
  { connected, databases }: PeerStatus,
  silent: ClusterOverview['silent'],
): boolean =>
  connected &&
  databases.every(
    ({ database, receiving, receivingClosed }) =>
      silent.includes(database) ||
      receivingClosed !== undefined ||
      (receiving !== null && receiving.phase !== 'subscribing'),
  );
