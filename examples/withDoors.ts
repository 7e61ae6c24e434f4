/**
 * One node on disk with the operations API beside it, as a service would embed it. Run it with
 * `node dist/examples/withDoors.js [directory]`; what it stores is there at the next run.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNode } from '../index.js';

interface Visit {
  id: string;
  at: number;
}

const rootPath = process.argv[2] ?? (await mkdtemp(join(tmpdir(), 'skein-example-')));
const admin = { adminUsername: 'admin', adminPassword: 'change me' };

await using node = await startNode({
  rootPath,
  operationsApi: { network: { port: '127.0.0.1:0' } },
  authentication: admin,
  logging: { level: 'error' },
  schema: 'type Visit @table { id: ID @primaryKey  at: Float @indexed }',
});

await node.table<Visit>('Visit').put({ id: crypto.randomUUID(), at: Date.now() });

// What any HTTP client may do meanwhile.
const url = node.doors.operationsApi ?? '';
const answer = await fetch(url, {
  method: 'POST',
  headers: {
    'content-type': 'application/json',
    authorization: `Basic ${btoa(`${admin.adminUsername}:${admin.adminPassword}`)}`,
  },
  body: JSON.stringify({ operation: 'describe_table', table: 'Visit', exact_count: true }),
});
const { record_count: visits } = (await answer.json()) as { record_count: number };
console.log(`${visits} visits in ${rootPath}, asked over ${url}`);
