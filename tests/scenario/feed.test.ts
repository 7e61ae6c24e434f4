/** Transcripts of the sending end of a stream: feed.txt. The subscriber is node `s`. */
import {
  backlogOf,
  startFeed,
  stepFeed,
  type FeedEffect,
  type FeedEvent,
  type FeedState,
} from '../../protocol/feed.js';
import type { OriginPosition, Want } from '../../protocol/frames.js';
import { nodeName, sequence, version } from '../../protocol/ids.js';
import {
  nameOf,
  numberIn,
  originNamed,
  shown,
  transcript,
  unknown,
  type Command,
} from '../support/scenario.js';

const positionsOf = ({ positions }: Command): OriginPosition[] =>
  positions.map(({ origin, at }) => ({ origin, sequence: sequence(at), version: version(at) }));
const wantsOf = ({ positions }: Command): Want[] =>
  positions.map(({ origin, at }) => ({ origin, after: sequence(at), checksum: 0 }));

const effectText = (effect: FeedEffect): string => {
  switch (effect.type) {
    case 'readEntries':
      return `read ${nameOf(effect.origin)} after ${effect.after}, up to ${effect.bytesMax} bytes`;
    case 'sendEntries':
      return 'send the entries';
    case 'sendTooOld':
      return `send TooOld ${nameOf(effect.origin)}, the log begins at ${effect.logStart}`;
    case 'sendNotice':
      return `send Notice ${shown(effect.positions.map((p) => [p.origin, p.sequence] as const))}`;
    case 'startNoticeTimer':
      return 'start the notice timer';
    case 'openCopy':
      return `open a copy${effect.after ? ` after ${effect.after.table}` : ''}`;
    case 'readCopy':
      return `read rows, up to ${effect.bytesMax} bytes`;
    case 'sendCopyRows':
      return effect.ended ? 'send CopyEnd' : 'send the rows';
    default:
      return effect satisfies never;
  }
};

const entriesRead = (command: Command): FeedEvent => {
  const [found] = command.positions;
  const [result] = command.words;
  const count = numberIn(command, 'count', 0);
  return {
    type: 'entriesRead',
    origin: found?.origin ?? originNamed('a'),
    after: found?.at ?? 0,
    result:
      result === 'end' || result === 'tooOld'
        ? result
        : { count, bytes: numberIn(command, 'bytes') },
    logStart: sequence(numberIn(command, 'start', 1)),
  };
};

const EVENTS: Record<string, (command: Command) => FeedEvent> = {
  want: (command) => ({ type: 'wanted', add: wantsOf(command), drop: [] }),
  drop: ({ words }) => ({ type: 'wanted', add: [], drop: words.map(originNamed) }),
  credit: (command) => ({ type: 'credited', bytes: numberIn(command, 'bytes') }),
  log: (command) => ({ type: 'logAdvanced', positions: positionsOf(command) }),
  found: entriesRead,
  copy: ({ options }) => {
    const table = options.get('after');
    const after = table === undefined ? null : { table, generation: 1, key: Buffer.alloc(1) };
    return { type: 'copyRequested', after };
  },
  copyOpened: () => ({ type: 'copyOpened' }),
  copyRefused: () => ({ type: 'copyEnded' }),
  rows: (command) => ({
    type: 'copyRead',
    bytes: numberIn(command, 'bytes', 0),
    ended: command.words.includes('end'),
  }),
  congested: () => ({ type: 'congestionChanged', congested: true }),
  drained: () => ({ type: 'congestionChanged', congested: false }),
  noticeTimer: () => ({ type: 'noticeTimer' }),
};

transcript('feed.txt', () => {
  let state: FeedState | undefined;
  return (command) => {
    if (command.name === 'start') {
      const log = positionsOf(command);
      const windowBytes = numberIn(command, 'window');
      state = startFeed({ subscriber: nodeName('s'), windowBytes, log });
      return [`credit ${state.creditBytes}`];
    }
    if (!state) throw new Error('No feed yet');
    if (command.name === 'backlog') return [`${backlogOf(state)} entries`];
    const eventOf = EVENTS[command.name];
    if (!eventOf) return unknown(command);
    const before = state.creditBytes;
    const [next, effects] = stepFeed(state, eventOf(command));
    state = next;
    return [
      ...effects.map(effectText),
      ...(next.creditBytes === before ? [] : [`credit ${next.creditBytes}`]),
    ];
  };
});
