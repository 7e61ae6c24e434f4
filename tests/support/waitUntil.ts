/**
 * Waiting for something that happens elsewhere, with a deadline instead of a guess.
 * Called by tests that watch processes and sockets.
 */
import { setTimeout } from 'node:timers/promises';

/** Resolves with the first result that is not undefined, false or null; rejects naming `what` after `msMax`. */
export const waitUntil = async <T>(
  what: string,
  find: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  msMax = 15_000,
): Promise<T> => {
  const deadline = performance.now() + msMax;
  while (performance.now() < deadline) {
    const found = await find();
    if (found !== undefined && found !== false && found !== null) {
      return found;
    }
    await setTimeout(20);
  }
  throw new Error(`waited ${msMax} ms in vain for ${what}`);
};
