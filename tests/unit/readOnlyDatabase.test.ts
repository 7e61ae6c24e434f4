/**
 * A disk that takes no writes for a while: one node of the simulation, in virtual time, with the real actors of its
 * database. What is refused, what goes on, when it is tried again, and that nothing answered is lost.
 */
import test from 'ava';
import { limits } from '../../protocol/limits.js';
import { openStage } from '../support/simulatedStage.js';

test('while the disk takes no writes they are refused with the reason, reads go on, and it recovers by itself', async (t) => {
  const { stage, node } = await openStage(['a']);
  t.like(await stage.put(node, 1), { sequence: 2 });
  node.disk.isFailing = true;
  t.like(await stage.put(node, 2), { code: 'OUTCOME_UNKNOWN' });
  await stage.pass(2_000);
  const crashes = node.crashes;
  t.is(crashes, 1, 'the level that is open serves reads: nothing is closed and opened in vain');
  for (let time = 0; time < 120; time++) {
    t.like(await stage.put(node, 3), {
      code: 'STORAGE_FAILED',
      statusCode: 507,
      message: `The database 'data' takes no writes: simulated: no space left on device`,
    });
    t.like(await stage.get(node, [1]), [{ id: 1 }]);
    t.like(await stage.status(node), {
      ready: false,
      readOnly: 'simulated: no space left on device',
    });
    await stage.pass(1_000);
  }
  t.is(node.crashes, crashes, 'nothing of the budget is spent while the disk stays full');
  node.disk.isFailing = false;
  await stage.pass(limits.diskRetryMsMax + 5_000);
  t.like(await stage.put(node, 4), { sequence: 3 });
  t.deepEqual(await stage.get(node, [1, 2, 3, 4]), [{ id: 1 }, undefined, undefined, { id: 4 }]);
  const status = await stage.status(node);
  t.like(status, { ready: true });
  t.false('readOnly' in status);
});

test('entries of a peer are not taken meanwhile, its own are still sent, and both ends agree afterwards', async (t) => {
  const { stage, node, other } = await openStage(['a', 'b']);
  await stage.put(node, 1);
  await stage.pass(500);
  node.disk.isFailing = true;
  t.like(await stage.put(other, 2), { sequence: 1 });
  await stage.pass(3_000);
  const before = node.disk.content;
  for (let id = 3; id < 20; id++) await stage.put(other, id);
  await stage.pass(5_000);
  t.is(node.disk.content, before);
  t.deepEqual(await stage.get(node, [1, 2, 3]), [{ id: 1 }, undefined, undefined]);
  // A third reader of its log: the peer that begins anew gets what it lacks.
  other.disk.erase();
  other.kill();
  other.start();
  await stage.pass(5_000);
  t.deepEqual(await stage.get(other, [1]), [{ id: 1 }]);
  node.disk.isFailing = false;
  await stage.pass(limits.diskRetryMsMax + 5_000);
  t.like(await stage.put(other, 30), { results: [{ written: [30] }] });
  await stage.pass(2_000);
  t.deepEqual(await stage.get(node, [1, 30]), [{ id: 1 }, { id: 30 }]);
});

test('a disk that takes what is tried and fails what is written is tried ever more seldom', async (t) => {
  const { stage, node } = await openStage(['a']);
  const refuse = node.disk.write.bind(node.disk);
  const tried: number[] = [];
  node.disk.write = (process, writes, sync) => {
    tried.push(stage.time.now);
    node.disk.nextFault = 'refused';
    return refuse(process, writes, sync);
  };
  await stage.put(node, 1);
  const from = tried.at(-1) ?? 0;
  await stage.pass(300_000);
  const waits = tried.slice(1).map((at, place) => at - (tried[place] ?? 0));
  t.true(tried.length < 20, `${tried.length} tries`);
  t.true(Math.max(...waits) <= limits.diskRetryMsMax + 6_000);
  t.true((tried.at(-1) ?? 0) - from > 200_000, 'it never gives up');
  node.disk.write = refuse;
  node.disk.nextFault = null;
  await stage.pass(limits.diskRetryMsMax + 6_000);
  t.like(await stage.put(node, 2), { results: [{ written: [2] }] });
});
