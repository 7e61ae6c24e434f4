/**
 * A fault of Node 20, kept away from this process: when bytes are decrypted for a TLS socket that has just been destroyed, its
 * own callback takes their number for an error code and throws where nobody can catch it, which ends the process. Called
 * for every TLS socket, by the listening and the dialling side.
 */
import type { TLSSocket } from 'node:tls';

/** From now on what is read for the socket after its end is dropped. A socket that looks otherwise inside is left alone. */
export const dropReadsOnceDestroyed = (socket: TLSSocket): void => {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return;
  const read: unknown = Reflect.get(handle, 'onread');
  if (typeof read !== 'function') return;
  Reflect.set(handle, 'onread', function onRead(this: unknown, bytes: unknown): unknown {
    return socket.destroyed ? undefined : Reflect.apply(read, this, [bytes]);
  });
};
