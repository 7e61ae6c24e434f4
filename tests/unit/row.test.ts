/** What operations on one row come to, and the one stored form of each state. */
import test from 'ava';
import { decode, encode, encodeRecord } from '../../protocol/codec.js';
import { version } from '../../protocol/ids.js';
import {
  isVisible,
  join,
  joinOptional,
  newestStamp,
  recordOf,
  rowOf,
  type Row,
  type RowChange,
} from '../../protocol/row.js';
import { origin } from '../support/stores.js';

type Given = readonly [kind: 'put' | 'patch' | 'delete', at: number, values?: object, by?: string];

const changeOf = ([kind, , values = {}]: Given): RowChange => {
  if (kind === 'delete') return { type: 'delete' };
  if (kind === 'put') return { type: 'put', body: encodeRecord(values) };
  const attributes = Object.entries(values).map(([name, value]) => ({
    name,
    value: encode(value),
  }));
  return { type: 'patch', attributes };
};

const stampOf = ([, at, , by = 'a']: Given) => ({ version: version(at), origin: origin(by) });

const rowFrom = (given: readonly Given[]): Row => {
  let row: Row | undefined;
  for (const one of given) row = joinOptional(row, rowOf(changeOf(one), stampOf(one)));
  if (!row) throw new Error('no operation was given');
  return row;
};

const outcome = (row: Row): unknown => {
  const bytes = recordOf(row);
  return bytes === undefined ? null : decode(bytes);
};

/** Every order of up to four things. */
const orders = <Item>(items: readonly Item[]): Item[][] =>
  items.length <= 1
    ? [[...items]]
    : items.flatMap((item, place) =>
        orders([...items.slice(0, place), ...items.slice(place + 1)]).map((rest) => [
          item,
          ...rest,
        ]),
      );

const PUT: Given = ['put', 10, { x: 1 }];

const cases: readonly [string, readonly Given[], unknown, Row['kind']][] = [
  ['a put is its record', [PUT], { x: 1 }, 'whole'],
  ['a newer put replaces the record', [PUT, ['put', 11, { y: 2 }]], { y: 2 }, 'whole'],
  ['an older patch under a put is gone', [PUT, ['patch', 9, { y: 2 }]], { x: 1 }, 'whole'],
  ['a newer patch sets its attributes', [PUT, ['patch', 11, { y: 2 }]], { x: 1, y: 2 }, 'patched'],
  [
    'the newer of two patches has an attribute',
    [PUT, ['patch', 12, { y: 3 }], ['patch', 11, { x: 5, y: 2 }]],
    { x: 5, y: 3 },
    'patched',
  ],
  [
    'patches alone make a record',
    [
      ['patch', 1, { x: 1 }],
      ['patch', 2, { y: 2 }],
    ],
    { x: 1, y: 2 },
    'patched',
  ],
  ['a patch without attributes brings a row into being', [['patch', 1]], {}, 'patched'],
  [
    'a newer delete hides everything',
    [PUT, ['patch', 11, { y: 2 }], ['delete', 12]],
    null,
    'deleted',
  ],
  ['an older delete does nothing to a newer put', [PUT, ['delete', 9]], { x: 1 }, 'whole'],
  [
    'CX-04: an update made without knowing of a delete starts a new record',
    [PUT, ['delete', 11, {}, 'b'], ['patch', 12, { y: 2 }]],
    { y: 2 },
    'patched',
  ],
  [
    'a delete between two patches erases the first',
    [
      ['patch', 1, { x: 1 }],
      ['delete', 2],
      ['patch', 3, { y: 2 }],
    ],
    { y: 2 },
    'patched',
  ],
  [
    'CX-05: an upsert that did not know the put keeps what it did not set',
    [PUT, ['patch', 11, { y: 2 }, 'b']],
    { x: 1, y: 2 },
    'patched',
  ],
  [
    'CX-02: of equal versions the larger origin name wins',
    [
      ['put', 10, { x: 1 }, 'a'],
      ['put', 10, { x: 2 }, 'b'],
    ],
    { x: 2 },
    'whole',
  ],
  [
    'equal versions of delete and put are decided by origin too',
    [
      ['put', 10, { x: 1 }, 'a'],
      ['delete', 10, {}, 'b'],
    ],
    null,
    'deleted',
  ],
];

for (const [name, given, expected, kind] of cases)
  test(name, (t) => {
    for (const order of orders(given)) {
      const row = rowFrom([...order, ...order]);
      t.deepEqual(outcome(row), expected);
      t.is(row.kind, kind);
      t.is(isVisible(row), expected !== null);
    }
  });

test('CX-03: an earlier incarnation with the same version is another operation', (t) => {
  const put = (life: number, x: number): Row =>
    rowOf(
      { type: 'put', body: encodeRecord({ x }) },
      { version: version(1), origin: origin('a', life) },
    );
  t.deepEqual(outcome(join(put(1, 1), put(2, 2))), { x: 2 });
  t.deepEqual(outcome(join(put(2, 2), put(1, 1))), { x: 2 });
});

test('the newest stamp of a row is that of its last operation, visible or not', (t) => {
  t.is(newestStamp(rowFrom([PUT])).version, version(10));
  t.is(newestStamp(rowFrom([PUT, ['patch', 12, { y: 1 }]])).version, version(12));
  t.is(newestStamp(rowFrom([PUT, ['delete', 13]])).version, version(13));
});

test('a row that is not changed by a join is the same object, so that nothing is written', (t) => {
  const row = rowFrom([PUT]);
  t.is(join(row, rowFrom([['put', 9, { z: 1 }]])), row);
  t.is(join(row, rowFrom([['patch', 9, { z: 1 }]])), row);
});

test('registers are kept in the order of their names', (t) => {
  const row = rowFrom([['patch', 1, { z: 1, a: 2 }], PUT, ['patch', 11, { m: 1, b: 2 }]]);
  t.deepEqual(row.kind === 'patched' ? [...row.registers.keys()] : [], ['b', 'm', 'x']);
});

test('a row with neither a write nor a delete is a programming error', (t) => {
  const empty = { kind: 'patched', floor: null, alive: null, dead: null, registers: new Map() };
  t.throws(() => join(empty as unknown as Row, empty as unknown as Row), { instanceOf: Error });
});
