/**
 * Transcripts of the membership machine: membership.txt. This node is `me`. A life is `b#2`, an ended one `b#2!`; the URL
 * of node b is `ws://b` unless the scene says otherwise.
 */
import { nodeName, type NodeName } from '../../protocol/ids.js';
import {
  factsOf,
  isAdmitted,
  isKnown,
  startMembership,
  stepMembership,
  type MemberFact,
  type MembershipEffect,
  type MembershipEvent,
} from '../../protocol/membership.js';
import { transcript, unknown, type Command } from '../support/scenario.js';

const listIn = (command: Command, option: string): string[] =>
  (command.options.get(option) ?? '').split(',').filter((item) => item !== '');

const lifeIn = (text: string): { name: NodeName; generation: number; ended: boolean } => {
  const [name = '', generation = ''] = text.replace('!', '').split('#');
  return { name: nodeName(name), generation: Number(generation), ended: text.endsWith('!') };
};

const routesIn = (names: readonly string[]) =>
  names.map((name) => ({ name: nodeName(name), url: `ws://route-${name}` }));

/** `b`, `b@there` (its URL), `b-` (takes no part), `b?` (a row of nonsense). */
const rowIn = (text: string): Record<string, unknown> => {
  const [, name = '', sign, there] = /^([a-z]+)([-?])?(?:@(.+))?$/.exec(text) ?? [];
  if (sign === '?') return { name, url: 17 };
  return { name, url: `ws://${there ?? name}`, replicates: sign !== '-' };
};

const shownFact = ({ name, generation, ended }: MemberFact): string =>
  `${name}#${generation}${ended ? '!' : ''}`;

const shownEffect = (effect: MembershipEffect): string => {
  switch (effect.type) {
    case 'openPeer':
      return `open ${effect.name} at ${effect.urls.join(' or ') || 'nowhere'}`;
    case 'closePeer':
      return `close ${effect.name}: ${effect.reason}`;
    case 'tellPeers':
      return `tell ${effect.members.map(shownFact).join(' ')}`;
    case 'writeOwn':
      return `write own row #${effect.generation} ${effect.url}`;
    case 'recordEnd':
      return `record the end of ${effect.name}#${effect.generation}`;
    case 'deleteRow':
      return `delete row ${effect.name}`;
    case 'keepNotes':
      return `keep the rules of ${[...effect.notes.rules.keys()].join(' ') || 'nobody'}`;
    case 'reportMismatch':
      return 'report mismatch';
    default:
      return effect satisfies never;
  }
};

transcript('membership.txt', () => {
  let state = startMembership({ own: nodeName('me'), ownUrl: 'ws://me', gossips: true }, []);
  const step = (event: MembershipEvent): string[] => {
    const [next, effects] = stepMembership(state, event);
    state = next;
    return effects.map(shownEffect);
  };
  return (command) => {
    switch (command.name) {
      case 'node':
        state = startMembership(
          { own: nodeName('me'), ownUrl: 'ws://me', gossips: !command.words.includes('quiet') },
          routesIn(listIn(command, 'routes')),
        );
        return [];
      case 'tables':
        return step({
          type: 'tablesRead',
          tables: {
            generations: listIn(command, 'lives')
              .map(lifeIn)
              .map((life) => ({ ...life })),
            nodes: listIn(command, 'rows').map(rowIn),
            announcedUrl: command.options.get('announced') ?? null,
          },
        });
      case 'heard':
        return step({
          type: 'heard',
          members: command.words.map((word) => {
            const life = lifeIn(word);
            return { ...life, url: `ws://${life.name}` };
          }),
        });
      case 'routes':
        return step({ type: 'routesChanged', routes: routesIn(command.words) });
      case 'restarted':
        return step({ type: 'peersRestarted' });
      case 'show': {
        const knows = factsOf(state).map(shownFact).join(' ') || 'nobody';
        return [
          `${state.standing}, knows ${knows}, links ${[...state.open.keys()].join(' ') || 'none'}`,
        ];
      }
      case 'asks': {
        const name = nodeName(command.words[0] ?? '');
        return [
          `${isAdmitted(state, name) ? 'admitted' : 'refused'}, ${isKnown(state, name) ? 'can be removed' : 'does not exist'}`,
        ];
      }
      default:
        return unknown(command);
    }
  };
});
