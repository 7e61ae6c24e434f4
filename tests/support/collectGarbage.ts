/**
 * Loaded before a node's own program: collects garbage when its parent asks, and answers what the process holds then.
 * Named by COLLECTING in cluster.ts; needs --expose-gc.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What native parts give back takes a moment. */
const SETTLE_MS = 200;

const collect = async (): Promise<void> => {
  const { gc } = globalThis;
  if (!gc) throw new Error('run with --expose-gc');
  gc();
  await sleep(SETTLE_MS);
  gc();
  const { rss, heapUsed } = process.memoryUsage();
  process.send?.({
    rssBytes: rss,
    anonymousBytes: anonymousBytes(),
    heapBytes: heapUsed,
    fileDescriptors: readdirSync('/proc/self/fd').length,
  });
};

/** Without the pages of files that are mapped, which the system takes back when it needs them (proc(5), RssAnon). */
const anonymousBytes = (): number =>
  Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;

process.on('message', (message) => {
  if (message === 'collect') void collect();
});
