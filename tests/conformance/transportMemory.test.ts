/** The network inside the process: the suite, and its own verbs. */
import test from 'ava';
import type { Connection } from '../../actors/transport/types.js';
import { MemoryNetwork } from '../../actors/transport/memory.js';
import { eventually, record, type Recorder } from '../support/recorder.js';
import { transportConformance } from './transport.js';

/** Unlike the system's, these keep the process up: here nothing else does. */
const timers = {
  setTimer: (afterMs: number, run: () => void): unknown => setTimeout(run, afterMs),
  clearTimer: (timer: unknown): void => clearTimeout(timer as NodeJS.Timeout),
};

transportConformance('memory', async () => {
  const network = new MemoryNetwork({ timers });
  network.block('dialler', 'silent');
  return {
    transport: network.transport('dialler'),
    listenAddress: { host: '127.0.0.2', port: 0 },
    url: ({ host }) => `memory://${host}`,
    refusedUrl: 'memory://nobody',
    silentUrl: 'memory://silent',
    openThings: () => network.openConnections(),
    close: async () => undefined,
  };
});

const signal = new AbortController().signal;

interface Pair {
  readonly network: MemoryNetwork;
  readonly a: Connection;
  readonly b: Connection;
  readonly atA: Recorder;
  readonly atB: Recorder;
  dial(): Promise<Connection>;
}

const openPair = async (): Promise<Pair> => {
  const network = new MemoryNetwork({ timers });
  const accepting = new Promise<Connection>((resolve) => {
    void network.transport().listen({ host: 'b', port: 0 }, resolve);
  });
  const transport = network.transport('a');
  const dial = (): Promise<Connection> =>
    transport.dial('memory://b', { signal, timeoutMs: 1_000 });
  const a = await dial();
  const b = await accepting;
  return { network, a, b, atA: record(a), atB: record(b), dial };
};

test('each end sees the other under its name', async (t) => {
  const { a, b } = await openPair();
  t.is(a.remoteAddress, 'b');
  t.is(b.remoteAddress, 'a');
});

test('a node dials under the name it listens under, or under localAddress', async (t) => {
  const network = new MemoryNetwork({ timers });
  const seen: string[] = [];
  const accept = ({ remoteAddress }: Connection): void => void seen.push(remoteAddress);
  await network.transport().listen({ host: 'b', port: 0 }, accept);
  const node = network.transport();
  await node.dial('memory://b', { signal, timeoutMs: 1_000 });
  await node.listen({ host: 'c', port: 0 }, accept);
  await node.dial('memory://b', { signal, timeoutMs: 1_000 });
  await node.dial('memory://b', { signal, timeoutMs: 1_000, localAddress: 'd' });
  t.deepEqual(seen, ['unnamed-2', 'c', 'd']);
});

test('frames are not copied', async (t) => {
  const { a, atB } = await openPair();
  const frame = Buffer.alloc(8);
  a.send(frame);
  await eventually('the frame', () => atB.frames.length === 1);
  t.is(atB.frames[0]?.buffer, frame.buffer);
});

test('a cut closes both ends with 1006 and refuses dials until healed', async (t) => {
  const { network, a, atA, atB, dial } = await openPair();
  a.send(Buffer.from('lost'));
  network.cut('b', 'a');
  await eventually('closed', () => atA.closings.length + atB.closings.length === 2);
  t.deepEqual([atA.closings[0]?.code, atB.closings[0]?.code], [1006, 1006]);
  t.is(atB.frames.length, 0);
  await t.throwsAsync(dial(), { message: 'connect EHOSTUNREACH memory://b' });
  network.heal('a', 'b');
  t.is((await dial()).remoteAddress, 'b');
});

test('a cut leaves the links of others alone', async (t) => {
  const { network, a, atA, atB } = await openPair();
  network.cut('a', 'c');
  a.send(Buffer.from('frame'));
  await eventually('the frame', () => atB.frames.length === 1);
  t.is(atA.closings.length, 0);
});

test('a block holds frames in one direction until healed', async (t) => {
  const { network, a, b, atA, atB } = await openPair();
  network.block('a', 'b');
  a.send(Buffer.from('held'));
  b.send(Buffer.from('passes'));
  await eventually('the other direction', () => atA.frames.length === 1);
  t.is(atB.frames.length, 0);
  t.is(a.bufferedBytes(), 4);
  network.heal('a', 'b');
  await eventually('what was held', () => atB.frames.length === 1);
  t.is(a.bufferedBytes(), 0);
});

test('a dial across a block goes through when healed in time', async (t) => {
  const { network, dial } = await openPair();
  network.block('b', 'a');
  const dialling = dial();
  setImmediate(() => network.heal('a', 'b'));
  t.true((await dialling).dialled);
});

test('an end that goes behind a block is missed when the block is healed', async (t) => {
  const { network, a, atA, atB } = await openPair();
  network.block('a', 'b');
  a.terminate();
  await eventually('this end', () => atA.closings.length === 1);
  t.is(atB.closings.length, 0);
  network.heal('a', 'b');
  await eventually('the other end', () => atB.closings.length === 1);
  t.is(atB.closings[0]?.code, 1006);
  t.is(network.openConnections(), 0);
});
