/**
 * How connections end, the same for every transport: how long an answer is awaited, and how long a
 * reason may be. Called by the connections of webSocket.ts and memory.ts, and by whoever refuses an accepted one.
 */
import { CLOSE_REASON_BYTES_MAX } from '../../protocol/limits.js';
import type { Closed, Connection } from './types.js';

/** A peer that has not answered a close by then is cut off. */
export const CLOSE_ANSWER_MS_MAX = 2_000;

/** What `closed` says when the answer to our own close never came. */
export const UNANSWERED = { code: 1006, reason: 'the close was not answered' } as const;

/** As much of the reason, in whole characters, as a close frame has room for. */
export const cutReason = (reason: string): string => {
  // encodeInto never writes half a character, and says how far it came.
  const room = new Uint8Array(CLOSE_REASON_BYTES_MAX);
  return reason.slice(0, new TextEncoder().encodeInto(reason, room).read);
};

/** Ends an accepted connection that nobody has started: what it says is not heard. */
export const refuseConnection = (connection: Connection, { code, reason }: Closed): void => {
  connection.start({ frame: () => undefined, closed: () => undefined, drained: () => undefined });
  connection.close(code, reason);
};
