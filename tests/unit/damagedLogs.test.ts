/** Log entries that cannot be read or are gone: what readers are told, and what a start makes of them. */
import test from 'ava';
import { sequence } from '../../protocol/ids.js';
import { openMemory, type Level } from '../../storage/level.js';
import { logReader, type LogRead } from '../../storage/log.js';
import { Store } from '../../storage/store.js';
import { Trim } from '../../storage/trim.js';
import type { Finding } from '../../storage/damage.js';
import { vectorKey } from '../../storage/keys.js';
import { loseEntry, put, spoilEntry, spoilt } from '../support/damagedStores.js';
import { catchUp, definition, memoryStore, NOW_MS, openStore, write } from '../support/stores.js';

const tables = { builtIn: [definition('dogs', [{ name: 'x' }])] };

/** Five entries of `a`, read back from the disk: nothing is in memory. */
const reopened = async (
  spoil: (store: Store) => Promise<void>,
): Promise<{ level: Level; store: Store; found: Finding[] }> => {
  const level = await openMemory();
  const first = await openStore(level, tables);
  for (let place = 1; place <= 5; place++) await write(first, put(place));
  await first.markClean();
  const store = await openStore(level, tables);
  await spoil(store);
  const found: Finding[] = [];
  store.damage.found = (finding) => found.push(finding);
  return { level, store, found };
};

const readAfter = (store: Store, after: number): Promise<LogRead> =>
  logReader(store).read({ origin: store.origin, after, bytesMax: 10_000 });

const countOf = (read: LogRead): number | string =>
  read.kind === 'entries' ? read.entries.length : read.kind;

for (const [name, spoil, isMissing] of [
  ['cannot be read', spoilEntry, false],
  ['is not there', loseEntry, true],
] as const) {
  test(`an entry that ${name} is given to nobody: a reader gets what is before it, then is told to look elsewhere`, async (t) => {
    const { store, found } = await reopened((open) => spoil(open, open.origin, 3));
    t.is(countOf(await readAfter(store, 0)), 2);
    t.deepEqual(found, []);
    t.is(countOf(await readAfter(store, 2)), 'tooOld');
    t.is(countOf(await readAfter(store, 2)), 'tooOld');
    t.deepEqual(found, [{ kind: 'entry', origin: store.origin, sequence: 3, isMissing }]);
    t.is(countOf(await readAfter(store, 3)), 2);
  });

  test(`a start that finds that an entry ${name} moves the log's start beyond it and begins a new incarnation`, async (t) => {
    const { level, store } = await reopened((open) => spoil(open, open.origin, 3));
    const before = store.origin;
    const lives = { count: 7 };
    const again = await openStore(level, { ...tables, lives });
    t.is(again.recovery, 'newIncarnation');
    t.like(again.durable.get(before), { sequence: 5, logStart: 4 });
    t.is(again.damage.isPartial(again.catalog.get('dogs').number), isMissing);
    // It is stored: the next start finds nothing new.
    const third = await openStore(level, { ...tables, lives });
    t.is(third.recovery, 'continued');
    t.is(third.origin, again.origin);
    t.like(third.durable.get(before), { sequence: 5, logStart: 4 });
    t.is(third.damage.isPartial(third.catalog.get('dogs').number), isMissing);
  });

  test(`the last entry of a log that ${name} is found at a start too`, async (t) => {
    const { level, store } = await reopened((open) => spoil(open, open.origin, 5));
    const before = store.origin;
    const again = await openStore(level, { ...tables, lives: { count: 7 } });
    t.is(again.recovery, 'newIncarnation');
    t.like(again.durable.get(before), { sequence: 5, logStart: 6 });
  });
}

test('the log of another node that has a gap leaves the own incarnation as it is, and the tables held in part', async (t) => {
  const from = await memoryStore({ ...tables, node: 'b' });
  for (let place = 1; place <= 4; place++) await write(from, put(place));
  const level = await openMemory();
  const store = await openStore(level, tables);
  await catchUp(store, from);
  await loseEntry(store, from.origin, 2);
  const again = await openStore(level, { ...tables, lives: { count: 7 } });
  t.is(again.recovery, 'continued');
  t.like(again.durable.get(from.origin), { sequence: 4, logStart: 3 });
  t.true(again.damage.isPartial(again.catalog.get('dogs').number));
});

test('a position that cannot be read is none, and the incarnation ends: sequences are never used twice', async (t) => {
  const { level, store } = await reopened(async (open) => {
    const place = vectorKey(open.origins.numberOf(open.origin));
    await open.level.put(place, spoilt(open.level.getSync(place) ?? Buffer.alloc(0)));
  });
  const again = await openStore(level, { ...tables, lives: { count: 7 } });
  t.is(again.recovery, 'newIncarnation');
  t.is(again.durable.get(store.origin), undefined);
  await write(again, put(9));
  t.not(again.origin, store.origin);
});

test('trimming stops at an entry that cannot be read and tells of it, and goes on beyond it', async (t) => {
  const { store, found } = await reopened((open) => spoilEntry(open, open.origin, 2));
  const request = { beforeMs: NOW_MS + 10_000, entriesMax: 10, held: () => Infinity };
  const trim = new Trim(store);
  const round = async (): Promise<number> => {
    const commit = store.commit();
    while (await trim.step(commit, request));
    await commit.write();
    return store.durable.get(store.origin)?.logStart ?? 0;
  };
  t.is(await round(), 2);
  t.like(found, [{ kind: 'entry', sequence: 2 }]);
  const commit = store.commit();
  const held = store.accepted.get(store.origin);
  if (held) commit.move(store.origin, { ...held, logStart: sequence(3) });
  await commit.write();
  t.is(await round(), 6);
});

test('a store that is opened to read writes nothing and shows what is stored', async (t) => {
  const { level, store } = await reopened(() => Promise.resolve());
  const before = await level.iterator().all();
  const reading = await Store.openToRead(store.options);
  t.is(countOf(await readAfter(reading, 0)), 5);
  t.deepEqual(await level.iterator().all(), before);
});
