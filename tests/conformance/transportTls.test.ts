/** Sockets with TLS: the suite. Who is let in, and shown what, is in tests/unit/transportTls.test.ts. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { webSocketTransport } from '../../actors/transport/webSocket.js';
import { nodeName } from '../../protocol/ids.js';
import { issue, newAuthority } from '../support/certificates.js';
import { contextsOf } from '../support/tlsIdentity.js';
import { transportConformance } from './transport.js';

const HOST = '127.0.0.2';
const SOCKETS = ['TCPSocketWrap', 'TCPServerWrap', 'TCPConnectWrap', 'GetAddrInfoReqWrap'];

const identity = (async () => {
  const authority = await newAuthority();
  const shown = await issue({ commonName: HOST, ips: [HOST] }, authority);
  return { authority, shown };
})();

/** Takes connections and never says a word: no handshake either. */
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
  return { url: `wss://127.0.0.4:${(server.address() as AddressInfo).port}`, close };
};

transportConformance('tls', async () => {
  const { authority, shown } = await identity;
  const silence = await openSilence();
  const plain = webSocketTransport({ contexts: contextsOf(HOST, [shown], [authority]) });
  return {
    transport: {
      listen: (address, accepted) => plain.listen(address, accepted, { secure: true }),
      dial: (url, options) => plain.dial(url, { expected: nodeName(HOST), ...options }),
    },
    listenAddress: { host: HOST, port: 0 },
    url: ({ host, port }) => `wss://${host}:${port}`,
    refusedUrl: 'wss://127.0.0.5:9',
    silentUrl: silence.url,
    openThings: () =>
      process.getActiveResourcesInfo().filter((name) => SOCKETS.includes(name)).length,
    close: silence.close,
  };
});
