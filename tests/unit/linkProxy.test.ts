/** The bad network of the fault tests has to be bad in exactly the ways it says. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { openLinkProxy, type LinkProxy } from '../support/linkProxy.js';
import { eventually } from '../support/recorder.js';
import { reset } from '../support/reset.js';

/** One end of a TCP connection, and what it heard. */
interface End {
  readonly socket: Socket;
  readonly heard: () => string;
  readonly events: string[];
}

interface Bench {
  readonly proxy: LinkProxy;
  /** A new link: the dialling and the target's end. */
  join(): Promise<{ near: End; far: End }>;
  dial(): End;
}

const HOST = '127.0.0.7';

const listenTo = (socket: Socket): End => {
  let heard = '';
  const events: string[] = [];
  socket.setEncoding('latin1').on('data', (more: string) => (heard += more));
  socket.on('end', () => events.push('end'));
  socket.on('error', (error: Error & { code?: string }) =>
    events.push(error.code ?? error.message),
  );
  socket.on('close', () => events.push('close'));
  return { socket, heard: () => heard, events };
};

const openBench = async (t: ExecutionContext): Promise<Bench> => {
  const accepted: End[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(listenTo(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as AddressInfo;
  const proxy = await openLinkProxy({ target: { host: HOST, port } });
  const diallers: End[] = [];
  t.teardown(async () => {
    for (const { socket } of [...diallers, ...accepted]) socket.destroy();
    await proxy.close();
    server.close();
  });
  const dial = (): End => {
    const options = { ...proxy.address, localAddress: '127.0.0.8', allowHalfOpen: true };
    const end = listenTo(connect(options));
    diallers.push(end);
    return end;
  };
  const join = async (): Promise<{ near: End; far: End }> => {
    const before = accepted.length;
    const near = dial();
    await eventually('joined', () => accepted.length > before);
    const far = accepted[before];
    if (far === undefined) throw new Error('accepted and gone');
    return { near, far };
  };
  return { proxy, join, dial };
};

/** Time in which a byte that may pass would have passed many times over. */
const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

test('it listens on the address of the target, and passes on the address of the dialler', async (t) => {
  const { proxy, join } = await openBench(t);
  const { far } = await join();
  t.is(proxy.address.host, HOST);
  t.is(far.socket.remoteAddress, '127.0.0.8');
});

test('bytes pass both ways and are counted', async (t) => {
  const { proxy, join } = await openBench(t);
  const { near, far } = await join();
  near.socket.write('question');
  far.socket.write('answer');
  await eventually('both heard', () => near.heard() === 'answer' && far.heard() === 'question');
  t.deepEqual(proxy.bytes, { toTarget: 8, fromTarget: 6 });
  t.is(proxy.links(), 1);
});

test('a megabyte passes whole, and an end passes as an end', async (t) => {
  const { proxy, join } = await openBench(t);
  const { near, far } = await join();
  near.socket.end('x'.repeat(1_000_000));
  await eventually('the end', () => far.events.includes('end'));
  t.is(far.heard().length, 1_000_000);
  far.socket.end('bye');
  await eventually('closed', () => near.events.includes('close'));
  t.is(near.heard(), 'bye');
  t.deepEqual(near.events, ['end', 'close']);
  await eventually('the link is gone', () => proxy.links() === 0);
});

test('cut resets both ends and every new link until restored', async (t) => {
  const { proxy, join, dial } = await openBench(t);
  const { near, far } = await join();
  proxy.cut();
  await eventually('reset', () => near.events.includes('close') && far.events.includes('close'));
  t.deepEqual([near.events[0], far.events[0]], ['ECONNRESET', 'ECONNRESET']);
  const late = dial();
  await eventually('refused', () => late.events.includes('close'));
  t.is(late.events[0], 'ECONNRESET');
  proxy.restore();
  const again = await join();
  again.near.socket.write('back');
  await eventually('heard', () => again.far.heard() === 'back');
});

test('hang holds everything, tells nobody, and passes it when restored', async (t) => {
  const { proxy, join } = await openBench(t);
  const { near, far } = await join();
  proxy.hang();
  near.socket.end('question');
  far.socket.write('answer');
  await aWhile();
  t.is(near.heard() + far.heard(), '');
  t.deepEqual([...near.events, ...far.events], []);
  proxy.restore();
  await eventually('both heard', () => near.heard() === 'answer' && far.heard() === 'question');
  await eventually('the end', () => far.events.includes('end'));
});

test('half holds one direction only', async (t) => {
  const { proxy, join } = await openBench(t);
  const { near, far } = await join();
  proxy.half('fromTarget');
  near.socket.write('question');
  far.socket.write('answer');
  await eventually('heard', () => far.heard() === 'question');
  await aWhile();
  t.is(near.heard(), '');
  proxy.restore();
  await eventually('heard', () => near.heard() === 'answer');
});

test('slow passes no more than so many bytes per second', async (t) => {
  const { proxy, join } = await openBench(t);
  const { near, far } = await join();
  proxy.slow(20_000);
  const before = Date.now();
  near.socket.write('x'.repeat(10_000));
  await eventually('heard', () => far.heard().length === 10_000);
  const tookMs = Date.now() - before;
  t.true(tookMs > 400, `${tookMs} ms`);
});

test('rstAt resets both ends after exactly so many bytes, once', async (t) => {
  const { proxy, join } = await openBench(t);
  const { near, far } = await join();
  proxy.rstAt(10);
  near.socket.write('0123456');
  await eventually('heard', () => far.heard().length === 7);
  far.socket.write('0123456');
  await eventually('reset', () => near.events.length > 0 && far.events.includes('close'));
  t.is(far.events[0], 'ECONNRESET');
  // Where data arrives together with the reset, Node reads the data and then reports an end.
  t.true(['ECONNRESET', 'end'].includes(near.events[0] ?? ''));
  t.deepEqual(proxy.bytes, { toTarget: 7, fromTarget: 3 });
  const again = await join();
  again.near.socket.write('a long enough sentence');
  await eventually('heard', () => again.far.heard().length === 22);
});

test('a reset on one side is a reset on the other', async (t) => {
  const { join } = await openBench(t);
  const { near, far } = await join();
  reset(far.socket);
  await eventually('reset', () => near.events.includes('close'));
  t.is(near.events[0], 'ECONNRESET');
});
