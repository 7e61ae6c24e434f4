/**
 * Small actors and a system around them, for the kernel's unit tests. Everything they do is written to one
 * list, so that a test can say in which order things happened.
 */
import { createSystem } from '../../actors/kernel/index.js';
import type {
  Actor,
  ActorContext,
  ActorSpec,
  ActorSystem,
  Message,
  Reply,
  RestartPolicy,
  StopReason,
  SupervisionEvent,
  Terminated,
} from '../../actors/kernel/index.js';
import { createManualEnvironment, type ManualEnvironment } from './manualEnvironment.js';

export type Play =
  | { readonly type: 'say'; readonly word: string }
  | { readonly type: 'throw'; readonly error?: Error }
  | { readonly type: 'run'; readonly act: () => void | Promise<void> }
  | { readonly type: 'question'; readonly replyTo: Reply<string> }
  | { readonly type: 'terminated'; readonly terminated: Terminated };

export type Context = ActorContext<Play>;

export const NEVER: RestartPolicy = { restart: 'never', whenSpent: 'stop' };
export const ON_CRASH: RestartPolicy = { restart: 'onCrash', whenSpent: 'stop' };
export const ESCALATES: RestartPolicy = { restart: 'never', whenSpent: 'escalate' };

export interface Scene {
  readonly system: ActorSystem;
  readonly environment: ManualEnvironment;
  /** What the actors did, and the supervision events as `<type> <path>`. */
  readonly log: string[];
  readonly events: SupervisionEvent[];
  readonly failures: Error[];
}

export const createScene = (): Scene => {
  const environment = createManualEnvironment();
  const failures: Error[] = [];
  const events: SupervisionEvent[] = [];
  const system = createSystem({
    name: 'scene',
    environment,
    onFailed: (error) => failures.push(error),
  });
  system.subscribe((event) => events.push(event));
  return { system, environment, log: [], events, failures };
};

export interface PlayerOptions {
  readonly policy?: RestartPolicy;
  readonly onStart?: (context: Context) => void | Promise<void>;
  readonly onStopped?: (reason: StopReason) => void | Promise<void>;
  readonly spec?: Partial<ActorSpec<Play>>;
  readonly actor?: Partial<Actor<Play>>;
}

/** An actor that does what its messages say and logs `<name> started`, `<name> said <word>`, `<name> stopped <kind>`. */
export const player = (
  { log }: Pick<Scene, 'log'>,
  name: string,
  options: PlayerOptions = {},
): ActorSpec<Play> => {
  const perform = (message: Play): void | Promise<void> => {
    switch (message.type) {
      case 'say':
        log.push(`${name} said ${message.word}`);
        return undefined;
      case 'throw':
        throw message.error ?? new Error('boom');
      case 'run':
        return message.act();
      case 'question':
        return message.replyTo.ok(`${name} answers`);
      case 'terminated':
        log.push(`${name} heard ${message.terminated.path} ${message.terminated.reason.kind}`);
        return undefined;
    }
  };
  const actor: Actor<Play> = {
    receive: perform,
    stopped: (reason) => {
      log.push(`${name} stopped ${reason.kind}`);
      return options.onStopped?.(reason);
    },
    ...options.actor,
  };
  return {
    name,
    policy: options.policy ?? NEVER,
    start: (context) => {
      const started = options.onStart?.(context);
      const built = (): Actor<Play> => {
        log.push(`${name} started`);
        return actor;
      };
      return started === undefined ? built() : started.then(built);
    },
    ...options.spec,
  };
};

/** A promise and its keys. */
export const createGate = (): {
  readonly passed: Promise<void>;
  readonly open: () => void;
  readonly breakDown: (error: Error) => void;
} => {
  let open: () => void = () => undefined;
  let breakDown: (error: Error) => void = () => undefined;
  const passed = new Promise<void>((resolve, reject) => {
    open = resolve;
    breakDown = reject;
  });
  passed.catch(() => undefined);
  return { passed, open, breakDown };
};

export const say = (word: string): Play => ({ type: 'say', word });
export const run = (act: () => void | Promise<void>): Play => ({ type: 'run', act });
export const question = (replyTo: Reply<string>): Play => ({ type: 'question', replyTo });

/** A message type of one's own, for actors that need no Play. */
export interface Plain extends Message {
  readonly type: 'plain';
}
