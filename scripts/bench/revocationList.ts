/**
 * What a check against a large revocation list costs: fetched over HTTP from this process's own server on loopback,
 * read, searched. Prints times, the longest stall of the event loop, and memory.
 * Run as `node dist/scripts/bench/revocationList.js [entries]` after a build.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { X509Certificate } from 'node:crypto';
import { httpFetch } from '../../security/httpFetch.js';
import { RevocationChecker } from '../../security/revocationChecker.js';
import { readRevocationSettings } from '../../security/revocationSettings.js';
import { largeSerial, writeLargeList } from '../../tests/support/largeList.js';
import { issue, makeAuthority } from '../../tests/support/testAuthority.js';
import { MemoryTables } from '../../tests/support/revocationScene.js';

const MEBIBYTE = 2 ** 20;
const SERVER = 'server';

interface Served {
  readonly issuer: string;
  readonly revoked: string;
  readonly good: string;
  readonly listBytes: number;
}

/** Another process, so that writing and sending do not count. */
async function serveList(count: number): Promise<void> {
  const authority = makeAuthority();
  const list = writeLargeList(authority, count);
  const server = createServer((_, response) => response.end(list)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const lists = [`http://127.0.0.1:${(server.address() as AddressInfo).port}/`];
  const issued = (serial: string): string =>
    issue(authority, { subject: 'node', serial, lists }).certificate.toString();
  const served: Served = {
    issuer: authority.certificate.toString(),
    revoked: issued(largeSerial(count - 1).toString('hex')),
    good: issued(largeSerial(count).toString('hex')),
    listBytes: list.length,
  };
  process.send?.(served);
  process.once('disconnect', () => process.exit());
}

async function measure(count: number): Promise<void> {
  const child = fork(new URL(import.meta.url), [SERVER, `${count}`]);
  const [served] = (await once(child, 'message')) as [Served];
  const checker = new RevocationChecker(readRevocationSettings({ crl: { timeout: 60_000 } }), {
    fetch: httpFetch,
    cache: new MemoryTables(),
    now: Date.now,
    warn: (text) => console.log(text),
    version: 'bench',
  });
  const issuer = new X509Certificate(served.issuer);
  console.log(`${count} entries, ${(served.listBytes / MEBIBYTE).toFixed(1)} MiB`);
  await measureCheck('nothing, for comparison', async () => {
    await sleep(2000);
    return { outcome: 'slept' };
  });
  for (const name of ['revoked', 'good'] as const)
    await measureCheck(name, () => checker.check(served[name], issuer));
  child.disconnect();
}

async function measureCheck(
  name: string,
  check: () => Promise<{ outcome: string }>,
): Promise<void> {
  await sleep(100);
  const before = process.memoryUsage.rss();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const begun = performance.now();
  const { outcome } = await check();
  const took = performance.now() - begun;
  await sleep(20);
  delay.disable();
  const grown = (process.memoryUsage.rss() - before) / MEBIBYTE;
  console.log(
    `${name}: ${outcome} in ${took.toFixed(1)} ms, longest stall ${(delay.max / 1e6).toFixed(1)} ms, ` +
      `memory ${grown >= 0 ? '+' : ''}${grown.toFixed(0)} MiB`,
  );
}

const [first, second] = process.argv.slice(2);
if (first === SERVER) await serveList(Number(second));
else await measure(Number(first ?? 1_000_000));
