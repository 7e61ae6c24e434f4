/**
 * What every transport keeps to, as a suite: `transportConformance(name, openStage)` registers the
 * tests. Run by transportWebSocket.test.ts and transportMemory.test.ts; a third transport adds its own.
 */
import test, { type ExecutionContext } from 'ava';
import type {
  Connection,
  ListeningSocket,
  Purpose,
  Transport,
} from '../../actors/transport/types.js';
import type { ListenAddress } from '../../config/types.js';
import { CLOSE_REASON_BYTES_MAX, limits, MIB } from '../../protocol/limits.js';
import { eventually, record, type Recorder } from '../support/recorder.js';

/** One fresh network for one test. */
export interface TransportStage {
  readonly transport: Transport;
  readonly listenAddress: ListenAddress;
  url(address: ListenAddress): string;
  /** Where nobody listens. */
  readonly refusedUrl: string;
  /** Where a dial gets no answer at all. */
  readonly silentUrl: string;
  /** Everything the transport still holds open in this process. */
  openThings(): number;
  close(): Promise<void>;
}

export interface Link {
  readonly dialler: Connection;
  readonly acceptor: Connection;
}

interface Links {
  /** One more link, all on the same listener. */
  link(purpose?: Purpose): Promise<Link>;
  stopListening(): Promise<void>;
  terminateAll(): void;
}

type Scene = (t: ExecutionContext, links: Links, stage: TransportStage) => Promise<void>;

const DIAL_MS_MAX = 10_000;

export const transportConformance = (
  name: string,
  openStage: () => Promise<TransportStage>,
): void => {
  const scene = (title: string, play: Scene): void => {
    test.serial(`${name}: ${title}`, async (t) => {
      const stage = await openStage();
      const links = linksOn(stage);
      try {
        await play(t, links, stage);
      } finally {
        links.terminateAll();
        await links.stopListening();
        await stage.close();
      }
    });
  };
  framesScenes(scene);
  closingScenes(scene);
  dialScenes(scene);
  leftoverScenes(scene);
};

type RegisterScene = (title: string, play: Scene) => void;

const framesScenes = (scene: RegisterScene): void => {
  scene('frames arrive in order, both ways', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    const [atDialler, atAcceptor] = [record(dialler), record(acceptor)];
    for (let index = 0; index < 500; index += 1) {
      dialler.send(numbered(index));
      acceptor.send(numbered(index + 1000));
    }
    await eventually(
      'all frames',
      () => atDialler.frames.length + atAcceptor.frames.length === 1000,
    );
    t.deepEqual(numbersOf(atAcceptor), range(0, 500));
    t.deepEqual(numbersOf(atDialler), range(1000, 1500));
  });

  scene('a frame of 4 MiB arrives whole once large frames are accepted', async (t, links) => {
    await eachWay(links, async (from, to) => {
      const receiver = record(to);
      to.acceptFrames(limits.frameBytesMax);
      const frame = Buffer.alloc(limits.frameBytesMax, 'skein');
      from.send(frame);
      await eventually('the frame', () => receiver.frames.length === 1);
      t.true(receiver.frames[0]?.equals(frame));
    });
  });

  scene('a frame arrives as a Buffer, an empty one too', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    const receiver = record(acceptor);
    dialler.send(new Uint8Array([7, 8, 9]).subarray(1));
    dialler.send(new Uint8Array(0));
    await eventually('two frames', () => receiver.frames.length === 2);
    t.deepEqual(receiver.frames, [Buffer.from([8, 9]), Buffer.alloc(0)]);
  });

  scene('frames that arrive before start wait for it', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    record(dialler);
    for (let index = 0; index < 20; index += 1) dialler.send(numbered(index));
    await turns(20);
    const receiver = record(acceptor);
    t.is(receiver.frames.length, 0, 'nothing is delivered from within start');
    await eventually('all frames', () => receiver.frames.length === 20);
    t.deepEqual(numbersOf(receiver), range(0, 20));
  });

  scene('an end that is not started takes nothing from the sender', async (t, links) => {
    const { dialler } = await links.link();
    record(dialler);
    for (let sent = 0; sent < 400; sent += 1) dialler.send(Buffer.alloc(limits.greetingBytesMax));
    await turns(100);
    t.true(dialler.bufferedBytes() > limits.socketBufferedBytesMax);
  });

  scene('a paused receiver gets nothing, and all of it in order after resume', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    const frames: number[] = [];
    acceptor.start({
      frame: (bytes) => {
        frames.push(bytes.readUInt32BE());
        if (frames.length === 3) acceptor.pause();
      },
      closed: () => undefined,
      drained: () => undefined,
    });
    for (let index = 0; index < 50; index += 1) dialler.send(numbered(index));
    await eventually('three frames', () => frames.length >= 3);
    await turns(50);
    t.deepEqual(frames, [0, 1, 2]);
    acceptor.resume();
    await eventually('the others', () => frames.length >= 50);
    t.deepEqual(frames, range(0, 50));
  });

  scene(
    'a sender sees what a paused receiver does not take, and is told when it drains',
    async (t, links) => {
      await eachWay(links, async (from, to) => {
        const [sender, receiver] = [record(from), record(to)];
        to.acceptFrames(limits.frameBytesMax);
        to.pause();
        for (let sent = 0; sent < 24; sent += 1) from.send(Buffer.alloc(MIB));
        t.true(from.bufferedBytes() > limits.socketBufferedBytesMax);
        await turns(50);
        t.true(
          from.bufferedBytes() > limits.socketBufferedBytesMax,
          'it stays while nothing is read',
        );
        t.is(sender.drains, 0);
        to.resume();
        await eventually('drained', () => sender.drains > 0);
        await eventually('all frames', () => receiver.frames.length === 24);
        t.is(sender.drains, 1);
        t.is(from.bufferedBytes(), 0);
      });
    },
  );

  scene('a frame above the limit closes both ends with 1009', async (t, links) => {
    await eachWay(links, (from, to) =>
      refusesAbove(t, { from, to, bytesMax: limits.greetingBytesMax }),
    );
  });

  scene('a raised limit is a limit too', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    acceptor.acceptFrames(MIB);
    await refusesAbove(t, { from: dialler, to: acceptor, bytesMax: MIB });
  });
};

const refusesAbove = async (
  t: ExecutionContext,
  way: { from: Connection; to: Connection; bytesMax: number },
): Promise<void> => {
  const [sender, receiver] = [record(way.from), record(way.to)];
  way.from.send(Buffer.alloc(way.bytesMax));
  way.from.send(Buffer.alloc(way.bytesMax + 1));
  way.from.send(Buffer.alloc(1));
  await eventually('both ends closed', () => closingsOf(sender, receiver) === 2);
  t.is(
    receiver.frames.length,
    1,
    'the largest that is allowed, and nothing after the one that is not',
  );
  t.is(sender.closings[0]?.code, 1009);
  t.is(receiver.closings[0]?.code, 1009);
  t.not(receiver.closings[0]?.reason, '');
};

const closingScenes = (scene: RegisterScene): void => {
  scene('code and reason reach the other end, whoever closes', async (t, links) => {
    await eachWay(links, async (closer, other) => {
      const [atCloser, atOther] = [record(closer), record(other)];
      closer.send(numbered(1));
      closer.close(1008, 'no hdb_nodes entry for 127.0.0.9');
      await eventually('both ends closed', () => closingsOf(atCloser, atOther) === 2);
      t.deepEqual(numbersOf(atOther), [1], 'what was sent before the close arrives');
      const closed = { code: 1008, reason: 'no hdb_nodes entry for 127.0.0.9' };
      t.deepEqual(atOther.closings, [closed]);
      t.deepEqual(atCloser.closings, [closed]);
    });
  });

  scene('a reason is cut to 123 bytes without breaking a character', async (t, links) => {
    for (const character of ['x', 'ß', '縒', '🧶']) {
      const { dialler, acceptor } = await links.link();
      const [, atAcceptor] = [record(dialler), record(acceptor)];
      dialler.close(1011, `a${character.repeat(400)}`);
      await eventually('closed', () => atAcceptor.closings.length === 1);
      const reason = atAcceptor.closings[0]?.reason ?? '';
      const whole = Math.floor((CLOSE_REASON_BYTES_MAX - 1) / Buffer.byteLength(character));
      t.is(reason, `a${character.repeat(whole)}`);
    }
  });

  scene('terminate ends both ends with 1006', async (t, links) => {
    await eachWay(links, async (from, to) => {
      const [here, there] = [record(from), record(to)];
      from.terminate();
      t.is(here.closings.length, 0, 'nothing is told from within terminate');
      await eventually('both ends closed', () => closingsOf(here, there) === 2);
      t.is(here.closings[0]?.code, 1006);
      t.is(there.closings[0]?.code, 1006);
    });
  });

  scene('closed is told once, however often and from wherever one closes', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    const [atDialler, atAcceptor] = [record(dialler), record(acceptor)];
    dialler.close(1000, 'first');
    acceptor.close(1000, 'first');
    dialler.close(1001, 'second');
    await eventually('both ends closed', () => closingsOf(atDialler, atAcceptor) === 2);
    for (const end of [dialler, acceptor]) {
      end.terminate();
      end.close(1001, 'third');
      end.pause();
      end.resume();
    }
    await turns(50);
    t.deepEqual(atDialler.closings, [{ code: 1000, reason: 'first' }]);
    t.deepEqual(atAcceptor.closings, [{ code: 1000, reason: 'first' }]);
  });

  scene('sending after close is ignored', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    const [atDialler, atAcceptor] = [record(dialler), record(acceptor)];
    dialler.close(1000, '');
    dialler.send(numbered(1));
    await eventually('both ends closed', () => closingsOf(atDialler, atAcceptor) === 2);
    dialler.send(numbered(2));
    acceptor.send(numbered(3));
    await turns(20);
    t.is(atAcceptor.frames.length + atDialler.frames.length, 0);
    t.is(dialler.bufferedBytes() + acceptor.bufferedBytes(), 0);
  });

  scene('frames are dropped at the end that has closed', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    const [atDialler, atAcceptor] = [record(dialler), record(acceptor)];
    for (let index = 0; index < 100; index += 1) acceptor.send(numbered(index));
    dialler.close(1000, '');
    await eventually('both ends closed', () => closingsOf(atDialler, atAcceptor) === 2);
    t.is(atDialler.frames.length, 0);
    t.is(atDialler.closings[0]?.code, 1000);
  });

  scene('a peer that does not answer the close is cut off after 2 s', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    const [atDialler] = [record(dialler), record(acceptor)];
    acceptor.pause();
    const before = Date.now();
    dialler.close(1000, 'bye');
    await eventually('closed', () => atDialler.closings.length === 1);
    t.deepEqual(atDialler.closings, [{ code: 1006, reason: 'the close was not answered' }]);
    t.true(Date.now() - before > 1_500);
  });

  scene('an end closed before start is told so on start', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    const atDialler = record(dialler);
    acceptor.close(1008, 'unknown');
    await eventually('closed', () => atDialler.closings.length === 1);
    t.deepEqual(atDialler.closings, [{ code: 1008, reason: 'unknown' }]);
    const atAcceptor = record(acceptor);
    await eventually('closed', () => atAcceptor.closings.length === 1);
    t.deepEqual(atAcceptor.closings, [{ code: 1008, reason: 'unknown' }]);
  });
};

const dialScenes = (scene: RegisterScene): void => {
  scene('a dial where nobody listens is refused with a reason', async (t, _links, stage) => {
    await t.throwsAsync(dial(stage, stage.refusedUrl), { message: /ECONNREFUSED/ });
  });

  scene('a dial without an answer ends at its timeout', async (t, _links, stage) => {
    const dialling = stage.transport.dial(stage.silentUrl, {
      signal: new AbortController().signal,
      timeoutMs: 100,
    });
    await t.throwsAsync(dialling, { message: /took longer than 100 ms/ });
  });

  scene('a dial ends when its signal aborts, at once when it has', async (t, _links, stage) => {
    const controller = new AbortController();
    const options = { signal: controller.signal, timeoutMs: DIAL_MS_MAX };
    const dialling = stage.transport.dial(stage.silentUrl, options);
    setImmediate(() => controller.abort());
    await t.throwsAsync(dialling, { message: /given up/ });
    await t.throwsAsync(stage.transport.dial(stage.silentUrl, options), { message: /given up/ });
  });

  scene('a URL that cannot be dialled is refused with a reason', async (t, _links, stage) => {
    await t.throwsAsync(dial(stage, 'nonsense'), { message: /nonsense/ });
    await t.throwsAsync(dial(stage, 'ftp://127.0.0.1'), { message: /ftp:/ });
  });

  scene('an address in use is refused by name', async (t, _links, stage) => {
    const first = await stage.transport.listen(stage.listenAddress, () => undefined);
    const again = stage.transport.listen(first.address, () => undefined);
    await t.throwsAsync(again, { name: 'SkeinError', message: /in use/ });
    await first.close();
    const second = await stage.transport.listen(first.address, () => undefined);
    await second.close();
  });

  scene('a closed listener refuses dials; the links it made live on', async (t, links, stage) => {
    const listening = await stage.transport.listen(stage.listenAddress, () => undefined);
    const url = stage.url(listening.address);
    await listening.close();
    await listening.close();
    await t.throwsAsync(dial(stage, url), { message: /ECONNREFUSED/ });
    const { dialler, acceptor } = await links.link();
    await links.stopListening();
    const receiver = record(acceptor);
    dialler.send(numbered(5));
    await eventually('the frame', () => receiver.frames.length === 1);
    t.deepEqual(numbersOf(receiver), [5]);
  });

  scene('each end knows which end it is', async (t, links) => {
    const { dialler, acceptor } = await links.link();
    t.true(dialler.dialled);
    t.false(acceptor.dialled);
  });

  scene('both ends know what the dialling side said it is for', async (t, links) => {
    const unsaid = await links.link();
    t.deepEqual([unsaid.dialler.purpose, unsaid.acceptor.purpose], ['replication', 'replication']);
    for (const purpose of ['replication', 'operation'] as const) {
      const { dialler, acceptor } = await links.link(purpose);
      t.deepEqual([dialler.purpose, acceptor.purpose], [purpose, purpose]);
    }
  });

  scene('a connection for an operation carries frames as a link does', async (t, links) => {
    const { dialler, acceptor } = await links.link('operation');
    const [atDialler, atAcceptor] = [record(dialler), record(acceptor)];
    dialler.send(numbered(1));
    acceptor.send(numbered(2));
    await eventually('both', () => atDialler.frames.length + atAcceptor.frames.length === 2);
    t.deepEqual([numbersOf(atAcceptor), numbersOf(atDialler)], [[1], [2]]);
  });
};

const leftoverScenes = (scene: RegisterScene): void => {
  scene('a thousand connects and terminates leave nothing open', async (t, _links, stage) => {
    const before = stage.openThings();
    const accepted: Recorder[] = [];
    const listening = await stage.transport.listen(stage.listenAddress, (connection) => {
      accepted.push(record(connection));
    });
    const url = stage.url(listening.address);
    for (let batch = 0; batch < 50; batch += 1) {
      const diallers = await Promise.all(range(0, 20).map(() => dial(stage, url)));
      for (const dialler of diallers) dialler.terminate();
    }
    await eventually('every end told', () => closingsOf(...accepted) === 1000);
    await listening.close();
    await eventually('nothing left', () => stage.openThings() <= before);
    t.is(accepted.length, 1000);
  });
};

// ---- links and what they carry

const linksOn = (stage: TransportStage): Links => {
  const ends: Connection[] = [];
  const waiting: ((connection: Connection) => void)[] = [];
  let listening: ListeningSocket | undefined;
  return {
    link: async (purpose) => {
      listening ??= await stage.transport.listen(stage.listenAddress, (end) =>
        waiting.shift()?.(end),
      );
      const accepting = new Promise<Connection>((resolve) => void waiting.push(resolve));
      const dialler = await dial(stage, stage.url(listening.address), purpose);
      const acceptor = await accepting;
      ends.push(dialler, acceptor);
      return { dialler, acceptor };
    },
    stopListening: async () => listening?.close(),
    terminateAll: () => ends.forEach((end) => end.terminate()),
  };
};

const dial = (stage: TransportStage, url: string, purpose?: Purpose): Promise<Connection> =>
  stage.transport.dial(url, {
    signal: new AbortController().signal,
    timeoutMs: DIAL_MS_MAX,
    ...(purpose !== undefined && { purpose }),
  });

/** Once from the dialling to the accepting end and once back, on a link of its own each. */
const eachWay = async (
  links: Links,
  play: (from: Connection, to: Connection) => Promise<void>,
): Promise<void> => {
  const there = await links.link();
  await play(there.dialler, there.acceptor);
  const back = await links.link();
  await play(back.acceptor, back.dialler);
};

const numbered = (index: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(index);
  return bytes;
};

const numbersOf = (recorder: Recorder): number[] =>
  recorder.frames.map((frame) => frame.readUInt32BE());

const closingsOf = (...recorders: Recorder[]): number =>
  recorders.reduce((sum, recorder) => sum + recorder.closings.length, 0);

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

/** Turns of the event loop: long enough for what would be wrong to happen. */
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 1));
};
