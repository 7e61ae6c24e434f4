/**
 * The outside world of one node: clock, randomness, timers, and which boot and start this is.
 * `startNode` makes one with `systemEnvironment` and hands it down; tests hand down their own.
 * Nothing below the actors may reach for these things in another way.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname, uptime } from 'node:os';
import { messageOf } from '../protocol/errors.js';
import type { KernelEnvironment } from './kernel/types.js';

export interface Environment extends KernelEnvironment {
  /** That many unpredictable bytes, as lower-case hexadecimal digits (two per byte). */
  readonly randomId: (bytes: number) => string;
  /** The same for every process since the machine started, another after its next start. */
  readonly bootId: string;
  /** Sixteen hexadecimal digits, new for each environment: one start of one node. */
  readonly processStartId: string;
}

/** The two calls that transports need. */
export type Timers = Pick<Environment, 'setTimer' | 'clearTimer'>;

/** Node's longest timer; `setTimeout` runs anything longer at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * The real thing. Timers never keep the process alive: a running node is held by its sockets, and a
 * closed one must not be held by a timer somebody forgot. Timers beyond 24.8 days run after 24.8 days.
 */
export const systemEnvironment = (): Environment => ({
  now: Date.now,
  random: Math.random,
  randomId,
  setTimer: (afterMs, run) => setTimeout(run, Math.min(afterMs, TIMER_MS_MAX)).unref(),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  bootId: bootId(),
  processStartId: randomId(8),
});

const randomId = (bytes: number): string => randomBytes(bytes).toString('hex');

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/** Linux tells; elsewhere it is worked out from the moment of the start. */
const bootId = (): string => {
  try {
    return readFileSync(BOOT_ID_FILE, 'utf8').trim();
  } catch (error) {
    if (isAbsence(error)) return derivedBootId({ now: Date.now(), uptimeSeconds: uptime() });
    throw new Error(`cannot read ${BOOT_ID_FILE}: ${messageOf(error)}`, { cause: error });
  }
};

const isAbsence = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(String(error.code));

/**
 * Host name and start time in steps of ten seconds: no machine starts twice within one. A corrected
 * clock gives another value, which costs a new incarnation and loses nothing.
 */
export const derivedBootId = (moment: { now: number; uptimeSeconds: number }): string => {
  const startedAt = Math.round((moment.now / 1000 - moment.uptimeSeconds) / 10);
  return createHash('sha256').update(`${hostname()} ${startedAt}`).digest('hex').slice(0, 32);
};
