/**
 * A kernel environment whose clock stands still until a test moves it, and ways to let actors run. For unit
 * tests only. nact schedules with real immediates, so "let actors run" means letting immediates pass.
 */
import type { KernelEnvironment } from '../../actors/kernel/index.js';

export interface ManualEnvironment extends KernelEnvironment {
  /** Moves the clock, running due timers in order; the actors settle before, and after each. */
  readonly advance: (ms: number) => Promise<void>;
  /** Timers that are set and have not run. */
  readonly waiting: () => number;
  /** What `random` answers from now on; at first 0. */
  readonly setRandom: (value: number) => void;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export const createManualEnvironment = (startAt = 1_000_000): ManualEnvironment => {
  let now = startAt;
  let random = 0;
  let order = 0;
  const timers = new Set<Timer>();
  const nextBefore = (until: number): Timer | undefined =>
    [...timers]
      .filter((timer) => timer.at <= until)
      .sort((a, b) => a.at - b.at || a.order - b.order)[0];

  return {
    now: () => now,
    random: () => random,
    setTimer: (afterMs, run) => {
      order += 1;
      const timer = { at: now + afterMs, order, run };
      timers.add(timer);
      return timer;
    },
    clearTimer: (timer) => {
      timers.delete(timer as Timer);
    },
    advance: async (ms) => {
      await settle();
      const until = now + ms;
      for (let timer = nextBefore(until); timer !== undefined; timer = nextBefore(until)) {
        timers.delete(timer);
        now = timer.at;
        timer.run();
        await settle();
      }
      now = until;
      await settle();
    },
    waiting: () => timers.size,
    setRandom: (value) => {
      random = value;
    },
  };
};

/** Lets whatever is ready run: so many turns of the event loop that a chain of messages comes to its end. */
export const settle = async (turns = 12): Promise<void> => {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
};

/** Waits, a turn of the event loop at a time, until it holds; rejects after 5 s of real time. */
export const until = async (holds: () => boolean, what: string): Promise<void> => {
  const deadline = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await settle(1);
  }
};
