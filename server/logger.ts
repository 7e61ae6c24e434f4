/**
 * The log of the doors: JSON lines with all control characters escaped (pino). Called by whoever opens
 * a door without a log of its own.
 */
import { pino } from 'pino';
import type { LogLevel } from '../config/types.js';
import { redaction } from '../protocol/secretFields.js';

/** What a door needs of a log; a pino logger fits. */
export interface DoorLogger {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Writes to standard output. `notify` stands between `info` and `warn`, as in the configuration. */
export const createLogger = (level: LogLevel): DoorLogger =>
  pino<'notify'>({ level, customLevels: { notify: 35 }, base: {}, redact: redaction() });
