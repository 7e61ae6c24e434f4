/**
 * One process of the bare pipeline: the origin, the replica, or LevelDB alone. Forked by bare.ts, which sends
 * one task; ends when its parent disconnects. As lean as it can be and still do the whole work: it is what
 * Skein is measured against.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import msgpack from 'msgpack-lite';
import { WebSocket, WebSocketServer } from 'ws';
import { encodeRecord } from '../../protocol/codec.js';
import type { BareFinished, BareReport, BareTask, Encoding } from './bareMessages.js';
import { benchDocuments } from './bareRecords.js';
import type { BenchDocument } from './bareRecords.js';
import {
  checkContents,
  EntryBuilder,
  openDatabase,
  putEntry,
  ROWS_PER_BATCH,
  writeBatch,
} from './bareStore.js';
import type { Batch, Database } from './bareStore.js';

const FRAME_BYTES = 64 * 1024;
const SOCKET_BUFFERED_BYTES_MAX = 1024 * 1024;
const UNWRITTEN_ENTRIES_MAX = 8;
/** Documents are made before the clock starts and used again and again under other keys. */
const DOCUMENTS = 10_000;

type Task<Role> = Extract<BareTask, { role: Role }>;
type Encode = (index: number) => Uint8Array;

const report = (message: BareReport): void => {
  process.send?.(message);
};

/** Starts the clocks; the returned function stops them. */
function startMeasuring(): () => Omit<BareFinished, 'type' | 'bytes'> {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  return () => {
    const cpu = process.cpuUsage(cpuBefore);
    return { elapsedMs: performance.now() - startedAt, cpuMicroseconds: cpu.user + cpu.system };
  };
}

async function runOrigin(task: Task<'origin'>): Promise<void> {
  const encode = encoderOf(task.encoding, benchDocuments(DOCUMENTS));
  const database = await openDatabase(task.folder);
  const socket = new WebSocket(`ws://127.0.0.1:${task.port}`, { perMessageDeflate: false });
  await once(socket, 'open');
  const stop = startMeasuring();
  const bytes = await writeAndSend({ task, database, socket, encode });
  const measured = stop();
  await checkContents(database, task.records);
  socket.close();
  await database.close();
  report({ type: 'finished', ...measured, bytes });
}

/** Resolves when both ends have written everything, with the bytes of all entries. */
async function writeAndSend(pipeline: {
  readonly task: Task<'origin'>;
  readonly database: Database;
  readonly socket: WebSocket;
  readonly encode: Encode;
}): Promise<number> {
  const { task, database, socket, encode } = pipeline;
  const acknowledged = once(socket, 'message');
  let bytes = 0;
  let underWay: Promise<void> = Promise.resolve();
  for (let first = 0, sequence = 1; first < task.records; first += ROWS_PER_BATCH, sequence += 1) {
    const entry = entryOf(first, Math.min(first + ROWS_PER_BATCH, task.records), encode);
    const batch = database.batch();
    putEntry(batch, entry, sequence);
    bytes += entry.length;
    await underWay;
    underWay = writeThenSend(batch, entry, { sync: task.sync, socket });
  }
  await underWay;
  const [answer] = (await acknowledged) as [Buffer];
  const written = answer.readUInt32BE(0);
  if (written !== task.records) throw new Error(`the replica wrote ${written} rows`);
  return bytes;
}

function entryOf(first: number, end: number, encode: Encode): Buffer {
  const builder = new EntryBuilder();
  for (let id = first; id < end; id += 1) builder.add(id, encode(id % DOCUMENTS));
  return builder.finish();
}

/** Sends only what is written; waits while the socket holds much that the system has not taken. */
async function writeThenSend(
  batch: Batch,
  entry: Buffer,
  to: { readonly sync: boolean; readonly socket: WebSocket },
): Promise<void> {
  await writeBatch(batch, to.sync);
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(entry.length, 0);
  to.socket.send(length);
  for (let at = 0; at < entry.length; at += FRAME_BYTES) {
    const frame = entry.subarray(at, at + FRAME_BYTES);
    if (to.socket.bufferedAmount < SOCKET_BUFFERED_BYTES_MAX) to.socket.send(frame);
    else await new Promise<void>((resolve) => to.socket.send(frame, () => resolve()));
  }
}

/** What @types/msgpack-lite leaves out: an encoder that keeps its block of memory between values. */
interface BlockEncoder {
  write(value: unknown): void;
  read(): Buffer;
}

/** The fastest honest way to the bytes; ready-made ones are encoded before the clock starts. */
function encoderOf(encoding: Encoding, documents: readonly BenchDocument[]): Encode {
  const { Encoder } = msgpack as unknown as { Encoder: new (options: object) => BlockEncoder };
  const encoder = new Encoder({ codec: msgpack.createCodec({ preset: false }) });
  if (encoding === 'codec') return (index) => encodeRecord(documents[index]);
  const plain: Encode = (index) => {
    encoder.write(documents[index]);
    return encoder.read();
  };
  if (encoding === 'plain') return plain;
  const made = documents.map((_, index) => Buffer.from(plain(index)));
  return (index) => made[index] ?? Buffer.alloc(0);
}

async function runReplica(task: Task<'replica'>): Promise<void> {
  const database = await openDatabase(task.folder);
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await once(server, 'listening');
  report({ type: 'listening', port: (server.address() as AddressInfo).port });
  const [socket] = (await once(server, 'connection')) as [WebSocket];
  const closed = once(socket, 'close');
  const stop = startMeasuring();
  const bytes = await receiveAndWrite(socket, database, task);
  const measured = stop();
  await checkContents(database, task.records);
  await closed;
  server.close();
  await database.close();
  report({ type: 'finished', ...measured, bytes });
}

/** Resolves when everything is written and the acknowledgement is sent, with the bytes of all entries. */
function receiveAndWrite(
  socket: WebSocket,
  database: Database,
  task: Task<'replica'>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const collector = new EntryCollector();
    let rows = 0;
    let sequence = 0;
    let bytes = 0;
    let unwritten = 0;
    let underWay: Promise<void> = Promise.resolve();
    const written = (): void => {
      unwritten -= 1;
      if (socket.isPaused) socket.resume();
      if (unwritten > 0 || rows < task.records) return;
      const answer = Buffer.allocUnsafe(4);
      answer.writeUInt32BE(rows, 0);
      socket.send(answer, () => resolve(bytes));
    };
    socket.on('message', (frame: Buffer) => {
      const entry = collector.add(frame);
      if (entry === undefined) return;
      const batch = database.batch();
      rows += putEntry(batch, entry, (sequence += 1));
      bytes += entry.length;
      unwritten += 1;
      if (unwritten >= UNWRITTEN_ENTRIES_MAX) socket.pause();
      underWay = underWay.then(() => writeBatch(batch, task.sync)).then(written);
      underWay.catch(reject);
    });
  });
}

/** Puts frames together to entries: a length alone in a frame, then the frames of that entry. */
class EntryCollector {
  #entry: Buffer | undefined;
  #filled = 0;

  /** The whole entry when this frame was its last. */
  add(frame: Buffer): Buffer | undefined {
    if (this.#entry === undefined) {
      this.#entry = Buffer.allocUnsafe(frame.readUInt32BE(0));
      this.#filled = 0;
      return undefined;
    }
    frame.copy(this.#entry, this.#filled);
    this.#filled += frame.length;
    if (this.#filled < this.#entry.length) return undefined;
    const whole = this.#entry;
    this.#entry = undefined;
    return whole;
  }
}

/** The same batches of ready-made bytes, written one after the other as fast as LevelDB takes them. */
async function runLevel(task: Task<'level'>): Promise<void> {
  const encode = encoderOf('readyMade', benchDocuments(DOCUMENTS));
  const database = await openDatabase(task.folder);
  const begin = once(process, 'message');
  report({ type: 'prepared' });
  await begin;
  const stop = startMeasuring();
  let bytes = 0;
  let underWay: Promise<void> = Promise.resolve();
  for (let first = 0, sequence = 1; first < task.records; first += ROWS_PER_BATCH, sequence += 1) {
    const entry = entryOf(first, Math.min(first + ROWS_PER_BATCH, task.records), encode);
    const batch = database.batch();
    putEntry(batch, entry, sequence);
    bytes += entry.length;
    await underWay;
    underWay = writeBatch(batch, task.sync);
  }
  await underWay;
  const measured = stop();
  await checkContents(database, task.records);
  await database.close();
  report({ type: 'finished', ...measured, bytes });
}

async function main(): Promise<void> {
  const [task] = (await once(process, 'message')) as [BareTask];
  if (task.role === 'origin') await runOrigin(task);
  else if (task.role === 'replica') await runReplica(task);
  else await runLevel(task);
}

await main();
