/** Real sockets: the suite. What only sockets can do to us is in transportWebSocketFaults.test.ts. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { webSocketTransport } from '../../actors/transport/webSocket.js';
import { transportConformance } from './transport.js';

/** Takes connections and never says a word. */
const openSilence = async (): Promise<{ url: string; close: () => Promise<void> }> => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => socket.destroy()).resume());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.4', resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
  return { url: `ws://127.0.0.4:${(server.address() as AddressInfo).port}`, close };
};

const SOCKETS = ['TCPSocketWrap', 'TCPServerWrap', 'TCPConnectWrap', 'GetAddrInfoReqWrap'];

transportConformance('webSocket', async () => {
  const silence = await openSilence();
  return {
    transport: webSocketTransport(),
    listenAddress: { host: '127.0.0.2', port: 0 },
    url: ({ host, port }) => `ws://${host}:${port}`,
    refusedUrl: 'ws://127.0.0.5:9',
    silentUrl: silence.url,
    openThings: () =>
      process.getActiveResourcesInfo().filter((name) => SOCKETS.includes(name)).length,
    close: silence.close,
  };
});
