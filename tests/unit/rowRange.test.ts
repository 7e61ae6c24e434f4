/** Rows read in key order as accepted so far: stored, being written, and in the open batch. */
import test from 'ava';
import { decodeKey, encodeKey } from '../../protocol/orderedKey.js';
import type { Commit } from '../../storage/commit.js';
import { rowKey } from '../../storage/keys.js';
import { readRows } from '../../storage/rowRange.js';
import type { Store } from '../../storage/store.js';
import { at, node, put, TABLE } from '../support/forgetting.js';
import { interceptBatches, transaction } from '../support/stores.js';

const accept = (commit: Commit, id: string): void => {
  const writes = [{ table: TABLE, type: 'put', records: [{ id }] }] as const;
  commit.transact(transaction(writes, { nowMs: at(10) }));
};

const take = (store: Store, commit: Commit, id: string): void => {
  const target = store.catalog.get(TABLE);
  const key = encodeKey(id);
  commit.rows.replace({ target, key, old: commit.rows.row(target, key), row: undefined });
};

const gate = (): { open: () => void; isOpen: Promise<void> } => {
  let open = (): void => undefined;
  const isOpen = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, isOpen };
};

const read = async (
  store: Store,
  open: Commit,
  range: { after?: string; last?: string; rowsMax?: number } = {},
) => {
  const page = await readRows(store, open.rows, {
    table: store.catalog.get(TABLE).number,
    after: range.after === undefined ? null : encodeKey(range.after),
    last: range.last === undefined ? null : encodeKey(range.last),
    rowsMax: range.rowsMax ?? 100,
  });
  return {
    ids: page.rows.map(({ key }) => decodeKey(key)),
    upTo: page.upTo && decodeKey(page.upTo),
  };
};

test('a row gone in the open batch is gone, though it is stored or being written', async (t) => {
  const a = await node('a');
  for (const id of ['k', 'p']) await put(a, id, {});
  const writing = a.commit();
  accept(writing, 'q');
  const written = writing.write();
  const open = a.commit();
  for (const id of ['k', 'q']) take(a, open, id);
  t.deepEqual(await read(a, open), { ids: ['p'], upTo: null });
  t.is(a.row(rowKey(a.catalog.get(TABLE).number, encodeKey('q')), open.rows.rows), undefined);
  await written;
  await open.write();
  t.deepEqual(await read(a, a.commit()), { ids: ['p'], upTo: null });
});

test('rows being written, and those of the open batch, stand in their places between stored ones', async (t) => {
  const a = await node('a');
  for (const id of ['b', 'f']) await put(a, id, {});
  const { open: openDisk, isOpen } = gate();
  const restore = interceptBatches(a.level, (write) => isOpen.then(write));
  const writing = a.commit();
  accept(writing, 'd');
  const written = writing.write();
  restore();
  const open = a.commit();
  accept(open, 'a');
  accept(open, 'g');
  t.deepEqual(await read(a, open), { ids: ['a', 'b', 'd', 'f', 'g'], upTo: null });
  t.deepEqual(await read(a, open, { after: 'a', last: 'f' }), { ids: ['b', 'd', 'f'], upTo: null });
  t.deepEqual(await read(a, open, { after: 'd' }), { ids: ['f', 'g'], upTo: null });
  openDisk();
  await written;
  await open.abandon();
});

test('a page ends with the last stored row it has room for, and leaves out what comes after', async (t) => {
  const a = await node('a');
  for (const id of ['b', 'd', 'f']) await put(a, id, {});
  const open = a.commit();
  for (const id of ['a', 'c', 'e']) accept(open, id);
  t.deepEqual(await read(a, open, { rowsMax: 2 }), { ids: ['a', 'b', 'c', 'd'], upTo: 'd' });
  t.deepEqual(await read(a, open, { after: 'd', rowsMax: 2 }), { ids: ['e', 'f'], upTo: null });
  await open.abandon();
});

test('a page whose rows are all gone still says how far it speaks of', async (t) => {
  const a = await node('a');
  for (const id of ['b', 'd', 'f']) await put(a, id, {});
  const open = a.commit();
  for (const id of ['b', 'd']) take(a, open, id);
  t.deepEqual(await read(a, open, { rowsMax: 2 }), { ids: [], upTo: 'd' });
  await open.abandon();
});
