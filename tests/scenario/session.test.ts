/** Transcripts of one end of a link: session.txt. This end is node `a`; the other end is proven to be `b`. */
import type { ControlFrame } from '../../protocol/frames.js';
import { incarnation, nodeName, version } from '../../protocol/ids.js';
import {
  startSession,
  stepSession,
  type SessionEffect,
  type SessionEvent,
} from '../../protocol/session.js';
import { numberIn, transcript, unknown, type Command } from '../support/scenario.js';

const CLOCK = version(1);

const greeting = (node: string, { min = 1, max = 1 } = {}) => ({
  versions: { min, max },
  node: nodeName(node),
  incarnation: incarnation('0000000000000001'),
  process: '1',
  capabilities: [],
  databases: [],
});

const frameOf = (command: Command): ControlFrame => {
  const [kind = ''] = command.words;
  const greets = {
    ...greeting(command.options.get('node') ?? 'b', {
      min: numberIn(command, 'min', 1),
      max: numberIn(command, 'max', 1),
    }),
    nowMs: 0,
    clock: CLOCK,
  };
  switch (kind) {
    case 'Hello':
    case 'Welcome':
      return { kind, ...greets };
    case 'Operation':
      return { kind, id: 1, operation: {} };
    case 'Ping':
    case 'Pong':
      return { kind, id: numberIn(command, 'id') };
    case 'Bye':
      return { kind, code: 'STOPPING', reason: command.options.get('reason') ?? '' };
    case 'Gossip':
      return { kind, databases: [], members: [] };
    default:
      return unknown(command);
  }
};

const effectText = (effect: SessionEffect): string => {
  switch (effect.type) {
    case 'sendFrame': {
      const { frame } = effect;
      return `send ${frame.kind}${'id' in frame ? ` id=${frame.id}` : ''}${'node' in frame ? ` node=${frame.node}` : ''}`;
    }
    case 'opened':
      return `opened with ${effect.peer.node}`;
    case 'measured':
      return `round trip ${effect.rttMs} ms`;
    case 'close':
      return `close ${effect.code}: ${effect.reason}`;
    default:
      return effect satisfies never;
  }
};

const EVENTS: Record<string, (command: Command) => SessionEvent> = {
  receive: (command) => ({ type: 'frame', frame: frameOf(command), clock: CLOCK }),
  heard: () => ({ type: 'heard' }),
  tick: () => ({ type: 'ticked' }),
  probe: () => ({ type: 'probed' }),
  malformed: ({ words }) => ({ type: 'malformed', reason: words.join(' ') }),
  gone: () => ({ type: 'socketClosed' }),
};

transcript('session.txt', () => {
  let nowMs = 0;
  let state: ReturnType<typeof startSession> | undefined;
  const start = (command: Command, dialled: boolean): ReturnType<typeof startSession> => {
    const proven = nodeName(command.options.get('proven') ?? 'b');
    return startSession(
      {
        greeting: greeting('a'),
        dialled,
        proven,
        expected: nodeName(command.options.get('expected') ?? proven),
        greetingMsMax: 10_000,
        pingIntervalMs: 30_000,
        pingTimeoutMs: 90_000,
      },
      nowMs,
    );
  };
  return (command) => {
    nowMs = numberIn(command, 'at', nowMs);
    if (command.name === 'dial' || command.name === 'accept')
      state = start(command, command.name === 'dial');
    if (!state) throw new Error('No link yet');
    const eventOf = EVENTS[command.name];
    const event: SessionEvent =
      state && eventOf ? eventOf(command) : { type: 'started', clock: CLOCK };
    if (!eventOf && command.name !== 'dial' && command.name !== 'accept') return unknown(command);
    const before = state.phase;
    const [next, effects] = stepSession(state, event, nowMs);
    state = next;
    return [
      ...effects.map(effectText),
      ...(next.phase === before ? [] : [`${before} -> ${next.phase}`]),
    ];
  };
});
