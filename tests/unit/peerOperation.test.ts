/** One operation between two nodes: asked and answered, refused, unanswered, withdrawn, malformed; in memory and over sockets. */
import { getEventListeners } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import type { Logger } from 'pino';
import { systemEnvironment } from '../../actors/environment.js';
import {
  callPeer,
  PeerRefused,
  PeerUnreachable,
  refuseOperation,
  servePeerOperation,
  type RunPeerOperation,
} from '../../actors/peerOperation.js';
import type { NodeResources } from '../../actors/resources.js';
import { MemoryNetwork } from '../../actors/transport/memory.js';
import { provenNames } from '../../actors/transport/proven.js';
import type { Connection, Transport } from '../../actors/transport/types.js';
import { webSocketTransport } from '../../actors/transport/webSocket.js';
import { SkeinError } from '../../protocol/errors.js';
import { nodeName } from '../../protocol/ids.js';
import { decodeControl, encodeControl, type ControlFrame } from '../../protocol/frames.js';
import { limits, MIB } from '../../protocol/limits.js';
import { createManualEnvironment, settle, until } from '../support/manualEnvironment.js';
import { openRawPeer } from '../support/rawPeer.js';
import { record, type Recorder } from '../support/recorder.js';
import { waitUntil } from '../support/waitUntil.js';

const A = { kind: 'address', name: 'a' };
const OPERATION = { operation: 'add_node_back', hostname: 'a' };

interface Scene {
  readonly environment: ReturnType<typeof createManualEnvironment>;
  readonly network: MemoryNetwork;
  readonly resources: NodeResources;
  readonly errors: unknown[];
  readonly log: Logger;
  /** What the other node accepts from now on is given to `accept`. */
  listen(accept: (connection: Connection) => void): Promise<void>;
  /** Asks node `b`. */
  call(more?: { authorization?: string; signal?: AbortSignal; url?: string }): Asked;
}

interface Asked {
  /** The answer or the error, when there is one. */
  outcome(): unknown;
  settled(): Promise<unknown>;
}

const asked = (call: Promise<unknown>): Asked => {
  let outcome: unknown;
  call.then(
    (answer) => (outcome = answer),
    (error: unknown) => (outcome = error),
  );
  return {
    outcome: () => outcome,
    settled: async () => {
      await until(() => outcome !== undefined, 'an outcome');
      return outcome;
    },
  };
};

const resourcesOf = (transport: Transport, environment: object, name = 'a'): NodeResources => {
  const config = { node: { name }, replication: { maxPayloadBytes: 4 * MIB } };
  return { transport, environment, config } as unknown as NodeResources;
};

const openScene = (): Scene => {
  const environment = createManualEnvironment();
  const network = new MemoryNetwork({ timers: environment });
  const resources = resourcesOf(network.transport('a'), environment);
  const errors: unknown[] = [];
  const log = { error: ({ err }: { err: unknown }) => errors.push(err) } as unknown as Logger;
  return {
    environment,
    network,
    resources,
    errors,
    log,
    listen: async (accept) => {
      await network.transport('b').listen({ host: 'b', port: 0 }, accept);
    },
    call: ({ signal = new AbortController().signal, url = 'memory://b', ...more } = {}) =>
      asked(
        callPeer({ resources, name: nodeName('b'), url, operation: OPERATION, signal, ...more }),
      ),
  };
};

/** Node `b` serves; how many of its operations are over. */
const serving = async (scene: Scene, run: RunPeerOperation): Promise<{ over: () => number }> => {
  let over = 0;
  await scene.listen((connection) => {
    void servePeerOperation(connection, run, scene).then(() => over++);
  });
  return { over: () => over };
};

/** Node `b` serves, and the test is the one that asks. */
const served = async (
  run: RunPeerOperation = async () => ({}),
): Promise<{ scene: Scene; end: Connection; heard: Recorder; over: () => number }> => {
  const scene = openScene();
  const { over } = await serving(scene, run);
  const options = { signal: new AbortController().signal, timeoutMs: 1_000 };
  const end = await scene.network
    .transport('a')
    .dial('memory://b', { ...options, purpose: 'operation' });
  return { scene, end, heard: record(end), over };
};

const operation = (more: object = {}): Buffer =>
  encodeControl({ kind: 'Operation', id: 7, operation: { operation: 'x', ...more } });

const nothingLeft = async (t: ExecutionContext, scene: Scene): Promise<void> => {
  await until(() => scene.network.openConnections() === 0, 'all connections have ended');
  await until(() => scene.environment.waiting() === 0, 'no timer is left');
  t.pass();
};

test('an operation is run once with what was sent and who sent it, and its answer comes back', async (t) => {
  const scene = openScene();
  const requests: unknown[] = [];
  const { over } = await serving(scene, async (request) => {
    requests.push(request);
    return { message: 'added', rows: [1, { deep: true }] };
  });
  const answer = await scene.call({ authorization: 'Basic YQ==' }).settled();
  t.deepEqual(answer, { message: 'added', rows: [1, { deep: true }] });
  t.deepEqual(requests, [
    { operation: OPERATION, authorization: 'Basic YQ==', proven: A, address: 'a' },
  ]);
  await nothingLeft(t, scene);
  t.is(over(), 1);
});

test('without authorization none is made up', async (t) => {
  const scene = openScene();
  const requests: object[] = [];
  await serving(scene, async (request) => {
    requests.push(request);
    return {};
  });
  t.deepEqual(await scene.call().settled(), {});
  t.deepEqual(requests, [{ operation: OPERATION, proven: A, address: 'a' }]);
});

test('nothing is left on a signal that outlives the question', async (t) => {
  const scene = openScene();
  await serving(scene, async () => ({}));
  const { signal } = new AbortController();
  for (let count = 0; count < 3; count++) await scene.call({ signal }).settled();
  t.is(getEventListeners(signal, 'abort').length, 0);
});

test('a refusal comes back with its code and message', async (t) => {
  const scene = openScene();
  await serving(scene, async () => {
    throw new SkeinError('FORBIDDEN', 'this needs a super user');
  });
  const error = await scene.call().settled();
  t.true(error instanceof PeerRefused);
  t.like(error, { code: 'FORBIDDEN', message: 'this needs a super user' });
  t.deepEqual(scene.errors, []);
  await nothingLeft(t, scene);
});

test('what a bug says stays in the log of the node that has it', async (t) => {
  const scene = openScene();
  await serving(scene, async () => {
    throw new Error('cannot read properties of undefined');
  });
  const error = await scene.call().settled();
  t.true(error instanceof PeerRefused);
  t.like(error, { code: 'INTERNAL', message: 'the operation failed' });
  t.like(scene.errors, [{ message: 'cannot read properties of undefined' }]);
});

test('an answer that cannot be sent is a failure, and a very long message is cut', async (t) => {
  const circle: Record<string, unknown> = {};
  circle['circle'] = circle;
  const unsendable = openScene();
  await serving(unsendable, async () => circle);
  t.like(await unsendable.call().settled(), { code: 'INTERNAL' });
  const wordy = openScene();
  await serving(wordy, async () => {
    throw new SkeinError('FORBIDDEN', 'x'.repeat(100_000));
  });
  const error = await wordy.call().settled();
  t.is(error instanceof PeerRefused ? error.message.length : 0, 10_000);
});

test('an answer may be as large as a frame of a link', async (t) => {
  const scene = openScene();
  const text = 'x'.repeat(3 * MIB);
  await serving(scene, async () => ({ text }));
  t.deepEqual(await scene.call().settled(), { text });
});

test('a node that cannot be dialled is not reached', async (t) => {
  const scene = openScene();
  const error = await scene.call().settled();
  t.true(error instanceof PeerUnreachable);
  t.like(error, { message: 'connect ECONNREFUSED memory://b' });
  t.is(scene.environment.waiting(), 0);
});

for (const [what, accept, message] of [
  [
    'closes the connection',
    (connection: Connection) => refuseOperation(connection, 'too many operations'),
    'closed before an answer: too many operations',
  ],
  [
    'ends the connection without a word',
    (connection: Connection) => connection.terminate(),
    'closed before an answer: code 1006',
  ],
  [
    'answers another question',
    (connection: Connection) =>
      answering(connection, { kind: 'OperationResult', id: 2, answer: {} }),
    'expected the answer, received OperationResult',
  ],
  [
    'answers with a greeting of a link',
    (connection: Connection) => answering(connection, { kind: 'Ping', id: 1 }),
    'expected the answer, received Ping',
  ],
  [
    'answers with nothing',
    (connection: Connection) => answering(connection, { kind: 'OperationResult', id: 1 }),
    'the answer is empty',
  ],
  [
    'answers with what is no frame',
    (connection: Connection) => answering(connection, Buffer.of(99)),
    'Unknown frame kind 99',
  ],
] as const)
  test(`a node that ${what} is not reached, and the reason is told`, async (t) => {
    const scene = openScene();
    await scene.listen(accept);
    const error = await scene.call().settled();
    t.true(error instanceof PeerUnreachable);
    t.is((error as Error).message, message);
    await nothingLeft(t, scene);
  });

const answering = (connection: Connection, answer: ControlFrame | Buffer): void => {
  const bytes = Buffer.isBuffer(answer) ? answer : encodeControl(answer);
  connection.start({
    frame: () => connection.send(bytes),
    closed: () => undefined,
    drained: () => undefined,
  });
};

test('a node that does not answer is given up at the end of the time', async (t) => {
  const scene = openScene();
  const accepted: Recorder[] = [];
  await scene.listen((connection) => accepted.push(record(connection)));
  const call = scene.call();
  await scene.environment.advance(limits.peerOperationMsMax - 1);
  t.is(call.outcome(), undefined);
  await scene.environment.advance(1);
  t.like(await call.settled(), {
    name: 'PeerUnreachable',
    message: `no answer within ${limits.peerOperationMsMax} ms`,
  });
  await nothingLeft(t, scene);
  t.is(accepted[0]?.closings[0]?.code, 1011);
});

test('a question can be withdrawn before and after it was sent', async (t) => {
  for (const wait of [false, true]) {
    const scene = openScene();
    const controller = new AbortController();
    await scene.listen((connection) => void record(connection));
    const call = scene.call({ signal: controller.signal });
    if (wait) await settle();
    controller.abort();
    const error = await call.settled();
    t.true(error instanceof PeerUnreachable);
    t.regex((error as Error).message, /given up|withdrawn/);
    await nothingLeft(t, scene);
  }
});

test('a question longer than a greeting may be is not taken', async (t) => {
  const { scene, end, heard, over } = await served();
  end.send(operation({ text: 'x'.repeat(limits.greetingBytesMax) }));
  await until(() => heard.closings.length > 0, 'the close');
  t.is(heard.closings[0]?.code, 1009);
  await nothingLeft(t, scene);
  t.is(over(), 1);
});

for (const [what, bytes, reason] of [
  [
    'a frame of a link',
    encodeControl({ kind: 'Ping', id: 1 }),
    /^expected Operation first, received Ping$/,
  ],
  ['a data frame', Buffer.alloc(40, 32), /^Unknown frame kind 32$/],
  ['an empty message', Buffer.alloc(0), /empty frame/],
  ['an operation without content', Buffer.of(18, 0x80), /^Operation frame: /],
] as const)
  test(`${what} in place of an operation closes the connection with a reason`, async (t) => {
    let runs = 0;
    const { scene, end, heard, over } = await served(async () => ({ runs: runs++ }));
    end.send(bytes);
    await until(() => heard.closings.length > 0, 'the close');
    t.is(heard.closings[0]?.code, 1008);
    t.regex(heard.closings[0]?.reason ?? '', reason);
    await nothingLeft(t, scene);
    t.deepEqual([runs, over()], [0, 1]);
  });

test('a second frame closes the connection, and the answer to the first is not sent', async (t) => {
  let finish: (answer: object) => void = () => undefined;
  const { scene, end, heard, over } = await served(
    () => new Promise((resolve) => (finish = resolve as typeof finish)),
  );
  end.send(operation());
  end.send(operation());
  await until(() => heard.closings.length > 0, 'the close');
  t.deepEqual(heard.closings, [{ code: 1008, reason: 'one operation per connection' }]);
  t.is(over(), 0, 'what runs is waited for');
  finish({});
  await until(() => over() === 1, 'the end');
  t.is(heard.frames.length, 0);
  await nothingLeft(t, scene);
});

test('a connection that says nothing is closed after the time for a greeting', async (t) => {
  const { scene, heard, over } = await served();
  await scene.environment.advance(limits.greetingMsMax - 1);
  t.is(heard.closings.length, 0);
  await scene.environment.advance(1);
  t.deepEqual(heard.closings, [
    { code: 1011, reason: `no operation within ${limits.greetingMsMax} ms` },
  ]);
  t.is(over(), 1);
  await nothingLeft(t, scene);
});

test('an operation that does not end is over at the end of the time, counted from the first moment', async (t) => {
  const { scene, end, heard, over } = await served(() => new Promise(() => undefined));
  await scene.environment.advance(limits.greetingMsMax - 1);
  end.send(operation());
  await scene.environment.advance(limits.peerOperationMsMax - limits.greetingMsMax);
  t.is(over(), 0);
  await scene.environment.advance(1);
  t.is(over(), 1);
  t.deepEqual(heard.closings, [
    { code: 1011, reason: `no answer within ${limits.peerOperationMsMax} ms` },
  ]);
  await nothingLeft(t, scene);
});

test('who asks and leaves is not answered, and the operation is waited for', async (t) => {
  let finish: (answer: object) => void = () => undefined;
  const { scene, end, over } = await served(
    () => new Promise((resolve) => (finish = resolve as typeof finish)),
  );
  end.send(operation());
  await settle();
  end.terminate();
  await settle();
  t.is(over(), 0);
  finish({});
  await until(() => over() === 1, 'the end');
  await nothingLeft(t, scene);
});

test('over sockets: the asker is known by the address it dials from, and both ends close', async (t) => {
  const environment = systemEnvironment();
  const froms: string[] = [];
  const accepted: Connection[] = [];
  let over = 0;
  const log = { error: (fields: object) => t.log(fields) } as unknown as Logger;
  const transport = webSocketTransport();
  const listening = await transport.listen({ host: '127.0.0.2', port: 0 }, (connection) => {
    accepted.push(connection);
    const run: RunPeerOperation = async ({ operation: { text }, proven }) => {
      froms.push(...provenNames(proven));
      if (text === undefined) throw new SkeinError('FORBIDDEN', 'no text');
      return { text: String(text).repeat(100) };
    };
    void servePeerOperation(connection, run, { environment, log }).then(() => over++);
  });
  t.teardown(() => listening.close());
  const url = `ws://127.0.0.2:${listening.address.port}`;
  const resources = resourcesOf(transport, environment, '127.0.0.3');
  const call = (sent: Record<string, unknown>): Promise<unknown> =>
    callPeer({
      resources,
      name: nodeName('b'),
      url,
      operation: sent,
      signal: AbortSignal.timeout(10_000),
    });
  t.deepEqual(await call({ text: 'x'.repeat(10_000) }), { text: 'x'.repeat(1_000_000) });
  await t.throwsAsync(call({}), { instanceOf: PeerRefused, message: 'no text', code: 'FORBIDDEN' });
  await t.throwsAsync(call({ text: 'x'.repeat(limits.greetingBytesMax) }), {
    instanceOf: PeerUnreachable,
    message: /closed before an answer: .*(?:size|1009)/,
  });
  const raw = await openRawPeer(url, { subprotocols: ['skein.operation.v1'] });
  raw.send(operation({ text: 'y' }));
  t.like(decodeControl(await raw.next()), { id: 7, answer: { text: 'y'.repeat(100) } });
  t.deepEqual(await raw.closed, { code: 1000, reason: 'answered' });
  t.deepEqual(froms, ['127.0.0.3', '127.0.0.3', '127.0.0.1']);
  t.deepEqual(
    accepted.map(({ purpose }) => purpose),
    ['operation', 'operation', 'operation', 'operation'],
  );
  await waitUntil('all operations to be over', () => over === 4);
});
