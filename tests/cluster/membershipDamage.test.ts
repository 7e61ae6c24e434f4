/**
 * A damaged row of the node table: it takes no link away, lets nobody in, and is reported. Real processes, whose files
 * are changed while they do not run.
 */
import test from 'ava';
import { encode } from '../../protocol/codec.js';
import { startCluster } from '../support/cluster.js';
import { startJoined } from '../support/memberCluster.js';
import { damageNodeRow } from '../support/memberDamage.js';
import { haveNotes, note } from '../support/memberRecords.js';
import {
  connectedExactly,
  fullMesh,
  memberNames,
  messageOf,
  statusOf,
} from '../support/memberViews.js';
import { waitUntil } from '../support/waitUntil.js';

/** Another record under the first stamp of the row that was there, as one put writes it. */
const wholeRow = (record: Record<string, unknown>, stored: Buffer): Buffer => {
  const [kind] = stored;
  const stampAt = kind === 3 ? 2 : 1;
  return Buffer.concat([
    Buffer.from([1]),
    stored.subarray(stampAt, stampAt + STAMP_BYTES),
    encode(record),
  ]);
};

/** Version, and the number of an origin below 128. */
const STAMP_BYTES = 9;

type Seal = (value: Buffer) => Buffer;

const DAMAGES: {
  what: string;
  change: (name: string, stored: Buffer, seal: Seal) => Buffer;
}[] = [
  { what: 'noise', change: (_, stored) => Buffer.alloc(stored.length, 0xa5) },
  { what: 'nothing', change: () => Buffer.alloc(0) },
  { what: 'half of it', change: (_, stored) => stored.subarray(0, stored.length >> 1) },
  {
    what: 'one byte less',
    change: (_, stored) => stored.subarray(0, stored.length - 1),
  },
  {
    what: 'a url that is a list',
    change: (name, stored, seal) =>
      seal(wholeRow({ name, url: ['ws://x'], replicates: true }, stored)),
  },
  {
    what: 'null for everything',
    change: (name, stored, seal) => seal(wholeRow({ name, url: null, replicates: null }, stored)),
  },
  {
    what: 'another name',
    change: (_, stored, seal) =>
      seal(wholeRow({ name: 'somebody else', url: 5, replicates: 'no' }, stored)),
  },
];

for (const { what, change } of DAMAGES)
  test.serial(
    `MB-11 a row of the node table that is ${what} neither ends links nor lets anybody in`,
    async (t) => {
      const cluster = await startJoined(t, 3);
      const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
      await a.stop();
      await damageNodeRow(a, c.name, (stored, seal) => change(c.name, stored, seal));
      await a.start();
      await fullMesh(cluster.nodes);
      await note(a, 'after the damage');
      await note(c, 'by the one whose row is damaged');
      await haveNotes(cluster.nodes, ['after the damage', 'by the one whose row is damaged']);
      for (const node of [b, c]) t.deepEqual(await memberNames(node), [a.name, b.name, c.name]);
      // Whoever is no member is refused as before.
      const stranger = await startCluster({ nodes: 1, apart: true, firstAddress: 9 });
      t.teardown(() => stranger.close());
      await t.throwsAsync(
        messageOf(stranger.node(0), { operation: 'add_node', url: a.replicationUrl }),
        { message: /Must login/ },
      );
      await connectedExactly(stranger.node(0), []);
      await fullMesh(cluster.nodes);
    },
  );

test.serial('MB-11 a damaged row is reported by name', async (t) => {
  const cluster = await startJoined(t, 2);
  const [a, b] = [cluster.node(0), cluster.node(1)];
  await a.stop();
  await damageNodeRow(a, b.name, (stored, seal) =>
    seal(wholeRow({ name: b.name, url: 7, replicates: true }, stored)),
  );
  await a.start();
  await fullMesh(cluster.nodes);
  await waitUntil('the report', async () => {
    const seen = JSON.stringify([await statusOf(a), await a.client.tree()]);
    return seen.includes("'url' is no text");
  });
  t.pass();
});
