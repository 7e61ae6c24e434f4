/**
 * One Skein node of the bench in a process of its own, told by IPC what to do. Started by skein.ts; lives until its
 * parent ends it. Uses the embed API as any service would.
 */
import { startNode, type Node } from '../../index.js';
import type { ActorRef } from '../../actors/kernel/types.js';
import type { DatabaseStatus, RouterMessage } from '../../actors/messages.js';
import { benchDocuments } from './bareRecords.js';
import type { SkeinOrder, SkeinReport } from './skeinMessages.js';

/** Transactions under way at once, as a client with a small pool would have. */
const IN_FLIGHT = 4;

let node: Node | null = null;

process.on('message', (order: SkeinOrder) => {
  carryOut(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.send?.({ type: 'failed', reason: String(error) } satisfies SkeinReport);
    },
  );
});

/** A bench that failed leaves no node behind. */
process.on('disconnect', () => process.exit());

const carryOut = async (order: SkeinOrder): Promise<SkeinReport> => {
  switch (order.type) {
    case 'start':
      return start(order);
    case 'ingest':
      return ingest(order);
    case 'await':
      return awaitSequence(order.node, order.sequence);
    case 'awaitCopy':
      return awaitCopy();
    case 'watch':
      return watch(order.table, order.changes);
    case 'writeSlowly':
      return writeSlowly(order.table, order.writes);
    case 'usage':
      return usage(order.forMs);
    case 'stop':
      await node?.close();
      setImmediate(() => process.disconnect());
      return { type: 'stopped' };
    default:
      return order satisfies never;
  }
};

const running = (): Node => {
  if (!node) throw new Error('The node is not started');
  return node;
};

const start = async (order: Extract<SkeinOrder, { type: 'start' }>): Promise<SkeinReport> => {
  node = await startNode({
    rootPath: order.rootPath,
    node: { hostname: order.name },
    replication: { hostname: order.name, port: order.port, routes: order.routes },
    storage: { writeAsync: order.writeAsync },
    logging: { level: 'error' },
    schema: SCHEMA,
    ...(order.operationsPort !== undefined && {
      operationsApi: { network: { port: order.operationsPort } },
      authentication: { authorizeLocal: true, adminUsername: 'bench', adminPassword: 'bench' },
    }),
  });
  return { type: 'started' };
};

/** Declared attributes and no index, so that the ratio speaks of replication; `dynamic` is made by an operation. */
const SCHEMA = `
  type Declared @table(table: "declared") {
    id: Int @primaryKey
    name: String
    breed: String
    owner: String
    age: Int
    weight: Float
    vaccinated: Boolean
    tags: [String]
    note: String
  }`;

const ingest = async ({
  table: name,
  records,
  batch,
}: Extract<SkeinOrder, { type: 'ingest' }>): Promise<SkeinReport> => {
  const documents = benchDocuments(records);
  const table = running().table<(typeof documents)[number]>(name);
  const cpu = process.cpuUsage();
  const startedMs = wallMs();
  const under: Promise<number>[] = [];
  for (let at = 0; at < records; at += batch) {
    if (under.length >= IN_FLIGHT) await under.shift();
    under.push(table.putMany(documents.slice(at, at + batch)));
  }
  await Promise.all(under);
  const { sequence } = await ownPosition();
  return {
    type: 'ingested',
    startedMs,
    endedMs: wallMs(),
    sequence,
    cpuMicroseconds: cpuSince(cpu),
  };
};

const awaitSequence = async (from: string, sequence: number): Promise<SkeinReport> => {
  const cpu = process.cpuUsage();
  for (;;) {
    const { positions } = await status();
    const reached = positions.find(({ origin }) => origin.startsWith(`${from}#`));
    if ((reached?.sequence ?? 0) >= sequence)
      return { type: 'reached', atMs: wallMs(), cpuMicroseconds: cpuSince(cpu) };
    await pause(2);
  }
};

/** Waits until the copy is complete; the clock starts when its first rows are here. */
const awaitCopy = async (): Promise<SkeinReport> => {
  let startedMs = 0;
  for (;;) {
    const { ready, copy } = await status();
    if (startedMs === 0 && copy) startedMs = wallMs();
    if (startedMs > 0 && ready) return { type: 'copied', startedMs, endedMs: wallMs() };
    await pause(1);
  }
};

/** Times at which changes became visible here, by key. */
const watch = async (name: string, changes: number): Promise<SkeinReport> => {
  const seen: [number, number][] = [];
  for await (const change of running().table<{ id: number }>(name).changes()) {
    seen.push([Number(change.key), wallMs()]);
    if (seen.length === changes) break;
  }
  return { type: 'watched', seen };
};

const writeSlowly = async (name: string, writes: number): Promise<SkeinReport> => {
  const table = running().table<{ id: number }>(name);
  const documents = benchDocuments(writes);
  const written: [number, number][] = [];
  for (const document of documents) {
    const id = 1_000_000_000 + document.id;
    written.push([id, wallMs()]);
    await table.put({ ...document, id });
    await pause(4);
  }
  return { type: 'written', written };
};

const usage = async (forMs: number): Promise<SkeinReport> => {
  const cpu = process.cpuUsage();
  const from = wallMs();
  await pause(forMs);
  return {
    type: 'usage',
    cpuShare: cpuSince(cpu) / 1000 / (wallMs() - from),
    rssBytes: process.memoryUsage().rss,
  };
};

let router: ActorRef<RouterMessage> | null = null;

const status = async (): Promise<DatabaseStatus> => {
  router ??= await running().system.ask(running().cluster, (replyTo) => ({
    type: 'database.find',
    database: 'data',
    create: false,
    replyTo,
  }));
  return running().system.ask<DatabaseStatus, RouterMessage>(
    router as ActorRef<RouterMessage>,
    (replyTo) => ({ type: 'database.status', replyTo }),
    { lane: 'control' },
  );
};

const ownPosition = async (): Promise<{ sequence: number }> => {
  const { origin, positions } = await status();
  return positions.find((position) => position.origin === origin) ?? { sequence: 0 };
};

/** Milliseconds since the epoch, comparable between processes of one machine. */
const wallMs = (): number => performance.timeOrigin + performance.now();

const cpuSince = (start: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(start);
  return user + system;
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
