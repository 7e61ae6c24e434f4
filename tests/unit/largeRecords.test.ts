/** Records larger than a frame may be: live and by copy, over the transport that enforces the limit. */
import test from 'ava';
import { MemoryNetwork, startNode, type Node } from '../../index.js';
import { limits, MIB } from '../../protocol/limits.js';

interface Note {
  readonly id: string;
  readonly text: string;
}

const start = (network: MemoryNetwork, name: string, other: string): Promise<Node> =>
  startNode(
    {
      node: { hostname: name },
      replication: { url: `memory://${name}`, routes: [`memory://${other}`] },
      storage: { engine: 'memory' },
      logging: { level: 'error' },
      schema: 'type Note @table(table: "notes") { id: ID @primaryKey }',
    },
    { network },
  );

const LARGE = 'x'.repeat(limits.frameBytesMax + 3 * MIB);

test('CX-76, SY-14: a record larger than a frame reaches a peer by copy and live', async (t) => {
  const network = new MemoryNetwork();
  const a = await start(network, 'a', 'b');
  t.teardown(() => a.close());
  const notes = a.table<Note>('notes');
  await notes.put({ id: 'large', text: LARGE });
  // More entries than an empty node replays: it has to copy.
  for (let at = 0; at <= limits.replayEntriesMax; at++) await notes.put({ id: `n${at}`, text: '' });
  const b = await start(network, 'b', 'a');
  t.teardown(() => b.close());
  const changes = b.table<Note>('notes').changes()[Symbol.asyncIterator]();
  await b.synced();
  t.is((await b.table<Note>('notes').get('large'))?.text.length, LARGE.length);
  const status = (await b.send({ operation: 'cluster_status' })) as {
    databases: { database: string; copy?: object }[];
  };
  t.like(status.databases.find(({ database }) => database === 'data')?.copy, { from: 'a' });
  const next = changes.next();
  await notes.put({ id: 'live', text: LARGE });
  for (let change = await next; change.value?.key !== 'live'; change = await changes.next())
    t.falsy(change.done);
  t.is((await b.table<Note>('notes').get('live'))?.text.length, LARGE.length);
});
