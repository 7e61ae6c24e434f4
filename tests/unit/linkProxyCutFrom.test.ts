/** A link proxy that cuts off some of those that dial it, and leaves the others alone. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import test from 'ava';
import { openLinkProxy } from '../support/linkProxy.js';
import { waitUntil } from '../support/waitUntil.js';

const HOST = '127.0.0.7';

test('links from the addresses that are cut off end, and no new ones open, until it is restored', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as AddressInfo;
  const proxy = await openLinkProxy({ target: { host: HOST, port } });
  const sockets: Socket[] = [];
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await proxy.close();
    server.close();
  });
  const dial = (localAddress: string): Socket => {
    const socket = connect({ ...proxy.address, localAddress }).on('error', () => undefined);
    sockets.push(socket);
    return socket;
  };
  const echoes = async (socket: Socket): Promise<void> => {
    const heard = new Promise((resolve) => socket.once('data', resolve));
    socket.write('x');
    await heard;
  };
  const [cutOff, left] = [dial('127.0.0.8'), dial('127.0.0.9')];
  await Promise.all([echoes(cutOff), echoes(left)]);
  proxy.cutFrom(['127.0.0.8']);
  await waitUntil('the link to end', () => cutOff.closed);
  const again = dial('127.0.0.8');
  await waitUntil('the new link to end', () => again.closed);
  await echoes(left);
  t.is(proxy.links(), 1);
  // Others instead of these.
  proxy.cutFrom(['127.0.0.9']);
  await waitUntil('the other link to end', () => left.closed);
  await echoes(dial('127.0.0.8'));
  proxy.restore();
  await echoes(dial('127.0.0.9'));
});
