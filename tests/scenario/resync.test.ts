/** Transcripts of the receiving end of a stream: resync.txt. The stream has number 1. */
import type { Want } from '../../protocol/frames.js';
import { sequence, version } from '../../protocol/ids.js';
import {
  startResync,
  stepResync,
  type ApplyProblem,
  type ResyncEffect,
  type ResyncEvent,
} from '../../protocol/resync.js';
import {
  nameOf,
  numberIn,
  originNamed,
  shown,
  transcript,
  unknown,
  type Command,
} from '../support/scenario.js';

const wantsOf = ({ positions }: Command): Want[] =>
  positions.map(({ origin, at }) => ({ origin, after: sequence(at), checksum: 0 }));

const wanted = (wants: readonly Want[]): string =>
  shown(wants.map(({ origin, after }) => [origin, after] as const));

const effectText = (effect: ResyncEffect): string => {
  switch (effect.type) {
    case 'sendSubscribe':
      return `send Subscribe ${wanted(effect.wants)}, window ${effect.windowBytes}`;
    case 'sendWant':
      return `send Want add ${wanted(effect.add)}, drop ${effect.drop.map(nameOf).join(' ') || 'nothing'}`;
    case 'sendAck':
      return `send Ack ${shown(effect.positions.map((p) => [p.origin, p.sequence] as const))}, credit ${effect.creditBytes}`;
    case 'apply':
      return `apply places ${effect.places.join(' ') || 'none'} of ${effect.bytes} bytes`;
    case 'sendCopyRequest':
      return `send CopyRequest${effect.after ? ` after ${effect.after.table}` : ''}`;
    case 'applyRows':
      return 'apply the rows';
    case 'lost':
      return `lost ${effect.origins.map(({ origin, problem }) => `${nameOf(origin)} (${problem})`).join(' ')}`;
    default:
      return effect satisfies never;
  }
};

/** `problem=a/gap` names what the writer did not take. */
const problemsOf = ({ options }: Command) => {
  const [name, problem] = options.get('problem')?.split('/') ?? [];
  if (name === undefined) return [];
  return [{ origin: originNamed(name), problem: problem as ApplyProblem }];
};

const EVENTS: Record<string, (command: Command) => ResyncEvent> = {
  start: (command) => ({ type: 'started', wants: wantsOf(command) }),
  subscribed: () => ({ type: 'subscribed' }),
  want: (command) => ({ type: 'wantsChanged', wants: wantsOf(command) }),
  entries: (command) => ({
    type: 'entriesReceived',
    entries: command.positions.map(({ origin, at }) => ({ origin, sequence: sequence(at) })),
    bytes: numberIn(command, 'bytes'),
  }),
  committed: (command) => ({
    type: 'committed',
    positions: command.positions.map(({ origin, at }) => ({
      origin,
      sequence: sequence(at),
      version: version(at),
    })),
    bytes: numberIn(command, 'bytes'),
    problems: problemsOf(command),
  }),
  copy: ({ options }) => {
    const table = options.get('after');
    const after = table === undefined ? null : { table, generation: 1, key: Buffer.alloc(1) };
    return { type: 'copyWanted', after };
  },
  rows: (command) => ({ type: 'rowsReceived', bytes: numberIn(command, 'bytes') }),
  begun: () => ({ type: 'copyBegun' }),
  ended: () => ({ type: 'copyEnded' }),
  refused: () => ({ type: 'copyRefused' }),
};

transcript('resync.txt', () => {
  let state = startResync(1);
  return (command) => {
    const eventOf = EVENTS[command.name];
    if (!eventOf) return unknown(command);
    const before = state;
    const [next, effects] = stepResync(state, eventOf(command));
    state = next;
    return [
      ...effects.map(effectText),
      ...(next.phase === before.phase ? [] : [`${before.phase} -> ${next.phase}`]),
      ...(next.uncommittedBytes === before.uncommittedBytes
        ? []
        : [`${next.uncommittedBytes} bytes uncommitted`]),
    ];
  };
});
