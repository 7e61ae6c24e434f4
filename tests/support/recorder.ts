/**
 * What a connection told its owner, kept for looking at; and waiting for it with a deadline.
 * For transport tests.
 */
import type { Closed, Connection, ConnectionHandlers } from '../../actors/transport/types.js';

export interface Recorder extends ConnectionHandlers {
  readonly frames: Buffer[];
  /** As it should: one at most. */
  readonly closings: Closed[];
  readonly drains: number;
}

/** Starts the connection and records all it says from then on. */
export const record = (connection: Connection): Recorder => {
  const recorder = {
    frames: [] as Buffer[],
    closings: [] as Closed[],
    drains: 0,
    frame: (bytes: Buffer) => void recorder.frames.push(bytes),
    closed: (closed: Closed) => void recorder.closings.push(closed),
    drained: () => void (recorder.drains += 1),
  };
  connection.start(recorder);
  return recorder;
};

/** Resolves when the condition holds; rejects, saying what was awaited, after the deadline. */
export const eventually = async (
  what: string,
  condition: () => boolean,
  deadlineMs = 10_000,
): Promise<void> => {
  const until = Date.now() + deadlineMs;
  while (!condition()) {
    if (Date.now() > until) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};
