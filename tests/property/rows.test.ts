/**
 * Rows converge: any order and any repetition of the same operations gives one row, and its record is what the
 * operations give when they are executed one at a time in stamp order. First the join alone, then whole stores.
 */
import test from 'ava';
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { compareStamps, type Stamp } from '../../protocol/clock.js';
import { decode, encode, encodeMapOf } from '../../protocol/codec.js';
import { encodeEntry } from '../../protocol/entry.js';
import {
  sequence,
  tableGeneration,
  tableName,
  version,
  type OriginId,
} from '../../protocol/ids.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { isVisible, join, joinOptional, recordOf, rowOf, type Row } from '../../protocol/row.js';
import type { EncodedAttribute, RowChange } from '../../protocol/row.js';
import type { LocalWrite } from '../../storage/evaluate.js';
import { encodeRow, decodeRow, type OriginNumbers } from '../../storage/rowFormat.js';
import type { Store } from '../../storage/store.js';
import {
  catchUp,
  DATABASE,
  definition,
  inCommit,
  indexes,
  memoryStore,
  origin,
  records,
  rowStates,
  transaction,
  NOW_MS,
} from '../support/stores.js';

const ORIGINS = [origin('a', 1), origin('a', 2), origin('b', 1), origin('c', 1)] as const;
const NAMES = ['x', 'y', 'z'] as const;
const VALUES = Array.from({ length: 16 }, (_, value) => encode(value));

const numbers: OriginNumbers = {
  numberOf: (id) => ORIGINS.indexOf(id as (typeof ORIGINS)[number]),
  originOf: (number) => ORIGINS[number] ?? ORIGINS[0],
};

interface Operation {
  readonly stamp: Stamp;
  readonly change: RowChange;
}

/** An operation in one number: 3 bits version, 2 origin, 2 kind, 3 attributes, 4 value. */
/** Where the row lies does not matter here. */
const KEY = Buffer.from('k');

const CODES = 1 << 14;

const operationOf = (code: number): Operation => {
  const stamp = { version: version(1 + (code & 7)), origin: ORIGINS[(code >> 3) & 3] as OriginId };
  const attributes: EncodedAttribute[] = [];
  for (const [place, name] of NAMES.entries())
    if ((code >> (7 + place)) & 1)
      attributes.push({ name, value: VALUES[((code >> 10) + place) & 15] as Buffer });
  return { stamp, change: changeOf((code >> 5) & 3, attributes) };
};

const changeOf = (kind: number, attributes: readonly EncodedAttribute[]): RowChange => {
  if (kind === 0) return { type: 'delete' };
  if (kind === 1) return { type: 'put', body: bodyOf(attributes) };
  return { type: 'patch', attributes };
};

const bodyOf = (attributes: readonly EncodedAttribute[]): Buffer =>
  encodeMapOf(
    attributes.map(({ name, value }) => [name, value] as const),
    attributes.length,
  );

/** Different operations, each with its own stamp: the same stamp is the same operation. */
const operations = fc
  .uniqueArray(fc.nat(CODES - 1), { maxLength: 8, minLength: 1, selector: (code) => code & 31 })
  .map((codes) => codes.map(operationOf));

/** Picks, repeats included, and then whatever was not picked. */
const arranged = <Item>(items: readonly Item[], picks: readonly number[]): Item[] => {
  const chosen = picks.map((pick) => items[pick % items.length] as Item);
  return [...chosen, ...items.filter((item) => !chosen.includes(item))];
};
const picks = fc.array(fc.nat(63), { maxLength: 10 });

const fold = (given: readonly Operation[]): Row | undefined => {
  let row: Row | undefined;
  for (const { change, stamp } of given) row = joinOptional(row, rowOf(change, stamp));
  return row;
};

const bytesOf = (row: Row | undefined): string =>
  row === undefined ? '' : encodeRow(KEY, row, numbers).toString('latin1');

/** The operations one at a time, in stamp order, without any of the code under test. */
const executed = (given: readonly Operation[]): Record<string, unknown> | undefined => {
  let record: Record<string, unknown> | undefined;
  for (const { change } of [...given].sort((a, b) => compareStamps(a.stamp, b.stamp))) {
    if (change.type === 'delete') record = undefined;
    else if (change.type === 'put') record = decode(change.body) as Record<string, unknown>;
    else
      for (const { name, value } of ((record ??= {}), change.attributes))
        record[name] = decode(value);
  }
  return record;
};

const recordIn = (row: Row | undefined): unknown => {
  const bytes = row && recordOf(row);
  return bytes && decode(bytes);
};

test('any order and repetition of the same operations gives one row, the one of stamp order', (t) => {
  fc.assert(
    fc.property(operations, picks, picks, (given, first, second) => {
      const one = fold(arranged(given, first));
      const other = fold(arranged([...given].reverse(), second));
      return (
        bytesOf(one) === bytesOf(other) &&
        isVisible(one) === (executed(given) !== undefined) &&
        isDeepStrictEqual(recordIn(one), executed(given))
      );
    }),
    { numRuns: 60_000 },
  );
  t.pass();
});

test('the join is commutative, associative and idempotent, and equal states are equal bytes', (t) => {
  fc.assert(
    fc.property(operations, fc.nat(7), fc.nat(7), (given, cut, other) => {
      const [low, high] = [cut, other].sort((a, b) => a - b) as [number, number];
      const parts = [given.slice(0, low + 1), given.slice(low, high + 1), given.slice(high)];
      const [a, b, c] = parts.map((part) => fold(part) ?? fold(given.slice(0, 1))) as [
        Row,
        Row,
        Row,
      ];
      const all = bytesOf(join(join(a, b), c));
      return (
        bytesOf(join(a, join(b, c))) === all &&
        bytesOf(join(join(c, a), b)) === all &&
        bytesOf(join(a, b)) === bytesOf(join(b, a)) &&
        bytesOf(join(a, a)) === bytesOf(a) &&
        bytesOf(join(a, join(a, b))) === bytesOf(join(a, b))
      );
    }),
    { numRuns: 40_000 },
  );
  t.pass();
});

test('stored bytes come back as the same row', (t) => {
  fc.assert(
    fc.property(operations, (given) => {
      const row = fold(given);
      if (!row) return false;
      return isDeepStrictEqual(
        plain(decodeRow(KEY, encodeRow(KEY, row, numbers), numbers)),
        plain(row),
      );
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});

/** Buffers and views of the same bytes are equal. */
const plain = (row: Row): unknown =>
  row.kind === 'patched'
    ? { ...row, registers: [...row.registers].map(([n, r]) => [n, r.stamp, hex(r.value)]) }
    : row.kind === 'whole'
      ? { ...row, body: hex(row.body) }
      : row;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const KEYS = ['k', 'p', 'q'].map((key) => encodeKey(key));
/** With everything that makes the store choose another way: no index, one index, dynamic attributes. */
const TABLES = [
  definition('plain', [{ name: 'x' }]),
  definition('indexed', [{ name: 'x', indexed: true }]),
  definition('dynamic'),
];

interface SentEntry {
  readonly origin: OriginId;
  readonly bytes: Buffer;
}

/** A log: entries of one origin with rising versions, each with changes of some of the keys. */
const logOf = (id: OriginId, codes: readonly number[]): SentEntry[] => {
  let last = 0;
  return codes.map((code, index) => {
    last += 1 + (code & 1);
    const changes = KEYS.flatMap((key, place) => {
      const bits = (code >> (1 + place * 8)) & 255;
      if ((bits & 3) === 3) return [];
      const { change } = operationOf(
        (bits & 3) * 32 + ((bits >> 2) & 7) * 128 + (code & 15) * 1024,
      );
      return [{ key, change }];
    });
    const tables = TABLES.map(({ name }) => ({
      table: name,
      generation: tableGeneration(1),
      changes,
    }));
    const bytes = encodeEntry({
      origin: id,
      sequence: sequence(index + 1),
      version: version(last),
      tables,
    });
    return { origin: id, bytes };
  });
};

const logs = fc
  .array(fc.array(fc.nat(0x1ffffff), { maxLength: 5 }), { minLength: 2, maxLength: 3 })
  .map((codes) => codes.map((of, index) => logOf(ORIGINS[index] ?? ORIGINS[0], of)));

/** Applies the logs in an interleaving; `picks` say whose entry comes next and where a batch ends. */
const applied = async (given: SentEntry[][], order: readonly number[]): Promise<Store> => {
  const store = await memoryStore({ node: 'observer', builtIn: TABLES });
  const queues = given.map((log) => [...log]);
  let commit = store.commit();
  for (let turn = 0; queues.some((queue) => queue.length > 0); turn++) {
    const pick = order[turn % Math.max(1, order.length)] ?? 0;
    const waiting = queues.filter((queue) => queue.length > 0);
    const queue = waiting[(pick + turn) % waiting.length] ?? [];
    const entry = queue.shift();
    if (!entry) continue;
    if (commit.apply(entry.origin, entry.bytes) !== 'applied') throw new Error('not applied');
    if (commit.apply(entry.origin, entry.bytes) !== 'known') throw new Error('applied twice');
    if (pick % 3 === 0) {
      await commit.write();
      commit = store.commit();
    }
  }
  await commit.write();
  return store;
};

const states = (store: Store): Promise<string[]> =>
  Promise.all(TABLES.map(({ name }) => rowStates(store, name)));

const indexesAgree = async (store: Store): Promise<boolean> => {
  for (const { name } of TABLES) {
    const { stored, expected } = await indexes(store, name);
    if (!isDeepStrictEqual(stored, expected)) return false;
  }
  return true;
};

test('stores that applied the same entries in other orders hold the same rows and indexes', async (t) => {
  await fc.assert(
    fc.asyncProperty(logs, picks, picks, async (given, first, second) => {
      const [one, other] = await Promise.all([applied(given, first), applied(given, second)]);
      t.deepEqual(await states(one), await states(other));
      return (await indexesAgree(one)) && (await indexesAgree(other));
    }),
    { numRuns: 300 },
  );
  t.pass();
});

/** What users do at three nodes, and who takes over from whom in between. */
type Step =
  | { readonly at: number; readonly writes: readonly LocalWrite[]; readonly late: number }
  | { readonly at: number; readonly from: number };

const RECORDS = ['k', 'p'].map((id) => ({ id }));
const localWrite = fc.nat(0xffff).map((code): LocalWrite => {
  const table = TABLES[code % 3]?.name ?? '';
  const kind = (['insert', 'put', 'update', 'upsert', 'delete'] as const)[(code >> 2) % 5];
  const { id } = RECORDS[(code >> 5) & 1] ?? { id: 'k' };
  if (kind === 'delete' || kind === undefined) return { table, type: 'delete', keys: [id] };
  const values = Object.fromEntries(
    NAMES.filter((_, place) => (code >> (6 + place)) & 1).map((name) => [name, (code >> 9) & 7]),
  );
  return { table, type: kind, records: [{ ...values, id }] };
});
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    at: fc.nat(2),
    writes: fc.array(localWrite, { minLength: 1, maxLength: 3 }),
    late: fc.nat(2),
  }),
  fc.record({ at: fc.nat(2), from: fc.nat(2) }),
);

test('three nodes that write and take over from each other end equal, as in stamp order', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const nodes = await Promise.all(
        ['a', 'b', 'c'].map((node) => memoryStore({ node, builtIn: TABLES })),
      );
      const at = (place: number): Store => nodes[place] ?? (nodes[0] as Store);
      for (const one of steps)
        if ('from' in one) await catchUp(at(one.at), at(one.from));
        else
          await inCommit(at(one.at), (commit) =>
            commit.transact(transaction(one.writes, { nowMs: NOW_MS - one.late })),
          );
      for (const [to, from] of [0, 1, 2, 0, 1, 2].map((n) => [n, (n + 1) % 3] as const))
        await catchUp(at(to), at(from));
      const [first, ...others] = await Promise.all(nodes.map(states));
      for (const other of others) t.deepEqual(other, first);
      for (const node of nodes) if (!(await indexesAgree(node))) return false;
      return true;
    }),
    { numRuns: 200 },
  );
  t.pass();
});

test('the record of a store is what the operations give in stamp order', async (t) => {
  await fc.assert(
    fc.asyncProperty(operations, picks, async (given, order) => {
      const store = await memoryStore({ node: 'observer', builtIn: TABLES });
      const commit = store.commit();
      for (const { change, stamp } of arranged(given, order))
        commit.applyCopied(
          TABLES.map(({ name }) => ({
            table: tableName(name),
            generation: tableGeneration(1),
            key: KEYS[0] as Buffer,
            row: rowOf(change, stamp),
          })),
        );
      await commit.write();
      const expected = executed(given);
      for (const { name } of TABLES)
        t.deepEqual(await records(store, name), expected ? [expected] : [], DATABASE);
      return true;
    }),
    { numRuns: 300 },
  );
  t.pass();
});
