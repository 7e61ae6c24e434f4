/**
 * Ends a TCP connection with RST and nothing before it. Node's own `resetAndDestroy` first finishes
 * the socket, so that the other end hears FIN, and RST only if it is slow. For the fault tests.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * A socket that is connecting, or in the middle of its own FIN, cannot be reset and is just closed; nor can TLS, where Node
 * takes what the reset answers for an error that was read, and throws where nobody catches it.
 */
export const reset = (socket: Socket): void => {
  const finishing = socket.writableEnded && !socket.writableFinished;
  // What `resetAndDestroy` sets before it finishes the socket: closing it then becomes a reset.
  const isPlain = !(socket instanceof TLSSocket);
  if (isPlain && !socket.connecting && !finishing) Reflect.set(socket, 'resetAndClosing', true);
  socket.destroy();
};
