/**
 * Ends a TCP connection with RST and nothing before it. Node's own `resetAndDestroy` first finishes
 * the socket, so that the other end hears FIN, and RST only if it is slow. For the fault tests.
 */
import type { Socket } from 'node:net';

/** A socket that is connecting, or in the middle of its own FIN, cannot be reset and is just closed. */
export const reset = (socket: Socket): void => {
  const finishing = socket.writableEnded && !socket.writableFinished;
  // What `resetAndDestroy` sets before it finishes the socket: closing it then becomes a reset.
  if (!socket.connecting && !finishing) Reflect.set(socket, 'resetAndClosing', true);
  socket.destroy();
};
