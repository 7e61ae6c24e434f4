/**
 * A log entry that turns out to be damaged while a node runs: its router, its feed and a peer that wants it, on simulated
 * disks in virtual time.
 */
import test from 'ava';
import { numberOf, PREFIX, sequenceOf } from '../../storage/keys.js';
import type { Content } from '../support/simulatedLevel.js';
import { spoilt } from '../support/damagedStores.js';
import { openStage } from '../support/simulatedStage.js';

/** The content without that entry of the first log, or with it spoilt. */
const withEntry = (
  { keys, values }: Content,
  at: number,
  change: (bytes: Buffer) => Buffer | null,
): Content => {
  const place = keys.findIndex(
    (key) => key[0] === PREFIX.log && numberOf(key) === 0 && sequenceOf(key) === at,
  );
  const bytes = values[place];
  if (!bytes) throw new Error(`there is no entry ${at}`);
  const changed = change(bytes);
  return changed
    ? { keys, values: values.with(place, changed) }
    : { keys: keys.toSpliced(place, 1), values: values.toSpliced(place, 1) };
};

for (const [name, change, isPartial] of [
  ['damaged', spoilt, false],
  ['gone', () => null, true],
] as const)
  test(`a peer that wants an entry that is ${name} copies instead, and the log begins beyond it`, async (t) => {
    const { stage, node, other } = await openStage(['a', 'b']);
    other.kill();
    for (let id = 1; id <= 6; id++) t.like(await stage.put(node, id), { sequence: id + 1 });
    // A new life has nothing of its log in memory.
    node.kill();
    node.start();
    await stage.pass(500);
    node.disk.content = withEntry(node.disk.content, 5, change);
    other.start();
    const damageOf = async () => {
      const status = await stage.status(node);
      return 'damage' in status && status.damage;
    };
    const found = { rows: 0, named: [], tables: [], entries: 1 };
    const all = { table: 'all tables', reason: 'entries of a log are missing' };
    await stage.pass(2_000);
    t.deepEqual(await damageOf(), isPartial ? { ...found, tables: [all] } : found);
    t.like(await stage.status(node), { ready: !isPartial });
    t.deepEqual(
      await stage.get(other, [1, 2, 3, 4, 5, 6]),
      [1, 2, 3, 4, 5, 6].map((id) => ({ id })),
    );
    t.like(await stage.status(other), { ready: true });
    // What may have been lost with it is copied back.
    await stage.pass(10_000);
    t.deepEqual(await damageOf(), found);
    t.like(await stage.status(node), { ready: true });
    t.like(await stage.put(node, 7), { sequence: 8 });
    await stage.pass(1_000);
    t.deepEqual(await stage.get(other, [7]), [{ id: 7 }]);
    t.is(node.crashes, 0);
    // The next start finds a log that begins beyond it, and nothing new.
    node.kill();
    node.start();
    await stage.pass(1_000);
    t.false(await damageOf());
  });
