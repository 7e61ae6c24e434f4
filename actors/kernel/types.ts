/**
 * What an actor is, for those who write one. The kernel (system.ts) carries it out over nact.
 * A reference knows its messages: sending anything else does not compile.
 */

export interface Message {
  readonly type: string;
}

/** Why an actor ended. */
export type StopReason =
  | { readonly kind: 'stopped' } // asked to, or its parent stopped
  | { readonly kind: 'crashed'; readonly error: Error } // and is not restarted
  | { readonly kind: 'restarting'; readonly error: Error } // a new life follows under the same reference
  | { readonly kind: 'budgetSpent'; readonly error: Error };

/** Control messages overtake data messages; each lane is first in, first out. */
export type Lane = 'control' | 'data';

/**
 * What became of a message handed to `send`. `full`: the bounded mailbox refused it and it is a dead
 * letter; the sender decides what that means. `dead`: no such actor any more.
 */
export type SendResult = 'queued' | 'full' | 'dead';

/** Survives restarts of its actor: it names the place in the tree, not one life. */
export interface ActorRef<M extends Message> {
  readonly path: string;
  /** Property, not method: parameters are checked contravariantly. */
  readonly send: (message: M, lane?: Lane) => SendResult;
}

/** Where an answer goes. Exactly one call counts; later ones are ignored. */
export interface Reply<T> {
  readonly ok: (value: T) => void;
  readonly fail: (error: Error) => void;
}

export interface Actor<M extends Message> {
  /**
   * Handles one message. The next is handled when the returned promise has settled. A throw is a crash.
   * Property, not method: an actor that takes only some of its messages does not compile.
   */
  readonly receive: (message: M) => void | Promise<void>;
  /** Called exactly once per life, after the last message and after all children have stopped. */
  stopped?(reason: StopReason): void | Promise<void>;
  /** Shown by the debug endpoint as this actor's state; cheap, plain JSON. */
  describe?(): Record<string, unknown>;
  /** One word for the debug endpoint's `state` column while running, for instance `live`; default `running`. */
  phase?(): string;
}

export interface RestartPolicy {
  /** `always`: also after it stopped by itself. `onCrash`. `never`. */
  readonly restart: 'always' | 'onCrash' | 'never';
  /** More restarts than this within `withinMs`: the budget is spent. Absent: no limit. */
  readonly budget?: { readonly restarts: number; readonly withinMs: number };
  /** Wait before a restart: doubling from `msMin` to `msMax`, with jitter. Absent: at once. */
  readonly backoff?: { readonly msMin: number; readonly msMax: number };
  /**
   * When the budget is spent (or a `never` actor crashes): `escalate` crashes the parent; `stop` leaves it
   * stopped (watchers and the tree show it).
   */
  readonly whenSpent: 'escalate' | 'stop';
}

export interface ActorSpec<M extends Message> {
  /** Shown in paths, for instance `router:data`. Any characters but `/`; the kernel escapes it for nact. */
  readonly name: string;
  /**
   * Builds the actor for each life. May be asynchronous; messages wait meanwhile. A throw is a crash.
   * Runs again with the same context rules on each restart.
   */
  readonly start: (context: ActorContext<M>) => Actor<M> | Promise<Actor<M>>;
  readonly policy: RestartPolicy;
  /** Messages waiting per lane; defaults from protocol/limits.ts. */
  readonly mailbox?: { readonly dataMax?: number; readonly controlMax?: number };
  /** How long a stop waits for a running handler and `stopped`; default limits.stopMsMax. */
  readonly stopMsMax?: number;
  /** A handler running longer is reported (event `hung`), not killed; default limits.hungHandlerMs. */
  readonly hungMs?: number;
}

export interface Terminated {
  readonly path: string;
  readonly reason: StopReason;
}

/** An actor's view of the world; valid for one life. After that life every call is ignored. */
export interface ActorContext<M extends Message> {
  readonly self: ActorRef<M>;
  readonly path: string;
  /** 1 for the first life, one more per restart. */
  readonly life: number;
  /** Aborted when this life ends. */
  readonly signal: AbortSignal;
  spawn<C extends Message>(spec: ActorSpec<C>): ActorRef<C>;
  /** Stops a child and all below it, leaves first; resolves when it is done. */
  stop(child: ActorRef<never>): Promise<void>;
  /** Ends this actor after the running message, as `stopped`. */
  stopSelf(): void;
  /** Names of the live children. */
  children(): readonly string[];
  /** Sends `message(terminated)` to self (control lane) when that actor's place ends or its life is restarted. */
  watch(target: ActorRef<never>, message: (terminated: Terminated) => M): void;
  /** One timer per key: setting it again replaces it. The message arrives in the control lane. */
  startTimer(key: string, afterMs: number, message: M): void;
  cancelTimer(key: string): void;
  /** Asks another actor; see `ActorSystem.ask`. `const`: a question written in place keeps its literal `type`. */
  ask<T, const Q extends Message>(
    target: ActorRef<Q>,
    question: (replyTo: Reply<T>) => Q,
    options?: AskOptions,
  ): Promise<T>;
  /** Counters of this actor for the debug endpoint and metrics: adds `by` to `name`. */
  count(name: string, by?: number): void;
}

export interface AskOptions {
  readonly timeoutMs?: number;
  readonly lane?: Lane;
  readonly signal?: AbortSignal;
}

/** What the kernel needs from outside; see actors/environment.ts. */
export interface KernelEnvironment {
  /** Wall clock, ms since the epoch. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly setTimer: (afterMs: number, run: () => void) => unknown;
  readonly clearTimer: (timer: unknown) => void;
}

export type ActorState = 'starting' | 'running' | 'backingOff' | 'stopping' | 'stopped' | 'failed';

export interface ActorSnapshot {
  readonly path: string;
  readonly name: string;
  readonly state: ActorState;
  /** The actor's own word, see `Actor.phase`. */
  readonly phase: string;
  readonly life: number;
  readonly mailbox: { readonly control: number; readonly data: number };
  readonly processed: number;
  readonly crashes: number;
  readonly restarts: number;
  readonly lastCrash?: {
    readonly at: number;
    readonly message: string;
    readonly stack: string;
    readonly during: string;
  };
  /** When a restart is waiting: ms since the epoch of the next life. */
  readonly nextStartAt?: number;
  /** Since when the present handler runs, ms since the epoch. */
  readonly busySince?: number;
  readonly hung: boolean;
  readonly startedAt: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly details: Readonly<Record<string, unknown>>;
  readonly children: readonly ActorSnapshot[];
}

export type SupervisionEvent =
  | {
      readonly type: 'actor.started';
      readonly path: string;
      readonly life: number;
      readonly at: number;
    }
  | {
      readonly type: 'actor.crashed';
      readonly path: string;
      readonly life: number;
      readonly at: number;
      readonly error: Error;
      readonly during: string;
    }
  | {
      readonly type: 'actor.restarting';
      readonly path: string;
      readonly at: number;
      readonly inMs: number;
    }
  | {
      readonly type: 'actor.stopped';
      readonly path: string;
      readonly at: number;
      readonly reason: StopReason;
    }
  | {
      readonly type: 'actor.hung';
      readonly path: string;
      readonly at: number;
      readonly during: string;
      readonly forMs: number;
    }
  | {
      readonly type: 'message.dead';
      readonly path: string;
      readonly at: number;
      readonly message: string;
      readonly why: 'full' | 'dead';
    };

export interface DeadLetter {
  readonly at: number;
  readonly path: string;
  readonly message: string;
  readonly why: 'full' | 'dead';
}

export interface ActorSystem {
  /** Starts the top actor. Its failure (escalation past the top) calls `onFailed` once, after everything below has stopped. */
  spawn<M extends Message>(spec: ActorSpec<M>): ActorRef<M>;
  /** Ordered stop of the whole tree: each actor's children first, in reverse order of their start. */
  stop(): Promise<void>;
  tree(): readonly ActorSnapshot[];
  deadLetters(): readonly DeadLetter[];
  subscribe(listener: (event: SupervisionEvent) => void): () => void;
  /** From outside any actor. Rejects at once when the target crashes on it, stops, or refuses it; TIMEOUT otherwise. */
  ask<T, const Q extends Message>(
    target: ActorRef<Q>,
    question: (replyTo: Reply<T>) => Q,
    options?: AskOptions,
  ): Promise<T>;
  /** From outside any actor: told when that actor's life or place ends. Returns the unwatch. */
  watch(target: ActorRef<never>, listener: (terminated: Terminated) => void): () => void;
  /** Makes the actor at that path crash as if its handler had thrown (the debug endpoint's crash door). False: no such actor. */
  crash(path: string, error: Error): boolean;
}

export interface SystemOptions {
  readonly name: string;
  readonly environment: KernelEnvironment;
  readonly onFailed: (error: Error) => void;
}
