/**
 * Stands in for `skein start` in tests of `skein dev`: reads the same file and variables, opens the same
 * doors, but has a fake node behind them. Run as a process of its own.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { ConfigInput } from '../../config/types.js';
import { awaitStop } from '../../server/cli/signals.js';
import { openDoors } from '../../server/doors.js';
import { fakeNode } from './fakeNode.js';

const file = process.argv[process.argv.indexOf('--config') + 1] ?? '';
const config = parse(readFileSync(file, 'utf8')) as ConfigInput;
const host = String(config.replication?.hostname);
const peers = (config.replication?.routes ?? []).map((route) => new URL(String(route)).hostname);
const operationsPort = Number(config.operationsApi?.network?.port);

const isUp = async (peer: string): Promise<boolean> => {
  const answer = await fetch(`http://${peer}:${operationsPort}/livez`).catch(() => undefined);
  return answer?.ok === true;
};

const clusterStatus = async (): Promise<unknown> => ({
  node_name: host,
  connections: await Promise.all(
    peers.map(async (name) => ({
      name,
      database_sockets: [{ database: 'data', connected: await isUp(name) }],
    })),
  ),
});

const stop = awaitStop({ again: () => process.exit(1), withParent: true });
console.log(`ROOTPATH is ${process.env['ROOTPATH'] ?? 'absent'}`);
const node = fakeNode({
  name: host,
  password: process.env['HDB_ADMIN_PASSWORD'] ?? '',
  answers: { cluster_status: clusterStatus },
  listen: {
    operationsApi: { listen: { host, port: operationsPort } },
    debug: { listen: { host, port: Number(config.debug?.port) }, allowCrash: true },
  },
});
const doors = await openDoors(node);
await stop.asked;
await doors.close();
process.exit(0);
