/** Transcripts of the choice of sources: sources.txt. This node is `me`; each `plan` is one whole decision. */
import type { OriginPosition } from '../../protocol/frames.js';
import { nodeName, sequence, version, type NodeName, type OriginId } from '../../protocol/ids.js';
import { planSources, type PeerView } from '../../protocol/sources.js';
import {
  originNamed,
  numberIn,
  shown,
  transcript,
  unknown,
  type Command,
} from '../support/scenario.js';

const originsIn = (command: Command, option: string): Set<OriginId> =>
  new Set(command.options.get(option)?.split(',').map(originNamed));

/** A peer's present origin is its first one, unless `origin=b/2` says otherwise. */
const peerOf = (command: Command): PeerView => ({
  origin: originNamed(command.options.get('origin') ?? command.words[0] ?? ''),
  positions: new Map<OriginId, OriginPosition>(
    command.positions.map(({ origin, at }) => [
      origin,
      { origin, sequence: sequence(at), version: version(at) },
    ]),
  ),
  tooOld: originsIn(command, 'tooOld'),
  refused: originsIn(command, 'refused'),
  whole: !command.words.includes('partial'),
  rttMs: command.options.has('rtt') ? numberIn(command, 'rtt') : null,
});

transcript('sources.txt', () => {
  const peers = new Map<NodeName, PeerView>();
  let vector = new Map<OriginId, { sequence: number; checksum: number }>();
  let current = new Map<OriginId, NodeName>();
  const noCopyFrom = new Set<NodeName>();

  const plan = (command: Command): string[] => {
    const result = planSources({
      own: nodeName('me'),
      ownOrigin: originNamed('me/2'),
      vector,
      peers,
      current,
      copyUnfinished: command.words.includes('unfinished'),
      replayEntriesMax: 100,
      noCopyFrom,
      copyWantedFrom: command.options.has('want')
        ? nodeName(command.options.get('want') ?? '')
        : null,
    });
    current = new Map(result.from);
    const lines = [...result.wants].map(
      ([peer, wants]) =>
        `from ${peer}: ${shown(wants.map(({ origin, after }) => [origin, after] as const))}`,
    );
    if (result.copyNeeded) lines.push(`copy from ${result.copyFrom ?? 'nobody'}`);
    return lines;
  };

  return (command) => {
    const name = nodeName(command.words[0] ?? '');
    switch (command.name) {
      case 'peer':
        peers.set(name, peerOf(command));
        return [];
      case 'gone':
        peers.delete(name);
        return [];
      case 'hold':
        vector = new Map(
          command.positions.map(({ origin, at }) => [origin, { sequence: at, checksum: at }]),
        );
        return [];
      case 'noCopy':
        noCopyFrom.add(name);
        return [];
      case 'plan':
        return plan(command);
      default:
        return unknown(command);
    }
  };
});
