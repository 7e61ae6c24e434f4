/** When a node that was empty at its start may say that it is ready. */
import test from 'ava';
import { isEmpty, waitingForPeers } from '../../actors/readiness.js';
import type { ClusterOverview, DatabaseStatus, PeerStatus } from '../../actors/messages.js';
import { nodeName, sequence, version } from '../../protocol/ids.js';
import { origin } from '../support/stores.js';

const OWN = nodeName('own');

const database = (...held: readonly (readonly [string, number])[]): DatabaseStatus =>
  ({
    positions: held.map(([name, at]) => ({
      origin: origin(name),
      sequence: sequence(at),
      version: version(1),
    })),
  }) as unknown as DatabaseStatus;

const peer = (connected: boolean, ...phases: readonly string[]): PeerStatus =>
  ({
    connected,
    databases: phases.map((phase) =>
      phase === 'closed'
        ? { receiving: null, receivingClosed: 'receives: false (route)' }
        : { receiving: phase === 'none' ? null : { phase } },
    ),
  }) as unknown as PeerStatus;

const overview = (parts: {
  databases?: readonly DatabaseStatus[];
  peers?: readonly PeerStatus[];
  standing?: string | null;
}): ClusterOverview =>
  ({
    databases: parts.databases ?? [],
    silent: [],
    peers: parts.peers ?? [],
    membership: parts.standing === null ? null : { standing: parts.standing ?? 'member' },
  }) as unknown as ClusterOverview;

test('a node is empty when nothing in it was written by another', (t) => {
  t.true(isEmpty(OWN, overview({ databases: [database(), database(['own', 7], ['a', 0])] })));
  t.false(isEmpty(OWN, overview({ databases: [database(), database(['own', 7], ['a', 1])] })));
});

test('who its peers are has to be known first', (t) => {
  t.truthy(waitingForPeers(overview({ standing: null })));
  t.truthy(waitingForPeers(overview({ standing: 'unknown' })));
});

test('a node that has no peers waits for none', (t) => {
  t.is(waitingForPeers(overview({ standing: 'alone' })), undefined);
});

for (const [what, peers, isOver] of [
  ['no peer is connected', [peer(false), peer(false)], false],
  ['a stream has not begun', [peer(true, 'live', 'subscribing')], false],
  ['a stream is missing', [peer(true, 'live', 'none')], false],
  ['all streams of one peer are live', [peer(false), peer(true, 'live', 'live')], true],
  ['one is copying, which the database itself tells', [peer(true, 'live', 'copying')], true],
  ['rules close the others', [peer(true, 'live', 'closed')], true],
] as const)
  test(`an empty node with peers ${isOver ? 'waits no longer' : 'waits'} when ${what}`, (t) => {
    t.is(waitingForPeers(overview({ peers })) === undefined, isOver);
  });
