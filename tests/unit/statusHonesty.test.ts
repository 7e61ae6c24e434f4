/** What cluster_status once got wrong, each in the smallest scene; found by scripts/statusHonesty.ts. */
import test from 'ava';
import { webSocketTransport } from '../../actors/transport/webSocket.js';
import type { Connection } from '../../actors/transport/types.js';
import { TICKS_PER_MILLISECOND } from '../../protocol/clock.js';
import { readCopyPace, stepCopyPace } from '../../protocol/copyPace.js';
import { nodeName, sequence, version } from '../../protocol/ids.js';
import {
  readStanding,
  startStanding,
  stepStanding,
  type Compared,
  type StreamStanding,
} from '../../protocol/standing.js';
import { openLinkProxy } from '../support/linkProxy.js';
import { settle } from '../support/manualEnvironment.js';
import { startPeers } from '../support/peerScene.js';
import { eventually, record } from '../support/recorder.js';
import { originNamed } from '../support/scenario.js';

const NOW = 1_000_000;

const at = (count: number, ms: number): NonNullable<Compared['held']> => ({
  sequence: sequence(count),
  version: version(ms * TICKS_PER_MILLISECOND),
});

/** Of one origin the other end has 20 entries, the newest written just now; here are 4, written 5 s ago. */
const burst = (isRelayed: boolean): Compared => ({
  origin: originNamed('b'),
  told: at(20, NOW),
  held: at(4, NOW - 5_000),
  isRelayed,
});

const read = (standing: StreamStanding): ReturnType<typeof readStanding> =>
  readStanding(standing, {
    nowMs: NOW,
    isLinked: true,
    silentMs: 0,
    silentMsMax: 1_000,
    copyMovedMs: null,
    partMovedMs: null,
  });

test('what a peer relays in one piece is as old as its first entry may be, not as its newest', (t) => {
  const level = stepStanding(startStanding(NOW - 9_000), { type: 'opened', places: [] }, NOW - 100);
  const told = (isRelayed: boolean): StreamStanding =>
    stepStanding(level, { type: 'compared', places: [burst(isRelayed)] }, NOW);
  t.like(read(told(true)), { state: 'CATCHING_UP', entriesBehind: 16, lagMs: 5_000 });
  t.like(read(told(false)), { state: 'HEALTHY', entriesBehind: 16, lagMs: 1 });
});

test('at the beginning of a stream too: that both ends were level says nothing of a third', (t) => {
  const level = stepStanding(startStanding(NOW - 9_000), { type: 'opened', places: [] }, NOW - 100);
  const reopened = (isRelayed: boolean): StreamStanding =>
    stepStanding(
      stepStanding(level, { type: 'closed' }, NOW - 100),
      { type: 'opened', places: [burst(isRelayed)] },
      NOW,
    );
  t.like(read(reopened(true)), { state: 'CATCHING_UP', lagMs: 5_000 });
  t.like(read(reopened(false)), { state: 'HEALTHY', lagMs: 100 });
});

test('what is missing of an unknown age is not HEALTHY, however young its newest is', (t) => {
  const opened = (told: number): StreamStanding =>
    stepStanding(
      startStanding(NOW),
      {
        type: 'opened',
        places: [{ origin: originNamed('b'), told: at(told, NOW), held: undefined }],
      },
      NOW,
    );
  t.like(read(opened(230)), { state: 'CATCHING_UP', entriesBehind: 230 });
  t.like(read(opened(1)), { state: 'HEALTHY', entriesBehind: 1 });
  const dated = {
    type: 'dated',
    origin: originNamed('b'),
    version: at(1, NOW - 300).version,
  } as const;
  t.like(read(stepStanding(opened(230), dated, NOW)), { state: 'HEALTHY', lagMs: 300 });
  const held = { origin: originNamed('b'), told: at(230, NOW), held: at(9, NOW - 7_000) };
  const moved = stepStanding(opened(230), { type: 'compared', places: [held] }, NOW);
  t.like(read(moved), { state: 'CATCHING_UP', lagMs: 7_000 });
});

test('a copy that went by unseen is complete', (t) => {
  t.is(readCopyPace(stepCopyPace(null, 'complete', NOW), NOW).percent, 100);
});

test('when a link is over, the last sign of life stays what it was', async (t) => {
  const scene = await startPeers(t);
  scene.peers.send({ type: 'peer.open', name: nodeName('b'), urls: [] });
  const end = await scene.dial('b');
  end.greet('p1');
  await settle();
  const heardMs = scene.environment.now();
  await scene.environment.advance(2_000);
  end.connection.terminate();
  await settle();
  t.like(await scene.status(), { connected: false, lastHeardMs: heardMs });
});

test('a link whose other end has said that it closes is not open, though its socket has not ended', async (t) => {
  const transport = webSocketTransport();
  const accepted: Connection[] = [];
  const listening = await transport.listen({ host: '127.0.0.2', port: 0 }, (connection) => {
    accepted.push(connection);
    record(connection);
  });
  const { port } = listening.address;
  const proxy = await openLinkProxy({ target: { host: '127.0.0.2', port } });
  t.teardown(async () => {
    await proxy.close();
    await listening.close();
  });
  const url = `ws://127.0.0.2:${proxy.address.port}`;
  const dialled = await transport.dial(url, {
    signal: new AbortController().signal,
    timeoutMs: 5_000,
  });
  const heard = record(dialled);
  await eventually('the link is there', () => accepted.length === 1);
  t.true(dialled.isOpen());
  proxy.half('toTarget');
  accepted[0]?.close(1011, 'nothing heard');
  t.false(accepted[0]?.isOpen());
  await eventually('the close has arrived', () => !dialled.isOpen(), 1_500);
  t.deepEqual(heard.closings, []);
});
